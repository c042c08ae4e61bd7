//! The tasks of one attempt on one worker, from deployment to the last final status.
//! Every task ends with exactly one final status, and what it held is dropped before that is said.
//! The loop of a task is in [`crate::task`]; its channels come from [`super::wiring`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt;
use slackwater_core::element::BarrierKind;
use slackwater_core::fact::{Fact, TaskStatus};
use slackwater_core::id::{CheckpointId, Execution, Subtask};
use slackwater_dataflow::connector::ConnectorError;
use slackwater_dataflow::task::Plan;
use tokio::sync::{Notify, mpsc};

use super::restore::{Restorer, Unrestored};
use super::wiring::{Wired, WiredTask};
use super::{TaskReport, WorkerEvent};
use crate::deployment::{CheckpointOrder, RestorePoint};
use crate::exchange::{Alarm, AttemptKey, Entrance};
use crate::host::{Host, TaskHandle, outside, panic_message};
use crate::task::{self, Failure, Mailbox, Order, Snapshots, Storage, TaskConfig, Wires};
use crate::wire::message::ToJobManager;

/// Tells of tasks: to the task manager, and as facts.
#[derive(Clone)]
pub(super) struct Reporter {
    host: Arc<dyn Host>,
    events: mpsc::UnboundedSender<WorkerEvent>,
}

impl Reporter {
    pub(super) fn new(host: Arc<dyn Host>, events: mpsc::UnboundedSender<WorkerEvent>) -> Self {
        Self { host, events }
    }

    /// States that a task changed.
    pub(super) fn tell(&self, task: Execution, to: TaskStatus, cause: &str) {
        self.host.tell(Fact::TaskStatusChanged { task, to, cause: cause.to_owned() });
    }

    pub(super) fn report(&self, task: Execution, status: TaskStatus) {
        self.tell(task, status, "");
        let report = TaskReport { task, status, cause: String::new(), fatal: false };
        let _ = self.events.send(WorkerEvent::Task(report));
    }

    /// Passes on what a task says of a checkpoint.
    pub(super) fn say(&self, message: ToJobManager) {
        let _ = self.events.send(WorkerEvent::Said(message));
    }

    pub(super) fn failed(&self, task: Execution, failure: &Failure) {
        self.tell(task, TaskStatus::Failed, &failure.cause);
        let (cause, fatal) = (failure.cause.clone(), failure.is_fatal);
        let report = TaskReport { task, status: TaskStatus::Failed, cause, fatal };
        let _ = self.events.send(WorkerEvent::Task(report));
    }
}

/// What the tasks of an attempt run.
pub(super) struct Code {
    pub plan: Plan,
    /// Where they begin, if not with nothing.
    pub restore: Option<RestorePoint>,
    /// Where the files lie that it names.
    pub origin: Option<Storage>,
    /// Savepoints of the job that are complete.
    pub spared: Vec<CheckpointId>,
    pub config: TaskConfig,
}

/// An attempt on this worker.
pub(super) struct RunningAttempt(Rc<Inner>);

struct Inner {
    key: AttemptKey,
    entrance: Rc<Entrance>,
    /// The tasks that have not ended.
    tasks: RefCell<BTreeMap<Subtask, Strings>>,
    links: RefCell<Vec<TaskHandle>>,
    /// What is told of savepoints, if there are checkpoints.
    savepoints: Option<(Arc<dyn Host>, Snapshots)>,
    running: Cell<usize>,
    all_finished: Cell<bool>,
    ended: Notify,
}

/// How a task is reached from outside.
struct Strings {
    /// Rung to cancel.
    cancel: Rc<Alarm>,
    orders: Rc<Mailbox>,
}

impl RunningAttempt {
    /// One that could not start.
    pub(super) fn over(key: AttemptKey, entrance: Rc<Entrance>) -> Self {
        entrance.admit(key, Default::default());
        entrance.dismiss(key.job);
        Self::of_tasks((key, 0), entrance, None)
    }

    /// Opens the entrance for the attempt, and starts its connections and its tasks.
    pub(super) fn start(
        (key, wired): (AttemptKey, Wired),
        (code, snapshots): (Code, Option<Snapshots>),
        entrance: Rc<Entrance>,
        report: &Reporter,
    ) -> Self {
        entrance.admit(key, wired.inbound);
        let host = &report.host;
        let savepoints = snapshots.map(|snapshots| (Arc::clone(host), snapshots));
        let attempt = Self::of_tasks((key, wired.tasks.len()), entrance, savepoints);
        let links = wired.links.into_iter().map(|link| host.spawn("exchange link", link));
        attempt.0.links.replace(links.collect());
        let code = Rc::new(code);
        for wired in wired.tasks {
            let (cancel, orders) = (Rc::new(Alarm::default()), Rc::clone(&wired.wires.orders));
            let strings = Strings { cancel: Rc::clone(&cancel), orders };
            let (name, subtask) = (wired.execution.to_string(), wired.execution.subtask);
            attempt.0.tasks.borrow_mut().insert(subtask, strings);
            let supervised = Supervised { report: report.clone(), cancel, code: Rc::clone(&code) };
            let inner = Rc::clone(&attempt.0);
            let task = async move {
                let has_finished = supervised.run(wired).await;
                inner.on_end(subtask, has_finished);
            };
            host.spawn(&name, Box::pin(task));
        }
        attempt
    }

    fn of_tasks(
        (key, tasks): (AttemptKey, usize),
        entrance: Rc<Entrance>,
        savepoints: Option<(Arc<dyn Host>, Snapshots)>,
    ) -> Self {
        Self(Rc::new(Inner {
            key,
            entrance,
            tasks: RefCell::default(),
            links: RefCell::default(),
            savepoints,
            running: Cell::new(tasks),
            all_finished: Cell::new(true),
            ended: Notify::new(),
        }))
    }

    pub(super) fn key(&self) -> AttemptKey {
        self.0.key
    }

    /// Ends every task that still runs; each says so.
    pub(super) fn cancel(&self) {
        for task in self.0.tasks.borrow().values() {
            task.cancel.ring("cancelled");
        }
    }

    /// Lets the tasks obey: a trigger those that it names, as far as they run here, the rest all.
    /// Where a savepoint goes is for all of them to know.
    pub(super) fn obey(&self, order: &CheckpointOrder) {
        let tasks = self.0.tasks.borrow();
        let (order, named) = match order {
            CheckpointOrder::Trigger { barrier, subtasks, savepoint } => {
                if barrier.kind != BarrierKind::Checkpoint {
                    self.announce(barrier.checkpoint, savepoint.as_deref());
                }
                (Order::Trigger(*barrier), Some(subtasks))
            }
            CheckpointOrder::Completed { checkpoint, last } => {
                (Order::Completed { checkpoint: *checkpoint, last: *last }, None)
            }
            CheckpointOrder::Aborted { checkpoint } => (Order::Aborted(*checkpoint), None),
        };
        let is_meant = |subtask| named.is_none_or(|named| named.contains(subtask));
        for (_, task) in tasks.iter().filter(|(subtask, _)| is_meant(subtask)) {
            task.orders.post(order);
        }
    }

    /// States where a savepoint's state goes; without a place of its own, where that of checkpoints
    /// does.
    fn announce(&self, checkpoint: CheckpointId, url: Option<&str>) {
        let Some((host, Snapshots { storage, targets, .. })) = &self.0.savepoints else { return };
        let storage = url.map_or_else(|| storage.clone(), |url| Storage::of_savepoint(host, url));
        targets.announce(checkpoint, storage);
    }

    /// Waits until no task runs. Cancel safe.
    pub(super) async fn ended(&self) {
        while self.0.running.get() > 0 {
            self.0.ended.notified().await;
        }
    }
}

impl Inner {
    /// After the last task, connections of an attempt that went well end by themselves, once both
    /// sides know of every end; the others are dropped, and their peers learn it from that.
    fn on_end(&self, subtask: Subtask, has_finished: bool) {
        self.tasks.borrow_mut().remove(&subtask);
        self.running.set(self.running.get() - 1);
        self.all_finished.set(self.all_finished.get() && has_finished);
        if self.running.get() > 0 {
            return;
        }
        if self.all_finished.get() {
            self.entrance.retire(self.key.job);
        } else {
            self.entrance.dismiss(self.key.job);
            self.links.borrow().iter().for_each(TaskHandle::abort);
        }
        self.links.take();
        self.ended.notify_one();
    }
}

/// What a task runs under.
struct Supervised {
    report: Reporter,
    cancel: Rc<Alarm>,
    code: Rc<Code>,
}

impl Supervised {
    /// Runs a task to its one final status; whether it has finished.
    async fn run(self, wired: WiredTask) -> bool {
        let WiredTask { execution, wires, alarm } = wired;
        let (counts, orders) = (Arc::clone(&wires.counts), Rc::clone(&wires.orders));
        let guarded = AssertUnwindSafe(self.work(execution, wires)).catch_unwind();
        let ended = tokio::select! {
            biased;
            _ = self.cancel.rung() => None,
            cause = alarm.rung() => Some(Err(Failure { cause, is_fatal: false })),
            worked = guarded => Some(worked.unwrap_or_else(|panic| {
                let message = panic_message(&*panic);
                let task = execution.to_string();
                self.report.host.tell(Fact::Panicked { task, message: message.clone() });
                Err(Failure { cause: format!("panicked: {message}"), is_fatal: false })
            })),
        };
        orders.close();
        counts.time.end(self.report.host.elapsed());
        self.report.host.tell(Fact::TaskCounted {
            task: execution,
            records_in: counts.records_in.get(),
            records_out: counts.records_out.get(),
            late: counts.late.get(),
        });
        match ended {
            Some(Ok(())) => self.report.report(execution, TaskStatus::Finished),
            Some(Err(failure)) => {
                self.report.failed(execution, &failure);
                return false;
            }
            None => {
                self.report.report(execution, TaskStatus::Canceled);
                return false;
            }
        }
        true
    }

    async fn work(&self, execution: Execution, wires: Wires) -> Result<(), Failure> {
        let host = &self.report.host;
        let Code { plan, restore, origin, spared, config } = &*self.code;
        let vertex = execution.subtask.vertex.0 as usize;
        let opened = plan.vertices[vertex].open(execution, &outside(Arc::clone(host)));
        let mut instance = opened.map_err(|ConnectorError { message, fatal }| Failure {
            cause: message,
            is_fatal: fatal,
        })?;
        let (max, vertex) = (plan.graph.max_parallelism, &plan.graph.vertices[vertex]);
        let restorer = Restorer {
            host: &**host,
            task: execution,
            vertex: (vertex, max),
            origin: origin.as_ref(),
            spared,
        };
        if let Err(unrestored) = restorer.restore(restore.as_ref(), &mut instance).await {
            let Unrestored { damaged, failure } = unrestored;
            if let (Some(damaged), Some(point)) = (damaged, restore) {
                let (checkpoint, cause) = (point.checkpoint, failure.cause.clone());
                let task = execution;
                self.report.say(ToJobManager::RestoreFailed { task, checkpoint, damaged, cause });
            }
            return Err(failure);
        }
        self.report.report(execution, TaskStatus::Running);
        let latency_every = plan.graph.latency_every.or(config.latency_every);
        let config = TaskConfig { latency_every, ..*config };
        task::run(Arc::clone(host), execution, instance, wires, config).await
    }
}
