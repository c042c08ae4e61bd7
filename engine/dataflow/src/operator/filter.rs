//! `filter`: passes the records that a predicate likes, and every watermark.
//! Never counts what it leaves out: that is the program's wish, not a loss.
//! Its typed front is [`crate::stream::Stream::filter`].

use slackwater_core::element::Batch;

use super::{BoxStage, Context, Stage, Step, pass_on, rewrite};

/// Keeps the records for which a predicate holds.
pub struct Filter<F, T> {
    keep: F,
    next: BoxStage<T>,
}

impl<F, T> Filter<F, T> {
    /// Keeps what `keep` likes, in front of `next`.
    pub fn new(keep: F, next: BoxStage<T>) -> Self {
        Self { keep, next }
    }
}

impl<T, F: FnMut(&T) -> bool> Stage<T> for Filter<F, T> {
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        let kept = rewrite(batch, |time, value, out| {
            if (self.keep)(&value) {
                out.push(time, value);
            }
        });
        if kept.is_empty() { Ok(()) } else { self.next.batch(kept, cx) }
    }

    pass_on!();
}
