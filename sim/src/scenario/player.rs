//! Plays a cell of a scenario under one seed, and judges what came of it.
//! Decides nothing about what is right: that is the file's and the checks' to say. The world is
//! built in [`super::schedule`], verdicts are [`super::verdict`]'s, the text is [`crate::report`]'s.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::JobId;
use slackwater_dataflow::task::Programs;

use super::format::Stop;
use super::resolve::{Cell, Scenario};
use super::schedule::{self, Drawn};
use super::verdict::{Class, Judged, Trouble};
use crate::check::{self, Crossed, Evidence, Needs, Table};
use crate::journal::{Divergence, Journal};
use crate::report::{self, Pictures};
use crate::world::{End, Run};

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

/// What came of a turn. The journal is gone by now, unless it was asked for.
#[derive(Clone, Debug)]
pub struct Played {
    /// Which turn.
    pub turn: Turn,
    /// The faults that were done, in words.
    pub faults: Vec<String>,
    /// Expectations in the order of the file.
    pub judged: Vec<Judged>,
    /// What is wrong beside expectations.
    pub troubles: Vec<Trouble>,
    /// The visible rows at the end.
    pub table: Table,
    /// How much crossed the exchange.
    pub crossed: Crossed,
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
        let own = seeds.unwrap_or(&content.document.run.seeds.0);
        let turns =
            own.iter().enumerate().map(move |(place, seed)| Turn { cell, place, seed: *seed });
        turns.collect::<Vec<_>>()
    };
    scenario.cells.iter().enumerate().flat_map(of_cell).collect()
}

/// Plays one turn: the calm run if one is needed, the run itself, and once more if its turn to be
/// repeated has come.
pub fn play(
    scenario: &Scenario,
    turn: Turn,
    programs: &Arc<dyn Programs>,
    keep_journal: bool,
) -> Played {
    let cell = &scenario.cells[turn.cell];
    let world = |faults: &[Drawn]| schedule::world(cell, turn.seed, faults, programs).run();
    let has_faults = !cell.document.fault.is_empty();
    let needs_calm = cell.expectations.iter().any(|e| e.check.needs == Needs::Calm);
    let calm = (has_faults || needs_calm).then(|| world(&[]));
    let running = calm.as_ref().and_then(|calm| all_running(&calm.journal, cell.programs.len()));
    let faults = schedule::draw(cell, turn.seed, running.unwrap_or_default());
    let run = world(&faults);
    let mut troubles = troubles(cell, &run, &faults);
    if has_faults && running.is_none() {
        let what = "not every job ran in the run without faults: there is no time to count from";
        troubles.push(Trouble::new(Class::Harness, what));
    }
    let (mut virtual_time, mut cpu) = (run.time, run.cpu);
    if let Some(calm) = &calm {
        virtual_time += calm.time;
        cpu += calm.cpu;
    }
    let one_of = cell.document.run.determinism.map_or(usize::MAX, |share| share.one_of);
    if turn.place.is_multiple_of(one_of) {
        let again = world(&faults);
        virtual_time += again.time;
        cpu += again.cpu;
        troubles.extend(diverged(&run, &again));
    }
    let evidence =
        Evidence { journal: &run.journal, calm: calm.as_ref().map(|calm| &calm.journal) };
    let judged = cell.expectations.iter().map(|expectation| {
        Judged::new(expectation, (expectation.check.judge)(&evidence, &expectation.args))
    });
    Played {
        turn,
        faults: faults.iter().map(Drawn::to_string).collect(),
        judged: judged.collect(),
        troubles,
        table: check::table(&run.journal),
        crossed: check::crossed(&run.journal),
        pictures: report::pictures(&run.journal, &cell.document.report.show),
        virtual_time,
        cpu,
        journal: keep_journal.then_some(run.journal),
    }
}

/// When every job had reached RUNNING for the first time.
fn all_running(journal: &Journal, jobs: usize) -> Option<Duration> {
    let mut running = BTreeSet::<JobId>::new();
    journal.entries().iter().find_map(|entry| {
        if let Fact::JobStatusChanged { job, to: JobStatus::Running, .. } = &entry.fact {
            running.insert(*job);
        }
        (running.len() >= jobs).then_some(entry.time)
    })
}

/// What is wrong with a run whatever was expected of it.
fn troubles(cell: &Cell, run: &Run, faults: &[Drawn]) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let is_timed = matches!(cell.document.run.stop, Stop::Time(_));
    match &run.end {
        End::Stopped(_) => {}
        End::Limit if is_timed => {}
        End::Limit => {
            let what = format!("the limit of {:?} virtual time was reached", run.time);
            troubles.push(Trouble::new(Class::Stuck, what));
        }
        End::Broken(why) => {
            troubles.push(Trouble::new(Class::Harness, format!("the world broke: {why}")));
        }
    }
    for entry in run.journal.entries() {
        let at = entry.time.as_secs_f64();
        let node = run.journal.name(entry.node);
        match &entry.fact {
            Fact::Panicked { task, message } => {
                let what = format!("at {at:.3} s on {node}: {task}: {message}");
                troubles.push(Trouble::new(Class::Panicked, what));
            }
            Fact::JobStatusChanged { job, to: JobStatus::Failed, cause, .. } => {
                let what = format!("at {at:.3} s job {job} FAILED: {cause}");
                troubles.push(Trouble::new(Class::Broken, what));
            }
            Fact::JobRefused { cause, .. } => {
                let what = format!("at {at:.3} s a job was refused: {cause}");
                troubles.push(Trouble::new(Class::Harness, what));
            }
            _ => {}
        }
    }
    troubles.extend(faults.iter().filter_map(|fault| never_fired(fault, &run.journal)));
    troubles
}

/// A fault that left no trace, or fell on a node that was down already.
fn never_fired(fault: &Drawn, journal: &Journal) -> Option<Trouble> {
    let mut entries = journal.entries().iter();
    let fired = entries.any(|entry| match &entry.fact {
        Fact::NodeDown { node, how } => {
            *node == fault.node && *how == fault.how && entry.time >= fault.at
        }
        _ => false,
    });
    (!fired).then(|| Trouble::new(Class::Harness, format!("a fault never fired: {fault}")))
}

/// Whether the same seed gave two histories.
fn diverged(first: &Run, second: &Run) -> Option<Trouble> {
    if first.journal.hash() == second.journal.hash() {
        return None;
    }
    let divergence = Divergence::between(&first.journal.text(), &second.journal.text());
    let what = divergence.map_or_else(
        || "two runs differ in what their text does not show".to_owned(),
        |divergence| divergence.to_string(),
    );
    Some(Trouble::new(Class::NonDeterministic, what))
}

/// Compares the cells of a scenario seed by seed, where an expectation asks for it.
pub fn compare_cells(scenario: &Scenario, played: &mut [Played]) {
    let seeds: BTreeSet<usize> = played.iter().map(|played| played.turn.place).collect();
    for place in seeds {
        let of_seed = |played: &[Played]| -> Vec<usize> {
            let all = played.iter().enumerate();
            all.filter(|(_, played)| played.turn.place == place).map(|(index, _)| index).collect()
        };
        let indices = of_seed(played);
        let Some((&first, others)) = indices.split_first() else { continue };
        for &other in others {
            let name = |index: usize| scenario.cells[played[index].turn.cell].name.as_str();
            let (left, right) = (&played[first], &played[other]);
            let broken = check::differ((name(first), &left.table), (name(other), &right.table));
            let expectations = &scenario.cells[played[other].turn.cell].expectations;
            let asked = expectations.iter().position(|e| e.check.needs == Needs::Cells);
            if let (Some(index), Some(broken)) = (asked, broken) {
                let mut outcome = played[other].judged[index].outcome.clone();
                outcome.broken = Some(broken);
                played[other].judged[index] = Judged::new(&expectations[index], outcome);
            }
        }
    }
}
