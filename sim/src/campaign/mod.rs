//! Many runs at once: every turn of every scenario, and every instant of a sweep, on all cores.
//! Judges nothing, and what comes back never depends on which world was ready first. One run is
//! [`crate::scenario`]'s; what is printed of all of them is [`crate::verb`]'s.

mod crew;
mod fuzz;
mod partition;
mod record;

use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use slackwater_dataflow::task::Programs;

use crate::scenario::{
    CalmRuns, Class, Instant, Played, Prepared, Scenario, Trouble, Turn, compare_cells,
    judge_sweeps, play_prepared, prepare, turns,
};

pub use fuzz::{Budget, Found, fuzz};
pub use partition::Partition;
pub use record::{Record, Tally, bound};

pub(crate) use crew::{cores, on_all_cores};

/// A scenario and what came of it.
#[derive(Debug)]
pub struct Checked {
    /// The scenario.
    pub scenario: Scenario,
    /// Its turns, in order.
    pub played: Vec<Played>,
}

impl Checked {
    /// The gravest thing that is wrong with a run.
    pub fn gravest(&self) -> Option<Class> {
        self.played.iter().flat_map(Played::all_troubles).map(|trouble| trouble.class).max()
    }

    /// Counts over its runs.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        let records = self.played.iter().map(|played| Record::new(&self.scenario, played));
        records.for_each(|record| tally.add(&record));
        tally
    }

    /// The obligations that were met too seldom.
    pub fn unmet(&self) -> Vec<Trouble> {
        self.tally().unmet(&self.scenario)
    }
}

/// How much of the scenarios is played.
#[derive(Clone, Debug, Default)]
pub struct Extent {
    /// In place of the files' seeds.
    pub seeds: Option<Vec<u64>>,
    /// Only this share of the seeds, and of the instants of sweeps.
    pub partition: Option<Partition>,
    /// One instant of every sweep.
    pub instant: Option<usize>,
    /// Of a sweep whose file says `thin = n` only each n-th instant.
    pub thin: bool,
    /// Whether journals are kept.
    pub journal: bool,
}

impl Extent {
    /// Whether the seed or instant at this place belongs to it.
    fn has(&self, place: usize) -> bool {
        self.partition.is_none_or(|partition| partition.has(place))
    }
}

/// Plays every turn of every scenario; results come in the order of the scenarios.
pub fn play_all(
    scenarios: Vec<Scenario>,
    extent: &Extent,
    programs: &Arc<dyn Programs>,
) -> Vec<Checked> {
    let turns = turns_of(&scenarios, extent);
    let calm_runs = CalmRuns::default();
    let progress = progress(Some(turns.len()));
    // A sweep has to be prepared before anybody knows how many runs it is; others are played at once.
    let first = on_all_cores(&turns, |(index, turn)| {
        let scenario = &scenarios[*index];
        progress.set_message(scenario.name.clone());
        let prepared = prepare(scenario, *turn, programs, &calm_runs);
        if scenario.is_sweep() && !prepared.instants().is_empty() {
            return First::Sweep(Box::new(prepared));
        }
        progress.inc(1);
        let played = extent
            .instant
            .is_none()
            .then(|| play_prepared(scenario, (*turn, None), &prepared, programs, extent.journal));
        First::Done(played.map(Box::new))
    });
    let sweeps = turns.iter().zip(&first).flat_map(|((index, turn), first)| {
        let instants = instants(&scenarios[*index], *turn, first, extent).into_iter();
        instants.map(|(instant, prepared)| (*index, *turn, instant, prepared)).collect::<Vec<_>>()
    });
    let sweeps: Vec<_> = sweeps.collect();
    progress.inc_length(sweeps.len() as u64);
    let swept = on_all_cores(&sweeps, |(index, turn, instant, prepared)| {
        let scenario = &scenarios[*index];
        progress.set_message(scenario.name.clone());
        let at = (*turn, Some((*instant).clone()));
        let played = play_prepared(scenario, at, prepared, programs, extent.journal);
        progress.inc(1);
        played
    });
    let swept: Vec<(usize, Played)> = sweeps.iter().map(|sweep| sweep.0).zip(swept).collect();
    progress.finish_and_clear();
    let done = turns.iter().zip(first).filter_map(|((index, _), first)| match first {
        First::Done(played) => Some((*index, *played?)),
        First::Sweep(_) => None,
    });
    let mut by_scenario: Vec<Vec<Played>> = scenarios.iter().map(|_| Vec::new()).collect();
    done.chain(swept).for_each(|(index, played)| by_scenario[index].push(played));
    let checked = scenarios.into_iter().zip(by_scenario).map(|(scenario, mut played)| {
        played.sort_by_key(|played| {
            let instant = played.instant.as_ref().map(|instant| instant.number);
            (played.turn, instant)
        });
        compare_cells(&scenario, &mut played);
        // What must break somewhere may do so in another share.
        if extent.instant.is_none() && extent.partition.is_none() {
            judge_sweeps(&scenario, &mut played);
        }
        Checked { scenario, played }
    });
    checked.collect()
}

/// The turns to be played; cells under one seed are neighbours, so that they can share their run
/// without faults.
fn turns_of(scenarios: &[Scenario], extent: &Extent) -> Vec<(usize, Turn)> {
    let of = |(index, scenario): (usize, &Scenario)| {
        let pinned = scenario.cells[0].document.run.pinned();
        let seeds = extent.seeds.as_deref().or(extent.thin.then_some(pinned));
        let mut turns = turns(scenario, seeds);
        turns.retain(|turn| scenario.is_sweep() || extent.has(turn.place));
        turns.sort_by_key(|turn| (turn.place, turn.cell));
        turns.into_iter().map(move |turn| (index, turn)).collect::<Vec<_>>()
    };
    scenarios.iter().enumerate().flat_map(of).collect()
}

/// What the first look at a turn brought.
enum First {
    Done(Option<Box<Played>>),
    Sweep(Box<Prepared>),
}

/// The instants of a turn that are to be played.
fn instants<'a>(
    scenario: &Scenario,
    turn: Turn,
    first: &'a First,
    extent: &Extent,
) -> Vec<(&'a Instant, &'a Prepared)> {
    let First::Sweep(prepared) = first else { return Vec::new() };
    let sweep = scenario.cells[turn.cell].document.sweep.as_ref();
    let thin = sweep.and_then(|sweep| sweep.get_ref().thin).filter(|_| extent.thin);
    let thin = thin.map_or(1, |thin| thin.max(1) as usize);
    let all = prepared.instants().iter().filter(|instant| match extent.instant {
        Some(number) => instant.number == number,
        None => instant.number.is_multiple_of(thin) && extent.has(instant.number),
    });
    all.map(|instant| (instant, &**prepared)).collect()
}

/// A line on stderr, if a person looks at it; without a number of worlds it has no end in sight.
fn progress(worlds: Option<usize>) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(worlds.map(|worlds| worlds as u64), target);
    let template = match worlds {
        Some(_) => "{bar:24} {pos}/{len} worlds  {per_sec}  {elapsed}  {msg}",
        None => "{spinner} {pos} seeds  {per_sec}  {elapsed}  {prefix} {msg}",
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
