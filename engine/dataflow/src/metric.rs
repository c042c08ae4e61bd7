//! What a task counts while it runs: its records, its waits, its operators, what its program declares.
//! Written by one thread, once a batch, and read by any: plain loads and stores, no lock on the way of
//! a record. Read by `slackwater-runtime`'s task manager; what travels is `slackwater_core::measure`.

mod latency;
mod user;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use slackwater_core::element::LatencyMarker;
use slackwater_core::graph::{OperatorKind, Uid, Vertex};
use slackwater_core::id::Execution;
use slackwater_core::measure::{OperatorMeasures, TaskMeasures};
use slackwater_core::time::{EventTime, ProcessingTime};

use self::latency::Pairs;
pub use self::user::{Counter, Meter, Metrics, Opened};

/// A number that one thread moves and others read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// What it stands at.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it. One thread only.
    pub fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }

    /// Adds to it. One thread only: two loads and stores at once would lose one.
    #[inline]
    pub fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    fn add_span(&self, span: Duration) {
        self.add(nanos(span));
    }

    fn span(&self) -> Duration {
        Duration::from_nanos(self.get())
    }
}

/// A watermark that one thread advances and others read.
#[derive(Debug)]
pub struct Level(AtomicI64);

impl Default for Level {
    fn default() -> Self {
        Self(AtomicI64::new(EventTime::MIN.as_millis()))
    }
}

impl Level {
    /// How far it is; MIN: nowhere yet.
    pub fn get(&self) -> EventTime {
        EventTime::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// Advances it.
    pub fn set(&self, to: EventTime) {
        self.0.store(to.as_millis(), Ordering::Relaxed);
    }
}

/// What a task counts; told as a fact when it ends, and shown as metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Records that came in.
    pub records_in: Count,
    /// Records that went out, over all ports, sinks among them.
    pub records_out: Count,
    /// Records that were late.
    pub late: Count,
    /// Records that went to other tasks.
    pub sent: Count,
    /// Bytes that came in, in frames.
    pub bytes_in: Count,
    /// Bytes that went out, in frames.
    pub bytes_out: Count,
    /// Batches that came in.
    pub batches_in: Count,
    /// The watermark of all channels together.
    pub watermark: Level,
    /// How it spends its time.
    pub time: Time,
    /// How long the last barrier took to align, in nanoseconds.
    alignment: Count,
    operators: Vec<OperatorCounts>,
}

/// What is counted of one operator.
#[derive(Debug, Default)]
pub struct OperatorCounts {
    uid: Option<Uid>,
    is_sink: bool,
    /// Records that it was given.
    pub records_in: Count,
    /// Records that it gave on.
    pub records_out: Count,
    /// Records that were late.
    pub late: Count,
    /// Late records that nobody reads.
    pub dropped: Count,
    /// The last watermark that came in.
    pub input_watermark: Level,
    /// The last watermark that it gave on.
    pub output_watermark: Level,
    /// Touched once a marker, never for a record.
    latencies: Mutex<Pairs>,
    declared: OnceLock<Vec<Opened>>,
}

/// What a task waits for that does not work.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It waits for input.
    Idle,
    /// It waits for whoever reads its output.
    Backpressured,
}

/// How a task spends its time, by the clock of its host.
#[derive(Debug, Default)]
pub struct Time {
    /// When it began, and when it ended, each plus one nanosecond; 0: not yet.
    began: Count,
    ended: Count,
    idle: Count,
    backpressured: Count,
    /// Since when it waits, plus one nanosecond; 0: it works.
    since: Count,
    /// Whether it is backpressured while it waits.
    blocked: Count,
}

impl Time {
    /// The task begins to work.
    pub fn begin(&self, now: Duration) {
        self.began.set(nanos(now) + 1);
    }

    /// The task has ended.
    pub fn end(&self, now: Duration) {
        self.resume(now);
        self.ended.set(nanos(now) + 1);
    }

    /// The task waits from now on.
    pub fn wait(&self, wait: Wait, now: Duration) {
        self.blocked.set(u64::from(wait == Wait::Backpressured));
        self.since.set(nanos(now) + 1);
    }

    /// The task goes on.
    pub fn resume(&self, now: Duration) {
        let Some(since) = stamp(&self.since) else { return };
        self.since.set(0);
        let waited = now.saturating_sub(since);
        let to = if self.blocked.get() > 0 { &self.backpressured } else { &self.idle };
        to.add_span(waited);
    }

    /// How long it has run, was idle, was backpressured; a wait that lasts is counted up to now. Read
    /// while it changes, one wait may be missing: never more than the task has run.
    fn read(&self, now: Duration) -> [Duration; 3] {
        let until = stamp(&self.ended).unwrap_or(now);
        let age = stamp(&self.began).map_or(Duration::ZERO, |began| until.saturating_sub(began));
        let (mut idle, mut backpressured) = (self.idle.span(), self.backpressured.span());
        if let Some(since) = stamp(&self.since) {
            let lasts = until.saturating_sub(since);
            let to = if self.blocked.get() > 0 { &mut backpressured } else { &mut idle };
            *to += lasts;
        }
        let idle = idle.min(age);
        [age, idle, backpressured.min(age.saturating_sub(idle))]
    }
}

impl Counts {
    /// The counts of a subtask of this vertex.
    pub fn of(vertex: &Vertex) -> Self {
        let operators = vertex.operators.iter().map(|told| OperatorCounts {
            uid: told.uid.clone(),
            is_sink: told.kind == OperatorKind::Sink,
            ..OperatorCounts::default()
        });
        let operators = operators.collect();
        Self { operators, ..Self::default() }
    }

    /// What is counted of the n-th operator of the chain, if operators are counted.
    #[inline]
    pub fn operator(&self, number: u32) -> Option<&OperatorCounts> {
        self.operators.get(number as usize)
    }

    /// The same by its uid.
    pub fn of_uid(&self, uid: &Uid) -> Option<&OperatorCounts> {
        self.operators.iter().find(|operator| operator.uid.as_ref() == Some(uid))
    }

    /// Keeps what the operators have declared; once.
    pub fn declare(&self, opened: Vec<(u32, Vec<Opened>)>) {
        for (number, opened) in opened {
            if let Some(operator) = self.operator(number) {
                // An instance is opened once for each counts.
                let _ = operator.declared.set(opened);
            }
        }
    }

    /// A batch of so many rows came in.
    #[inline]
    pub fn came_in(&self, rows: usize) {
        self.records_in.add(rows as u64);
        self.batches_in.add(1);
    }

    /// A barrier took so long to align.
    pub fn aligned(&self, took: Duration) {
        self.alignment.set(nanos(took));
    }

    /// What it all stands at now, by the clock of the task's host.
    pub fn read(&self, task: Execution, now: Duration) -> TaskMeasures {
        let [age, idle, backpressured] = self.time.read(now);
        TaskMeasures {
            task,
            ended: self.time.ended.get() > 0,
            age,
            idle,
            backpressured,
            records_in: self.records_in.get(),
            records_out: self.sent.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            batches_in: self.batches_in.get(),
            watermark: self.watermark.get(),
            alignment: self.alignment.span(),
            operators: self.operators.iter().map(OperatorCounts::read).collect(),
        }
    }
}

impl OperatorCounts {
    /// It was given so many rows, and this watermark behind them.
    #[inline]
    pub fn given(&self, rows: usize, watermark: Option<EventTime>) {
        self.records_in.add(rows as u64);
        if let Some(watermark) = watermark {
            self.input_watermark.set(watermark);
        }
    }

    /// Whether it is a sink.
    pub fn is_sink(&self) -> bool {
        self.is_sink
    }

    /// A marker has come here.
    pub fn measure(&self, marker: LatencyMarker, now: ProcessingTime) {
        let millis = now.millis_since(marker.sent).max(0).unsigned_abs();
        self.latencies().note(marker.source.vertex, millis);
    }

    fn latencies(&self) -> MutexGuard<'_, Pairs> {
        // Whoever panicked in between has left whole numbers behind.
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> OperatorMeasures {
        OperatorMeasures {
            records_in: self.records_in.get(),
            records_out: self.records_out.get(),
            late: self.late.get(),
            dropped: self.dropped.get(),
            input_watermark: self.input_watermark.get(),
            output_watermark: self.output_watermark.get(),
            latencies: self.latencies().read(),
            declared: self.declared.get().into_iter().flatten().map(Opened::read).collect(),
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A stamp that is kept plus one; 0 is none.
fn stamp(count: &Count) -> Option<Duration> {
    count.get().checked_sub(1).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests;
