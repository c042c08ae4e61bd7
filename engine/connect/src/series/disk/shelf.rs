//! The transactions of the store on disk: three tables and the staged points, in one change of the
//! database per step. Decides nothing: the rules are in [`super::transaction`]. Rows and ledger are
//! in [`super`].

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use slackwater_core::id::CheckpointId;
use slackwater_core::point::Point;

use super::super::transaction::{OpenTransaction, Pending, Shelf, Term};
use super::super::{Stood, StoreError};
use super::{decoded, encoded, show, words};

type Bytes = &'static [u8];

/// What a sink's transactions begin with, to its newest attempt.
const TERMS: TableDefinition<'_, &str, Bytes> = TableDefinition::new("terms");
/// Name to what is known of a pending transaction.
const PENDING: TableDefinition<'_, &str, Bytes> = TableDefinition::new("pending");
/// Name and position to the staged points of one request.
const STAGED: TableDefinition<'_, (&str, u64), Bytes> = TableDefinition::new("staged");
/// Name to checkpoint and rows; for ever.
const COMMITTED: TableDefinition<'_, &str, Bytes> = TableDefinition::new("committed");

/// Makes the tables that are not there.
pub(super) fn tables(change: &WriteTransaction) -> Result<(), redb::Error> {
    change.open_table(TERMS)?;
    change.open_table(PENDING)?;
    change.open_table(STAGED)?;
    change.open_table(COMMITTED)?;
    Ok(())
}

/// What is neither committed nor aborted.
pub(super) fn open_transactions(database: &Database) -> Result<Vec<OpenTransaction>, redb::Error> {
    let view = database.begin_read()?;
    let pending = view.open_table(PENDING)?;
    let mut open = Vec::new();
    for row in pending.iter()? {
        open.push(decoded::<Pending>(row?.1.value())?.open);
    }
    Ok(open)
}

/// A change of the database under way.
pub(super) struct Change<'a>(pub(super) &'a WriteTransaction);

impl Change<'_> {
    fn get<T: serde::de::DeserializeOwned>(
        &self,
        table: TableDefinition<'_, &'static str, Bytes>,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        let table = self.0.open_table(table).map_err(words)?;
        let found = table.get(key).map_err(words)?;
        found.map(|bytes| decoded(bytes.value())).transpose().map_err(words)
    }

    fn set(
        &self,
        table: TableDefinition<'_, &'static str, Bytes>,
        key: &str,
        value: &impl serde::Serialize,
    ) -> Result<(), StoreError> {
        let mut table = self.0.open_table(table).map_err(words)?;
        let bytes = encoded(value).map_err(words)?;
        table.insert(key, bytes.as_slice()).map_err(words)?;
        Ok(())
    }

    fn pendings(&self, group: &str) -> Result<Vec<Pending>, redb::Error> {
        let table = self.0.open_table(PENDING)?;
        let mut pendings = Vec::new();
        for row in table.range(group..)? {
            let (id, bytes) = row?;
            if !id.value().starts_with(group) {
                break;
            }
            pendings.push(decoded(bytes.value())?);
        }
        Ok(pendings)
    }

    fn stage(&self, id: &str, points: &[Point]) -> Result<(), redb::Error> {
        let mut staged = self.0.open_table(STAGED)?;
        let last = staged.range((id, 0)..=(id, u64::MAX))?.next_back().transpose()?;
        let next = last.map_or(0, |(place, _)| place.value().1 + 1);
        staged.insert((id, next), encoded(&points)?.as_slice())?;
        Ok(())
    }

    fn take(&self, id: &str) -> Result<Vec<Point>, redb::Error> {
        self.0.open_table(PENDING)?.remove(id)?;
        let mut staged = self.0.open_table(STAGED)?;
        let mut points = Vec::new();
        let all = (id, 0)..=(id, u64::MAX);
        for row in staged.extract_from_if(all, |_, _| true)? {
            points.extend(decoded::<Vec<Point>>(row?.1.value())?);
        }
        Ok(points)
    }
}

impl Shelf for Change<'_> {
    fn term(&self, group: &str) -> Result<Option<Term>, StoreError> {
        self.get(TERMS, group)
    }

    fn set_term(&mut self, group: &str, term: Term) -> Result<(), StoreError> {
        self.set(TERMS, group, &term)
    }

    fn pending(&self, id: &str) -> Result<Option<Pending>, StoreError> {
        self.get(PENDING, id)
    }

    fn pendings(&self, group: &str) -> Result<Vec<Pending>, StoreError> {
        Self::pendings(self, group).map_err(words)
    }

    fn set_pending(&mut self, pending: &Pending) -> Result<(), StoreError> {
        self.set(PENDING, &pending.open.id, pending)
    }

    fn stage(&mut self, id: &str, points: Vec<Point>) -> Result<(), StoreError> {
        Self::stage(self, id, &points).map_err(words)
    }

    fn take(&mut self, id: &str) -> Result<Vec<Point>, StoreError> {
        Self::take(self, id).map_err(words)
    }

    fn committed(&self, id: &str) -> Result<Option<(CheckpointId, u64)>, StoreError> {
        self.get(COMMITTED, id)
    }

    fn set_committed(&mut self, id: &str, of: (CheckpointId, u64)) -> Result<(), StoreError> {
        self.set(COMMITTED, id, &of)
    }

    fn show(&mut self, from: (&str, &str), points: &[Point]) -> Result<Vec<Stood>, StoreError> {
        show(self.0, from, points).map_err(words)
    }
}
