//! A series store in one file, durable when a write returns, and its reading back as CSV.
//! The one room that opens a file by itself: only processes of the real world use it, the
//! simulated one keeps [`super::MemoryStore`]. Rows and ledger are two tables of one transaction.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use serde::de::DeserializeOwned;
use slackwater_core::codec::{decode_message, encode_message};
use slackwater_core::point::{FieldValue, Point};
use slackwater_core::time::EventTime;

use super::transaction::{self, Happened, OpenTransaction, Party, Refusal, Step};
use super::{SeriesStore, Stood, StoreError, check};

mod shelf;

use shelf::Change;

type Fields = Vec<(String, FieldValue)>;

/// Series, time and key to encoded fields: points come in the order of time, more or less, and a
/// tree is cheap to grow at its end.
const ROWS: TableDefinition<'_, (&str, i64, &str), &[u8]> = TableDefinition::new("rows");
/// Position to an encoded request: its writer, its transaction or none, and each point with what
/// stood in its place.
const LEDGER: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("ledger");

const CACHE_BYTES: usize = 64 << 20;

/// A store on disk. Clones share one open file.
#[derive(Clone)]
pub struct DiskStore(Arc<Database>);

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskStore")
    }
}

impl DiskStore {
    /// Opens the file, creating it if there is none.
    ///
    /// # Errors
    /// If it cannot be opened, is no series store, or another process has it open.
    pub fn create(file: &Path) -> Result<Self, StoreError> {
        let words = |error: redb::Error| refusal(file, &error);
        let mut builder = Database::builder();
        let database = builder
            .set_cache_size(CACHE_BYTES)
            .create(file)
            .map_err(|error| words(error.into()))?;
        Self::tables(&database).map_err(words)?;
        Ok(Self(Arc::new(database)))
    }

    /// Opens a file that exists.
    ///
    /// # Errors
    /// If it does not, or as [`DiskStore::create`].
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let words = |error: redb::Error| refusal(file, &error);
        let database = Database::open(file).map_err(|error| words(error.into()))?;
        Self::tables(&database).map_err(words)?;
        Ok(Self(Arc::new(database)))
    }

    fn tables(database: &Database) -> Result<(), redb::Error> {
        let change = database.begin_write()?;
        change.open_table(ROWS)?;
        change.open_table(LEDGER)?;
        shelf::tables(&change)?;
        Ok(change.commit()?)
    }

    fn keep(&self, writer: &str, points: &[Point]) -> Result<Vec<Stood>, redb::Error> {
        let change = self.0.begin_write()?;
        let stood = show(&change, (writer, ""), points)?;
        change.commit()?;
        Ok(stood)
    }

    fn read(&self, series: Option<&str>, since: EventTime) -> Result<Vec<Point>, redb::Error> {
        let view = self.0.begin_read()?;
        let rows = view.open_table(ROWS)?;
        let mut points = Vec::new();
        for row in rows.range((series.unwrap_or_default(), since.as_millis(), "")..)? {
            let (place, fields) = row?;
            let (of, millis, key) = place.value();
            if series.is_some_and(|series| series != of) {
                break;
            }
            let fields: Fields = decoded(fields.value())?;
            let time = EventTime::from_millis(millis);
            points.push(Point { series: of.to_owned(), key: key.to_owned(), time, fields });
        }
        points.sort_by(|a, b| (&a.series, &a.key, a.time).cmp(&(&b.series, &b.key, b.time)));
        Ok(points)
    }

    /// The visible rows of one series, or of all, sorted by row key.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn export(&self, series: Option<&str>) -> Result<Vec<Point>, StoreError> {
        self.read(series, EventTime::MIN).map_err(words)
    }
}

/// Makes points visible within a change, and writes them to the ledger.
fn show(
    change: &WriteTransaction,
    (writer, transaction): (&str, &str),
    points: &[Point],
) -> Result<Vec<Stood>, redb::Error> {
    let mut rows = change.open_table(ROWS)?;
    let mut stood = Vec::with_capacity(points.len());
    for point in points {
        let key = (point.series.as_str(), point.time.as_millis(), point.key.as_str());
        let fields = encoded(&point.fields)?;
        let before = rows.insert(key, fields.as_slice())?;
        let before = before.as_ref().map(redb::AccessGuard::value);
        stood.push(Stood::between(before.as_ref(), &fields.as_slice()));
    }
    let mut ledger = change.open_table(LEDGER)?;
    let next = ledger.last()?.map_or(0, |(at, _)| at.value() + 1);
    let written: Vec<_> = points.iter().zip(&stood).collect();
    ledger.insert(next, encoded(&(writer, transaction, written))?.as_slice())?;
    Ok(stood)
}

fn words(error: impl Into<redb::Error>) -> StoreError {
    StoreError(error.into().to_string())
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    decode_message(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn encoded(value: &impl serde::Serialize) -> Result<Vec<u8>, redb::Error> {
    encode_message(value).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn refusal(file: &Path, error: &redb::Error) -> StoreError {
    let file = file.display();
    StoreError(match error {
        redb::Error::DatabaseAlreadyOpen => {
            format!("{file} is open in another process: stop that, or use another --data folder")
        }
        redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
            format!("{file}: {error}")
        }
        other => format!("{file} is not a series store that can be read: {other}"),
    })
}

impl SeriesStore for DiskStore {
    fn write(&self, writer: &str, points: &[Point]) -> Result<Vec<Stood>, StoreError> {
        points.iter().try_for_each(check)?;
        self.keep(writer, points).map_err(words)
    }

    fn rows(&self, series: &str, since: EventTime) -> Result<Vec<Point>, StoreError> {
        self.read(Some(series), since).map_err(words)
    }

    fn step(&self, party: &Party, step: Step) -> Result<Vec<Happened>, Refusal> {
        let mut change = self.0.begin_write().map_err(words)?;
        if matches!(step, Step::Stage { .. }) {
            // What is staged must last from its preparation on, which is durable with all before it.
            change
                .set_durability(Durability::None)
                .map_err(|error| StoreError(error.to_string()))?;
        }
        let happened = transaction::step(&mut Change(&change), party, step)?;
        change.commit().map_err(words)?;
        Ok(happened)
    }

    fn open_transactions(&self) -> Result<Vec<OpenTransaction>, StoreError> {
        shelf::open_transactions(&self.0).map_err(words)
    }
}

/// Writes points as CSV: `series,key,time_ms` and one column per field name, sorted.
///
/// # Errors
/// If `out` refuses.
pub fn write_csv(points: &[Point], out: impl io::Write) -> io::Result<()> {
    let names: BTreeSet<&str> =
        points.iter().flat_map(|point| &point.fields).map(|(name, _)| name.as_str()).collect();
    let mut csv = csv::Writer::from_writer(out);
    let head = ["series", "key", "time_ms"];
    csv.write_record(head.into_iter().chain(names.iter().copied()))?;
    for point in points {
        let value = |name: &str| {
            let field = point.fields.iter().find(|(field, _)| field == name);
            field.map_or(String::new(), |(_, value)| plain(value))
        };
        let time = point.time.to_string();
        let row = [point.series.clone(), point.key.clone(), time];
        csv.write_record(row.into_iter().chain(names.iter().map(|name| value(name))))?;
    }
    csv.flush()
}

/// A field value without the marks of its type.
fn plain(value: &FieldValue) -> String {
    match value {
        FieldValue::Float(float) => format!("{float:?}"),
        FieldValue::Integer(integer) => integer.to_string(),
        FieldValue::Text(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(key: &str, time: i64, value: f64) -> Point {
        let time = EventTime::from_millis(time);
        let fields = vec![("value".to_owned(), value.into())];
        Point { series: "sensors".into(), key: key.into(), time, fields }
    }

    #[test]
    fn what_was_written_is_there_after_reopening_and_a_row_stands_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("series.redb");
        let store = DiskStore::create(&file).expect("creates");
        let written = store.write("w", &[point("b", -5, 1.0), point("a", 7, 0.1)]);
        assert_eq!(written, Ok(vec![Stood::Nothing; 2]));
        assert_eq!(store.write("w", &[point("a", 7, 0.3)]), Ok(vec![Stood::Other]));
        assert_eq!(store.write("w", &[point("a", 7, 0.3)]), Ok(vec![Stood::Same]));
        assert!(DiskStore::open(&file).is_err_and(|error| error.0.contains("another process")));
        drop(store);
        let rows = DiskStore::open(&file).expect("opens").export(Some("sensors")).expect("reads");
        assert_eq!(rows, [point("a", 7, 0.3), point("b", -5, 1.0)]);
        let store = DiskStore::open(&file).expect("opens");
        assert_eq!(store.rows("sensors", EventTime::from_millis(0)), Ok(vec![point("a", 7, 0.3)]));
        assert_eq!(store.rows("sensor", EventTime::MIN), Ok(vec![]));
        let mut csv = Vec::new();
        write_csv(&rows, &mut csv).expect("memory");
        let text = "series,key,time_ms,value\nsensors,a,7,0.3\nsensors,b,-5,1.0\n";
        assert_eq!(String::from_utf8_lossy(&csv), text);
    }
}
