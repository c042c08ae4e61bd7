//! Watermarks only grow, and none runs ahead of what its channels have promised.
//! Reads what tasks told of their channels and themselves; recomputes the minimum over the active
//! channels on its own (semantics rules 2 to 4). Which record is late is [`super::model`]'s.

use std::collections::BTreeMap;

use slackwater_core::fact::Fact;
use slackwater_core::id::Execution;
use slackwater_core::time::EventTime;

use super::{Args, Broken, Check, Evidence, Needs, Outcome};
use crate::journal::Entry;

pub(super) const CHECK: Check = Check {
    name: "watermark_monotonic",
    about: "watermarks grow per channel and per task, and stay behind the least active channel",
    keys: &[],
    measures: &["advances"],
    needs: Needs::Run,
    judge,
};

/// What one gate has been told.
#[derive(Default)]
struct Gate {
    /// By channel that is listened to: how far it has come; silent ones are left out.
    active: BTreeMap<u32, EventTime>,
    /// How far each of the silent ones had come.
    silent: BTreeMap<u32, EventTime>,
    own: Option<EventTime>,
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let mut gates = BTreeMap::<Execution, Gate>::new();
    let (mut advances, mut wrong) = (0u64, None);
    for entry in run.entries() {
        advances += u64::from(matches!(entry.fact, Fact::WatermarkAdvanced { .. }));
        wrong = wrong.or_else(|| step(&mut gates, entry));
    }
    let summary = format!("watermarks of {} tasks only grew", gates.len());
    Outcome::saw(advances, summary).measured("advances", advances as f64).broken_by(wrong)
}

fn step(gates: &mut BTreeMap<Execution, Gate>, entry: &Entry) -> Option<Broken> {
    let broken = |what: String| Some(Broken::by(entry, what));
    match &entry.fact {
        Fact::GateOpened { task, channels } => {
            let gate = gates.entry(*task).or_default();
            gate.active = (0..*channels).map(|channel| (channel, EventTime::MIN)).collect();
            None
        }
        Fact::ChannelSilent { task, channel, silent } => {
            let Gate { active, silent: away, .. } = gates.entry(*task).or_default();
            let (from, to) = if *silent { (active, away) } else { (away, active) };
            to.extend(from.remove_entry(channel));
            None
        }
        Fact::ChannelWatermark { task, channel, watermark } => {
            let Gate { active, silent, .. } = gates.entry(*task).or_default();
            let known = match silent.get_mut(channel) {
                Some(known) => known,
                None => active.entry(*channel).or_insert(EventTime::MIN),
            };
            let before = std::mem::replace(known, *watermark);
            if before > *watermark {
                return broken(format!(
                    "channel {channel} of {task} went from {before} to {watermark}"
                ));
            }
            None
        }
        Fact::WatermarkAdvanced { task, watermark } => {
            let gate = gates.entry(*task).or_default();
            let before = gate.own.replace(*watermark);
            if before.is_some_and(|before| before >= *watermark) {
                return broken(format!("{task} did not advance: {before:?} to {watermark}"));
            }
            match gate.active.values().min() {
                Some(least) if watermark > least => {
                    broken(format!("{task} is at {watermark}, an active channel only at {least}"))
                }
                _ => None,
            }
        }
        Fact::RecordLate { task, watermark, .. } => {
            let own = gates.get(task).and_then(|gate| gate.own);
            match own {
                Some(own) if *watermark > own => {
                    broken(format!("{task} judged a record by {watermark} and stands at {own}"))
                }
                _ => None,
            }
        }
        _ => None,
    }
}
