//! Transactions of the series database: points that are staged, then prepared, then seen at once.
//! The rules alone, the same for every store: who may do what, and what a repeated request does.
//! Never keeps anything itself: a [`Shelf`] does, in memory or on disk. Asked by [`super::sink`].

use std::fmt;

use serde::{Deserialize, Serialize};
use slackwater_core::graph::Uid;
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch};
use slackwater_core::point::Point;

use super::{Stood, StoreError, check};

/// Who asks: one subtask of a sink, in one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The sink's uid.
    pub uid: Uid,
    /// Which execution.
    pub task: Execution,
    /// How many subtasks the sink has: after a change, subtask i answers for the old subtasks j
    /// with j mod parallelism = i.
    pub parallelism: u32,
}

impl Party {
    /// The name beside what it writes: uid, subtask and attempt.
    pub fn writer(&self) -> String {
        format!("{} {}", self.uid, self.task)
    }

    /// What the ids of its sink's transactions begin with: no other job or sink has them.
    fn group(&self) -> String {
        // No uid may look like the beginning of another's names.
        let uid = self.uid.0.replace('%', "%25").replace('/', "%2f");
        format!("{}/{uid}/", self.task.job)
    }

    /// The name of its how-manieth transaction.
    pub fn transaction(&self, number: u64) -> String {
        let Execution { epoch, attempt, subtask, .. } = self.task;
        format!("{}{}/e{epoch}a{attempt}/{number}", self.group(), subtask.index)
    }

    fn term(&self) -> Term {
        (self.task.epoch, self.task.attempt)
    }
}

/// What decides which of two attempts is the newer one.
pub(super) type Term = (JobEpoch, Attempt);

/// What a party asks of the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Adds points to a transaction; the first ones open it.
    Stage {
        /// Its name; see [`Party::transaction`].
        id: String,
        /// What it will show.
        points: Vec<Point>,
    },
    /// Ends an open transaction: all of it is durable, and nobody sees it.
    Prepare {
        /// Its name.
        id: String,
        /// Whose barrier ended it.
        checkpoint: CheckpointId,
    },
    /// Shows prepared transactions, all of them or none. What is committed already stays so.
    Commit(Vec<String>),
    /// Forgets transactions that are not committed; unknown ones are forgotten already.
    Abort(Vec<String>),
    /// Begins an attempt: older ones may do nothing more, and what they left is aborted, but for what
    /// a snapshot lists.
    Recover {
        /// The transactions that the checkpoint lists with which the attempt begins.
        listed: Vec<String>,
        /// Savepoints of the job that are complete: what was prepared for one, or before it, stays.
        spared: Vec<CheckpointId>,
    },
}

impl Step {
    /// The transaction that it is about, or the first of them.
    fn id(&self) -> &str {
        match self {
            Self::Stage { id, .. } | Self::Prepare { id, .. } => id,
            Self::Commit(ids) | Self::Abort(ids) | Self::Recover { listed: ids, .. } => {
                ids.first().map_or("", String::as_str)
            }
        }
    }
}

/// What a step has changed.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Happened {
    /// Points were added to a transaction.
    Staged { id: String, rows: u64 },
    /// A transaction is complete, durable and invisible.
    Prepared { id: String, checkpoint: CheckpointId, rows: u64 },
    /// A transaction became visible: its points, each with what stood in its place.
    Committed { id: String, checkpoint: CheckpointId, writer: String, shown: Vec<(Point, Stood)> },
    /// A transaction was committed before: nothing changed.
    CommittedAgain { id: String, checkpoint: CheckpointId, rows: u64 },
    /// A transaction is gone.
    Aborted { id: String, rows: u64 },
}

/// Why a step was refused; nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A newer attempt has begun: this one may change nothing more.
    Fenced {
        /// The transaction that it was about.
        id: String,
        /// Which attempts.
        cause: String,
    },
    /// A transaction that should be committed is not there: no restart brings it back.
    Lost(String),
    /// The request makes no sense, or the store cannot keep it.
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced { cause, .. } => f.write_str(cause),
            Self::Lost(words) => f.write_str(words),
            Self::Store(error) => error.fmt(f),
        }
    }
}

/// A transaction that is neither committed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTransaction {
    /// Its name.
    pub id: String,
    /// Who staged it.
    pub writer: String,
    /// How many points it holds.
    pub rows: u64,
    /// The checkpoint whose barrier ended it; `None` while it grows.
    pub prepared: Option<CheckpointId>,
}

/// What a shelf keeps of a transaction beside its points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub open: OpenTransaction,
    /// The index of the subtask that staged it.
    pub index: u32,
    pub term: Term,
}

/// Where transactions are kept while a step is made. A step that fails leaves no trace: what it
/// might refuse for, it asks before it changes anything.
pub(super) trait Shelf {
    /// The newest attempt that has begun, of the sink whose transactions begin so.
    fn term(&self, group: &str) -> Result<Option<Term>, StoreError>;
    fn set_term(&mut self, group: &str, term: Term) -> Result<(), StoreError>;
    fn pending(&self, id: &str) -> Result<Option<Pending>, StoreError>;
    /// Every pending transaction whose name begins so.
    fn pendings(&self, group: &str) -> Result<Vec<Pending>, StoreError>;
    fn set_pending(&mut self, pending: &Pending) -> Result<(), StoreError>;
    /// Adds points behind those that are staged.
    fn stage(&mut self, id: &str, points: Vec<Point>) -> Result<(), StoreError>;
    /// Takes a transaction and its points away.
    fn take(&mut self, id: &str) -> Result<Vec<Point>, StoreError>;
    /// The checkpoint and the rows of a transaction that was committed: remembered for ever.
    fn committed(&self, id: &str) -> Result<Option<(CheckpointId, u64)>, StoreError>;
    fn set_committed(&mut self, id: &str, of: (CheckpointId, u64)) -> Result<(), StoreError>;
    /// Makes points visible, and writes them to the ledger.
    fn show(&mut self, from: (&str, &str), points: &[Point]) -> Result<Vec<Stood>, StoreError>;
}

/// Makes one step: all of it or nothing.
pub(super) fn step(
    shelf: &mut impl Shelf,
    party: &Party,
    step: Step,
) -> Result<Vec<Happened>, Refusal> {
    let newest = shelf.term(&party.group())?;
    if let Some((epoch, attempt)) = newest.filter(|newest| *newest > party.term()) {
        let newer = format!("attempt {attempt} of epoch {epoch} has begun");
        let cause = format!("{} is of a dead attempt: {newer}", party.writer());
        return Err(Refusal::Fenced { id: step.id().to_owned(), cause });
    }
    match step {
        Step::Stage { id, points } => stage(shelf, party, id, points),
        Step::Prepare { id, checkpoint } => prepare(shelf, &id, checkpoint),
        Step::Commit(ids) => commit(shelf, &ids),
        Step::Abort(ids) => abort(shelf, &ids),
        Step::Recover { listed, spared } => {
            recover(shelf, party, Recovered { listed: &listed, spared: &spared })
        }
    }
}

fn stage(
    shelf: &mut impl Shelf,
    party: &Party,
    id: String,
    points: Vec<Point>,
) -> Result<Vec<Happened>, Refusal> {
    points.iter().try_for_each(check)?;
    if !id.starts_with(&party.group()) {
        let words = format!("transaction {id:?} is not one of {}", party.writer());
        return Err(StoreError(words).into());
    }
    let fresh =
        || OpenTransaction { id: id.clone(), writer: party.writer(), rows: 0, prepared: None };
    let known = shelf.pending(&id)?;
    let ended = known.as_ref().is_some_and(|known| known.open.prepared.is_some());
    if ended || shelf.committed(&id)?.is_some() {
        return Err(StoreError(format!("transaction {id:?} has ended: begin another")).into());
    }
    let (index, term) = (party.task.subtask.index, party.term());
    let mut pending = known.unwrap_or_else(|| Pending { open: fresh(), index, term });
    let rows = points.len() as u64;
    pending.open.rows += rows;
    shelf.set_pending(&pending)?;
    shelf.stage(&id, points)?;
    Ok(vec![Happened::Staged { id, rows }])
}

fn prepare(
    shelf: &mut impl Shelf,
    id: &str,
    checkpoint: CheckpointId,
) -> Result<Vec<Happened>, Refusal> {
    let Some(mut pending) = shelf.pending(id)? else {
        return Err(StoreError(format!("there is no transaction {id:?} to prepare")).into());
    };
    let before = *pending.open.prepared.get_or_insert(checkpoint);
    if before != checkpoint {
        let words = format!("transaction {id:?} was prepared for checkpoint {before}");
        return Err(StoreError(words).into());
    }
    shelf.set_pending(&pending)?;
    let rows = pending.open.rows;
    Ok(vec![Happened::Prepared { id: id.to_owned(), checkpoint, rows }])
}

fn commit(shelf: &mut impl Shelf, ids: &[String]) -> Result<Vec<Happened>, Refusal> {
    let mut due = Vec::new();
    for id in ids {
        due.push((id.clone(), committable(shelf, id)?));
    }
    let mut happened = Vec::new();
    for (id, due) in due {
        // Also for an id that the request names twice.
        if let Some((checkpoint, rows)) = shelf.committed(&id)? {
            happened.push(Happened::CommittedAgain { id, checkpoint, rows });
            continue;
        }
        let Some((checkpoint, writer)) = due else { continue };
        let points = shelf.take(&id)?;
        let stood = shelf.show((&writer, &id), &points)?;
        shelf.set_committed(&id, (checkpoint, points.len() as u64))?;
        let shown = points.into_iter().zip(stood).collect();
        happened.push(Happened::Committed { id, checkpoint, writer, shown });
    }
    Ok(happened)
}

/// What a commit of a transaction needs to know; `None` if it was committed before.
fn committable(shelf: &impl Shelf, id: &str) -> Result<Option<(CheckpointId, String)>, Refusal> {
    if shelf.committed(id)?.is_some() {
        return Ok(None);
    }
    let Some(pending) = shelf.pending(id)? else {
        let words = format!(
            "transaction {id:?} was to be committed and is not there: it was aborted, or this is \
             another database; its rows are lost"
        );
        return Err(Refusal::Lost(words));
    };
    match pending.open.prepared {
        Some(checkpoint) => Ok(Some((checkpoint, pending.open.writer))),
        None => Err(StoreError(format!("transaction {id:?} is not prepared")).into()),
    }
}

fn abort(shelf: &mut impl Shelf, ids: &[String]) -> Result<Vec<Happened>, Refusal> {
    let mut known = Vec::new();
    for id in ids {
        if shelf.committed(id)?.is_some() {
            let words = format!("transaction {id:?} is committed and cannot be aborted");
            return Err(StoreError(words).into());
        }
        known.extend(shelf.pending(id)?);
    }
    forget(shelf, known)
}

fn forget(
    shelf: &mut impl Shelf,
    transactions: impl IntoIterator<Item = Pending>,
) -> Result<Vec<Happened>, Refusal> {
    let mut happened = Vec::new();
    for Pending { open: OpenTransaction { id, rows, .. }, .. } in transactions {
        shelf.take(&id)?;
        happened.push(Happened::Aborted { id, rows });
    }
    Ok(happened)
}

/// What an attempt finds that is not to be aborted.
struct Recovered<'a> {
    listed: &'a [String],
    spared: &'a [CheckpointId],
}

impl Recovered<'_> {
    /// Whether a snapshot of the job lists it: the one that is restored, or a savepoint.
    fn keeps(&self, open: &OpenTransaction) -> bool {
        let spares = |prepared| self.spared.iter().any(|savepoint| prepared <= *savepoint);
        self.listed.contains(&open.id) || open.prepared.is_some_and(spares)
    }
}

/// Semantics rule 19: aborts only what dead attempts of the same job and sink have left, and of
/// that only what this subtask answers for.
fn recover(
    shelf: &mut impl Shelf,
    party: &Party,
    recovered: Recovered<'_>,
) -> Result<Vec<Happened>, Refusal> {
    shelf.set_term(&party.group(), party.term())?;
    let is_dead = |pending: &Pending| {
        pending.term < party.term()
            && pending.index % party.parallelism.max(1) == party.task.subtask.index
            && !recovered.keeps(&pending.open)
    };
    let dead: Vec<_> = shelf.pendings(&party.group())?.into_iter().filter(is_dead).collect();
    forget(shelf, dead)
}

#[cfg(test)]
mod tests;
