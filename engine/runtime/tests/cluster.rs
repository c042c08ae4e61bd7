//! A job manager, task managers and a client on loopback: submit, finish, cancel, lose, refuse.
//! Never sleeps: every wait is for a fact or for an answer. Workers alone are tried in `workers.rs`;
//! the decisions, in `slackwater-control`.

#[expect(dead_code, reason = "`workers.rs` shuts and opens its sink; no test here does")]
mod small;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use slackwater_core::fact::{Detail, Fact, JobStatus};
use slackwater_core::graph::Restart;
use slackwater_core::id::{Attempt, JobEpoch, JobId};
use slackwater_core::program::Program;
use slackwater_dataflow::stream::{Catalog, Env};
use slackwater_dataflow::task::Programs;
use slackwater_dataflow::watermark::Watermarks;
use slackwater_runtime::client::{Client, ClientError, new_job_id};
use slackwater_runtime::host::real::{RealHost, run};
use slackwater_runtime::host::{Host, TaskHandle};
use slackwater_runtime::jobmanager::{JobManager, JobManagerConfig};
use slackwater_runtime::local::LocalCluster;
use slackwater_runtime::taskmanager::{self, TaskManagerConfig};
use slackwater_runtime::wire::handshake::{Handshake, PROTOCOL};
use slackwater_runtime::wire::message::Refused;

use small::{Collect, Count};

const ROWS: u64 = 20_000;

fn build(env: &Env, is_bounded: bool, sink: &Collect) {
    env.restart(Restart::FixedDelay { attempts: 3, delay: Duration::from_millis(10) });
    let rows = Count { to: ROWS, is_bounded };
    let spread = env.source("count", rows, Watermarks::ascending()).rebalance();
    let kept = spread.map(|n: u64| n).parallelism(2).rebalance();
    let _ = kept.map(|n: u64| n).parallelism(1).sink("collect", sink.clone());
}

/// Knows a bounded program, an endless one, and one that takes a parameter.
fn catalog(sink: &Collect) -> Arc<dyn Programs> {
    let (ends, goes_on) = (sink.clone(), sink.clone());
    let catalog = Catalog::new()
        .job("bounded", "v1", move |env, settings| {
            settings.take("speed", 1u32)?;
            build(env, true, &ends);
            Ok(())
        })
        .job("endless", "v1", move |env, _| {
            build(env, false, &goes_on);
            Ok(())
        });
    Arc::new(catalog)
}

struct Town {
    host: Arc<dyn Host>,
    address: String,
    facts: Arc<Mutex<Vec<Fact>>>,
    programs: Arc<dyn Programs>,
    collected: Collect,
}

impl Town {
    async fn start(host: &Arc<dyn Host>, facts: Arc<Mutex<Vec<Fact>>>) -> Self {
        let collected = Collect::default();
        let programs = catalog(&collected);
        let config = JobManagerConfig { port: 0, ..JobManagerConfig::default() };
        let bound = JobManager::bind(Arc::clone(host), config, Arc::clone(&programs));
        let bound = bound.await.expect("a free port");
        let address = format!("jm:{}", bound.port());
        let serving = async move { drop(bound.serve().await) };
        host.spawn("jm", Box::pin(serving));
        Self { host: Arc::clone(host), address, facts, programs, collected }
    }

    fn add_task_manager(&self, slots: u32, workers: u32, handshake: Handshake) -> TaskHandle {
        let job_manager = self.address.clone();
        let config =
            TaskManagerConfig { job_manager, slots, workers, handshake, ..Default::default() };
        let running = taskmanager::run(Arc::clone(&self.host), config, Arc::clone(&self.programs));
        self.host.spawn("tm", Box::pin(async move { drop(running.await) }))
    }

    async fn client(&self) -> Client {
        let client = Client::connect(&*self.host, &self.address, Handshake::default());
        client.await.expect("a job manager")
    }

    /// Waits for a fact, looking again whenever the test's thread comes by.
    async fn hears(&self, wanted: impl Fn(&Fact) -> bool) {
        while !self.facts.lock().expect("whole").iter().any(&wanted) {
            tokio::task::yield_now().await;
        }
    }

    async fn goes(&self, of: Attempt, into: JobStatus) {
        let goes = |fact: &Fact| matches!(fact, Fact::JobStatusChanged { attempt, to, .. } if (*attempt, *to) == (of, into));
        self.hears(goes).await;
    }

    fn told(&self, probe: &str) -> usize {
        self.facts.lock().expect("whole").iter().filter(|fact| fact.probe() == probe).count()
    }
}

fn in_town(test: impl AsyncFnOnce(Town)) {
    let facts = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&facts);
    let telling = Arc::new(move |fact| heard.lock().expect("whole").push(fact));
    let host = RealHost::named("tm-1")
        .expect("randomness")
        .with_neighbours(["jm", "tm", "tm-1", "tm-2"])
        .telling(Detail::Control, telling);
    let ran = run(host, |host| async move { test(Town::start(&host, facts).await).await });
    ran.expect("a runtime");
}

#[test]
fn a_bounded_job_waits_for_slots_runs_on_two_workers_and_finishes() {
    in_town(async |town| {
        let mut client = town.client().await;
        let id = new_job_id(&town.host);
        let submitted = client.submit(&*town.host, id, Program::named("bounded")).await;
        assert_eq!(submitted, Ok(id));
        assert_eq!(client.jobs(&*town.host).await.expect("jobs")[0].status, JobStatus::Scheduling);
        town.add_task_manager(2, 2, Handshake::default());
        let line = client.wait(&*town.host, id).await.expect("an end");
        assert_eq!((line.status, line.attempt), (JobStatus::Finished, Attempt(1)), "{line:?}");
        assert!(town.collected.sorted() == (0..ROWS).collect::<Vec<_>>(), "every record once");
        let free = client.task_managers(&*town.host).await.expect("an overview")[0].free;
        assert_eq!((free, town.told("slot.allocated"), town.told("slot.freed")), (2, 2, 2));
    });
}

#[test]
fn a_lost_task_manager_costs_one_restart_and_nobody_has_to_type_anything() {
    in_town(async |town| {
        let first = town.add_task_manager(2, 1, Handshake::default());
        let mut client = town.client().await;
        let id = new_job_id(&town.host);
        let endless = Program::named("endless");
        client.submit(&*town.host, id, endless).await.expect("accepted");
        town.goes(Attempt(1), JobStatus::Running).await;
        first.abort();
        town.goes(Attempt(1), JobStatus::Restarting).await;
        assert_eq!(town.told("task_manager.lost"), 1);
        town.add_task_manager(2, 1, Handshake::default());
        town.goes(Attempt(2), JobStatus::Running).await;
        let cancelled = client.cancel(&*town.host, &id.to_string()[..6]).await;
        assert_eq!(cancelled, Ok(id));
        let line = client.wait(&*town.host, id).await.expect("an end");
        assert_eq!(line.status, JobStatus::Canceled);
    });
}

#[test]
fn a_submission_that_is_sent_twice_is_one_job() {
    in_town(async |town| {
        let mut client = town.client().await;
        for _ in 0..2 {
            let again = client.submit(&*town.host, JobId(7), Program::named("bounded")).await;
            assert_eq!(again, Ok(JobId(7)));
        }
        assert_eq!(client.jobs(&*town.host).await.expect("jobs").len(), 1);
        let other = client.submit(&*town.host, JobId(7), Program::named("endless")).await;
        assert!(matches!(other, Err(ClientError::Refused(Refused::BadJob(_)))), "{other:?}");
    });
}

#[test]
fn what_cannot_be_done_is_refused_in_words() {
    in_town(async |town| {
        let mut client = town.client().await;
        let mut submit = async |program: Program| {
            let refused = client.submit(&*town.host, JobId(1), program).await;
            refused.expect_err("a bad program").to_string()
        };
        let unknown = submit(Program::named("bonded")).await;
        assert_eq!(unknown, "unknown program \"bonded\": known are bounded, endless");
        let bad = submit(Program::named("bounded").set("speed", "fast")).await;
        assert!(bad.contains("\"speed\""), "{bad}");
        let misspelt = submit(Program::named("bounded").set("sped", 1)).await;
        assert!(misspelt.contains("speed"), "{misspelt}");
        let nobody = client.cancel(&*town.host, "ab").await.expect_err("no job").to_string();
        assert_eq!(nobody, "no job has an id that begins with \"ab\"");
    });
}

#[test]
fn a_node_of_another_version_is_refused_and_says_so() {
    in_town(async |town| {
        let newer = Handshake { protocol: PROTOCOL + 1, ..Handshake::default() };
        let refused =
            Client::connect(&*town.host, &town.address, newer).await.expect_err("refused");
        assert!(matches!(refused, ClientError::OtherVersion(_)), "{refused}");
        town.add_task_manager(1, 1, newer);
        // Told by both sides, for the client and for the task manager.
        while town.told("handshake.refused") < 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(town.told("task_manager.registered"), 0);
    });
}

#[test]
fn a_local_cluster_that_was_stopped_answers_nobody_any_more() {
    let host =
        RealHost::named("here").expect("randomness").with_neighbours(["jm", "tm", "tm-1", "tm-2"]);
    let ran = run(host, |host| async move {
        let job_manager = JobManagerConfig { port: 0, ..Default::default() };
        let programs = catalog(&Collect::default());
        let town = LocalCluster::start(&host, job_manager, Default::default(), programs).await;
        let town = town.expect("a free port");
        let mut early = Client::connect(&*host, &town.address, Handshake::default()).await;
        let early = early.as_mut().expect("a job manager");
        assert_eq!(early.jobs(&*host).await.expect("jobs"), []);
        town.stop();
        let unanswered = early.jobs(&*host).await;
        assert!(matches!(unanswered, Err(ClientError::Unreachable { .. })), "{unanswered:?}");
        let late = Client::connect(&*host, &town.address, Handshake::default()).await;
        assert!(matches!(late, Err(ClientError::Unreachable { .. })), "{late:?}");
    });
    ran.expect("a runtime");
}

#[test]
fn a_missing_job_manager_is_named_by_its_address() {
    let host =
        RealHost::named("here").expect("randomness").with_neighbours(["jm", "tm", "tm-1", "tm-2"]);
    let said = run(host, |host| async move {
        let nobody = host.listen(0).await.expect("a free port").port();
        let error = Client::connect(&*host, &format!("jm:{nobody}"), Handshake::default()).await;
        error.expect_err("nobody answers").to_string()
    });
    let said = said.expect("a runtime");
    assert!(said.starts_with("no job manager answers at jm:"), "{said}");
}

#[test]
fn a_task_manager_asks_one_job_manager_after_the_other_and_none_of_an_older_term() {
    in_town(async |town| {
        let (mut addresses, mut serving) = (vec![], vec![]);
        for epoch in [5, 4, 6] {
            let epoch = JobEpoch(epoch);
            let config = JobManagerConfig { port: 0, epoch, ..JobManagerConfig::default() };
            let programs = Arc::clone(&town.programs);
            let bound = JobManager::bind(Arc::clone(&town.host), config, programs);
            let bound = bound.await.expect("a free port");
            addresses.push(format!("jm:{}", bound.port()));
            let serve = Box::pin(async move { drop(bound.serve().await) });
            serving.push(town.host.spawn("jm", serve));
        }
        let job_manager = format!("jm:1, {}", addresses.join(","));
        let config = TaskManagerConfig { job_manager, ..Default::default() };
        let running = taskmanager::run(Arc::clone(&town.host), config, Arc::clone(&town.programs));
        town.host.spawn("tm", Box::pin(async move { drop(running.await) }));
        let registered = |fact: &Fact| matches!(fact, Fact::TaskManagerRegistered { .. });
        town.hears(registered).await;
        town.facts.lock().expect("whole").clear();
        serving[0].abort();
        let fenced = |fact: &Fact| match fact {
            Fact::MessageFenced { message, cause } => {
                let admission = format!("admission by job manager {}", addresses[1]);
                *message == admission && cause == "epoch 4 is older than 5"
            }
            _ => false,
        };
        town.hears(fenced).await;
        // Each of the other two took it in, and one of them was left at once.
        while town.told("task_manager.registered") < 2 {
            tokio::task::yield_now().await;
        }
    });
}
