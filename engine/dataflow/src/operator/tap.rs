//! Counts what passes between the operators of a chain: rows and watermarks, once a batch.
//! Changes nothing of what passes and holds nothing back. It stands in front of everything that reads
//! one stream, so it counts for the operator before it and for those behind it.
//! Put there by [`crate::stream`]; what it counts into is [`crate::metric`].

use slackwater_core::element::{Batch, Signal};

use super::{BoxStage, Context, Stage, Step, pass_on};

/// For whom a [`Tap`] counts, by their numbers in the chain.
#[derive(Clone, Debug, Default)]
pub struct Tapped {
    /// Whose output it is; `None`: another task's.
    pub from: Option<u32>,
    /// Who reads it within the chain, sinks among them.
    pub to: Vec<u32>,
    /// Whether it is a late stream that nobody reads.
    pub dropped: bool,
}

/// Counts on the way to `next`.
pub struct Tap<T> {
    tapped: Tapped,
    next: BoxStage<T>,
}

impl<T> Tap<T> {
    /// Counts for these, in front of `next`.
    pub fn new(tapped: Tapped, next: BoxStage<T>) -> Self {
        Self { tapped, next }
    }

    #[inline]
    fn count(&self, batch: &Batch<T>, cx: &Context<'_>) {
        let watermark = batch.marks.last().map(|mark| mark.watermark);
        let counts = cx.counts();
        if let Some(from) = self.tapped.from.and_then(|from| counts.operator(from)) {
            let rows = batch.values.len() as u64;
            let passed = if self.tapped.dropped { &from.dropped } else { &from.records_out };
            passed.add(rows);
            if let Some(watermark) = watermark {
                from.output_watermark.set(watermark);
            }
        }
        for to in self.tapped.to.iter().filter_map(|to| counts.operator(*to)) {
            to.given(batch.values.len(), watermark);
        }
    }
}

impl<T> Stage<T> for Tap<T> {
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        self.count(&batch, cx);
        self.next.batch(batch, cx)
    }

    fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step {
        if let Signal::Latency(marker) = signal {
            let here = self.tapped.to.iter().filter_map(|to| cx.counts().operator(*to));
            // A sink's are measured where it writes.
            for to in here.filter(|to| !to.is_sink()) {
                to.measure(marker, cx.processing_time());
            }
        }
        self.next.signal(signal, cx)
    }

    fn restore(&mut self, restored: &crate::state::Restored) -> Step {
        self.next.restore(restored)
    }

    pass_on!(stateful);
}
