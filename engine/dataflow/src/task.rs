//! The border to the runtime: a plan (job graph and code), and what one subtask of it is made of.
//! Nothing here runs: the runtime drives an [`Instance`] from its mailbox loop.
//! Plans are built by [`crate::stream`].

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use slackwater_core::element::{Barrier, Signal};
use slackwater_core::graph::{JobGraph, Uid};
use slackwater_core::id::{CheckpointId, Subtask};
use slackwater_core::program::Program;
use slackwater_core::time::ProcessingTime;

use crate::connector::{ConnectorError, Flushed, LocalFuture, Opening, Outside, SinkContract};
use crate::metric::Opened;
use crate::operator::{Context, OperatorError, Progress, Step};
use crate::packet::{AnyBatch, ElementCodec};
use crate::state::{Fork, Restored, Section, Unfit, Upgrade};
use slackwater_core::id::Execution;

/// A job graph together with the code behind it. Equal programs give equal plans in every process.
#[derive(Clone)]
pub struct Plan {
    /// The shape.
    pub graph: JobGraph,
    /// The code, by vertex.
    pub vertices: Vec<Arc<dyn VertexCode>>,
    /// How batches travel, by edge.
    pub codecs: Vec<Arc<dyn ElementCodec>>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.graph.fmt(f)
    }
}

/// The catalogue: programs by name. The process that runs tasks brings it along.
pub trait Programs: Send + Sync {
    /// Builds the plan of a program.
    ///
    /// # Errors
    /// An unknown name or version, a bad parameter, or a graph that cannot be built.
    fn plan(&self, program: &Program) -> Result<Plan, PlanError>;

    /// The names that [`Programs::plan`] knows, sorted.
    fn names(&self) -> Vec<String>;
}

/// Why a program has no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// No program of this name or version.
    UnknownProgram {
        /// As asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A parameter that the program does not know, or a value that it cannot read.
    BadParameter {
        /// The parameter.
        name: String,
        /// What was expected.
        message: String,
    },
    /// The graph is wrong: a duplicate uid, a parallelism that cannot be.
    BadGraph {
        /// What and where.
        message: String,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownProgram { name, known } => {
                write!(f, "unknown program {name:?}: known are {}", known.join(", "))
            }
            Self::BadParameter { name, message } => write!(f, "parameter {name:?}: {message}"),
            Self::BadGraph { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for PlanError {}

/// The code of one vertex: makes the instance that runs as one subtask.
pub trait VertexCode: Send + Sync {
    /// Opens connectors and links the stages of one subtask. Called on the worker that will run it.
    ///
    /// # Errors
    /// If a connector cannot be opened.
    fn open(&self, execution: Execution, outside: &Outside) -> Result<Instance, ConnectorError>;
}

/// One subtask, ready to run.
pub struct Instance {
    /// Which one.
    pub subtask: Subtask,
    /// The reader, if the vertex is a source; then it has no inputs.
    pub source: Option<Box<dyn AnySource>>,
    /// The chain of operators; a source feeds it itself.
    pub chain: Box<dyn Chain>,
    /// By output port: where packets of that port go.
    pub ports: Vec<Port>,
    /// What its operators declare of state that an earlier program has left.
    pub upgrades: Vec<Upgrade>,
    /// What its operators declared that they count, each by its number in the chain.
    pub declared: Vec<(u32, Vec<Opened>)>,
}

impl Instance {
    /// Makes what an earlier program has left into what this one takes up.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn upgrade(&self, sections: Vec<Section>) -> Result<Vec<Section>, Unfit> {
        self.upgrades.iter().try_fold(sections, |sections, upgrade| upgrade.apply(sections))
    }
}

/// Where an output port leads.
pub enum Port {
    /// To the channels of this edge of the graph.
    Edge(u32),
    /// To a sink.
    Sink(Box<dyn AnySink>),
}

/// The head of a chain, type hidden.
pub trait Chain {
    /// Takes a batch from the gate; `input` is the edge's logical input.
    ///
    /// # Errors
    /// As [`crate::operator::Stage::batch`].
    fn batch(&mut self, input: u32, batch: AnyBatch, cx: &mut Context<'_>) -> Step;
    /// Takes a signal from the gate (merged over the channels).
    ///
    /// # Errors
    /// As [`crate::operator::Stage::signal`].
    fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step;
    /// As [`crate::operator::Stage::resume`].
    ///
    /// # Errors
    /// As [`crate::operator::Stage::resume`].
    fn resume(&mut self, cx: &mut Context<'_>) -> Result<Progress, OperatorError>;
    /// As [`crate::operator::Stage::next_timer`].
    fn next_timer(&self) -> Option<ProcessingTime>;
    /// As [`crate::operator::Stage::on_timers`].
    ///
    /// # Errors
    /// As [`crate::operator::Stage::on_timers`].
    fn on_timers(&mut self, cx: &mut Context<'_>) -> Step;
    /// As [`crate::operator::Stage::restore`].
    ///
    /// # Errors
    /// As [`crate::operator::Stage::restore`].
    fn restore(&mut self, restored: &Restored) -> Step;
}

/// What a poll of a source did.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Sourced {
    /// A batch, with its marks, was pushed into the chain.
    Batch,
    /// Nothing to read; the source may have pushed `Idle` into the chain.
    Nothing,
    /// The end was reached and the last watermark, MAX, has been pushed. Nothing follows but
    /// barriers and [`AnySource::finish`].
    End,
}

/// A source's reader with its watermark generators, type hidden.
pub trait AnySource {
    /// Its uid.
    fn uid(&self) -> &Uid;

    /// Polls the reader, generates watermarks, and pushes what it brought into `chain`.
    /// Appends nothing when `Pending`: cancel safe. `next_timer` of the source's own (idleness) is
    /// polled by its reader waking up or by [`AnySource::next_timer`].
    ///
    /// # Errors
    /// A [`TaskError`] of either half.
    fn poll(
        &mut self,
        waker: &mut std::task::Context<'_>,
        chain: &mut dyn Chain,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sourced, TaskError>>;

    /// Lets a barrier pass: pending marks go first, positions and generators are kept, and the
    /// barrier goes into the chain behind them. Called between two polls, also after the end.
    ///
    /// # Errors
    /// A [`TaskError`] of either half.
    fn barrier(
        &mut self,
        barrier: Barrier,
        chain: &mut dyn Chain,
        cx: &mut Context<'_>,
    ) -> Result<(), TaskError>;

    /// Takes up the positions and generators of a checkpoint; before the first poll.
    ///
    /// # Errors
    /// If they are damaged, or the outside has no such position.
    fn restore(&mut self, restored: &Restored) -> Result<(), TaskError>;

    /// Pushes `EndOfInput`: at once after the end, or, with checkpoints, when the last has completed.
    ///
    /// # Errors
    /// A [`TaskError`] of the chain.
    fn finish(&mut self, chain: &mut dyn Chain, cx: &mut Context<'_>) -> Result<(), TaskError>;

    /// When the source wants to be polled even though its reader is pending: to declare idleness.
    fn next_timer(&self) -> Option<ProcessingTime>;
}

/// A sink's writer, type hidden.
pub trait AnySink {
    /// Its uid.
    fn uid(&self) -> &Uid;
    /// What it promises.
    fn contract(&self) -> SinkContract;
    /// As [`crate::connector::SinkWriter::write`].
    ///
    /// # Errors
    /// If the outside refuses.
    fn write(&mut self, batch: AnyBatch) -> LocalFuture<'_, Result<(), ConnectorError>>;
    /// As [`crate::connector::SinkWriter::flush`].
    ///
    /// # Errors
    /// If the outside refuses.
    fn flush(&mut self) -> LocalFuture<'_, Result<Flushed, ConnectorError>>;
    /// As [`crate::connector::SinkWriter::flush_after`].
    fn flush_after(&self) -> std::time::Duration;
    /// Lets a barrier pass: flushes, or prepares, and gives what of it belongs into the checkpoint.
    ///
    /// # Errors
    /// If the outside refuses.
    fn barrier(&mut self, barrier: Barrier) -> LocalFuture<'_, Result<Passed, ConnectorError>>;
    /// A checkpoint has completed: commits what it and older ones hold, once. How many
    /// transactions; 0 for a sink that is not two-phase.
    ///
    /// # Errors
    /// If the outside refuses.
    fn completed(
        &mut self,
        checkpoint: CheckpointId,
    ) -> LocalFuture<'_, Result<u32, ConnectorError>>;
    /// The input has ended, and with it the task: flushes, or commits everything that is not yet
    /// committed. With checkpoints, sources let their input end once the last has completed.
    ///
    /// # Errors
    /// If the outside refuses.
    fn end(&mut self) -> LocalFuture<'_, Result<Ended, ConnectorError>>;
    /// Before the first batch, in every attempt: a two-phase sink fences its predecessors, commits
    /// what the checkpoint lists and aborts the rest. How many were committed.
    ///
    /// # Errors
    /// If a section is damaged, or the outside refuses.
    fn restore<'a>(
        &'a mut self,
        restored: &'a Restored,
    ) -> LocalFuture<'a, Result<u32, ConnectorError>>;
}

/// What a sink gives when a barrier has passed it.
pub struct Passed {
    /// Everything before the barrier has arrived outside.
    pub flushed: Flushed,
    /// The transactions that wait for the checkpoint, if the sink is two-phase.
    pub kept: Option<Box<dyn Fork>>,
}

/// What a sink gives when its input has ended.
#[derive(Debug)]
pub struct Ended {
    /// Everything has arrived outside.
    pub flushed: Flushed,
    /// How many transactions were committed; 0 for a sink that is not two-phase.
    pub committed: u32,
}

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskError {
    /// An operator refused.
    Operator(OperatorError),
    /// A connector refused.
    Connector {
        /// The connector's uid.
        uid: Uid,
        /// What it said.
        error: ConnectorError,
    },
}

impl TaskError {
    /// Whether a restart would meet the same again.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Connector { error: ConnectorError { fatal: true, .. }, .. })
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(error) => error.fmt(f),
            Self::Connector { uid, error } => write!(f, "{uid}: {error}"),
        }
    }
}

impl std::error::Error for TaskError {}

impl From<OperatorError> for TaskError {
    fn from(error: OperatorError) -> Self {
        Self::Operator(error)
    }
}

/// What a connector needs to know of its subtask, from an execution.
pub fn opening(uid: &Uid, task: Execution, parallelism: u32, outside: &Outside) -> Opening {
    let (uid, outside, metrics) = (uid.clone(), outside.clone(), Rc::default());
    Opening { uid, task, parallelism, outside, metrics }
}
