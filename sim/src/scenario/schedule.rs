//! From a cell and a seed to a world: its cast, its jobs, and what befalls it when.
//! Everything that a file leaves open is drawn here, each from a named stream of the seed, before
//! the world begins; nothing is drawn while it runs. Played by [`super::player`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use slackwater_connect::log::MemoryLog;
use slackwater_core::fact::{Down, Fact};
use slackwater_core::id::Execution;
use slackwater_core::random::RandomStream;
use slackwater_core::time::{EventTime, ms, span_millis};
use slackwater_dataflow::task::Programs;

use super::format::{Cluster as ClusterPart, Deed, FaultPart, Role, Shape, Stop};
use super::resolve::Cell;
use super::values::{Pick, Spans};
use crate::fault::Fault;
use crate::world::cluster::{Cluster, DATABASE, JOB_MANAGER, LOG, submit};
use crate::world::{Clocks, Delay, EPOCH, Watch, World};

/// A fault with everything drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Its name in the file.
    pub name: String,
    /// Virtual time since the world began.
    pub at: Duration,
    /// What happens.
    pub how: Down,
    /// The node.
    pub node: String,
    /// How long it is away; `None`: for good.
    pub away: Option<Duration>,
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, at, how, node, away } = self;
        let at = at.as_secs_f64();
        write!(f, "{at:.3} s {name}: {} {node}", deed(*how))?;
        match away {
            Some(away) => write!(f, ", away for {:.3} s", away.as_secs_f64()),
            None => f.write_str(", for good"),
        }
    }
}

/// The word of a scenario file for what happened.
fn deed(how: Down) -> &'static str {
    match how {
        Down::Kill => "crash",
        Down::PowerLoss => "power_loss",
        Down::Pause => "pause",
        Down::Exit => "exit",
    }
}

/// The faults of a cell, counted from when every job ran.
pub fn draw(cell: &Cell, seed: u64, running: Duration) -> Vec<Drawn> {
    let managers = task_managers(&cell.document.cluster);
    cell.document.fault.iter().map(|part| draw_one(part, seed, running, managers)).collect()
}

fn draw_one(part: &FaultPart, seed: u64, running: Duration, managers: u32) -> Drawn {
    let name = part.name.get_ref().clone();
    let stream = |of: &str| RandomStream::named(seed, &format!("fault/{name}/{of}"));
    let super::format::When::At(at) = part.when;
    let pick = part.on.pick.as_ref().map_or(Pick::Number(0), |pick| *pick.get_ref());
    let node = match part.on.role {
        Role::JobManager => JOB_MANAGER.to_owned(),
        Role::SeriesDatabase => DATABASE.to_owned(),
        Role::Log => LOG.to_owned(),
        Role::TaskManager => {
            let number = match pick {
                Pick::Number(number) => u64::from(number),
                Pick::Any => stream("on").below(u64::from(managers)),
            };
            format!("tm-{}", number + 1)
        }
    };
    let span = |spans: &serde_spanned::Spanned<Spans>| spans.get_ref().draw(&mut stream("away"));
    let (how, away) = match part.deed.get_ref() {
        Deed::Crash => (Down::Kill, part.down.as_ref().map(span)),
        Deed::PowerLoss => (Down::PowerLoss, part.down.as_ref().map(span)),
        Deed::Pause => (Down::Pause, part.lasts.as_ref().map(span)),
    };
    let at = running + at.draw(&mut stream("at"));
    Drawn { name, at, how, node, away }
}

fn task_managers(cluster: &ClusterPart) -> u32 {
    cluster.task_managers.as_ref().map_or(1, |number| *number.get_ref())
}

/// The world of a cell under a seed, with these faults.
pub fn world(cell: &Cell, seed: u64, faults: &[Drawn], programs: &Arc<dyn Programs>) -> World {
    let part = &cell.document.cluster;
    let mut world = World::new(seed).limit(limit(cell)).delay(delay(part));
    if let Some(tick) = part.tick {
        world = world.tick(tick.0);
    }
    world = world.shuffle(part.shuffle.unwrap_or(0.0));
    world = cluster(part, programs).on(world);
    for number in 1..=task_managers(part) {
        let node = format!("tm-{number}");
        let clocks = clocks(part, seed, &node);
        world = world.clocks(node, clocks);
    }
    for (index, program) in (0u32..).zip(&cell.programs) {
        // One after the other, so that the first job of the file is the first of the cluster.
        let at = ms(200) * index;
        world = world.at(at, submit(&format!("{index}/{}", program.name), program.clone()));
    }
    world = faults.iter().fold(world, befall);
    match cell.document.run.stop {
        Stop::Finished => world.until_jobs_are_final(cell.programs.len()),
        Stop::EventTime(span) => {
            let time = EPOCH.as_millis() + span_millis(span.0);
            world.until(crate::world::Stop::Watermark, windows_reach(EventTime::from_millis(time)))
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

fn cluster(part: &ClusterPart, programs: &Arc<dyn Programs>) -> Cluster {
    let slots = part.slots.as_ref().map_or(1, |slots| *slots.get_ref());
    let mut cluster = Cluster::new(Arc::clone(programs)).task_managers(task_managers(part), slots);
    if let Some(workers) = &part.workers {
        cluster.task_manager.workers = *workers.get_ref();
    }
    if let Some(credits) = &part.credits {
        cluster.task_manager.worker.exchange.credits = *credits.get_ref();
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

fn befall(world: World, fault: &Drawn) -> World {
    let node = || fault.node.clone();
    let (begin, end) = match fault.how {
        Down::Pause => (Fault::Pause { node: node() }, Fault::Resume { node: node() }),
        Down::PowerLoss => (Fault::PowerLoss { node: node() }, Fault::Start { node: node() }),
        Down::Kill | Down::Exit => (Fault::Kill { node: node() }, Fault::Start { node: node() }),
    };
    let world = world.at(fault.at, begin);
    match fault.away {
        Some(away) => world.at(fault.at + away, end),
        None => world,
    }
}

/// Whether every task that holds windows, in the newest attempt of its job, has reached a watermark.
/// Of other tasks nothing is asked: where nobody downstream sees watermarks, none are sent.
fn windows_reach(time: EventTime) -> Watch {
    let mut tasks = BTreeMap::<Execution, EventTime>::new();
    Box::new(move |entry| {
        match &entry.fact {
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
