//! Whatever breaks between a task manager and its job manager, in whatever direction and for however
//! long, no task starts before the last one of the attempt before it has ended. Never by luck: the
//! lease is tried on a link that a proxy breaks one way at a time. The decisions alone are tried in
//! `slackwater-control`; what a job writes under faults is a scenario.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use slackwater::prelude::*;
use slackwater_core::fact::{Detail, Down, Fact, JobStatus, TaskStatus};
use slackwater_core::id::{Attempt, Execution};
use slackwater_runtime::host::{Conn, Host};
use slackwater_runtime::taskmanager;
use slackwater_sim::fault::Fault;
use slackwater_sim::journal::NodeIndex;
use slackwater_sim::world::cluster::{Cluster, submit};
use slackwater_sim::world::{Main, Run, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

const PORT: u16 = 6123;

/// When a link stops carrying what is sent up to the job manager, and down from it.
#[derive(Copy, Clone, Debug)]
struct Broken {
    up: Duration,
    down: Duration,
}

/// Carries one direction of a connection; from `breaks` on it takes everything and delivers nothing.
async fn carry(
    host: Arc<dyn Host>,
    mut from: ReadHalf<Conn>,
    mut to: WriteHalf<Conn>,
    breaks: Duration,
) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if host.elapsed() < breaks && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    if host.elapsed() < breaks {
        // The end of a connection is seen at once, if it can be seen at all.
        drop(to.shutdown().await);
    } else {
        host.sleep(secs(3_600)).await;
    }
}

/// A link to the job manager whose first connection breaks; later ones are whole.
fn proxy(broken: Broken) -> Main {
    Arc::new(move |host| {
        Box::pin(async move {
            let mut port = host.listen(PORT).await.expect("the port is free");
            let mut broken = Some(broken);
            while let Ok((below, _)) = port.accept().await {
                let Ok(above) = host.connect("jm:6123", secs(2)).await else { continue };
                let never = Broken { up: Duration::MAX, down: Duration::MAX };
                let Broken { up, down } = broken.take().unwrap_or(never);
                let (from_below, to_below) = tokio::io::split(below);
                let (from_above, to_above) = tokio::io::split(above);
                let carried = carry(Arc::clone(&host), from_below, to_above, up);
                host.spawn("up", Box::pin(carried));
                let carried = carry(Arc::clone(&host), from_above, to_below, down);
                host.spawn("down", Box::pin(carried));
            }
        })
    })
}

/// The demo on `tm-1`, whose link breaks; `tm-2` has room and a link of its own.
fn world(seed: u64, broken: Broken) -> World {
    let mut cluster = Cluster::new(Arc::new(slackwater_jobs::catalog()));
    let direct = cluster.task_manager.clone();
    cluster.task_manager.job_manager = format!("proxy:{PORT}");
    let programs = Arc::clone(&cluster.programs);
    let spare: Main = Arc::new(move |host| {
        let running = taskmanager::run(host, direct.clone(), Arc::clone(&programs));
        Box::pin(async move { drop(running.await) })
    });
    cluster
        .on(World::new(seed).shuffle(0.1).detail(Detail::Control))
        .node("proxy", proxy(broken))
        .node("tm-2", spare)
        .at(secs(2), submit("demo", Program::named("oscon")))
        .limit(secs(40))
}

/// How often the job started anew. Every attempt began with none of an earlier one alive.
fn restarts_one_after_the_other(run: &Run) -> u64 {
    let mut alive = BTreeMap::<Execution, NodeIndex>::new();
    let mut newest = Attempt(0);
    for entry in run.journal.entries() {
        match &entry.fact {
            Fact::TaskStatusChanged { task, to: TaskStatus::Deploying, .. } => {
                let zombie = alive.keys().find(|other| other.attempt < task.attempt);
                let line = run.journal.line(entry);
                assert!(zombie.is_none(), "{line} beside {zombie:?}");
                newest = newest.max(task.attempt);
                alive.insert(*task, entry.node);
            }
            Fact::TaskStatusChanged { task, to, .. } if *to != TaskStatus::Running => {
                alive.remove(task);
            }
            Fact::NodeDown { node, how } if *how != Down::Pause => {
                alive.retain(|_, on| run.journal.name(*on) != node);
            }
            _ => {}
        }
    }
    assert!(!alive.is_empty(), "the job runs again at the end");
    u64::from(newest.0) - 1
}

#[test]
fn a_link_that_breaks_one_way_or_both_never_lets_two_attempts_live_at_once() {
    let never = Duration::MAX;
    let table = [
        (Broken { up: secs(10), down: secs(10) }, 1),
        (Broken { up: secs(10), down: never }, 1),
        (Broken { up: never, down: secs(10) }, 1),
        // The job manager is heard until just before it gives up: heard is not the same as reached.
        (Broken { up: secs(10), down: ms(13_900) }, 1),
        (Broken { up: ms(13_900), down: secs(10) }, 1),
        (Broken { up: never, down: never }, 0),
    ];
    for (broken, restarts) in table {
        for seed in 0..3 {
            let run = world(seed, broken).run();
            assert_eq!(restarts_one_after_the_other(&run), restarts, "{broken:?}, seed {seed}");
        }
    }
}

#[test]
fn a_killed_or_dark_task_manager_is_replaced_by_the_spare() {
    let never = Broken { up: Duration::MAX, down: Duration::MAX };
    // Seen at once, or after the heartbeat's timeout, the fence and the restart delay.
    let table = [
        (Fault::Kill { node: "tm-1".into() }, secs(12)),
        (Fault::PowerLoss { node: "tm-1".into() }, secs(17)),
    ];
    for (fault, by) in table {
        let run = world(5, never).at(secs(10), fault.clone()).run();
        assert_eq!(restarts_one_after_the_other(&run), 1, "{fault:?}");
        let runs = |fact: &Fact| {
            matches!(
                fact,
                Fact::JobStatusChanged { attempt: Attempt(2), to: JobStatus::Running, .. }
            )
        };
        let again = run.journal.entries().iter().find(|entry| runs(&entry.fact));
        let again = again.expect("it runs again").time;
        assert!((secs(11)..by).contains(&again), "{fault:?}: {again:?}");
    }
}

#[test]
fn a_job_manager_that_was_stopped_for_long_takes_up_its_jobs_again() {
    let never = Broken { up: Duration::MAX, down: Duration::MAX };
    let run = world(6, never)
        .at(secs(10), Fault::Pause { node: "jm".into() })
        .at(secs(20), Fault::Resume { node: "jm".into() })
        .run();
    assert_eq!(restarts_one_after_the_other(&run), 1);
    let lost =
        run.journal.entries().iter().filter(|entry| entry.fact.probe() == "job_manager.lost");
    assert_eq!(lost.count(), 2, "both task managers stopped by themselves");
}

#[test]
fn a_job_manager_that_forgot_everything_runs_a_job_that_is_submitted_again() {
    let never = Broken { up: Duration::MAX, down: Duration::MAX };
    // The same id, term and attempt as before: the workers decline it once, and say so.
    let run = world(7, never)
        .at(secs(10), Fault::Kill { node: "jm".into() })
        .at(secs(12), Fault::Start { node: "jm".into() })
        .at(secs(14), submit("demo", Program::named("oscon")))
        .run();
    assert_eq!(restarts_one_after_the_other(&run), 1);
}
