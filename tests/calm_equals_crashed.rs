//! The promise that trouble costs time and nothing else: the ledger's table after kills, power
//! losses, pauses and slow links is the table of the same seed without them, row for row.
//! Which trouble, on which cluster, is drawn from the seed; the oracles are in `slackwater-sim`.

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::{Detail, Fact, JobStatus};
use slackwater_core::point::Point;
use slackwater_core::program::Program;
use slackwater_core::random::RandomStream;
use slackwater_core::time::ms;
use slackwater_sim::fault::Fault;
use slackwater_sim::world::cluster::{Cluster, DATABASE, submit};
use slackwater_sim::world::{Clocks, Delay, End, Run, Stop, World};

const SEEDS: std::ops::Range<u64> = 0..24;

/// A cluster of drawn size and nature, the ledger on it, and if asked for, what befalls them.
fn ledger(seed: u64, in_trouble: bool) -> (Run, Vec<Point>) {
    let draws = &mut RandomStream::named(seed, "shape");
    let (task_managers, slots) = (1 + draws.below(4) as u32, 1 + draws.below(3) as u32);
    let parallelism = 1 + draws.below(u64::from(task_managers * slots));
    let catalog = Arc::new(slackwater_jobs::catalog());
    let mut cluster = Cluster::new(catalog).task_managers(task_managers, slots);
    cluster.task_manager.workers = slots.min(2);
    let store = cluster.store.clone();
    let program = Program::named("ledger")
        .set("rows", 400)
        .set("every", "20ms")
        .set("accounts", 40)
        .set("parallelism", parallelism);

    let mut world = cluster
        .on(nature(seed, draws))
        .at(ms(1_000), submit("ledger", program))
        .until_jobs_are_final(1);
    let mut nodes = vec![DATABASE.to_owned()];
    for number in 1..=task_managers {
        let offset_ms = draws.between(-1_000, 1_000);
        let drift_ppm = draws.between(-500, 500) as i32;
        let name = format!("tm-{number}");
        world = world.clocks(name.as_str(), Clocks { offset_ms, drift_ppm });
        nodes.push(name);
    }
    if in_trouble {
        world = trouble(world, &nodes, draws);
    }
    let run = world.run();
    (run, store.table())
}

/// A world with drawn delays, ticks and interleavings.
fn nature(seed: u64, draws: &mut RandomStream) -> World {
    let delay = match draws.below(3) {
        0 => Delay::Uniform { min: ms(1), max: ms(30) },
        1 => Delay::Exponential { min: ms(1), mean: ms(15), max: ms(400) },
        _ => Delay::Uniform { min: ms(10), max: ms(300) },
    };
    World::new(seed)
        .delay(delay)
        .tick(if draws.chance(0.2) { ms(1) } else { ms(10) })
        .shuffle(if draws.chance(0.5) { 0.15 } else { 0.0 })
        .detail(Detail::Flow)
        .limit(Duration::from_secs(400))
}

/// One to six misfortunes within half a minute, each of which passes.
fn trouble(mut world: World, nodes: &[String], draws: &mut RandomStream) -> World {
    let mut at = 1_500;
    for _ in 0..1 + draws.below(6) {
        at += draws.below(5_000);
        let place = draws.below(nodes.len() as u64) as usize;
        let node = nodes[place].clone();
        let over = ms(at + draws.below(12_000));
        world = match draws.below(4) {
            0 => {
                world.at(ms(at), Fault::Kill { node: node.clone() }).at(over, Fault::Start { node })
            }
            1 => world
                .at(ms(at), Fault::PowerLoss { node: node.clone() })
                .at(over, Fault::Start { node }),
            2 => world
                .at(ms(at), Fault::Pause { node: node.clone() })
                .at(over, Fault::Resume { node }),
            _ => {
                let between = (node, nodes[(place + 1) % nodes.len()].clone());
                let delay = Delay::fixed(ms(draws.below(900)));
                world.at(ms(at), Fault::Delay { between, delay })
            }
        };
    }
    world
}

/// How often the job was restarted; every job must have ended well, and no process badly.
fn restarts(seed: u64, run: &Run) -> usize {
    assert_eq!(run.end, End::Stopped(Stop::JobsFinal), "seed {seed}");
    let mut restarts = 0;
    for entry in run.journal.entries() {
        match &entry.fact {
            Fact::Panicked { .. } => panic!("seed {seed}: {}", run.journal.line(entry)),
            Fact::JobStatusChanged { to: JobStatus::Restarting, .. } => restarts += 1,
            _ => {}
        }
    }
    restarts
}

#[test]
fn the_ledger_in_trouble_ends_with_the_table_of_a_calm_run() {
    let mut restarted = 0;
    for seed in SEEDS {
        let ((calm, expected), (crashed, table)) = (ledger(seed, false), ledger(seed, true));
        assert_eq!(restarts(seed, &calm), 0, "seed {seed}: nothing happened");
        restarted += restarts(seed, &crashed);
        assert!(expected.len() > 100, "seed {seed}: {} rows", expected.len());
        assert!(table == expected, "seed {seed}: {} of {} rows", table.len(), expected.len());
    }
    assert!(restarted > SEEDS.count() / 2, "the trouble met the job only {restarted} times");
}
