//! The CSV sink: one file, written through the host's files. A restart begins the file anew, and a
//! flush appends what came since the last one, durable when it returns.
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
        let path = self.path.clone();
        if opening.parallelism != 1 {
            let tasks = opening.parallelism;
            return Err(ConnectorError::fatal(format!(
                "{path}: {tasks} tasks cannot write one file: give the stream before the CSV sink parallelism 1"
            )));
        }
        let host = of(&opening.outside);
        let mut writer = CsvWriter { host, path, rows: encoder(), unflushed: 0, of: PhantomData };
        writer.rows.write_record(&self.columns).map_err(ConnectorError::fatal)?;
        let head = writer.take()?;
        let written = writer.host.files().write(&writer.path, &head);
        written.map_err(|error| writer.trouble(&error))?;
        Ok(writer)
    }
}

fn encoder() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new())
}

/// Writes the file.
pub struct CsvWriter<T> {
    host: Arc<dyn Host>,
    path: String,
    rows: csv::Writer<Vec<u8>>,
    unflushed: u64,
    of: PhantomData<fn(T)>,
}

impl<T> CsvWriter<T> {
    /// The lines written since the last call.
    fn take(&mut self) -> Result<Vec<u8>, ConnectorError> {
        let rows = std::mem::replace(&mut self.rows, encoder());
        rows.into_inner().map_err(ConnectorError::passing)
    }

    fn trouble(&self, error: &std::io::Error) -> ConnectorError {
        ConnectorError::fatal(format!("cannot write {}", super::about(&self.path, error)))
    }
}

impl<T: Serialize> SinkWriter for CsvWriter<T> {
    type Item = T;

    fn write(&mut self, batch: Batch<T>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        let written = batch.values.iter().try_for_each(|value| self.rows.serialize(value));
        self.unflushed += batch.values.len() as u64;
        let written = written.map_err(|error| {
            ConnectorError::fatal(format!("{}: a row cannot be written: {error}", self.path))
        });
        Box::pin(async move { written })
    }

    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(async move {
            let lines = self.take()?;
            if !lines.is_empty() {
                let appended = self.host.files().append(&self.path, &lines);
                appended.map_err(|error| self.trouble(&error))?;
            }
            Ok(flush.confirmed(std::mem::take(&mut self.unflushed)))
        })
    }
}
