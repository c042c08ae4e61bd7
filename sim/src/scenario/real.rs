//! A scenario on processes of this machine: whether a real machine can do what befalls it, how its
//! nodes are started, and what of its expectations can be judged then.
//! Nothing is shortened: a minute of the story is a minute. The world is [`super::schedule`]'s, the
//! processes are [`crate::world::Machine`]'s; the same cell in the simulator is [`super::player`]'s.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::{Down, Fact};
use slackwater_core::time::EventTime;
use slackwater_dataflow::task::Programs;

use super::calm_runs::CalmRuns;
use super::drawn::{Drawn, Moment};
use super::fault::Deed;
use super::player::{Turn, prepare};
use super::resolve::{Cell, Expectation, Scenario};
use super::schedule;
use super::troubles::{troubles, unprepared};
use super::verdict::{Class, Judged, Trouble};
use crate::check::{Evidence, Needs};
use crate::fault::Fault;
use crate::journal::Journal;
use crate::world::cluster::{Cluster, DATABASE, LOG, STORE, job_manager_node};
use crate::world::{Machine, Run};

/// What came of a cell on a real machine.
#[derive(Debug)]
pub struct Rehearsed {
    /// The faults that were done, in words.
    pub faults: Vec<String>,
    /// The expectations that could be judged, in the order of the file.
    pub judged: Vec<Judged>,
    /// The checks that could not, and why.
    pub unjudged: Vec<(&'static str, &'static str)>,
    /// What is wrong beside expectations.
    pub troubles: Vec<Trouble>,
    /// Every fact.
    pub journal: Journal,
    /// How long the story was.
    pub time: Duration,
}

impl Rehearsed {
    /// Everything that is wrong.
    pub fn all_troubles(&self) -> impl Iterator<Item = &Trouble> {
        let judged = self.judged.iter().filter_map(|judged| judged.trouble.as_ref());
        self.troubles.iter().chain(judged)
    }
}

/// How long nothing new was written since nodes went down: who, when, and until when; `None`: to the
/// end.
pub fn pauses(journal: &Journal) -> Vec<(String, Duration, Option<Duration>)> {
    let (mut newest, mut pauses) = (EventTime::MIN, Vec::new());
    for entry in journal.entries() {
        match &entry.fact {
            Fact::NodeDown { node, how: Down::Kill | Down::Pause } => {
                pauses.push((node.clone(), entry.time, None));
            }
            Fact::PointWritten { point, .. } if point.time > newest => {
                newest = point.time;
                let open = pauses.iter_mut().filter(|(.., until)| until.is_none());
                open.for_each(|(.., until)| *until = Some(entry.time));
            }
            _ => {}
        }
    }
    pauses
}

/// What of a cell a real machine cannot do, if there is anything, in words.
pub fn cannot(cell: &Cell) -> Option<String> {
    let document = &cell.document;
    let part = &document.cluster;
    let deeds = document.fault.iter().map(|part| part.deed.get_ref());
    if let Some(deed) = deeds.clone().find(|deed| !can(**deed)) {
        let deed = format!("{deed:?}");
        return Some(format!("nobody can do this to processes of this machine: {deed}"));
    }
    if document.fault.iter().any(|part| part.when.get_ref().inside.is_some()) {
        return Some("a step inside a window can be met in the simulator only".into());
    }
    match () {
        () if document.sweep.is_some() => Some("a sweep counts steps of the simulator".into()),
        () if document.script.is_some() => Some("a script belongs to a test".into()),
        () if part.clock.drift.unwrap_or(0) != 0 => {
            Some("this machine's clocks do not drift".into())
        }
        () => None,
    }
}

/// Whether a process of this machine can do a deed, or have it done.
fn can(deed: Deed) -> bool {
    deed.is_a_persons() || matches!(deed, Deed::Crash | Deed::Pause)
}

/// Plays a turn on processes that run `program`, in an empty folder; what must be known before comes
/// from the simulator.
///
/// # Errors
/// If the machine refuses what a node needs, or the cell needs what it [`cannot`] do; in words.
pub fn rehearse(
    scenario: &Scenario,
    turn: Turn,
    programs: &Arc<dyn Programs>,
    (program, folder): (&Path, &Path),
) -> Result<Rehearsed, String> {
    let cell = &scenario.cell(turn).map_err(|mistake| mistake.render())?;
    if let Some(why) = cannot(cell) {
        return Err(why);
    }
    let prepared = prepare(scenario, turn, programs, &CalmRuns::default());
    let faults = &prepared.faults;
    if let Some(fault) = faults.iter().find(|fault| !can_be_done(fault)) {
        return Err(format!("no process can have this done: {fault}"));
    }
    let cluster = schedule::cluster(&cell.document.cluster, programs);
    let machine = Machine {
        program: program.to_owned(),
        lines: lines(&cluster),
        workers: cluster.task_manager.workers,
        credits: cluster.task_manager.worker.exchange.credits,
        folder: folder.to_owned(),
    };
    let world = schedule::world(cell, turn.seed, faults, programs);
    let run = world.run_on(&machine).map_err(|error| error.to_string())?;
    let mut wrong = troubles(cell, &run, faults);
    wrong.extend(unprepared(&prepared, !faults.is_empty()));
    let calm = prepared.calm.as_deref();
    let late = calm.and_then(|calm| begins_late(calm, &run));
    wrong.extend(late);
    let evidence =
        Evidence { journal: &run.journal, calm: calm.map(|calm| &calm.journal), resumed: None };
    let (mut judged, mut unjudged) = (Vec::new(), Vec::new());
    for expectation in &cell.expectations {
        match untold(expectation) {
            Some(why) => unjudged.push((expectation.check.name, why)),
            None => {
                let outcome = (expectation.check.judge)(&evidence, &expectation.args);
                judged.push(Judged::new(expectation, outcome));
            }
        }
    }
    let (journal, time) = (run.journal, run.time);
    let faults = faults.iter().map(Drawn::to_string).collect();
    Ok(Rehearsed { faults, judged, unjudged, troubles: wrong, journal, time })
}

/// Whether every deed of a fault is one of processes.
fn can_be_done(fault: &Drawn) -> bool {
    let can = |deed: &Fault| match deed {
        Fault::Pause { node } | Fault::Resume { node } => node != DATABASE && node != LOG,
        Fault::Kill { .. }
        | Fault::Start { .. }
        | Fault::Type { .. }
        | Fault::Calm { .. }
        | Fault::Began { .. }
        | Fault::Ended { .. } => true,
        _ => false,
    };
    let ends = fault.end.iter().flat_map(|(_, deeds)| deeds);
    let steps = matches!(fault.moment, Moment::Step(_) | Moment::Inside { .. });
    !steps && fault.begin.iter().chain(ends).all(can)
}

/// Why an expectation cannot be judged of processes; `None` if it can.
fn untold(expectation: &Expectation) -> Option<&'static str> {
    match expectation.check.needs {
        Needs::Run | Needs::Calm => None,
        Needs::Resumed => Some("it needs the same story cut in two"),
        Needs::Cells => Some("it compares runs of equal luck"),
    }
}

/// The first readings of a run in the simulator and of this one are of the same second, or nothing
/// can be compared: the harness was too slow.
fn begins_late(calm: &Run, run: &Run) -> Option<Trouble> {
    let first = |run: &Run| {
        let points = run.journal.entries().iter().filter_map(|entry| match &entry.fact {
            Fact::PointWritten { point, .. } => Some(point.time),
            _ => None,
        });
        points.min()
    };
    let (calm, own) = (first(calm)?, first(run)?);
    (calm != own).then(|| {
        let what = format!("the machine was too slow: the job began at {own}, and not at {calm}");
        Trouble::new(Class::Harness, what)
    })
}

/// How the nodes of a cell that are processes are started.
fn lines(cluster: &Cluster) -> BTreeMap<String, Vec<String>> {
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let job_managers = (1..=cluster.job_managers).map(|number| {
        let name = job_manager_node(number);
        let mut line = format!("jobmanager --name {name} --rest-port 0");
        let config = &cluster.job_manager;
        if config.store.is_some() {
            line.push_str(&format!(" --store {STORE}"));
        }
        if let Some(savepoints) = &config.savepoints {
            line.push_str(&format!(" --savepoints {savepoints}"));
        }
        line.push_str(&format!(" --lease-timeout {}ms", config.lease_timeout.as_millis()));
        (name, words(line))
    });
    let task_managers = (1..=cluster.task_managers).map(|number| {
        let name = format!("tm-{number}");
        let (slots, at) = (cluster.task_manager.slots, &cluster.task_manager.job_manager);
        let line = format!("taskmanager --name {name} --slots {slots} --job-manager {at}");
        (name, words(line))
    });
    job_managers.chain(task_managers).collect()
}
