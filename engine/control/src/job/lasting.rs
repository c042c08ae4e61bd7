//! What of a job outlives its job manager: entries of its log, and what waits for them.
//! Nothing is deployed, accepted or ended before the log says so; nothing is read back here.
//! What a new leader makes of the entries: [`crate::recovery`].

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::{Attempt, CheckpointId};
use slackwater_core::joblog::{LogEvent, Start};

use super::{Job, Wish};
use crate::checkpoint::{Coordinator, Plan};
use crate::command::{Command, Outbox};
use crate::recovery::{Recovered, first_id};

/// What follows when an entry is durable.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// The job is accepted.
    Submission,
    /// The attempt is deployed, if it still is the current one.
    Deployment {
        /// Which one.
        attempt: Attempt,
        /// The ids that it may use.
        ids_below: CheckpointId,
    },
    /// More checkpoint ids may be used.
    Ids(CheckpointId),
    /// The job is cancelled, whoever leads.
    Cancellation,
    /// The job has ended.
    End(JobStatus),
}

/// The complete checkpoints that a log names, oldest first: each as read, or why it could not be.
pub type Complete = Vec<(CheckpointId, Result<CheckpointMetadata, String>)>;

impl Job {
    /// A job that was just accepted, with what it is to start; it waits for slots once that is durable.
    pub fn submitted(
        plan: Arc<Plan>,
        from: Option<Start>,
        now: Duration,
        out: &mut Outbox,
    ) -> Self {
        let coordinator = Coordinator::new(&plan, first_id(from.as_ref()), from.clone());
        let mut job = Self::new(plan, now, Attempt(0), 0);
        job.coordinator = coordinator;
        let program = job.plan.program.clone();
        let delivered = program.artifact().is_some();
        let graph = delivered.then(|| Box::new(job.plan.graph.clone()));
        job.last(LogEvent::Submitted { program, from, graph }, Lasting::Submission, out);
        job
    }

    /// A job as an earlier job manager left it: it starts again with its newest checkpoint once
    /// nothing of before runs any more, at `fenced_until` at the latest. No failure is counted.
    pub fn resumed(
        plan: Arc<Plan>,
        (recovered, complete): (&Recovered, Complete),
        (now, fenced_until): (Duration, Duration),
        out: &mut Outbox,
    ) -> Self {
        let (attempt, failures) = (recovered.attempt, recovered.failures);
        let start = recovered.start.clone();
        let coordinator = Coordinator::new(&plan, recovered.next_checkpoint, start);
        let mut job = Self::new(plan, now, attempt, failures);
        job.coordinator = coordinator;
        job.strays.clone_from(&recovered.hosts);
        if let Some(own) = &mut job.coordinator {
            own.take_over_savepoints(&recovered.saved, recovered.ended.is_none(), out);
        }
        if let Some((status, cause)) = &recovered.ended {
            // Whoever wrote the end may not have lived to tell it, nor to tidy up.
            job.cause = cause.clone();
            job.go(*status, out);
            job.sweep_everything(out);
            return job;
        }
        out.tell(Fact::JobResumed { job: job.plan.job, attempt });
        if attempt == Attempt(0) {
            job.go(JobStatus::Scheduling, out);
            return job;
        }
        job.cause = format!("a new job manager leads, in term {}", job.plan.epoch);
        job.cancelled = recovered.cancelled;
        job.awaited = recovered.task_managers.iter().cloned().collect();
        job.not_before = if job.awaited.is_empty() { now } else { fenced_until };
        job.go(JobStatus::Restarting, out);
        let taken = job.coordinator.as_mut().map(|own| own.take_over(complete, attempt, out));
        if let Some(Err(cause)) = taken {
            job.cause = cause;
            job.end(JobStatus::Failed, out);
        }
        job
    }

    /// An entry is durable: what waited for it goes on.
    pub fn persisted(&mut self, ticket: u64, out: &mut Outbox) -> Wish {
        match self.lasting.remove(&ticket) {
            Some(Lasting::Submission) => {
                let (job, name) = (self.plan.job, self.plan.graph.name.clone());
                out.tell(Fact::JobSubmitted { job, name, slots: self.plan.graph.slots() });
                self.go(JobStatus::Scheduling, out);
            }
            Some(Lasting::Deployment { attempt, ids_below }) => {
                if let Some(coordinator) = &mut self.coordinator {
                    coordinator.allow_ids(ids_below);
                }
                if attempt == self.tasks.attempt {
                    self.release_deployments(out);
                }
            }
            Some(Lasting::Ids(below)) => {
                if let Some(coordinator) = &mut self.coordinator {
                    coordinator.allow_ids(below);
                }
            }
            Some(Lasting::End(status)) => {
                self.go(status, out);
                self.sweep_everything(out);
                return Wish::ReleaseSlots;
            }
            Some(Lasting::Cancellation) | None => {}
        }
        Wish::Nothing
    }

    /// Ends the job for good, once that is durable.
    pub(super) fn end(&mut self, status: JobStatus, out: &mut Outbox) {
        assert!(status.is_final(), "a job ends in a final state");
        assert!(self.ending.is_none(), "a job ends once");
        self.ending = Some(status);
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.stop("the job ends", out);
        }
        let cause = if status == JobStatus::Failed { self.cause.clone() } else { String::new() };
        self.last(LogEvent::Ended { status, cause }, Lasting::End(status), out);
    }

    /// Lets an entry be appended to the job's log.
    pub(super) fn last(&mut self, event: LogEvent, then: Lasting, out: &mut Outbox) {
        self.tickets += 1;
        self.lasting.insert(self.tickets, then);
        out.push(Command::Persist { job: self.plan.job, ticket: self.tickets, event });
    }

    fn release_deployments(&mut self, out: &mut Outbox) {
        // None: the attempt failed, or was cancelled, before the log knew of it.
        let Some(held) = self.held.take() else { return };
        let (job, attempt) = (self.plan.job, self.tasks.attempt);
        if let Some(checkpoint) = held.restore {
            out.tell(Fact::JobRestored { job, attempt, checkpoint });
            if let Some(coordinator) = &mut self.coordinator {
                coordinator.took_up(out.now(), checkpoint);
            }
        }
        out.extend(held.deployments);
    }

    /// Deletes all checkpoints of a job that nobody will start again, and what was begun of savepoints
    /// that were given up. A failed one keeps its checkpoints: a person may start another with them.
    pub(super) fn sweep_everything(&self, out: &mut Outbox) {
        let Some(coordinator) = &self.coordinator else { return };
        coordinator.sweep_savepoints(out);
        if self.status != JobStatus::Failed {
            let (job, below) = (self.plan.job, coordinator.ids_below());
            out.push(Command::Sweep { job, keep: Vec::new(), below });
        }
    }
}
