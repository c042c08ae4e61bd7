//! The savepoints of one job: which are asked for, which is under way, what came of the others.
//! Never takes two for one request, and never tells of one whose completion is not durable. A
//! savepoint is triggered, collected and given up as any checkpoint is: [`super`] and [`super::parts`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use slackwater_core::checkpoint::{CheckpointMetadata, INLINE, RestorePoint};
use slackwater_core::element::BarrierKind;
use slackwater_core::fact::Fact;
use slackwater_core::id::{Attempt, CheckpointId, TriggerId};
use slackwater_core::savepoint::{Ending, SavepointStatus};

use super::Coordinator;
use super::pending::Pending;
use crate::command::{Command, Outbox};
use crate::recovery::Saved;
use crate::tasks::Tasks;

/// What a person has to know of a savepoint in the memory of a job manager.
pub const LOST_WITH_IT: &str =
    "it is kept in the memory of the job manager, and is lost with it: give a folder to keep it";

/// A savepoint that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The request.
    pub trigger: TriggerId,
    /// Its own folder, or its place in the job manager's memory.
    pub path: String,
    /// Whether it stays in the job manager's memory.
    pub inline: bool,
    /// How the job is to end with it.
    pub ending: Option<Ending>,
}

impl Asked {
    /// What its barrier asks of those that it passes.
    pub fn barrier(&self) -> BarrierKind {
        match self.ending {
            None => BarrierKind::Savepoint,
            Some(ending) => BarrierKind::StopWithSavepoint { drain: ending == Ending::Drain },
        }
    }

    /// Where tasks put their state.
    pub fn storage(&self) -> String {
        if self.inline { INLINE.to_owned() } else { self.path.clone() }
    }
}

/// The savepoints of a job, as far as its job manager knows.
#[derive(Debug, Default)]
pub struct Savepoints {
    /// In the order in which they were asked for.
    waiting: VecDeque<Asked>,
    outcomes: BTreeMap<TriggerId, SavepointStatus>,
    /// Complete: what two-phase sinks have prepared for them stays.
    complete: Vec<CheckpointId>,
    /// With which the job was stopped.
    last: Option<(String, Box<CheckpointMetadata>)>,
    /// Those that stay in the memory of this job manager, by their place in it.
    kept: BTreeMap<String, Box<CheckpointMetadata>>,
    /// Folders of those that were given up since the last look: tasks may write their parts yet.
    litter: Vec<String>,
    /// All of them.
    given_up: Vec<String>,
}

impl Savepoints {
    /// The next that is asked for.
    pub fn take(&mut self) -> Option<Asked> {
        self.waiting.pop_front()
    }

    /// Whether one waits for its turn.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What lies at a place in the memory of this job manager.
    pub fn kept(&self, path: &str) -> Option<&CheckpointMetadata> {
        self.kept.get(path).map(|metadata| &**metadata)
    }

    /// Notes that it is complete.
    fn complete(&mut self, metadata: Box<CheckpointMetadata>, (trigger, path): (TriggerId, &str)) {
        let inline = path.starts_with("jobmanager://");
        let warning = if inline { LOST_WITH_IT.to_owned() } else { String::new() };
        let status = SavepointStatus::Completed { path: path.to_owned(), warning };
        self.outcomes.insert(trigger, status);
        self.complete.push(metadata.checkpoint);
        if metadata.ending.is_some() {
            self.last = Some((path.to_owned(), metadata));
        }
    }
}

impl Coordinator {
    /// Takes a request; one that is known already changes nothing.
    pub fn ask(&mut self, asked: Asked) {
        let known = self.savepoint_status(asked.trigger).is_some();
        if !known {
            self.savepoints.waiting.push_back(asked);
        }
    }

    /// Whether the job is about to end: by a savepoint, or because everything has been read.
    pub fn is_ending(&self, tasks: &Tasks) -> bool {
        let stops = |asked: &Asked| asked.ending.is_some();
        let savepoints = &self.savepoints;
        let pending = self.pending.as_ref();
        savepoints.last.is_some()
            || savepoints.waiting.iter().any(stops)
            || pending.and_then(|pending| pending.savepoint.as_ref()).is_some_and(stops)
            || self.round.as_ref().is_some_and(|round| round.is_over(&self.plan.graph, tasks))
    }

    /// How far a savepoint is, if it was asked for.
    pub fn savepoint_status(&self, trigger: TriggerId) -> Option<SavepointStatus> {
        let Savepoints { waiting, outcomes, .. } = &self.savepoints;
        let is = |asked: &Asked| asked.trigger == trigger;
        let pending = self.pending.as_ref().and_then(|pending| pending.savepoint.as_ref());
        if waiting.iter().any(is) || pending.is_some_and(is) {
            return Some(SavepointStatus::InProgress);
        }
        outcomes.get(&trigger).cloned()
    }

    /// The savepoints in the memory of this job manager, and what became of the others.
    pub fn savepoints(&self) -> &Savepoints {
        &self.savepoints
    }

    /// Savepoints that are complete: what two-phase sinks have prepared for them stays.
    pub fn spared(&self) -> Vec<CheckpointId> {
        self.savepoints.complete.clone()
    }

    /// Takes over the savepoints that a job's log names. If the leader before may have died in the
    /// middle of it, those whose folder lacks its metadata are put there again.
    pub fn take_over_savepoints(&mut self, saved: &[Saved], publish: bool, out: &mut Outbox) {
        for Saved { trigger, path, metadata } in saved {
            self.savepoints.complete(metadata.clone(), (*trigger, path));
            if publish && !path.starts_with("jobmanager://") {
                let (path, metadata) = (path.clone(), metadata.clone());
                out.push(Command::Publish { job: self.plan.job, path, metadata });
            }
        }
    }

    /// With what a job starts again that was stopped with a savepoint: with that, or with what it
    /// completed behind it, and at its end.
    pub(super) fn halted(&self) -> Option<RestorePoint> {
        let (path, metadata) = self.savepoints.last.as_ref()?;
        let own = self.history.last_completed().is_some_and(|own| own > metadata.checkpoint);
        let point = match own {
            true => self.history.restore_point()?,
            false => {
                RestorePoint { storage: Some(path.clone()), ..RestorePoint::from(&**metadata) }
            }
        };
        Some(RestorePoint { halted: true, ..point })
    }

    /// Every part of a savepoint is in: it may be made durable.
    pub(super) fn save(&self, now: Duration, pending: &Pending, asked: &Asked, out: &mut Outbox) {
        let metadata = Box::new(pending.metadata(&self.plan));
        let took = now.saturating_sub(pending.triggered);
        let Asked { trigger, path, inline, .. } = asked.clone();
        let (job, ids_below) = (self.plan.job, super::Ids::reach_after(pending.checkpoint));
        out.push(Command::Save { job, trigger, path, inline, metadata, took, ids_below });
    }

    /// A savepoint is complete, and lies where it was asked for.
    pub(super) fn saved(
        &mut self,
        now: Duration,
        (pending, asked): (Pending, Asked),
        tasks: &Tasks,
        out: &mut Outbox,
    ) {
        let Pending { checkpoint, attempt, .. } = pending;
        self.records.completed(now, &pending, &asked.path);
        let job = self.plan.job;
        self.ids.allow(super::Ids::reach_after(checkpoint));
        let metadata = Box::new(pending.metadata(&self.plan));
        if asked.inline {
            self.savepoints.kept.insert(asked.path.clone(), metadata.clone());
        }
        self.savepoints.complete(metadata, (asked.trigger, &asked.path));
        let (path, bytes) = (asked.path, pending.times.bytes);
        out.tell(Fact::SavepointCompleted { job, attempt, checkpoint, path, bytes });
        let lives = self.round.as_mut().filter(|round| round.attempt() == attempt);
        let Some(round) = lives else { return };
        round.saved(self.config.min_pause, now, asked.ending.is_some());
        if asked.ending.is_some() {
            self.notify((attempt, checkpoint, true), tasks, out);
        }
    }

    /// A savepoint will never be complete.
    pub(super) fn unsaved(
        &mut self,
        (checkpoint, attempt): (CheckpointId, Attempt),
        (asked, cause): (Asked, &str),
        out: &mut Outbox,
    ) {
        let (job, trigger, cause) = (self.plan.job, asked.trigger, cause.to_owned());
        let failed = SavepointStatus::Failed { cause: cause.clone() };
        self.savepoints.outcomes.insert(trigger, failed);
        out.tell(Fact::SavepointFailed { job, attempt, checkpoint, trigger, cause });
        if !asked.inline && checkpoint > CheckpointId::default() {
            out.push(Command::Unsave { job, paths: vec![asked.path.clone()] });
            // Tasks may write their parts of it yet: it is looked for once more.
            self.savepoints.given_up.push(asked.path.clone());
            self.savepoints.litter.push(asked.path);
        }
    }

    /// None of those that wait will be taken.
    pub(super) fn give_up_waiting(&mut self, attempt: Attempt, cause: &str, out: &mut Outbox) {
        while let Some(asked) = self.savepoints.take() {
            self.unsaved((CheckpointId::default(), attempt), (asked, cause), out);
        }
    }

    /// Deletes what tasks may have written for savepoints that were given up.
    pub(super) fn tidy_up_savepoints(&mut self, out: &mut Outbox) {
        let paths = std::mem::take(&mut self.savepoints.litter);
        if !paths.is_empty() {
            out.push(Command::Unsave { job: self.plan.job, paths });
        }
    }

    /// The same of a job that has ended, whenever that was.
    pub(crate) fn sweep_savepoints(&self, out: &mut Outbox) {
        let paths = self.savepoints.given_up.clone();
        if !paths.is_empty() {
            out.push(Command::Unsave { job: self.plan.job, paths });
        }
    }
}
