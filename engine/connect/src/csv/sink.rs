//! The CSV sink: one file, written through the host's files. A restart begins the file anew, and a
//! flush appends what came since the last one, durable when it returns. For a job with checkpoints
//! there is [`super::TransactionalCsv`].
//! Never sorts: rows stand in the order in which they arrive, which is the job's to give.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use slackwater_core::element::Batch;
use slackwater_dataflow::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Sink, SinkContract, SinkWriter,
};
use slackwater_runtime::host::{Host, of};

use super::TransactionalCsv;

/// Writes records of type `T` as the lines of a file.
pub struct CsvSink<T> {
    path: String,
    columns: Vec<String>,
    of: PhantomData<fn(T)>,
}

impl<T> fmt::Debug for CsvSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CsvSink({})", self.path)
    }
}

/// A sink to a file, with these columns as its header; a record serializes to as many fields.
pub fn sink<T: Serialize>(
    path: impl Into<String>,
    columns: impl IntoIterator<Item = &'static str>,
) -> CsvSink<T> {
    let columns = columns.into_iter().map(str::to_owned).collect();
    CsvSink { path: path.into(), columns, of: PhantomData }
}

impl<T: Serialize + 'static> Sink for CsvSink<T> {
    type Item = T;
    type Writer = CsvWriter<T>;

    fn contract(&self) -> SinkContract {
        SinkContract::AtLeastOnce
    }

    fn open(&self, opening: Opening) -> Result<CsvWriter<T>, ConnectorError> {
        self.only_one(&opening)?;
        let (host, path) = (of(&opening.outside), self.path.clone());
        let mut lines = self.lines();
        let header = lines.header()?;
        host.files().write(&path, &header).map_err(|error| trouble(&path, &error))?;
        Ok(CsvWriter { host, path, lines, of: PhantomData })
    }
}

impl<T> CsvSink<T> {
    /// The same file in transactions: a row is seen once a checkpoint holds it, and then once.
    pub fn two_phase(self) -> TransactionalCsv<T> {
        TransactionalCsv::of(self)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn lines(&self) -> Lines {
        Lines { path: self.path.clone(), columns: self.columns.clone(), rows: encoder(), count: 0 }
    }

    /// Refuses more than one writer.
    pub(super) fn only_one(&self, opening: &Opening) -> Result<(), ConnectorError> {
        let (path, tasks) = (&self.path, opening.parallelism);
        match tasks {
            1 => Ok(()),
            _ => Err(ConnectorError::fatal(format!(
                "{path}: {tasks} tasks cannot write one file: give the stream before the CSV sink parallelism 1"
            ))),
        }
    }
}

fn encoder() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new())
}

/// An error of the host's files, as a connector's.
pub(super) fn trouble(path: &str, error: &std::io::Error) -> ConnectorError {
    ConnectorError::fatal(format!("cannot write {}", super::about(path, error)))
}

/// Rows as lines, until they are taken.
pub(super) struct Lines {
    path: String,
    columns: Vec<String>,
    rows: csv::Writer<Vec<u8>>,
    count: u64,
}

impl Lines {
    /// The first line of the file.
    pub(super) fn header(&mut self) -> Result<Vec<u8>, ConnectorError> {
        self.rows.write_record(&self.columns).map_err(ConnectorError::fatal)?;
        Ok(self.take()?.0)
    }

    pub(super) fn push<T: Serialize>(&mut self, batch: &Batch<T>) -> Result<(), ConnectorError> {
        let written = batch.values.iter().try_for_each(|value| self.rows.serialize(value));
        self.count += batch.values.len() as u64;
        written.map_err(|error| {
            ConnectorError::fatal(format!("{}: a row cannot be written: {error}", self.path))
        })
    }

    /// The lines pushed since the last call, and how many rows they are.
    pub(super) fn take(&mut self) -> Result<(Vec<u8>, u64), ConnectorError> {
        let rows = std::mem::replace(&mut self.rows, encoder());
        let lines = rows.into_inner().map_err(ConnectorError::passing)?;
        Ok((lines, std::mem::take(&mut self.count)))
    }
}

/// Writes the file.
pub struct CsvWriter<T> {
    host: Arc<dyn Host>,
    path: String,
    lines: Lines,
    of: PhantomData<fn(T)>,
}

impl<T: Serialize> SinkWriter for CsvWriter<T> {
    type Item = T;

    fn write(&mut self, batch: Batch<T>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        let written = self.lines.push(&batch);
        Box::pin(std::future::ready(written))
    }

    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(async move {
            let (lines, rows) = self.lines.take()?;
            if !lines.is_empty() {
                let appended = self.host.files().append(&self.path, &lines);
                appended.map_err(|error| trouble(&self.path, &error))?;
            }
            Ok(flush.confirmed(rows))
        })
    }
}
