//! What became of a job's checkpoints and savepoints, for whoever asks: the newest of each kind.
//! Never decides, and keeps few: what a restore needs is [`super::history`]'s.
//! What the copies look like is [`crate::view`].

use std::collections::VecDeque;
use std::time::Duration;

use slackwater_core::id::CheckpointId;

use super::Coordinator;
use super::pending::Pending;
use crate::view::{CheckpointState, CheckpointView, CheckpointsView, RestoredView};

/// How many are kept.
const KEPT: usize = 10;

/// The newest checkpoints of a job.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Oldest first.
    ended: VecDeque<CheckpointView>,
    told: CheckpointsView,
}

impl Records {
    /// One is complete; `path`: where it lies, if it is a savepoint.
    pub fn completed(&mut self, now: Duration, pending: &Pending, path: &str) {
        let state = CheckpointState::Completed;
        let (ended, path) = (Some(now), path.to_owned());
        let view = CheckpointView { state, ended, path, ..pending.view() };
        self.told.completed += 1;
        match view.savepoint {
            Some(_) => self.told.last_savepoint = Some(view.clone()),
            None => self.told.last_completed = Some(view.clone()),
        }
        self.keep(view);
    }

    /// One was given up.
    pub fn failed(&mut self, now: Duration, pending: &Pending, cause: &str) {
        let state = CheckpointState::Failed;
        let (ended, cause) = (Some(now), cause.to_owned());
        let view = CheckpointView { state, ended, cause, ..pending.view() };
        self.told.failed += 1;
        self.told.last_failed = Some(view.clone());
        self.keep(view);
    }

    /// These have been subsumed.
    pub fn discarded(&mut self, checkpoints: &[CheckpointId]) {
        let last = self.told.last_completed.as_mut();
        for view in self.ended.iter_mut().chain(last) {
            view.discarded |= checkpoints.contains(&view.id);
        }
    }

    fn keep(&mut self, view: CheckpointView) {
        self.ended.push_back(view);
        if self.ended.len() > KEPT {
            self.ended.pop_front();
        }
    }
}

impl Coordinator {
    /// The checkpoints as others see them; `swept`: the job has ended, and none of them is left.
    pub fn view(&self, swept: bool) -> CheckpointsView {
        let pending = self.pending.as_ref().map(Pending::view);
        let history = pending.into_iter().chain(self.records.ended.iter().rev().cloned());
        let mut view = CheckpointsView { history: history.collect(), ..self.records.told.clone() };
        for view in view.history.iter_mut().chain(&mut view.last_completed) {
            view.discarded |= swept && view.savepoint.is_none();
        }
        view
    }

    /// An attempt is deployed that starts with this one.
    pub fn took_up(&mut self, now: Duration, checkpoint: CheckpointId) {
        let path = self.restore_point().and_then(|point| point.storage);
        self.records.told.restored += 1;
        self.records.told.last_restored = Some(RestoredView { id: checkpoint, at: now, path });
    }
}
