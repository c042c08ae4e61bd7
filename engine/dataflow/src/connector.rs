//! What a source and a sink promise. Implemented in `slackwater-connect` and by users.
//! The dataflow never opens the outside world: it only carries the handle to it, [`Outside`],
//! from the runtime to the connector. Who polls readers and writers: `runtime::task`.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use slackwater_core::element::Batch;
use slackwater_core::graph::Uid;
use slackwater_core::id::Execution;
use slackwater_core::time::ProcessingTime;

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

    /// How many malformed records were skipped by request since the last call, and the last
    /// reason. Told as a fact.
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
}

/// Proof that everything written so far has arrived outside. Only [`SinkWriter::flush`] has a
/// reason to make one; a barrier is acknowledged with nothing less.
#[derive(Debug)]
#[must_use = "a barrier may pass only with this"]
pub struct Flushed {
    rows: u64,
}

impl Flushed {
    /// Made at the end of a flush: the outside has confirmed `rows` rows since the last one.
    pub fn confirmed(rows: u64) -> Self {
        Self { rows }
    }

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
    fn flush(&mut self) -> LocalFuture<'_, Result<Flushed, ConnectorError>>;

    /// The longest time that a row may wait unflushed. Default 100 ms.
    fn flush_after(&self) -> std::time::Duration {
        std::time::Duration::from_millis(100)
    }
}
