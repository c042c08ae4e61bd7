//! How long markers took from each source to one operator: buckets for ever, and the newest as they are.
//! Never grows: the sources of a job are few, and of the newest only so many are kept.
//! Markers are made by `slackwater-runtime`'s tasks; quantiles are computed where they are shown.

use std::collections::{BTreeMap, VecDeque};

use slackwater_core::id::VertexId;
use slackwater_core::measure::{LATENCIES_MAX, LATENCY_BOUNDS, Latencies};

/// So many of the newest are kept, as Flink keeps them.
const RECENT: usize = 128;

/// The latencies from each source.
#[derive(Debug, Default)]
pub(super) struct Pairs(BTreeMap<VertexId, Histogram>);

#[derive(Debug, Default)]
struct Histogram {
    count: u64,
    sum: u64,
    buckets: [u64; LATENCY_BOUNDS.len() + 1],
    recent: VecDeque<u32>,
}

impl Pairs {
    /// A marker of this source took so many milliseconds.
    pub(super) fn note(&mut self, source: VertexId, millis: u64) {
        if self.0.len() >= LATENCIES_MAX && !self.0.contains_key(&source) {
            return;
        }
        let of_source = self.0.entry(source).or_default();
        of_source.count += 1;
        of_source.sum = of_source.sum.saturating_add(millis);
        of_source.buckets[LATENCY_BOUNDS.partition_point(|bound| *bound < millis)] += 1;
        if of_source.recent.len() == RECENT {
            of_source.recent.pop_front();
        }
        of_source.recent.push_back(u32::try_from(millis).unwrap_or(u32::MAX));
    }

    pub(super) fn read(&self) -> Vec<Latencies> {
        let read = |(source, of_source): (&VertexId, &Histogram)| Latencies {
            source: *source,
            count: of_source.count,
            sum: of_source.sum,
            buckets: of_source.buckets.to_vec(),
            recent: of_source.recent.iter().copied().collect(),
        };
        self.0.iter().map(read).collect()
    }
}
