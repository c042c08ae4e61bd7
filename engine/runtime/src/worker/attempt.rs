//! The tasks of one attempt on one worker, from deployment to the last final status.
//! Every task ends with exactly one final status, and what it held is dropped before that is said.
//! The loop of a task is in [`crate::task`]; its channels come from [`super::wiring`].

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt;
use slackwater_core::fact::{Fact, TaskStatus};
use slackwater_core::id::Execution;
use slackwater_dataflow::connector::ConnectorError;
use slackwater_dataflow::task::{Plan, VertexCode};
use tokio::sync::{Notify, mpsc};

use super::wiring::{Wired, WiredTask};
use super::{TaskReport, WorkerEvent};
use crate::exchange::{Alarm, AttemptKey, Entrance};
use crate::host::{Host, TaskHandle, outside, panic_message};
use crate::task::{self, Failure, TaskConfig, Wires};

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

    pub(super) fn failed(&self, task: Execution, failure: &Failure) {
        self.tell(task, TaskStatus::Failed, &failure.cause);
        let (cause, fatal) = (failure.cause.clone(), failure.is_fatal);
        let report = TaskReport { task, status: TaskStatus::Failed, cause, fatal };
        let _ = self.events.send(WorkerEvent::Task(report));
    }
}

/// An attempt on this worker.
pub(super) struct RunningAttempt(Rc<Inner>);

struct Inner {
    key: AttemptKey,
    entrance: Rc<Entrance>,
    /// Rung to cancel; by task.
    cancels: RefCell<Vec<Rc<Alarm>>>,
    links: RefCell<Vec<TaskHandle>>,
    running: Cell<usize>,
    all_finished: Cell<bool>,
    ended: Notify,
}

impl RunningAttempt {
    /// One that could not start.
    pub(super) fn over(key: AttemptKey, entrance: Rc<Entrance>) -> Self {
        entrance.admit(key, Default::default());
        entrance.dismiss(key.job);
        Self::of_tasks(key, entrance, 0)
    }

    /// Opens the entrance for the attempt, and starts its connections and its tasks.
    pub(super) fn start(
        (key, wired): (AttemptKey, Wired),
        plan: &Plan,
        entrance: Rc<Entrance>,
        report: &Reporter,
        config: TaskConfig,
    ) -> Self {
        entrance.admit(key, wired.inbound);
        let attempt = Self::of_tasks(key, entrance, wired.tasks.len());
        let host = &report.host;
        let links = wired.links.into_iter().map(|link| host.spawn("exchange link", link));
        attempt.0.links.replace(links.collect());
        for wired in wired.tasks {
            let code = Arc::clone(&plan.vertices[wired.execution.subtask.vertex.0 as usize]);
            let cancel = Rc::new(Alarm::default());
            attempt.0.cancels.borrow_mut().push(Rc::clone(&cancel));
            let name = wired.execution.to_string();
            let supervised = Supervised { report: report.clone(), cancel, code, config };
            let inner = Rc::clone(&attempt.0);
            let task = async move {
                let has_finished = supervised.run(wired).await;
                inner.on_end(has_finished);
            };
            host.spawn(&name, Box::pin(task));
        }
        attempt
    }

    fn of_tasks(key: AttemptKey, entrance: Rc<Entrance>, tasks: usize) -> Self {
        Self(Rc::new(Inner {
            key,
            entrance,
            cancels: RefCell::default(),
            links: RefCell::default(),
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
        for cancel in &*self.0.cancels.borrow() {
            cancel.ring("cancelled");
        }
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
    fn on_end(&self, has_finished: bool) {
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
        self.cancels.take();
        self.links.take();
        self.ended.notify_one();
    }
}

/// What a task runs under.
struct Supervised {
    report: Reporter,
    cancel: Rc<Alarm>,
    code: Arc<dyn VertexCode>,
    config: TaskConfig,
}

impl Supervised {
    /// Runs a task to its one final status; whether it has finished.
    async fn run(self, wired: WiredTask) -> bool {
        let WiredTask { execution, wires, alarm } = wired;
        let counts = Rc::clone(&wires.counts);
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
        let opened = self.code.open(execution, &outside(Arc::clone(host)));
        let instance = opened.map_err(|ConnectorError { message, fatal }| Failure {
            cause: message,
            is_fatal: fatal,
        })?;
        self.report.report(execution, TaskStatus::Running);
        task::run(Arc::clone(host), execution, instance, wires, self.config).await
    }
}
