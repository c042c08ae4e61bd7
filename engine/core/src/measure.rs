//! What tasks have measured of themselves at one moment: totals since the attempt began.
//! Plain data that travels; no rate is computed here, and nothing of it outlives an attempt.
//! Counted live in `slackwater-dataflow`'s `metric`; kept and compared in `slackwater-control`'s `metrics`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{Execution, VertexId};
use crate::time::EventTime;

/// About how many bytes of measures go into one report, if they are of several tasks; the next report
/// goes on where it ended.
pub const REPORT_BYTES: usize = 1 << 20;
/// The most counters and meters that a task may declare.
pub const DECLARED_MAX: usize = 64;
/// The most pairs of a source and an operator whose latencies a task tells.
pub const LATENCIES_MAX: usize = 64;

/// What a task has measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskMeasures {
    /// Which execution.
    pub task: Execution,
    /// Whether it has ended: these are its last words.
    pub ended: bool,
    /// How long it has run.
    pub age: Duration,
    /// How much of that it waited for input.
    pub idle: Duration,
    /// How much of that it waited for whoever reads its output. The rest it was busy.
    pub backpressured: Duration,
    /// Records that came in over channels, or that its source has read.
    pub records_in: u64,
    /// Records that it sent to other tasks.
    pub records_out: u64,
    /// Bytes that came in, in frames from other processes.
    pub bytes_in: u64,
    /// Bytes that it sent, in frames to other processes.
    pub bytes_out: u64,
    /// Batches that came in, or that its source has read.
    pub batches_in: u64,
    /// The watermark of all its channels; MIN: none yet, or a source.
    pub watermark: EventTime,
    /// How long its last barrier took to align.
    pub alignment: Duration,
    /// Its operators, in the order of the graph.
    pub operators: Vec<OperatorMeasures>,
}

/// What a task has measured of one operator of its chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorMeasures {
    /// Records that it was given; for a source, 0.
    pub records_in: u64,
    /// Records that it gave on, to whoever reads them.
    pub records_out: u64,
    /// Records that came too late for their window.
    pub late: u64,
    /// Those of them that nobody reads.
    pub dropped: u64,
    /// The last watermark that came in; MIN: none yet.
    pub input_watermark: EventTime,
    /// The last watermark that it gave on; MIN: none yet.
    pub output_watermark: EventTime,
    /// How long records take from each source to here, if that is measured.
    pub latencies: Vec<Latencies>,
    /// What the program counts.
    pub declared: Vec<Declared>,
}

/// A counter or meter that a program has declared, with what it stands at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Its name within the operator.
    pub name: String,
    /// What it is.
    pub kind: DeclaredKind,
    /// What it stands at.
    pub count: u64,
}

/// What a program counts with.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeclaredKind {
    /// How much there was.
    Counter,
    /// How much there was, and how fast it comes.
    Meter,
}

/// The upper bounds of the buckets that latencies are sorted into, in milliseconds; one more bucket
/// takes what is above.
pub const LATENCY_BOUNDS: [u64; 14] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000];

/// How long records took from a source to an operator, as markers measured it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// The vertex of the source.
    pub source: VertexId,
    /// How many markers came.
    pub count: u64,
    /// All their milliseconds together.
    pub sum: u64,
    /// How many fell into each bucket of [`LATENCY_BOUNDS`], and how many above all.
    pub buckets: Vec<u64>,
    /// The newest markers in short.
    pub recent: Spread,
}

/// How the newest latencies lie, as many as are kept: in milliseconds, but for mean and deviation.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The least.
    pub min: u32,
    /// The greatest.
    pub max: u32,
    /// Their mean, in microseconds.
    pub mean_micros: u64,
    /// Their standard deviation, in microseconds.
    pub deviation_micros: u64,
    /// At each part of [`SPREAD_PARTS`], linear between two neighbours, in microseconds.
    pub parts_micros: [u64; SPREAD_PARTS.len()],
}

/// The parts, in thousandths, that a [`Spread`] tells: the median first.
pub const SPREAD_PARTS: [u32; 7] = [500, 750, 900, 950, 980, 990, 999];

impl TaskMeasures {
    /// About how many bytes it takes to tell this.
    pub fn weight(&self) -> usize {
        let of = |own: &OperatorMeasures| {
            let names: usize = own.declared.iter().map(|own| own.name.len() + 16).sum();
            64 + names + own.latencies.len() * 192
        };
        128 + self.operators.iter().map(of).sum::<usize>()
    }

    /// How long it worked, and neither waited for input nor for its readers.
    pub fn busy(&self) -> Duration {
        self.age.saturating_sub(self.idle).saturating_sub(self.backpressured)
    }
}
