//! The series database: points by (series, key, time), as InfluxDB keeps them, and the sink that
//! writes them. A later point with the same row key takes the earlier one's place in the table and
//! never in the ledger, where every write stays. On disk: [`disk`]; over the network: [`serve`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slackwater_core::point::{FieldValue, Point};
use slackwater_core::time::EventTime;

pub mod disk;
mod server;
mod sink;

pub use server::{SeriesServer, serve};
pub use sink::{SeriesSink, SeriesWriter, sink};

/// Where the series database is reached unless a setting says otherwise.
pub const ADDRESS: &str = "db:8086";
/// The port of [`ADDRESS`].
pub const PORT: u16 = 8086;

/// What makes a point the same row as another: series, key, time.
pub type RowKey = (String, String, EventTime);

/// The row key of a point.
pub fn row_key(point: &Point) -> RowKey {
    (point.series.clone(), point.key.clone(), point.time)
}

/// Keeps points. Shared: every method takes `&self`.
pub trait SeriesStore: Send + Sync + 'static {
    /// Takes the points of one request, all or none; says of each whether its row stood already.
    ///
    /// # Errors
    /// If the store cannot keep them; the writer is told these words.
    fn write(&self, writer: &str, points: &[Point]) -> Result<Vec<bool>, StoreError>;

    /// The visible rows of a series from `since` on, sorted by key and time.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn rows(&self, series: &str, since: EventTime) -> Result<Vec<Point>, StoreError>;
}

/// Why a store refused: words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

/// A point that no database keeps, as InfluxDB refuses it: one without a finite value.
pub(crate) fn check(point: &Point) -> Result<(), StoreError> {
    for (name, value) in &point.fields {
        if matches!(value, FieldValue::Float(float) if !float.is_finite()) {
            let words = format!("point {point} has a field {name:?} that is not a finite number");
            return Err(StoreError(words));
        }
    }
    Ok(())
}

/// One write, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Who wrote: the sink's uid and execution.
    pub writer: String,
    /// What.
    pub point: Point,
    /// Whether a row with the same key stood there.
    pub overwrote: bool,
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
    fn write(&self, writer: &str, points: &[Point]) -> Result<Vec<bool>, StoreError> {
        points.iter().try_for_each(check)?;
        let mut kept = self.kept();
        let mut stood = Vec::with_capacity(points.len());
        for point in points {
            let at = kept.ledger.len();
            let overwrote = kept.table.insert(row_key(point), at).is_some();
            let (writer, point) = (writer.to_owned(), point.clone());
            kept.ledger.push(Write { writer, point, overwrote });
            stood.push(overwrote);
        }
        Ok(stood)
    }

    fn rows(&self, series: &str, since: EventTime) -> Result<Vec<Point>, StoreError> {
        let kept = self.kept();
        let first = (series.to_owned(), String::new(), EventTime::MIN);
        let rows = kept.table.range(first..).take_while(|(key, _)| key.0 == series);
        let rows = rows.filter(|(key, _)| key.2 >= since);
        Ok(rows.map(|(_, &at)| kept.ledger[at].point.clone()).collect())
    }
}

#[cfg(test)]
mod tests;
