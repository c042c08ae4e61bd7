//! Any order of submissions, registrations, losses, reports, cancels and waits keeps the promises of
//! the control plane: no slot held twice, legal transitions only, slots free at the end, no rerun.
//! Never runs a task: reports are what the machine under test is fed. Tables are in `src/`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use slackwater_control::cluster::{Cluster, Command};
use slackwater_control::job::{EXITS, Report};
use slackwater_control::slots::OfferedWorker;
use slackwater_core::fact::{Fact, JobStatus, TaskStatus};
use slackwater_core::graph::{JobGraph, Restart, Vertex};
use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId, TaskManagerId, VertexId, WorkerId};
use slackwater_core::program::Program;

/// Something that happens to the cluster.
#[derive(Clone, Debug)]
enum Event {
    Submit {
        job: u128,
        parallelism: u32,
        restarts: u32,
    },
    Register {
        task_manager: usize,
        slots: u32,
    },
    Lose {
        task_manager: usize,
    },
    /// The n-th task that was ever deployed says this.
    Report {
        task: usize,
        status: TaskStatus,
        fatal: bool,
    },
    Cancel {
        job: u128,
    },
    Wait {
        seconds: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let status = prop_oneof![
        4 => Just(TaskStatus::Running),
        3 => Just(TaskStatus::Finished),
        1 => Just(TaskStatus::Failed),
        2 => Just(TaskStatus::Canceled),
    ];
    prop_oneof![
        2 => (0..3u128, 1..4u32, 0..3u32)
            .prop_map(|(job, parallelism, restarts)| Event::Submit { job, parallelism, restarts }),
        3 => (0..3usize, 1..4u32)
            .prop_map(|(task_manager, slots)| Event::Register { task_manager, slots }),
        1 => (0..3usize).prop_map(|task_manager| Event::Lose { task_manager }),
        20 => (0..40usize, status, prop::bool::weighted(0.1))
            .prop_map(|(task, status, fatal)| Event::Report { task, status, fatal }),
        1 => (0..3u128).prop_map(|job| Event::Cancel { job }),
        3 => (0..3u64).prop_map(|seconds| Event::Wait { seconds }),
    ]
}

fn graph(parallelism: u32, restarts: u32) -> JobGraph {
    let vertex = |id, parallelism| Vertex {
        id: VertexId(id),
        name: format!("v{id}"),
        parallelism,
        operators: Vec::new(),
    };
    JobGraph {
        name: "job".into(),
        max_parallelism: 128,
        restart: match restarts {
            0 => Restart::None,
            attempts => Restart::FixedDelay { attempts, delay: Duration::from_secs(1) },
        },
        checkpoints: None,
        latency_every: None,
        vertices: vec![vertex(0, 1), vertex(1, parallelism)],
        edges: Vec::new(),
    }
}

/// A cluster, and what its commands and facts have said so far.
struct Witness {
    cluster: Cluster,
    now: Duration,
    /// Every task that was ever deployed, in order, with its task manager.
    deployed: Vec<(Execution, TaskManagerId)>,
    holders: BTreeMap<(TaskManagerId, u32), JobId>,
    statuses: BTreeMap<JobId, JobStatus>,
    restarts: BTreeMap<JobId, u32>,
}

impl Witness {
    fn happens(&mut self, event: Event) {
        let task_manager = |index: usize| TaskManagerId(format!("tm-{index}"));
        let now = self.now;
        let commands = match event {
            Event::Submit { job, parallelism, restarts } => {
                let program = Program::named("job").set("p", parallelism).set("r", restarts);
                let job = JobId(job);
                let submitted =
                    self.cluster.submit(now, job, (program, None), graph(parallelism, restarts));
                submitted.unwrap_or_default()
            }
            Event::Register { task_manager: index, slots } => {
                let id = task_manager(index);
                let worker = WorkerId { task_manager: id.clone(), index: 0 };
                let offered = OfferedWorker { id: worker, address: format!("{id}:1") };
                self.cluster.register(now, id, slots, vec![offered])
            }
            Event::Lose { task_manager: index } => {
                self.cluster.lose(now, &task_manager(index), "gone", now)
            }
            Event::Report { task, status, fatal } => match self.deployed.get(task) {
                None => Vec::new(),
                Some((task, _)) => {
                    let cause = "said so".to_owned();
                    self.cluster.report(now, &Report { task: *task, status, cause, fatal })
                }
            },
            Event::Cancel { job } => self.cluster.cancel(now, JobId(job)).unwrap_or_default(),
            Event::Wait { seconds } => {
                self.now += Duration::from_secs(seconds);
                self.cluster.tick(self.now)
            }
        };
        commands.into_iter().for_each(|command| self.obeys(command));
    }

    fn obeys(&mut self, command: Command) {
        match command {
            Command::Tell(fact) => self.hears(fact),
            Command::Persist { job, ticket, .. } => {
                let more = self.cluster.persisted(self.now, job, ticket);
                more.into_iter().for_each(|command| self.obeys(command));
            }
            Command::Cancel { .. } => {}
            Command::Deploy { worker, job, attempt, subtasks, placement, .. } => {
                let status = self.statuses[&job];
                assert_eq!(status, JobStatus::Deploying, "only a deploying job is deployed");
                let placed: BTreeSet<_> = placement.iter().map(|place| place.subtask).collect();
                assert_eq!(placed.len(), placement.len(), "a subtask has one place");
                for subtask in subtasks {
                    let task = Execution { job, epoch: JobEpoch(1), attempt, subtask };
                    assert!(
                        self.deployed.iter().all(|(known, _)| *known != task),
                        "an execution is deployed once"
                    );
                    self.deployed.push((task, worker.task_manager.clone()));
                }
            }
            other => panic!("jobs without checkpoints command {other:?}"),
        }
    }

    fn hears(&mut self, fact: Fact) {
        match fact {
            Fact::SlotAllocated { job, task_manager, slot } => {
                let held = self.holders.insert((task_manager, slot), job);
                assert_eq!(held, None, "a slot has one holder");
            }
            Fact::SlotFreed { job, task_manager, slot } => {
                let held = self.holders.remove(&(task_manager, slot));
                assert_eq!(held, Some(job), "a slot is freed once, by its holder");
            }
            Fact::TaskManagerLost { task_manager, .. } => {
                self.holders.retain(|(id, _), _| *id != task_manager);
            }
            Fact::JobStatusChanged { job, from, to, .. } => {
                let known = self.statuses.insert(job, to).unwrap_or(JobStatus::Created);
                assert_eq!(known, from, "no transition goes untold");
                let exits = EXITS.iter().find(|(state, _)| *state == from).map(|(_, exits)| exits);
                assert!(exits.is_some_and(|exits| exits.contains(&to)), "{from} -> {to}");
                *self.restarts.entry(job).or_default() += u32::from(to == JobStatus::Restarting);
            }
            _ => {}
        }
    }

    fn is_sound(&self) {
        for line in self.cluster.jobs() {
            let held = self.holders.values().filter(|job| **job == line.id).count();
            let runs = [JobStatus::Deploying, JobStatus::Running].contains(&line.status);
            assert!(!runs || held > 0, "a running job holds slots");
            let waits = [JobStatus::Scheduling, JobStatus::Restarting].contains(&line.status);
            assert!(!(waits || line.status.is_final()) || held == 0, "{line:?} holds {held}");
            assert!(
                self.restarts.get(&line.id).is_none_or(|restarts| *restarts <= 2),
                "within limits"
            );
        }
    }
}

proptest! {
    #[test]
    fn any_order_of_events_keeps_every_promise(events in prop::collection::vec(event(), 1..120)) {
        let mut witness = Witness {
            cluster: Cluster::new(JobEpoch(1)),
            now: Duration::ZERO,
            deployed: Vec::new(),
            holders: BTreeMap::new(),
            statuses: BTreeMap::new(),
            restarts: BTreeMap::new(),
        };
        for event in events {
            witness.happens(event);
            witness.is_sound();
        }
    }
}

/// Makes every entry durable at once; all commands, those that follow from it included.
fn last(cluster: &mut Cluster, commands: Vec<Command>) -> Vec<Command> {
    let mut all = Vec::new();
    let mut queue = std::collections::VecDeque::from(commands);
    while let Some(command) = queue.pop_front() {
        if let Command::Persist { job, ticket, .. } = command {
            queue.extend(cluster.persisted(Duration::ZERO, job, ticket));
        }
        all.push(command);
    }
    all
}

fn submit(cluster: &mut Cluster, graph: JobGraph) -> Vec<Command> {
    let commands = cluster.submit(Duration::ZERO, JobId(1), (Program::named("job"), None), graph);
    last(cluster, commands.expect("accepted"))
}

#[test]
fn several_tasks_of_one_lost_task_manager_are_one_failure() {
    let mut cluster = Cluster::new(JobEpoch(1));
    let tm = TaskManagerId("tm".into());
    let worker = WorkerId { task_manager: tm.clone(), index: 0 };
    let offered = OfferedWorker { id: worker, address: "tm:1".into() };
    let zero = Duration::ZERO;
    cluster.register(zero, tm.clone(), 3, vec![offered.clone()]);
    submit(&mut cluster, graph(3, 1));
    cluster.lose(zero, &tm, "killed", zero);
    assert_eq!(cluster.jobs()[0].status, JobStatus::Restarting);
    assert_eq!(cluster.wakes_at(), Some(Duration::from_secs(1)));
    // A wait for slots is not a failure, however long it lasts.
    cluster.tick(Duration::from_secs(3600));
    assert_eq!(cluster.jobs()[0].status, JobStatus::Scheduling);
    let commands = cluster.register(Duration::from_secs(3600), tm.clone(), 3, vec![offered]);
    last(&mut cluster, commands);
    let line = &cluster.jobs()[0];
    assert_eq!((line.status, line.attempt), (JobStatus::Deploying, Attempt(2)));
    // The budget of one restart is used up now.
    let commands = cluster.lose(Duration::from_secs(3601), &tm, "killed again", zero);
    last(&mut cluster, commands);
    assert_eq!(cluster.jobs()[0].status, JobStatus::Failed);
    assert!(cluster.jobs()[0].cause.contains("killed again"));
}

#[test]
fn a_task_manager_that_fell_silent_is_not_replaced_before_its_tasks_have_stopped() {
    let mut cluster = Cluster::new(JobEpoch(1));
    let zero = Duration::ZERO;
    for name in ["a", "b"] {
        let id = TaskManagerId(name.into());
        let worker = WorkerId { task_manager: id.clone(), index: 0 };
        let offered = OfferedWorker { id: worker, address: format!("{name}:1") };
        cluster.register(zero, id, 1, vec![offered]);
    }
    submit(&mut cluster, graph(1, 1));
    let fenced_until = Duration::from_secs(7);
    cluster.lose(zero, &TaskManagerId("a".into()), "no heartbeat", fenced_until);
    for (second, status) in [(1, JobStatus::Restarting), (7, JobStatus::Deploying)] {
        cluster.tick(Duration::from_secs(second));
        assert_eq!(cluster.jobs()[0].status, status, "after {second} s");
    }
}

#[test]
fn a_task_that_was_canceled_and_nobody_asked_for_it_is_a_failure_of_the_job() {
    let mut cluster = Cluster::new(JobEpoch(1));
    let tm = TaskManagerId("tm".into());
    let worker = WorkerId { task_manager: tm.clone(), index: 0 };
    let offered = OfferedWorker { id: worker, address: "tm:1".into() };
    let zero = Duration::ZERO;
    cluster.register(zero, tm, 1, vec![offered]);
    let commands = submit(&mut cluster, graph(1, 0));
    let deployed = commands.into_iter().find_map(|command| match command {
        Command::Deploy { job, attempt, subtasks, .. } => {
            let task = |subtask| Execution { job, epoch: JobEpoch(1), attempt, subtask };
            Some(subtasks.into_iter().map(task).collect::<Vec<_>>())
        }
        _ => None,
    });
    let status = TaskStatus::Canceled;
    for task in deployed.expect("a deployment") {
        let report = Report { task, status, cause: String::new(), fatal: false };
        let commands = cluster.report(zero, &report);
        last(&mut cluster, commands);
    }
    let line = &cluster.jobs()[0];
    assert_eq!(line.status, JobStatus::Failed);
    assert!(line.cause.contains("nobody asked for it"), "{}", line.cause);
}
