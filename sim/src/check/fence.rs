//! FENCE: what a dead attempt or a replaced leader still says changes nothing.
//! Looks at effects only: what counts for a checkpoint, what a database's transactions take, what a
//! job's log holds, and which checkpoint a recovery uses. What was refused is counted; that it was
//! refused politely is nobody's promise.

use std::collections::BTreeMap;

use slackwater_core::fact::Fact;
use slackwater_core::id::{Attempt, CheckpointId, JobEpoch, JobId};

use super::archive::{Archive, LogEntry, Place, completes, place_of};
use super::ledger::job_of;
use super::{Args, Broken, Check, Evidence, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "fenced",
    about: "no effect of a dead attempt or a replaced leader, and no recovery behind what was told",
    keys: &[],
    measures: &["fenced", "effects", "epochs", "restores"],
    needs: Needs::Run,
    judge,
};

type Term = (JobEpoch, Attempt);

/// What is known of a job.
#[derive(Default)]
struct Job {
    /// The newest attempt that the log knows of.
    term: Term,
    /// The newest leader that wrote to its log, and the number of that entry.
    leader: (JobEpoch, u64),
    /// The newest checkpoint that anybody was told is complete.
    told: Option<CheckpointId>,
    /// Whether an entry of its log is damaged: what was told may be known to nobody any more.
    forgot: bool,
    /// Those that cannot be read.
    unreadable: Vec<CheckpointId>,
}

#[derive(Default)]
struct Fence<'a> {
    archive: Archive<'a>,
    jobs: BTreeMap<JobId, Job>,
    /// By job, sink and subtask: the newest attempt whose transactions the database took.
    writers: BTreeMap<String, Term>,
    effects: u64,
    fenced: u64,
    restores: u64,
    epochs: BTreeMap<JobEpoch, ()>,
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let (mut fence, mut wrong) = (Fence::default(), None);
    for entry in run.entries() {
        if let Some((job, number, appended)) = fence.archive.note(&entry.fact) {
            let told = fence.append(job, number, &appended);
            wrong = wrong.or(told.err().map(|why| Broken::by(entry, why)));
        }
        let step = fence.step(&entry.fact);
        wrong = wrong.or(step.err().map(|why| Broken::by(entry, why)));
    }
    let words = if fence.fenced > 0 { "somebody was refused" } else { "nobody tried" };
    let summary = format!("{} leaders, no effect of the dead: {words}", fence.epochs.len().max(1));
    Outcome::saw(fence.effects, summary)
        .measured("fenced", fence.fenced as f64)
        .measured("effects", fence.effects as f64)
        .measured("epochs", fence.epochs.len() as f64)
        .measured("restores", fence.restores as f64)
        .broken_by(wrong)
}

impl<'a> Fence<'a> {
    /// An entry of a job's log: no older leader writes behind a newer one, none leaves a gap.
    fn append(&mut self, id: JobId, number: u64, entry: &LogEntry) -> Result<(), String> {
        use slackwater_core::joblog::LogEvent;
        self.effects += 1;
        self.epochs.insert(entry.epoch, ());
        let job = self.jobs.entry(id).or_default();
        let (leader, last) = std::mem::replace(&mut job.leader, (entry.epoch, number));
        if entry.epoch < leader {
            let epoch = entry.epoch;
            return Err(format!("leader {epoch} wrote to the log behind leader {leader}"));
        }
        // Where the last entry is deleted, the next leader's claim takes its place.
        if number != last + 1 && last > 0 && !job.forgot {
            return Err(format!("entry {number} of the log follows entry {last}"));
        }
        if let LogEvent::Deployed { attempt, .. } = entry.event {
            let before = std::mem::replace(&mut job.term, (entry.epoch, attempt));
            if before >= job.term {
                return Err(format!("attempt {attempt} was deployed again"));
            }
        }
        match completes(id, entry) {
            Some(of) if (of.epoch, of.attempt) != job.term => Err(format!(
                "checkpoint {} of attempt {} completed, and attempt {} runs",
                of.checkpoint, of.attempt, job.term.1
            )),
            _ => Ok(()),
        }
    }

    fn step(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::MessageFenced { .. }
            | Fact::TransactionFenced { .. }
            | Fact::LeaderLost { .. } => {
                self.fenced += 1;
                Ok(())
            }
            Fact::CheckpointAckReceived { job, attempt, checkpoint, task, .. } => {
                self.effects += 1;
                let now = self.jobs.entry(*job).or_default().term;
                let is_old = task.attempt != *attempt || (task.epoch, task.attempt) < now;
                match is_old {
                    true => Err(format!("an acknowledgement of {task} for {checkpoint} counted")),
                    false => Ok(()),
                }
            }
            Fact::CheckpointCompleted { job, checkpoint, .. }
            | Fact::CheckpointNotified { job, checkpoint, .. } => {
                let told = &mut self.jobs.entry(*job).or_default().told;
                *told = (*told).max(Some(*checkpoint));
                Ok(())
            }
            Fact::CheckpointUnreadable { job, checkpoint, .. } => {
                self.jobs.entry(*job).or_default().unreadable.push(*checkpoint);
                Ok(())
            }
            Fact::StoreDamaged { path, .. } => {
                if let Place::Log(job, _) = place_of(path) {
                    self.jobs.entry(job).or_default().forgot = true;
                }
                Ok(())
            }
            Fact::JobRestored { job, checkpoint, .. } => self.restored(*job, *checkpoint),
            Fact::TransactionPrepared { id, .. } | Fact::TransactionStaged { id, .. } => {
                self.wrote(id)
            }
            _ => Ok(()),
        }
    }

    /// A recovery never goes behind what somebody was told is complete.
    fn restored(&mut self, id: JobId, checkpoint: CheckpointId) -> Result<(), String> {
        self.restores += 1;
        let job = self.jobs.entry(id).or_default();
        let told = job.told.filter(|_| !std::mem::take(&mut job.forgot));
        let newer = told.filter(|told| *told > checkpoint && !job.unreadable.contains(told));
        match newer {
            Some(told) => Err(format!(
                "the job was restored from checkpoint {checkpoint}, and {told} was told complete"
            )),
            None => Ok(()),
        }
    }

    /// A transaction that the database takes rows for: of no older attempt than before.
    fn wrote(&mut self, id: &str) -> Result<(), String> {
        self.effects += 1;
        let Some((place, term)) = writer_of(id) else {
            return Err(format!("{id} does not say whose it is"));
        };
        let known = self.writers.entry(place).or_insert(term);
        let before = std::mem::replace(known, term);
        let newest = job_of(id).and_then(|job| self.jobs.get(&job)).map(|job| job.term);
        match before > term {
            true => Err(format!("{id} was written behind attempt {} of its subtask", before.1)),
            // A writer opens at once when it is deployed; the log may know of newer ones only.
            false if newest.is_some_and(|newest| newest.0 < term.0) => {
                Err(format!("{id} is of an attempt that no log knows of"))
            }
            false => Ok(()),
        }
    }
}

/// `job/uid/index` and the term of `job/uid/index/e1a2/3`.
fn writer_of(id: &str) -> Option<(String, Term)> {
    let (rest, _) = id.rsplit_once('/')?;
    let (place, term) = rest.rsplit_once('/')?;
    let (epoch, attempt) = term.strip_prefix('e')?.split_once('a')?;
    let term = (JobEpoch(epoch.parse().ok()?), Attempt(attempt.parse().ok()?));
    Some((place.to_owned(), term))
}
