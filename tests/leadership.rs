//! Of several job managers over one store one leads, whatever becomes of it, and never two of them
//! act in one term. Nothing here looks at the output of jobs: that is what scenarios are for.
//! What a job loses by a change of leader is in `failover`; the lease alone is tried in the runtime.

use std::sync::Arc;
use std::time::Duration;

use slackwater::prelude::*;
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::JobEpoch;
use slackwater_sim::fault::{Fault, StoreFault};
use slackwater_sim::world::cluster::Cluster;
use slackwater_sim::world::{Clocks, Run, World};

fn world(seed: u64, job_managers: u32) -> World {
    Cluster::new(Arc::new(slackwater_jobs::catalog()))
        .job_managers(job_managers)
        .on(World::new(seed).shuffle(0.1).detail(Detail::Flow))
        .limit(secs(40))
}

/// Who led, from when: `node@epoch`, in order, with the seconds.
fn terms(run: &Run) -> Vec<(String, Duration)> {
    let entries = run.journal.entries().iter();
    let elected = entries.filter_map(|entry| match &entry.fact {
        Fact::LeaderElected { epoch } => {
            Some((format!("{}@{epoch}", run.journal.name(entry.node)), entry.time))
        }
        _ => None,
    });
    elected.collect()
}

/// Asserts that each leader's last sign of life came before the next was elected.
fn one_at_a_time(run: &Run) {
    let mut newest = JobEpoch(0);
    for entry in run.journal.entries() {
        match &entry.fact {
            Fact::LeaderElected { epoch } => {
                assert!(*epoch > newest, "{}", run.journal.line(entry));
                newest = *epoch;
            }
            Fact::LeaderRenewed { epoch } | Fact::JobManagerStarted { epoch } => {
                assert_eq!(*epoch, newest, "{}", run.journal.line(entry));
            }
            _ => {}
        }
    }
}

fn names(run: &Run) -> Vec<String> {
    terms(run).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn one_of_three_job_managers_leads_and_keeps_its_lease() {
    for seed in 0..5 {
        let run = world(seed, 3).run();
        assert_eq!(terms(&run).len(), 1, "{:?}", terms(&run));
        one_at_a_time(&run);
        let told = |probe| run.journal.entries().iter().filter(|e| e.fact.probe() == probe).count();
        assert_eq!((told("leader.standby"), told("leader.lost")), (2, 0));
        assert!(told("leader.renewed") > 20);
    }
}

/// The leader of the first term, and the other of two: equal worlds choose the same.
fn leader_and_standby(seed: u64) -> (String, String) {
    let calm = names(&world(seed, 2).limit(secs(5)).run());
    match calm[..] {
        [ref jm] if jm == "jm@1" => ("jm".into(), "jm-2".into()),
        _ => ("jm-2".into(), "jm".into()),
    }
}

#[test]
fn a_standby_takes_over_from_a_leader_that_is_killed_dark_or_stopped() {
    let faults: [fn(String) -> Fault; 3] = [
        |node| Fault::Kill { node },
        |node| Fault::PowerLoss { node },
        |node| Fault::Pause { node },
    ];
    for (seed, fault) in (0..).zip(faults) {
        let (leader, standby) = leader_and_standby(seed);
        let fault = fault(leader.clone());
        let run = world(seed, 2).at(secs(10), fault.clone()).run();
        assert_eq!(names(&run), [format!("{leader}@1"), format!("{standby}@2")], "{fault:?}");
        // The timeout, the drift, and a look in between.
        let at = terms(&run)[1].1;
        assert!((secs(13)..secs(18)).contains(&at), "{fault:?}: {at:?}");
        one_at_a_time(&run);
    }
}

#[test]
fn a_leader_that_was_stopped_wakes_up_deposed_and_stands_by() {
    for seed in 0..3 {
        let (leader, standby) = leader_and_standby(seed);
        let run = world(seed, 2)
            .at(secs(10), Fault::Pause { node: leader.clone() })
            .at(secs(25), Fault::Resume { node: leader.clone() })
            .run();
        assert_eq!(names(&run), [format!("{leader}@1"), format!("{standby}@2")]);
        let lost = run.journal.entries().iter().find(|e| e.fact.probe() == "leader.lost");
        let lost = lost.expect("it noticed");
        assert_eq!((run.journal.name(lost.node), lost.time.as_secs()), (leader.as_str(), 25));
        one_at_a_time(&run);
    }
}

#[test]
fn a_leader_whose_store_refuses_it_gives_up_before_another_takes_over() {
    for seed in 0..3 {
        let (leader, standby) = leader_and_standby(seed);
        let refuse = StoreFault::Refuse { node: Some(leader.clone()) };
        let run = world(seed, 2)
            .clocks(standby.clone(), Clocks { drift_ppm: 5_000, ..Clocks::default() })
            .at(secs(10), Fault::Store(refuse))
            .at(secs(25), Fault::Store(StoreFault::Heal))
            .run();
        assert_eq!(names(&run), [format!("{leader}@1"), format!("{standby}@2")]);
        let time = |probe, nth| {
            let mut told = run.journal.entries().iter().filter(|e| e.fact.probe() == probe);
            told.nth(nth).expect(probe).time
        };
        assert!(time("leader.lost", 0) < time("leader.elected", 1), "seed {seed}");
        one_at_a_time(&run);
    }
}

#[test]
fn a_job_manager_that_starts_again_waits_for_its_own_old_lease() {
    let run = world(1, 1)
        .at(secs(10), Fault::Kill { node: "jm".into() })
        .at(secs(11), Fault::Start { node: "jm".into() })
        .run();
    assert_eq!(names(&run), ["jm@1", "jm@2"]);
    assert!(terms(&run)[1].1 > secs(15), "{:?}", terms(&run));
}
