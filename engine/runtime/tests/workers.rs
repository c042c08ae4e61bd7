//! Two workers on loopback run small programs to their end: exact results, backpressure, cancel.
//! Never sleeps: every wait is for an event of a worker or for a fact. Parts of the exchange are
//! tried in `src/exchange/tests.rs`.

mod small;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use slackwater_core::fact::{Detail, Fact, TaskStatus};
use slackwater_core::id::{
    Attempt, Execution, JobEpoch, JobId, Subtask, TaskManagerId, VertexId, WorkerId,
};
use slackwater_core::program::Program;
use slackwater_dataflow::stream::{Env, union};
use slackwater_dataflow::task::{Plan, PlanError, Programs};
use slackwater_dataflow::watermark::Watermarks;
use slackwater_dataflow::window::{Pane, tumbling};
use slackwater_runtime::deployment::{Deployment, Placed, TaskReport, WorkerCommand, WorkerEvent};
use slackwater_runtime::exchange::Neighbours;
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::{RealHost, run};
use slackwater_runtime::task::TaskConfig;
use slackwater_runtime::worker::{Seat, Worker, WorkerConfig, WorkerHandle};
use tokio::sync::mpsc;

use small::{Collect, Count};

type Build = fn(&Env, &Collect);

/// A catalogue of the one program that a test runs.
struct One {
    build: Build,
    sink: Collect,
}

impl Programs for One {
    fn plan(&self, program: &Program) -> Result<Plan, PlanError> {
        if program.name != "one" {
            let known = self.names();
            return Err(PlanError::UnknownProgram { name: program.name.clone(), known });
        }
        let env = Env::new("one");
        (self.build)(&env, &self.sink);
        env.plan()
    }
    fn names(&self) -> Vec<String> {
        vec!["one".into()]
    }
}

/// Two workers of one process.
struct Pair {
    programs: Arc<One>,
    workers: Vec<(WorkerId, WorkerHandle, String)>,
    events: mpsc::UnboundedReceiver<WorkerEvent>,
    facts: Arc<Mutex<Vec<Fact>>>,
}

/// The defaults, with a latency marker every millisecond.
fn config() -> WorkerConfig {
    let task = TaskConfig { latency_every: Some(Duration::from_millis(1)), ..Default::default() };
    WorkerConfig { task, ..Default::default() }
}

const JOB: JobId = JobId(1);

impl Pair {
    async fn start(
        host: &dyn Host,
        build: Build,
        seats: fn(WorkerId, &Neighbours) -> Seat,
        facts: Arc<Mutex<Vec<Fact>>>,
    ) -> Self {
        let neighbours = Neighbours::default();
        let programs = Arc::new(One { build, sink: Collect::default() });
        let mut workers = Vec::new();
        let (sender, mut events) = mpsc::unbounded_channel();
        for index in 0..2 {
            let id = WorkerId { task_manager: TaskManagerId("tm".into()), index };
            let (programs, config) = (Arc::clone(&programs), config());
            let handle = Worker::start(
                host,
                seats(id.clone(), &neighbours),
                programs,
                config,
                sender.clone(),
            );
            let Some(WorkerEvent::Ready { data_port }) = events.recv().await else {
                panic!("a worker starts by saying where it is");
            };
            workers.push((id, handle, format!("tm:{data_port}")));
        }
        Self { programs, workers, events, facts }
    }

    /// Subtask i of vertex v runs on worker (i + v) mod 2: every edge crosses.
    fn deploy(&self, attempt: u32, program: &str) -> Vec<Subtask> {
        let graph = self.programs.plan(&Program::named("one")).expect("a graph").graph;
        let subtasks = graph.vertices.iter().flat_map(|vertex| {
            (0..vertex.parallelism).map(|index| Subtask { vertex: vertex.id, index })
        });
        let subtasks: Vec<_> = subtasks.collect();
        let worker_of = |s: &Subtask| &self.workers[(s.index + s.vertex.0) as usize % 2];
        let placed = |&subtask: &Subtask| {
            let (worker, _, address) = worker_of(&subtask);
            Placed { subtask, worker: worker.clone(), address: address.clone() }
        };
        let placement: Vec<_> = subtasks.iter().map(placed).collect();
        for (id, handle, _) in &self.workers {
            let ours = placement.iter().filter(|placed| placed.worker == *id);
            let deployment = Deployment {
                job: JOB,
                epoch: JobEpoch(1),
                attempt: Attempt(attempt),
                program: Program::named(program),
                placement: placement.clone(),
                subtasks: ours.map(|placed| placed.subtask).collect(),
                checkpoints: None,
                restore: None,
                spared: Vec::new(),
            };
            handle.send(WorkerCommand::Deploy(Box::new(deployment)));
        }
        subtasks
    }

    fn cancel(&self, attempt: u32) {
        for (_, handle, _) in &self.workers {
            handle.send(WorkerCommand::Cancel { job: JOB, attempt: Attempt(attempt) });
        }
    }

    async fn report(&mut self) -> TaskReport {
        match self.events.recv().await.expect("workers live") {
            WorkerEvent::Task(report) => report,
            other => panic!("expected a report, found {other:?}"),
        }
    }

    /// The final report of each of so many tasks.
    async fn ends(&mut self, tasks: usize) -> BTreeMap<Execution, TaskReport> {
        let mut ends = BTreeMap::new();
        while ends.len() < tasks {
            let report = self.report().await;
            if report.status != TaskStatus::Running {
                let twice = ends.insert(report.task, report);
                assert_eq!(twice, None, "one final status for each task");
            }
        }
        ends
    }

    /// Waits for a fact, looking again whenever the test's thread comes by.
    async fn hears(&self, wanted: impl Fn(&Fact) -> bool) {
        while !self.facts.lock().expect("whole").iter().any(&wanted) {
            tokio::task::yield_now().await;
        }
    }

    fn told(&self, probe: &str) -> usize {
        self.facts.lock().expect("whole").iter().filter(|fact| fact.probe() == probe).count()
    }
}

/// Each in a process of its own, as far as they know.
fn apart(id: WorkerId, _: &Neighbours) -> Seat {
    id.into()
}

fn side_by_side(id: WorkerId, neighbours: &Neighbours) -> Seat {
    Seat { neighbours: neighbours.clone(), ..Seat::from(id) }
}

fn with_pair(build: Build, test: impl AsyncFnOnce(&mut Pair)) {
    with_seats(build, apart, test);
}

fn with_seats(
    build: Build,
    seats: fn(WorkerId, &Neighbours) -> Seat,
    test: impl AsyncFnOnce(&mut Pair),
) {
    let facts = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&facts);
    let telling = Arc::new(move |fact| heard.lock().expect("whole").push(fact));
    let host = RealHost::named("tm")
        .expect("randomness")
        .with_neighbours(["jm", "tm", "tm-1", "tm-2"])
        .telling(Detail::Flow, telling);
    let ran = run(host, |host| async move {
        let mut pair = Pair::start(&*host, build, seats, facts).await;
        test(&mut pair).await;
        for (_, handle, _) in &pair.workers {
            handle.send(WorkerCommand::Stop);
        }
    });
    ran.expect("a runtime");
}

const ROWS: u64 = 100_000;

fn counting(env: &Env, to: u64, is_bounded: bool) -> slackwater_dataflow::stream::Stream<u64> {
    env.source("count", Count { to, is_bounded }, Watermarks::ascending()).parallelism(1)
}

fn doubled(env: &Env, sink: &Collect) {
    let spread = counting(env, ROWS, true).rebalance();
    let doubled = spread.map(|n: u64| n * 2).parallelism(2).rebalance();
    let _ = doubled.map(|n: u64| n + 1).parallelism(1).sink("collect", sink.clone());
}

#[test]
fn a_bounded_program_finishes_with_every_record_once() {
    with_pair(doubled, async |pair| {
        let tasks = pair.deploy(1, "one").len();
        let ends = pair.ends(tasks).await;
        assert!(ends.values().all(|end| end.status == TaskStatus::Finished), "{ends:?}");
        let expected: Vec<_> = (0..ROWS).map(|n| n * 2 + 1).collect();
        assert!(pair.programs.sink.sorted() == expected, "every record once");
        assert_eq!(pair.told("task.counted"), tasks);
        assert!(pair.told("frame.sent") > 0);
        assert_eq!(pair.told("frame.sent"), pair.told("frame.received"));
        let facts = pair.facts.lock().expect("whole");
        let flushed = |fact: &Fact| match fact {
            Fact::SinkFlushed { rows, .. } => u64::from(*rows),
            _ => 0,
        };
        assert_eq!(facts.iter().map(flushed).sum::<u64>(), ROWS);
    });
}

#[test]
fn a_latency_marker_goes_from_source_to_sink_beside_the_records() {
    fn endless(env: &Env, sink: &Collect) {
        let spread = counting(env, ROWS, false).rebalance();
        let _ = spread.map(|n: u64| n).parallelism(2).sink("collect", sink.clone());
    }
    with_pair(endless, async |pair| {
        let tasks = pair.deploy(1, "one").len();
        let source = Subtask { vertex: VertexId(0), index: 0 };
        let arrived = |fact: &Fact| match fact {
            Fact::LatencyMeasured { task, marker, millis } => {
                task.subtask.vertex > VertexId(0) && marker.source == source && *millis >= 0
            }
            _ => false,
        };
        pair.hears(arrived).await;
        pair.cancel(1);
        pair.ends(tasks).await;
    });
}

#[test]
fn neighbours_hand_batches_over_without_a_frame_and_with_the_same_credits() {
    with_seats(doubled, side_by_side, async |pair| {
        pair.programs.sink.is_shut.store(true, Ordering::SeqCst);
        let tasks = pair.deploy(1, "one").len();
        pair.hears(|fact| matches!(fact, Fact::CreditExhausted { .. })).await;
        pair.programs.sink.open_up();
        let ends = pair.ends(tasks).await;
        assert!(ends.values().all(|end| end.status == TaskStatus::Finished), "{ends:?}");
        let expected: Vec<_> = (0..ROWS).map(|n| n * 2 + 1).collect();
        assert!(pair.programs.sink.sorted() == expected, "every record once");
        assert!(pair.told("batch.received") > 0);
        assert_eq!(pair.told("frame.sent"), 0);
    });
}

#[test]
fn keyed_windows_over_two_workers_sum_exactly() {
    fn windows(env: &Env, sink: &Collect) {
        let keyed = counting(env, ROWS, true).key_by(|n: &u64| n % 10);
        let sums = keyed.window(tumbling(Duration::from_secs(1))).sum("sum", |n: &u64| *n as i64);
        sums.late.discard();
        let sums = sums.results.parallelism(2).map(|pane: Pane<u64, i64>| pane.value as u64);
        let _ = sums.parallelism(2).sink("collect", sink.clone());
    }
    for seats in [apart, side_by_side] {
        with_seats(windows, seats, async |pair| {
            let tasks = pair.deploy(1, "one").len();
            let ends = pair.ends(tasks).await;
            assert!(ends.values().all(|end| end.status == TaskStatus::Finished), "{ends:?}");
            // Record n has timestamp n: window w holds 100 records of each of ten keys.
            let sum = |w: u64, key: u64| (0..100).map(|i| w * 1_000 + i * 10 + key).sum();
            let windows = (0..ROWS / 1_000).flat_map(|w| (0..10).map(move |key| sum(w, key)));
            let mut expected: Vec<u64> = windows.collect();
            expected.sort_unstable();
            assert_eq!(pair.programs.sink.sorted(), expected);
            assert!(pair.told("watermark.channel") > 0);
        });
    }
}

#[test]
fn a_neighbour_that_dies_fails_the_tasks_beside_it() {
    fn endless(env: &Env, sink: &Collect) {
        let spread = counting(env, ROWS, false).rebalance();
        let _ = spread.map(|n: u64| n).parallelism(1).sink("collect", sink.clone());
    }
    with_seats(endless, side_by_side, async |pair| {
        pair.deploy(1, "one");
        for _ in 0..2 {
            assert_eq!(pair.report().await.status, TaskStatus::Running);
        }
        pair.hears(|fact| matches!(fact, Fact::BatchReceived { .. })).await;
        pair.workers[0].1.abort();
        let failed = pair.report().await;
        assert_eq!(failed.status, TaskStatus::Failed);
        assert!(failed.cause.contains("from worker tm/0: the connection"), "{}", failed.cause);
    });
}

#[test]
fn the_same_worker_runs_one_attempt_after_the_other() {
    with_pair(doubled, async |pair| {
        for attempt in 1..=3 {
            let tasks = pair.deploy(attempt, "one").len();
            let ends = pair.ends(tasks).await;
            let good = |(task, end): (&Execution, &TaskReport)| {
                task.attempt == Attempt(attempt) && end.status == TaskStatus::Finished
            };
            assert!(ends.iter().all(good), "{ends:?}");
        }
        assert_eq!(pair.programs.sink.sorted().len() as u64, 3 * ROWS);
    });
}

#[test]
fn a_union_of_two_sources_ends_when_both_have() {
    fn joined(env: &Env, sink: &Collect) {
        let left = counting(env, 10, true);
        let right = env.source("more", Count { to: 20, is_bounded: true }, Watermarks::ascending());
        let all = union([&left, &right.parallelism(1)]);
        let _ = all.map(|n: u64| n).parallelism(1).sink("collect", sink.clone());
    }
    with_pair(joined, async |pair| {
        let tasks = pair.deploy(1, "one").len();
        pair.ends(tasks).await;
        let mut expected: Vec<u64> = (0..10).chain(0..20).collect();
        expected.sort_unstable();
        assert_eq!(pair.programs.sink.sorted(), expected);
        let opened = |fact: &Fact| matches!(fact, Fact::GateOpened { channels: 2, .. });
        pair.hears(opened).await;
    });
}

#[test]
fn a_slow_sink_exhausts_credits_and_blocks_the_source_until_it_goes_on() {
    with_pair(doubled, async |pair| {
        pair.programs.sink.is_shut.store(true, Ordering::SeqCst);
        let tasks = pair.deploy(1, "one").len();
        pair.hears(|fact| matches!(fact, Fact::SourceBlocked { .. })).await;
        pair.hears(|fact| matches!(fact, Fact::CreditExhausted { .. })).await;
        assert_eq!(pair.programs.sink.sorted(), [0; 0]);
        pair.programs.sink.open_up();
        let ends = pair.ends(tasks).await;
        assert!(ends.values().all(|end| end.status == TaskStatus::Finished), "{ends:?}");
        assert_eq!(pair.programs.sink.sorted().len() as u64, ROWS);
    });
}

#[test]
fn cancel_ends_tasks_that_are_blocked_and_a_new_attempt_starts_clean() {
    with_pair(doubled, async |pair| {
        pair.programs.sink.is_shut.store(true, Ordering::SeqCst);
        let tasks = pair.deploy(1, "one").len();
        pair.hears(|fact| matches!(fact, Fact::SourceBlocked { .. })).await;
        pair.cancel(1);
        let ends = pair.ends(tasks).await;
        // A worker that cancels first ends its connections: the others may fail of that.
        let over = [TaskStatus::Canceled, TaskStatus::Failed];
        assert!(ends.values().all(|end| over.contains(&end.status)), "{ends:?}");
        pair.programs.sink.open_up();
        let tasks = pair.deploy(2, "one").len();
        let ends = pair.ends(tasks).await;
        assert!(ends.keys().all(|task| task.attempt == Attempt(2)), "{ends:?}");
        assert_eq!(pair.programs.sink.sorted().len() as u64, ROWS);
        pair.deploy(1, "one");
        pair.hears(|fact| matches!(fact, Fact::MessageFenced { .. })).await;
    });
}

#[test]
fn a_panic_of_user_code_fails_its_task_with_the_message() {
    fn panics(env: &Env, sink: &Collect) {
        let spread = counting(env, ROWS, false).rebalance();
        let bad = spread.map(|n: u64| if n == 5_000 { panic!("no five thousands") } else { n });
        let _ = bad.parallelism(2).sink("collect", sink.clone());
    }
    with_pair(panics, async |pair| {
        let tasks = pair.deploy(1, "one").len();
        let failed = loop {
            let report = pair.report().await;
            if report.status == TaskStatus::Failed {
                break report;
            }
        };
        assert_eq!((failed.cause.as_str(), failed.fatal), ("panicked: no five thousands", false));
        pair.cancel(1);
        assert_eq!(pair.ends(tasks - 1).await.len(), tasks - 1);
    });
}

#[test]
fn a_worker_that_dies_fails_the_tasks_of_its_peer_promptly() {
    fn endless(env: &Env, sink: &Collect) {
        let spread = counting(env, ROWS, false).rebalance();
        let _ = spread.map(|n: u64| n).parallelism(1).sink("collect", sink.clone());
    }
    with_pair(endless, async |pair| {
        pair.deploy(1, "one");
        for _ in 0..2 {
            assert_eq!(pair.report().await.status, TaskStatus::Running);
        }
        pair.hears(|fact| matches!(fact, Fact::FrameReceived { .. })).await;
        pair.workers[0].1.abort();
        let failed = pair.report().await;
        assert_eq!(failed.status, TaskStatus::Failed);
        assert!(failed.cause.contains("from worker tm/0: the connection"), "{}", failed.cause);
    });
}

#[test]
fn a_program_that_nobody_knows_fails_every_task_for_good() {
    with_pair(doubled, async |pair| {
        let tasks = pair.deploy(1, "two").len();
        let ends = pair.ends(tasks).await;
        let named =
            |end: &TaskReport| end.fatal && end.cause == "unknown program \"two\": known are one";
        assert!(ends.values().all(named), "{ends:?}");
    });
}
