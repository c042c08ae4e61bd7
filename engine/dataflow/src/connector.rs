//! What a source and a sink promise. Implemented in `slackwater-connect` and by users.
//! The dataflow never opens the outside world: it only carries the handle to it, [`Outside`],
//! from the runtime to the connector. Who polls readers and writers: `runtime::task`.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use serde::{Deserialize, Serialize};
use slackwater_core::element::Batch;
use slackwater_core::graph::Uid;
use slackwater_core::id::{CheckpointId, Execution};
use slackwater_core::time::ProcessingTime;

use crate::metric::Metrics;

/// The outside world as the dataflow sees it: not at all. `runtime::host::of` opens it.
#[derive(Clone)]
pub struct Outside(pub Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outside")
    }
}

/// What a connector is told when it is opened on a worker.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The operator's uid.
    pub uid: Uid,
    /// Which execution it belongs to.
    pub task: Execution,
    /// How many subtasks share the work.
    pub parallelism: u32,
    /// The host, for connectors; see `runtime::host::of`.
    pub outside: Outside,
    /// Where it declares what it counts for people, before it is open.
    pub metrics: Rc<Metrics>,
}

/// Why a connector could not go on. Fails the task, and with it the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorError {
    /// For a person: which thing, what was expected, what to do.
    pub message: String,
    /// Whether the job is beyond help: bad input, not a passing trouble. Fails it without a restart.
    pub fatal: bool,
}

impl ConnectorError {
    /// A trouble that may pass: a lost connection, a slow store.
    pub fn passing(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), fatal: false }
    }

    /// Bad input or a bad setting: a restart would meet it again.
    pub fn fatal(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), fatal: true }
    }
}

impl fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConnectorError {}

/// How the work of a source is divided.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Splits {
    /// One reader, parallelism 1 (semantics rule 12).
    One,
    /// This many splits: subtask i of p reads the splits s with s mod p = i.
    Fixed(u32),
}

/// A source of records: knows its splits and opens readers.
pub trait Source: Send + Sync + 'static {
    /// What it reads.
    type Item;
    /// Its reader.
    type Reader: SourceReader<Item = Self::Item>;

    /// How its work is divided.
    fn splits(&self) -> Splits;

    /// Whether it surely ends by itself: the job is then one that ends.
    fn is_bounded(&self) -> bool;

    /// Opens the reader of one subtask, at each split's start.
    ///
    /// # Errors
    /// If the outside refuses.
    fn open(&self, opening: Opening) -> Result<Self::Reader, ConnectorError>;
}

/// What a poll of a reader brought.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Records of one split were appended to the batch. `offset` is that of the first of them.
    Records {
        /// Which split.
        split: u32,
        /// The position of the first record in its split.
        offset: u64,
    },
    /// The reader asked, and there is nothing to read now. Poll again: it is then `Pending` until
    /// there is, or until it asked again. This, and nothing else, is what idleness is made of.
    Nothing,
    /// The same for one split, while the reader goes on with others.
    NothingIn {
        /// Which split.
        split: u32,
    },
    /// One split is bounded and read; nobody waits for its event time any more.
    EndOf {
        /// Which split.
        split: u32,
    },
    /// Nothing will ever follow: the source is bounded and read.
    End,
}

/// How far a split has been read: state of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which split.
    pub split: u32,
    /// The position of the next record: that of the last batch's first record plus its rows.
    pub offset: u64,
    /// What else the reader needs to go on there, in its own encoding; empty if nothing.
    pub note: Vec<u8>,
    /// Whether the split is bounded and read.
    pub ended: bool,
}

/// Reads the splits of one subtask.
pub trait SourceReader {
    /// What it reads.
    type Item;

    /// Appends at most `max_rows` records of one split to `out`, each with its timestamp, or says
    /// why not. Positions are the reader's own; a poll that returns `Pending` has appended nothing
    /// and has arranged a wake-up, so the future around it may be dropped at any await point.
    ///
    /// # Errors
    /// If the outside refuses, or the input is malformed.
    fn poll_next(
        &mut self,
        cx: &mut std::task::Context<'_>,
        now: ProcessingTime,
        max_rows: usize,
        out: &mut Batch<Self::Item>,
    ) -> Poll<Result<Pulled, ConnectorError>>;

    /// Where each split stands: the first position that no batch holds yet, in the order of the
    /// splits. Called between two polls, as a barrier passes (semantics rule 15).
    fn positions(&self) -> Vec<Position>;

    /// Goes on at these positions in place of the splits' starts; called before the first poll.
    /// Positions of splits that are not this subtask's are left alone; a split that is not
    /// mentioned begins at its start.
    ///
    /// # Errors
    /// If a position cannot be: the input is shorter, or another one.
    fn seek(&mut self, positions: &[Position]) -> Result<(), ConnectorError>;

    /// How many malformed records were skipped by request since the last call, and the reason for
    /// one of them. Told as a fact.
    fn take_skipped(&mut self) -> Option<(u64, String)> {
        None
    }
}

/// A future that stays on its worker.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a sink promises about replays (semantics rule 23).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SinkContract {
    /// A replay may write the same again.
    AtLeastOnce,
    /// A replay overwrites by row key: the visible result is exact.
    Idempotent,
    /// What a checkpoint holds is committed once, when the checkpoint has completed.
    TwoPhase,
}

/// The right to confirm a flush, which only a flush hands out.
#[derive(Debug)]
pub struct Flush(());

impl Flush {
    pub(crate) fn given() -> Self {
        Self(())
    }

    /// The end of a flush: the outside has confirmed `rows` rows since the last one.
    pub fn confirmed(self, rows: u64) -> Flushed {
        Flushed { rows }
    }
}

/// Flushes a writer.
///
/// # Errors
/// As [`SinkWriter::flush`].
pub fn flush<W: SinkWriter>(writer: &mut W) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
    writer.flush(Flush::given())
}

/// Proof that everything written so far has arrived outside; a barrier is acknowledged with
/// nothing less. Only a flush makes one, from the [`Flush`] that it is given:
///
/// ```compile_fail
/// use slackwater_dataflow::connector::Flushed;
/// // A sink that has buffered, and not flushed, has nothing to acknowledge a barrier with.
/// let acknowledged = Flushed { rows: 0 };
/// ```
///
/// ```compile_fail
/// use slackwater_dataflow::connector::Flush;
/// let acknowledged = Flush(()).confirmed(0);
/// ```
#[derive(Debug)]
#[must_use = "a barrier may pass only with this"]
pub struct Flushed {
    rows: u64,
}

impl Flushed {
    /// How many rows were confirmed.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

/// A sink of records: states its contract and opens writers.
pub trait Sink: Send + Sync + 'static {
    /// What it writes.
    type Item;
    /// Its writer.
    type Writer: SinkWriter<Item = Self::Item>;

    /// What it promises.
    fn contract(&self) -> SinkContract;

    /// Opens the writer of one subtask.
    ///
    /// # Errors
    /// If the outside refuses.
    fn open(&self, opening: Opening) -> Result<Self::Writer, ConnectorError>;
}

/// Writes what one subtask sends outside.
///
/// The task writes batch by batch, and flushes before a barrier passes, when `flush_after` has gone
/// by since the first unflushed row, and before the task ends.
pub trait SinkWriter {
    /// What it writes.
    type Item;

    /// Takes a batch; may buffer, may send.
    ///
    /// # Errors
    /// If the outside refuses.
    fn write(&mut self, batch: Batch<Self::Item>) -> LocalFuture<'_, Result<(), ConnectorError>>;

    /// Sends what is buffered and waits until the outside has confirmed it.
    ///
    /// # Errors
    /// If the outside refuses; nothing is lost silently.
    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>>;

    /// The longest time that a row may wait unflushed. Default 100 ms.
    fn flush_after(&self) -> std::time::Duration {
        std::time::Duration::from_millis(100)
    }
}

/// What a two-phase sink has stored outside under a name, complete and invisible.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Transaction {
    /// Its name: unique over all jobs and attempts; begins with the job's id.
    pub id: String,
    /// Whose barrier ended it.
    pub checkpoint: CheckpointId,
    /// How many rows it holds.
    pub rows: u64,
}

/// A sink whose contract is two-phase commit (semantics rule 19).
pub trait TwoPhaseSink: Send + Sync + 'static {
    /// What it writes.
    type Item;
    /// Its writer.
    type Writer: TwoPhaseWriter<Item = Self::Item>;

    /// Opens the writer of one subtask.
    ///
    /// # Errors
    /// If the outside refuses.
    fn open(&self, opening: Opening) -> Result<Self::Writer, ConnectorError>;
}

/// What the writers of dead attempts have left behind, as far as a new one must know it.
#[derive(Copy, Clone, Debug, Default)]
pub struct Recovery<'a> {
    /// What the checkpoint lists with which the attempt begins: committed next, whoever prepared it.
    pub listed: &'a [Transaction],
    /// Savepoints of this job that are complete: what they list can be asked for at any time.
    pub spared: &'a [CheckpointId],
}

impl Recovery<'_> {
    /// Whether a transaction of this job must stay, because a savepoint lists it: one that was
    /// prepared for the savepoint, or for a checkpoint before it that never completed.
    pub fn spares(&self, prepared: CheckpointId) -> bool {
        self.spared.iter().any(|savepoint| prepared <= *savepoint)
    }
}

/// Writes what one subtask sends outside, in transactions that end at barriers.
pub trait TwoPhaseWriter {
    /// What it writes.
    type Item;

    /// Takes a batch into the open transaction; may buffer, may send. Nothing becomes visible.
    ///
    /// # Errors
    /// If the outside refuses.
    fn write(&mut self, batch: Batch<Self::Item>) -> LocalFuture<'_, Result<(), ConnectorError>>;

    /// Ends the open transaction and waits until the outside holds all of it durably, invisible
    /// still; `None` if nothing was written since the last barrier and there is nothing to list. At the
    /// end of a job without checkpoints it is asked for the greatest id there is.
    ///
    /// # Errors
    /// If the outside refuses; the task fails, and the transaction is aborted by its successor.
    fn prepare(
        &mut self,
        checkpoint: CheckpointId,
    ) -> LocalFuture<'_, Result<Option<Transaction>, ConnectorError>>;

    /// Makes transactions visible, by name. One that is committed already stays so: no error.
    ///
    /// # Errors
    /// If the outside refuses, or knows a transaction not at all.
    fn commit<'a>(
        &'a mut self,
        transactions: &'a [Transaction],
    ) -> LocalFuture<'a, Result<(), ConnectorError>>;

    /// After a restore, or at a first start (nothing is then listed): fences older attempts of this
    /// job's subtask, and aborts what they left behind, what is listed or spared excepted.
    ///
    /// What is listed may be another job's: a savepoint is resumed under a new id.
    ///
    /// # Errors
    /// If the outside refuses.
    fn recover<'a>(
        &'a mut self,
        recovery: Recovery<'a>,
    ) -> LocalFuture<'a, Result<(), ConnectorError>>;
}
