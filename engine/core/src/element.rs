//! What flows on a stream: batches of records in columns, with watermarks as marks between rows,
//! and the signals that travel between batches. Plain data. Nothing here decides.
//! Marks are made by the watermark generators and merged by the gate, both in `slackwater-dataflow`.

use serde::{Deserialize, Serialize};

use crate::id::{CheckpointId, Subtask};
use crate::time::{EventTime, ProcessingTime};

/// How many records a batch holds by default.
pub const BATCH_ROWS: usize = 1024;

/// A watermark inside a batch: it passes after the first `row` records.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// How many rows of the batch stand before the mark: 0..=rows.
    pub row: u32,
    /// No record with a timestamp ≤ this follows.
    pub watermark: EventTime,
}

/// Records in columns, and the watermarks that pass between them.
///
/// `times` and `values` have equal length. `marks` are sorted by row, strictly growing in
/// watermark. A batch without rows that holds a mark is how a watermark travels alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch<T> {
    /// The timestamp of each record.
    pub times: Vec<EventTime>,
    /// The records.
    pub values: Vec<T>,
    /// The watermarks.
    pub marks: Vec<Mark>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { times: Vec::new(), values: Vec::new(), marks: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// An empty batch with room for `rows` records.
    pub fn with_capacity(rows: usize) -> Self {
        Self {
            times: Vec::with_capacity(rows),
            values: Vec::with_capacity(rows),
            marks: Vec::new(),
        }
    }

    /// A batch of one watermark and no rows.
    pub fn of_watermark(watermark: EventTime) -> Self {
        Self { marks: vec![Mark { row: 0, watermark }], ..Self::default() }
    }

    /// How many records it holds.
    pub fn rows(&self) -> usize {
        debug_assert_eq!(self.times.len(), self.values.len(), "columns have equal length");
        self.values.len()
    }

    /// Whether it holds neither records nor marks.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.marks.is_empty()
    }

    /// Appends a record.
    pub fn push(&mut self, time: EventTime, value: T) {
        self.times.push(time);
        self.values.push(value);
    }

    /// Appends a watermark behind the last row; one that does not advance is left out.
    pub fn mark(&mut self, watermark: EventTime) {
        if self.marks.last().is_none_or(|last| last.watermark < watermark) {
            self.marks.push(Mark { row: self.values.len() as u32, watermark });
        }
    }

    /// Removes rows and marks, keeping the memory.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.marks.clear();
    }

    /// Whether columns match and marks are sorted and within the rows: what a decoder checks.
    pub fn is_well_formed(&self) -> bool {
        let rows = self.values.len() as u32;
        self.times.len() == self.values.len()
            && self.marks.iter().all(|mark| mark.row <= rows)
            && self
                .marks
                .windows(2)
                .all(|m| m[0].row <= m[1].row && m[0].watermark < m[1].watermark)
    }
}

/// What a barrier asks of the operators that it passes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BarrierKind {
    /// A checkpoint of the engine's own, subsumed by later ones.
    Checkpoint,
    /// A savepoint that a person asked for; the job goes on.
    Savepoint,
    /// A savepoint after which the job stops.
    StopWithSavepoint {
        /// Whether open windows fire before it.
        drain: bool,
    },
}

/// The line between what a checkpoint holds and what it does not.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// Its checkpoint.
    pub checkpoint: CheckpointId,
    /// Why it was sent.
    pub kind: BarrierKind,
}

/// A marker that measures the way from source to sink; enters no window and no state.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyMarker {
    /// Which source subtask sent it.
    pub source: Subtask,
    /// When, by the clock of the source's host.
    pub sent: ProcessingTime,
}

/// What travels between batches and overtakes none.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// The channel has nothing to say for now; it is left out of the watermark's minimum.
    Idle,
    /// The channel speaks again. A batch on an idle channel means the same.
    Active,
    /// A checkpoint's barrier.
    Barrier(Barrier),
    /// A latency marker.
    Latency(LatencyMarker),
    /// Nothing follows on this channel, ever.
    EndOfInput,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_does_not_advance_is_left_out() {
        let mut batch = Batch::default();
        batch.push(EventTime::from_millis(5), "a");
        for watermark in [4, 4, 3, 9] {
            batch.mark(EventTime::from_millis(watermark));
        }
        let marks: Vec<_> = batch.marks.iter().map(|m| (m.row, m.watermark.as_millis())).collect();
        assert_eq!(marks, [(1, 4), (1, 9)]);
        assert!(batch.is_well_formed());
    }
}
