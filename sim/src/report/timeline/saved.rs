//! Savepoints, and the jobs that begin with one: where each was asked for, where it was complete or
//! failed, and a line from there to the first attempt of every job that took it up.
//! Of these nothing is ever left out. How a savepoint walks through the tasks is drawn with the
//! checkpoints, in [`super::lanes`].

use std::collections::{BTreeMap, BTreeSet};

use slackwater_core::fact::Fact;
use slackwater_core::id::{CheckpointId, JobId};

use super::super::svg::{Drawing, Said};
use super::lanes::{group, place};
use super::scale::Scale;
use crate::journal::{Entry, Journal};

pub(super) fn draw(drawing: &mut Drawing, scale: &Scale, journal: &Journal) {
    let mut complete = BTreeMap::<CheckpointId, Vec<(JobId, &Entry)>>::new();
    let mut begun = BTreeSet::<JobId>::new();
    for entry in journal.entries() {
        match &entry.fact {
            Fact::SavepointTriggered { job, attempt, checkpoint, .. } => {
                let group = group(scale, (*job, *attempt, *checkpoint));
                mark(drawing, scale, (journal, entry), ("savepoint asked", &group));
            }
            Fact::SavepointCompleted { job, attempt, checkpoint, .. } => {
                let group = group(scale, (*job, *attempt, *checkpoint));
                mark(drawing, scale, (journal, entry), ("savepoint", &group));
                let (x, y) = place(scale, entry);
                drawing.text((x + 8.0, y - 8.0), "saved", format!("savepoint {checkpoint}"));
                complete.entry(*checkpoint).or_default().push((*job, entry));
            }
            Fact::SavepointFailed { job, attempt, checkpoint, .. } => {
                let group = group(scale, (*job, *attempt, *checkpoint));
                mark(drawing, scale, (journal, entry), ("savepoint failed", &group));
            }
            // A job that goes on from its own checkpoint has begun before.
            Fact::JobRestored { job, checkpoint, .. } if begun.insert(*job) => {
                let others = complete.get(checkpoint).into_iter().flatten().rev();
                let from = others.into_iter().find(|(other, _)| other != job);
                if let Some((other, saved)) = from {
                    let text = format!(
                        "job {job} begins with savepoint {checkpoint} of job {other}\n{}",
                        journal.line(entry)
                    );
                    let said = Said { class: "resumed", text: &text, ..Said::default() };
                    drawing.line(&[place(scale, saved), place(scale, entry)], said);
                }
            }
            Fact::CheckpointCompleted { job, .. } => {
                begun.insert(*job);
            }
            _ => {}
        }
    }
}

/// A diamond.
fn mark(
    drawing: &mut Drawing,
    scale: &Scale,
    (journal, entry): (&Journal, &Entry),
    (class, group): (&str, &str),
) {
    let text = journal.line(entry).to_string();
    let (x, y) = place(scale, entry);
    let points = [(x, y - 6.0), (x + 6.0, y), (x, y + 6.0), (x - 6.0, y), (x, y - 6.0)];
    drawing.line(&points, Said { class, group, text: &text });
}
