//! How fast simulated worlds are: virtual seconds per second of processor time, and worlds per second.
//! Prints a table and asserts nothing, so that a busy machine breaks no build.
//! What is run is in `slackwater-sim`'s `world`.

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::Detail;
use slackwater_core::program::Program;
use slackwater_sim::world::cluster::{Cluster, submit};
use slackwater_sim::world::{Main, Run, World};

fn main() {
    demo();
    idle_nodes();
    empty_worlds();
}

/// The demo job for ten virtual minutes on one job manager and two task managers.
fn demo() {
    for (detail, name) in [(Detail::Control, "control"), (Detail::Records, "records")] {
        for tick in [10, 1] {
            let program = Program::named("oscon").set("parallelism", 2);
            let world = Cluster::new(Arc::new(slackwater_jobs::catalog()))
                .task_managers(2, 1)
                .on(World::new(1).detail(detail).tick(Duration::from_millis(tick)))
                .at(Duration::from_secs(1), submit("demo", program))
                .limit(Duration::from_secs(600));
            report(&format!("the demo on 1 + 2, {tick} ms ticks, {name}"), &world.run());
        }
    }
}

/// The floor: nodes that do nothing cost a tick each.
fn idle_nodes() {
    for (nodes, tick) in [(1, 10), (3, 10), (5, 10), (5, 1)] {
        let asleep: Main =
            Arc::new(|host| Box::pin(async move { host.sleep(Duration::MAX / 4).await }));
        let world =
            (0..nodes).fold(World::new(1), |world, n| world.node(n.to_string(), asleep.clone()));
        let world = world.tick(Duration::from_millis(tick)).limit(Duration::from_secs(600));
        report(&format!("{nodes} idle nodes, {tick} ms ticks"), &world.run());
    }
}

/// A world that ends after its first tick.
fn empty_worlds() {
    let worlds = 2_000;
    let cpu: Duration = (0..worlds)
        .map(|seed| {
            let nothing: Main = Arc::new(|_| Box::pin(async {}));
            let world = ["jm", "tm-1", "tm-2", "db", "client"]
                .iter()
                .fold(World::new(seed), |world, name| world.node(*name, nothing.clone()));
            world.detail(Detail::Control).limit(Duration::from_millis(10)).run().cpu
        })
        .sum();
    let rate = f64::from(worlds as u32) / cpu.as_secs_f64();
    println!("{:<44} {rate:>10.0} worlds per CPU s", "an empty world of five nodes");
}

fn report(what: &str, run: &Run) {
    let rate = run.time.as_secs_f64() / run.cpu.as_secs_f64();
    let facts = run.journal.entries().len() as f64 / run.time.as_secs_f64();
    let steps = run.steps as f64 / run.time.as_secs_f64();
    println!(
        "{what:<44} {rate:>10.0} virtual s per CPU s {facts:>8.1} facts/s {steps:>8.1} steps/s"
    );
}
