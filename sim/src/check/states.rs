//! CTRL: jobs and checkpoints move through their states as the law allows, and no other way.
//! The law stands here a second time, in the oracle's own words; a state that is not in it is an
//! error. Counts restarts, so that a scenario can say how many failures it made.

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::{Attempt, CheckpointId, JobId};

use super::{Args, Broken, Check, Evidence, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "legal_states",
    about: "every job and every checkpoint goes from state to state as the law allows",
    keys: &[],
    measures: &["restarts", "attempts", "completed", "saved", "aborted"],
    needs: Needs::Run,
    judge,
};

/// Where a job may go from a state.
fn exits(from: JobStatus) -> &'static [JobStatus] {
    use JobStatus::*;
    match from {
        // A job that a new leader takes over begins with a restart, or has ended already.
        Created => &[Scheduling, Restarting, Canceled, Failed, Finished],
        Scheduling => &[Deploying, Cancelling, Canceled],
        Deploying => &[Running, Failing, Cancelling],
        Running => &[Finished, Failing, Cancelling],
        Failing => &[Restarting, Failed, Cancelling],
        Restarting => &[Scheduling, Cancelling, Canceled, Failed],
        Cancelling => &[Canceled],
        Canceled | Failed | Finished => &[],
    }
}

/// How far a checkpoint has come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    Pending,
    Complete,
    Aborted,
    Subsumed,
}

#[derive(Default)]
struct Machine {
    status: BTreeMap<JobId, (JobStatus, Attempt)>,
    checkpoints: BTreeMap<(JobId, CheckpointId), (Stage, Attempt, Duration)>,
    /// By job: how many restarts were counted by how many failures.
    restarts: u64,
    failing: u64,
    completed: u64,
    saved: u64,
    aborted: u64,
    attempts: u64,
    seen: u64,
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let (mut machine, mut wrong) = (Machine::default(), None);
    for entry in run.entries() {
        let step = machine.step(&entry.fact, entry.time);
        wrong = wrong.or(step.err().map(|why| Broken::by(entry, why)));
    }
    let words = match machine.restarts {
        0 => "no restart".to_owned(),
        1 => "1 restart".to_owned(),
        many => format!("{many} restarts"),
    };
    Outcome::saw(machine.seen, format!("every step was legal, {words}"))
        .measured("restarts", machine.restarts as f64)
        .measured("attempts", machine.attempts as f64)
        .measured("completed", machine.completed as f64)
        .measured("saved", machine.saved as f64)
        .measured("aborted", machine.aborted as f64)
        .broken_by(wrong)
}

impl Machine {
    fn step(&mut self, fact: &Fact, now: Duration) -> Result<(), String> {
        match fact {
            Fact::JobManagerStarted { .. } | Fact::LeaderElected { .. } => {
                // What it knew is gone with it: it takes its jobs over, if it can.
                self.status.retain(|_, (status, _)| !status.is_final());
                // An attempt that it had thought of may never have reached the log, nor anybody.
                let unknown = (JobStatus::Created, Attempt(0));
                self.status.values_mut().for_each(|known| *known = unknown);
                Ok(())
            }
            Fact::JobStatusChanged { job, attempt, from, to, .. } => {
                self.seen += 1;
                self.job(*job, *attempt, (*from, *to))
            }
            Fact::RestartCounted { attempt, .. } => {
                self.restarts += 1;
                match self.restarts > self.failing {
                    true => Err(format!("a restart of attempt {attempt} counts, and none failed")),
                    false => Ok(()),
                }
            }
            _ => self.checkpoint(fact, now),
        }
    }

    fn job(
        &mut self,
        job: JobId,
        attempt: Attempt,
        (from, to): (JobStatus, JobStatus),
    ) -> Result<(), String> {
        let known = self.status.insert(job, (to, attempt));
        let (stands, before) = known.unwrap_or((JobStatus::Created, Attempt(0)));
        self.failing += u64::from(to == JobStatus::Failing);
        self.attempts += u64::from(to == JobStatus::Deploying);
        if stands != from {
            return Err(format!("a job went from {from} to {to}, and was {stands}"));
        }
        if !exits(from).contains(&to) {
            return Err(format!("a job went from {from} to {to}"));
        }
        let is_new = to == JobStatus::Deploying;
        match attempt < before || (is_new && attempt == before) {
            true => Err(format!("attempt {attempt} is {to} after attempt {before}")),
            false => Ok(()),
        }
    }

    fn checkpoint(&mut self, fact: &Fact, now: Duration) -> Result<(), String> {
        let Some((job, attempt, checkpoint)) = told_of(fact) else { return Ok(()) };
        self.seen += 1;
        let place = (job, checkpoint);
        let known = self.checkpoints.get(&place).copied();
        let stage = known.map(|(stage, ..)| stage);
        let next = match (fact, stage) {
            (Fact::CheckpointTriggered { .. } | Fact::SavepointTriggered { .. }, None) => {
                Stage::Pending
            }
            (
                Fact::CheckpointAckReceived { .. } | Fact::CheckpointDeclined { .. },
                Some(Stage::Pending),
            ) => Stage::Pending,
            (Fact::CheckpointCompleted { duration, .. }, Some(Stage::Pending)) => {
                self.completed += 1;
                let since = known.map_or(now, |(.., since)| since);
                if *duration > now.saturating_sub(since) + Duration::from_secs(1) {
                    return Err(format!("checkpoint {checkpoint} says that it took {duration:?}"));
                }
                Stage::Complete
            }
            // A new leader says of one that the log completes that it is there.
            (Fact::SavepointCompleted { .. }, Some(Stage::Pending | Stage::Complete)) => {
                self.saved += 1;
                Stage::Complete
            }
            (
                Fact::CheckpointAborted { .. } | Fact::SavepointFailed { .. },
                Some(Stage::Pending),
            ) => {
                self.aborted += 1;
                Stage::Aborted
            }
            (Fact::CheckpointNotified { .. }, Some(Stage::Complete)) => Stage::Complete,
            // A new leader lets go of what the one before it completed, and may not have told.
            (Fact::CheckpointSubsumed { .. }, Some(Stage::Complete | Stage::Pending)) => {
                Stage::Subsumed
            }
            (_, stage) => {
                let probe = fact.probe();
                let stood = stage.map_or("unknown".to_owned(), |stage| format!("{stage:?}"));
                return Err(format!("{probe} of checkpoint {checkpoint}, which is {stood}"));
            }
        };
        let since = known.map_or(now, |(.., since)| since);
        self.checkpoints.insert(place, (next, attempt, since));
        Ok(())
    }
}

/// The checkpoint or savepoint whose stage a fact tells of.
fn told_of(fact: &Fact) -> Option<(JobId, Attempt, CheckpointId)> {
    match fact {
        Fact::CheckpointTriggered { job, attempt, checkpoint, .. }
        | Fact::CheckpointAckReceived { job, attempt, checkpoint, .. }
        | Fact::CheckpointDeclined { job, attempt, checkpoint, .. }
        | Fact::CheckpointCompleted { job, attempt, checkpoint, .. }
        | Fact::CheckpointAborted { job, attempt, checkpoint, .. }
        | Fact::CheckpointNotified { job, attempt, checkpoint, .. }
        | Fact::CheckpointSubsumed { job, attempt, checkpoint, .. }
        | Fact::SavepointTriggered { job, attempt, checkpoint, .. }
        | Fact::SavepointCompleted { job, attempt, checkpoint, .. } => {
            Some((*job, *attempt, *checkpoint))
        }
        // Refused before it was triggered, it has no number.
        Fact::SavepointFailed { job, attempt, checkpoint, .. } if checkpoint.0 > 0 => {
            Some((*job, *attempt, *checkpoint))
        }
        _ => None,
    }
}
