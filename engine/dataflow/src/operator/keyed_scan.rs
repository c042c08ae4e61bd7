//! `scan` by key: one state for each key, which therefore moves with its key group.
//! A record sees and changes the state of its own key only.
//! Without a key it is [`super::scan`]; its typed front is [`crate::stream::Keyed::scan`].

use slackwater_core::Data;
use slackwater_core::element::{Batch, Signal};
use slackwater_core::graph::Uid;
use slackwater_core::key::Key;

use super::{BoxStage, Context, OperatorError, Stage, Step, pass_on};
use crate::state::{Groups, KeyedState, Restored, StateError};

/// The name of the state: part of the savepoint format.
pub(crate) const STATE: &str = "scan";

/// Walks over the stream with a state for each key.
pub struct KeyedScan<K, S, By, F, U> {
    uid: Uid,
    key: By,
    init: S,
    f: F,
    state: KeyedState<K, S>,
    next: BoxStage<U>,
}

impl<K: Key, S: Data, By, F, U> KeyedScan<K, S, By, F, U> {
    /// Starts every key of these groups from `init`, in front of `next`.
    pub fn new(
        (uid, groups): (&Uid, Groups),
        key: By,
        (init, f): (S, F),
        next: BoxStage<U>,
    ) -> Self {
        let state = KeyedState::new(&uid.0, STATE, groups);
        Self { uid: uid.clone(), key, init, f, state, next }
    }
}

impl<T, K, S, By, F, U> Stage<T> for KeyedScan<K, S, By, F, U>
where
    K: Key,
    S: Data,
    By: Fn(&T) -> K,
    F: FnMut(&mut S, T) -> U,
{
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        let Self { uid, key, init, f, state, next } = self;
        let states = &mut *state.values();
        let step = |value| {
            let state = states.get_mut_or_insert(key(&value), || init.clone())?;
            Ok(f(state, value))
        };
        let values = batch.values.into_iter().map(step).collect::<Result<_, StateError>>();
        let values = values.map_err(|refused| OperatorError {
            operator: uid.0.clone(),
            message: refused.to_string(),
        })?;
        next.batch(Batch { times: batch.times, values, marks: batch.marks }, cx)
    }

    fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step {
        if let Signal::Barrier(_) = signal {
            cx.keep(self.state.fork()?);
        }
        self.next.signal(signal, cx)
    }

    fn restore(&mut self, restored: &Restored) -> Step {
        self.state.restore(&restored.sections)?;
        self.next.restore(restored)
    }

    pass_on!(stateful);
}
