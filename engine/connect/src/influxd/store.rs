//! The rows of a served InfluxDB: databases in one redb file, or in memory.
//! Never confirms what is not durable, and never changes half of a request. What is asked of it:
//! [`super::select`] and [`super::show`]; what a row is: [`super::Row`].

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use slackwater_core::codec::{decode_message, encode_message};

use super::condition::Span;
use super::{Fields, Kind, Row, Series, Tags};
use crate::series::{Stood, StoreError};

/// So many series a database has at most, as with InfluxDB.
const SERIES_MAX: u64 = 1_000_000;

/// The names of databases.
const DATABASES: TableDefinition<'_, &str, ()> = TableDefinition::new("databases");

/// A measurement and the key of a series to its tags.
type SeriesTable<'a> = TableDefinition<'a, (&'static str, &'static str), &'static [u8]>;
/// A measurement and a field to the field's type.
type KindTable<'a> = TableDefinition<'a, (&'static str, &'static str), &'static [u8]>;
/// The key of a series and a time to fields.
type RowTable<'a> = TableDefinition<'a, (&'static str, i64), &'static [u8]>;

/// The types of a measurement's fields.
pub(super) type Kinds = std::collections::BTreeMap<String, Kind>;

/// Databases. Clones share them.
#[derive(Clone)]
pub struct Store(Arc<Database>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// What became of rows that were to be kept.
#[derive(Debug, PartialEq)]
pub(super) struct Written {
    /// The rows that are kept, each with what stood in its place.
    pub kept: Vec<(Row, Stood)>,
    /// Why the first of the others was dropped, and how many were.
    pub dropped: Option<(String, usize)>,
}

impl Store {
    /// Opens the databases in a file, which is made if there is none.
    ///
    /// # Errors
    /// If it cannot be opened, is no such file, or another process has it open.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let told = |error: redb::Error| {
            let file = file.display();
            StoreError(match error {
                redb::Error::DatabaseAlreadyOpen => {
                    format!("{file} is open in another process: stop that, or use another folder")
                }
                other => format!("{file} cannot be opened as a database: {other}"),
            })
        };
        Self::of(Database::create(file).map_err(redb::Error::from)).map_err(told)
    }

    /// Databases that end with the last clone.
    pub fn memory() -> Self {
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        Self::of(database.map_err(redb::Error::from)).expect("memory refuses nothing")
    }

    fn of(database: Result<Database, redb::Error>) -> Result<Self, redb::Error> {
        let database = database?;
        let change = database.begin_write()?;
        change.open_table(DATABASES)?;
        change.commit()?;
        Ok(Self(Arc::new(database)))
    }

    /// Makes a database if it is not there.
    pub(super) fn create(&self, name: &str) -> Result<(), StoreError> {
        self.change(|change| Ok(change.open_table(DATABASES)?.insert(name, ()).map(drop)?))
    }

    /// Forgets a database and all it holds.
    pub(super) fn drop(&self, name: &str) -> Result<(), StoreError> {
        self.change(|change| {
            change.open_table(DATABASES)?.remove(name)?;
            let names = Names::of(name);
            change.delete_table(names.series())?;
            change.delete_table(names.kinds())?;
            change.delete_table(names.rows())?;
            Ok(())
        })
    }

    /// Forgets a measurement, if it is there.
    pub(super) fn drop_measurement(&self, database: &str, of: &str) -> Result<(), StoreError> {
        let names = Names::of(database);
        self.change(|change| {
            let mut all = change.open_table(names.series())?;
            let mut rows = change.open_table(names.rows())?;
            let keys: Vec<String> = entries(&all, of)?.into_iter().map(|(key, _)| key).collect();
            for key in keys {
                all.remove((of, key.as_str()))?;
                rows.retain_in((key.as_str(), i64::MIN)..=(key.as_str(), i64::MAX), |_, _| false)?;
            }
            let mut kinds = change.open_table(names.kinds())?;
            for (field, _) in entries(&kinds, of)? {
                kinds.remove((of, field.as_str()))?;
            }
            Ok(())
        })
    }

    /// Keeps rows, durably. A row whose field has another type than before is dropped.
    pub(super) fn write(&self, database: &str, rows: Vec<Row>) -> Result<Written, StoreError> {
        let mut written = Written { kept: Vec::new(), dropped: None };
        self.change(|change| {
            let names = Names::of(database);
            let mut keeper = Keeper {
                series: change.open_table(names.series())?,
                kinds: change.open_table(names.kinds())?,
                rows: change.open_table(names.rows())?,
            };
            for row in rows {
                match keeper.keep(&row)? {
                    Ok(stood) => written.kept.push((row, stood)),
                    Err(why) => written.dropped.get_or_insert((why, 0)).1 += 1,
                }
            }
            Ok(())
        })?;
        Ok(written)
    }

    fn change(
        &self,
        act: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let acted = || {
            let change = self.0.begin_write()?;
            act(&change)?;
            Ok::<_, redb::Error>(change.commit()?)
        };
        acted().map_err(words)
    }

    /// The names of the databases, sorted.
    pub(super) fn databases(&self) -> Result<Vec<String>, StoreError> {
        let read = || {
            let names = self.0.begin_read()?.open_table(DATABASES)?;
            let all = names.iter()?.map(|name| Ok(name?.0.value().to_owned()));
            all.collect::<Result<_, redb::Error>>()
        };
        read().map_err(words)
    }

    /// A database as it is now; `None` if there is none of this name.
    pub(super) fn view(&self, database: &str) -> Result<Option<View>, StoreError> {
        let open = || {
            let read = self.0.begin_read()?;
            if read.open_table(DATABASES)?.get(database)?.is_none() {
                return Ok(None);
            }
            let names = Names::of(database);
            let series = opened(read.open_table(names.series()))?;
            let kinds = opened(read.open_table(names.kinds()))?;
            let rows = opened(read.open_table(names.rows()))?;
            Ok::<_, redb::Error>(Some(View { _read: read, series, kinds, rows }))
        };
        open().map_err(words)
    }
}

/// A table that nothing was written to is not there.
fn opened<T>(table: Result<T, TableError>) -> Result<Option<T>, redb::Error> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The names of a database's tables.
struct Names([String; 3]);

impl Names {
    fn of(database: &str) -> Self {
        Self(["series", "kinds", "rows"].map(|what| format!("{what} of {database}")))
    }

    fn series(&self) -> SeriesTable<'_> {
        TableDefinition::new(&self.0[0])
    }

    fn kinds(&self) -> KindTable<'_> {
        TableDefinition::new(&self.0[1])
    }

    fn rows(&self) -> RowTable<'_> {
        TableDefinition::new(&self.0[2])
    }
}

type Pairs<'t> = redb::Table<'t, (&'static str, &'static str), &'static [u8]>;

/// The tables of a database, while they are written.
struct Keeper<'t> {
    series: Pairs<'t>,
    kinds: Pairs<'t>,
    rows: redb::Table<'t, (&'static str, i64), &'static [u8]>,
}

impl Keeper<'_> {
    /// Keeps a row beside the fields that stand there already, or says why not.
    fn keep(&mut self, row: &Row) -> Result<Result<Stood, String>, redb::Error> {
        let of = row.series.measurement.as_str();
        for (field, value) in &row.fields {
            let known: Option<Kind> = get(&self.kinds, (of, field))?;
            if let Some(known) = known.filter(|known| *known != value.kind()) {
                let (is, was) = (value.kind().name(), known.name());
                return Ok(Err(format!(
                    "field type conflict: input field \"{field}\" on measurement \"{of}\" is type \
                     {is}, already exists as type {was}"
                )));
            }
        }
        let key = row.series.key();
        if self.series.get((of, key.as_str()))?.is_none() {
            if redb::ReadableTableMetadata::len(&self.series)? >= SERIES_MAX {
                let words = format!("max-series-per-database limit exceeded: ({SERIES_MAX})");
                return Ok(Err(words));
            }
            self.series.insert((of, key.as_str()), encoded(&row.series.tags)?.as_slice())?;
        }
        for (field, value) in &row.fields {
            self.kinds.insert((of, field.as_str()), encoded(&value.kind())?.as_slice())?;
        }
        let place = (key.as_str(), row.time);
        let before: Option<Fields> = match self.rows.get(place)? {
            Some(fields) => Some(decoded(fields.value())?),
            None => None,
        };
        let mut fields = before.clone().unwrap_or_default();
        fields.extend(row.fields.clone());
        let stood = match &before {
            None => Stood::Nothing,
            Some(before) if *before == fields => Stood::Same,
            Some(_) => Stood::Other,
        };
        self.rows.insert(place, encoded(&fields)?.as_slice())?;
        Ok(Ok(stood))
    }
}

/// A database as it was when it was looked at.
pub(super) struct View {
    _read: ReadTransaction,
    series: Option<ReadOnlyTable<(&'static str, &'static str), &'static [u8]>>,
    kinds: Option<ReadOnlyTable<(&'static str, &'static str), &'static [u8]>>,
    rows: Option<ReadOnlyTable<(&'static str, i64), &'static [u8]>>,
}

impl View {
    /// The names of the measurements, sorted.
    pub fn measurements(&self) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> = Vec::new();
        let Some(series) = &self.series else { return Ok(names) };
        loop {
            // What comes behind all series of the last measurement.
            let behind = names.last().map_or(String::new(), |name| format!("{name}\0"));
            let mut rest = series.range((behind.as_str(), "")..).map_err(words)?;
            match rest.next() {
                Some(next) => names.push(next.map_err(words)?.0.value().0.to_owned()),
                None => return Ok(names),
            }
        }
    }

    /// The series of a measurement, sorted by their keys.
    pub fn series(&self, of: &str) -> Result<Vec<Series>, StoreError> {
        let Some(table) = &self.series else { return Ok(Vec::new()) };
        let read = || {
            let all = entries(table, of)?.into_iter();
            let all = all.map(|(_, tags)| {
                let tags: Tags = decoded(&tags)?;
                Ok(Series { measurement: of.to_owned(), tags })
            });
            all.collect::<Result<_, redb::Error>>()
        };
        read().map_err(words)
    }

    /// The fields of a measurement.
    pub fn kinds(&self, of: &str) -> Result<Kinds, StoreError> {
        let Some(table) = &self.kinds else { return Ok(Kinds::new()) };
        let read = || {
            let all = entries(table, of)?.into_iter();
            all.map(|(field, kind)| Ok((field, decoded(&kind)?)))
                .collect::<Result<_, redb::Error>>()
        };
        read().map_err(words)
    }

    /// Shows the rows of a series within a span of time, in the order of time, until `see` has had
    /// enough.
    pub fn rows(
        &self,
        series: &Series,
        span: Span,
        mut see: impl FnMut(i64, Fields) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(table) = &self.rows else { return Ok(()) };
        if span.from > span.to {
            return Ok(());
        }
        let key = series.key();
        let told = |error: redb::Error| words(error).to_string();
        let bounds = (key.as_str(), span.from)..=(key.as_str(), span.to);
        for row in table.range(bounds).map_err(|error| told(error.into()))? {
            let (place, fields) = row.map_err(|error| told(error.into()))?;
            see(place.value().1, decoded(fields.value()).map_err(told)?)?;
        }
        Ok(())
    }
}

/// What stands behind a measurement: names and bytes, sorted by name.
fn entries(
    table: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
    of: &str,
) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
    let mut all = Vec::new();
    for entry in table.range((of, "")..)? {
        let (key, value) = entry?;
        if key.value().0 != of {
            break;
        }
        all.push((key.value().1.to_owned(), value.value().to_owned()));
    }
    Ok(all)
}

fn get<T: DeserializeOwned>(
    table: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
    (of, name): (&str, &str),
) -> Result<Option<T>, redb::Error> {
    match table.get((of, name))? {
        Some(value) => decoded(value.value()).map(Some),
        None => Ok(None),
    }
}

fn words(error: impl Into<redb::Error>) -> StoreError {
    StoreError(error.into().to_string())
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    decode_message(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn encoded(value: &impl Serialize) -> Result<Vec<u8>, redb::Error> {
    encode_message(value).map_err(|error| redb::Error::Corrupted(error.to_string()))
}
