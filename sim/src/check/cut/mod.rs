//! CUT: every completed checkpoint and savepoint, decoded, holds what a model computes for its own source offsets.
//! Needs no crash: a record on the wrong side of a barrier shows in any checkpoint, seconds before a
//! sum is wrong. The model of windows is [`windows`]; what lies in files is read by
//! [`super::archive`]; no line of it is shared with what wrote them.

mod sources;
mod transactions;
mod windows;

use std::collections::BTreeMap;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::id::Subtask;

use self::sources::{Cut, Sources};
use self::transactions::Transactions;
use super::archive::{Archive, Complete, completes, parts};
use super::sections::{Section, sections};
use super::{Args, Broken, Check, Evidence, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "consistent_cut",
    about: "every completed checkpoint and savepoint equals the model's state at the source offsets it holds",
    keys: &[],
    measures: &["checkpoints", "sections"],
    needs: Needs::Run,
    judge,
};

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looked {
    pub(super) checkpoints: u64,
    pub(super) sections: u64,
    /// Whether one of them held a window or a transaction that was open.
    pub(super) open: bool,
}

/// The parts of a checkpoint, opened: of each subtask its sections.
type Parts = BTreeMap<Subtask, Vec<Section>>;

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let (looked, wrong) = cuts(run);
    // How many there were moves with every delay.
    let open = if looked.open { "with open windows in them" } else { "nothing open in them" };
    let summary = match looked.checkpoints {
        0 => "no checkpoint completed".to_owned(),
        _ => format!("every checkpoint equals the model at its offsets, {open}"),
    };
    Outcome::saw(looked.checkpoints, summary)
        .measured("checkpoints", looked.checkpoints as f64)
        .measured("sections", looked.sections as f64)
        .broken_by(wrong)
}

/// Holds every checkpoint that completes against the model; the first that differs is told.
pub(super) fn cuts(run: &Evidence<'_>) -> (Looked, Option<Broken>) {
    let (mut archive, mut sources) = (Archive::default(), Sources::default());
    let (mut transactions, mut looked) = (Transactions::default(), Looked::default());
    for entry in run.entries() {
        if let Err(why) = sources.note(&entry.fact) {
            return (looked, Some(Broken::by(entry, why)));
        }
        transactions.note(&entry.fact);
        let Some((job, _, appended)) = archive.note(&entry.fact) else { continue };
        sources.append(job, &appended.event);
        let Some(complete) = completes(job, &appended) else { continue };
        // The log names what lay in the memory of a job manager, and has no state of it.
        if archive.is_damaged(&complete) || complete.lies_nowhere() {
            continue;
        }
        looked.checkpoints += 1;
        let held = hold(&archive, &complete, (&sources, &transactions), &mut looked);
        if let Err(why) = held {
            let kind = if complete.saved.is_some() { "savepoint" } else { "checkpoint" };
            let what = format!("{kind} {}: {why}", complete.checkpoint);
            return (looked, Some(Broken::by(entry, what)));
        }
    }
    (looked, None)
}

/// Holds one checkpoint against the model.
fn hold(
    archive: &Archive<'_>,
    complete: &Complete,
    (sources, transactions): (&Sources, &Transactions),
    looked: &mut Looked,
) -> Result<(), String> {
    let metadata = archive.metadata(complete)?;
    let parts = opened(archive, &metadata)?;
    looked.sections += parts.values().map(|sections| sections.len() as u64).sum::<u64>();
    let cut = sources.cut(&metadata, &parts)?;
    looked.open |= windows::hold(&metadata, &parts, &cut)?;
    looked.open |= transactions.hold(&metadata, &parts)?;
    known(&parts, &cut)
}

fn opened(archive: &Archive<'_>, metadata: &CheckpointMetadata) -> Result<Parts, String> {
    let mut opened = Parts::new();
    for (subtask, _, handle) in parts(metadata) {
        let bytes = archive.state(handle)?;
        let sections = sections(bytes).map_err(|why| format!("{subtask}: {why}"))?;
        opened.insert(subtask, sections);
    }
    Ok(opened)
}

/// A section that no part of the model speaks of would go unchecked: that is an error, too.
fn known(parts: &Parts, cut: &Cut) -> Result<(), String> {
    for section in parts.values().flatten() {
        let uid = section.uid.0.as_str();
        let of_source = cut.source == uid && ["position", "greatest"].contains(&&*section.state);
        let of_window =
            cut.window == uid && ["windows", "waiting", "watermark"].contains(&&*section.state);
        let of_scan = cut.scan == uid && section.state == "scan";
        if !(of_source || of_window || of_scan || section.state == "transactions") {
            return Err(format!("the model does not know what {} should hold", section.name()));
        }
    }
    Ok(())
}
