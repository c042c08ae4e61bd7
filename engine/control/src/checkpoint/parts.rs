//! What tasks and the store say about a checkpoint: parts, refusals, ends, durable metadata.
//! What is late, said twice or of another checkpoint changes nothing, and is told as a fact.
//! When a checkpoint starts and when it is given up: [`super`].

use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::id::{Attempt, CheckpointId, Execution, Subtask};
use slackwater_core::joblog::LogEvent;

use super::pending::Pending;
use super::schedule::Ids;
use super::{Acknowledge, Coordinator, Decline};
use crate::command::{Command, Outbox};
use crate::tasks::Tasks;

impl Coordinator {
    /// Takes the part of a task of the current attempt.
    pub fn acknowledge(&mut self, now: Duration, ack: Acknowledge, out: &mut Outbox) {
        let Acknowledge { task, checkpoint, state, contents, times } = ack;
        let bytes = state.bytes();
        let taken = match self.collecting(checkpoint) {
            Ok(pending) => {
                pending.take(task.subtask, (state, contents), (now, &times)).map_err(str::to_owned)
            }
            Err(cause) => Err(cause),
        };
        if let Err(cause) = taken {
            return self.refuse(("acknowledgement", cause), task, checkpoint, out);
        }
        let (job, attempt) = (task.job, task.attempt);
        out.tell(Fact::CheckpointAckReceived { job, attempt, checkpoint, task, bytes });
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.is_full()) else {
            return;
        };
        pending.writing = true;
        if let Some(pending) = &self.pending
            && let Some(asked) = &pending.savepoint
        {
            return self.save(now, pending, asked, out);
        }
        let Some(pending) = &self.pending else { return };
        let ids_below = Ids::reach_after(checkpoint);
        let event = LogEvent::Completed { checkpoint, attempt, ids_below };
        let metadata = Box::new(pending.metadata(&self.plan));
        let took = now.saturating_sub(pending.triggered);
        out.push(Command::Complete { job, metadata, took, event });
    }

    /// Takes a task's refusal to give its part: the checkpoint fails, the job does not.
    pub fn decline(&mut self, now: Duration, said: &Decline, tasks: &Tasks, out: &mut Outbox) {
        let Decline { task, checkpoint, cause } = said;
        let (task, checkpoint) = (*task, *checkpoint);
        match self.collecting(checkpoint) {
            Ok(pending) if pending.waits_for(task.subtask) => {}
            Ok(_) => {
                let cause = "its part is in already, or was never asked for".to_owned();
                return self.refuse(("refusal", cause), task, checkpoint, out);
            }
            Err(cause) => return self.refuse(("refusal", cause), task, checkpoint, out),
        }
        let (job, attempt, cause) = (task.job, task.attempt, cause.clone());
        let why = format!("task {task} declined: {cause}");
        out.tell(Fact::CheckpointDeclined { job, attempt, checkpoint, task, cause });
        self.fail(now, &why, tasks, out);
    }

    /// States that a message about a checkpoint changed nothing. What a late one names may have
    /// left a file behind.
    pub fn refuse(
        &mut self,
        (what, cause): (&str, String),
        task: Execution,
        checkpoint: CheckpointId,
        out: &mut Outbox,
    ) {
        let message = format!("{what} of checkpoint {checkpoint} by task {task}");
        out.tell(Fact::MessageFenced { message, cause });
        let is_pending = self.pending.as_ref().is_some_and(|p| p.checkpoint == checkpoint);
        if checkpoint < self.ids.next() && !is_pending && !self.history.keeps(checkpoint) {
            self.history.litter(checkpoint);
        }
    }

    /// A source of the current attempt has read everything, and waits for the last checkpoint.
    pub fn source_ended(&mut self, subtask: Subtask) {
        if let Some(round) = &mut self.round {
            round.source_ended(subtask);
        }
    }

    /// A task of the current attempt has finished: a checkpoint that waits for its part cannot
    /// complete. No fault of the checkpoint's: it is not counted.
    pub fn task_finished(&mut self, subtask: Subtask, tasks: &Tasks, out: &mut Outbox) {
        if self.pending.as_ref().is_some_and(|pending| pending.waits_for(subtask)) {
            let cause = format!("task {} finished before its part", tasks.execution(subtask));
            self.abort(&cause, Some(tasks), out);
        }
    }

    /// A checkpoint is complete and that is durable: now it may be told.
    pub fn metadata_written(
        &mut self,
        now: Duration,
        checkpoint: CheckpointId,
        tasks: &Tasks,
        out: &mut Outbox,
    ) {
        let Some(pending) = self.written(checkpoint) else {
            let message = format!("completion of checkpoint {checkpoint}");
            return out.tell(Fact::MessageFenced { message, cause: "nobody waits for it".into() });
        };
        if let Some(asked) = pending.savepoint.clone() {
            return self.saved(now, (pending, asked), tasks, out);
        }
        let (job, attempt) = (self.plan.job, pending.attempt);
        let duration = now.saturating_sub(pending.triggered);
        self.ids.allow(Ids::reach_after(checkpoint));
        self.failed_in_row = 0;
        self.records.completed(now, &pending, "");
        self.statistics.completed += 1;
        self.statistics.last_duration = duration;
        self.statistics.last = pending.times;
        let subsumed = self.history.add(pending.metadata(&self.plan));
        let bytes = pending.times.bytes;
        out.tell(Fact::CheckpointCompleted { job, attempt, checkpoint, duration, bytes });
        let lives = self.round.as_mut().filter(|round| round.attempt() == attempt);
        let first = lives.is_some_and(|round| {
            round.completed(self.config.min_pause, now, pending.last);
            round.is_first_completion()
        });
        if self.round.as_ref().is_some_and(|round| round.attempt() == attempt) {
            self.notify((attempt, checkpoint, pending.last), tasks, out);
        }
        self.tidy_up(attempt, subsumed, first, out);
    }

    /// Tells every task that a checkpoint is complete; `last`: the job ends with it.
    pub(super) fn notify(
        &self,
        (attempt, checkpoint, last): (Attempt, CheckpointId, bool),
        tasks: &Tasks,
        out: &mut Outbox,
    ) {
        let job = self.plan.job;
        out.tell(Fact::CheckpointNotified { job, attempt, checkpoint, last });
        out.extend(tasks.live_by_host().into_keys().map(|task_manager| Command::Notify {
            task_manager,
            job,
            attempt,
            checkpoint,
            last,
        }));
    }

    /// A checkpoint's metadata could not be written, and its completion will never be in the log.
    pub fn metadata_failed(
        &mut self,
        now: Duration,
        (checkpoint, cause): (CheckpointId, &str),
        tasks: &Tasks,
        out: &mut Outbox,
    ) {
        let Some(mut pending) = self.written(checkpoint) else { return };
        pending.writing = false;
        let attempt = pending.attempt;
        self.pending = Some(pending);
        let cause = format!("its metadata could not be written: {cause}");
        if self.round.as_ref().is_some_and(|round| round.attempt() == attempt) {
            self.fail(now, &cause, tasks, out);
        } else {
            self.abort(&cause, None, out);
        }
    }

    /// Deletes what is no longer needed. When an attempt completes its first checkpoint, its dead
    /// predecessors have been fenced and write no more: then everything is looked through.
    fn tidy_up(
        &mut self,
        attempt: Attempt,
        subsumed: Vec<CheckpointId>,
        first: bool,
        out: &mut Outbox,
    ) {
        let job = self.plan.job;
        self.tidy_up_savepoints(out);
        self.records.discarded(&subsumed);
        for checkpoint in subsumed.iter().copied() {
            out.tell(Fact::CheckpointSubsumed { job, attempt, checkpoint });
        }
        let mut checkpoints = self.history.take_litter();
        checkpoints.extend(subsumed);
        if first {
            let (keep, below) = (self.history.kept(), self.ids.next());
            out.push(Command::Sweep { job, keep, below });
        } else if !checkpoints.is_empty() {
            out.push(Command::Discard { job, checkpoints });
        }
    }

    /// The pending one, if it is this one and collects parts.
    fn collecting(&mut self, checkpoint: CheckpointId) -> Result<&mut Pending, String> {
        let kept = self.history.keeps(checkpoint);
        match &mut self.pending {
            Some(pending) if pending.checkpoint != checkpoint && !kept => {
                Err(format!("checkpoint {} is pending", pending.checkpoint))
            }
            _ if kept => Err("it is complete already".into()),
            Some(pending) if pending.writing => Err("every part is in already".into()),
            Some(pending) => Ok(pending),
            None => Err("no checkpoint is pending".into()),
        }
    }

    /// Takes the pending one out, if it is this one and its metadata is being written.
    fn written(&mut self, checkpoint: CheckpointId) -> Option<Pending> {
        self.pending.take_if(|pending| pending.writing && pending.checkpoint == checkpoint)
    }
}
