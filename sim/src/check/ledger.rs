//! LEDGER: the append-only log of the database: a transaction commits at most once, only after its
//! checkpoint has completed, and every one of a completed checkpoint commits in the end; an
//! overwrite carries the same value. Names of transactions say whose they are; nothing is read of
//! the table that a user sees, which is [`super::exactly_once`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::{Attempt, CheckpointId, JobEpoch, JobId};
use slackwater_core::time::EventTime;

use super::archive::{Archive, Saved, completes};
use super::{Args, Broken, Check, Evidence, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "ledger",
    about: "transactions commit once, only when their checkpoint is complete, and all of them do; \
            an overwrite carries the same value",
    keys: &[],
    measures: &["transactions", "rows", "overwritten"],
    needs: Needs::Run,
    judge,
};

/// What is known of a transaction.
#[derive(Clone, Debug, Default)]
struct Transaction {
    prepared: Option<(Duration, CheckpointId, u64)>,
    committed: Option<Duration>,
    aborted: Option<Duration>,
    /// Rows that became visible with it.
    shown: u64,
}

#[derive(Default)]
struct Ledger<'a> {
    archive: Archive<'a>,
    /// By job: the checkpoints that its log completes, and the savepoints that end it.
    complete: BTreeMap<JobId, BTreeSet<CheckpointId>>,
    /// The newest of them, by the attempt whose parts they are made of.
    newest: BTreeMap<(JobId, JobEpoch, Attempt), CheckpointId>,
    /// Its other savepoints: nothing is committed for one, unless a job begins with it.
    saved: BTreeMap<JobId, BTreeSet<CheckpointId>>,
    transactions: BTreeMap<&'a str, Transaction>,
    /// Jobs that were cancelled: what they wrote, the job after them may write again.
    cancelled: BTreeSet<JobId>,
    /// Once there is one: the rows that were written since, each by the job of its transaction.
    since: BTreeMap<(&'a str, &'a str, EventTime), Option<JobId>>,
    /// Rows that are in no transaction, and those that were written over another.
    rows: u64,
    overwritten: u64,
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let (mut ledger, mut wrong) = (Ledger::default(), None);
    for entry in run.entries() {
        if let Some((job, _, appended)) = ledger.archive.note(&entry.fact)
            && let Some(complete) = completes(job, &appended)
        {
            let goes_on = |saved: &Saved| saved.metadata.ending.is_none();
            let of = match complete.saved.as_ref().is_some_and(goes_on) {
                true => &mut ledger.saved,
                false => &mut ledger.complete,
            };
            of.entry(job).or_default().insert(complete.checkpoint);
            if complete.saved.as_ref().is_none_or(|saved| !goes_on(saved)) {
                let attempt = (job, complete.epoch, complete.attempt);
                ledger.newest.insert(attempt, complete.checkpoint);
            }
        }
        let step = ledger.step(&entry.fact, entry.time);
        wrong = wrong.or(step.err().map(|why| Broken::by(entry, why)));
    }
    let left = ledger.left(run.finished());
    let transactions = ledger.transactions.len();
    let summary = match (transactions, ledger.overwritten) {
        (0, 0) => "every row was written once".to_owned(),
        (0, _) => "every row that was written again is the same".to_owned(),
        _ => "every transaction of a completed checkpoint was committed, once".to_owned(),
    };
    Outcome::saw(transactions as u64 + ledger.rows, summary)
        .measured("transactions", transactions as f64)
        .measured("rows", ledger.rows as f64)
        .measured("overwritten", ledger.overwritten as f64)
        .broken_by(wrong)
        .broken_by(left)
}

impl<'a> Ledger<'a> {
    fn step(&mut self, fact: &'a Fact, now: Duration) -> Result<(), String> {
        match fact {
            Fact::PointWritten { point, writer, differs, overwrote, transaction } => {
                self.rows += 1;
                let key = (point.series.as_str(), point.key.as_str(), point.time);
                let is_anothers = !self.cancelled.is_empty() && self.is_anothers(key, transaction);
                let (overwrote, differs) = (*overwrote && !is_anothers, *differs && !is_anothers);
                self.overwritten += u64::from(overwrote);
                if differs {
                    return Err(format!("{writer} wrote {point} over another value"));
                }
                if overwrote && !transaction.is_empty() {
                    return Err(format!(
                        "{point} was committed before, and again by {transaction}"
                    ));
                }
                if let Some(of) = self.transactions.get_mut(transaction.as_str()) {
                    of.shown += 1;
                }
                Ok(())
            }
            Fact::JobStatusChanged { job, to, .. } => {
                // Who is cancelled settles what it has prepared while the next one may run already.
                let is_going = matches!(to, JobStatus::Cancelling | JobStatus::Canceled);
                if is_going && self.cancelled.insert(*job) {
                    self.since.clear();
                }
                Ok(())
            }
            Fact::TransactionStaged { id, .. } => {
                let known = self.transactions.entry(id).or_default();
                match known.prepared {
                    Some(_) => Err(format!("rows were added to {id}, which was prepared")),
                    None => Ok(()),
                }
            }
            Fact::TransactionPrepared { id, checkpoint, rows, .. } => {
                let known = self.transactions.entry(id).or_default();
                known.prepared.get_or_insert((now, *checkpoint, *rows));
                Ok(())
            }
            Fact::TransactionCommitted { id, again, rows, .. } => {
                self.commit(id, (*again, *rows), now)
            }
            Fact::TransactionAborted { id, .. } => {
                let known = self.transactions.entry(id).or_default();
                known.aborted.get_or_insert(now);
                match known.committed {
                    Some(_) => Err(format!("{id} was aborted, and is committed")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Whether a row may stand where one of another job stood: no job writes its own again.
    fn is_anothers(&mut self, key: (&'a str, &'a str, EventTime), transaction: &str) -> bool {
        let job = job_of(transaction);
        let before = self.since.insert(key, job);
        before.is_none_or(|before| before != job)
    }

    fn commit(
        &mut self,
        id: &'a str,
        (again, rows): (bool, u64),
        now: Duration,
    ) -> Result<(), String> {
        let known = self.transactions.entry(id).or_default();
        if known.aborted.is_some() {
            return Err(format!("{id} was committed, and is aborted"));
        }
        let Some((_, checkpoint, prepared)) = known.prepared else {
            return Err(format!("{id} was committed, and nobody prepared it"));
        };
        match (known.committed, again) {
            (Some(_), true) => return Ok(()),
            (Some(_), false) => return Err(format!("{id} was committed twice")),
            (None, true) => return Err(format!("{id} is called committed, and was not")),
            (None, false) => known.committed = Some(now),
        }
        if prepared != rows {
            return Err(format!("{id} was prepared with {prepared} rows, committed with {rows}"));
        }
        // The end of a job without checkpoints is later than any of them.
        let last = CheckpointId(u64::MAX);
        let complete = job_of(id).and_then(|job| self.complete.get(&job));
        let saved = job_of(id).and_then(|job| self.saved.get(&job));
        // A transaction of an aborted checkpoint is listed by the next that completes.
        let mut covering = complete.into_iter().chain(saved);
        let covered = covering.any(|of_job| of_job.last() >= Some(&checkpoint));
        match covered || checkpoint == last {
            true => Ok(()),
            false => Err(format!("{id} was committed before checkpoint {checkpoint} completed")),
        }
    }

    /// What should have been committed by now: at the end of a job everything that a completed
    /// checkpoint holds; in the middle all but what belongs to the newest one.
    fn left(&self, finished: bool) -> Option<Broken> {
        let due = |id: &str, checkpoint: CheckpointId| {
            let complete = job_of(id).and_then(|job| self.complete.get(&job));
            let newest = complete.and_then(BTreeSet::last);
            newest.is_some_and(
                |newest| if finished { checkpoint <= *newest } else { checkpoint < *newest },
            )
        };
        self.transactions.iter().find_map(|(id, transaction)| {
            let (at, checkpoint, rows) = transaction.prepared?;
            if transaction.committed.is_some() {
                let shown = transaction.shown;
                return (shown != rows).then(|| {
                    Broken::at(at, format!("{id} holds {rows} rows, and {shown} became visible"))
                });
            }
            let what = match (due(id, checkpoint), transaction.aborted) {
                (false, _) => return None,
                (true, None) if self.is_spared(id, checkpoint) => return None,
                (true, Some(_)) if !self.was_complete(id, checkpoint) => return None,
                (true, Some(_)) => "was aborted",
                (true, None) => "was never committed",
            };
            Some(Broken::at(at, format!("{id} of completed checkpoint {checkpoint} {what}")))
        })
    }

    /// Whether a transaction stays for a savepoint and for nothing else: its attempt died before it
    /// completed a checkpoint that lists it.
    fn is_spared(&self, id: &str, checkpoint: CheckpointId) -> bool {
        let Some((job, attempt)) = job_of(id).zip(attempt_of(id)) else { return false };
        let listed = self.newest.get(&(job, attempt.0, attempt.1));
        let saved = self.saved.get(&job).and_then(BTreeSet::last);
        saved >= Some(&checkpoint) && listed.is_none_or(|listed| *listed < checkpoint)
    }

    /// Whether the very checkpoint of a transaction completed.
    fn was_complete(&self, id: &str, checkpoint: CheckpointId) -> bool {
        let complete = job_of(id).and_then(|job| self.complete.get(&job));
        complete.is_some_and(|of_job| of_job.contains(&checkpoint))
    }
}

/// The term and the attempt in a transaction's name: `JOB/SINK/INDEX/e1a2/NUMBER`.
fn attempt_of(id: &str) -> Option<(JobEpoch, Attempt)> {
    let (epoch, attempt) = id.rsplit('/').nth(1)?.strip_prefix('e')?.split_once('a')?;
    Some((JobEpoch(epoch.parse().ok()?), Attempt(attempt.parse().ok()?)))
}

/// The job that a transaction's name begins with.
pub(super) fn job_of(id: &str) -> Option<JobId> {
    id.split_once('/')?.0.parse().ok()
}
