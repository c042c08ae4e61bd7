//! The worker processes of a task manager: one for each attempt of a job whose code is in a binary of
//! its own. Never runs such code in this process, and never lets its end be that of the task manager:
//! what ran in it has failed, with the reason. What it does inside is [`crate::worker::process`]'s.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::TaskStatus;
use slackwater_core::id::{Execution, JobId};
use tokio::sync::{mpsc, oneshot};

use super::TaskManagerConfig;
use crate::client::Client;
use crate::deployment::{TaskReport, WorkerCommand, WorkerEvent};
use crate::exchange::AttemptKey;
use crate::host::{Host, Listener, within};
use crate::wire::frame::{FrameReader, FrameWriter};
use crate::wire::handshake::{Handshake, Role};
use crate::wire::session::{End, Heartbeat, Session, SessionEnd};
use crate::worker::process::{Answered, Call, Calling, Ordered};
use crate::worker::{Meters, WorkerHandle};

/// How long a process may take until it calls.
const UP_WITHIN: Duration = Duration::from_secs(30);

/// How long a process that is lost may take to be gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Starts worker processes: the one thing that differs between a machine and a simulated world.
pub trait Launcher: Send + Sync {
    /// Whether the binary of this hash is at hand.
    fn has(&self, hash: &str) -> bool;

    /// Keeps a binary, whose hash was verified.
    ///
    /// # Errors
    /// In words, if there is no room for it.
    fn keep(&self, hash: &str, binary: &[u8]) -> Result<(), String>;

    /// Starts a process that runs [`crate::worker::process::serve`].
    ///
    /// # Errors
    /// In words, if the system starts none: another architecture, no right to execute.
    fn launch(
        &self,
        host: &Arc<dyn Host>,
        hash: &str,
        calling: &Calling,
    ) -> Result<Box<dyn Launched>, String>;
}

/// A process that was started. Dropping it kills the process.
pub trait Launched {
    /// Completes with how it ended, in words. Cancel safe.
    fn ended(&mut self) -> Pin<Box<dyn Future<Output = String> + '_>>;
}

/// How worker processes are started, if they are.
#[derive(Clone, Default)]
pub struct Launching(pub Option<Arc<dyn Launcher>>);

impl fmt::Debug for Launching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Launching" } else { "Launching(nothing)" })
    }
}

/// What all processes of a task manager have in common.
struct Common {
    host: Arc<dyn Host>,
    config: TaskManagerConfig,
    events: mpsc::UnboundedSender<WorkerEvent>,
    meters: Meters,
}

/// The processes of a task manager.
pub(super) struct Processes {
    common: Rc<Common>,
    by_job: BTreeMap<JobId, Process>,
}

/// One of them.
struct Process {
    key: AttemptKey,
    orders: mpsc::UnboundedSender<Ordered>,
    live: Live,
    /// Resolves when it is gone.
    gone: Option<oneshot::Receiver<()>>,
}

/// The tasks of a process that have not ended.
type Live = Rc<RefCell<BTreeSet<Execution>>>;

impl Processes {
    pub(super) fn new(
        host: Arc<dyn Host>,
        config: TaskManagerConfig,
        events: mpsc::UnboundedSender<WorkerEvent>,
        meters: Meters,
    ) -> Self {
        let common = Rc::new(Common { host, config, events, meters });
        Self { common, by_job: BTreeMap::new() }
    }

    /// Whether this attempt runs in a process of its own.
    pub(super) fn has(&self, key: AttemptKey) -> bool {
        self.by_job.get(&key.job).is_some_and(|process| process.key == key)
    }

    /// The process of an attempt, which is started if need be.
    pub(super) fn of(
        &mut self,
        key: AttemptKey,
        hash: &str,
        beat: Heartbeat,
        workers: &[WorkerHandle],
    ) {
        if self.has(key) {
            return;
        }
        let before = self.by_job.remove(&key.job).and_then(|mut process| process.gone.take());
        let (orders, ordered) = mpsc::unbounded_channel();
        let (tell, gone) = oneshot::channel();
        let live = Live::default();
        let attended = Attended {
            common: Rc::clone(&self.common),
            key,
            hash: hash.to_owned(),
            beat,
            workers: workers.to_vec(),
            live: Rc::clone(&live),
        };
        let attending = async move {
            if let Some(before) = before {
                // No two attempts of a job run here.
                let _ = before.await;
            }
            attended.attend(ordered).await;
            let _ = tell.send(());
        };
        self.common.host.spawn("worker process", Box::pin(attending));
        let process = Process { key, orders, live, gone: Some(gone) };
        self.by_job.insert(key.job, process);
    }

    /// Hands a command to a worker of a job's process.
    pub(super) fn send(&self, job: JobId, worker: u32, command: WorkerCommand) {
        let Some(process) = self.by_job.get(&job) else { return };
        if let WorkerCommand::Deploy(deployment) = &command {
            let tasks = deployment.subtasks.iter().map(|subtask| process.key.execution(*subtask));
            process.live.borrow_mut().extend(tasks);
        }
        // One that has ended has said how.
        let _ = process.orders.send(Ordered { worker, command });
    }

    /// Ends the process of a job: none of its tasks runs any more.
    pub(super) fn end(&mut self, job: JobId) {
        if let Some(process) = self.by_job.get_mut(&job) {
            let (closed, _) = mpsc::unbounded_channel();
            process.orders = closed;
        }
    }
}

/// One process from its start to its end.
struct Attended {
    common: Rc<Common>,
    key: AttemptKey,
    hash: String,
    beat: Heartbeat,
    workers: Vec<WorkerHandle>,
    live: Live,
}

impl Attended {
    /// Whatever happens: every task that was deployed gets one final status.
    async fn attend(self, orders: mpsc::UnboundedReceiver<Ordered>) {
        let ended = self.run(orders).await;
        let (cause, fatal) = match ended {
            Ok(()) => ("the worker process has ended".to_owned(), false),
            Err(failure) => failure,
        };
        let (job, attempt) = (self.key.job, self.key.attempt);
        self.common.meters.forget(|task| task.job == job && task.attempt == attempt);
        for task in self.live.take() {
            let report =
                TaskReport { task, status: TaskStatus::Failed, cause: cause.clone(), fatal };
            let _ = self.common.events.send(WorkerEvent::Task(report));
        }
    }

    async fn run(&self, orders: mpsc::UnboundedReceiver<Ordered>) -> Result<(), (String, bool)> {
        let fatal = |why: String| (why, true);
        let passing = |why: String| (why, false);
        let launcher = self.common.config.launching.0.as_ref();
        let launcher = launcher
            .ok_or_else(|| fatal("this task manager runs no code that was delivered".into()))?;
        if !launcher.has(&self.hash) {
            let binary = self.fetch().await.map_err(passing)?;
            launcher.keep(&self.hash, &binary).map_err(passing)?;
        }
        let host = &self.common.host;
        let listener = host.listen(0).await.map_err(|error| passing(error.to_string()))?;
        let calling = self.calling(listener.port());
        let mut process = launcher.launch(host, &self.hash, &calling).map_err(fatal)?;
        let (ports, reader, writer) = tokio::select! {
            biased;
            how = process.ended() => return Err(passing(format!("the worker process {how}"))),
            called = within(&**host, UP_WITHIN, self.called(listener, &calling.secret)) => {
                let late = || passing(format!("the worker process does not call within {UP_WITHIN:?}"));
                called.ok_or_else(late)?
            }
        };
        for (worker, port) in self.workers.iter().zip(ports) {
            let AttemptKey { job, epoch, attempt } = self.key;
            worker.send(WorkerCommand::Moved { job, epoch, attempt, port });
        }
        let ended = tokio::select! {
            biased;
            how = process.ended() => Err(format!("the worker process {how}")),
            end = self.converse((reader, writer), orders) => match end {
                SessionEnd::Ours => Ok(()),
                // A process that dies closes its connection first; how it died says more.
                lost => match within(&**host, LAST_WORDS, process.ended()).await {
                    Some(how) => Err(format!("the worker process {how}")),
                    None => Err(format!("the worker process is lost: {lost}")),
                },
            },
        };
        ended.map_err(passing)
    }

    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let (host, config) = (&*self.common.host, &self.common.config);
        let client = Client::connect(host, &config.job_manager, config.handshake).await;
        let mut client = client.map_err(|error| error.to_string())?;
        client.fetch(host, &self.hash).await.map_err(|error| error.to_string())
    }

    fn calling(&self, port: u16) -> Calling {
        let (host, AttemptKey { job, epoch, attempt }) = (&self.common.host, self.key);
        let mut secrets = host.random(&format!("worker process {job} {epoch} {attempt}"));
        Calling {
            address: format!("{}:{port}", host.name()),
            secret: format!("{:032x}", secrets.next_u128()),
            task_manager: host.name().to_owned(),
            workers: self.workers.len() as u32,
            config: self.common.config.worker,
            bind: self.common.config.bind,
        }
    }

    /// Waits for the call of the process; whoever else calls is sent away.
    async fn called(
        &self,
        mut listener: Box<dyn Listener>,
        secret: &str,
    ) -> (Vec<u16>, FrameReader, FrameWriter) {
        let host = &*self.common.host;
        loop {
            let Ok((conn, peer)) = listener.accept().await else {
                host.sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(caller) = Handshake::default().receive(host, conn, &peer).await else {
                continue;
            };
            let call = match caller.hello.role {
                Role::Worker => caller.hello.body::<Call>(),
                role => Err(format!("a {role} is not waited for here")),
            };
            match call {
                Ok(call) if call.secret == secret => {
                    if let Ok((reader, writer)) = caller.welcome(host, &self.beat).await {
                        return (call.ports, reader, writer);
                    }
                }
                Ok(_) => caller.refuse(host, "another process is waited for").await,
                Err(reason) => caller.refuse(host, &reason).await,
            }
        }
    }

    async fn converse(
        &self,
        conn: (FrameReader, FrameWriter),
        orders: mpsc::UnboundedReceiver<Ordered>,
    ) -> SessionEnd {
        let (host, meters) = (Arc::clone(&self.common.host), self.common.meters.clone());
        let peer = format!("worker process of {}", self.key.job);
        let mut session = Session::new(host, End::Landlord, peer, conn, self.beat)
            .taking(move |told| meters.absorb(told));
        let hear = |Answered(event): Answered| {
            if let WorkerEvent::Task(report) = &event {
                let is_final = matches!(
                    report.status,
                    TaskStatus::Finished | TaskStatus::Canceled | TaskStatus::Failed
                );
                if is_final {
                    self.live.borrow_mut().remove(&report.task);
                }
            }
            if matches!(event, WorkerEvent::Task(_) | WorkerEvent::Said(_)) {
                let _ = self.common.events.send(event);
            }
        };
        session.run(orders, hear).await
    }
}
