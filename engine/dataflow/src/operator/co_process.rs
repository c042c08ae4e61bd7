//! Two streams into one operator, with one state for each key that both sides see and change.
//! A record of either side reaches the state of its own key only; which side comes first is never
//! promised, only the order within a channel. Its typed front is [`crate::stream::Connected`].

use slackwater_core::Data;
use slackwater_core::element::{Batch, Signal};
use slackwater_core::graph::Uid;
use slackwater_core::key::Key;
use slackwater_core::time::{EventTime, ProcessingTime};

use super::{BoxStage, Context, OperatorError, Progress, Step, rewrite};
use crate::packet::AnyBatch;
use crate::state::{Groups, KeyedState, Restored, StateError};
use crate::task::Chain;

/// The name of the state: part of the savepoint format.
pub(crate) const STATE: &str = "co_process";

/// What is done to the records of two connected streams, `L` on the left and `R` on the right, with
/// a state for each key.
///
/// It is cloned for every subtask, and what it keeps in itself is lost with the task: what must
/// survive belongs into [`KeyedContext::state`]. An operator that wants a clock or randomness has
/// none, so that equal records in equal order give equal results.
pub trait KeyedCoProcess<L, R>: Clone + Send + Sync + 'static {
    /// What is kept for each key.
    type State: Data + Sync;
    /// What leaves.
    type Out: Data;

    /// The state of a key of which nothing has been seen.
    fn init(&self) -> Self::State;

    /// Takes a record of the left stream.
    fn left(&mut self, record: L, cx: &mut KeyedContext<'_, Self::State, Self::Out>);

    /// Takes a record of the right stream.
    fn right(&mut self, record: R, cx: &mut KeyedContext<'_, Self::State, Self::Out>);
}

/// What an operator sees while it handles a record of a key.
#[derive(Debug)]
pub struct KeyedContext<'a, S, U> {
    /// The state of the record's key.
    pub state: &'a mut S,
    time: EventTime,
    out: &'a mut Batch<U>,
}

impl<S, U> KeyedContext<'_, S, U> {
    /// The timestamp of the record.
    pub fn time(&self) -> EventTime {
        self.time
    }

    /// Sends a record on, with the timestamp of the one that is handled. Any number of them.
    pub fn emit(&mut self, value: U) {
        self.out.push(self.time, value);
    }
}

/// The logical input of an edge that leads to the left side.
pub(crate) const LEFT: u32 = 0;
/// The logical input of an edge that leads to the right side.
pub(crate) const RIGHT: u32 = 1;

/// The head of a chain that two streams feed.
pub struct CoProcess<L, R, K, F: KeyedCoProcess<L, R>, ByL, ByR> {
    uid: Uid,
    keys: (ByL, ByR),
    f: F,
    state: KeyedState<K, F::State>,
    next: BoxStage<F::Out>,
}

impl<L, R, K, F, ByL, ByR> CoProcess<L, R, K, F, ByL, ByR>
where
    K: Key,
    F: KeyedCoProcess<L, R>,
{
    /// Starts with no key's state of these groups, in front of `next`.
    pub fn new(
        (uid, groups): (&Uid, Groups),
        keys: (ByL, ByR),
        f: F,
        next: BoxStage<F::Out>,
    ) -> Self {
        let state = KeyedState::new(&uid.0, STATE, groups);
        Self { uid: uid.clone(), keys, f, state, next }
    }

    /// Hands each record of one side with the state of its key to `f`; what that sends goes on, with
    /// every mark in its place.
    fn side<T>(
        &mut self,
        batch: Batch<T>,
        key: impl Fn(&(ByL, ByR), &T) -> K,
        mut f: impl FnMut(&mut F, T, &mut KeyedContext<'_, F::State, F::Out>),
        cx: &mut Context<'_>,
    ) -> Step {
        let Self { uid, keys, f: own, state, next } = self;
        let states = &mut *state.values();
        let mut refused: Option<StateError> = None;
        let batch = rewrite(batch, |time, record, out| {
            if refused.is_some() {
                return;
            }
            match states.get_mut_or_insert(key(keys, &record), || own.init()) {
                Ok(state) => f(own, record, &mut KeyedContext { state, time, out }),
                Err(error) => refused = Some(error),
            }
        });
        match refused {
            Some(error) => {
                Err(OperatorError { operator: uid.0.clone(), message: error.to_string() })
            }
            None if batch.is_empty() => Ok(()),
            None => next.batch(batch, cx),
        }
    }
}

impl<L, R, K, F, ByL, ByR> Chain for CoProcess<L, R, K, F, ByL, ByR>
where
    L: 'static,
    R: 'static,
    K: Key,
    F: KeyedCoProcess<L, R>,
    ByL: Fn(&L) -> K,
    ByR: Fn(&R) -> K,
{
    fn batch(&mut self, input: u32, mut batch: AnyBatch, cx: &mut Context<'_>) -> Step {
        let watermark = batch.marks_mut().last().map(|mark| mark.watermark);
        cx.counts().came_in(batch.rows());
        cx.counts().operator(0).inspect(|own| own.given(batch.rows(), watermark));
        match input {
            LEFT => self.side(*batch.downcast::<L>(), |keys, l| (keys.0)(l), F::left, cx),
            _ => self.side(*batch.downcast::<R>(), |keys, r| (keys.1)(r), F::right, cx),
        }
    }

    fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step {
        match signal {
            Signal::Barrier(_) => cx.keep(self.state.fork()?),
            Signal::Latency(marker) => {
                cx.counts().operator(0).inspect(|own| own.measure(marker, cx.processing_time()));
            }
            Signal::Idle | Signal::Active | Signal::EndOfInput => {}
        }
        self.next.signal(signal, cx)
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Result<Progress, OperatorError> {
        self.next.resume(cx)
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        self.next.next_timer()
    }

    fn on_timers(&mut self, cx: &mut Context<'_>) -> Step {
        self.next.on_timers(cx)
    }

    fn restore(&mut self, restored: &Restored) -> Step {
        self.state.restore(&restored.sections)?;
        self.next.restore(restored)
    }
}

#[cfg(test)]
mod tests;
