//! What a run has done so far, counted from the facts that its nodes tell.
//! Never asks anybody and never decides anything: facts in, numbers out. The engine's own view of a
//! job is its status, which the client asks for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slackwater_core::fact::{Fact, TaskStatus};

/// Counts shared between the nodes that tell and the person who looks.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows read, by the source's uid.
    pub read: BTreeMap<String, u64>,
    /// Rows confirmed outside, by the sink's uid; those of a two-phase sink once they are prepared.
    pub written: BTreeMap<String, u64>,
    /// Records left out because they could not be read.
    pub skipped: u64,
    /// Why the last of them could not.
    pub last_skipped: String,
    /// Records that came after their window had closed.
    pub late: u64,
    /// Points that the series database took.
    pub points: u64,
    /// Checkpoints that completed, and how long the last took and how large it was.
    pub checkpoints: Checkpoints,
    /// The folders of the savepoints that were taken.
    pub savepoints: Vec<String>,
    /// How often a job started again after a failure.
    pub restarts: u32,
    /// How many latency markers took so many milliseconds.
    pub latency: BTreeMap<i64, u64>,
    /// Tasks that panicked, in words.
    pub panics: Vec<String>,
    /// The first task that failed by itself, in words.
    pub failure: Option<String>,
}

/// What was counted of checkpoints.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// How many completed.
    pub completed: u64,
    /// How many were given up.
    pub aborted: u64,
    /// How long the last one took that completed.
    pub last_took: Duration,
    /// Its bytes of state.
    pub last_bytes: u64,
}

impl fmt::Display for Checkpoints {
    /// `7 checkpoints, the last 12 ms and 345 bytes`, and those that were given up, if any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { completed, aborted, last_took, last_bytes } = self;
        let millis = last_took.as_millis();
        write!(f, "{completed} checkpoints, the last {millis} ms and {last_bytes} bytes")?;
        if *aborted > 0 { write!(f, ", {aborted} given up") } else { Ok(()) }
    }
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
            Fact::SinkPrepared { uid, rows, .. } => {
                *counts.written.entry(uid.0).or_default() += rows;
            }
            Fact::RecordSkipped { uid, rows, cause, .. } => {
                counts.skipped += rows;
                counts.last_skipped = format!("{uid}: {cause}");
            }
            Fact::RecordLate { rows, .. } => counts.late += u64::from(rows),
            Fact::PointWritten { .. } => counts.points += 1,
            Fact::CheckpointCompleted { duration, bytes, .. } => {
                counts.checkpoints.completed += 1;
                (counts.checkpoints.last_took, counts.checkpoints.last_bytes) = (duration, bytes);
            }
            Fact::CheckpointAborted { .. } => counts.checkpoints.aborted += 1,
            Fact::SavepointCompleted { path, .. } => counts.savepoints.push(path),
            Fact::RestartCounted { .. } => counts.restarts += 1,
            Fact::LatencyMeasured { millis, .. } => *counts.latency.entry(millis).or_default() += 1,
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

impl Counts {
    /// The latency in milliseconds that `permille` of the markers did not exceed, if any came.
    pub fn latency_at(&self, permille: u64) -> Option<i64> {
        let markers: u64 = self.latency.values().sum();
        let rank = (markers * permille).div_ceil(1_000).max(1);
        let mut seen = 0;
        let reached = self.latency.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        reached.map(|(millis, _)| *millis)
    }
}

impl fmt::Display for Counts {
    /// One line for each source and sink, then what was left out, then what it took.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (uid, rows) in &self.read {
            writeln!(f, "  {rows:>9} read from {uid}")?;
        }
        for (uid, rows) in &self.written {
            writeln!(f, "  {rows:>9} written to {uid}")?;
        }
        writeln!(f, "  {:>9} late", self.late)?;
        write!(f, "  {:>9} skipped", self.skipped)?;
        if self.skipped > 0 {
            write!(f, ", the last: {}", self.last_skipped)?;
        }
        if self.checkpoints != Checkpoints::default() {
            write!(f, "\n  {:>9} {}", "", self.checkpoints)?;
        }
        for path in &self.savepoints {
            write!(f, "\n  {:>9} savepoint {path}", "")?;
        }
        if self.restarts > 0 {
            write!(f, "\n  {:>9} restarts", self.restarts)?;
        }
        if let (Some(half), Some(most)) = (self.latency_at(500), self.latency_at(990)) {
            write!(f, "\n  {:>9} latency: {half} ms at p50, {most} ms at p99", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use slackwater_core::element::LatencyMarker;
    use slackwater_core::id::{
        Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, VertexId,
    };
    use slackwater_core::time::{ProcessingTime, ms};

    use super::*;

    #[test]
    fn checkpoints_savepoints_restarts_and_latency_are_counted_and_said() {
        let tally = Tally::default();
        let quiet = tally.counts().to_string();
        assert_eq!(quiet, "          0 late\n          0 skipped");
        let (job, attempt, checkpoint) = (JobId(1), Attempt(1), CheckpointId(4));
        let subtask = Subtask { vertex: VertexId(0), index: 0 };
        let task = Execution { job, epoch: JobEpoch(1), attempt, subtask };
        tally.hear(Fact::CheckpointCompleted {
            job,
            attempt,
            checkpoint,
            duration: ms(12),
            bytes: 345,
        });
        tally.hear(Fact::CheckpointAborted { job, attempt, checkpoint, cause: "late".into() });
        let path = "file:///kept/savepoint-1".to_owned();
        tally.hear(Fact::SavepointCompleted { job, attempt, checkpoint, path, bytes: 345 });
        tally.hear(Fact::RestartCounted { job, attempt, restarts: 1 });
        for millis in 1..=200 {
            let marker = LatencyMarker { source: subtask, sent: ProcessingTime::from_millis(0) };
            tally.hear(Fact::LatencyMeasured { task, marker, millis });
        }
        let said = tally.counts().to_string();
        let rest = said.strip_prefix(&quiet).expect("the same before");
        let expected = "\n            1 checkpoints, the last 12 ms and 345 bytes, 1 given up\
                        \n            savepoint file:///kept/savepoint-1\
                        \n          1 restarts\
                        \n            latency: 100 ms at p50, 198 ms at p99";
        assert_eq!(rest, expected);
    }
}
