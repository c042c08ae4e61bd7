//! What a job does with messages about its checkpoints: fences them, then asks its coordinator.
//! Never decides when a checkpoint starts or completes; a checkpoint that fails is no failure of the
//! job, too many in a row are. The coordinator is [`crate::checkpoint`].

use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::{CheckpointId, Execution};
use slackwater_core::joblog::LogEvent;

use super::lasting::Lasting;
use super::{Job, Wish};
use crate::checkpoint::savepoints::Asked;
use crate::checkpoint::{Acknowledge, Coordinator, Decline};
use crate::command::Outbox;

/// What a task says when it cannot take up its part of a checkpoint. Its end is reported apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreFailed {
    /// Which execution.
    pub task: Execution,
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// Whether the bytes are not those that were written, so that no retry will help.
    pub damaged: bool,
    /// Which file, and what is wrong with it.
    pub cause: String,
}

impl Job {
    /// Takes the part of a task in a checkpoint.
    pub fn acknowledge(&mut self, now: Duration, ack: Acknowledge, out: &mut Outbox) {
        if self.fences("acknowledgement", ack.task, ack.checkpoint, out) {
            return;
        }
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.acknowledge(now, ack, out);
        }
    }

    /// Takes a task's refusal of a checkpoint.
    pub fn decline(&mut self, now: Duration, said: &Decline, out: &mut Outbox) {
        if self.fences("refusal", said.task, said.checkpoint, out) {
            return;
        }
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.decline(now, said, &self.tasks, out);
        }
    }

    /// Takes the word of a source that it has read everything.
    pub fn source_ended(&mut self, task: Execution, out: &mut Outbox) {
        if let Some(cause) = self.refuses(&task) {
            let message = format!("end of source {task}");
            return out.tell(Fact::MessageFenced { message, cause });
        }
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.source_ended(task.subtask);
        }
    }

    /// A checkpoint is complete, and that is durable.
    pub fn metadata_written(&mut self, now: Duration, checkpoint: CheckpointId, out: &mut Outbox) {
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.metadata_written(now, checkpoint, &self.tasks, out);
        }
    }

    /// A checkpoint will not be complete: its metadata could not be written.
    pub fn metadata_failed(
        &mut self,
        now: Duration,
        (checkpoint, cause): (CheckpointId, &str),
        out: &mut Outbox,
    ) {
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.metadata_failed(now, (checkpoint, cause), &self.tasks, out);
        }
    }

    /// Takes the word of a task that its part of the checkpoint cannot be taken up: a failure of the
    /// job. A damaged checkpoint is never used again (semantics rule 17).
    pub fn restore_failed(
        &mut self,
        now: Duration,
        said: &RestoreFailed,
        out: &mut Outbox,
    ) -> Wish {
        let RestoreFailed { task, checkpoint, damaged, cause } = said;
        if let Some(why) = self.refuses(task) {
            let message = format!("restore of checkpoint {checkpoint} by task {task} failed");
            out.tell(Fact::MessageFenced { message, cause: why });
            return Wish::Nothing;
        }
        let in_use = |own: &&mut Coordinator| {
            own.restore_point().is_some_and(|point| point.checkpoint == *checkpoint)
        };
        let taken_out = match self.coordinator.as_mut().filter(|_| *damaged).filter(in_use) {
            Some(own) => own.discredit(task.attempt, (*checkpoint, cause), out),
            None => Ok(()),
        };
        match taken_out {
            Err(why) => self.fail(now, &why, true, out),
            Ok(()) => {
                let cause =
                    format!("task {task} could not take up checkpoint {checkpoint}: {cause}");
                self.fail(now, &cause, false, out)
            }
        }
    }

    /// Takes a request for a savepoint; one that is known already changes nothing.
    ///
    /// # Errors
    /// Why the job can give none now, or never.
    pub fn savepoint(&mut self, asked: Asked) -> Result<(), String> {
        let (job, status) = (self.plan.job, self.ending.unwrap_or(self.status));
        let Some(coordinator) = &mut self.coordinator else {
            return Err(format!(
                "job {job} takes no checkpoints, and so gives no savepoints: start it with \
                 checkpoint=10s, or with checkpoint=manual for savepoints alone"
            ));
        };
        if coordinator.savepoint_status(asked.trigger).is_some() {
            return Ok(());
        }
        if status != JobStatus::Running {
            return Err(format!("job {job} is {status}: only a running job gives a savepoint"));
        }
        if coordinator.is_ending(&self.tasks) || self.tasks.finished().next().is_some() {
            return Err(format!("job {job} is about to end: it gives no more savepoints"));
        }
        coordinator.ask(asked);
        Ok(())
    }

    /// The coordinator of its checkpoints and savepoints, if it takes any.
    pub fn coordinator(&self) -> Option<&Coordinator> {
        self.coordinator.as_ref()
    }

    /// Lets checkpoints be triggered and time out; a job of which too many failed in a row fails.
    pub(super) fn advance_checkpoints(&mut self, now: Duration, out: &mut Outbox) -> Wish {
        let Some(coordinator) = &mut self.coordinator else { return Wish::Nothing };
        coordinator.advance(now, &self.tasks, out);
        let (wanted, exhausted) = (coordinator.wants_ids(), coordinator.take_exhausted());
        if let Some(ids_below) = wanted {
            self.last(LogEvent::Reserved { ids_below }, Lasting::Ids(ids_below), out);
        }
        match exhausted {
            Some(cause) => self.fail(now, &cause, false, out),
            None => Wish::Nothing,
        }
    }

    /// Whether a message about a checkpoint is of another attempt or term: it is told then.
    fn fences(
        &mut self,
        what: &str,
        task: Execution,
        checkpoint: CheckpointId,
        out: &mut Outbox,
    ) -> bool {
        let why = self.refuses(&task);
        let cause = why.or_else(|| {
            self.coordinator.is_none().then(|| "the job takes no checkpoints".to_owned())
        });
        let Some(cause) = cause else { return false };
        match &mut self.coordinator {
            Some(coordinator) => coordinator.refuse((what, cause), task, checkpoint, out),
            None => {
                let message = format!("{what} of checkpoint {checkpoint} by task {task}");
                out.tell(Fact::MessageFenced { message, cause });
            }
        }
        if self.status.is_final() {
            // Whoever says so may have written a file that nobody else will look for.
            self.sweep_everything(out);
        }
        true
    }
}
