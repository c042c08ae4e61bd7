//! From a cell and a seed to a world: its cast, its jobs, and what befalls it when.
//! Everything that a file leaves open is drawn here, each from a named stream of the seed, before
//! the world begins; nothing is drawn while it runs. Played by [`super::player`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_spanned::Spanned;
use slackwater_connect::log::MemoryLog;
use slackwater_core::fact::Fact;
use slackwater_core::id::Execution;
use slackwater_core::random::RandomStream;
use slackwater_core::time::{EventTime, ms, span_millis};
use slackwater_dataflow::task::Programs;

use super::befall;
use super::director::Story;
use super::drawn::{Drawn, Moment, Whom};
use super::fault::{FaultPart, Peer, Place, Target, When, Whose};
use super::format::{Cluster as ClusterPart, Role, Shape, Stop};
use super::resolve::Cell;
use super::values::{Pick, Spans};
use crate::api::script;
use crate::fault::Fault;
use crate::journal::Entry;
use crate::world::cluster::{Cluster, submit};
use crate::world::person::{self, Memory};
use crate::world::{Clocks, Cue, Deeds, Delay, EPOCH, Watch, World, fact};

/// The faults of a cell, counted from when every job ran.
pub fn draw(cell: &Cell, seed: u64, running: Duration) -> Vec<Drawn> {
    let cluster = &cell.document.cluster;
    let faults = cell.document.fault.iter().map(|part| draw_one(part, seed, running, cluster));
    let steps = super::step::draw(&cell.document, seed, running);
    faults.chain(steps).chain(super::calm::draw(cell, seed, running)).collect()
}

/// Under what the n-th job of a file is submitted, from 0.
pub(super) fn label(index: usize, program: &str) -> String {
    format!("{index}/{program}")
}

fn draw_one(part: &FaultPart, seed: u64, running: Duration, cluster: &ClusterPart) -> Drawn {
    let name = part.name.get_ref().clone();
    let stream = |of: &str| RandomStream::named(seed, &format!("fault/{name}/{of}"));
    let mut whom = Vec::new();
    let mut node = |of: &str, aim: Aim<'_>| {
        let Aim { role, pick, whose } = aim;
        let pick = pick.as_ref().map_or(Pick::Number(0), |pick| *pick.get_ref());
        if role.is_told_by_the_run() || whose.is_some() {
            let touched_by = whose.as_ref().map(|whose| whose.touched_by.clone());
            let called = befall::called(role, touched_by.as_deref(), of);
            whom.push(Whom { called: called.clone(), role, touched_by, pick });
            return called;
        }
        let number = match pick {
            Pick::Number(number) => number,
            Pick::Any => {
                let nodes = u64::from(befall::nodes_of(role, cluster).max(1));
                u32::try_from(stream(of).below(nodes)).unwrap_or(0)
            }
        };
        befall::node_name(role, number)
    };
    let target = part.on.as_ref().map(Spanned::get_ref);
    let on = target.map_or(String::new(), |target| node("on", Aim::at(target)));
    let peer = target.and_then(|target| target.peer.as_ref());
    let peer = peer.map_or(String::new(), |peer| node("peer", Aim::at_peer(peer)));
    let (begin, end) = befall::deeds(part, (&on, &peer), stream("bit").next_u64(), delay(cluster));
    let lasts = part.down.as_ref().or(part.lasts.as_ref());
    let lasts = lasts.map(|spans| spans.get_ref().draw(&mut stream("away")));
    let moment = moment(part.when.get_ref(), &name, seed, running);
    let until = part.until.as_ref();
    let until = until.map(|until| self::moment(until.get_ref(), &name, seed, running));
    let lasts = lasts.or(until.as_ref().map(|_| Duration::MAX));
    let end = lasts.filter(|_| !end.is_empty()).map(|lasts| (lasts, end));
    Drawn { name, moment, begin, end, until, whom }
}

/// A target, or the other end of a link.
struct Aim<'a> {
    role: Role,
    pick: &'a Option<Spanned<Pick>>,
    whose: &'a Option<Whose>,
}

impl<'a> Aim<'a> {
    fn at(Target { role, pick, whose, .. }: &'a Target) -> Self {
        Self { role: *role, pick, whose }
    }

    fn at_peer(Peer { role, pick, whose }: &'a Peer) -> Self {
        Self { role: *role, pick, whose }
    }
}

/// When a fault happens, or ends; virtual time counts from when every job ran.
pub(super) fn moment(when: &When, name: &str, seed: u64, running: Duration) -> Moment {
    let stream = |of: &str| RandomStream::named(seed, &format!("fault/{name}/{of}"));
    let draw = |spans: Option<Spans>, of: &str| {
        spans.map_or(Duration::ZERO, |spans| spans.draw(&mut stream(of)))
    };
    let fields = when.fields.iter().map(|(key, value)| (key.clone(), value.0.clone()));
    let mut fields: Vec<_> = fields.collect();
    let (delay, nth) = (draw(when.delay, "delay"), when.nth.unwrap_or(1));
    let told = [&when.event, &when.message].map(|name| name.as_ref().map(|n| n.get_ref().clone()));
    match (told, &when.inside, &when.after, when.event_time) {
        ([Some(probe), _], ..) => Moment::Fact { probe, fields, nth, delay },
        ([None, Some(message)], ..) => {
            fields.insert(0, ("message".to_owned(), message));
            Moment::Fact { probe: "message.sent".to_owned(), fields, nth, delay }
        }
        (_, Some(window), ..) => {
            let (from, to) = window.get_ref().clone();
            let anywhere = || (stream("inside").unit() * 1e6) as u32;
            let place = when.pick.map_or_else(anywhere, |pick| match pick {
                Place::Uniform => anywhere(),
                Place::At(ppm) => ppm,
            });
            Moment::Inside { from, to, fields, place, step: None, steps: None }
        }
        (_, _, Some(after), _) => Moment::After { name: after.get_ref().clone(), delay },
        (.., Some(at)) => Moment::EventTime { at: draw(Some(at), "event_time"), delay },
        _ => Moment::At(running + draw(when.at, "at")),
    }
}

fn task_managers(cluster: &ClusterPart) -> u32 {
    cluster.task_managers.as_ref().map_or(1, |number| *number.get_ref())
}

/// The world of a cell under a seed, with these faults.
pub fn world(cell: &Cell, seed: u64, faults: &[Drawn], programs: &Arc<dyn Programs>) -> World {
    world_of(cell, seed, faults, cluster(&cell.document.cluster, programs))
}

/// The same with a cluster of the caller's, whose databases outlive the world.
pub(super) fn world_of(cell: &Cell, seed: u64, faults: &[Drawn], cluster: Cluster) -> World {
    let catalogue = Arc::clone(&cluster.programs);
    let mut world = bare(cell, seed, cluster, Duration::ZERO);
    for (index, program) in (0u32..).zip(&cell.programs) {
        // One after the other, so that the first job of the file is the first of the cluster.
        let at = ms(200) * index;
        let label = label(index as usize, &program.name);
        world = world.at(at, submit(&label, program.clone()));
    }
    if let Some(script) = &cell.document.script {
        world = world.at(Duration::ZERO, script::action(script.get_ref(), &catalogue));
    }
    world = persons(cell, world, catalogue);
    world = faults.iter().filter(|fault| !fault.is_directed()).fold(world, add);
    if let Some(story) = Story::of(faults, seed) {
        world = world.directed_by(Box::new(story));
    }
    if let Some(sweep) = &cell.document.sweep {
        world = super::sweep::mark(world, sweep.get_ref());
    }
    let calms = |fault: &Drawn| matches!(fault.main(), Some(Fault::Calm { .. }));
    ending(cell, world, faults.iter().any(calms))
}

/// A world in which persons know what to type.
fn persons(cell: &Cell, world: World, programs: Arc<dyn Programs>) -> World {
    let (document, words) = (&cell.document, super::step::jobs_by_word(&cell.document));
    let job_managers = befall::nodes_of(Role::JobManager, &document.cluster);
    let memory = Memory::new(words, job_managers, programs);
    let steps = person::types(cell.steps.lines.clone(), &memory);
    let all = steps.into_iter().chain(super::act::mains(document, &memory));
    all.fold(world, |world, (step, main)| world.line(step, main))
}

/// The world of a cell in which nobody submits anything, and whose clocks go on from `since`.
pub(super) fn world_again(cell: &Cell, seed: u64, cluster: Cluster, since: Duration) -> World {
    ending(cell, bare(cell, seed, cluster, since), false)
}

/// A world with its cast and its nature, in which nothing happens yet.
fn bare(cell: &Cell, seed: u64, cluster: Cluster, since: Duration) -> World {
    let part = &cell.document.cluster;
    let steps = cell.document.run.limit.steps.unwrap_or(u64::MAX);
    let mut world = World::new(seed).limit(limit(cell)).step_limit(steps).delay(delay(part));
    if let Some(tick) = part.tick {
        world = world.tick(tick.0);
    }
    world = world.shuffle(part.shuffle.unwrap_or(0.0));
    world = cluster.on(world);
    let roles = [Role::JobManager, Role::SeriesDatabase, Role::Log, Role::Control];
    let nodes = roles.into_iter().flat_map(|role| {
        (0..befall::nodes_of(role, part)).map(move |number| befall::node_name(role, number))
    });
    let since = Clocks { offset_ms: span_millis(since), drift_ppm: 0 };
    world = nodes.fold(world, |world, node| world.clocks(node, since));
    for number in 1..=task_managers(part) {
        let node = format!("tm-{number}");
        let own = clocks(part, seed, &node);
        let clocks = Clocks { offset_ms: own.offset_ms + since.offset_ms, ..own };
        world = world.clocks(node, clocks);
    }
    world
}

/// Lets a world end when its cell says so, and if there is to be a calm in it, not before.
fn ending(cell: &Cell, world: World, calms: bool) -> World {
    let world = world.rest(cell.document.run.rest.map_or(Duration::ZERO, |rest| rest.0));
    match cell.document.run.stop {
        Stop::Finished if cell.document.script.is_some() => {
            world.until(crate::world::Stop::JobsFinal, script::is_over())
        }
        Stop::Finished => {
            let done = super::answer::all_is_done(cell.programs.len(), &cell.document);
            world.until(crate::world::Stop::JobsFinal, done)
        }
        Stop::EventTime(span) => {
            let time = EPOCH.as_millis() + span_millis(span.0);
            let mut reach = windows_reach(EventTime::from_millis(time));
            let mut is_time = !calms;
            // Whoever has much to catch up with may leap over the calm's time and the end's at once.
            let reach = move |entry: &Entry| {
                is_time |= matches!(entry.fact, Fact::WorldCalm { .. });
                reach(entry) && is_time
            };
            world.until(crate::world::Stop::Watermark, Box::new(reach))
        }
        Stop::Time(_) => world,
    }
}

/// When the world ends in any case.
fn limit(cell: &Cell) -> Duration {
    match cell.document.run.stop {
        Stop::Time(span) => span.0,
        Stop::Finished | Stop::EventTime(_) => cell.document.run.limit.sim.0,
    }
}

fn delay(part: &ClusterPart) -> Delay {
    let Some(Spans { low: min, high: max }) = part.net.delay else {
        return Delay::Uniform { min: ms(1), max: ms(30) };
    };
    match part.net.shape {
        Shape::Uniform => Delay::Uniform { min, max },
        Shape::Exp => Delay::Exponential { min, mean: (max - min) / 5, max },
    }
}

/// Where savepoints lie unless a step says so.
const SAVEPOINTS: &str = "file:///savepoints";

/// The cluster of a cell.
pub(super) fn cluster(part: &ClusterPart, programs: &Arc<dyn Programs>) -> Cluster {
    let slots = part.slots.as_ref().map_or(1, |slots| *slots.get_ref());
    let mut cluster = Cluster::new(Arc::clone(programs)).task_managers(task_managers(part), slots);
    cluster.job_manager.savepoints = Some(SAVEPOINTS.to_owned());
    if let Some(number) = &part.job_managers {
        cluster = cluster.job_managers(*number.get_ref());
    }
    if let Some(workers) = &part.workers {
        cluster.task_manager.workers = *workers.get_ref();
    }
    if let Some(credits) = &part.credits {
        cluster.task_manager.worker.exchange.credits = *credits.get_ref();
    }
    if part.influx {
        cluster = cluster.influx();
    }
    if part.control {
        cluster = cluster.control();
    }
    match part.log {
        true => cluster.log(MemoryLog::default()),
        false => cluster,
    }
}

fn clocks(part: &ClusterPart, seed: u64, node: &str) -> Clocks {
    let mut random = RandomStream::named(seed, &format!("clock/{node}"));
    let offset = part.clock.offset.map_or(Duration::ZERO, |offset| offset.draw(&mut random));
    Clocks { offset_ms: span_millis(offset), drift_ppm: part.clock.drift.unwrap_or(0) }
}

fn add(world: World, fault: &Drawn) -> World {
    let began = fault.began();
    let begin = began.iter().chain(&fault.begin).map(|deed| (Duration::ZERO, deed.clone()));
    let ended = fault.end.is_some().then(|| Fault::Ended { name: fault.name.clone() });
    let (after, end) = fault.end.clone().unwrap_or_default();
    let end = end.into_iter().chain(ended).map(|deed| (after, deed));
    let deeds: Deeds = begin.chain(end).collect();
    match &fault.moment {
        Moment::EventTime { .. } | Moment::After { .. } | Moment::Inside { .. } => world,
        Moment::At(at) => {
            deeds.into_iter().fold(world, |world, (after, deed)| world.at(*at + after, deed))
        }
        Moment::Step(step) => world.on(Cue::Step(*step), deeds),
        Moment::Fact { probe, fields, nth, delay } => {
            let later = deeds.into_iter().map(|(after, deed)| (after + *delay, deed));
            world.on(fact(probe, fields, *nth), later.collect())
        }
    }
}

/// Whether every task that holds windows, in the newest attempt of its job, has reached a watermark.
/// Of other tasks nothing is asked: where nobody downstream sees watermarks, none are sent.
pub(super) fn windows_reach(time: EventTime) -> Watch {
    let mut tasks = BTreeMap::<Execution, EventTime>::new();
    Box::new(move |entry| {
        match &entry.fact {
            Fact::JobStatusChanged { job, to, .. } if to.is_final() => {
                tasks.retain(|task, _| task.job != *job);
            }
            Fact::RecordWindowed { task, .. } if !tasks.contains_key(task) => {
                // A newer attempt begins its own count.
                tasks.retain(|known, _| known.job != task.job || known.attempt == task.attempt);
                tasks.insert(*task, EventTime::MIN);
            }
            Fact::WatermarkAdvanced { task, watermark } => {
                if let Some(known) = tasks.get_mut(task) {
                    *known = *watermark;
                }
                return tasks.values().all(|known| *known >= time) && !tasks.is_empty();
            }
            _ => {}
        }
        false
    })
}
