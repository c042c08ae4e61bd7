//! One inquest: a failing run is played again, and everything is found out about it that was asked.
//! Prints nothing and writes no file: the text of the small scenario is handed to whoever asked. The
//! parts are [`super::first`]'s, [`super::shrink`]'s and [`super::neighbours`]'s.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::time::ms;
use slackwater_dataflow::task::Programs;
use toml::{Table, Value};

use super::clock::Clock;
use super::document::{elements, number, shown, time_of, with};
use super::kind::{Kind, worst};
use super::trial::{Budget, Trial};
use super::{Inquest, Shrunk, Size, first, neighbours, regress, shrink};
use crate::journal::{Entry, Journal};
use crate::scenario::{
    CalmRuns, Class, Instant, Moment, Played, Prepared, Scenario, Trouble, Turn, play_prepared,
    prepare,
};

/// The run that is looked into.
#[derive(Copy, Clone, Debug)]
pub struct Suspect<'a> {
    /// Its scenario.
    pub scenario: &'a Scenario,
    /// Its cell and seed.
    pub turn: Turn,
    /// Of a sweep, the number of its instant.
    pub instant: Option<usize>,
}

impl Suspect<'_> {
    /// The instant that is meant, if it is one of a sweep.
    pub(super) fn instant_of(&self, prepared: &Prepared) -> Option<Instant> {
        let number = self.instant.unwrap_or(0);
        prepared.instants().iter().find(|instant| instant.number == number).cloned()
    }
}

/// How much is to be found out.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Whether a smaller run is looked for, and how long.
    pub shrink: Option<Budget>,
    /// The name that the scenario file of the small run will have.
    pub name: String,
    /// How many other seeds are played.
    pub seeds: usize,
    /// How many worlds are played for each time from which on luck is another; 0: none.
    pub worlds: usize,
    /// How long all of it may take, by the clock on the wall; what is begun is ended.
    pub time: Duration,
}

/// Looks into a run; `None` if nothing is wrong with it.
pub fn inquire(
    suspect: Suspect<'_>,
    extent: &Extent,
    programs: &Arc<dyn Programs>,
) -> Option<Inquest> {
    let Suspect { scenario, turn, .. } = suspect;
    let clock = Clock::start();
    let is_over = || clock.elapsed() >= extent.time;
    let prepared = prepare(scenario, turn, programs, &CalmRuns::default());
    let instant = suspect.instant_of(&prepared);
    let at = (turn, instant.clone());
    let played = play_prepared(scenario, at, &prepared, programs, true);
    let troubles: Vec<&Trouble> = played.all_troubles().collect();
    let trouble = worst(troubles.iter().copied())?.clone();
    let kind = Kind::of(&trouble);
    let journal = played.journal.as_ref()?;
    let expectations = &scenario.cells[turn.cell].expectations;
    let first = first(journal, prepared.calm(), &trouble, (expectations, &troubles));
    let settled = scenario.settled(turn).ok();
    let small = extent.shrink.zip(settled).filter(|_| kind.class != Class::Unmet);
    let small = small.and_then(|(budget, settled)| {
        let trial = Trial::new(turn.seed, kind.clone(), programs, budget);
        let killed = instant.as_ref().zip(prepared.running());
        let document = as_faults(shrink::prepared(settled), killed, journal)?;
        smallest(&trial, (suspect, &extent.name), document, &played)
    });
    let (shrunk, window) = small.map_or((None, None), |(shrunk, window)| (Some(shrunk), window));
    let seeds = (&kind, extent.seeds, &is_over as &dyn Fn() -> bool);
    let nearby = neighbours::nearby(suspect, seeds, programs);
    let nearby = (nearby.seeds > 0).then_some(super::Nearby { window, ..nearby });
    let end = length(&played);
    let worlds = (&kind, extent.worlds, (trouble.at.unwrap_or(end), end));
    let is_asked = extent.worlds > 0 && !is_over();
    let baked = is_asked.then(|| neighbours::baked(suspect, worlds, (programs, &is_over)));
    Some(Inquest { trouble, kind, first, shrunk, nearby, baked })
}

/// The smallest run that fails alike, and when else its fault does the same.
fn smallest(
    trial: &Trial<'_>,
    (suspect, name): (Suspect<'_>, &str),
    document: Table,
    played: &Played,
) -> Option<(Shrunk, Option<super::Window>)> {
    if !trial.is_alike(&document) {
        return None;
    }
    trial.note(played);
    let order = suspect.scenario.cells[suspect.turn.cell].document.shrink.order.clone();
    let order = if order.is_empty() { shrink::ORDER.to_vec() } else { order };
    let before = size(&document, played);
    let (small, is_minimal) = shrink::shrink(trial, &order, document);
    let (small, played) = named_plainly(trial, small)?;
    let trouble = played.all_troubles().find(|trouble| Kind::of(trouble) == trial.kind)?.clone();
    let after = size(&small, &played);
    let replays = trial.replays.load(Ordering::Relaxed);
    let found = regress::Found {
        name,
        file: &suspect.scenario.path,
        cell: &suspect.scenario.cells[suspect.turn.cell].name,
        seed: suspect.turn.seed,
        trouble: &trouble,
        sizes: (before, after),
        replays,
    };
    let text = regress::text(&small, &found);
    // What is handed out is what was played: the text itself, read as anybody will read it.
    let again = Scenario::read(name, &text, trial.programs).ok()?;
    if !trial.shows(&trial.play(&again, false)) {
        return None;
    }
    let took = trial.clock.elapsed();
    let window = (!trial.is_over()).then(|| neighbours::window(trial, &small)).flatten();
    let shrunk = Shrunk { text, played, trouble, before, after, replays, took, is_minimal };
    Some((shrunk, window))
}

/// The document with the kill of a sweep's instant as a fault among the others.
fn as_faults(
    mut document: Table,
    killed: Option<(&Instant, Duration)>,
    journal: &Journal,
) -> Option<Table> {
    document.remove("sweep");
    let Some((instant, running)) = killed else { return Some(document) };
    let is_it = |entry: &&Entry| matches!(&entry.fact, Fact::NodeDown { node, .. } if *node == instant.victim);
    let at = match instant.moment {
        Moment::At(at) => at,
        _ => journal.entries().iter().find(is_it)?.time,
    };
    let (role, pick) = match instant.victim.rsplit_once('-') {
        Some(("tm", number)) => ("task_manager", number.parse::<i64>().ok()? - 1),
        Some(("jm", number)) => ("job_manager", number.parse::<i64>().ok()? - 1),
        _ if instant.victim == "jm" => ("job_manager", 0),
        _ => return None,
    };
    let mut fault = Table::new();
    fault.insert("name".to_owned(), "kill".into());
    fault.insert("do".to_owned(), "crash".into());
    let since = Duration::from_millis(at.saturating_sub(running).as_millis() as u64);
    fault = with(&fault, "when.at", shown(since));
    fault = with(&with(&fault, "on.role", role), "on.pick", pick);
    if let Some(down) = instant.down {
        fault = with(&fault, "down", shown(down));
    }
    let mut faults = document.get("fault").and_then(Value::as_array).cloned().unwrap_or_default();
    faults.push(Value::Table(fault));
    Some(with(&document, "fault", Value::Array(faults)))
}

/// The small run with faults by the names that the file gave them, if it fails alike by those.
fn named_plainly(trial: &Trial<'_>, small: Table) -> Option<(Table, Played)> {
    let names: Vec<String> = elements(&small, "fault")
        .into_iter()
        .filter_map(|fault| fault.get("name").and_then(Value::as_str).map(str::to_owned))
        .collect();
    let plain = |name: &str| match name.rsplit_once('-') {
        Some((plain, number)) if number.parse::<u32>().is_ok() => plain.to_owned(),
        _ => name.to_owned(),
    };
    let mut renamed = small.clone();
    super::document::each(&mut renamed, "fault", |fault| {
        let name = fault.get("name").and_then(Value::as_str).unwrap_or_default();
        let new = plain(name);
        if names.iter().filter(|other| plain(other) == new).count() == 1 {
            fault.insert("name".to_owned(), new.into());
        }
    });
    if let Some(Value::Array(all)) = renamed.get_mut("fault") {
        all.sort_by_key(|fault| fault.as_table().and_then(time_of).unwrap_or(Duration::MAX));
    }
    [renamed, small].into_iter().find_map(|document| {
        let played = trial.play(&trial.read(&document)?, true);
        trial.shows(&played).then_some((document, played))
    })
}

fn size(document: &Table, played: &Played) -> Size {
    let nodes = |path: &str| u32::try_from(number(document, path).unwrap_or(1)).unwrap_or(1);
    Size {
        faults: elements(document, "fault").len(),
        steps: elements(document, "step").len(),
        nodes: nodes("cluster.job_managers") + nodes("cluster.task_managers"),
        length: length(played),
    }
}

/// How long a run was, in virtual time.
fn length(played: &Played) -> Duration {
    let entries = played.journal.as_ref().map_or(&[][..], |journal| journal.entries());
    entries.last().map_or(ms(0), |entry| entry.time)
}
