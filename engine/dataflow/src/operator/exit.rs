//! The ends of a chain that need no key: to a sink, to the subtask of the same index, or to all
//! subtasks in turn. Watermarks and signals always go to every receiver; records to one.
//! By key group it is `partition`'s router; who writes what leaves is `runtime::exchange`.

use std::marker::PhantomData;

use slackwater_core::element::{Batch, Signal};
use slackwater_core::time::ProcessingTime;

use super::{Context, OperatorError, Progress, Stage, Step};
use crate::state::Restored;

/// Everything else of a stage that only sends out of a port.
macro_rules! last {
    () => {
        fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step {
            cx.emit_signal(self.port, signal);
            Ok(())
        }
        fn resume(&mut self, _: &mut Context<'_>) -> Result<Progress, OperatorError> {
            Ok(Progress::Done)
        }
        fn next_timer(&self) -> Option<ProcessingTime> {
            None
        }
        fn on_timers(&mut self, _: &mut Context<'_>) -> Step {
            Ok(())
        }
        fn restore(&mut self, _: &Restored) -> Step {
            Ok(())
        }
    };
}

/// Sends everything to the one receiver of a port.
pub struct Forward<T> {
    port: u32,
    of: PhantomData<fn(T)>,
}

impl<T> Forward<T> {
    /// Sends out of this port.
    pub fn new(port: u32) -> Self {
        Self { port, of: PhantomData }
    }
}

impl<T: Send + 'static> Stage<T> for Forward<T> {
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        cx.emit(self.port, 0, batch);
        Ok(())
    }

    last!();
}

/// Sends each batch to another receiver of a port, in turn, beginning at the subtask's own index:
/// so the first batches of many senders do not all meet at one receiver.
pub struct RoundRobin<T> {
    port: u32,
    receivers: u32,
    next: Option<u32>,
    of: PhantomData<fn(T)>,
}

impl<T> RoundRobin<T> {
    /// Sends out of this port, which has so many receivers.
    ///
    /// # Panics
    /// If it has none.
    pub fn new(port: u32, receivers: u32) -> Self {
        assert!(receivers > 0, "a port leads somewhere");
        Self { port, receivers, next: None, of: PhantomData }
    }
}

impl<T: Send + 'static> Stage<T> for RoundRobin<T> {
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        let receiver = self.next.unwrap_or(cx.task().subtask.index % self.receivers);
        // To the others the last watermark says it all: they get no row before it.
        if let Some(last) = batch.marks.last().copied() {
            for other in (0..self.receivers).filter(|other| *other != receiver) {
                cx.emit::<T>(self.port, other, Batch::of_watermark(last.watermark));
            }
        }
        if batch.rows() > 0 {
            self.next = Some((receiver + 1) % self.receivers);
        }
        cx.emit(self.port, receiver, batch);
        Ok(())
    }

    last!();
}
