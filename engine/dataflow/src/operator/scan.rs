//! `scan` without a key: one state for the whole operator, which therefore runs as one subtask.
//! The state is the operator's own; nothing else reads or changes it between two records.
//! By key it is [`super::keyed_scan`]; its typed front is [`crate::stream::Stream::scan`].

use slackwater_core::element::Batch;

use super::{BoxStage, Context, Stage, Step, pass_on};

/// Walks over the stream with one state.
pub struct Scan<S, F, U> {
    state: S,
    f: F,
    next: BoxStage<U>,
}

impl<S, F, U> Scan<S, F, U> {
    /// Starts from `state`, in front of `next`.
    pub fn new(state: S, f: F, next: BoxStage<U>) -> Self {
        Self { state, f, next }
    }
}

impl<T, U, S, F: FnMut(&mut S, T) -> U> Stage<T> for Scan<S, F, U> {
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        let Self { state, f, next } = self;
        let values = batch.values.into_iter().map(|value| f(state, value)).collect();
        next.batch(Batch { times: batch.times, values, marks: batch.marks }, cx)
    }

    pass_on!();
}
