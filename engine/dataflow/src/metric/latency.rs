//! How long markers took from each source to one operator: buckets for ever, and the newest as they are.
//! Never grows: the sources of a job are few, and of the newest only so many are kept.
//! Markers are made by `slackwater-runtime`'s tasks; what is told of them, `slackwater_core::measure`.

use std::collections::{BTreeMap, VecDeque};

use slackwater_core::id::VertexId;
use slackwater_core::measure::{LATENCIES_MAX, LATENCY_BOUNDS, Latencies, SPREAD_PARTS, Spread};

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

impl Histogram {
    /// How the newest lie. Parts are linear between the two neighbours at part * (n + 1), as Flink's
    /// statistics estimate them.
    fn spread(&self) -> Spread {
        let mut sorted: Vec<u32> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
            return Spread::default();
        };
        let (count, micros) = (sorted.len() as f64, |millis: f64| (millis * 1000.0).round() as u64);
        let mean = sorted.iter().map(|own| f64::from(*own)).sum::<f64>() / count;
        let squares = sorted.iter().map(|own| (f64::from(*own) - mean).powi(2)).sum::<f64>();
        let deviation = if sorted.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
        let part = |part: u32| {
            let place = (f64::from(part) / 1000.0 * (count + 1.0)).clamp(1.0, count);
            let (below, share) = (place.floor() as usize, place.fract());
            let low = f64::from(sorted[below - 1]);
            low + share * (f64::from(sorted[below.min(sorted.len() - 1)]) - low)
        };
        Spread {
            min: *min,
            max: *max,
            mean_micros: micros(mean),
            deviation_micros: micros(deviation),
            parts_micros: SPREAD_PARTS.map(|own| micros(part(own))),
        }
    }
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
            recent: of_source.spread(),
        };
        self.0.iter().map(read).collect()
    }
}
