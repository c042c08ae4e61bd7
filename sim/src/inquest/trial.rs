//! Plays candidates, and says which is the first that fails alike.
//! Candidates of a round are played on every core, and of those that will do the first in order is
//! taken: how many cores there are shows in the time alone. What is tried is [`super::shrink`]'s.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_dataflow::task::Programs;
use toml::{Table, Value};

use super::clock::Clock;
use super::document::{elements, without};
use super::kind::Kind;
use crate::campaign::{cores, on_all_cores};
use crate::scenario::{CalmRuns, Class, Played, Prepared, Scenario, Turn, play_prepared, prepare};

/// How much may be spent.
#[derive(Copy, Clone, Debug)]
pub struct Budget {
    /// Time of the clock on the wall.
    pub time: Duration,
    /// Runs.
    pub replays: usize,
}

impl Default for Budget {
    /// Two minutes.
    fn default() -> Self {
        Self { time: Duration::from_secs(120), replays: 20_000 }
    }
}

/// What candidates are held against.
pub(super) struct Trial<'a> {
    pub(super) seed: u64,
    pub(super) kind: Kind,
    pub(super) programs: &'a Arc<dyn Programs>,
    pub(super) budget: Budget,
    pub(super) clock: Clock,
    /// Whether it takes faults for the failure: then a candidate that fails without is another story.
    pub(super) needs_faults: AtomicBool,
    /// Whether faults find a checkpoint to go back to: without one another thing is lost.
    pub(super) after_checkpoint: AtomicBool,
    pub(super) replays: AtomicUsize,
    pub(super) calm_runs: CalmRuns,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        seed: u64,
        kind: Kind,
        programs: &'a Arc<dyn Programs>,
        budget: Budget,
    ) -> Self {
        Self {
            seed,
            kind,
            programs,
            budget,
            clock: Clock::start(),
            needs_faults: false.into(),
            after_checkpoint: false.into(),
            replays: 0.into(),
            calm_runs: CalmRuns::default(),
        }
    }

    /// Takes note of what the failing run is like beside its failure.
    pub(super) fn note(&self, played: &Played) {
        self.after_checkpoint.store(finds_a_checkpoint(played), Ordering::Relaxed);
    }

    /// Whether nothing more may be spent.
    pub(super) fn is_over(&self) -> bool {
        self.clock.elapsed() >= self.budget.time
            || self.replays.load(Ordering::Relaxed) >= self.budget.replays
    }

    /// The first of the candidates that fails alike; none if the budget is used up.
    pub(super) fn first_alike(&self, candidates: &[Table]) -> Option<usize> {
        for (round, some) in candidates.chunks(cores()).enumerate() {
            if self.is_over() {
                return None;
            }
            let alike = on_all_cores(some, |candidate| self.is_alike(candidate));
            if let Some(place) = alike.iter().position(|alike| *alike) {
                return Some(round * cores() + place);
            }
        }
        None
    }

    /// Whether a document fails alike, and for the same reason.
    pub(super) fn is_alike(&self, candidate: &Table) -> bool {
        if !self.fails(candidate) {
            return false;
        }
        let is_due = self.needs_faults.load(Ordering::Relaxed);
        match without(candidate, "fault").filter(|_| is_due) {
            Some(calm) => !self.fails(&calm),
            None => true,
        }
    }

    fn fails(&self, candidate: &Table) -> bool {
        let Some(scenario) = self.read(&self.only_asking_what_broke(candidate)) else {
            return false;
        };
        self.replays.fetch_add(1, Ordering::Relaxed);
        // What a candidate makes of the harness itself is no failure of the engine.
        let played = catch_unwind(AssertUnwindSafe(|| self.play(&scenario, true)));
        let is_due = self.after_checkpoint.load(Ordering::Relaxed);
        played.is_ok_and(|played| self.shows(&played) && (!is_due || finds_a_checkpoint(&played)))
    }

    /// Whether a run shows the failure.
    pub(super) fn shows(&self, played: &Played) -> bool {
        played.all_troubles().any(|trouble| Kind::of(trouble) == self.kind)
    }

    /// A document as a scenario, if it is one.
    pub(super) fn read(&self, document: &Table) -> Option<Scenario> {
        let text = toml::to_string(document).ok()?;
        Scenario::read("candidate.toml", &text, self.programs).ok()
    }

    /// What is known of the one run of a document before it is played.
    pub(super) fn prepared(&self, document: &Table) -> Option<Prepared> {
        let turn = Turn { cell: 0, place: 1, seed: self.seed };
        Some(prepare(&self.read(document)?, turn, self.programs, &self.calm_runs))
    }

    /// Plays the one run of a scenario.
    pub(super) fn play(&self, scenario: &Scenario, keep_journal: bool) -> Played {
        // The first seed of a file is played twice: only who looks for two histories needs that.
        let place = usize::from(self.kind.class != Class::NonDeterministic);
        let turn = Turn { cell: 0, place, seed: self.seed };
        let prepared = prepare(scenario, turn, self.programs, &self.calm_runs);
        play_prepared(scenario, (turn, None), &prepared, self.programs, keep_journal)
    }

    /// The document with the expectation that broke alone: the others cost time.
    fn only_asking_what_broke(&self, document: &Table) -> Table {
        let name = |expect: &Table| expect.get("check").and_then(Value::as_str).map(str::to_owned);
        let is_needed = |expect: &&Table| {
            let name = name(expect);
            // Under this one a job may fail.
            name.as_deref() == self.kind.check || name.as_deref() == Some("damage_refused")
        };
        let all = elements(document, "expect");
        let mut asked: Vec<&Table> = all.iter().copied().filter(is_needed).collect();
        if asked.is_empty() {
            asked.extend(all.first());
        }
        let asked = asked.into_iter().map(|expect| Value::Table(expect.clone())).collect();
        super::document::with(document, "expect", Value::Array(asked))
    }
}

/// Whether a checkpoint was complete before anything befell the world.
fn finds_a_checkpoint(played: &Played) -> bool {
    let entries = played.journal.iter().flat_map(|journal| journal.entries());
    let mut facts = entries.map(|entry| &entry.fact);
    let first = facts.find(|fact| {
        matches!(fact, Fact::FaultBegan { .. } | Fact::NodeDown { .. })
            || matches!(fact, Fact::CheckpointCompleted { .. })
    });
    matches!(first, Some(Fact::CheckpointCompleted { .. }))
}
