//! What an operator is: a stage that takes batches and signals and pushes into the next stage.
//! Synchronous: sees elements, timers and its context; never sockets, never clocks.
//! One leaf file per operator beside this one; windows are in [`crate::window`].

pub mod co_process;
pub mod entry;
pub mod exit;
pub mod filter;
pub mod flat_map;
pub mod keyed_scan;
pub mod map;
pub mod scan;
pub mod tap;
pub mod tee;

use std::iter::zip;

use slackwater_core::element::{Batch, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::Execution;
use slackwater_core::time::{EventTime, ProcessingTime};

pub use crate::metric::Counts;
use crate::packet::{AnyBatch, Packet};
use crate::state::{Fork, Restored};

/// Why an operator could not go on. Fails the task, and with it the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorError {
    /// The operator's uid or name.
    pub operator: String,
    /// What happened, for a person.
    pub message: String,
}

impl std::fmt::Display for OperatorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "operator {:?}: {}", self.operator, self.message)
    }
}

impl std::error::Error for OperatorError {}

/// The result of every step of a stage.
pub type Step = Result<(), OperatorError>;

/// Whether a stage has done all that it was asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is pending.
    Done,
    /// The stage stopped half-way because [`Context::is_full`]; call [`Stage::resume`] once the
    /// outputs have been taken, and give it no new element before it is done.
    More,
}

/// One operator of a chain, owning the stages behind it. One virtual call per batch and operator.
///
/// The order of calls is the order of the stream. A stage forwards every mark and every signal,
/// behind the records that came before it.
pub trait Stage<T> {
    /// Takes a batch: records, and the watermarks between them.
    ///
    /// # Errors
    /// If user code or state refuses.
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step;

    /// Takes a signal.
    ///
    /// # Errors
    /// If user code or state refuses.
    fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step;

    /// Goes on with work that was cut short; a stage asks the ones behind it first.
    ///
    /// # Errors
    /// If user code or state refuses.
    fn resume(&mut self, cx: &mut Context<'_>) -> Result<Progress, OperatorError>;

    /// The earliest processing-time timer of this stage and those behind it.
    fn next_timer(&self) -> Option<ProcessingTime>;

    /// Fires the processing-time timers due at `cx.processing_time()`.
    ///
    /// # Errors
    /// If user code or state refuses.
    fn on_timers(&mut self, cx: &mut Context<'_>) -> Step;

    /// Takes over what of `restored` is this stage's, and hands it to the stages behind. Called
    /// once, before the first element.
    ///
    /// # Errors
    /// If a section is damaged, of another version or of another type.
    fn restore(&mut self, restored: &Restored) -> Step;
}

/// A stage behind a pointer: what every stage holds of the next one.
pub type BoxStage<T> = Box<dyn Stage<T>>;

/// What an operator sees of its task. One lives for each call into a chain.
pub struct Context<'a> {
    task: Execution,
    processing_time: ProcessingTime,
    detail: Detail,
    tell: &'a dyn Fn(Fact),
    outputs: &'a mut Outputs,
    counts: &'a Counts,
}

/// What leaves a chain: packets for output ports, in the order in which they were emitted.
#[derive(Default)]
pub struct Outputs {
    /// Taken by the task loop after each call: written to channels, or handed to a sink.
    pub pending: Vec<Outgoing>,
    /// From this many packets on, [`Context::is_full`] asks stages to stop half-way.
    pub limit: usize,
    /// What stages kept as the last barrier passed them; taken by the task loop behind it.
    pub kept: Vec<Box<dyn Fork>>,
}

/// A packet on its way out of a chain.
#[derive(Debug)]
pub struct Outgoing {
    /// The output port of the vertex: an edge of the graph, or one of the vertex's sinks.
    pub port: u32,
    /// The position in the port's list of receivers; 0 for a sink. `None`: to all of them.
    pub channel: Option<u32>,
    /// What goes out.
    pub packet: Packet,
}

impl<'a> Context<'a> {
    /// Made by the task loop, and by operator tests.
    pub fn new(
        task: Execution,
        processing_time: ProcessingTime,
        (detail, tell): (Detail, &'a dyn Fn(Fact)),
        outputs: &'a mut Outputs,
        counts: &'a Counts,
    ) -> Self {
        Self { task, processing_time, detail, tell, outputs, counts }
    }

    /// Which execution this is.
    pub fn task(&self) -> Execution {
        self.task
    }

    /// The host's clock when this call began, clamped so that a task never sees it go back.
    pub fn processing_time(&self) -> ProcessingTime {
        self.processing_time
    }

    /// Whether anyone listens at this level: check before a fact is made, once per batch.
    pub fn wants(&self, detail: Detail) -> bool {
        self.detail >= detail
    }

    /// States a fact.
    pub fn tell(&self, fact: Fact) {
        (self.tell)(fact);
    }

    /// What the task counts.
    pub fn counts(&self) -> &Counts {
        self.counts
    }

    /// Sends a batch out of a port, to one of its channels.
    pub fn emit<T: Send + 'static>(&mut self, port: u32, channel: u32, batch: Batch<T>) {
        let rows = batch.values.len() as u64;
        self.counts.records_out.add(rows);
        let packet = Packet::Batch(AnyBatch::new(batch));
        self.outputs.pending.push(Outgoing { port, channel: Some(channel), packet });
    }

    /// Sends a signal out of a port, to all of its channels.
    pub fn emit_signal(&mut self, port: u32, signal: Signal) {
        let packet = Packet::Signal(signal);
        self.outputs.pending.push(Outgoing { port, channel: None, packet });
    }

    /// Keeps a stage's state as it is now, while a barrier passes: cheap, it is written later.
    pub fn keep(&mut self, fork: Box<dyn Fork>) {
        self.outputs.kept.push(fork);
    }

    /// Whether so much is pending that a stage that can stop half-way should.
    pub fn is_full(&self) -> bool {
        self.outputs.pending.len() >= self.outputs.limit
    }
}

/// Implements everything of [`Stage`] but `batch` by asking the stage behind, `self.next`; with
/// `stateful`, also without `signal` and `restore`.
macro_rules! pass_on {
    () => {
        $crate::operator::pass_on!(stateful);
        fn signal(
            &mut self,
            signal: slackwater_core::element::Signal,
            cx: &mut $crate::operator::Context<'_>,
        ) -> $crate::operator::Step {
            self.next.signal(signal, cx)
        }
        fn restore(&mut self, restored: &$crate::state::Restored) -> $crate::operator::Step {
            self.next.restore(restored)
        }
    };
    (stateful) => {
        fn resume(
            &mut self,
            cx: &mut $crate::operator::Context<'_>,
        ) -> Result<$crate::operator::Progress, $crate::operator::OperatorError> {
            self.next.resume(cx)
        }
        fn next_timer(&self) -> Option<slackwater_core::time::ProcessingTime> {
            self.next.next_timer()
        }
        fn on_timers(&mut self, cx: &mut $crate::operator::Context<'_>) -> $crate::operator::Step {
            self.next.on_timers(cx)
        }
    };
}
pub(crate) use pass_on;

/// Builds a batch from another, record by record; every mark keeps its place between the records.
fn rewrite<T, U>(batch: Batch<T>, mut each: impl FnMut(EventTime, T, &mut Batch<U>)) -> Batch<U> {
    let mut out = Batch::with_capacity(batch.rows());
    let mut marks = batch.marks.into_iter().peekable();
    for (row, (time, value)) in (0u32..).zip(zip(batch.times, batch.values)) {
        while let Some(mark) = marks.next_if(|mark| mark.row <= row) {
            out.mark(mark.watermark);
        }
        each(time, value, &mut out);
    }
    marks.for_each(|mark| out.mark(mark.watermark));
    out
}
