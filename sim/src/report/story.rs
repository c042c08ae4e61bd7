//! How a run went on around its break, in a few lines: what the control plane did, and what befell it.
//! Chosen, not judged: facts of the seconds before the first thing that broke at a known time. Told in
//! [`super::failure`].

use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};

use crate::journal::{Entry, Journal};

/// How many lines a story has.
const LINES: usize = 8;

/// The lines before and at `broke`; nothing where nothing is known of a time.
pub fn story(journal: &Journal, broke: Option<Duration>) -> Vec<String> {
    let Some(broke) = broke else { return Vec::new() };
    let known = journal.entries().iter().filter(|entry| entry.time <= broke && tells(entry));
    let known: Vec<&Entry> = known.collect();
    let last = known.len().saturating_sub(LINES);
    known[last..].iter().map(|entry| journal.line(entry).to_string()).collect()
}

/// Whether a fact is of those by which a person would tell what happened.
fn tells(entry: &Entry) -> bool {
    match &entry.fact {
        Fact::FaultBegan { .. }
        | Fact::FaultEnded { .. }
        | Fact::NodeDown { .. }
        | Fact::NodeStarted { .. }
        | Fact::NodeResumed { .. }
        | Fact::LeaderElected { .. }
        | Fact::LeaderLost { .. }
        | Fact::TaskManagerLost { .. }
        | Fact::JobManagerLost { .. }
        | Fact::MessageFenced { .. }
        | Fact::CheckpointTriggered { .. }
        | Fact::CheckpointCompleted { .. }
        | Fact::CheckpointAborted { .. }
        | Fact::JobRestored { .. }
        | Fact::JobResumed { .. }
        | Fact::Panicked { .. } => true,
        Fact::JobStatusChanged { to, .. } => *to != JobStatus::Created,
        _ => false,
    }
}
