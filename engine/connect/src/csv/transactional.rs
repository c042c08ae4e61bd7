//! The two-phase CSV sink: rows gather in a file beside the one that is asked for, and move over
//! once the checkpoint that holds them has completed, in their order and once.
//! Never removes a file: `.staged`, `.job` and what savepoints may ask for stay beside the output. The
//! plain sink: [`super::sink`].

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use slackwater_core::element::Batch;
use slackwater_core::id::CheckpointId;
use slackwater_dataflow::connector::{
    ConnectorError, LocalFuture, Opening, Recovery, Transaction, TwoPhaseSink, TwoPhaseWriter,
};
use slackwater_runtime::host::{Host, of};

use super::CsvSink;
use super::sink::{Lines, trouble};

/// Writes records as the lines of a file, in transactions; made by [`CsvSink::two_phase`].
///
/// The output is always a beginning of the file `.staged` beside it: a commit lengthens it. So it
/// is found again only where the files are, that is on the same machine. The file `.job` says whose
/// they are; another job begins both anew, or takes them over as they were at the savepoint that it
/// goes on from. Before rows are cut off that a savepoint lists, they are copied to a file that is named
/// by job and checkpoint. Files cannot fence: unlike the series database, they take what a dead attempt
/// that wakes up late still appends.
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
        named(transaction).map(|(_, span)| span)
    }
}

/// Whose a transaction is, and where.
fn named(transaction: &Transaction) -> Result<(&str, Span), ConnectorError> {
    let Transaction { id, .. } = transaction;
    let named = id.rsplit_once('@').and_then(|(name, span)| {
        let (from, to) = span.split_once('-')?;
        Some((name, Span { from: from.parse().ok()?, to: to.parse().ok()? }))
    });
    let refused = || ConnectorError::fatal(format!("{id:?} is no transaction of a CSV file"));
    named.filter(|(_, span)| span.from <= span.to).ok_or_else(refused)
}

/// The greatest number of a copy: of all that a job has staged.
const ALL: CheckpointId = CheckpointId(u64::MAX);

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
            return Err(shorter(&self.beside("staged"), span.to));
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

    /// Begins with what this job's earlier attempts left, or with what the checkpoint lists of another
    /// job's file; otherwise with the header alone.
    fn take_up(&mut self, recovery: Recovery<'_>) -> Result<(), ConnectorError> {
        let (staged, job) = (self.beside("staged"), self.beside("job"));
        let whose = self.host.files().read_at(&job, 0, usize::MAX).unwrap_or_default();
        let whose = String::from_utf8_lossy(&whose).into_owned();
        let ours = whose == self.name;
        let last = recovery.listed.iter().max_by_key(|listed| listed.checkpoint);
        if last.is_none() && !ours {
            self.end = self.header.len() as u64;
            self.write(&staged, &self.header)?;
            self.write(&self.path, &self.header)?;
            // Last: a crash before it begins everything anew.
            return self.write(&job, self.name.as_bytes());
        }
        let spared = recovery.spared.iter().copied().max();
        self.copy(&whose, if ours { spared } else { Some(ALL) })?;
        let kept = match last {
            Some(last) => self.listed(last, &whose)?,
            // All that was ever prepared for a complete checkpoint is visible.
            None => self.read(&self.path, &EVERYTHING)?,
        };
        self.end = kept.len() as u64;
        self.write(&staged, &kept)?;
        if !ours {
            // What the other job has shown since then is not of this one.
            self.write(&self.path, &kept)?;
        }
        self.write(&job, self.name.as_bytes())
    }

    /// Where a copy of what a job has staged lies, made for its savepoints up to this one.
    fn copy_of(&self, job: &str, savepoint: CheckpointId) -> String {
        let job = job.split('/').next().unwrap_or_default();
        self.beside(&format!("{job}-{:020}", savepoint.0))
    }

    /// Copies what is staged before it is cut, unless an earlier attempt has done so.
    fn copy(&self, whose: &str, savepoint: Option<CheckpointId>) -> Result<(), ConnectorError> {
        let Some(savepoint) = savepoint.filter(|_| !whose.is_empty()) else { return Ok(()) };
        let copy = self.copy_of(whose, savepoint);
        if self.host.files().read_at(&copy, 0, 1).is_ok_and(|found| !found.is_empty()) {
            return Ok(());
        }
        let staged = self.read(&self.beside("staged"), &EVERYTHING)?;
        self.write(&copy, &staged)
    }

    /// What was staged up to the end of a listed transaction: from the oldest copy that was made
    /// after it, or, if nothing was cut since, from the staged file of its job or of its heir.
    fn listed(&self, last: &Transaction, whose: &str) -> Result<Vec<u8>, ConnectorError> {
        let (name, Span { to, .. }) = named(last)?;
        let (folder, file) = self.path.rsplit_once('/').unwrap_or((".", &self.path));
        let files = self.host.files().list(folder).map_err(|error| trouble(folder, &error))?;
        let first = self.copy_of(name, last.checkpoint);
        let (first, end) = (file_name(&first), self.copy_of(name, ALL));
        let copy = files.iter().find(|found| (first..=file_name(&end)).contains(&found.as_str()));
        let staged = match copy {
            Some(copy) => format!("{}{copy}", self.path.strip_suffix(file).unwrap_or_default()),
            None if whose == name || whose == self.name => self.beside("staged"),
            None => {
                let (path, words) = (&self.path, "prepared rows are lost");
                let words = format!("{path} was begun anew by job {whose}: {words} of {name}");
                return Err(ConnectorError::fatal(words));
            }
        };
        let kept = self.read(&staged, &Span { from: 0, to })?;
        if (kept.len() as u64) < to {
            return Err(shorter(&staged, to));
        }
        Ok(kept)
    }
}

/// All of a file.
const EVERYTHING: Span = Span { from: 0, to: u64::MAX };

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn shorter(path: &str, to: u64) -> ConnectorError {
    ConnectorError::fatal(format!("{path} is shorter than {to} bytes: prepared rows are lost"))
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
            // Also without rows: whoever goes on from here must know where the file ended.
            let (lines, rows) = self.lines.take()?;
            if rows > 0 {
                let staged = self.beside("staged");
                let appended = self.host.files().append(&staged, &lines);
                appended.map_err(|error| trouble(&staged, &error))?;
            }
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
            for transaction in transactions.iter().filter(|transaction| transaction.rows > 0) {
                self.show(&Span::of(transaction)?)?;
            }
            Ok(())
        })
    }

    fn recover<'a>(
        &'a mut self,
        recovery: Recovery<'a>,
    ) -> LocalFuture<'a, Result<(), ConnectorError>> {
        Box::pin(async move { self.take_up(recovery) })
    }
}
