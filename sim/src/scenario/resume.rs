//! Nothing survives in memory that should not: the same story in two worlds. The first is cut off
//! behind a completed checkpoint; the second begins with a copy of its store's bytes and what lay
//! outside, and with processes that know nothing.
//! Judges nothing: both stories are told as one, and the oracles read it. Worlds are built by
//! [`super::schedule`].

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_dataflow::task::Programs;

use super::drawn::Drawn;
use super::resolve::Cell;
use super::schedule;
use crate::check::Resumed;
use crate::journal::{Entry, Journal};
use crate::world::Run;

/// How long after a checkpoint has completed the first world is cut off: while the next is under way.
const BEHIND: Duration = Duration::from_millis(130);

/// The story of a run again, cut in two; `None` if no checkpoint completed in it.
pub(super) fn resumed(
    cell: &Cell,
    seed: u64,
    faults: &[Drawn],
    run: &Run,
    programs: &Arc<dyn Programs>,
) -> Option<(Resumed, Duration, Duration)> {
    let cut = cut(&run.journal)?;
    let cluster = schedule::cluster(&cell.document.cluster, programs);
    let first = schedule::world_of(cell, seed, faults, cluster.clone()).limit(cut).run();
    let bytes = first.store.clone();
    let second = schedule::world_again(cell, seed, cluster, cut).store(bytes).run();
    let (time, cpu) = (first.time + second.time, first.cpu + second.cpu);
    let nodes = first.journal.nodes().to_vec();
    let later = second.journal.entries().iter().map(|entry| Entry {
        time: entry.time + cut,
        node: entry.node,
        fact: entry.fact.clone(),
    });
    let entries = first.journal.entries().iter().cloned().chain(later).collect();
    let journal = Journal::of(nodes, entries);
    Some((Resumed { journal, cut }, time, cpu))
}

/// Behind the checkpoint in the middle of those that completed, but for a last one.
fn cut(journal: &Journal) -> Option<Duration> {
    let completed = journal.entries().iter().filter_map(|entry| match &entry.fact {
        Fact::CheckpointCompleted { .. } => Some(entry.time),
        _ => None,
    });
    let completed: Vec<_> = completed.collect();
    let middle = *completed.get(completed.len().checked_sub(1)? / 2)?;
    Some(middle + BEHIND)
}
