//! Fan-out within a chain: every branch gets every batch and every signal; and its opposite, the
//! end of a stream that nobody reads. Never reorders: branches are served in the order in which
//! the program made them. Unions need no operator, they are edges of the graph.

use slackwater_core::element::{Batch, Signal};
use slackwater_core::time::ProcessingTime;

use super::{BoxStage, Context, OperatorError, Progress, Stage, Step};
use crate::state::Restored;

/// Gives every branch its own copy.
pub struct Tee<T> {
    branches: Vec<BoxStage<T>>,
}

impl<T> Tee<T> {
    /// Feeds these branches, in this order.
    pub fn new(branches: Vec<BoxStage<T>>) -> Self {
        Self { branches }
    }
}

impl<T: Clone> Stage<T> for Tee<T> {
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        let Some((last, others)) = self.branches.split_last_mut() else { return Ok(()) };
        for branch in others {
            branch.batch(batch.clone(), cx)?;
        }
        last.batch(batch, cx)
    }

    fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step {
        self.branches.iter_mut().try_for_each(|branch| branch.signal(signal, cx))
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Result<Progress, OperatorError> {
        let mut progress = Progress::Done;
        for branch in &mut self.branches {
            if branch.resume(cx)? == Progress::More {
                progress = Progress::More;
            }
        }
        Ok(progress)
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        self.branches.iter().filter_map(|branch| branch.next_timer()).min()
    }

    fn on_timers(&mut self, cx: &mut Context<'_>) -> Step {
        self.branches.iter_mut().try_for_each(|branch| branch.on_timers(cx))
    }

    fn restore(&mut self, restored: &Restored) -> Step {
        self.branches.iter_mut().try_for_each(|branch| branch.restore(restored))
    }
}

/// The end of a stream that nobody reads: a discarded late stream, a branch without a sink.
pub struct Discard;

impl<T> Stage<T> for Discard {
    fn batch(&mut self, _: Batch<T>, _: &mut Context<'_>) -> Step {
        Ok(())
    }
    fn signal(&mut self, _: Signal, _: &mut Context<'_>) -> Step {
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
}
