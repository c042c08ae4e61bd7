//! How a cancelled job leaves what two-phase sinks have prepared: one more attempt, at a standstill,
//! commits what the last completed checkpoint lists and aborts what no complete snapshot does.
//! Never reads a record, fires a window or takes a checkpoint, and is never waited for longer than
//! [`PATIENCE`]. Why it is cancelled is [`super::Job::cancel`]'s; which snapshot, the coordinator's.

use std::time::Duration;

use slackwater_core::checkpoint::RestorePoint;
use slackwater_core::fact::{JobStatus, TaskStatus};
use slackwater_core::id::Attempt;
use slackwater_core::joblog::LogEvent;

use super::{Job, Lasting, Wish};
use crate::checkpoint::Coordinator;
use crate::command::Outbox;
use crate::tasks::is_over;

/// How long a cancelled job waits for its sinks. It is not for ever: who cancels a job may do so
/// because what they write to is gone.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long after a failed attempt the next one follows.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How far a job that is being cancelled is with the transactions of its sinks.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Settling {
    /// There has been nothing to see to yet.
    #[default]
    No,
    /// The attempt is not to start before its time.
    Waiting,
    /// The attempt wants slots.
    Wanted,
    /// The attempt is deployed.
    Deployed,
    /// Its sinks have done what they could, or were given up: all that remains is its tasks' end.
    Done,
}

impl Job {
    /// Cancels the job; one that is being cancelled already, or has been, stays so. Its tasks stop
    /// at once; who asked may be told once the log knows.
    ///
    /// # Errors
    /// The state that forbids it.
    pub fn cancel(&mut self, now: Duration, out: &mut Outbox) -> Result<Wish, JobStatus> {
        match self.ending.unwrap_or(self.status) {
            JobStatus::Scheduling | JobStatus::Restarting if !self.may_have_prepared() => {
                self.end(JobStatus::Canceled, out);
                Ok(Wish::Nothing)
            }
            JobStatus::Scheduling
            | JobStatus::Restarting
            | JobStatus::Deploying
            | JobStatus::Running
            | JobStatus::Failing => {
                self.go(JobStatus::Cancelling, out);
                self.last(LogEvent::Cancelled, Lasting::Cancellation, out);
                self.stop_tasks("the job is cancelled", out);
                Ok(self.leave(now, out))
            }
            JobStatus::Cancelling | JobStatus::Canceled => Ok(Wish::Nothing),
            forbids => Err(forbids),
        }
    }

    /// Goes on with the cancellation that an earlier job manager did not live to see through.
    pub(super) fn cancel_again(&mut self, now: Duration, out: &mut Outbox) -> Wish {
        if !self.may_have_prepared() {
            self.end(JobStatus::Canceled, out);
            return Wish::Nothing;
        }
        self.go(JobStatus::Cancelling, out);
        self.leave(now, out)
    }

    /// Moves a job on that is being cancelled, if the states of its tasks allow it.
    pub(super) fn leave(&mut self, now: Duration, out: &mut Outbox) -> Wish {
        let has_begun = |status| matches!(status, TaskStatus::Running | TaskStatus::Finished);
        if self.settling == Settling::Deployed && self.tasks.all(has_begun) {
            self.settling = Settling::Done;
            self.stop_tasks("the job is cancelled", out);
        }
        if !self.tasks.all(is_over) {
            return Wish::Nothing;
        }
        match self.settling {
            Settling::No if self.may_have_prepared() => {
                self.settle_until = now + PATIENCE;
                self.settle_when_due(now);
                Wish::ReleaseSlots
            }
            Settling::Deployed => {
                self.not_before = self.not_before.max(now + AGAIN_AFTER);
                self.settle_when_due(now);
                Wish::ReleaseSlots
            }
            Settling::No | Settling::Done => {
                self.end(JobStatus::Canceled, out);
                Wish::Nothing
            }
            Settling::Waiting | Settling::Wanted => Wish::Nothing,
        }
    }

    /// Lets time go by for a job that is being cancelled.
    pub(super) fn advance_cancelling(&mut self, now: Duration, out: &mut Outbox) -> Wish {
        let waits = !matches!(self.settling, Settling::No | Settling::Done);
        if waits && now >= self.settle_until {
            self.give_up_settling(out);
            return self.leave(now, out);
        }
        if self.settling == Settling::Waiting {
            self.settle_when_due(now);
        }
        Wish::Nothing
    }

    /// A task of the attempt has failed: the others need not go on.
    pub(super) fn failed_to_settle(&mut self, fatal: bool, out: &mut Outbox) {
        match self.settling {
            Settling::Deployed if fatal => self.give_up_settling(out),
            Settling::Deployed => self.stop_tasks("the job is cancelled", out),
            _ => {}
        }
    }

    /// When a job that is being cancelled has something to do, if nothing else happens.
    pub(super) fn settles_at(&self) -> Option<Duration> {
        match self.settling {
            Settling::No | Settling::Done => None,
            Settling::Waiting => Some(self.not_before.min(self.settle_until)),
            Settling::Wanted | Settling::Deployed => Some(self.settle_until),
        }
    }

    /// Begins to deploy the attempt: with what it starts. One that settles starts with what any other
    /// would, but at a standstill.
    pub(super) fn start(&mut self, out: &mut Outbox) -> Option<RestorePoint> {
        let point = self.coordinator.as_ref().and_then(Coordinator::restore_point);
        if self.status != JobStatus::Cancelling {
            self.go(JobStatus::Deploying, out);
            return point;
        }
        self.settling = Settling::Deployed;
        Some(RestorePoint { halted: true, ..point.unwrap_or_else(RestorePoint::beginning) })
    }

    fn settle_when_due(&mut self, now: Duration) {
        self.settling = match now >= self.not_before {
            true => Settling::Wanted,
            false => Settling::Waiting,
        };
    }

    fn give_up_settling(&mut self, out: &mut Outbox) {
        self.settling = Settling::Done;
        self.stop_tasks("the job is cancelled", out);
    }

    /// Whether an attempt may have left transactions that nobody has seen to.
    fn may_have_prepared(&self) -> bool {
        let two_phase = self.coordinator.is_some() && self.plan.graph.has_two_phase_sink();
        two_phase && self.tasks.attempt > Attempt(0)
    }
}
