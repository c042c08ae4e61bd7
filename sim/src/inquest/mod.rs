//! What is found out about a failure: what went wrong first, the smallest run that fails alike, how
//! many neighbours pass, and from when on nothing could save it.
//! Judges nothing and prints nothing: runs are [`crate::scenario`]'s, and what a person reads of an
//! [`Inquest`] is [`crate::report`]'s.

mod clock;
mod ddmin;
mod document;
mod first;
mod inquire;
mod kind;
mod neighbours;
mod plain;
mod regress;
mod shrink;
mod smaller;
mod trial;
mod write;

use std::time::Duration;

use slackwater_core::time::EventTime;

use crate::scenario::{Played, Trouble};

pub use first::first;
pub use inquire::{Extent, Suspect, inquire};
pub use kind::{Kind, worst};
pub use trial::Budget;
pub(crate) use write::text;

/// What was found out about one failing run.
#[derive(Clone, Debug)]
pub struct Inquest {
    /// What is wrong, as a person is told it.
    pub trouble: Trouble,
    /// Of which kind that is.
    pub kind: Kind,
    /// What went wrong first.
    pub first: First,
    /// The smallest run that was found to fail alike; `None` if it was not looked for.
    pub shrunk: Option<Shrunk>,
    /// How its neighbours do.
    pub nearby: Option<Nearby>,
    /// From when on the failure was certain.
    pub baked: Option<Baked>,
}

/// What went wrong first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// What a person is told.
    pub told: Wrong,
    /// What broke first; the same if nothing broke before.
    pub first: Wrong,
    /// How much virtual time before the other. What is told of no time is told of the end.
    pub earlier: Duration,
    /// How many facts the run has.
    pub facts: usize,
}

/// Something that broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The check that says so; `None` for a panic and its like.
    pub check: Option<&'static str>,
    /// What, in the words of the domain.
    pub what: String,
    /// Whether the scenario asks for it.
    pub is_asked: bool,
    /// When, in virtual time; `None` if it is something that never came.
    pub at: Option<Duration>,
    /// At which fact.
    pub step: Option<Step>,
}

/// A fact of a run, by its place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The which of all facts, from 1: the line in `replay --journal FILE`.
    pub number: usize,
    /// Who told it.
    pub node: String,
    /// The task that it speaks of.
    pub task: Option<String>,
    /// Its probe name.
    pub probe: &'static str,
    /// How far event time had come there.
    pub event_time: Option<EventTime>,
    /// The whole fact in one line, with time and node.
    pub line: String,
}

/// The smallest run that was found to fail alike.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The scenario file for it.
    pub text: String,
    /// What came of it, with its journal.
    pub played: Played,
    /// What is wrong with it: of the same kind.
    pub trouble: Trouble,
    /// How large the failing run was.
    pub before: Size,
    /// How large the small one is.
    pub after: Size,
    /// How many runs it took.
    pub replays: usize,
    /// How long it took, by the clock on the wall.
    pub took: Duration,
    /// Whether nothing smaller was left to try, rather than time.
    pub is_minimal: bool,
}

/// How large a run is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Faults.
    pub faults: usize,
    /// Steps that a person takes.
    pub steps: usize,
    /// Job managers and task managers.
    pub nodes: u32,
    /// Virtual time.
    pub length: Duration,
}

/// How the neighbours of a failure do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearby {
    /// How many other seeds of its cell were played.
    pub seeds: usize,
    /// How many of them pass.
    pub passed: usize,
    /// How many fail alike.
    pub alike: usize,
    /// Of the last fault of the small run at a time or a step: when else it does the same.
    pub window: Option<Window>,
}

/// Around a fault's own moment, those at which it breaks the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The fault.
    pub fault: String,
    /// From when to when.
    pub range: Range,
    /// Whether it passes before and after them.
    pub is_bounded: bool,
}

/// Moments around one of them: its own, the earliest and the latest that were found to fail.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Range {
    /// Times since every job ran.
    Times { at: Duration, from: Duration, to: Duration },
    /// Steps of the world.
    Steps { at: u64, from: u64, to: u64 },
}

/// From when on a failure is certain: the share of worlds that fail if luck is another from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baked {
    /// How many worlds for each point.
    pub worlds: usize,
    /// By virtual time: how many failed.
    pub curve: Vec<(Duration, usize)>,
}
