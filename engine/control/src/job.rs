//! One job: its states, their legal exits, its tasks and its restarts.
//! A dead attempt's messages are ignored, and told as facts. A wait for slots is no failure.
//! Its checkpoints are [`crate::checkpoint`]; who owns the slots and all jobs, [`crate::cluster`].

mod lasting;
mod settling;
mod snapshots;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus, TaskStatus};
use slackwater_core::id::{Attempt, CheckpointId, Execution, Subtask, TaskManagerId, WorkerId};
use slackwater_core::joblog::LogEvent;

pub use self::lasting::Complete;
use self::lasting::Lasting;
use self::settling::Settling;
pub use self::snapshots::RestoreFailed;
use self::told::Life;
use crate::checkpoint::{Coordinator, Plan};
use crate::command::{Command, Outbox, Placement};
use crate::restart::RestartBudget;
use crate::tasks::{Tasks, is_over};

/// As what a new leader may find a job: waiting, cut short or ended.
const FOUND: &[JobStatus] = {
    use JobStatus::*;
    &[Scheduling, Restarting, Canceled, Failed, Finished]
};

/// Every state and where it may lead.
pub const EXITS: &[(JobStatus, &[JobStatus])] = &[
    (JobStatus::Created, FOUND),
    (JobStatus::Scheduling, &[JobStatus::Deploying, JobStatus::Cancelling, JobStatus::Canceled]),
    (JobStatus::Deploying, &[JobStatus::Running, JobStatus::Failing, JobStatus::Cancelling]),
    (JobStatus::Running, &[JobStatus::Finished, JobStatus::Failing, JobStatus::Cancelling]),
    (JobStatus::Failing, &[JobStatus::Restarting, JobStatus::Failed, JobStatus::Cancelling]),
    (
        JobStatus::Restarting,
        &[JobStatus::Scheduling, JobStatus::Cancelling, JobStatus::Canceled, JobStatus::Failed],
    ),
    (JobStatus::Cancelling, &[JobStatus::Canceled]),
    (JobStatus::Canceled, &[]),
    (JobStatus::Failed, &[]),
    (JobStatus::Finished, &[]),
];

fn may_go(from: JobStatus, to: JobStatus) -> bool {
    EXITS.iter().any(|(state, exits)| *state == from && exits.contains(&to))
}

/// What a task manager says of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which execution.
    pub task: Execution,
    /// Its new state.
    pub status: TaskStatus,
    /// Why it failed; empty otherwise.
    pub cause: String,
    /// Whether a restart would fail the same way.
    pub fatal: bool,
}

/// What the machine wants done by its owner after a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    Nothing,
    /// Every task is over: give the slots back.
    ReleaseSlots,
}

/// Deployments that wait until the log knows of the attempt.
#[derive(Debug)]
struct Held {
    restore: Option<CheckpointId>,
    deployments: Vec<Command>,
}

/// A job's state machine.
#[derive(Debug)]
pub struct Job {
    plan: Arc<Plan>,
    submitted: Duration,
    status: JobStatus,
    /// The end that is being written to the log: nothing changes it.
    ending: Option<JobStatus>,
    tasks: Tasks,
    held: Option<Held>,
    budget: RestartBudget,
    restarts: u32,
    /// The verdict over the failure in hand: how long to wait before the restart, if there is one.
    delay: Option<Duration>,
    fatal: bool,
    cause: String,
    life: Life,
    /// In RESTARTING: not before this.
    not_before: Duration,
    /// Task managers of the job manager before this one, which may still run tasks of the job.
    awaited: BTreeSet<TaskManagerId>,
    /// Task managers that were lost with tasks of the job and have not come back: they may stand
    /// still, and write when they go on, whatever has become of the job by then.
    strays: BTreeSet<TaskManagerId>,
    /// Cancelled under the job manager before this one, which did not live to see the end.
    cancelled: bool,
    settling: Settling,
    /// In CANCELLING: not longer than this.
    settle_until: Duration,
    /// Since when every task has been running.
    running_since: Option<Duration>,
    coordinator: Option<Coordinator>,
    lasting: BTreeMap<u64, Lasting>,
    tickets: u64,
}

impl Job {
    fn new(plan: Arc<Plan>, now: Duration, attempt: Attempt, failures: u32) -> Self {
        Self {
            submitted: now,
            status: JobStatus::Created,
            ending: None,
            tasks: Tasks::none(plan.job, plan.epoch, attempt),
            held: None,
            budget: RestartBudget::new(plan.graph.restart, failures),
            restarts: 0,
            delay: None,
            fatal: false,
            cause: String::new(),
            life: Life::from(now),
            not_before: Duration::ZERO,
            awaited: BTreeSet::new(),
            strays: BTreeSet::new(),
            cancelled: false,
            settling: Settling::No,
            settle_until: Duration::ZERO,
            running_since: None,
            coordinator: None,
            lasting: BTreeMap::new(),
            tickets: 0,
            plan,
        }
    }

    /// What it is.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its state.
    pub fn status(&self) -> JobStatus {
        self.status
    }

    /// When it wants to be asked again, if it waits for time to go by.
    pub fn wakes_at(&self) -> Option<Duration> {
        match self.status {
            _ if self.ending.is_some() => None,
            JobStatus::Restarting => Some(self.not_before),
            JobStatus::Cancelling => self.settles_at(),
            JobStatus::Running => self.coordinator.as_ref().and_then(Coordinator::wakes_at),
            _ => None,
        }
    }

    /// Lets time go by: a restart that is due, a checkpoint that is due or overdue.
    pub fn advance(&mut self, now: Duration, out: &mut Outbox) -> Wish {
        if self.ending.is_some() {
            return Wish::Nothing;
        }
        if self.status == JobStatus::Restarting && now >= self.not_before {
            self.awaited.clear();
            if self.cancelled {
                return self.cancel_again(now, out);
            }
            self.go(JobStatus::Scheduling, out);
        }
        if self.status == JobStatus::Cancelling && self.settling != Settling::No {
            return self.advance_cancelling(now, out);
        }
        self.advance_checkpoints(now, out)
    }

    /// Whether it waits for slots and could use them.
    pub fn wants_slots(&self) -> bool {
        let writing = self.coordinator.as_ref().is_some_and(Coordinator::is_writing);
        let waits = match self.status {
            JobStatus::Cancelling => self.settling == Settling::Wanted,
            status => status == JobStatus::Scheduling,
        };
        waits && self.ending.is_none() && !writing
    }

    /// Takes the next attempt, placed like this. The deployments follow once the log knows of it.
    ///
    /// # Panics
    /// Unless the job wants slots.
    pub fn deploy(&mut self, placement: &[Placement], out: &mut Outbox) {
        assert!(self.wants_slots(), "a job is deployed when it waits for slots");
        self.tasks.begin(out.now(), placement);
        let attempt = self.tasks.attempt;
        let restore = self.start(out).map(Box::new);
        let ids_below = self.coordinator.as_mut().map_or(CheckpointId(0), |coordinator| {
            coordinator.begin(attempt);
            coordinator.ids_below()
        });
        let mut by_worker = BTreeMap::<WorkerId, Vec<Subtask>>::new();
        for place in placement {
            by_worker.entry(place.worker.clone()).or_default().push(place.subtask);
        }
        let deploy = |(worker, subtasks)| Command::Deploy {
            worker,
            job: self.plan.job,
            attempt,
            program: self.plan.program.clone(),
            checkpoints: self.plan.graph.checkpoints.clone(),
            restore: restore.clone(),
            spared: self.coordinator.as_ref().map(Coordinator::spared).unwrap_or_default(),
            placement: placement.to_vec(),
            subtasks,
        };
        let deployments = by_worker.into_iter().map(deploy).collect();
        let begun_with = restore.filter(|point| !point.is_beginning());
        self.held = Some(Held { restore: begun_with.map(|point| point.checkpoint), deployments });
        let (task_managers, failures) = (self.tasks.hosts(), self.budget.failures());
        let event = LogEvent::Deployed { attempt, task_managers, failures, ids_below };
        self.last(event, Lasting::Deployment { attempt, ids_below }, out);
    }

    /// Takes a report of a task. One of another attempt or term changes nothing and is told.
    pub fn report(&mut self, now: Duration, report: &Report, out: &mut Outbox) -> Wish {
        let Report { task, status, cause, fatal } = report;
        if let Some(cause) = self.refuses(task) {
            let message = format!("task {task} {status}");
            out.tell(Fact::MessageFenced { message, cause });
            return Wish::Nothing;
        }
        if !self.tasks.take(now, task.subtask, *status) {
            return Wish::Nothing;
        }
        let runs = matches!(self.status, JobStatus::Deploying | JobStatus::Running);
        match status {
            TaskStatus::Failed => {
                self.life.blame(task.subtask);
                self.fail(now, cause, *fatal, out)
            }
            // A job of which a part is gone would run for ever and never finish.
            TaskStatus::Canceled if runs => {
                let cause = format!("task {task} was canceled and nobody asked for it");
                self.fail(now, &cause, *fatal, out)
            }
            TaskStatus::Finished => {
                if let Some(coordinator) = &mut self.coordinator {
                    coordinator.task_finished(task.subtask, &self.tasks, out);
                }
                self.settle(now, out)
            }
            _ => self.settle(now, out),
        }
    }

    /// Takes the registration of a task manager. When all that an earlier job manager used are here,
    /// nothing of theirs runs any more: a restart need not wait. What one of them has written since
    /// the job has ended goes.
    pub fn registered(&mut self, now: Duration, task_manager: &TaskManagerId, out: &mut Outbox) {
        if self.awaited.remove(task_manager) && self.awaited.is_empty() {
            self.not_before = now;
        }
        if self.strays.remove(task_manager) && self.status.is_final() {
            self.sweep_everything(out);
        }
    }

    /// Takes the loss of a task manager: its tasks are over; one failure, however many they were.
    /// `fenced_until`: when they are over for certain, if the task manager may still live.
    pub fn lose(
        &mut self,
        now: Duration,
        task_manager: &TaskManagerId,
        (cause, fenced_until): (&str, Duration),
        out: &mut Outbox,
    ) -> Wish {
        if !self.tasks.end(now, Some(task_manager), TaskStatus::Failed) {
            return Wish::Nothing;
        }
        self.strays.insert(task_manager.clone());
        let deployed = self.held.is_none();
        let wish = self.fail(now, cause, false, out);
        if deployed {
            self.not_before = self.not_before.max(fenced_until);
        }
        wish
    }

    fn refuses(&self, task: &Execution) -> Option<String> {
        if task.epoch != self.plan.epoch {
            return Some(format!("epoch {} is not {}", task.epoch, self.plan.epoch));
        }
        if task.attempt != self.tasks.attempt {
            return Some(format!("attempt {} is not {}", task.attempt, self.tasks.attempt));
        }
        self.status.is_final().then(|| format!("the job is {}", self.status))
    }

    fn fail(&mut self, now: Duration, cause: &str, fatal: bool, out: &mut Outbox) -> Wish {
        match self.status {
            JobStatus::Deploying | JobStatus::Running if self.ending.is_none() => {
                let ran = self.running_since.take().map_or(Duration::ZERO, |since| now - since);
                self.delay = self.budget.failed(now, ran);
                self.fatal = fatal;
                self.cause = cause.to_owned();
                self.life.failed(now, &self.tasks, cause);
                self.not_before = now + self.delay.unwrap_or_default();
                self.go(JobStatus::Failing, out);
                self.stop_tasks("the job failed", out);
            }
            JobStatus::Failing if fatal && !self.fatal => {
                // What ends the job is its cause, not what happened to be first.
                self.fatal = true;
                self.cause = cause.to_owned();
            }
            JobStatus::Cancelling => self.failed_to_settle(fatal, out),
            _ => {}
        }
        self.settle(now, out)
    }

    /// Lets every task of the attempt end. Those that were never deployed are over at once.
    fn stop_tasks(&mut self, cause: &str, out: &mut Outbox) {
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.stop(cause, out);
        }
        if self.held.take().is_some() {
            self.tasks.end(out.now(), None, TaskStatus::Canceled);
        }
        let (job, attempt) = (self.plan.job, self.tasks.attempt);
        let cancel = |task_manager| Command::Cancel { task_manager, job, attempt };
        out.extend(self.tasks.live_by_host().into_keys().map(cancel));
    }

    /// Moves on if the states of the tasks allow it.
    fn settle(&mut self, now: Duration, out: &mut Outbox) -> Wish {
        if self.ending.is_some() {
            return Wish::Nothing;
        }
        let over = self.tasks.all(is_over);
        let up = self.tasks.all(|status| status != TaskStatus::Deploying);
        if self.status == JobStatus::Deploying && up {
            self.go(JobStatus::Running, out);
            self.running_since = Some(now);
            if let Some(coordinator) = &mut self.coordinator {
                coordinator.run(now);
            }
        }
        match self.status {
            JobStatus::Running if over => self.end(JobStatus::Finished, out),
            JobStatus::Failing if over && self.delay.is_some() && !self.fatal => {
                self.restarts += 1;
                let (job, attempt) = (self.plan.job, self.tasks.attempt);
                out.tell(Fact::RestartCounted { job, attempt, restarts: self.restarts });
                self.go(JobStatus::Restarting, out);
                return Wish::ReleaseSlots;
            }
            JobStatus::Failing if over => self.end(JobStatus::Failed, out),
            JobStatus::Cancelling => return self.leave(now, out),
            _ => {}
        }
        Wish::Nothing
    }

    fn go(&mut self, to: JobStatus, out: &mut Outbox) {
        let from = std::mem::replace(&mut self.status, to);
        self.life.reached(out.now(), to);
        assert!(may_go(from, to), "a job goes from {from} to one of its exits, not to {to}");
        let tells_why =
            matches!(to, JobStatus::Failing | JobStatus::Failed | JobStatus::Restarting);
        let cause = if tells_why { self.cause.clone() } else { String::new() };
        let (job, attempt) = (self.plan.job, self.tasks.attempt);
        out.tell(Fact::JobStatusChanged { job, attempt, from, to, cause });
    }
}
