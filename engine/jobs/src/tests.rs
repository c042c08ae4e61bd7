//! The plans of the demo jobs: names, tasks, parallelism, and what is refused.
//! Nothing runs here: the scenarios and the command line run them. The jobs are in [`super`].

use std::collections::BTreeMap;

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
fn a_control_server_adds_three_operators_and_changes_no_other() {
    let operators = |settings: &[(&str, &str)]| {
        let graph = plan("oscon", settings).expect("a plan");
        let all = graph.vertices.iter().flat_map(|v| &v.operators).cloned();
        all.map(|operator| (operator.name.clone(), operator)).collect::<BTreeMap<_, _>>()
    };
    let plain = operators(&[]);
    let mut controlled = operators(&[("control", "localhost:9999")]);
    for name in ["control", "amplifier", "amplified-sensors-sink"] {
        assert!(controlled.remove(name).is_some(), "{name}");
    }
    assert_eq!(controlled, plain);
    let graph = plan("oscon", &[("control", "localhost:9999")]).expect("a plan");
    let amplifier = graph.vertices.iter().find(|v| v.operators[0].name == "amplifier");
    let inputs = graph.inputs(amplifier.expect("it begins a chain").id);
    assert_eq!(inputs.map(|(_, edge)| edge.input).collect::<Vec<_>>(), [0, 0, 0, 1]);
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
        (
            "oscon",
            ("checkpoint", "often"),
            r#"parameter "checkpoint": cannot read "often": expected a span such as "100ms", "1s", "60m" or "2h", found "often", "manual" or "off""#,
        ),
        (
            "ledger",
            ("sink", "twophase"),
            r#"parameter "sink": cannot read "twophase": expected "idempotent", "two_phase" or "naive", found "twophase""#,
        ),
        ("oscon-log", ("partitions", "0"), r#"parameter "partitions": a topic has a partition"#),
        ("flights", ("out", "x"), r#"parameter "input": the job needs it"#),
    ];
    for (job, setting, words) in refused {
        assert_eq!(plan(job, &[setting]), Err(words.to_owned()));
    }
    let clock = plan("oscon", &[("time", "evnet")]).expect_err("no clock");
    assert!(clock.contains(r#"expected "event" or "processing", found "evnet""#), "{clock}");
}

#[test]
fn checkpoints_restarts_and_the_kind_of_sink_are_settings() {
    let plain = plan("oscon", &[]).expect("a plan");
    assert_eq!((&plain.checkpoints, plain.restart), (&None, Restart::fixed(1_000, secs(1))));
    let settings = [
        ("checkpoint", "1s"),
        ("storage", "memory://"),
        ("sink", "two_phase"),
        ("restarts", "3"),
        ("restart_delay", "10ms"),
        ("latency", "50ms"),
    ];
    for job in ["oscon", "ledger", "oscon-log"] {
        let graph = plan(job, &settings).expect("a plan");
        let checkpoints = graph.checkpoints.as_ref().expect("asked for");
        assert_eq!((checkpoints.interval, checkpoints.is_inline()), (Some(secs(1)), true));
        assert_eq!(graph.restart, Restart::fixed(3, ms(10)));
        assert_eq!((graph.has_two_phase_sink(), graph.latency_every), (true, Some(ms(50))));
    }
    assert!(!plan("ledger", &[("sink", "naive")]).expect("a plan").has_two_phase_sink());
    let never = plan("oscon", &[("sink", "two_phase")]).expect_err("nothing would be seen");
    assert!(never.contains("commits when a checkpoint completes"), "{never}");
    assert_eq!(plan("oscon", &[("restarts", "0")]).expect("a plan").restart, Restart::None);
}
