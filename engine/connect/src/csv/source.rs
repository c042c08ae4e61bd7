//! The CSV source: one split, read front to back through the host's files, a chunk at a time.
//! A record that does not fit its type is named by file, line, column and expectation; it is left
//! out only if the job asked for that, and then counted. What the columns mean is the type's.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use csv::{DeserializeErrorKind, ErrorKind, StringRecord};
use slackwater_core::Data;
use slackwater_core::element::Batch;
use slackwater_core::time::{EventTime, ProcessingTime};
use slackwater_dataflow::connector::{
    ConnectorError, Opening, Position, Pulled, Source, SourceReader, Splits,
};
use slackwater_runtime::host::{Host, of};

use super::{OnBadRecord, Row, about};

/// How much of the file is read at once.
const CHUNK_BYTES: usize = 64 << 10;

type Timestamps<T> = dyn Fn(&T) -> EventTime + Send + Sync;

/// Reads a CSV file with a header into records of type `T`.
pub struct CsvSource<T> {
    path: String,
    on_bad_record: OnBadRecord,
    timestamps: Arc<Timestamps<T>>,
}

impl<T> fmt::Debug for CsvSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CsvSource({})", self.path)
    }
}

/// A source of the rows of a file; `timestamps` reads the event time of a row. Columns are found by
/// their names in the header; columns that `T` does not know are passed over.
pub fn source<T: Data>(
    path: impl Into<String>,
    timestamps: impl Fn(&T) -> EventTime + Send + Sync + 'static,
) -> CsvSource<T> {
    let (path, on_bad_record) = (path.into(), OnBadRecord::Fail);
    CsvSource { path, on_bad_record, timestamps: Arc::new(timestamps) }
}

impl<T> CsvSource<T> {
    /// What to do with a record that cannot be read.
    #[must_use]
    pub fn on_bad_record(self, on_bad_record: OnBadRecord) -> Self {
        Self { on_bad_record, ..self }
    }
}

impl<T: Data> Source for CsvSource<T> {
    type Item = Row<T>;
    type Reader = CsvReader<T>;

    fn splits(&self) -> Splits {
        Splits::One
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn open(&self, opening: Opening) -> Result<CsvReader<T>, ConnectorError> {
        let file = Chunks { host: of(&opening.outside), path: self.path.clone(), offset: 0 };
        let reader = csv::ReaderBuilder::new().buffer_capacity(CHUNK_BYTES).from_reader(file);
        Ok(CsvReader {
            path: self.path.clone(),
            on_bad_record: self.on_bad_record,
            timestamps: Arc::clone(&self.timestamps),
            reader,
            header: None,
            record: StringRecord::new(),
            records: 0,
            skipped: None,
            of: PhantomData,
        })
    }
}

/// A file of the host as a stream of bytes.
struct Chunks {
    host: Arc<dyn Host>,
    path: String,
    offset: u64,
}

impl io::Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.host.files().read_at(&self.path, self.offset, buffer.len())?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }
}

/// Reads the file.
pub struct CsvReader<T> {
    path: String,
    on_bad_record: OnBadRecord,
    timestamps: Arc<Timestamps<T>>,
    reader: csv::Reader<Chunks>,
    header: Option<StringRecord>,
    record: StringRecord,
    records: u64,
    skipped: Option<(u64, String)>,
    of: PhantomData<fn() -> T>,
}

impl<T: Data> CsvReader<T> {
    /// Reads the header, once, before the first record.
    fn header(&mut self) -> Result<StringRecord, ConnectorError> {
        if let Some(header) = &self.header {
            return Ok(header.clone());
        }
        let header = match self.reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(ConnectorError::fatal(self.words(&error, None))),
        };
        if header.is_empty() {
            let words = format!("{}: the file is empty, expected a header line", self.path);
            return Err(ConnectorError::fatal(words));
        }
        self.header = Some(header.clone());
        Ok(header)
    }

    /// Reads the next record that is good, or the end; what is bad is an error or left out.
    fn next_row(&mut self, header: &StringRecord) -> Result<Option<T>, ConnectorError> {
        loop {
            let read = self.reader.read_record(&mut self.record);
            let parsed = match read {
                Ok(false) => return Ok(None),
                Ok(true) => self.record.deserialize::<T>(Some(header)),
                Err(error) => Err(error),
            };
            let error = match parsed {
                Ok(value) => {
                    self.records += 1;
                    return Ok(Some(value));
                }
                Err(error) => error,
            };
            let words = self.words(&error, Some(header));
            if self.on_bad_record == OnBadRecord::Fail || matches!(error.kind(), ErrorKind::Io(_)) {
                return Err(ConnectorError::fatal(words));
            }
            self.records += 1;
            let count = self.skipped.as_ref().map_or(0, |(count, _)| *count) + 1;
            self.skipped = Some((count, words));
        }
    }

    /// An error in words: file, line, column, what was expected.
    fn words(&self, error: &csv::Error, header: Option<&StringRecord>) -> String {
        let path = &self.path;
        let line = error
            .position()
            .map_or(self.record.position().map(csv::Position::line), |at| Some(at.line()));
        let at = line.map_or(path.clone(), |line| format!("{path}, line {line}"));
        match error.kind() {
            ErrorKind::Io(error) => format!("cannot read {}", about(path, error)),
            ErrorKind::Utf8 { err, .. } => {
                format!("{at}, column {}: expected UTF-8 text", err.field() + 1)
            }
            ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{at}: expected {expected_len} columns as in the header, found {len}")
            }
            ErrorKind::Deserialize { err, .. } => {
                let Some(column) = err.field().map(|field| field as usize) else {
                    return format!("{at}: expected {}", expectation(err.kind()));
                };
                let name = header.and_then(|header| header.get(column)).unwrap_or_default();
                let found = self.record.get(column).unwrap_or_default();
                let expected = expectation(err.kind());
                format!(
                    "{at}, column {} ({name:?}): expected {expected}, found {found:?}",
                    column + 1
                )
            }
            _ => format!("{at}: {error}"),
        }
    }
}

/// What a field should have been.
fn expectation(kind: &DeserializeErrorKind) -> String {
    match kind {
        DeserializeErrorKind::ParseInt(error) => format!("a whole number ({error})"),
        DeserializeErrorKind::ParseFloat(error) => format!("a number ({error})"),
        DeserializeErrorKind::ParseBool(_) => "\"true\" or \"false\"".into(),
        DeserializeErrorKind::InvalidUtf8(_) => "UTF-8 text".into(),
        DeserializeErrorKind::UnexpectedEndOfRow => "one more column".into(),
        DeserializeErrorKind::Message(message) => match message.strip_prefix("missing field ") {
            Some(field) => format!("a column {} in the header", field.replace('`', "\"")),
            None => format!("a value of its type ({message})"),
        },
        DeserializeErrorKind::Unsupported(what) => format!("a plain value ({what})"),
    }
}

impl<T: Data> SourceReader for CsvReader<T> {
    type Item = Row<T>;

    fn poll_next(
        &mut self,
        _cx: &mut Context<'_>,
        _now: ProcessingTime,
        max_rows: usize,
        out: &mut Batch<Row<T>>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        let read = (|| {
            let header = self.header()?;
            let offset = self.records;
            while out.rows() < max_rows {
                let Some(value) = self.next_row(&header)? else { break };
                out.push((self.timestamps)(&value), Row { record: self.records, value });
            }
            Ok(if out.rows() == 0 { Pulled::End } else { Pulled::Records { split: 0, offset } })
        })();
        Poll::Ready(read)
    }

    fn positions(&self) -> Vec<Position> {
        vec![Position { split: 0, offset: self.records, note: Vec::new(), ended: false }]
    }

    /// Reads the records before the position again, and gives none of them.
    fn seek(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        let Some(to) = positions.iter().find(|position| position.split == 0) else {
            return Ok(());
        };
        let header = self.header()?;
        while self.records < to.offset {
            let read = self.reader.read_record(&mut self.record);
            let words = match read {
                Ok(true) => None,
                Ok(false) => Some(format!(
                    "{}: the file has {} records, and {} had been read of it: it is another file",
                    self.path, self.records, to.offset
                )),
                Err(error) if matches!(error.kind(), ErrorKind::Io(_)) => {
                    Some(self.words(&error, Some(&header)))
                }
                // What was left out before is left out again.
                Err(_) => None,
            };
            if let Some(words) = words {
                return Err(ConnectorError::fatal(words));
            }
            self.records += 1;
        }
        Ok(())
    }

    fn take_skipped(&mut self) -> Option<(u64, String)> {
        self.skipped.take()
    }
}
