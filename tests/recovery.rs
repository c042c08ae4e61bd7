//! A task manager or the leading job manager is lost: the job goes on from its newest checkpoint, and
//! whatever the dead still say changes nothing. Never a look into a process: facts alone.
//! What is written outside meanwhile is judged by scenarios; who leads, by `leadership`.

use std::sync::Arc;
use std::time::Duration;

use slackwater::prelude::*;
use slackwater_core::fact::{Detail, Fact, JobStatus};
use slackwater_core::id::{Attempt, CheckpointId};
use slackwater_dataflow::task::{Plan, PlanError, Programs};
use slackwater_runtime::store::{Store, jobs, layout};
use slackwater_sim::fault::Fault;
use slackwater_sim::world::cluster::{Cluster, STORE, cancel, submit};
use slackwater_sim::world::{Main, Run, World};

/// The demo jobs, each with a checkpoint every second.
struct EverySecond(Catalog);

impl Programs for EverySecond {
    fn plan(&self, program: &Program) -> Result<Plan, PlanError> {
        let mut plan = self.0.plan(program)?;
        let storage = "file:///checkpoints".to_owned();
        plan.graph.checkpoints =
            Some(CheckpointConfig { storage, ..CheckpointConfig::every(secs(1)) });
        Ok(plan)
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }
}

fn cluster(task_managers: u32) -> Cluster {
    let programs = Arc::new(EverySecond(slackwater_jobs::catalog()));
    Cluster::new(programs).task_managers(task_managers, 1)
}

fn world(cluster: Cluster, seed: u64) -> World {
    cluster
        .on(World::new(seed).shuffle(0.1).detail(Detail::Control))
        .at(secs(2), submit("demo", Program::named("oscon")))
        .limit(secs(30))
}

/// When each fact was told that `pick` picks, and what it picked of it.
fn told<T>(run: &Run, pick: impl Fn(&Fact) -> Option<T>) -> Vec<(Duration, T)> {
    let entries = run.journal.entries().iter();
    entries.filter_map(|entry| Some((entry.time, pick(&entry.fact)?))).collect()
}

fn completed(run: &Run) -> Vec<(Duration, CheckpointId)> {
    told(run, |fact| match fact {
        Fact::CheckpointCompleted { checkpoint, .. } => Some(*checkpoint),
        _ => None,
    })
}

fn restored(run: &Run) -> Vec<(Duration, (Attempt, CheckpointId))> {
    told(run, |fact| match fact {
        Fact::JobRestored { attempt, checkpoint, .. } => Some((*attempt, *checkpoint)),
        _ => None,
    })
}

fn running(run: &Run) -> Vec<(Duration, Attempt)> {
    told(run, |fact| match fact {
        Fact::JobStatusChanged { attempt, to: JobStatus::Running, .. } => Some(*attempt),
        _ => None,
    })
}

fn durable(job_managers: u32, task_managers: u32) -> Cluster {
    cluster(task_managers).job_managers(job_managers)
}

/// Asserts that checkpoint ids only grow, whoever leads, and that no attempt begins with an older
/// checkpoint than the newest that anybody was told of.
fn never_back(run: &Run) {
    let (mut triggered, mut newest) = (CheckpointId(0), CheckpointId(0));
    for entry in run.journal.entries() {
        match &entry.fact {
            Fact::CheckpointTriggered { checkpoint, .. } => {
                assert!(*checkpoint > triggered, "{}", run.journal.line(entry));
                triggered = *checkpoint;
            }
            Fact::CheckpointCompleted { checkpoint, .. } => newest = *checkpoint,
            Fact::JobRestored { checkpoint, .. } => {
                assert!(*checkpoint >= newest, "{}", run.journal.line(entry));
            }
            _ => {}
        }
    }
}

#[test]
fn checkpoints_leave_a_healthy_job_alone() {
    let run = world(cluster(1), 1).run();
    assert_eq!(running(&run).len(), 1);
    assert!(completed(&run).len() >= 24, "{}", run.journal.text());
    never_back(&run);
}

#[test]
fn a_job_whose_task_manager_is_killed_goes_on_from_its_newest_checkpoint() {
    for seed in 0..5 {
        let kill = |node: &str| Fault::Kill { node: node.to_owned() };
        let start = |node: &str| Fault::Start { node: node.to_owned() };
        let run =
            world(cluster(1), seed).at(secs(10), kill("tm-1")).at(secs(12), start("tm-1")).run();
        never_back(&run);
        assert_eq!(running(&run).len(), 2, "seed {seed}");
        let newest = completed(&run).into_iter().rfind(|(at, _)| *at < secs(10));
        let newest = newest.expect("one a second").1;
        assert!(newest >= CheckpointId(6), "seed {seed}: {newest}");
        let restored: Vec<_> = restored(&run).into_iter().map(|(_, what)| what).collect();
        assert_eq!(restored, [(Attempt(2), newest)], "seed {seed}");
        assert!(completed(&run).last().expect("some").0 > secs(28), "they go on");
    }
}

/// The leader of the first term, and the other of two: equal worlds choose the same.
fn leader_and_standby(seed: u64) -> (String, String) {
    let run = world(durable(2, 1), seed).limit(secs(5)).run();
    let leads = |fact: &Fact| matches!(fact, Fact::LeaderElected { .. });
    let elected = run.journal.entries().iter().find(|entry| leads(&entry.fact));
    let leader = run.journal.name(elected.expect("one leads").node).to_owned();
    let standby = if leader == "jm" { "jm-2" } else { "jm" };
    (leader, standby.to_owned())
}

#[test]
fn a_standby_takes_up_the_jobs_of_a_leader_that_is_gone_from_their_newest_checkpoint() {
    let faults: [fn(String) -> Fault; 3] = [
        |node| Fault::Kill { node },
        |node| Fault::PowerLoss { node },
        |node| Fault::Pause { node },
    ];
    for (seed, fault) in (0..).zip(faults) {
        let (leader, _) = leader_and_standby(seed);
        let fault = fault(leader);
        let run = world(durable(2, 1), seed).at(ms(10_500), fault.clone()).run();
        never_back(&run);
        assert_eq!(running(&run).len(), 2, "{fault:?}: {}", run.journal.text());
        let resumed = told(&run, |fact| matches!(fact, Fact::JobResumed { .. }).then_some(()));
        assert_eq!((resumed.len(), restored(&run).len()), (1, 1), "{fault:?}");
        let (at, (attempt, _)) = restored(&run)[0];
        assert_eq!(attempt, Attempt(2), "{fault:?}");
        // The lease, and what it takes a task manager to come over or to give up.
        assert!((secs(14)..secs(27)).contains(&at), "{fault:?}: {at:?}");
        assert!(completed(&run).last().expect("some").0 > secs(28), "{fault:?}: they go on");
    }
}

#[test]
fn a_leader_that_was_stopped_changes_nothing_when_it_wakes_up() {
    for seed in 0..4 {
        let (leader, _) = leader_and_standby(seed);
        // Stopped within a second in which it also completes a checkpoint.
        let stopped = ms(10_000 + 61 * seed);
        let run = world(durable(2, 1), seed)
            .at(stopped, Fault::Pause { node: leader.clone() })
            .at(secs(24), Fault::Resume { node: leader.clone() })
            .run();
        never_back(&run);
        let lost = told(&run, |fact| matches!(fact, Fact::LeaderLost { .. }).then_some(()));
        assert_eq!(lost.len(), 1, "seed {seed}");
        assert_eq!(running(&run).len(), 2, "seed {seed}: {}", run.journal.text());
        // All that the old leader says once it is awake is that it leads no longer.
        let of_jobs = run.journal.entries().iter().filter(|entry| {
            let acts = matches!(
                entry.fact,
                Fact::CheckpointTriggered { .. }
                    | Fact::CheckpointCompleted { .. }
                    | Fact::JobStatusChanged { .. }
            );
            acts && entry.time > stopped && run.journal.name(entry.node) == leader
        });
        assert_eq!(of_jobs.count(), 0, "seed {seed}");
    }
}

#[test]
fn a_job_manager_alone_takes_up_its_jobs_when_it_starts_again() {
    for seed in 0..3 {
        let run = world(durable(1, 2), seed)
            .at(secs(10), Fault::Kill { node: "jm".into() })
            .at(secs(11), Fault::Start { node: "jm".into() })
            .run();
        never_back(&run);
        assert_eq!(running(&run).len(), 2, "seed {seed}: {}", run.journal.text());
        assert_eq!(restored(&run).len(), 1, "seed {seed}");
    }
}

#[test]
fn a_submission_that_reaches_two_leaders_is_one_job() {
    let (leader, _) = leader_and_standby(3);
    let again = || submit("demo", Program::named("oscon"));
    let run = world(durable(2, 1), 3)
        .at(secs(8), Fault::Kill { node: leader })
        .at(secs(9), again())
        .at(secs(20), again())
        .run();
    never_back(&run);
    let accepted = told(&run, |fact| matches!(fact, Fact::JobSubmitted { .. }).then_some(()));
    assert_eq!((accepted.len(), running(&run).len()), (1, 2), "{}", run.journal.text());
}

#[test]
fn a_cancelled_job_leaves_no_checkpoint_and_stays_cancelled_under_the_next_leader() {
    let (leader, _) = leader_and_standby(4);
    let run = world(durable(2, 1), 4)
        .at(secs(10), cancel("demo"))
        .at(secs(12), Fault::Kill { node: leader })
        .at(secs(20), cancel("demo"))
        .run();
    let ended = told(&run, |fact| match fact {
        Fact::JobStatusChanged { to, .. } if to.is_final() => Some(*to),
        _ => None,
    });
    // A leader that finds the end in the log states it once more.
    let stays = !ended.is_empty() && ended.iter().all(|(_, to)| *to == JobStatus::Canceled);
    assert!(stays, "{ended:?}: {}", run.journal.text());
    assert_eq!(running(&run).len(), 1);
    let refused = told(&run, |fact| matches!(fact, Fact::JobRefused { .. }).then_some(()));
    assert_eq!(refused.len(), 0, "a command that is repeated is no mistake");
    let mut files = std::collections::BTreeSet::new();
    for entry in run.journal.entries() {
        match &entry.fact {
            Fact::StorePut { path, .. } if path.contains("/chk-") => drop(files.insert(path)),
            Fact::StoreDeleted { path, .. } => drop(files.remove(path)),
            _ => {}
        }
    }
    assert!(files.is_empty(), "{files:?}");
}

#[test]
fn a_cancel_that_was_confirmed_holds_under_the_next_leader() {
    let mut interrupted = 0;
    for seed in 0..12 {
        let (leader, _) = leader_and_standby(seed);
        // The client has its answer, or has not; the leader dies in the middle of the cancellation.
        let run = world(durable(2, 1), seed)
            .at(secs(10), cancel("demo"))
            .at(ms(10_000 + 20 * seed), Fault::Kill { node: leader.clone() })
            .run();
        let ended = told(&run, |fact| match fact {
            Fact::JobStatusChanged { to, .. } if to.is_final() => Some(*to),
            _ => None,
        });
        let stays = !ended.is_empty() && ended.iter().all(|(_, to)| *to == JobStatus::Canceled);
        assert!(stays, "seed {seed}: {ended:?}: {}", run.journal.text());
        let cancelling = told(&run, |fact| match fact {
            Fact::JobStatusChanged { to: JobStatus::Cancelling, .. } => Some(()),
            _ => None,
        });
        let resumed = told(&run, |fact| matches!(fact, Fact::JobResumed { .. }).then_some(()));
        interrupted += usize::from(cancelling.len() == 1 && resumed.len() == 1);
    }
    assert!(interrupted > 0, "no leader died between the request and the end");
}

/// Writes what nobody can read where the leader will write next into the log of the only job.
fn vandal() -> Main {
    Arc::new(|host| {
        Box::pin(async move {
            host.sleep(secs(10)).await;
            let store = Store::open(Arc::clone(&host), STORE).expect("the store opens");
            let job = jobs(&store).await.expect("the store answers")[0];
            let entries = store.list(&layout::log_folder(job)).await.expect("the store answers");
            let next = layout::log_entry(job, entries.len() as u64 + 1);
            let torn = b"half of an ent".to_vec();
            store.put(&next, vec![torn.into()]).await.expect("the store takes it");
        })
    })
}

#[test]
fn a_leader_that_finds_the_next_place_of_its_log_damaged_steps_down_and_another_goes_on() {
    for seed in 0..5 {
        let run = world(durable(2, 1), seed).node("vandal", vandal()).run();
        let causes = told(&run, |fact| match fact {
            Fact::LeaderLost { cause, .. } => Some(cause.clone()),
            _ => None,
        });
        let [(lost, cause)] = &causes[..] else { panic!("{causes:?}") };
        assert!(cause.contains("/log/0000") && cause.contains("is truncated"), "{cause}");
        let elected = told(&run, |fact| match fact {
            Fact::LeaderElected { epoch } => Some(*epoch),
            _ => None,
        });
        assert!(elected.len() == 2 && elected[1].0 > *lost, "{elected:?}");
        // What it was about to write was told to nobody: the checkpoint before it is the newest.
        never_back(&run);
        assert_eq!(restored(&run).len(), 1, "{:?}", restored(&run));
        assert_eq!(running(&run).len(), 2, "{:?}", running(&run));
    }
}
