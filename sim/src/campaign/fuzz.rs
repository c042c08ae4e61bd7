//! A search: fresh seeds of some scenarios until they, the time or the patience are used up.
//! Each core plays next what has had the least processor time so far, so that no scenario starves
//! another. Keeps whole runs of failures only, so that memory stays flat however long it takes.
//! A fixed list of turns is played by [`super::play_all`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use slackwater_dataflow::task::Programs;

use super::crew::on_every_core;
use super::{Partition, Record, Tally};
use crate::scenario::{CalmRuns, Played, Scenario, Turn, compare_cells, play_prepared, prepare};

/// How far a search goes.
#[derive(Clone, Debug)]
pub struct Budget {
    /// The first seed of every scenario; the others follow it.
    pub first: u64,
    /// How many seeds of every scenario; as many as there is time for unless given.
    pub seeds: Option<u64>,
    /// How much time of the clock on the wall.
    pub time: Option<Duration>,
    /// After how many failed seeds it ends.
    pub failures: usize,
    /// Only this share of the seeds.
    pub partition: Option<Partition>,
}

/// What a search found of one scenario.
#[derive(Debug)]
pub struct Found {
    /// The scenario.
    pub scenario: Scenario,
    /// Counts over all runs.
    pub tally: Tally,
    /// Runs in which something was wrong, by seed.
    pub failed: Vec<Played>,
}

/// Plays seeds until the budget is used up. `told` is given the record of every run, in no order.
pub fn fuzz(
    scenarios: Vec<Scenario>,
    budget: &Budget,
    programs: &Arc<dyn Programs>,
    told: &(dyn Fn(&Record) + Sync),
) -> Vec<Found> {
    let progress = super::progress(None);
    let state = Mutex::new(Search::new(scenarios.len()));
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    on_every_core(usize::MAX, || {
        loop {
            let Some((index, place)) = lock().next(budget, &progress) else { return };
            let scenario = &scenarios[index];
            progress.set_message(scenario.name.clone());
            let played = play_seed(scenario, place, budget, programs);
            let records: Vec<Record> =
                played.iter().map(|played| Record::new(scenario, played)).collect();
            records.iter().for_each(told);
            let failed = lock().take(index, &records, played);
            progress.inc(1);
            if failed > 0 {
                progress.set_prefix(format!("{failed} failed"));
            }
        }
    });
    progress.finish_and_clear();
    let mut found = state.into_inner().unwrap_or_else(PoisonError::into_inner).found;
    scenarios
        .into_iter()
        .enumerate()
        .map(|(index, scenario)| {
            let Share { tally, mut failed, .. } = found.remove(&index).unwrap_or_default();
            failed.sort_by_key(|played| played.turn);
            Found { scenario, tally, failed }
        })
        .collect()
}

/// All cells of a scenario under the seed at this place.
fn play_seed(
    scenario: &Scenario,
    place: u64,
    budget: &Budget,
    programs: &Arc<dyn Programs>,
) -> Vec<Played> {
    let calm_runs = CalmRuns::default();
    let seed = budget.first.wrapping_add(place);
    let place = usize::try_from(place).unwrap_or(usize::MAX);
    let cells = (0..scenario.cells.len()).map(|cell| Turn { cell, place, seed });
    let mut played: Vec<Played> = cells
        .map(|turn| {
            let prepared = prepare(scenario, turn, programs, &calm_runs);
            play_prepared(scenario, (turn, None), &prepared, programs, false)
        })
        .collect();
    compare_cells(scenario, &mut played);
    played
}

/// What is known while a search is under way.
struct Search {
    found: BTreeMap<usize, Share>,
    failed: usize,
}

/// What one scenario has had and brought.
#[derive(Default)]
struct Share {
    next: u64,
    tally: Tally,
    failed: Vec<Played>,
}

impl Search {
    fn new(scenarios: usize) -> Self {
        Self { found: (0..scenarios).map(|index| (index, Share::default())).collect(), failed: 0 }
    }

    /// The scenario with the least processor time that has a seed left, and the place of that seed.
    fn next(&mut self, budget: &Budget, progress: &ProgressBar) -> Option<(usize, u64)> {
        let is_late = budget.time.is_some_and(|time| progress.elapsed() >= time);
        if is_late || self.failed >= budget.failures {
            return None;
        }
        let mine = |place: u64| {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            budget.partition.is_none_or(|partition| partition.has(place))
        };
        let left = self.found.iter_mut().filter_map(|(index, share)| {
            let place = (share.next..).find(|place| mine(*place))?;
            budget.seeds.is_none_or(|seeds| place < seeds).then_some((*index, share, place))
        });
        let (index, share, place) = left.min_by_key(|(_, share, _)| share.tally.asked())?;
        share.next = place + 1;
        share.tally.ask();
        Some((index, place))
    }

    /// Takes in what came of a seed; gives how many seeds have failed so far.
    fn take(&mut self, index: usize, records: &[Record], played: Vec<Played>) -> usize {
        let share = self.found.entry(index).or_default();
        records.iter().for_each(|record| share.tally.add(record));
        let failed = played.into_iter().filter(|played| played.all_troubles().next().is_some());
        let before = share.failed.len();
        share.failed.extend(failed);
        self.failed += usize::from(share.failed.len() > before);
        self.failed
    }
}
