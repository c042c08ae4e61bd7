//! The two-phase CSV sink: rows gather in a file beside the one that is asked for, and move over
//! once the checkpoint that holds them has completed, in their order and once.
//! Never removes a file: `.staged` and `.job` stay beside the output. The plain sink: [`super::sink`].

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use slackwater_core::element::Batch;
use slackwater_core::id::CheckpointId;
use slackwater_dataflow::connector::{
    ConnectorError, LocalFuture, Opening, Transaction, TwoPhaseSink, TwoPhaseWriter,
};
use slackwater_runtime::host::{Host, of};

use super::CsvSink;
use super::sink::{Lines, trouble};

/// Writes records as the lines of a file, in transactions; made by [`CsvSink::two_phase`].
///
/// The output is always a beginning of the file `.staged` beside it: a commit lengthens it. So it
/// is found again only where the files are, that is on the same machine. The file `.job` says whose
/// they are; another job begins both anew. Files cannot fence: unlike the series database, they take
/// what a dead attempt that wakes up late still appends.
pub struct TransactionalCsv<T>(CsvSink<T>);

impl<T> fmt::Debug for TransactionalCsv<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.two_phase()", self.0)
    }
}

impl<T> TransactionalCsv<T> {
    pub(super) fn of(sink: CsvSink<T>) -> Self {
        Self(sink)
    }
}

impl<T: Serialize + 'static> TwoPhaseSink for TransactionalCsv<T> {
    type Item = T;
    type Writer = TransactionalCsvWriter<T>;

    fn open(&self, opening: Opening) -> Result<TransactionalCsvWriter<T>, ConnectorError> {
        self.0.only_one(&opening)?;
        let mut lines = self.0.lines();
        Ok(TransactionalCsvWriter {
            host: of(&opening.outside),
            path: self.0.path().to_owned(),
            name: format!("{}/{}", opening.task.job, opening.uid),
            header: lines.header()?,
            lines,
            end: 0,
            of: PhantomData,
        })
    }
}

/// Writes the file.
pub struct TransactionalCsvWriter<T> {
    host: Arc<dyn Host>,
    path: String,
    /// Whose file it is: the job and the sink.
    name: String,
    header: Vec<u8>,
    lines: Lines,
    /// How many bytes are staged: where the next transaction begins.
    end: u64,
    of: PhantomData<fn(T)>,
}

/// The bytes of the staged file that a transaction is.
struct Span {
    from: u64,
    to: u64,
}

impl Span {
    /// Reads it from the end of a transaction's name: `…@from-to`.
    fn of(transaction: &Transaction) -> Result<Self, ConnectorError> {
        let numbers = transaction.id.rsplit_once('@').and_then(|(_, span)| span.split_once('-'));
        let span = numbers
            .and_then(|(from, to)| Some(Self { from: from.parse().ok()?, to: to.parse().ok()? }));
        let Transaction { id, .. } = transaction;
        let refused = || ConnectorError::fatal(format!("{id:?} is no transaction of a CSV file"));
        span.filter(|span| span.from <= span.to).ok_or_else(refused)
    }
}

impl<T> TransactionalCsvWriter<T> {
    fn beside(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.path)
    }

    fn read(&self, path: &str, span: &Span) -> Result<Vec<u8>, ConnectorError> {
        let length = usize::try_from(span.to - span.from).unwrap_or(usize::MAX);
        let read = self.host.files().read_at(path, span.from, length);
        read.map_err(|error| trouble(path, &error))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), ConnectorError> {
        self.host.files().write(path, bytes).map_err(|error| trouble(path, &error))
    }

    /// Makes the output at least as long as the staged file up to the end of `span`.
    fn show(&self, span: &Span) -> Result<(), ConnectorError> {
        let staged = self.read(&self.beside("staged"), span)?;
        if staged.len() as u64 != span.to - span.from {
            let (path, to) = (self.beside("staged"), span.to);
            let words = format!("{path} is shorter than {to} bytes: prepared rows are lost");
            return Err(ConnectorError::fatal(words));
        }
        let shown = self.read(&self.path, span)?;
        if shown == staged {
            return Ok(());
        }
        if shown.is_empty() {
            let appended = self.host.files().append(&self.path, &staged);
            return appended.map_err(|error| trouble(&self.path, &error));
        }
        // An append was torn by a crash.
        let mut whole = self.read(&self.path, &Span { from: 0, to: span.from })?;
        whole.extend(staged);
        self.write(&self.path, &whole)
    }

    /// Begins with what this job's earlier attempts left; otherwise with the header alone.
    fn take_up(&mut self, listed: &[Transaction]) -> Result<(), ConnectorError> {
        let (staged, job) = (self.beside("staged"), self.beside("job"));
        let everything = Span { from: 0, to: u64::MAX };
        let whose = self.host.files().read_at(&job, 0, 1 + self.name.len()).unwrap_or_default();
        if whose != self.name.as_bytes() && listed.is_empty() {
            self.end = self.header.len() as u64;
            self.write(&staged, &self.header)?;
            self.write(&self.path, &self.header)?;
            // Last: a crash before it begins everything anew.
            return self.write(&job, self.name.as_bytes());
        }
        let ends = listed.iter().map(|transaction| Ok(Span::of(transaction)?.to));
        let ends = ends.collect::<Result<Vec<u64>, ConnectorError>>()?;
        // With nothing listed, all that was ever prepared for a complete checkpoint is visible.
        let kept = match ends.into_iter().max() {
            Some(to) => self.read(&staged, &Span { from: 0, to })?,
            None => self.read(&self.path, &everything)?,
        };
        self.end = kept.len() as u64;
        self.write(&staged, &kept)?;
        self.write(&job, self.name.as_bytes())
    }
}

impl<T: Serialize> TwoPhaseWriter for TransactionalCsvWriter<T> {
    type Item = T;

    fn write(&mut self, batch: Batch<T>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        let written = self.lines.push(&batch);
        Box::pin(std::future::ready(written))
    }

    fn prepare(
        &mut self,
        checkpoint: CheckpointId,
    ) -> LocalFuture<'_, Result<Option<Transaction>, ConnectorError>> {
        Box::pin(async move {
            let (lines, rows) = self.lines.take()?;
            if rows == 0 {
                return Ok(None);
            }
            let staged = self.beside("staged");
            let appended = self.host.files().append(&staged, &lines);
            appended.map_err(|error| trouble(&staged, &error))?;
            let from = self.end;
            self.end += lines.len() as u64;
            let id = format!("{}@{from}-{}", self.name, self.end);
            Ok(Some(Transaction { id, checkpoint, rows }))
        })
    }

    fn commit<'a>(
        &'a mut self,
        transactions: &'a [Transaction],
    ) -> LocalFuture<'a, Result<(), ConnectorError>> {
        Box::pin(async move {
            for transaction in transactions {
                self.show(&Span::of(transaction)?)?;
            }
            Ok(())
        })
    }

    fn recover<'a>(
        &'a mut self,
        committed: &'a [Transaction],
    ) -> LocalFuture<'a, Result<(), ConnectorError>> {
        Box::pin(async move { self.take_up(committed) })
    }
}
