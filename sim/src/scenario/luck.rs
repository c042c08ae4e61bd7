//! The same run up to some time, and other luck from then on: other delays, other interleavings,
//! and the faults that another seed would have brought.
//! Draws nothing itself: what another seed brings is drawn by [`super::draw`] as ever. Asked for by
//! [`crate::inquest`], to see from when on a failure is certain.

use std::time::Duration;

use serde_spanned::Spanned;

use super::befall;
use super::drawn::Drawn;
use super::fault::FaultPart;
use super::player::{Prepared, Turn};
use super::resolve::{Cell, Scenario};
use super::schedule;
use super::values::Pick;
use crate::journal::Journal;
use crate::world::World;

/// From when on which seed decides.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct OtherLuck {
    /// Virtual time.
    pub from: Duration,
    /// The seed from then on.
    pub seed: u64,
}

impl OtherLuck {
    /// A world with the luck that it was prepared for.
    pub(super) fn of(prepared: &Prepared, world: World) -> World {
        match prepared.other_luck {
            Some(Self { from, seed }) => world.other_luck(from, seed),
            None => world,
        }
    }
}

impl Prepared {
    /// The run of the same seed without faults, if one was played.
    pub fn calm(&self) -> Option<&Journal> {
        self.calm.as_ref().map(|calm| &calm.journal)
    }

    /// From when on every job ran, in the run without faults.
    pub fn running(&self) -> Option<Duration> {
        self.running
    }

    /// The same turn with other luck from some time on. Faults that wait for a fact stay: whether
    /// that comes is luck enough.
    pub fn with_other_luck(&self, scenario: &Scenario, turn: Turn, luck: OtherLuck) -> Self {
        let Self { calm, running, base, instants, .. } = self;
        let mut cell = self.cell.clone();
        let other = scenario.cell(Turn { seed: luck.seed, ..turn }).ok();
        if let (Ok(own), Some(other)) = (&mut cell, other) {
            let since = running.unwrap_or_default();
            let time = |fault: &FaultPart| Some(since + fault.when.get_ref().at?.low);
            own.document.fault.retain(|fault| time(fault).is_none_or(|time| time < luck.from));
            let later = other.document.fault.iter();
            let later = later.filter(|fault| time(fault).is_some_and(|time| time >= luck.from));
            let later: Vec<_> = later.filter(|fault| finds_its_target(fault, own)).collect();
            own.document.fault.extend(later.into_iter().map(other_name));
        }
        // A step of a window stays the one that it was.
        let redrawn = cell.as_ref().map(|cell| {
            let drawn = schedule::draw(cell, turn.seed, running.unwrap_or_default());
            let known = |fault: Drawn| {
                self.faults.iter().find(|own| own.name == fault.name).cloned().unwrap_or(fault)
            };
            drawn.into_iter().map(known).collect::<Vec<_>>()
        });
        let faults = redrawn.unwrap_or_else(|_| self.faults.clone());
        Self {
            cell,
            faults,
            never: self.never.clone(),
            calm: calm.clone(),
            played_calm: false,
            running: *running,
            base: base.clone(),
            instants: instants.clone(),
            other_luck: Some(luck),
        }
    }
}

/// Whether the nodes that a fault speaks of are in a cell's cluster.
fn finds_its_target(fault: &FaultPart, cell: &Cell) -> bool {
    let cluster = &cell.document.cluster;
    let is_there = |role, pick: &Option<Spanned<Pick>>| match pick.as_ref().map(Spanned::get_ref) {
        Some(Pick::Number(number)) => *number < befall::nodes_of(role, cluster),
        Some(Pick::Any) | None => befall::nodes_of(role, cluster) > 0,
    };
    let Some(on) = fault.on.as_ref().map(Spanned::get_ref) else { return true };
    let peer = on.peer.as_ref();
    is_there(on.role, &on.pick) && peer.is_none_or(|peer| is_there(peer.role, &peer.pick))
}

/// A fault by a name that none of the run's own has. What came of another seed need not come about.
fn other_name(fault: &FaultPart) -> FaultPart {
    let name = format!("other-{}", fault.name.get_ref());
    FaultPart {
        name: Spanned::new(fault.name.span(), name),
        must_fire: Some(false),
        ..fault.clone()
    }
}
