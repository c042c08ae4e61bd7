//! The coordinator of one job's checkpoints: when one starts, when it is complete, what is kept.
//! Never tells anyone of a checkpoint whose completion is not durable, and never uses an id twice.
//! Which attempt runs is [`crate::job`]'s; the parts of a pending one are [`pending`]'s.

pub mod history;
mod parts;
pub mod pending;
mod record;
pub mod savepoints;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::checkpoint::{
    CheckpointConfig, CheckpointMetadata, CheckpointTimes, Contents, RestorePoint, StateHandle,
};
use slackwater_core::element::{Barrier, BarrierKind};
use slackwater_core::fact::{Fact, TaskStatus};
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask};
use slackwater_core::joblog::Start;
use slackwater_core::program::Program;

use self::history::History;
use self::pending::Pending;
use self::record::Records;
use self::savepoints::Savepoints;
use self::schedule::{Due, Ids, Round};
use crate::command::{Command, Outbox};
use crate::tasks::Tasks;

/// What a job is, for as long as it is led by one job manager.
#[derive(Debug)]
pub struct Plan {
    /// Its name for ever.
    pub job: JobId,
    /// The leadership term.
    pub epoch: JobEpoch,
    /// What it runs.
    pub program: Program,
    /// Its shape.
    pub graph: JobGraph,
}

/// What a task says when its part of a checkpoint is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledge {
    /// Which execution.
    pub task: Execution,
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// Where its state is.
    pub state: StateHandle,
    /// What it holds, by name.
    pub contents: Contents,
    /// What it took.
    pub times: CheckpointTimes,
}

/// What a task says when it cannot give its part of a checkpoint. The task lives on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decline {
    /// Which execution.
    pub task: Execution,
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// Why.
    pub cause: String,
}

/// How a job's checkpoints fared under this job manager.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How many completed.
    pub completed: u64,
    /// How many were aborted.
    pub failed: u64,
    /// From the trigger to the completion of the last.
    pub last_duration: Duration,
    /// What the parts of the last took: the longest of each, and all their bytes.
    pub last: CheckpointTimes,
}

/// Decides over the checkpoints of one job.
#[derive(Debug)]
pub struct Coordinator {
    plan: Arc<Plan>,
    config: CheckpointConfig,
    ids: Ids,
    /// The attempt that is deployed; `None` between two.
    round: Option<Round>,
    pending: Option<Pending>,
    history: History,
    savepoints: Savepoints,
    failed_in_row: u32,
    exhausted: Option<String>,
    statistics: Statistics,
    records: Records,
}

impl Coordinator {
    /// The coordinator of a job that uses ids from `first` on. `initial`: where it starts, if not
    /// at its beginning. `None` if the job takes no checkpoints.
    pub fn new(plan: &Arc<Plan>, first: CheckpointId, initial: Option<Start>) -> Option<Self> {
        let config = plan.graph.checkpoints.clone()?;
        let two_phase = plan.graph.has_two_phase_sink();
        Some(Self {
            plan: Arc::clone(plan),
            history: History::new(config.retained, two_phase, initial),
            config,
            ids: Ids::from(first),
            round: None,
            pending: None,
            savepoints: Savepoints::default(),
            failed_in_row: 0,
            exhausted: None,
            statistics: Statistics::default(),
            records: Records::default(),
        })
    }

    /// Takes over the complete checkpoints that a job's log names, oldest first, each as it was
    /// read, or why it could not be.
    ///
    /// # Errors
    /// If the job cannot go on with any of them: why it has to wait for a person.
    pub fn take_over(
        &mut self,
        complete: Vec<(CheckpointId, Result<CheckpointMetadata, String>)>,
        attempt: Attempt,
        out: &mut Outbox,
    ) -> Result<(), String> {
        let mut unreadable = Vec::new();
        for (checkpoint, read) in complete {
            match read {
                // Those that go at once were subsumed under the job manager before.
                Ok(metadata) => drop(self.history.add(metadata)),
                Err(cause) => unreadable.push((checkpoint, cause)),
            }
        }
        let readable = self.history.last_completed();
        let mut verdict = Ok(());
        for (checkpoint, cause) in unreadable.iter().rev() {
            self.tell_unreadable(attempt, *checkpoint, cause, out);
            // One that is older than what can be read is not needed.
            if readable.is_none_or(|readable| readable < *checkpoint) {
                verdict = verdict.and(self.history.discredit(*checkpoint, cause));
            }
        }
        verdict
    }

    /// Begins an attempt that is about to be deployed.
    ///
    /// # Panics
    /// If a checkpoint may still complete: with which one the attempt starts is not known then.
    pub fn begin(&mut self, attempt: Attempt) {
        assert!(self.pending.is_none(), "an attempt starts when no checkpoint is pending");
        self.round = Some(Round::new(attempt));
        self.failed_in_row = 0;
    }

    /// Every task of the attempt runs now: the interval begins.
    pub fn run(&mut self, now: Duration) {
        let first = self.config.interval.map(|interval| now + interval);
        if let Some(round) = &mut self.round {
            round.run(first);
        }
    }

    /// Ends the attempt: what is pending is aborted, unless it may be complete already.
    pub fn stop(&mut self, cause: &str, out: &mut Outbox) {
        let attempt = self.round.take().map_or(Attempt(0), |round| round.attempt());
        self.exhausted = None;
        self.give_up_waiting(attempt, cause, out);
        if self.pending.as_ref().is_some_and(|pending| !pending.writing) {
            self.abort(cause, None, out);
        }
    }

    /// Lets time go by: a pending one that takes too long is aborted, one that is due is triggered.
    pub fn advance(&mut self, now: Duration, tasks: &Tasks, out: &mut Outbox) {
        if let Some(missing) = self.overdue(now) {
            let timeout = self.config.timeout;
            let cause = format!("not complete after {timeout:?}: no part of {missing}");
            self.fail(now, &cause, tasks, out);
        }
        let up = |status| matches!(status, TaskStatus::Running | TaskStatus::Finished);
        if self.pending.is_none() && self.savepoints.is_waiting() && tasks.all(up) {
            self.trigger_savepoint(now, tasks, out);
        }
        let Some(round) = &mut self.round else { return };
        let due = round.look(self.pending.is_some(), &self.plan.graph, tasks);
        if due.is_some_and(|due| due.at <= now) && self.exhausted.is_none() && tasks.all(up) {
            self.trigger(now, due.is_some_and(|due| due.last), tasks, out);
        }
    }

    /// When [`Coordinator::advance`] has something to do, if nothing else happens.
    pub fn wakes_at(&self) -> Option<Duration> {
        let due = self.round.as_ref().and_then(Round::due).filter(|_| !self.ids.is_waiting());
        self.overdue_at().or(due.map(|due: Due| due.at))
    }

    /// Takes out a checkpoint that a restore found damaged.
    ///
    /// # Errors
    /// As [`History::discredit`].
    pub fn discredit(
        &mut self,
        attempt: Attempt,
        (checkpoint, cause): (CheckpointId, &str),
        out: &mut Outbox,
    ) -> Result<(), String> {
        self.tell_unreadable(attempt, checkpoint, cause, out);
        self.history.discredit(checkpoint, cause)
    }

    /// More ids that may be used, if some are needed: to be written to the log first.
    pub fn wants_ids(&mut self) -> Option<CheckpointId> {
        self.ids.ask()
    }

    /// How far ids may be used once the entry that says so is durable.
    pub fn ids_below(&self) -> CheckpointId {
        self.ids.reach()
    }

    /// Ids below this one may be used: it is durable.
    pub fn allow_ids(&mut self, below: CheckpointId) {
        self.ids.allow(below);
    }

    /// With what the next attempt starts; `None`: at its beginning.
    pub fn restore_point(&self) -> Option<RestorePoint> {
        self.halted().or_else(|| self.history.restore_point())
    }

    /// Whether a checkpoint may be complete or not: until that is known, nothing may start with it,
    /// nor without it.
    pub fn is_writing(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.writing)
    }

    /// Why the job has to fail, if too many checkpoints in a row have. Asked once.
    pub fn take_exhausted(&mut self) -> Option<String> {
        self.exhausted.take()
    }

    /// The newest complete one.
    pub fn last_completed(&self) -> Option<CheckpointId> {
        self.history.last_completed()
    }

    /// The one that is not complete yet.
    pub fn pending(&self) -> Option<CheckpointId> {
        self.pending.as_ref().map(|pending| pending.checkpoint)
    }

    /// How they fared.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }
}

impl Coordinator {
    fn trigger(&mut self, now: Duration, last: bool, tasks: &Tasks, out: &mut Outbox) {
        assert!(self.pending.is_none(), "one checkpoint at a time");
        let Some(checkpoint) = self.ids.take() else { return };
        let (job, attempt) = (self.plan.job, tasks.attempt);
        self.pending = Some(Pending::new(checkpoint, now, (last, None), tasks));
        if let Some(round) = &mut self.round {
            round.triggered(now, self.config.interval);
        }
        out.tell(Fact::CheckpointTriggered { job, attempt, checkpoint, last });
        self.send_barrier(Barrier { checkpoint, kind: BarrierKind::Checkpoint }, None, tasks, out);
    }

    fn trigger_savepoint(&mut self, now: Duration, tasks: &Tasks, out: &mut Outbox) {
        let Some(checkpoint) = self.ids.take() else { return };
        let Some(asked) = self.savepoints.take() else { return };
        let (job, attempt, trigger, ending) =
            (self.plan.job, tasks.attempt, asked.trigger, asked.ending);
        let barrier = Barrier { checkpoint, kind: asked.barrier() };
        let storage = asked.storage();
        self.pending = Some(Pending::new(checkpoint, now, (false, Some(asked)), tasks));
        out.tell(Fact::SavepointTriggered { job, attempt, checkpoint, trigger, ending });
        self.send_barrier(barrier, Some(storage), tasks, out);
    }

    /// Lets a barrier start at the sources; where a savepoint goes, every task manager is told.
    fn send_barrier(
        &self,
        barrier: Barrier,
        savepoint: Option<String>,
        tasks: &Tasks,
        out: &mut Outbox,
    ) {
        let (job, attempt) = (self.plan.job, tasks.attempt);
        let is_source = |subtask: &Subtask| self.plan.graph.inputs(subtask.vertex).next().is_none();
        for (task_manager, mut subtasks) in tasks.live_by_host() {
            subtasks.retain(is_source);
            if !subtasks.is_empty() || savepoint.is_some() {
                let savepoint = savepoint.clone();
                out.push(Command::Trigger {
                    task_manager,
                    job,
                    attempt,
                    barrier,
                    subtasks,
                    savepoint,
                });
            }
        }
    }

    /// Aborts the pending one, and counts it.
    fn fail(&mut self, now: Duration, cause: &str, tasks: &Tasks, out: &mut Outbox) {
        let Some(checkpoint) = self.pending() else { return };
        if let Some(round) = &mut self.round {
            round.aborted(self.config.min_pause, now);
        }
        let is_savepoint = self.pending.as_ref().is_some_and(|own| own.savepoint.is_some());
        self.abort(cause, Some(tasks), out);
        if is_savepoint {
            // That a person's folder cannot be written to is no fault of the job.
            return;
        }
        self.failed_in_row += 1;
        let (failed, tolerated) = (self.failed_in_row, self.config.tolerated_failures);
        if failed > tolerated {
            let cause = format!(
                "checkpoint {checkpoint} failed: {cause} ({failed} in a row, {tolerated} tolerated)"
            );
            self.exhausted = Some(cause);
        }
    }

    /// Aborts the pending one; tells `tasks` that align for it, if they live on.
    fn abort(&mut self, cause: &str, tasks: Option<&Tasks>, out: &mut Outbox) {
        let Some(pending) = self.pending.take() else { return };
        assert!(!pending.writing, "what may be complete is not ours to abort");
        self.records.failed(out.now(), &pending, cause);
        let (job, attempt, checkpoint) = (self.plan.job, pending.attempt, pending.checkpoint);
        if pending.savepoint.is_none() {
            self.statistics.failed += 1;
            let cause = cause.to_owned();
            out.tell(Fact::CheckpointAborted { job, attempt, checkpoint, cause });
        }
        let hosts = tasks.map(Tasks::live_by_host).into_iter().flatten();
        out.extend(hosts.map(|(task_manager, _)| Command::AbortCheckpoint {
            task_manager,
            job,
            attempt,
            checkpoint,
        }));
        if let Some(asked) = pending.savepoint {
            return self.unsaved((checkpoint, attempt), (asked, cause), out);
        }
        out.push(Command::Discard { job, checkpoints: vec![checkpoint] });
        // Tasks may write their parts of it yet: it is looked for once more.
        self.history.litter(checkpoint);
    }

    /// Which parts are missing when it takes too long.
    fn overdue(&self, now: Duration) -> Option<String> {
        let late = self.overdue_at().is_some_and(|at| at <= now);
        self.pending.as_ref().filter(|_| late).map(Pending::missing)
    }

    fn overdue_at(&self) -> Option<Duration> {
        let pending = self.pending.as_ref().filter(|pending| !pending.writing)?;
        Some(pending.triggered.saturating_add(self.config.timeout))
    }

    fn tell_unreadable(
        &self,
        attempt: Attempt,
        checkpoint: CheckpointId,
        cause: &str,
        out: &mut Outbox,
    ) {
        let (job, cause) = (self.plan.job, cause.to_owned());
        out.tell(Fact::CheckpointUnreadable { job, attempt, checkpoint, cause });
    }
}
