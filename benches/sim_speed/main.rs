//! How fast simulated worlds are, where their time goes, and whether their memory stays flat.
//! Prints a table, each number beside its target and their ratio, and asserts nothing, so that a
//! busy machine breaks no build. `cargo bench --bench sim_speed -- PART …` prints some parts only.
//! What is run is in `slackwater-sim`'s `world` and `scenario`; the bare loop of ticks in `peer`.

mod memory;
mod peer;

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use slackwater_core::fact::Detail;
use slackwater_core::program::Program;
use slackwater_dataflow::task::Programs;
use slackwater_sim::fault::Fault;
use slackwater_sim::scenario::{CalmRuns, Scenario, Turn, play_prepared, prepare};
use slackwater_sim::world::cluster::{Cluster, submit};
use slackwater_sim::world::{Main, Run, World};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Virtual seconds per second of processor time.
const DEMO_TARGET: f64 = 700.0;
/// Small seeds per second and core.
const SEEDS_TARGET: f64 = 10.0;

const PARTS: [(&str, fn()); 6] = [
    ("demo", demo),
    ("shares", shares),
    ("seeds", seeds),
    ("idle", idle),
    ("peer", peer::run),
    ("memory", memory::run),
];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    println!("{:<58} {:>10} {:>10} {:>7}", "", "measured", "target", "ratio");
    for (part, run) in PARTS {
        if asked.is_empty() || asked.iter().any(|name| name == part) {
            run();
        }
    }
}

fn row(what: &str, measured: f64, target: Option<f64>) {
    let target_text = target.map_or(String::new(), |target| format!("{target:.0}"));
    let ratio = target.map_or(String::new(), |target| format!("{:.2}", measured / target));
    println!("{what:<58} {measured:>10.1} {target_text:>10} {ratio:>7}");
}

/// Processor time of the whole process.
fn process_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn programs() -> Arc<dyn Programs> {
    Arc::new(slackwater_jobs::catalog())
}

/// The demo on one job manager and two task managers, with a checkpoint every second and, unless
/// calm, a fault every ten seconds.
fn oscon(tick: u64, detail: Detail, calm: bool) -> World {
    let program = Program::named("oscon").set("parallelism", 2).set("checkpoint", "1s");
    let program = program.set("restarts", 1_000);
    let world = Cluster::new(programs())
        .job_managers(1)
        .task_managers(2, 1)
        .on(World::new(1).detail(detail).tick(Duration::from_millis(tick)))
        .at(Duration::from_secs(1), submit("demo", program))
        .limit(Duration::from_secs(600));
    match calm {
        true => world,
        false => (1..59).fold(world, befall),
    }
}

fn befall(world: World, number: u64) -> World {
    let at = Duration::from_secs(10 * number);
    let (node, db) = (format!("tm-{}", 1 + number % 2), "db".to_owned());
    let (from, to) = (node.clone(), db.clone());
    let (begin, end) = match number % 5 {
        0 => (Fault::Kill { node: node.clone() }, Fault::Start { node }),
        1 => (Fault::Pause { node: node.clone() }, Fault::Resume { node }),
        2 => (Fault::Hold { from, to }, Fault::Release { between: (node, db) }),
        3 => (Fault::Reset { between: (node.clone(), db) }, Fault::Start { node }),
        _ => (Fault::PowerLoss { node: node.clone() }, Fault::Start { node }),
    };
    world.at(at, begin).at(at + Duration::from_secs(2), end)
}

fn rate(run: &Run) -> f64 {
    run.time.as_secs_f64() / run.cpu.as_secs_f64()
}

fn demo() {
    for (name, tick, calm, target) in [
        ("demo on 1 + 2, faults, 10 ms ticks: virtual s per CPU s", 10, false, Some(DEMO_TARGET)),
        ("demo on 1 + 2, calm,   10 ms ticks: virtual s per CPU s", 10, true, None),
        ("demo on 1 + 2, faults,  1 ms ticks: virtual s per CPU s", 1, false, None),
    ] {
        row(name, rate(&oscon(tick, Detail::Records, calm).run()), target);
    }
}

/// Where the time of the demo with faults goes.
fn shares() {
    let told = oscon(10, Detail::Records, false).timed().run();
    let silent = oscon(10, Detail::Control, false).timed().run();
    let all = told.cpu.as_secs_f64();
    let world = |run: &Run| run.cpu.saturating_sub(run.engine).as_secs_f64();
    let engine = silent.engine.as_secs_f64();
    // What is told is more work for the engine, which tells it, and for the world, which keeps it.
    let share = |part: f64| 100.0 * part / all;
    row("  of it the world (nodes, links, ticks), %", share(world(&silent)), None);
    row("  of it the engine, %", share(engine), None);
    row("  of it facts: told, encoded, kept, %", share(all - world(&silent) - engine), None);
    row(
        "  facts per virtual s",
        told.journal.entries().len() as f64 / told.time.as_secs_f64(),
        None,
    );
    row("  steps per virtual s", told.steps as f64 / told.time.as_secs_f64(), None);
}

/// Seeds of a small swarm, each with its run without faults and all its checks.
fn seeds() {
    let programs = programs();
    let scenario = Scenario::read("small.toml", include_str!("small.toml"), &programs);
    let scenario = scenario.unwrap_or_else(|mistake| panic!("{}", mistake.render()));
    let (number, before) = (40_u32, process_cpu());
    let (mut worlds, mut virtual_time) = (Duration::ZERO, Duration::ZERO);
    for seed in 0..u64::from(number) {
        let turn = Turn { cell: 0, place: 1, seed };
        let prepared = prepare(&scenario, turn, &programs, &CalmRuns::default());
        let played = play_prepared(&scenario, (turn, None), &prepared, &programs, false);
        worlds += played.cpu;
        virtual_time += played.virtual_time;
    }
    let all = (process_cpu() - before).as_secs_f64();
    row(
        "small seeds with calm run and checks: per s and core",
        f64::from(number) / all,
        Some(SEEDS_TARGET),
    );
    row("  virtual s per CPU s, checks included", virtual_time.as_secs_f64() / all, None);
    row("  of it checks, reading and drawing, %", 100.0 * (1.0 - worlds.as_secs_f64() / all), None);
}

/// The floor: nodes that do nothing, and worlds in which nothing happens.
fn idle() {
    for awake in [None, Some(Duration::from_millis(10))] {
        let asleep: Main =
            Arc::new(|host| Box::pin(async move { host.sleep(Duration::MAX / 4).await }));
        let ticking: Main = Arc::new(move |host| {
            Box::pin(async move {
                loop {
                    host.sleep(awake.unwrap_or(Duration::MAX / 4)).await;
                }
            })
        });
        let world =
            (0..4).fold(World::new(1), |world, n| world.node(n.to_string(), asleep.clone()));
        let run = world.node("4", ticking).limit(Duration::from_secs(600)).run();
        let what = if awake.is_some() { "one of which wakes in every tick" } else { "all asleep" };
        row(&format!("5 idle nodes, {what}: virtual s per CPU s"), rate(&run), None);
    }
    let worlds = 2_000_u32;
    let cpu: Duration = (0..u64::from(worlds))
        .map(|seed| {
            let nothing: Main = Arc::new(|_| Box::pin(async {}));
            let world = ["jm", "tm-1", "tm-2", "db", "client"]
                .iter()
                .fold(World::new(seed), |world, name| world.node(*name, nothing.clone()));
            world.detail(Detail::Control).limit(Duration::from_millis(10)).run().cpu
        })
        .sum();
    row("empty worlds of five nodes: per CPU s", f64::from(worlds) / cpu.as_secs_f64(), None);
}
