//! Whether memory stays flat: ten thousand small worlds in one process, and what it holds after so many.
//! Each world is built, run and dropped whole; nothing is kept of it. Speed is `main`'s.

use std::time::Duration;

use slackwater_core::fact::Detail;
use slackwater_core::program::Program;
use slackwater_sim::fault::Fault;
use slackwater_sim::world::World;
use slackwater_sim::world::cluster::{Cluster, submit};

use crate::{programs, row};

const WORLDS: u64 = 10_000;
/// How much more the process may hold at the end than after a tenth of the worlds.
const GROWTH_TARGET: f64 = 1.1;

pub(super) fn run() {
    let mut first = None;
    for number in 1..=WORLDS {
        small(number);
        if [1_000, 5_000, 10_000].contains(&number) {
            let held = resident_mib();
            row(&format!("resident MiB after {number} worlds"), held, None);
            first = first.or(Some(held));
        }
    }
    if let Some(first) = first {
        let growth = resident_mib() / first;
        println!("{:<58} {growth:>10.2} {GROWTH_TARGET:>10.2}", "  of what it was after 1,000");
    }
}

/// Two seconds of the demo, a kill among them.
fn small(seed: u64) {
    let program = Program::named("oscon").set("checkpoint", "500ms");
    let world = Cluster::new(programs())
        .job_managers(1)
        .task_managers(1, 1)
        .on(World::new(seed).detail(Detail::Records))
        .at(Duration::ZERO, submit("demo", program))
        .at(Duration::from_millis(1_500), Fault::Kill { node: "tm-1".to_owned() })
        .limit(Duration::from_secs(2));
    drop(world.run());
}

#[expect(clippy::disallowed_methods, reason = "what the system says of this process, on no host")]
fn resident_mib() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok());
    resident.unwrap_or_default() * 4_096.0 / (1024.0 * 1024.0)
}
