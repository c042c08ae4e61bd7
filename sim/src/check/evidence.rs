//! What oracles read a journal by: source records decoded, visible rows, newest attempts.
//! Judges nothing, and decodes with types of its own: a record is what the codec says it is, not
//! what the job that wrote it thinks. The oracles are the other files of this room.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::Data;
use slackwater_core::codec::decode_batch;
use slackwater_core::element::Batch;
use slackwater_core::fact::{Fact, JobStatus, TaskStatus};
use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId};
use slackwater_core::point::{FieldValue, Point};
use slackwater_core::time::EventTime;

use super::{Broken, Resumed};
use crate::journal::{Entry, Journal};

/// A record of the ledger job, field by field as it stands in a source's batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LedgerEntry {
    pub id: u64,
    pub transaction: u64,
    pub account: u32,
    pub amount: i64,
    pub at: EventTime,
}

/// A reading of the demo's sensors, field by field as it stands in a source's batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Reading {
    pub key: String,
    pub at: EventTime,
    pub value: f64,
}

/// A visible row of the series database, and who wrote it when.
#[derive(Clone, Debug, PartialEq)]
pub struct Visible {
    /// The row.
    pub point: Point,
    /// The writer's name.
    pub writer: String,
    /// When it was written last.
    pub at: Duration,
}

/// What stands in a series by key and time.
pub type Rows = BTreeMap<(String, EventTime), Visible>;

/// A run as oracles see it.
#[derive(Copy, Clone, Debug)]
pub struct Evidence<'a> {
    /// Every fact.
    pub journal: &'a Journal,
    /// The same seed without faults, for checks that need it.
    pub calm: Option<&'a Journal>,
    /// The same story cut in two, for checks that need it.
    pub resumed: Option<&'a Resumed>,
}

/// One batch that a source emitted.
pub(super) struct Emitted<T> {
    pub(super) task: Execution,
    pub(super) split: u32,
    pub(super) offset: u64,
    pub(super) batch: Batch<T>,
}

impl<'a> Evidence<'a> {
    /// A run on its own.
    pub fn of(journal: &'a Journal) -> Self {
        Self { journal, calm: None, resumed: None }
    }

    pub(super) fn entries(&self) -> &'a [Entry] {
        self.journal.entries()
    }

    pub(super) fn facts(&self) -> impl Iterator<Item = &'a Fact> {
        self.journal.entries().iter().map(|entry| &entry.fact)
    }

    /// The newest attempt of every job that ran tasks.
    pub(super) fn newest(&self) -> BTreeMap<JobId, (JobEpoch, Attempt)> {
        let mut newest = BTreeMap::new();
        for task in self.facts().filter_map(task_of) {
            let known = newest.entry(task.job).or_insert((task.epoch, task.attempt));
            *known = (*known).max((task.epoch, task.attempt));
        }
        newest
    }

    /// The attempts that began with the state of a checkpoint, by job.
    pub(super) fn restored(&self) -> BTreeSet<(JobId, Attempt)> {
        let restored = self.facts().filter_map(|fact| match fact {
            Fact::JobRestored { job, attempt, .. } => Some((*job, *attempt)),
            _ => None,
        });
        restored.collect()
    }

    /// Whether every job that was submitted has finished.
    pub(super) fn finished(&self) -> bool {
        let ends = self.ends();
        !ends.is_empty() && ends.values().all(|status| *status == JobStatus::Finished)
    }

    /// Whether every job that was submitted has ended, one way or another.
    pub(super) fn over(&self) -> bool {
        let ends = self.ends();
        !ends.is_empty() && ends.values().all(|status| status.is_final())
    }

    /// The last state of every job that was submitted.
    pub(super) fn ends(&self) -> BTreeMap<JobId, JobStatus> {
        let mut ends = BTreeMap::new();
        for fact in self.facts() {
            match fact {
                Fact::JobSubmitted { job, .. } => {
                    ends.entry(*job).or_insert(JobStatus::Created);
                }
                Fact::JobStatusChanged { job, to, .. } => {
                    ends.insert(*job, *to);
                }
                _ => {}
            }
        }
        ends
    }

    /// The executions that ended, and how.
    pub(super) fn ended(&self) -> BTreeMap<Execution, TaskStatus> {
        let ended = |fact: &Fact| match fact {
            Fact::TaskStatusChanged { task, to, .. }
                if !matches!(to, TaskStatus::Deploying | TaskStatus::Running) =>
            {
                Some((*task, *to))
            }
            _ => None,
        };
        self.facts().filter_map(ended).collect()
    }

    /// Every batch of the sources of this uid, in order.
    pub(super) fn emitted<T: Data>(&self, uid: &str) -> Result<Vec<Emitted<T>>, Broken> {
        let mut all = Vec::new();
        for entry in self.entries() {
            let Fact::SourceEmitted { task, uid: own, split, offset, records, .. } = &entry.fact
            else {
                continue;
            };
            if own.0 != uid {
                continue;
            }
            let batch = decode_batch(&records.0).map_err(|error| {
                Broken::by(entry, format!("a batch of source {uid:?} is unreadable: {error}"))
            })?;
            all.push(Emitted { task: *task, split: *split, offset: *offset, batch });
        }
        Ok(all)
    }

    /// What stands in a series at the end: of every row the last write.
    pub(super) fn rows(&self, series: &str) -> Rows {
        rows(self.journal, series)
    }
}

/// What stands in a series at the end of a journal.
pub(crate) fn rows(journal: &Journal, series: &str) -> Rows {
    let mut rows = Rows::new();
    for entry in journal.entries() {
        let Fact::PointWritten { point, writer, .. } = &entry.fact else { continue };
        if point.series == series {
            let row = Visible { point: point.clone(), writer: writer.clone(), at: entry.time };
            rows.insert((point.key.clone(), point.time), row);
        }
    }
    rows
}

/// The execution that a fact speaks of.
pub(super) fn task_of(fact: &Fact) -> Option<Execution> {
    match fact {
        Fact::TaskStatusChanged { task, .. }
        | Fact::SourceEmitted { task, .. }
        | Fact::GateOpened { task, .. }
        | Fact::BatchReceived { task, .. }
        | Fact::RecordWindowed { task, .. }
        | Fact::WindowFired { task, .. }
        | Fact::RecordLate { task, .. } => Some(*task),
        _ => None,
    }
}

/// A field as a float.
pub(crate) fn float(point: &Point, field: &str) -> Option<f64> {
    match point.field(field) {
        Some(FieldValue::Float(value)) => Some(*value),
        _ => None,
    }
}

/// A field as an integer.
pub(super) fn integer(point: &Point, field: &str) -> Option<i64> {
    match point.field(field) {
        Some(FieldValue::Integer(value)) => Some(*value),
        _ => None,
    }
}

/// The start of the window of `size` ms that holds `time`: the oracles' own arithmetic.
pub(super) fn window_of(time: EventTime, size: i64) -> i64 {
    time.as_millis().div_euclid(size) * size
}

/// A time of the data, for a person: seconds since the first one that matters.
pub(super) fn seconds(millis: i64) -> String {
    format!("{}.{:03}", millis.div_euclid(1_000), millis.rem_euclid(1_000))
}
