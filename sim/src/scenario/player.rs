//! Plays a cell of a scenario under one seed, and judges what came of it.
//! Decides nothing about what is right: that is the file's and the checks' to say. The world is
//! built in [`super::schedule`], verdicts are [`super::verdict`]'s, the text is [`crate::report`]'s.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::JobId;
use slackwater_dataflow::task::Programs;

use super::calm_runs::CalmRuns;
use super::drawn::{Drawn, Moment};
use super::format::Must;
use super::inside::NeverOpened;
use super::luck::OtherLuck;
use super::resolve::{Cell, Scenario};
use super::schedule;
use super::sweep::Instant;
use super::troubles::{diverged, troubles, unprepared};
use super::verdict::{Class, Judged, Trouble};
use crate::check::{self, Crossed, Evidence, Needs, Table, Used};
use crate::journal::Journal;
use crate::report::{self, Pictures};
use crate::world::Run;

/// One cell of a scenario under one seed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// Which cell.
    pub cell: usize,
    /// Which of the seeds, by its place in the list.
    pub place: usize,
    /// The seed.
    pub seed: u64,
}

/// What is known of a turn before it is played: its run without faults, and the instants at which
/// it is to be played if the scenario is a sweep.
#[derive(Debug)]
pub struct Prepared {
    /// The cell with everything drawn, or why it cannot be.
    pub(super) cell: Result<Cell, String>,
    pub(super) calm: Option<Arc<Run>>,
    /// Whether the calm run was played for this turn, and not for another that shares it.
    pub(super) played_calm: bool,
    pub(super) running: Option<Duration>,
    /// What will befall the run, and what cannot.
    pub(super) faults: Vec<Drawn>,
    pub(super) never: Vec<NeverOpened>,
    /// For a sweep: the run without the kill, if that is not the calm one.
    pub(super) base: Option<Arc<Run>>,
    pub(super) instants: Option<Result<Vec<Instant>, String>>,
    /// Whether luck is another from some time on.
    pub(super) other_luck: Option<OtherLuck>,
}

impl Prepared {
    /// The instants of a sweep; none for any other scenario, or if the window never opened.
    pub fn instants(&self) -> &[Instant] {
        self.instants
            .as_ref()
            .and_then(|instants| instants.as_ref().ok())
            .map_or(&[], Vec::as_slice)
    }

    /// Of a fault inside a window: its step, the window's first one, and how many there are.
    pub(crate) fn inside(&self, fault: &str) -> Option<(u64, (u64, u64))> {
        let fault = self.faults.iter().find(|drawn| drawn.name == fault)?;
        match &fault.moment {
            Moment::Inside { step, steps, .. } => (*step).zip(*steps),
            _ => None,
        }
    }
}

/// What came of a turn. The journal is gone by now, unless it was asked for.
#[derive(Clone, Debug)]
pub struct Played {
    /// Which turn.
    pub turn: Turn,
    /// At which instant of a sweep.
    pub instant: Option<Instant>,
    /// The faults that were done, in words.
    pub faults: Vec<String>,
    /// Expectations in the order of the file.
    pub judged: Vec<Judged>,
    /// What is wrong beside expectations.
    pub troubles: Vec<Trouble>,
    /// The obligations that it met, by label.
    pub met: Vec<String>,
    /// How it went on before the first thing that broke at a known time, line by line.
    pub story: Vec<String>,
    /// The visible rows at the end.
    pub table: Table,
    /// How much crossed the exchange.
    pub crossed: Crossed,
    /// How much it used its checkpoints.
    pub used: Used,
    /// The pictures that the report may show.
    pub pictures: Pictures,
    /// Virtual time that went by, over all runs of the turn.
    pub virtual_time: Duration,
    /// Processor time that was spent on it.
    pub cpu: Duration,
    /// Every fact, if it was asked for.
    pub journal: Option<Journal>,
}

impl Played {
    /// Everything that is wrong.
    pub fn all_troubles(&self) -> impl Iterator<Item = &Trouble> {
        let judged = self.judged.iter().filter_map(|judged| judged.trouble.as_ref());
        self.troubles.iter().chain(judged)
    }
}

/// Every turn of a scenario: cells in order, seeds in order. `seeds` replaces the file's.
pub fn turns(scenario: &Scenario, seeds: Option<&[u64]>) -> Vec<Turn> {
    let of_cell = |(cell, content): (usize, &Cell)| {
        let own = seeds.unwrap_or(content.document.run.listed());
        let turns =
            own.iter().enumerate().map(move |(place, seed)| Turn { cell, place, seed: *seed });
        turns.collect::<Vec<_>>()
    };
    scenario.cells.iter().enumerate().flat_map(of_cell).collect()
}

/// Plays what has to be known before a turn: the calm run if one is needed, and for a sweep where
/// its instants are.
pub fn prepare(
    scenario: &Scenario,
    turn: Turn,
    programs: &Arc<dyn Programs>,
    calm_runs: &CalmRuns,
) -> Prepared {
    let settled = scenario.cell(turn).map_err(|mistake| mistake.render());
    // What cannot be drawn is told of the run; the run is that of the first alternatives.
    let cell = settled.as_ref().unwrap_or(&scenario.cells[turn.cell]);
    let world = |faults: &[Drawn]| schedule::world(cell, turn.seed, faults, programs).run();
    let sweep = cell.document.sweep.as_ref().map(|sweep| sweep.get_ref());
    let has_faults = !cell.document.fault.is_empty() || cell.document.calm.is_some();
    let (told, steps) = super::calm_runs::steps(cell, turn.seed, programs);
    let needs_calm = [Needs::Calm, Needs::Resumed].into_iter().any(|needs| asks(cell, needs));
    let (calm, played_calm) = (has_faults || needs_calm || sweep.is_some())
        .then(|| calm_runs.of(cell, turn.seed, || world(&steps)))
        .unzip();
    let jobs = cell.programs.len().max(usize::from(cell.document.script.is_some()));
    let running = told.or_else(|| all_running(&calm.as_ref()?.journal, jobs));
    let since = running.unwrap_or_default();
    let is_swept = sweep.is_some() && has_faults;
    let mut faults = schedule::draw(cell, turn.seed, since);
    let never = super::inside::settle(cell, &mut faults, |faults| {
        schedule::world(cell, turn.seed, faults, programs)
    });
    let base = is_swept.then(|| Arc::new(world(&faults)));
    let instants = sweep.zip(base.as_deref().or(calm.as_deref()));
    let instants = instants.map(|(sweep, base)| super::sweep::instants(sweep, base, since));
    let played_calm = played_calm.unwrap_or(false);
    let (cell, other_luck) = (settled, None);
    Prepared { calm, played_calm, running, faults, never, base, instants, cell, other_luck }
}

/// Plays one turn: what has to be known, the run itself, and once more if its turn to be repeated
/// has come. A sweep is played at its first instant.
pub fn play(
    scenario: &Scenario,
    turn: Turn,
    programs: &Arc<dyn Programs>,
    keep_journal: bool,
) -> Played {
    let prepared = prepare(scenario, turn, programs, &CalmRuns::default());
    let instant = prepared.instants().first().cloned();
    play_prepared(scenario, (turn, instant), &prepared, programs, keep_journal)
}

/// Plays one turn, at an instant if it is one of a sweep.
pub fn play_prepared(
    scenario: &Scenario,
    (turn, instant): (Turn, Option<Instant>),
    prepared: &Prepared,
    programs: &Arc<dyn Programs>,
    keep_journal: bool,
) -> Played {
    let cell = prepared.cell.as_ref().unwrap_or(&scenario.cells[turn.cell]);
    let world = |faults: &[Drawn]| {
        let world = schedule::world(cell, turn.seed, faults, programs);
        OtherLuck::of(prepared, world).run()
    };
    let calm = prepared.calm.as_deref();
    let mut faults = prepared.faults.clone();
    faults.extend(instant.as_ref().map(Instant::fault));
    let run = world(&faults);
    let mut troubles = troubles(cell, &run, &faults);
    troubles.extend(unprepared(prepared, !faults.is_empty()));
    let mut spent = (run.time, run.cpu);
    let mut spend = |time, cpu| spent = (spent.0 + time, spent.1 + cpu);
    let is_first = instant.as_ref().is_none_or(|instant| instant.number == 0);
    let played_calm = calm.filter(|_| is_first && prepared.played_calm);
    played_calm.iter().for_each(|calm| spend(calm.time, calm.cpu));
    if is_repeated(cell, turn) && is_first {
        let again = world(&faults);
        spend(again.time, again.cpu);
        troubles.extend(diverged(&run, &again));
    }
    troubles.extend(instant.iter().filter_map(|_| strayed(cell, prepared, &run)));
    let resumed = asks(cell, Needs::Resumed)
        .then(|| super::resume::resumed(cell, turn.seed, &faults, &run, programs))
        .flatten();
    if let Some((_, time, cpu)) = &resumed {
        spend(*time, *cpu);
    }
    let evidence = Evidence {
        journal: &run.journal,
        calm: calm.map(|calm| &calm.journal),
        resumed: resumed.as_ref().map(|(resumed, ..)| resumed),
    };
    let judged = judge(cell, &evidence, instant.is_some());
    let show = &cell.document.report.show[..];
    let story = report::story(&run.journal, first_break(&judged, &troubles));
    Played {
        turn,
        faults: faults.iter().map(Drawn::to_string).collect(),
        judged,
        troubles,
        story,
        met: super::obligation::met(&cell.document, &run.journal, &faults),
        table: if instant.is_some() { Table::default() } else { check::table(&run.journal) },
        crossed: check::crossed(&run.journal),
        used: check::used(&run.journal),
        pictures: report::pictures(&run.journal, if is_first { show } else { &[] }),
        virtual_time: spent.0,
        cpu: spent.1,
        journal: keep_journal.then_some(run.journal),
        instant,
    }
}

/// When the first of the troubles with a known time came.
fn first_break(judged: &[Judged], troubles: &[Trouble]) -> Option<Duration> {
    let judged = judged.iter().filter_map(|judged| judged.trouble.as_ref());
    judged.chain(troubles).filter_map(|trouble| trouble.at).min()
}

/// Whether it is the turn of this seed to be run twice.
fn is_repeated(cell: &Cell, turn: Turn) -> bool {
    let one_of = cell.document.run.determinism.map_or(usize::MAX, |share| share.one_of);
    turn.place.is_multiple_of(one_of)
}

fn judge(cell: &Cell, evidence: &Evidence<'_>, is_instant: bool) -> Vec<Judged> {
    let judged = cell.expectations.iter().map(|expectation| {
        let outcome = (expectation.check.judge)(evidence, &expectation.args);
        Judged::at(expectation, outcome, is_instant)
    });
    judged.collect()
}

/// Whether the story before the kill of a sweep is another than without it.
fn strayed(cell: &Cell, prepared: &Prepared, run: &Run) -> Option<Trouble> {
    let base = prepared.base.as_deref().or(prepared.calm.as_deref())?;
    let tick = cell.document.cluster.tick.map_or(TICK, |tick| tick.0);
    let what = super::sweep::diverged(&base.journal, &run.journal, tick)?;
    Some(Trouble::new(Class::NonDeterministic, what))
}

/// Whether an expectation of a cell has to be shown this.
fn asks(cell: &Cell, needs: Needs) -> bool {
    cell.expectations.iter().any(|expectation| expectation.check.needs == needs)
}

/// The tick of a world whose file names none.
const TICK: Duration = Duration::from_millis(10);

/// Of a sweep, an expectation that must break has to do so at one instant at least.
pub fn judge_sweeps(scenario: &Scenario, played: &mut [Played]) {
    for (index, cell) in scenario.cells.iter().enumerate() {
        for (place, expectation) in cell.expectations.iter().enumerate() {
            let swept = || {
                played
                    .iter()
                    .enumerate()
                    .filter(|(_, played)| played.turn.cell == index && played.instant.is_some())
            };
            let broke = swept().any(|(_, played)| played.judged[place].outcome.broken.is_some());
            let first = swept().next().map(|(first, _)| first);
            if let (Must::Break, false, Some(first)) = (expectation.must, broke, first) {
                let what = format!(
                    "{} must break at some instant, and held at all of them",
                    expectation.check.name
                );
                played[first].troubles.push(Trouble::new(Class::Broken, what));
            }
        }
    }
}

/// When every job had reached RUNNING for the first time.
pub(super) fn all_running(journal: &Journal, jobs: usize) -> Option<Duration> {
    let mut running = BTreeSet::<JobId>::new();
    journal.entries().iter().find_map(|entry| {
        if let Fact::JobStatusChanged { job, to: JobStatus::Running, .. } = &entry.fact {
            running.insert(*job);
        }
        (running.len() >= jobs).then_some(entry.time)
    })
}

/// Compares the cells of a scenario seed by seed, where an expectation asks for it.
pub fn compare_cells(scenario: &Scenario, played: &mut [Played]) {
    let whole = played.iter().filter(|played| played.instant.is_none());
    let seeds: BTreeSet<usize> = whole.map(|played| played.turn.place).collect();
    for place in seeds {
        let of_seed = |played: &[Played]| -> Vec<usize> {
            let all = played.iter().enumerate();
            all.filter(|(_, played)| played.turn.place == place && played.instant.is_none())
                .map(|(index, _)| index)
                .collect()
        };
        let indices = of_seed(played);
        let Some((&first, others)) = indices.split_first() else { continue };
        for &other in others {
            let name = |index: usize| scenario.cells[played[index].turn.cell].name.as_str();
            let (left, right) = (&played[first], &played[other]);
            let expectations = &scenario.cells[played[other].turn.cell].expectations;
            let asked = (0..).zip(expectations).filter(|(_, e)| e.check.needs == Needs::Cells);
            let mut worse = Vec::new();
            for (index, expectation) in asked {
                let broken = match expectation.check.name {
                    "latency" => {
                        let outcome = |played: &Played| played.judged[index].outcome.clone();
                        let (left, right) = (outcome(left), outcome(right));
                        check::worse((name(first), &left), (name(other), &right))
                    }
                    _ => check::differ((name(first), &left.table), (name(other), &right.table)),
                };
                let Some(broken) = broken else { continue };
                let mut outcome = right.judged[index].outcome.clone();
                outcome.broken = Some(broken);
                worse.push((index, Judged::new(expectation, outcome)));
            }
            for (index, judged) in worse {
                played[other].judged[index] = judged;
            }
        }
    }
}
