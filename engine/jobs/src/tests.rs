//! The plans of the demo jobs: names, tasks, parallelism, and what is refused.
//! Nothing runs here: the scenarios and the command line run them. The jobs are in [`super`].

use slackwater::core::graph::{JobGraph, Partition};
use slackwater::prelude::*;

fn plan(name: &str, settings: &[(&str, &str)]) -> Result<JobGraph, String> {
    let program = settings
        .iter()
        .fold(Program::named(name), |program, (name, value)| program.set(*name, value));
    crate::catalog().plan(&program).map(|plan| plan.graph).map_err(|error| error.to_string())
}

#[test]
fn the_demo_job_has_the_demos_operators_and_runs_them_apart_when_asked() {
    let apart = plan("oscon", &[("chaining", "false")]).expect("a plan");
    let names: Vec<_> =
        apart.vertices.iter().flat_map(|v| &v.operators).map(|o| o.name.as_str()).collect();
    let mut demo = [
        "test data",
        "sawTooth",
        "assignKey(temp)",
        "sineWave",
        "assignKey(pressure)",
        "squareWave",
        "assignKey(door)",
        "sensors-sink",
        "sum(1 s)",
        "summed-sensors-sink",
        "late-sensors-sink",
    ];
    let mut sorted = names.clone();
    sorted.sort_unstable();
    demo.sort_unstable();
    assert_eq!(sorted, demo);
    // Walkthrough W27: all of them fit into one slot.
    assert_eq!((apart.slots(), apart.max_parallelism), (1, 8));
    let chained = plan("oscon", &[]).expect("a plan");
    assert!(chained.vertices.len() < apart.vertices.len());
}

#[test]
fn only_the_sums_run_in_parallel() {
    let graph = plan("oscon", &[("parallelism", "4")]).expect("a plan");
    let parallel: Vec<_> =
        graph.vertices.iter().map(|v| (v.operators[0].name.as_str(), v.parallelism)).collect();
    assert!(parallel.contains(&("sum(1 s)", 4)), "{parallel:?}");
    assert!(parallel.contains(&("test data", 1)), "{parallel:?}");
    assert_eq!(graph.slots(), 4);
    assert!(graph.edges.iter().any(|edge| edge.partition == Partition::Hash));
}

#[test]
fn every_job_has_a_plan_and_refuses_what_it_cannot_read() {
    for name in crate::catalog().names() {
        let files: &[_] = if name == "flights" { &[("input", "a"), ("out", "b")] } else { &[] };
        plan(&name, files).expect(&name);
    }
    let refused = [
        ("oscon", ("wave", "0"), r#"parameter "wave": a wave has a step"#),
        ("oscon", ("every", "0s"), r#"parameter "every": a tick takes at least 1ms"#),
        ("oscon", ("wvae", "9"), r#"parameter "wvae": unknown, did you mean "wave"?"#),
        ("oscon-log", ("partitions", "0"), r#"parameter "partitions": a topic has a partition"#),
        ("flights", ("out", "x"), r#"parameter "input": the job needs it"#),
    ];
    for (job, setting, words) in refused {
        assert_eq!(plan(job, &[setting]), Err(words.to_owned()));
    }
    let clock = plan("oscon", &[("time", "evnet")]).expect_err("no clock");
    assert!(clock.contains(r#"expected "event" or "processing", found "evnet""#), "{clock}");
}
