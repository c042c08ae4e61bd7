//! The head of a chain: gives a batch its type back and counts it in.
//! Decides nothing: order and watermarks were settled by the gate or the source in front of it.
//! The other end of a chain is [`super::exit`].

use slackwater_core::element::Signal;
use slackwater_core::time::ProcessingTime;

use super::{BoxStage, Context, OperatorError, Progress, Step};
use crate::packet::AnyBatch;
use crate::state::Restored;
use crate::task::Chain;

/// The way into a chain of `T`s.
pub struct Entry<T> {
    head: BoxStage<T>,
}

impl<T> Entry<T> {
    /// The way into `head`.
    pub fn new(head: BoxStage<T>) -> Self {
        Self { head }
    }
}

impl<T: 'static> Chain for Entry<T> {
    fn batch(&mut self, _input: u32, batch: AnyBatch, cx: &mut Context<'_>) -> Step {
        cx.counts().came_in(batch.rows());
        self.head.batch(*batch.downcast(), cx)
    }

    fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step {
        self.head.signal(signal, cx)
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Result<Progress, OperatorError> {
        self.head.resume(cx)
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        self.head.next_timer()
    }

    fn on_timers(&mut self, cx: &mut Context<'_>) -> Step {
        self.head.on_timers(cx)
    }

    fn restore(&mut self, restored: &Restored) -> Step {
        self.head.restore(restored)
    }
}
