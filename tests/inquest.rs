//! The promise that a failure ends in a story that people can read: of many faults the guilty one
//! is left, in a file that fails alike, and what broke first is told with its fact.
//! The failures here are wanted: a sink that does not flush before a barrier, a job without
//! checkpoints. Halving itself is tested in `slackwater-sim`.

use std::sync::Arc;
use std::time::Duration;

use slackwater_dataflow::task::Programs;
use slackwater_sim::inquest::{Budget, Extent, Inquest, Kind, Range, Suspect, inquire};
use slackwater_sim::report;
use slackwater_sim::scenario::{
    CalmRuns, Class, OtherLuck, Prepared, Scenario, Turn, play, play_prepared, prepare,
};

/// Weather, of which one kill costs the job its rows: it has no checkpoints.
const WEATHER: &str = r#"format = 1
title = "the demo without checkpoints, under weather"

[run]
seeds = [5]
stop = { event_time = "12s" }
limit = { sim = "90s" }

[cluster]
job_managers = 2
task_managers = 1
slots = 2
credits = 2
net = { delay = "1ms..20ms", shape = "exp" }

[job]
program = "oscon"
set = { time = "event", wave = 10, restarts = 100, restart_delay = "100ms" }

[[fault]]
name = "slow-1"
when = { at = "1117ms" }
do = "slow"
on = { role = "task_manager", pick = 0 }
by = "30ms"
for = "913ms"

[[fault]]
name = "slow-2"
when = { at = "1409ms" }
do = "slow"
on = { role = "series_database" }
by = "50ms"
for = "913ms"

[[fault]]
name = "store-1"
when = { at = "1903ms" }
do = "store_slow"
by = "30ms"
for = "700ms"

[[fault]]
name = "break-1"
when = { at = "2111ms" }
do = "slow"
on = { role = "job_manager", pick = 0 }
by = "40ms"
for = "313ms"

[[fault]]
name = "kill-7"
when = { at = "4321ms" }
do = "crash"
on = { role = "task_manager", pick = 0 }
down = "2345ms"

[[fault]]
name = "slow-3"
when = { at = "8001ms" }
do = "slow"
on = { role = "series_database" }
by = "50ms"
for = "613ms"

[[fault]]
name = "store-2"
when = { at = "8103ms" }
do = "store_refuse"
for = "300ms"

[[fault]]
name = "slow-4"
when = { at = "8307ms" }
do = "slow"
on = { role = "job_manager", pick = 1 }
by = "70ms"
for = "613ms"

[[expect]]
check = "watermark_monotonic"
[[expect]]
check = "no_loss"
"#;

/// The same without weather, killed at each of two instants.
const SWEEP: &str = r#"format = 1
title = "the demo without checkpoints, killed"

[run]
seeds = [5]
stop = { event_time = "9s" }
limit = { sim = "90s" }

[job]
program = "oscon"
set = { time = "event", wave = 10, restarts = 100, restart_delay = "100ms" }

[sweep]
times = 2
between = ["3s", "5s"]
victims = ["tm-1"]
down = "2s"

[[expect]]
check = "no_loss"
"#;

/// A sink that does not flush before a barrier, killed at a step behind the barriers of a checkpoint.
const STEP: &str = r#"format = 1
title = "a naive sink, killed at a step"

[run]
seeds = [0]
stop = { event_time = "10s" }
limit = { sim = "60s" }

[cluster]
job_managers = 1
task_managers = 1
slots = 1
net = { delay = "1ms..10ms" }

[job]
program = "oscon"
set = { time = "event", wave = 10, checkpoint = "500ms", sink = "naive" }

[[fault]]
name = "kill"
when = { inside = ["checkpoint.triggered", "checkpoint.completed"], pick = 0.98, where = { checkpoint = 4 } }
do = "crash"
on = { role = "task_manager", pick = 0 }
down = "1s"

[[expect]]
check = "no_loss"
"#;

fn programs() -> Arc<dyn Programs> {
    Arc::new(slackwater_jobs::catalog())
}

fn looked_into(text: &str, instant: Option<usize>, programs: &Arc<dyn Programs>) -> Inquest {
    let scenario = Scenario::read("scenarios/weather.toml", text, programs);
    let scenario = scenario.unwrap_or_else(|mistake| panic!("{}", mistake.render()));
    let seed = scenario.cells[0].document.run.listed()[0];
    let turn = Turn { cell: 0, place: 0, seed };
    let budget = Budget { time: Duration::from_secs(600), ..Budget::default() };
    let name = "regress/0001".to_owned();
    let extent = Extent { shrink: Some(budget), name, seeds: 2, worlds: 2, time: Duration::MAX };
    let suspect = Suspect { scenario: &scenario, turn, instant };
    inquire(suspect, &extent, programs).expect("it fails")
}

#[test]
fn of_many_faults_the_guilty_one_is_left_in_a_file_that_fails_alike() {
    let programs = programs();
    let inquest = looked_into(WEATHER, None, &programs);
    assert_eq!((inquest.kind.class, inquest.kind.check), (Class::Broken, Some("no_loss")));
    let shrunk = inquest.shrunk.expect("a smaller run");
    assert_eq!((shrunk.before.faults, shrunk.after.faults), (8, 1), "{}", shrunk.text);
    assert!(shrunk.after.nodes < shrunk.before.nodes, "{}", shrunk.text);
    assert!(shrunk.after.length < shrunk.before.length, "{}", shrunk.text);
    let header = "# Written by `shrink` from weather.toml seed 0x5 (8 faults -> 1, 3 nodes -> 2, ";
    assert!(shrunk.text.starts_with(header), "{}", shrunk.text);
    let again = Scenario::read("scenarios/regress/0001.toml", &shrunk.text, &programs);
    let again = again.unwrap_or_else(|mistake| panic!("{}\n{}", mistake.render(), shrunk.text));
    let played = play(&again, Turn { cell: 0, place: 0, seed: 5 }, &programs, false);
    assert!(played.all_troubles().any(|trouble| Kind::of(trouble) == inquest.kind));
    let nearby = inquest.nearby.expect("its neighbours");
    assert_eq!((nearby.seeds, nearby.passed, nearby.alike), (2, 0, 2), "the kill is in the file");
    let window = nearby.window.expect("one fault at a time");
    let Range::Times { at, from, to } = window.range else {
        panic!("a kill at a time: {window:?}")
    };
    assert!(from <= at && at <= to && window.fault == "kill");
    let curve = inquest.baked.expect("a curve").curve;
    assert_eq!(curve.last().map(|point| point.1), Some(2), "at its end a run has failed");
}

#[test]
fn a_failure_that_was_looked_into_is_told_in_order_and_on_one_screen() {
    let programs = programs();
    let scenario = Scenario::read("scenarios/weather.toml", WEATHER, &programs).expect("good");
    let turn = Turn { cell: 0, place: 0, seed: 5 };
    let played = play(&scenario, turn, &programs, false);
    let inquest = looked_into(WEATHER, None, &programs);
    let small = "slackwater replay scenarios/regress/0001.toml (written)";
    let text = report::failure(&scenario, &played, Some((&inquest, Some(small))));
    let mut words: Vec<&str> = text.lines().filter_map(|line| line.get(..8)).collect();
    words.dedup();
    let wanted = ["FAIL", "BROKE", "SHRUNK", "STORY", "BAKED IN", "NEARBY", "", "REPLAY", "SMALL"];
    assert_eq!(words.iter().map(|word| word.trim()).collect::<Vec<_>>(), wanted, "{text}");
    assert!(text.lines().count() <= 30, "{text}");
    assert!(text.ends_with(&format!("SMALL    {small}")), "{text}");
}

#[test]
fn of_a_fault_at_a_step_the_failing_steps_are_searched() {
    let inquest = looked_into(STEP, None, &programs());
    let window = inquest.nearby.and_then(|nearby| nearby.window).expect("one fault at a step");
    let Range::Steps { at, from, to } = window.range else {
        panic!("a kill at a step: {window:?}")
    };
    assert!(from <= at && at <= to && window.fault == "kill", "{window:?}");
    assert!(from < to, "behind the barrier every step loses the same: {window:?}");
}

#[test]
fn an_instant_of_a_sweep_becomes_a_fault_like_any_other() {
    let inquest = looked_into(SWEEP, Some(1), &programs());
    let shrunk = inquest.shrunk.expect("a smaller run");
    assert_eq!(shrunk.after.faults, 1);
    assert!(shrunk.text.contains("name = \"kill\""), "{}", shrunk.text);
    let curve = inquest.baked.expect("a curve").curve;
    assert_eq!(curve.last().map(|point| point.1), Some(2), "at its end that instant has failed");
}

#[test]
fn luck_is_the_same_up_to_the_time_from_which_it_is_another() {
    let programs = programs();
    let scenario = Scenario::read("scenarios/weather.toml", WEATHER, &programs).expect("good");
    let turn = Turn { cell: 0, place: 1, seed: 5 };
    let prepared = prepare(&scenario, turn, &programs, &CalmRuns::default());
    let from = Duration::from_secs(6);
    let other = prepared.with_other_luck(&scenario, turn, OtherLuck { from, seed: 77 });
    let lines = |prepared: &Prepared| {
        let played = play_prepared(&scenario, (turn, None), prepared, &programs, true);
        let journal = played.journal.expect("a journal");
        let entries = journal.entries().iter();
        entries.map(|entry| (entry.time, journal.line(entry).to_string())).collect::<Vec<_>>()
    };
    let (one, two) = (lines(&prepared), lines(&other));
    let before = |lines: &[(Duration, String)]| lines.partition_point(|(time, _)| *time < from);
    assert!(before(&one) > 100);
    assert_eq!(one[..before(&one)], two[..before(&two)]);
    assert_ne!(one, two);
}
