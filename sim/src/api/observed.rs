//! What a user's own claims may look at: the visible rows, the ledger behind them, late records,
//! jobs and checkpoints, all read from the facts of a run.
//! Judges nothing by itself and knows no job. Claims are held against it in [`super::claim`].

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::point::{FieldValue, Point};
use slackwater_core::time::EventTime;

use super::verdict::Verdict;
use crate::journal::{Entry, Journal};

type RowsByKey<'a> = BTreeMap<(&'a str, EventTime), Row<'a>>;

/// A run up to a moment, as its facts tell it.
#[derive(Debug)]
pub struct Observed<'a> {
    journal: &'a Journal,
    /// How many facts have been seen.
    seen: usize,
    tables: BTreeMap<&'a str, RowsByKey<'a>>,
}

impl<'a> Observed<'a> {
    /// A run before its first fact.
    pub(super) fn nothing_of(journal: &'a Journal) -> Self {
        Self { journal, seen: 0, tables: BTreeMap::new() }
    }

    /// A run at its end.
    pub(super) fn all_of(journal: &'a Journal) -> Self {
        let mut observed = Self::nothing_of(journal);
        while observed.advance() {}
        observed
    }

    /// Goes on to the next moment at which something became visible; `false` at the end.
    pub(super) fn advance(&mut self) -> bool {
        let entries = self.journal.entries();
        let mut written_at = None;
        while let Some(entry) = entries.get(self.seen) {
            if written_at.is_some_and(|at| entry.time > at) {
                return true;
            }
            if let Fact::PointWritten { point, .. } = &entry.fact {
                let rows = self.tables.entry(&point.series).or_default();
                rows.insert((&point.key, point.time), Row { point, at: entry.time });
                written_at = Some(entry.time);
            }
            self.seen += 1;
        }
        written_at.is_some()
    }

    /// The virtual time of the last fact that has been seen.
    pub fn now(&self) -> Duration {
        self.entries().last().map_or(Duration::ZERO, |entry| entry.time)
    }

    /// The visible rows of a series by key and time; empty if nobody has written to it.
    pub fn table(&self, series: &'a str) -> Table<'a> {
        let rows = self.tables.get(series).map(|rows| rows.values().copied().collect());
        Table { name: series, rows: rows.unwrap_or_default() }
    }

    /// Every row of a series that was ever visible, in the order in which it was: also those whose
    /// place another took.
    pub fn ledger(&self, series: &'a str) -> Table<'a> {
        let rows = self.entries().iter().filter_map(|entry| match &entry.fact {
            Fact::PointWritten { point, .. } if point.series == series => {
                Some(Row { point, at: entry.time })
            }
            _ => None,
        });
        Table { name: series, rows: rows.collect() }
    }

    /// The names of the series that have rows.
    pub fn tables(&self) -> impl Iterator<Item = &'a str> {
        self.tables.keys().copied()
    }

    /// How many records came too late for their window, over all attempts.
    pub fn late_records(&self) -> u64 {
        let late = self.entries().iter().map(|entry| match entry.fact {
            Fact::RecordLate { rows, .. } => u64::from(rows),
            _ => 0,
        });
        late.sum()
    }

    /// Every job, in the order of submission: its name, where it is, how often it started again.
    pub fn jobs(&self) -> Vec<JobSeen<'a>> {
        let mut jobs = Vec::new();
        let mut place = BTreeMap::new();
        for entry in self.entries() {
            match &entry.fact {
                Fact::JobSubmitted { job, name, .. } => {
                    place.entry(*job).or_insert_with(|| {
                        jobs.push(JobSeen { name, status: JobStatus::Created, restarts: 0 });
                        jobs.len() - 1
                    });
                }
                Fact::JobStatusChanged { job, to, .. } => {
                    if let Some(at) = place.get(job) {
                        jobs[*at].status = *to;
                    }
                }
                Fact::RestartCounted { job, .. } => {
                    if let Some(at) = place.get(job) {
                        jobs[*at].restarts += 1;
                    }
                }
                _ => {}
            }
        }
        jobs
    }

    /// The numbers of the checkpoints that completed, in that order.
    pub fn checkpoints(&self) -> Vec<u64> {
        let completed = self.entries().iter().filter_map(|entry| match &entry.fact {
            Fact::CheckpointCompleted { checkpoint, .. } => Some(checkpoint.0),
            _ => None,
        });
        completed.collect()
    }

    /// The numbers of the checkpoints with which an attempt began again, in that order.
    pub fn restored_from(&self) -> Vec<u64> {
        let restored = self.entries().iter().filter_map(|entry| match &entry.fact {
            Fact::JobRestored { checkpoint, .. } => Some(checkpoint.0),
            _ => None,
        });
        restored.collect()
    }

    /// How many facts there are with this probe name (`slackwater probes` lists them).
    pub fn count(&self, probe: &str) -> usize {
        self.entries().iter().filter(|entry| entry.fact.probe() == probe).count()
    }

    /// Every fact so far, in order.
    pub fn entries(&self) -> &'a [Entry] {
        &self.journal.entries()[..self.seen]
    }
}

/// A job, as its facts tell it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct JobSeen<'a> {
    /// Its display name.
    pub name: &'a str,
    /// Where it is.
    pub status: JobStatus,
    /// How often it was started again after a failure.
    pub restarts: u32,
}

/// Rows of a series.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    name: &'a str,
    rows: Vec<Row<'a>>,
}

/// A row of a series, and when it became visible.
#[derive(Copy, Clone, Debug)]
pub struct Row<'a> {
    point: &'a Point,
    at: Duration,
}

impl<'a> Row<'a> {
    /// Its key.
    pub fn key(&self) -> &'a str {
        &self.point.key
    }

    /// Its timestamp.
    pub fn time(&self) -> EventTime {
        self.point.time
    }

    /// The virtual time at which it became visible.
    pub fn visible_since(&self) -> Duration {
        self.at
    }

    /// Its field `value`, or its only one, as a number.
    ///
    /// # Panics
    /// If there is no such field, or it is no number.
    pub fn value(&self) -> f64 {
        let only = || (self.point.fields.len() == 1).then(|| self.point.fields[0].0.as_str());
        let name = self.point.field("value").map(|_| "value").or_else(only);
        let name = name.unwrap_or_else(|| panic!("{} has no field `value`", self.point));
        self.number(name).unwrap_or_else(|| panic!("field {name:?} of {} is no number", self.point))
    }

    /// A field as a number, whole or not.
    pub fn number(&self, field: &str) -> Option<f64> {
        match self.point.field(field)? {
            FieldValue::Float(value) => Some(*value),
            FieldValue::Integer(value) => Some(*value as f64),
            FieldValue::Text(_) => None,
        }
    }

    /// A field that is a whole number.
    pub fn integer(&self, field: &str) -> Option<i64> {
        match self.point.field(field)? {
            FieldValue::Integer(value) => Some(*value),
            FieldValue::Float(_) | FieldValue::Text(_) => None,
        }
    }

    /// A field that is text.
    pub fn text(&self, field: &str) -> Option<&'a str> {
        match self.point.field(field)? {
            FieldValue::Text(text) => Some(text),
            FieldValue::Float(_) | FieldValue::Integer(_) => None,
        }
    }

    /// The whole row.
    pub fn point(&self) -> &'a Point {
        self.point
    }
}

impl<'a> Table<'a> {
    /// Only the rows of this key.
    #[must_use]
    pub fn where_key(mut self, key: &str) -> Self {
        self.rows.retain(|row| row.key() == key);
        self
    }

    /// Only the rows for which `keep` holds.
    #[must_use]
    pub fn filter(mut self, keep: impl FnMut(&Row<'a>) -> bool) -> Self {
        self.rows.retain(keep);
        self
    }

    /// The rows, by key and time; of a ledger in the order in which they became visible.
    pub fn rows(&self) -> &[Row<'a>] {
        &self.rows
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The sum of a field of whole numbers over all rows; rows without it count as zero.
    pub fn sum(&self, field: &str) -> i64 {
        self.rows.iter().filter_map(|row| row.integer(field)).sum()
    }

    /// Whether `holds` of every row; broken by the first of which it does not.
    pub fn all(&self, holds: impl Fn(&Row<'a>) -> bool) -> Verdict {
        let verdict = Verdict::saw(self.rows.len() as u64);
        match self.rows.iter().find(|row| !holds(row)) {
            Some(row) => verdict.broken_at(row.at, format!("there is {}", row.point)),
            None => verdict,
        }
    }

    /// Whether there is a row at least every `span` of event time, for every key, from its first
    /// row to its last.
    pub fn has_every(&self, span: Duration) -> Verdict {
        let mut times = BTreeMap::<&str, Vec<i64>>::new();
        for row in &self.rows {
            times.entry(row.key()).or_default().push(row.time().as_millis());
        }
        let verdict = Verdict::saw(self.rows.len() as u64);
        for (key, mut times) in times {
            times.sort_unstable();
            let wide = |pair: &&[i64]| u128::from(pair[1].abs_diff(pair[0])) > span.as_millis();
            if let Some(gap) = times.windows(2).find(wide) {
                let (name, gap, from, to) = (self.name, gap[1] - gap[0], gap[0], gap[1]);
                let words = format!(
                    "{name},key={key} has nothing between {from} and {to}: a gap of {gap} ms"
                );
                return verdict.broken(words);
            }
        }
        verdict
    }

    /// As [`Table::has_every`], for a test that looks at a report.
    ///
    /// # Panics
    /// If there is a gap, or no row at all.
    #[track_caller]
    pub fn assert_no_gap(&self, span: Duration) {
        assert!(!self.is_empty(), "{} has no rows", self.name);
        if let Err(words) = self.has_every(span).into_result() {
            panic!("{words}");
        }
    }
}
