//! `scan` without a key: one state for the whole operator, which therefore runs as one subtask.
//! The state is the operator's own; nothing else reads or changes it between two records.
//! By key it is [`super::keyed_scan`]; its typed front is [`crate::stream::Stream::scan`].

use slackwater_core::Data;
use slackwater_core::element::{Batch, Signal};
use slackwater_core::graph::Uid;

use super::{BoxStage, Context, Stage, Step, pass_on};
use crate::state::{Restored, SectionReader, SectionWriter, StateName};

/// The name of the state: part of the savepoint format.
pub(crate) const STATE: &str = "scan";
/// The one item of the state.
const ITEM: u32 = 0;

/// Walks over the stream with one state.
pub struct Scan<S, F, U> {
    name: StateName,
    state: S,
    f: F,
    next: BoxStage<U>,
}

impl<S, F, U> Scan<S, F, U> {
    /// Starts from `state`, in front of `next`.
    pub fn new(uid: &Uid, state: S, f: F, next: BoxStage<U>) -> Self {
        Self { name: StateName::new(&uid.0, STATE), state, f, next }
    }
}

impl<T, U, S: Data, F: FnMut(&mut S, T) -> U> Stage<T> for Scan<S, F, U> {
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        let Self { state, f, next, .. } = self;
        let values = batch.values.into_iter().map(|value| f(state, value)).collect();
        next.batch(Batch { times: batch.times, values, marks: batch.marks }, cx)
    }

    fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step {
        if let Signal::Barrier(_) = signal {
            let writer = SectionWriter::list(self.name.clone())?;
            cx.keep(Box::new(vec![writer.write_item(ITEM, &self.state)?].into_iter()));
        }
        self.next.signal(signal, cx)
    }

    fn restore(&mut self, restored: &Restored) -> Step {
        let reader = SectionReader::list(self.name.clone())?;
        let read = reader.read_items(&restored.sections, |item| item == ITEM)?;
        if let Some(state) = read.into_values().next() {
            self.state = state;
        }
        self.next.restore(restored)
    }

    pass_on!(stateful);
}
