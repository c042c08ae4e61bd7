//! The promise that what a report prints can be played: the settled document of a turn gives the
//! same history as the file it was drawn from, fact by fact.
//! What is drawn, and from which streams, is tested in `slackwater-sim`.

use std::path::Path;
use std::sync::Arc;

use slackwater_dataflow::task::Programs;
use slackwater_sim::scenario::{Played, Scenario, Turn, play};
use slackwater_sim::verb::files::read;

const WEATHER: &str = r#"format = 1
title = "the ledger under weather"

[run]
seeds = "0..2"
stop = "finished"
limit = { sim = "120s" }

[cluster]
task_managers = 2
net = { delay = "1ms..10ms" }

[job]
program = "ledger"
set = { parallelism = 2, partitions = 2, rows = 200, every = "10ms", accounts = 20, sink = "two_phase", checkpoint = "500ms" }

[swarm]
require = "task_managers * slots >= parallelism"
"cluster.task_managers" = { range = [1, 3] }
"cluster.slots" = { range = [1, 2] }
"job.set.checkpoint" = { one_of = ["200ms", "500ms"] }

[[fault]]
name = "crash"
when = { chance = 0.5, per = "1s", until = "3s" }
do = "crash"
on = { role = "any", pick = "any" }
down = "0s..2s"

[[fault]]
name = "cut"
when = { at = "500ms..2s" }
odds = 0.5
do = { one_of = ["partition", "reset", "half_open"] }

[[expect]]
check = "same_output_as_without_faults"
"#;

/// A turn of a scenario, and the same turn of the document that it settles to.
fn plays_alike(scenario: &Scenario, turn: Turn, programs: &Arc<dyn Programs>) -> [Played; 2] {
    let settled = scenario.settled(turn).expect("a document");
    let text = toml::to_string(&settled).expect("text");
    let again = Scenario::read("settled.toml", &text, programs);
    let again = again.unwrap_or_else(|mistake| panic!("{}\n{text}", mistake.render()));
    let alone = Turn { cell: 0, ..turn };
    let played = [play(scenario, turn, programs, true), play(&again, alone, programs, true)];
    let hash = |played: &Played| played.journal.as_ref().expect("a journal").hash();
    assert_eq!(hash(&played[0]), hash(&played[1]), "{} {turn:?}\n{text}", scenario.name);
    assert_eq!(played[0].faults, played[1].faults);
    played
}

#[test]
fn a_settled_swarm_plays_the_same_history() {
    let programs: Arc<dyn Programs> = Arc::new(slackwater_jobs::catalog());
    let weather = Scenario::read("weather.toml", WEATHER, &programs);
    let weather = weather.unwrap_or_else(|mistake| panic!("{}", mistake.render()));
    let mut faults = 0;
    for seed in 0..3 {
        let turn = Turn { cell: 0, place: 1, seed };
        let [played, _] = plays_alike(&weather, turn, &programs);
        faults += played.faults.len();
    }
    assert!(faults > 0, "no seed brought a fault");
}

#[test]
fn a_settled_cell_of_a_matrix_plays_the_same_history() {
    let programs: Arc<dyn Programs> = Arc::new(slackwater_jobs::catalog());
    let partitions = read(Path::new("scenarios/broken-links.toml"), &programs);
    let partitions = partitions.unwrap_or_else(|(_, mistake)| panic!("{mistake}"));
    plays_alike(&partitions, Turn { cell: 3, place: 1, seed: 7 }, &programs);
}
