//! A series store in memory: the table beside the ledger, and the transactions between the two.
//! Forgets everything with its last clone, and nothing before. The rules of transactions are in
//! [`super::transaction`]; the store that lasts is [`super::disk`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slackwater_core::id::CheckpointId;
use slackwater_core::point::Point;
use slackwater_core::time::EventTime;

use super::transaction::{
    self, Happened, OpenTransaction, Party, Pending, Refusal, Shelf, Step, Term,
};
use super::{RowKey, SeriesStore, Stood, StoreError, check, row_key};

/// One write, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Who wrote: the sink's uid and execution.
    pub writer: String,
    /// The transaction that showed it; empty if there was none.
    pub transaction: String,
    /// What.
    pub point: Point,
    /// What stood in its place.
    pub stood: Stood,
}

/// A store in memory: the table beside the ledger. Clones share their content, so that it can
/// outlive the node that serves it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    ledger: Vec<Write>,
    /// By row key: the position in the ledger of the write that is visible.
    table: BTreeMap<RowKey, usize>,
    terms: BTreeMap<String, Term>,
    pending: BTreeMap<String, (Pending, Vec<Point>)>,
    committed: BTreeMap<String, (CheckpointId, u64)>,
}

impl MemoryStore {
    /// Every write since the start, in the order of arrival.
    pub fn ledger(&self) -> Vec<Write> {
        self.kept().ledger.clone()
    }

    /// The visible rows of every series, sorted by row key.
    pub fn table(&self) -> Vec<Point> {
        let kept = self.kept();
        kept.table.values().map(|&at| kept.ledger[at].point.clone()).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeriesStore for MemoryStore {
    fn write(&self, writer: &str, points: &[Point]) -> Result<Vec<Stood>, StoreError> {
        points.iter().try_for_each(check)?;
        self.kept().show((writer, ""), points)
    }

    fn rows(&self, series: &str, since: EventTime) -> Result<Vec<Point>, StoreError> {
        let kept = self.kept();
        let first = (series.to_owned(), String::new(), EventTime::MIN);
        let rows = kept.table.range(first..).take_while(|(key, _)| key.0 == series);
        let rows = rows.filter(|(key, _)| key.2 >= since);
        Ok(rows.map(|(_, &at)| kept.ledger[at].point.clone()).collect())
    }

    fn step(&self, party: &Party, step: Step) -> Result<Vec<Happened>, Refusal> {
        transaction::step(&mut *self.kept(), party, step)
    }

    fn open_transactions(&self) -> Result<Vec<OpenTransaction>, StoreError> {
        Ok(self.kept().pending.values().map(|(pending, _)| pending.open.clone()).collect())
    }
}

impl Shelf for Kept {
    fn term(&self, group: &str) -> Result<Option<Term>, StoreError> {
        Ok(self.terms.get(group).copied())
    }

    fn set_term(&mut self, group: &str, term: Term) -> Result<(), StoreError> {
        self.terms.insert(group.to_owned(), term);
        Ok(())
    }

    fn pending(&self, id: &str) -> Result<Option<Pending>, StoreError> {
        Ok(self.pending.get(id).map(|(pending, _)| pending.clone()))
    }

    fn pendings(&self, group: &str) -> Result<Vec<Pending>, StoreError> {
        let of_group = self.pending.range(group.to_owned()..);
        let of_group = of_group.take_while(|(id, _)| id.starts_with(group));
        Ok(of_group.map(|(_, (pending, _))| pending.clone()).collect())
    }

    fn set_pending(&mut self, pending: &Pending) -> Result<(), StoreError> {
        let id = pending.open.id.clone();
        let kept = self.pending.entry(id).or_insert_with(|| (pending.clone(), Vec::new()));
        kept.0.clone_from(pending);
        Ok(())
    }

    fn stage(&mut self, id: &str, points: Vec<Point>) -> Result<(), StoreError> {
        if let Some((_, staged)) = self.pending.get_mut(id) {
            staged.extend(points);
        }
        Ok(())
    }

    fn take(&mut self, id: &str) -> Result<Vec<Point>, StoreError> {
        Ok(self.pending.remove(id).map(|(_, staged)| staged).unwrap_or_default())
    }

    fn committed(&self, id: &str) -> Result<Option<(CheckpointId, u64)>, StoreError> {
        Ok(self.committed.get(id).copied())
    }

    fn set_committed(&mut self, id: &str, of: (CheckpointId, u64)) -> Result<(), StoreError> {
        self.committed.insert(id.to_owned(), of);
        Ok(())
    }

    fn show(
        &mut self,
        (writer, transaction): (&str, &str),
        points: &[Point],
    ) -> Result<Vec<Stood>, StoreError> {
        let mut stood = Vec::with_capacity(points.len());
        for point in points {
            let at = self.ledger.len();
            let before = self.table.insert(row_key(point), at).map(|at| &self.ledger[at].point);
            let was = Stood::between(before.map(|before| &before.fields), &point.fields);
            let (writer, transaction) = (writer.to_owned(), transaction.to_owned());
            self.ledger.push(Write { writer, transaction, point: point.clone(), stood: was });
            stood.push(was);
        }
        Ok(stood)
    }
}
