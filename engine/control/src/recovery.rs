//! What a new leader makes of a job's metadata log.
//! Reads entries and nothing else; whether a checkpoint's files are whole is the executor's to find out.
//! What then happens to the job: [`crate::cluster::Cluster::resume`].

use std::collections::BTreeSet;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::fact::JobStatus;
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{Attempt, CheckpointId, JobEpoch, JobId, TaskManagerId, TriggerId};
use slackwater_core::joblog::{LogEvent, Start};
use slackwater_core::program::Program;

/// A complete checkpoint as the log names it: its metadata file is found by these.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// In which term it completed.
    pub epoch: JobEpoch,
    /// Of which attempt.
    pub attempt: Attempt,
}

/// A complete savepoint as the log names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The request.
    pub trigger: TriggerId,
    /// Its folder, or its place in the memory of a job manager that is no more.
    pub path: String,
    /// What it is made of; its files are named relative to the folder.
    pub metadata: Box<CheckpointMetadata>,
}

/// A job as its log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Which job.
    pub job: JobId,
    /// What it runs.
    pub program: Program,
    /// Its shape, if the log says so: that of code in a binary of its own.
    pub graph: Option<Box<JobGraph>>,
    /// Its last attempt; 0 if it never had one.
    pub attempt: Attempt,
    /// Where that attempt was deployed, or was about to be.
    pub task_managers: Vec<TaskManagerId>,
    /// Where it was ever deployed: any of them may yet write what nobody waits for.
    pub hosts: BTreeSet<TaskManagerId>,
    /// How many failures had been counted by then.
    pub failures: u32,
    /// No checkpoint id from here on has been used.
    pub next_checkpoint: CheckpointId,
    /// Every checkpoint that ever completed, oldest first. Older ones may have been deleted since.
    pub completed: Vec<Marked>,
    /// With what it was told to start.
    pub start: Option<Start>,
    /// Every savepoint of it that ever was complete, oldest first.
    pub saved: Vec<Saved>,
    /// Whether it was cancelled: it is not started again.
    pub cancelled: bool,
    /// How and why it ended, if it did.
    pub ended: Option<(JobStatus, String)>,
}

impl Recovered {
    /// Reads a job's log, all of it and in order, each event with the term of the leader that wrote
    /// it. `None` if the job was never accepted.
    pub fn from_log<'a>(
        job: JobId,
        log: impl IntoIterator<Item = (JobEpoch, &'a LogEvent)>,
    ) -> Option<Self> {
        let mut recovered: Option<Self> = None;
        for (epoch, event) in log {
            if let LogEvent::Submitted { program, from, graph } = event {
                let accepted = || Self::accepted(job, program.clone(), from.clone());
                recovered.get_or_insert_with(accepted).graph.clone_from(graph);
            }
            if let Some(recovered) = &mut recovered {
                recovered.take(epoch, event);
            }
        }
        recovered
    }

    /// The checkpoints that a job keeping `retained` of them may start again with, oldest first.
    pub fn candidates(&self, retained: u32) -> &[Marked] {
        let older = self.completed.len().saturating_sub(retained.max(1) as usize);
        &self.completed[older..]
    }

    fn accepted(job: JobId, program: Program, start: Option<Start>) -> Self {
        Self {
            job,
            program,
            graph: None,
            attempt: Attempt(0),
            task_managers: Vec::new(),
            hosts: BTreeSet::new(),
            failures: 0,
            next_checkpoint: first_id(start.as_ref()),
            completed: Vec::new(),
            start,
            saved: Vec::new(),
            cancelled: false,
            ended: None,
        }
    }

    fn take(&mut self, epoch: JobEpoch, event: &LogEvent) {
        match event {
            LogEvent::Claimed | LogEvent::Submitted { .. } => {}
            LogEvent::Deployed { attempt, task_managers, failures, ids_below } => {
                self.attempt = self.attempt.max(*attempt);
                self.task_managers.clone_from(task_managers);
                self.hosts.extend(task_managers.iter().cloned());
                self.failures = *failures;
                self.reserve(*ids_below);
            }
            LogEvent::Completed { checkpoint, attempt, ids_below } => {
                let (checkpoint, attempt) = (*checkpoint, *attempt);
                self.completed.push(Marked { checkpoint, epoch, attempt });
                self.reserve(*ids_below);
            }
            LogEvent::Saved { trigger, path, metadata, ids_below } => {
                let (trigger, path, metadata) = (*trigger, path.clone(), metadata.clone());
                self.saved.push(Saved { trigger, path, metadata });
                self.reserve(*ids_below);
            }
            LogEvent::Unsaved { checkpoint } => {
                self.saved.retain(|saved| saved.metadata.checkpoint != *checkpoint);
            }
            LogEvent::Reserved { ids_below } => self.reserve(*ids_below),
            LogEvent::Cancelled => self.cancelled = true,
            LogEvent::Ended { status, cause } => self.ended = Some((*status, cause.clone())),
        }
    }

    fn reserve(&mut self, below: CheckpointId) {
        self.next_checkpoint = self.next_checkpoint.max(below);
    }
}

/// The first id that a job's own checkpoints may have: behind that with which it starts.
pub(crate) fn first_id(start: Option<&Start>) -> CheckpointId {
    start.map_or(CheckpointId(1), |start| start.metadata.checkpoint.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(events: Vec<(u64, LogEvent)>) -> Option<Recovered> {
        let log = events.iter().map(|(epoch, event)| (JobEpoch(*epoch), event));
        Recovered::from_log(JobId(1), log)
    }

    fn submitted() -> (u64, LogEvent) {
        (1, LogEvent::Submitted { program: Program::named("job"), from: None, graph: None })
    }

    fn deployed(attempt: u32, ids_below: u64) -> LogEvent {
        LogEvent::Deployed {
            attempt: Attempt(attempt),
            task_managers: vec![TaskManagerId(format!("tm-{attempt}"))],
            failures: attempt - 1,
            ids_below: CheckpointId(ids_below),
        }
    }

    fn completed(checkpoint: u64) -> LogEvent {
        LogEvent::Completed {
            checkpoint: CheckpointId(checkpoint),
            attempt: Attempt(1),
            ids_below: CheckpointId(checkpoint + 11),
        }
    }

    #[test]
    fn a_job_without_a_submission_was_never_accepted() {
        assert_eq!(log(vec![]), None);
        assert_eq!(log(vec![(2, LogEvent::Claimed)]), None);
    }

    #[test]
    fn ids_go_on_behind_every_id_that_may_have_been_used() {
        let mut events = vec![submitted()];
        let mut expects = |more: Option<(u64, LogEvent)>, next: u64| {
            events.extend(more);
            let recovered = log(events.clone()).expect("accepted");
            assert_eq!(recovered.next_checkpoint, CheckpointId(next));
        };
        expects(None, 1);
        expects(Some((1, deployed(1, 11))), 11);
        expects(Some((1, completed(3))), 14);
        expects(Some((2, LogEvent::Claimed)), 14);
        expects(Some((2, deployed(2, 24))), 24);
        expects(Some((2, LogEvent::Reserved { ids_below: CheckpointId(34) })), 34);
    }

    #[test]
    fn the_newest_checkpoints_are_found_with_the_term_and_attempt_that_wrote_them() {
        let events = vec![
            submitted(),
            (1, deployed(1, 11)),
            (1, completed(1)),
            (1, completed(4)),
            (2, LogEvent::Claimed),
            (2, completed(12)),
        ];
        let recovered = log(events).expect("accepted");
        let named = |retained| {
            let marked = recovered.candidates(retained).iter();
            marked.map(|m| (m.checkpoint.0, m.epoch.0)).collect::<Vec<_>>()
        };
        assert_eq!(named(0), [(12, 2)]);
        assert_eq!(named(2), [(4, 1), (12, 2)]);
        assert_eq!(named(9), [(1, 1), (4, 1), (12, 2)]);
        assert_eq!(recovered.task_managers, [TaskManagerId("tm-1".into())]);
    }

    #[test]
    fn what_has_ended_stays_ended() {
        let ended = LogEvent::Ended { status: JobStatus::Failed, cause: "broken".into() };
        let recovered = log(vec![submitted(), (1, deployed(1, 11)), (1, ended)]).expect("accepted");
        assert_eq!(recovered.ended, Some((JobStatus::Failed, "broken".into())));
    }
}
