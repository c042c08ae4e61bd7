//! Deeds that wait for a cue: the step of a world, or a fact that is told.
//! A cue fires once, at the very step: a process that is killed by it takes no further one. Nothing
//! is drawn here. Given to [`super::World::on`]; what time brings is in [`super::stage`].

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::fault::Fault;
use crate::journal::Entry;

/// What a deed waits for.
pub enum Cue {
    /// The step of this number, from 1, in the count of [`super::Run::steps`]: the deed comes
    /// before it is taken.
    Step(u64),
    /// The first fact for which the watch says yes: the deed comes behind it.
    Fact(Box<dyn FnMut(&Entry) -> bool + Send>),
}

impl fmt::Debug for Cue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "step {step}"),
            Self::Fact(_) => f.write_str("a fact"),
        }
    }
}

/// Deeds, each so long after the cue.
pub type Deeds = Vec<(Duration, Fault)>;

/// The cues of a world that have not fired.
#[derive(Default)]
pub(super) struct Cues {
    steps: BTreeMap<u64, Vec<Deeds>>,
    facts: Vec<(Box<dyn FnMut(&Entry) -> bool + Send>, Deeds)>,
}

impl Cues {
    pub(super) fn new(cues: Vec<(Cue, Deeds)>) -> Self {
        let mut new = Self::default();
        for (cue, deeds) in cues {
            match cue {
                Cue::Step(step) => new.steps.entry(step).or_default().push(deeds),
                Cue::Fact(watch) => new.facts.push((watch, deeds)),
            }
        }
        new
    }

    /// The next step that somebody waits for; `u64::MAX` if nobody does.
    pub(super) fn next_step(&self) -> u64 {
        self.steps.keys().next().copied().unwrap_or(u64::MAX)
    }

    /// Whether a fact can fire anything.
    pub(super) fn wait_for_facts(&self) -> bool {
        !self.facts.is_empty()
    }

    pub(super) fn on_step(&mut self, step: u64) -> Vec<Deeds> {
        self.steps.remove(&step).unwrap_or_default()
    }

    pub(super) fn on_fact(&mut self, entry: &Entry) -> Vec<Deeds> {
        self.facts.extract_if(.., |(watch, _)| watch(entry)).map(|(_, deeds)| deeds).collect()
    }
}
