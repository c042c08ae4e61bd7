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
    Fact(Mark),
}

impl fmt::Debug for Cue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "step {step}"),
            Self::Fact(_) => f.write_str("a fact"),
        }
    }
}

/// Whether a fact is the one that is looked for.
pub type Mark = Box<dyn FnMut(&Entry) -> bool + Send>;

/// Deeds, each so long after the cue.
pub type Deeds = Vec<(Duration, Fault)>;

/// The cues of a world that have not fired.
#[derive(Default)]
pub(super) struct Cues {
    steps: BTreeMap<u64, Vec<Deeds>>,
    facts: Vec<(Mark, Deeds)>,
    marks: Vec<(Mark, Option<u64>)>,
}

impl Cues {
    pub(super) fn new(cues: Vec<(Cue, Deeds)>, marks: Vec<Mark>) -> Self {
        let marks = marks.into_iter().map(|watch| (watch, None)).collect();
        let mut new = Self { marks, ..Self::default() };
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
        !self.facts.is_empty() || self.marks.iter().any(|(_, seen)| seen.is_none())
    }

    pub(super) fn on_step(&mut self, step: u64) -> Vec<Deeds> {
        self.steps.remove(&step).unwrap_or_default()
    }

    /// At how many steps each mark was seen.
    pub(super) fn seen(&self) -> Vec<Option<u64>> {
        self.marks.iter().map(|(_, seen)| *seen).collect()
    }

    /// A fact is told after so many steps.
    pub(super) fn on_fact(&mut self, entry: &Entry, steps: u64) -> Vec<Deeds> {
        for (watch, seen) in self.marks.iter_mut().filter(|(_, seen)| seen.is_none()) {
            *seen = watch(entry).then_some(steps);
        }
        self.facts.extract_if(.., |(watch, _)| watch(entry)).map(|(_, deeds)| deeds).collect()
    }
}
