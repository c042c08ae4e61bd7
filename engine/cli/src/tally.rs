//! What a run has done so far, counted from the facts that its nodes tell.
//! Never asks anybody and never decides anything: facts in, numbers out. The engine's own view of a
//! job is its status, which the client asks for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slackwater_core::fact::{Fact, TaskStatus};

/// Counts shared between the nodes that tell and the person who looks.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows read, by the source's uid.
    pub read: BTreeMap<String, u64>,
    /// Rows confirmed outside, by the sink's uid.
    pub written: BTreeMap<String, u64>,
    /// Records left out because they could not be read.
    pub skipped: u64,
    /// Why the last of them could not.
    pub last_skipped: String,
    /// Records that came after their window had closed.
    pub late: u64,
    /// Points that the series database took.
    pub points: u64,
    /// Tasks that panicked, in words.
    pub panics: Vec<String>,
    /// The first task that failed by itself, in words.
    pub failure: Option<String>,
}

impl Tally {
    /// Counts a fact.
    pub fn hear(&self, fact: Fact) {
        let mut counts = self.counts_mut();
        match fact {
            Fact::SourceEmitted { uid, rows, .. } => {
                *counts.read.entry(uid.0).or_default() += u64::from(rows);
            }
            Fact::SinkFlushed { uid, rows, .. } => {
                *counts.written.entry(uid.0).or_default() += u64::from(rows);
            }
            Fact::RecordSkipped { rows, cause, .. } => {
                counts.skipped += rows;
                counts.last_skipped = cause;
            }
            Fact::RecordLate { rows, .. } => counts.late += u64::from(rows),
            Fact::PointWritten { .. } => counts.points += 1,
            Fact::Panicked { task, message } => {
                counts.panics.push(format!("{task} panicked: {message}"));
            }
            Fact::TaskStatusChanged { to: TaskStatus::Failed, cause, .. } => {
                counts.failure.get_or_insert(cause);
            }
            _ => {}
        }
    }

    /// How things stand.
    pub fn counts(&self) -> Counts {
        self.counts_mut().clone()
    }

    fn counts_mut(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Counts {
    /// One line for each source and sink, then what was left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (uid, rows) in &self.read {
            writeln!(f, "  {rows:>9} read from {uid}")?;
        }
        for (uid, rows) in &self.written {
            writeln!(f, "  {rows:>9} written to {uid}")?;
        }
        writeln!(f, "  {:>9} late", self.late)?;
        write!(f, "  {:>9} skipped", self.skipped)?;
        match self.skipped {
            0 => Ok(()),
            _ => write!(f, ", the last: {}", self.last_skipped),
        }
    }
}
