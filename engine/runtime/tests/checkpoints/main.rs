//! Two workers under a driver that plays the coordinator: barriers, acknowledgements, commits and
//! restores of small programs. Never sleeps: every wait is for a word of a worker or for a fact.
//! Who decides when a checkpoint is taken is `slackwater-control`'s business, not this test's.

mod savepoints;
mod vault;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use slackwater_core::checkpoint::{CheckpointConfig, Contents, StateHandle, VertexState};
use slackwater_core::element::{Barrier, BarrierKind};
use slackwater_core::fact::{Detail, Fact, TaskStatus};
use slackwater_core::graph::OperatorKind;
use slackwater_core::id::{
    Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, TaskManagerId, VertexId, WorkerId,
};
use slackwater_core::program::Program;
use slackwater_dataflow::stream::{Env, Stream, union};
use slackwater_dataflow::task::{Plan, PlanError, Programs};
use slackwater_dataflow::watermark::Watermarks;
use slackwater_runtime::deployment::{
    CheckpointOrder, Deployment, Placed, RestorePoint, WorkerCommand, WorkerEvent,
};
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::{RealHost, run};
use slackwater_runtime::wire::message::ToJobManager;
use slackwater_runtime::worker::{Worker, WorkerConfig, WorkerHandle};
use tokio::sync::mpsc;

use vault::{Tap, Vault};

const JOB: JobId = JobId(1);

type Build = fn(&Env, &Kit);

/// What a program of these tests is made of, and what a test turns and reads.
#[derive(Clone, Default)]
struct Kit {
    /// The parallelism of what is spread.
    width: u32,
    left: Tap,
    right: Tap,
    vault: Vault,
}

impl Kit {
    fn source(&self, env: &Env, uid: &str, tap: &Tap) -> Stream<u64> {
        env.source(uid, tap.clone(), Watermarks::ascending()).parallelism(1)
    }
}

struct One {
    build: Build,
    kit: Kit,
}

impl Programs for One {
    fn plan(&self, program: &Program) -> Result<Plan, PlanError> {
        let env = Env::new("one");
        env.checkpoint_every(std::time::Duration::from_secs(1));
        let (width, chaining) = match program.name.as_str() {
            "wide" => (3, true),
            "apart" => (2, false),
            "wide-apart" => (5, false),
            _ => (2, true),
        };
        env.chaining(chaining);
        (self.build)(&env, &Kit { width, ..self.kit.clone() });
        env.plan()
    }
    fn names(&self) -> Vec<String> {
        ["narrow", "wide", "apart", "wide-apart"].map(str::to_owned).into()
    }
}

/// Two workers, and what they have said.
struct Driver {
    host: Arc<dyn Host>,
    kit: Kit,
    programs: Arc<dyn Programs>,
    /// What is deployed next.
    program: Program,
    plan: Plan,
    workers: Vec<(WorkerId, WorkerHandle, String)>,
    events: mpsc::UnboundedReceiver<WorkerEvent>,
    facts: Arc<Mutex<Vec<Fact>>>,
    storage: String,
    attempt: u32,
    /// Of the attempt that runs: what its tasks said last of themselves.
    statuses: BTreeMap<Subtask, (TaskStatus, String)>,
    ended: BTreeSet<Subtask>,
    /// By checkpoint and task: where the state is, whether a source was at its end, and what the
    /// state holds.
    acks: BTreeMap<(CheckpointId, Subtask), (StateHandle, bool, Contents)>,
    /// Everything else.
    trouble: Vec<ToJobManager>,
    /// Whose tasks are deployed.
    job: JobId,
    /// Its savepoints that are complete.
    spared: Vec<CheckpointId>,
}

impl Driver {
    async fn start(
        host: Arc<dyn Host>,
        build: Build,
        storage: &str,
        facts: Arc<Mutex<Vec<Fact>>>,
    ) -> Self {
        let kit = Kit::default();
        let programs: Arc<dyn Programs> = Arc::new(One { build, kit: kit.clone() });
        let program = Program::named("narrow");
        let plan = programs.plan(&program).expect("a plan");
        let (sender, mut events) = mpsc::unbounded_channel();
        let mut workers = Vec::new();
        for index in 0..2 {
            let id = WorkerId { task_manager: TaskManagerId("tm".into()), index };
            let (programs, config) = (Arc::clone(&programs), WorkerConfig::default());
            let worker = Worker::start(&*host, id.clone(), programs, config, sender.clone());
            let Some(WorkerEvent::Ready { data_port }) = events.recv().await else {
                panic!("a worker starts by saying where it is");
            };
            workers.push((id, worker, format!("tm:{data_port}")));
        }
        let (statuses, ended, acks, trouble) = Default::default();
        let (storage, attempt, job, spared) = (storage.to_owned(), 0, JOB, Vec::new());
        Self {
            host,
            kit,
            programs,
            program,
            plan,
            workers,
            events,
            facts,
            storage,
            attempt,
            statuses,
            ended,
            acks,
            trouble,
            job,
            spared,
        }
    }

    /// The next attempt has another width, or its operators are chained in another way.
    fn change_to(&mut self, program: &str) {
        self.program = Program::named(program);
        self.plan = self.programs.plan(&self.program).expect("a plan");
    }

    fn subtasks(&self) -> Vec<Subtask> {
        let of = |vertex: &slackwater_core::graph::Vertex| {
            let vertex = (vertex.id, vertex.parallelism);
            (0..vertex.1).map(move |index| Subtask { vertex: vertex.0, index })
        };
        self.plan.graph.vertices.iter().flat_map(of).collect()
    }

    fn sources(&self) -> Vec<Subtask> {
        let is_source = |subtask: &Subtask| {
            let vertex = &self.plan.graph.vertices[subtask.vertex.0 as usize];
            vertex.operators[0].kind == OperatorKind::Source
        };
        self.subtasks().into_iter().filter(is_source).collect()
    }

    /// Subtask i of vertex v runs on worker (i + v) mod 2.
    fn deploy(&mut self, restore: Option<&RestorePoint>) {
        self.attempt += 1;
        self.statuses.clear();
        self.ended.clear();
        let placed = |&subtask: &Subtask| {
            let (worker, _, address) =
                &self.workers[(subtask.index + subtask.vertex.0) as usize % 2];
            Placed { subtask, worker: worker.clone(), address: address.clone() }
        };
        let placement: Vec<_> = self.subtasks().iter().map(placed).collect();
        for (id, handle, _) in &self.workers {
            let ours = placement.iter().filter(|placed| placed.worker == *id);
            let config =
                CheckpointConfig { storage: self.storage.clone(), ..CheckpointConfig::default() };
            let deployment = Deployment {
                job: self.job,
                epoch: JobEpoch(1),
                attempt: Attempt(self.attempt),
                program: self.program.clone(),
                placement: placement.clone(),
                subtasks: ours.map(|placed| placed.subtask).collect(),
                checkpoints: Some(config),
                restore: restore.cloned(),
                spared: self.spared.clone(),
            };
            handle.send(WorkerCommand::Deploy(Box::new(deployment)));
        }
    }

    fn cancel(&self) {
        for (_, handle, _) in &self.workers {
            handle.send(WorkerCommand::Cancel { job: self.job, attempt: Attempt(self.attempt) });
        }
    }

    fn order_in(&self, epoch: u64, attempt: u32, order: &CheckpointOrder) {
        for (_, handle, _) in &self.workers {
            let (epoch, attempt, order) = (JobEpoch(epoch), Attempt(attempt), order.clone());
            handle.send(WorkerCommand::Checkpoint { job: self.job, epoch, attempt, order });
        }
    }

    /// To one of the workers alone.
    fn order_to(&self, worker: usize, order: &CheckpointOrder) {
        let (job, epoch, attempt) = (self.job, JobEpoch(1), Attempt(self.attempt));
        let order = order.clone();
        self.workers[worker].1.send(WorkerCommand::Checkpoint { job, epoch, attempt, order });
    }

    fn order(&self, order: CheckpointOrder) {
        self.order_in(1, self.attempt, &order);
    }

    fn trigger(&self, checkpoint: u64, subtasks: Vec<Subtask>) {
        let (checkpoint, kind) = (CheckpointId(checkpoint), BarrierKind::Checkpoint);
        self.order(CheckpointOrder::Trigger {
            barrier: Barrier { checkpoint, kind },
            subtasks,
            savepoint: None,
        });
    }

    fn complete(&self, checkpoint: u64, last: bool) {
        self.order(CheckpointOrder::Completed { checkpoint: CheckpointId(checkpoint), last });
    }

    fn abort(&self, checkpoint: u64) {
        self.order(CheckpointOrder::Aborted { checkpoint: CheckpointId(checkpoint) });
    }

    /// Hears the workers out until `enough`.
    async fn until(&mut self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            match self.events.recv().await.expect("workers live") {
                WorkerEvent::Task(report) => {
                    let said = (report.status, report.cause);
                    self.statuses.insert(report.task.subtask, said);
                }
                WorkerEvent::Said(message) => self.note(message),
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    fn note(&mut self, message: ToJobManager) {
        let Execution { attempt, subtask, .. } = message.task();
        assert_eq!(attempt, Attempt(self.attempt), "nobody speaks after the end: {message:?}");
        let over = self.statuses.get(&subtask).is_some_and(|(s, _)| *s != TaskStatus::Running);
        assert!(!over, "a task that has ended says nothing more: {message:?}");
        match message {
            ToJobManager::Acknowledged { checkpoint, state, times, ended, contents, .. } => {
                assert_eq!(times.bytes, state.bytes());
                self.acks.insert((checkpoint, subtask), (state, ended, contents));
            }
            ToJobManager::SourceEnded { .. } => assert!(self.ended.insert(subtask), "said once"),
            other => self.trouble.push(other),
        }
    }

    async fn all(&mut self, status: TaskStatus) {
        let tasks = self.subtasks().len();
        self.until(|driver| {
            let alike = driver.statuses.values().filter(|(found, _)| *found == status);
            alike.count() == tasks
        })
        .await;
    }

    /// Waits until no task runs.
    async fn over(&mut self) {
        let tasks = self.subtasks().len();
        let is_over = |(status, _): &&(TaskStatus, String)| *status != TaskStatus::Running;
        self.until(|driver| driver.statuses.values().filter(is_over).count() == tasks).await;
    }

    /// Lets a checkpoint through to the last acknowledgement: what an attempt begins with.
    async fn checkpoint(&mut self, number: u64) -> RestorePoint {
        self.trigger(number, self.sources());
        self.acknowledged(number).await
    }

    async fn acknowledged(&mut self, number: u64) -> RestorePoint {
        let (checkpoint, subtasks) = (CheckpointId(number), self.subtasks());
        self.until(|driver| subtasks.iter().all(|s| driver.acks.contains_key(&(checkpoint, *s))))
            .await;
        let vertices = self.plan.graph.vertices.iter().map(|vertex| {
            let part = |index| &self.acks[&(checkpoint, Subtask { vertex: vertex.id, index })];
            let mut contents = Contents::default();
            (0..vertex.parallelism).for_each(|index| contents.add(&part(index).2));
            VertexState {
                vertex: vertex.id,
                uids: vertex.operators.iter().filter_map(|operator| operator.uid.clone()).collect(),
                parallelism: vertex.parallelism,
                subtasks: (0..vertex.parallelism).map(|index| part(index).0.clone()).collect(),
                contents,
            }
        });
        RestorePoint {
            checkpoint,
            vertices: vertices.collect(),
            finished: Vec::new(),
            storage: None,
            reset_watermarks: false,
            halted: false,
        }
    }

    /// Ends the job: every source has read everything, the last checkpoint completes.
    async fn finish(&mut self, number: u64) {
        let sources = self.sources().len();
        self.until(|driver| driver.ended.len() == sources).await;
        self.checkpoint(number).await;
        self.complete(number, true);
        self.all(TaskStatus::Finished).await;
    }

    /// Waits for a fact, looking again whenever the test's thread comes by.
    async fn hears(&self, wanted: impl Fn(&Fact) -> bool) {
        while !self.facts.lock().expect("whole").iter().any(&wanted) {
            tokio::task::yield_now().await;
        }
    }

    fn told(&self, wanted: impl Fn(&Fact) -> bool) -> usize {
        self.facts.lock().expect("whole").iter().filter(|fact| wanted(fact)).count()
    }

    fn probes(&self, probe: &str) -> usize {
        self.told(|fact| fact.probe() == probe)
    }
}

fn drive(build: Build, storage: &str, test: impl AsyncFnOnce(&mut Driver)) {
    let facts = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&facts);
    let telling = Arc::new(move |fact| heard.lock().expect("whole").push(fact));
    let host = RealHost::named("tm")
        .expect("randomness")
        .with_neighbours(["jm", "tm", "tm-1", "tm-2"])
        .telling(Detail::Flow, telling);
    let ran = run(host, |host| async move {
        let mut driver = Driver::start(host, build, storage, facts).await;
        test(&mut driver).await;
        for (_, handle, _) in &driver.workers {
            handle.send(WorkerCommand::Stop);
        }
    });
    ran.expect("a runtime");
}

/// Runs a test with state in the acknowledgements, and in files.
fn on_every_storage(build: Build, test: impl AsyncFn(&mut Driver)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().to_string_lossy().into_owned();
    for storage in ["memory://", &folder, &format!("file://{folder}/deeper")] {
        drive(build, storage, &test);
    }
}

/// How often each of 100 keys was seen, said with each record: the last of a key is its count.
fn counts(env: &Env, kit: &Kit) {
    let spread = kit.source(env, "left", &kit.left).rebalance();
    let spread = spread.map(|n: u64| n).parallelism(kit.width);
    let seen = spread.key_by(|n: &u64| n % 100).scan("count", 0, |seen: &mut u64, n: u64| {
        *seen += 1;
        n % 100 * 1_000_000 + *seen
    });
    let seen = seen.parallelism(kit.width);
    let _ = seen.sink_two_phase("vault", kit.vault.clone()).parallelism(kit.width);
}

/// What [`counts`] says of records 0..to, sorted.
fn counted(to: u64) -> Vec<u64> {
    let mut said: Vec<_> = (0..to).map(|n| n % 100 * 1_000_000 + n / 100 + 1).collect();
    said.sort_unstable();
    said
}

/// Two sources into one task.
fn joined(env: &Env, kit: &Kit) {
    let left = kit.source(env, "left", &kit.left);
    let right = kit.source(env, "right", &kit.right);
    let all = union([&left, &right]).map(|n: u64| n).parallelism(1);
    let _ = all.sink_two_phase("vault", kit.vault.clone()).parallelism(1);
}

const LEFT: Subtask = Subtask { vertex: VertexId(0), index: 0 };
const RIGHT: Subtask = Subtask { vertex: VertexId(1), index: 0 };

#[test]
fn a_barrier_passes_every_task_once_all_of_its_channels_have_delivered_it() {
    drive(joined, "memory://", async |driver| {
        driver.kit.left.open(1_000);
        driver.kit.right.open(1_000);
        driver.deploy(None);
        let point = driver.checkpoint(7).await;
        assert_eq!(point.vertices.len(), 3);
        assert!(point.vertices.iter().all(|vertex| vertex.subtasks[0].bytes() > 0), "{point:?}");
        assert_eq!(driver.probes("checkpoint.barrier.injected"), 2);
        assert_eq!(driver.probes("checkpoint.barrier.received"), 2);
        let aligned = |fact: &Fact| match fact {
            Fact::BarrierAligned { checkpoint, channels, .. } => {
                (*checkpoint, *channels) == (CheckpointId(7), 2)
            }
            _ => false,
        };
        assert_eq!(driver.told(aligned), 1);
        let each = ["checkpoint.snapshot.taken", "checkpoint.state.written", "checkpoint.ack.sent"];
        for probe in each {
            assert_eq!(driver.probes(probe), 3, "{probe}");
        }
        assert!(driver.trouble.is_empty(), "{:?}", driver.trouble);
    });
}

#[test]
fn a_killed_attempt_goes_on_from_its_checkpoint_and_nothing_is_lost_or_doubled() {
    on_every_storage(counts, async |driver| {
        driver.kit.left.open(20_000);
        driver.deploy(None);
        driver.kit.left.drained().await;
        let point = driver.checkpoint(1).await;
        driver.complete(1, false);
        driver.hears(|fact| matches!(fact, Fact::SinkCommitted { .. })).await;
        // What follows is written, prepared, and lost with its attempt.
        driver.kit.left.open(40_000);
        driver.kit.left.drained().await;
        driver.checkpoint(2).await;
        driver.cancel();
        driver.over().await;
        driver.kit.left.end_at(60_000);
        driver.deploy(Some(&point));
        driver.finish(3).await;
        assert!(driver.kit.vault.visible() == counted(60_000), "every record once");
        let restored = driver.subtasks().len();
        assert_eq!(driver.probes("checkpoint.restored"), restored);
        assert!(driver.probes("sink.prepared") > 0);
        assert!(driver.trouble.is_empty(), "{:?}", driver.trouble);
    });
}

#[test]
fn an_attempt_of_another_width_shares_the_state_out_anew() {
    on_every_storage(counts, async |driver| {
        let mut point = None;
        for (number, program) in (1..).zip(["narrow", "wide", "narrow"]) {
            driver.change_to(program);
            driver.kit.left.open(number * 10_000);
            driver.deploy(point.as_ref());
            driver.kit.left.drained().await;
            point = Some(driver.checkpoint(number).await);
            driver.cancel();
            driver.over().await;
        }
        driver.kit.left.end_at(40_000);
        driver.deploy(point.as_ref());
        driver.finish(4).await;
        assert!(driver.kit.vault.visible() == counted(40_000), "every record once");
        assert!(driver.trouble.is_empty(), "{:?}", driver.trouble);
    });
}

#[test]
fn a_checkpoint_that_completed_before_the_kill_is_committed_by_the_next_attempt() {
    drive(counts, "memory://", async |driver| {
        driver.kit.left.open(5_000);
        driver.deploy(None);
        driver.kit.left.drained().await;
        let point = driver.checkpoint(1).await;
        // Nobody was told.
        driver.cancel();
        driver.over().await;
        assert!(driver.kit.vault.visible().is_empty());
        driver.kit.left.end_at(5_000);
        driver.deploy(Some(&point));
        driver.all(TaskStatus::Running).await;
        assert!(driver.kit.vault.visible() == counted(5_000), "committed as it was restored");
        driver.finish(2).await;
        assert!(driver.kit.vault.visible() == counted(5_000), "and once");
    });
}

#[test]
fn a_channel_that_is_held_gets_no_credit_and_the_others_go_on() {
    drive(joined, "memory://", async |driver| {
        driver.deploy(None);
        driver.all(TaskStatus::Running).await;
        driver.trigger(1, vec![LEFT]);
        driver.hears(|fact| matches!(fact, Fact::BarrierReceived { .. })).await;
        driver.kit.left.open(100_000);
        let is_blocked = |fact: &Fact| match fact {
            Fact::SourceBlocked { task, .. } => task.subtask == LEFT,
            _ => false,
        };
        driver.hears(is_blocked).await;
        driver.kit.right.open(50_000);
        driver.kit.right.drained().await;
        driver.trigger(1, vec![RIGHT]);
        driver.acknowledged(1).await;
        let held = |fact: &Fact| match fact {
            Fact::BarrierAligned { held, .. } => *held,
            _ => 0,
        };
        let held: u64 = driver.facts.lock().expect("whole").iter().map(held).sum();
        // The credit of the barrier itself, and of less than half a window before it, is not back.
        let credits = u64::from(WorkerConfig::default().exchange.credits);
        assert!((credits / 2..=credits).contains(&held), "{held} of {credits}");
        driver.complete(1, false);
        driver.hears(|fact| matches!(fact, Fact::SinkCommitted { .. })).await;
        assert_eq!(driver.kit.vault.visible(), (0..50_000).collect::<Vec<_>>(), "no row of left");
        driver.kit.left.drained().await;
    });
}

#[test]
fn an_abort_releases_what_is_held_and_the_late_half_of_the_barrier_is_swallowed() {
    drive(joined, "memory://", async |driver| {
        driver.deploy(None);
        driver.all(TaskStatus::Running).await;
        driver.trigger(1, vec![LEFT]);
        driver.kit.left.end_at(100_000);
        driver.hears(|fact| matches!(fact, Fact::SourceBlocked { .. })).await;
        driver.abort(1);
        driver.kit.left.drained().await;
        driver.trigger(1, vec![RIGHT]);
        driver.kit.right.end_at(10);
        driver.finish(2).await;
        assert_eq!(driver.kit.vault.visible().len(), 100_010);
        let aligned = |fact: &Fact| match fact {
            Fact::BarrierAligned { checkpoint, .. } => *checkpoint != CheckpointId(2),
            _ => false,
        };
        assert_eq!(driver.told(aligned), 0);
    });
}

#[test]
fn a_newer_barrier_releases_channels_that_wait_for_an_older_one() {
    drive(joined, "memory://", async |driver| {
        driver.kit.left.end_at(100_000);
        driver.kit.right.end_at(100_000);
        driver.deploy(None);
        driver.trigger(1, vec![LEFT]);
        driver.hears(|fact| matches!(fact, Fact::SourceBlocked { .. })).await;
        driver.trigger(2, vec![RIGHT]);
        driver.trigger(2, vec![LEFT]);
        driver.acknowledged(2).await;
        driver.finish(3).await;
        assert_eq!(driver.kit.vault.visible().len(), 200_000);
    });
}

#[test]
fn sources_at_their_end_pass_barriers_until_the_last_checkpoint_is_complete() {
    on_every_storage(joined, async |driver| {
        driver.kit.left.end_at(10);
        driver.kit.right.end_at(20);
        driver.deploy(None);
        driver.until(|driver| driver.ended.len() == 2).await;
        let mut point = None;
        for number in 1..=3 {
            point = Some(driver.checkpoint(number).await);
            for source in [LEFT, RIGHT] {
                assert!(driver.acks[&(CheckpointId(number), source)].1, "at its end");
            }
        }
        assert!(driver.statuses.values().all(|(status, _)| *status == TaskStatus::Running));
        // A source that is restored at its end is there at once, and reads nothing again.
        driver.cancel();
        driver.over().await;
        driver.deploy(point.as_ref());
        driver.finish(4).await;
        let mut expected: Vec<_> = (0..10).chain(0..20).collect();
        expected.sort_unstable();
        assert_eq!(driver.kit.vault.visible(), expected);
    });
}

#[test]
fn a_store_that_refuses_fails_the_checkpoint_and_not_the_task() {
    drive(counts, "ftp://nowhere", async |driver| {
        driver.kit.left.open(1_000);
        driver.deploy(None);
        driver.all(TaskStatus::Running).await;
        driver.trigger(1, driver.sources());
        driver.until(|driver| !driver.trouble.is_empty()).await;
        let declined = |message: &ToJobManager| match message {
            ToJobManager::Declined { checkpoint, cause, .. } => {
                *checkpoint == CheckpointId(1) && cause.contains("no store has the scheme \"ftp\"")
            }
            _ => false,
        };
        assert!(driver.trouble.iter().all(declined), "{:?}", driver.trouble);
        driver.kit.left.open(2_000);
        driver.kit.left.drained().await;
        assert!(driver.statuses.values().all(|(status, _)| *status == TaskStatus::Running));
    });
}

#[test]
fn a_damaged_state_file_is_refused_by_name_and_a_missing_one_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().to_string_lossy().into_owned();
    drive(counts, &folder, async |driver| {
        driver.kit.left.open(1_000);
        driver.deploy(None);
        driver.kit.left.drained().await;
        let point = driver.checkpoint(1).await;
        driver.cancel();
        driver.over().await;
        let file = point.vertices[0].subtasks[0].file().expect("in a file").clone();
        let path = format!("{folder}/{}", file.path);
        let mut bytes =
            driver.host.files().read_at(&path, 0, usize::MAX).expect("where it was put");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        driver.host.files().write(&path, &bytes).expect("ours");
        let mut missing = point.clone();
        if let StateHandle::File(file) = &mut missing.vertices[0].subtasks[0] {
            file.path.push_str("-gone");
        }
        for (point, why) in [(&point, "is damaged"), (&missing, "is missing")] {
            driver.trouble.clear();
            driver.deploy(Some(point));
            driver.until(|driver| !driver.trouble.is_empty()).await;
            let [ToJobManager::RestoreFailed { task, checkpoint, damaged, cause }] =
                &driver.trouble[..]
            else {
                panic!("expected one refusal: {:?}", driver.trouble);
            };
            assert_eq!((task.subtask, *checkpoint, *damaged), (LEFT, CheckpointId(1), true));
            assert!(cause.contains(&file.path) && cause.contains(why), "{cause}");
            let cause = cause.clone();
            driver.until(|driver| driver.statuses.contains_key(&LEFT)).await;
            assert_eq!(driver.statuses[&LEFT], (TaskStatus::Failed, cause));
            driver.cancel();
            driver.over().await;
        }
    });
}

#[test]
fn a_task_that_is_cancelled_while_its_state_is_written_says_nothing_more() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    drive(counts, &folder.path().to_string_lossy(), async |driver| {
        driver.kit.left.end_at(5_000);
        for number in 1..=20 {
            driver.deploy(None);
            driver.trigger(number, driver.sources());
            let taken = |fact: &Fact| match fact {
                Fact::SnapshotTaken { checkpoint, .. } => *checkpoint == CheckpointId(number),
                _ => false,
            };
            driver.hears(taken).await;
            // Wherever it stands: [`Driver::note`] asserts that nothing follows the end.
            driver.cancel();
            driver.over().await;
        }
        driver.deploy(None);
        driver.finish(21).await;
        assert!(driver.kit.vault.visible() == counted(5_000), "every record once");
    });
}

#[test]
fn orders_of_another_epoch_or_attempt_change_nothing() {
    drive(counts, "memory://", async |driver| {
        driver.kit.left.open(1_000);
        driver.deploy(None);
        driver.kit.left.drained().await;
        driver.checkpoint(1).await;
        let completed = CheckpointOrder::Completed { checkpoint: CheckpointId(1), last: true };
        for (epoch, attempt) in [(1, 2), (0, 1), (2, 1)] {
            driver.order_in(epoch, attempt, &completed);
        }
        driver.checkpoint(2).await;
        assert_eq!(driver.probes("fenced.message"), 6, "three orders at two workers");
        assert!(driver.kit.vault.visible().is_empty());
        driver.cancel();
        driver.over().await;
    });
}
