//! The promise that what befalls a cluster is noticed by those whom it concerns, and told.
//! Faults only, and what the nodes say of them: whether the output is still right is judged by the
//! scenarios, and whether a run repeats itself by `tests/determinism.rs`.

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::{Fact, TaskStatus};
use slackwater_core::program::Program;
use slackwater_core::time::ms;
use slackwater_sim::fault::Fault;
use slackwater_sim::world::cluster::{Cluster, submit};
use slackwater_sim::world::{End, Run, Stop, World};

fn cluster() -> World {
    Cluster::new(Arc::new(slackwater_jobs::catalog())).on(World::new(1))
}

/// The places in the journal at which a node says what is looked for.
fn said(run: &Run, node: &str, what: fn(&Fact) -> bool) -> Vec<usize> {
    let entries = run.journal.entries().iter().enumerate();
    let hits = entries.filter(|(_, e)| run.journal.name(e.node) == node && what(&e.fact));
    hits.map(|(place, _)| place).collect()
}

#[test]
fn a_job_that_cannot_be_planned_is_refused_with_the_reason() {
    let program = Program::named("oscon").set("wave", "many");
    let run = cluster().at(ms(1_000), submit("demo", program)).until_jobs_are_final(1).run();
    assert_eq!(run.end, End::Stopped(Stop::JobsFinal));
    let refusals = run.journal.entries().iter().filter_map(|entry| match &entry.fact {
        Fact::JobRefused { cause, .. } => Some(cause.as_str()),
        _ => None,
    });
    let refusals: Vec<_> = refusals.collect();
    assert!(matches!(refusals[..], [cause] if cause.contains("wave")), "{refusals:?}");
}

#[test]
fn task_managers_stop_the_tasks_of_a_lost_job_manager_and_find_the_next() {
    let node = || "jm".to_owned();
    let run = cluster()
        .at(ms(1_000), submit("demo", Program::named("oscon")))
        .at(ms(5_000), Fault::Kill { node: node() })
        .at(ms(8_000), Fault::Start { node: node() })
        .limit(Duration::from_secs(20))
        .run();
    let started = said(&run, "jm", |fact| matches!(fact, Fact::NodeStarted { .. }));
    let opened = said(&run, "jm", |fact| matches!(fact, Fact::JobManagerStarted { .. }));
    let lost = said(&run, "tm-1", |fact| matches!(fact, Fact::JobManagerLost { .. }));
    let ended = said(&run, "tm-1", |fact| {
        matches!(fact, Fact::TaskStatusChanged { to: TaskStatus::Canceled, .. })
    });
    let found = said(&run, "jm", |fact| matches!(fact, Fact::TaskManagerRegistered { .. }));
    assert_eq!((started.len(), opened.len(), lost.len(), found.len()), (2, 2, 1, 2));
    assert!(!ended.is_empty(), "there were tasks");
    assert!(ended.iter().all(|end| lost[0] < *end && *end < found[1]), "stopped, then found");
}
