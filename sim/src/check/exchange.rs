//! No short cut through one task: frames between workers, gates over several channels, credits.
//! Judges use, not correctness: a suite that never left one task would prove nothing of the rest.
//! The suite sums [`Crossed`] over all of its runs, and over those with a fault.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use slackwater_core::fact::Fact;

use super::{Args, Broken, Check, Evidence, Needs, Outcome};
use crate::journal::Journal;

pub(super) const CHECK: Check = Check {
    name: "exchange_used",
    about: "frames went between workers, gates merged two and more channels, credits ran out",
    keys: &[],
    measures: &["frames", "wide_gates", "exhausted"],
    needs: Needs::Run,
    judge,
};

/// How often a run crossed the exchange.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Crossed {
    /// Frames that arrived from another worker.
    pub frames: u64,
    /// Gates that opened over two and more channels.
    pub wide_gates: u64,
    /// Writers that found no credit.
    pub exhausted: u64,
}

impl AddAssign for Crossed {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.wide_gates += other.wide_gates;
        self.exhausted += other.exhausted;
    }
}

/// Counts what crossed the exchange.
pub fn crossed(journal: &Journal) -> Crossed {
    let mut crossed = Crossed::default();
    for entry in journal.entries() {
        match &entry.fact {
            Fact::FrameReceived { .. } => crossed.frames += 1,
            Fact::GateOpened { channels, .. } if *channels > 1 => crossed.wide_gates += 1,
            Fact::CreditExhausted { .. } => crossed.exhausted += 1,
            _ => {}
        }
    }
    crossed
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let Crossed { frames, wide_gates, exhausted } = crossed(run.journal);
    let gates = run.facts().filter(|fact| matches!(fact, Fact::GateOpened { .. })).count();
    let counts = [("frames between workers", frames), ("gates over several channels", wide_gates)];
    let unused = counts.iter().find(|(_, count)| *count == 0);
    // A frame arrives at most once; one that was never sent cannot.
    let sent = run.facts().filter(|fact| matches!(fact, Fact::FrameSent { .. })).count() as u64;
    let channels: BTreeSet<_> = run
        .facts()
        .filter_map(|fact| match fact {
            Fact::FrameReceived { channel, .. } => Some(*channel),
            _ => None,
        })
        .collect();
    let summary = format!("{} channels between workers, {wide_gates} wide gates", channels.len());
    Outcome::saw(gates as u64, summary)
        .measured("frames", frames as f64)
        .measured("wide_gates", wide_gates as f64)
        .measured("exhausted", exhausted as f64)
        .broken_by(unused.map(|(what, _)| Broken::somewhere(format!("there were no {what}"))))
        .broken_by(
            (frames > sent).then(|| {
                Broken::somewhere(format!("{frames} frames arrived and {sent} were sent"))
            }),
        )
}
