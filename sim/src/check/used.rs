//! Checkpoints at work: bytes read back, gates that aligned two and more channels, packets that
//! waited behind a barrier, and how long the stream stood still for it.
//! Judges use, not correctness, as [`super::exchange`] does: a recovery that read nothing back, and a
//! barrier that met nobody, prove nothing. The suite sums [`Used`] over all of its runs.

use std::ops::AddAssign;
use std::time::Duration;

use slackwater_core::fact::Fact;

use super::{Args, Broken, Check, Evidence, Needs, Outcome};
use crate::journal::Journal;

pub(super) const CHECK: Check = Check {
    name: "checkpoints_used",
    about: "state was read back, gates aligned two and more channels, packets waited behind barriers",
    keys: &[],
    measures: &["read_back", "alignments", "held", "stall_ms"],
    needs: Needs::Run,
    judge,
};

/// How much a run used its checkpoints.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Bytes of state that tasks took up again.
    pub read_back: u64,
    /// Alignments over two and more channels.
    pub alignments: u64,
    /// Packets that waited behind a barrier.
    pub held: u64,
    /// The longest that a stream stood still: at a gate that aligned, or for a fork of state.
    pub stall: Duration,
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        self.read_back += other.read_back;
        self.alignments += other.alignments;
        self.held += other.held;
        self.stall = self.stall.max(other.stall);
    }
}

impl Used {
    /// What was never used, in words.
    pub fn unused(&self) -> Option<&'static str> {
        let Self { read_back, alignments, held, stall } = *self;
        let counts = [
            ("no state was read back", read_back == 0),
            ("no gate aligned two channels", alignments == 0),
            ("nothing waited behind a barrier", held == 0),
            ("no stream ever stood still", stall.is_zero()),
        ];
        counts.into_iter().find(|(_, zero)| *zero).map(|(what, _)| what)
    }
}

/// Counts how much a run used its checkpoints.
pub fn used(journal: &Journal) -> Used {
    let mut used = Used::default();
    for entry in journal.entries() {
        match &entry.fact {
            Fact::StateRestored { bytes, .. } => used.read_back += bytes,
            Fact::BarrierAligned { channels, held, took, .. } => {
                used.alignments += u64::from(*channels > 1);
                used.held += held;
                used.stall = used.stall.max(*took);
            }
            Fact::SnapshotTaken { stall, .. } => used.stall = used.stall.max(*stall),
            _ => {}
        }
    }
    used
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let all = used(run.journal);
    let passed = |fact: &&Fact| {
        matches!(
            fact,
            Fact::BarrierInjected { .. }
                | Fact::BarrierReceived { .. }
                | Fact::CheckpointAckSent { .. }
        )
    };
    let barriers = run.facts().filter(passed).count() as u64;
    let unused = all.unused().map(Broken::somewhere);
    Outcome::saw(barriers, "read back, aligned, held, and stood still")
        .measured("read_back", all.read_back as f64)
        .measured("alignments", all.alignments as f64)
        .measured("held", all.held as f64)
        .measured("stall_ms", all.stall.as_secs_f64() * 1_000.0)
        .broken_by(unused)
}
