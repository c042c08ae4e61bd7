//! A worker: owns an exchange entrance and runs the tasks that it is told to, on one thread.
//! Decides nothing, and never mixes two attempts of a job: the older one's tasks have ended before
//! the newer one's begin. Commands come from [`crate::taskmanager`]; channels are wired in `wiring`.

mod attempt;
mod meters;
mod parts;
pub mod process;
mod restore;
mod wiring;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt;
use serde::{Deserialize, Serialize};
use slackwater_core::fact::{Fact, TaskStatus};
use slackwater_core::id::{Attempt, JobId, Subtask, WorkerId};
use slackwater_core::program::Program;
use slackwater_dataflow::task::{Plan, PlanError, Programs};
use tokio::sync::mpsc;

use crate::deployment::{CheckpointOrder, Deployment, TaskReport, WorkerCommand, WorkerEvent};
use crate::exchange::{AttemptKey, Entrance, ExchangeConfig, Neighbours};
use crate::host::{Host, TaskHandle, panic_message};
use crate::task::{Failure, Say, Snapshots, Storage, Targets, TaskConfig};
use attempt::{Code, Reporter, RunningAttempt};

pub use self::meters::Meters;

/// The measures of a worker.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerConfig {
    /// Of its exchange.
    pub exchange: ExchangeConfig,
    /// Of each of its tasks.
    pub task: TaskConfig,
}

/// Where a worker sits: its id, and who sits beside it.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its id.
    pub id: WorkerId,
    /// The workers of the same process; batches move to them by pointer.
    pub neighbours: Neighbours,
    /// Where its tasks are counted.
    pub meters: Meters,
}

impl From<WorkerId> for Seat {
    /// A worker alone in its process.
    fn from(id: WorkerId) -> Self {
        Self { id, neighbours: Neighbours::default(), meters: Meters::default() }
    }
}

/// Plans are kept for this many programs.
const PLANS_MAX: usize = 16;

/// A worker, seen from its task manager.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    commands: mpsc::UnboundedSender<WorkerCommand>,
    running: Arc<TaskHandle>,
}

impl WorkerHandle {
    /// Hands a command over; the worker takes commands in order. One that has ended takes none.
    pub fn send(&self, command: WorkerCommand) {
        // An ended worker has said so by an event.
        let _ = self.commands.send(command);
    }

    /// Ends the worker at once, without a word: what a kill does. [`WorkerCommand::Stop`] is the
    /// good way.
    pub fn abort(&self) {
        self.running.abort();
    }
}

/// A worker at work.
#[derive(Debug)]
pub struct Worker;

impl Worker {
    /// Starts a worker; it says [`WorkerEvent::Ready`] once it takes connections.
    pub fn start(
        host: &dyn Host,
        seat: impl Into<Seat>,
        programs: Arc<dyn Programs>,
        config: WorkerConfig,
        events: mpsc::UnboundedSender<WorkerEvent>,
    ) -> WorkerHandle {
        let (commands, received) = mpsc::unbounded_channel();
        let seat = seat.into();
        let name = format!("worker {}", seat.id);
        let make = move |host: Arc<dyn Host>| {
            let desk = Desk::new(host, seat, programs, config, events);
            Box::pin(desk.run(received)) as crate::host::LocalFuture<()>
        };
        let running = host.spawn_worker(&name, Box::new(make));
        WorkerHandle { commands, running: Arc::new(running) }
    }
}

/// Takes commands.
struct Desk {
    host: Arc<dyn Host>,
    seat: Seat,
    programs: Arc<dyn Programs>,
    config: WorkerConfig,
    events: mpsc::UnboundedSender<WorkerEvent>,
    entrance: Rc<Entrance>,
    plans: BTreeMap<Program, Plan>,
    /// The newest attempt of each job that was deployed here.
    attempts: BTreeMap<JobId, RunningAttempt>,
}

impl Desk {
    fn new(
        host: Arc<dyn Host>,
        seat: Seat,
        programs: Arc<dyn Programs>,
        config: WorkerConfig,
        events: mpsc::UnboundedSender<WorkerEvent>,
    ) -> Self {
        let entrance = Entrance::new(Arc::clone(&host), config.exchange);
        let (plans, attempts) = (BTreeMap::new(), BTreeMap::new());
        Self { host, seat, programs, config, events, entrance, plans, attempts }
    }

    async fn run(self, commands: mpsc::UnboundedReceiver<WorkerCommand>) {
        let (host, events, id) =
            (Arc::clone(&self.host), self.events.clone(), self.seat.id.clone());
        let cause = match AssertUnwindSafe(self.serve(commands)).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(cause)) => cause,
            Err(panic) => {
                let message = panic_message(&*panic);
                host.tell(Fact::Panicked {
                    task: format!("worker {id}"),
                    message: message.clone(),
                });
                format!("the worker panicked: {message}")
            }
        };
        let _ = events.send(WorkerEvent::Lost { cause });
    }

    async fn serve(
        mut self,
        mut commands: mpsc::UnboundedReceiver<WorkerCommand>,
    ) -> Result<(), String> {
        let listener = self.host.listen(0).await.map_err(|error| error.to_string())?;
        let data_port = listener.port();
        let serving = Box::pin(Rc::clone(&self.entrance).serve(listener));
        let serving = self.host.spawn("exchange entrance", serving);
        let Seat { id, neighbours, .. } = &self.seat;
        let welcoming = Rc::clone(&self.entrance).welcome(neighbours, id.clone());
        let welcoming = self.host.spawn("exchange neighbours", Box::pin(welcoming));
        let _ = self.events.send(WorkerEvent::Ready { data_port });
        while let Some(command) = commands.recv().await {
            match command {
                WorkerCommand::Deploy(deployment) => self.deploy(*deployment).await,
                WorkerCommand::Cancel { job, attempt } => self.cancel(job, attempt),
                WorkerCommand::Checkpoint { job, epoch, attempt, order } => {
                    self.pass_on(AttemptKey { job, epoch, attempt }, &order);
                }
                WorkerCommand::Moved { job, epoch, attempt, port } => {
                    self.entrance.move_on(AttemptKey { job, epoch, attempt }, port);
                }
                WorkerCommand::Stop => break,
            }
        }
        for attempt in self.attempts.values() {
            attempt.cancel();
            attempt.ended().await;
        }
        serving.abort();
        welcoming.abort();
        Ok(())
    }

    fn cancel(&mut self, job: JobId, attempt: Attempt) {
        match self.attempts.get(&job) {
            Some(running) if running.key().attempt <= attempt => running.cancel(),
            _ => {
                let message = format!("cancel of attempt {attempt} of job {job}");
                let cause = "no such attempt runs here".to_owned();
                self.host.tell(Fact::MessageFenced { message, cause });
            }
        }
    }

    /// Lets the tasks of exactly this attempt obey.
    fn pass_on(&self, key: AttemptKey, order: &CheckpointOrder) {
        match self.attempts.get(&key.job) {
            Some(running) if running.key() == key => running.obey(order),
            _ => {
                let message = format!("{order} for attempt {} of job {}", key.attempt, key.job);
                let cause = "no such attempt runs here".to_owned();
                self.host.tell(Fact::MessageFenced { message, cause });
            }
        }
    }

    async fn deploy(&mut self, deployment: Deployment) {
        let Deployment { job, epoch, attempt, .. } = deployment;
        let key = AttemptKey { job, epoch, attempt };
        if let Some(older) = self.attempts.get(&job) {
            let current = older.key();
            if (epoch, attempt) <= (current.epoch, current.attempt) {
                let message = format!("deployment of attempt {attempt} of job {job}");
                let cause = format!("attempt {} is deployed here", current.attempt);
                self.host.tell(Fact::MessageFenced { message, cause: cause.clone() });
                return self.decline(key, &deployment.subtasks, &cause);
            }
            older.cancel();
            older.ended().await;
        }
        let report = Reporter::new(Arc::clone(&self.host), self.events.clone());
        for subtask in &deployment.subtasks {
            report.tell(key.execution(*subtask), TaskStatus::Deploying, "");
        }
        match self.start(key, &deployment, &report) {
            Ok(running) => {
                self.attempts.insert(job, running);
            }
            Err(failure) => {
                for subtask in &deployment.subtasks {
                    report.failed(key.execution(*subtask), &failure);
                }
                let failed = RunningAttempt::over(key, Rc::clone(&self.entrance));
                self.attempts.insert(job, failed);
            }
        }
    }

    /// Says that nothing was started: no deployment is left without an answer. No task changes.
    fn decline(&self, key: AttemptKey, subtasks: &[Subtask], cause: &str) {
        for subtask in subtasks {
            let (task, status) = (key.execution(*subtask), TaskStatus::Failed);
            let report = TaskReport { task, status, cause: cause.to_owned(), fatal: false };
            let _ = self.events.send(WorkerEvent::Task(report));
        }
    }

    fn start(
        &mut self,
        key: AttemptKey,
        deployment: &Deployment,
        report: &Reporter,
    ) -> Result<RunningAttempt, Failure> {
        let plan = self.plan(&deployment.program)?;
        let storage = deployment.checkpoints.as_ref().map(|c| Storage::open(&self.host, c));
        let say = report.clone();
        let say: Say = Rc::new(move |message| say.say(message));
        let targets = Rc::new(Targets::default());
        let snapshots = storage.map(|storage| Snapshots { storage, targets, say });
        let site = wiring::Site {
            host: &self.host,
            seat: &self.seat,
            config: &self.config.exchange,
            snapshots: snapshots.as_ref(),
        };
        let wired = wiring::wire(site, key, deployment, &plan);
        let wired = wired.map_err(|cause| Failure { cause, is_fatal: true })?;
        let restore = deployment.restore.clone();
        let folder = restore.as_ref().and_then(|point| point.storage.as_deref());
        let origin = match folder {
            Some(folder) => Some(Storage::of_savepoint(&self.host, folder)),
            None => snapshots.as_ref().map(|snapshots| snapshots.storage.clone()),
        };
        let spared = deployment.spared.clone();
        let code = Code { plan, restore, origin, spared, config: self.config.task };
        let entrance = Rc::clone(&self.entrance);
        Ok(RunningAttempt::start((key, wired), (code, snapshots), entrance, report))
    }

    fn plan(&mut self, program: &Program) -> Result<Plan, Failure> {
        if let Some(plan) = self.plans.get(program) {
            return Ok(plan.clone());
        }
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
        // Building a plan runs user code.
        let planned = std::panic::catch_unwind(AssertUnwindSafe(|| self.programs.plan(program)));
        let refused = |cause: String| Failure { cause, is_fatal: true };
        let plan = planned
            .map_err(|panic| refused(format!("the program panicked: {}", panic_message(&*panic))))?
            .map_err(|error: PlanError| refused(error.to_string()))?;
        self.plans.insert(program.clone(), plan.clone());
        Ok(plan)
    }
}
