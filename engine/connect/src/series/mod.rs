//! The series database: points by (series, key, time), as InfluxDB keeps them, and the sink that
//! writes them. A later point with the same row key takes the earlier one's place in the table and
//! never in the ledger, where every write stays. On disk: [`disk`]; over the network: [`serve`];
//! what is to be seen all at once or not at all: [`transaction`].

use std::fmt;

use serde::{Deserialize, Serialize};
use slackwater_core::point::{FieldValue, Point};
use slackwater_core::time::EventTime;

mod courier;
pub mod disk;
mod memory;
mod naive;
mod reader;
mod server;
mod sink;
pub mod transaction;
mod transactional;

pub use memory::{MemoryStore, Write};
pub use naive::{NaiveSeries, NaiveWriter};
pub use reader::rows;
pub use server::{SeriesServer, serve};
pub use sink::{SeriesSink, SeriesWriter, sink};
pub use transactional::{TransactionalSeries, TransactionalWriter};

use transaction::{Happened, OpenTransaction, Party, Refusal, Step};

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
    /// Takes the points of one request, all or none; says of each what stood in its place.
    ///
    /// # Errors
    /// If the store cannot keep them; the writer is told these words.
    fn write(&self, writer: &str, points: &[Point]) -> Result<Vec<Stood>, StoreError>;

    /// The visible rows of a series from `since` on, sorted by key and time.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn rows(&self, series: &str, since: EventTime) -> Result<Vec<Point>, StoreError>;

    /// Makes one step of a transaction, all of it or nothing, by the rules of [`transaction`]; says
    /// what has changed.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing has changed then.
    fn step(&self, party: &Party, step: Step) -> Result<Vec<Happened>, Refusal>;

    /// The transactions that are neither committed nor aborted, sorted by name: what nobody sees.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn open_transactions(&self) -> Result<Vec<OpenTransaction>, StoreError>;
}

/// What stood at a row key when a point took its place.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stood {
    /// Nothing.
    Nothing,
    /// The same fields: a replay.
    Same,
    /// Other fields: what was seen before was taken back.
    Other,
}

impl Stood {
    /// What `before` is to whoever writes `now`.
    fn between<F: PartialEq>(before: Option<&F>, now: &F) -> Self {
        match before {
            None => Self::Nothing,
            Some(before) if before == now => Self::Same,
            Some(_) => Self::Other,
        }
    }

    /// Whether a row stood there.
    pub fn overwrote(self) -> bool {
        self != Self::Nothing
    }

    /// Whether a row with another value stood there.
    pub fn differs(self) -> bool {
        self == Self::Other
    }
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

#[cfg(test)]
mod tests;
