//! `map`: one record in, one record out, timestamps and watermarks untouched.
//! Holds no state and never looks at time.
//! Its typed front is [`crate::stream::Stream::map`].

use slackwater_core::element::Batch;

use super::{BoxStage, Context, Stage, Step, pass_on};

/// Applies a function to every record.
pub struct Map<F, U> {
    f: F,
    next: BoxStage<U>,
}

impl<F, U> Map<F, U> {
    /// Maps with `f`, in front of `next`.
    pub fn new(f: F, next: BoxStage<U>) -> Self {
        Self { f, next }
    }
}

impl<T, U, F: FnMut(T) -> U> Stage<T> for Map<F, U> {
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        let values = batch.values.into_iter().map(&mut self.f).collect();
        self.next.batch(Batch { times: batch.times, values, marks: batch.marks }, cx)
    }

    pass_on!();
}
