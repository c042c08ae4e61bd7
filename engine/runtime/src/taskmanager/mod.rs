//! The task manager: starts workers, registers, offers slots, starts and cancels tasks, reports.
//! Never decides. When it cannot reach its job manager any more, it stops its tasks by itself.
//! What runs the tasks is [`crate::worker`]; who decides is the job manager.

pub mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::{Fact, TaskStatus};
use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId, TaskManagerId, WorkerId};
use slackwater_dataflow::task::Programs;
use tokio::sync::mpsc;

use crate::deployment::{CheckpointOrder, Deployment, WorkerCommand, WorkerEvent};
use crate::exchange::{AttemptKey, Neighbours};
use crate::host::Host;
use crate::wire::frame::{FrameReader, FrameWriter};
use crate::wire::handshake::{Handshake, HandshakeError, Hello, Role};
use crate::wire::message::{Admission, Registration, ToJobManager, ToTaskManager};
use crate::wire::session::{End, Heartbeat, Session};
use crate::worker::{Meters, Seat, Worker, WorkerConfig, WorkerHandle};
use process::{Launching, Processes};

/// The measures of a task manager.
#[derive(Clone, Debug)]
pub struct TaskManagerConfig {
    /// Where its job manager listens: one `name:port`, or several parted by commas, of which one
    /// leads. They are asked in turn.
    pub job_manager: String,
    /// How many slots it offers.
    pub slots: u32,
    /// How many workers they are spread over.
    pub workers: u32,
    /// How long an attempt to connect may take.
    pub connect_within: Duration,
    /// How long it waits before it tries again; at least 500 ms.
    pub reconnect_after: Duration,
    /// How it shakes hands.
    pub handshake: Handshake,
    /// Under which name or address others reach its workers; `None`: under the host's name.
    pub advertise: Option<String>,
    /// The address of the machine that its worker processes listen on, unless it is loopback.
    pub bind: Option<IpAddr>,
    /// Of its workers.
    pub worker: WorkerConfig,
    /// How it starts processes for code that was delivered; without it, such code is refused.
    pub launching: Launching,
}

impl Default for TaskManagerConfig {
    fn default() -> Self {
        Self {
            job_manager: format!("localhost:{}", crate::jobmanager::PORT),
            slots: 1,
            workers: 1,
            connect_within: Duration::from_secs(2),
            reconnect_after: Duration::from_millis(500),
            handshake: Handshake::default(),
            advertise: None,
            bind: None,
            worker: WorkerConfig::default(),
            launching: Launching::default(),
        }
    }
}

/// Why a task manager ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskManagerError {
    /// The job manager speaks another protocol version.
    OtherVersion(String),
    /// The job manager does not want it: a malformed registration, a name that is taken.
    Refused(String),
    /// One of its workers ended.
    WorkerLost(String),
}

impl fmt::Display for TaskManagerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVersion(cause) => f.write_str(cause),
            Self::Refused(cause) => write!(f, "the job manager refused: {cause}"),
            Self::WorkerLost(cause) => write!(f, "a worker ended: {cause}"),
        }
    }
}

impl std::error::Error for TaskManagerError {}

/// Runs a task manager on a host until the host drops it.
///
/// # Errors
/// If the job manager refuses it, or a worker ends. A job manager that cannot be reached is no
/// error: it is tried again for ever.
pub async fn run(
    host: Arc<dyn Host>,
    config: TaskManagerConfig,
    programs: Arc<dyn Programs>,
) -> Result<(), TaskManagerError> {
    let mut crew = Crew::start(&host, &config, &programs).await?;
    let registration = Registration { slots: config.slots, workers: crew.addresses.clone() };
    let hello = Hello::new(Role::TaskManager, host.name(), &registration);
    let mut newest = JobEpoch::default();
    loop {
        let connected = connect(&*host, &config, &hello, newest).await?;
        if let Some((address, (admission, reader, writer))) = connected {
            newest = admission.epoch;
            crew.beat = admission.heartbeat;
            let conn = (reader, writer);
            let (at, beat) = (Arc::clone(&host), admission.heartbeat);
            let (clock, meters) = (Arc::clone(&host), crew.meters.clone());
            let mut session = Session::new(at, End::Tenant, address, conn, beat)
                .gathering(move || meters.report(clock.elapsed()));
            let cause = crew.serve(&*host, admission.epoch, &mut session).await?;
            let task_manager = TaskManagerId(host.name().to_owned());
            host.tell(Fact::JobManagerLost { task_manager, cause });
            crew.stop_tasks().await?;
            // Only now may the job manager see the connection end.
            drop(session);
        }
        crew.idle(host.sleep(config.reconnect_after)).await?;
    }
}

type Admitted = (Admission, FrameReader, FrameWriter);

/// Asks one job manager after the other; `None` if none that can be reached now leads. One whose
/// term is older than `newest` has been deposed, whatever it believes (semantics rule 16).
async fn connect(
    host: &dyn Host,
    config: &TaskManagerConfig,
    hello: &Hello,
    newest: JobEpoch,
) -> Result<Option<(String, Admitted)>, TaskManagerError> {
    let addresses = config.job_manager.split(',').map(str::trim);
    for address in addresses.filter(|address| !address.is_empty()) {
        let Ok(conn) = host.connect(address, config.connect_within).await else { continue };
        match config.handshake.offer::<Admission>(host, conn, address, hello).await {
            Ok(admitted) if admitted.0.epoch >= newest => {
                return Ok(Some((address.to_owned(), admitted)));
            }
            Ok((Admission { epoch, .. }, ..)) => {
                let message = format!("admission by job manager {address}");
                let cause = format!("epoch {epoch} is older than {newest}");
                host.tell(Fact::MessageFenced { message, cause });
            }
            Err(HandshakeError::Refused { reason }) => {
                return Err(TaskManagerError::Refused(reason));
            }
            Err(error @ HandshakeError::OtherVersion { .. }) => {
                return Err(TaskManagerError::OtherVersion(error.to_string()));
            }
            Err(_) => {}
        }
    }
    Ok(None)
}

/// The workers, and what runs on them.
struct Crew {
    workers: Vec<WorkerHandle>,
    addresses: Vec<String>,
    events: mpsc::UnboundedReceiver<WorkerEvent>,
    /// Every task that has not ended.
    live: BTreeSet<Execution>,
    /// The newest attempt of each job with live tasks.
    attempts: BTreeMap<JobId, Deployed>,
    /// What their tasks count.
    meters: Meters,
    /// Those that run code of their own.
    processes: Processes,
    /// As the job manager has it: the processes know no other.
    beat: Heartbeat,
}

/// An attempt, and the workers that run it.
struct Deployed {
    epoch: JobEpoch,
    attempt: Attempt,
    workers: BTreeSet<u32>,
}

impl Deployed {
    fn key(&self, job: JobId) -> AttemptKey {
        AttemptKey { job, epoch: self.epoch, attempt: self.attempt }
    }
}

impl Crew {
    async fn start(
        host: &Arc<dyn Host>,
        config: &TaskManagerConfig,
        programs: &Arc<dyn Programs>,
    ) -> Result<Self, TaskManagerError> {
        let (tell, events) = mpsc::unbounded_channel();
        let (live, attempts) = (BTreeSet::new(), BTreeMap::new());
        let (workers, addresses) = (Vec::new(), Vec::new());
        let meters = Meters::default();
        let (at, say, counted) = (Arc::clone(host), tell.clone(), meters.clone());
        let processes = Processes::new(at, config.clone(), say, counted);
        let beat = Heartbeat::default();
        let mut crew = Self { workers, addresses, events, live, attempts, meters, processes, beat };
        let neighbours = Neighbours::default();
        for index in 0..config.workers.max(1) {
            let task_manager = TaskManagerId(host.name().to_owned());
            let id = WorkerId { task_manager, index };
            let programs = Arc::clone(programs);
            let meters = crew.meters.clone();
            let seat = Seat { id, neighbours: neighbours.clone(), meters };
            let worker = Worker::start(&**host, seat, programs, config.worker, tell.clone());
            crew.workers.push(worker);
            // One after the other, so that the n-th worker to be ready is worker n.
            match crew.events.recv().await {
                Some(WorkerEvent::Ready { data_port }) => {
                    let own = config.advertise.as_deref().unwrap_or(host.name());
                    crew.addresses.push(format!("{own}:{data_port}"));
                }
                Some(WorkerEvent::Lost { cause }) => {
                    return Err(TaskManagerError::WorkerLost(cause));
                }
                _ => return Err(TaskManagerError::WorkerLost("it never was ready".into())),
            }
        }
        Ok(crew)
    }

    /// Serves one registration; says why it ended.
    async fn serve(
        &mut self,
        host: &dyn Host,
        epoch: JobEpoch,
        session: &mut Session,
    ) -> Result<String, TaskManagerError> {
        let (say, outgoing) = mpsc::unbounded_channel();
        let (hear, mut heard) = mpsc::unbounded_channel();
        let session = session.run(outgoing, |message: ToTaskManager| {
            // The receiver lives as long as this session.
            let _ = hear.send(message);
        });
        let mut session = std::pin::pin!(session);
        loop {
            tokio::select! {
                biased;
                Some(message) = heard.recv() => self.obey(host, epoch, message),
                Some(event) = self.events.recv() => {
                    if let Some(message) = self.note(event)? {
                        // A session that has just ended is about to say so.
                        let _ = say.send(message);
                    }
                }
                end = &mut session => return Ok(end.to_string()),
            }
        }
    }

    fn obey(&mut self, host: &dyn Host, term: JobEpoch, message: ToTaskManager) {
        let epoch = message.epoch();
        if epoch != term {
            let cause = format!("epoch {epoch} is not {term}");
            return host.tell(Fact::MessageFenced { message: "command".into(), cause });
        }
        let (job, attempt, order) = match message {
            ToTaskManager::Deploy { worker, deployment } => {
                return self.deploy(host, worker, deployment);
            }
            ToTaskManager::Cancel { job, attempt, .. } => return self.cancel(job, attempt),
            ToTaskManager::Trigger { job, attempt, barrier, subtasks, savepoint, .. } => {
                (job, attempt, CheckpointOrder::Trigger { barrier, subtasks, savepoint })
            }
            ToTaskManager::Completed { job, attempt, checkpoint, last, .. } => {
                (job, attempt, CheckpointOrder::Completed { checkpoint, last })
            }
            ToTaskManager::Aborted { job, attempt, checkpoint, .. } => {
                (job, attempt, CheckpointOrder::Aborted { checkpoint })
            }
        };
        self.pass_on(host, AttemptKey { job, epoch, attempt }, &order);
    }

    fn deploy(&mut self, host: &dyn Host, worker: u32, deployment: Box<Deployment>) {
        let Some(handle) = self.workers.get(worker as usize) else {
            let cause = format!("there is no worker {worker} here");
            return host.tell(Fact::MessageFenced { message: "deployment".into(), cause });
        };
        let (job, epoch, attempt) = (deployment.job, deployment.epoch, deployment.attempt);
        let key = AttemptKey { job, epoch, attempt };
        self.live.extend(deployment.subtasks.iter().map(|subtask| key.execution(*subtask)));
        let fresh = || Deployed { epoch, attempt, workers: BTreeSet::new() };
        let deployed = self.attempts.entry(job).or_insert_with(fresh);
        if (deployed.epoch, deployed.attempt) != (epoch, attempt) {
            *deployed = fresh();
        }
        deployed.workers.insert(worker);
        match deployment.program.artifact() {
            Some(hash) => {
                self.processes.of(key, hash, self.beat, &self.workers);
                self.processes.send(job, worker, WorkerCommand::Deploy(deployment));
            }
            None => handle.send(WorkerCommand::Deploy(deployment)),
        }
    }

    /// Lets the workers of an attempt obey. An attempt that is not the newest here, or is over,
    /// hears nothing of it.
    fn pass_on(&self, host: &dyn Host, key: AttemptKey, order: &CheckpointOrder) {
        let AttemptKey { job, epoch, attempt } = key;
        let deployed = self.attempts.get(&job);
        let deployed = deployed.filter(|d| (d.epoch, d.attempt) == (epoch, attempt));
        let Some(deployed) = deployed else {
            let message = format!("{order} for attempt {attempt} of job {job}");
            let cause = "no such attempt runs here".to_owned();
            return host.tell(Fact::MessageFenced { message, cause });
        };
        for worker in &deployed.workers {
            let order = order.clone();
            let command = WorkerCommand::Checkpoint { job, epoch, attempt, order };
            match self.processes.has(key) {
                true => self.processes.send(job, *worker, command),
                false => self.workers[*worker as usize].send(command),
            }
        }
    }

    fn cancel(&self, job: JobId, attempt: Attempt) {
        let running =
            self.attempts.get(&job).filter(|running| self.processes.has(running.key(job)));
        if let Some(running) = running {
            let cancel = |worker| {
                self.processes.send(job, worker, WorkerCommand::Cancel { job, attempt });
            };
            return running.workers.iter().copied().for_each(cancel);
        }
        for worker in &self.workers {
            worker.send(WorkerCommand::Cancel { job, attempt });
        }
    }

    /// Keeps count of the live tasks; gives what is to be reported.
    fn note(&mut self, event: WorkerEvent) -> Result<Option<ToJobManager>, TaskManagerError> {
        match event {
            WorkerEvent::Task(report) => {
                let over = matches!(
                    report.status,
                    TaskStatus::Finished | TaskStatus::Canceled | TaskStatus::Failed
                );
                if over {
                    self.live.remove(&report.task);
                    if !self.live.iter().any(|task| task.job == report.task.job) {
                        self.attempts.remove(&report.task.job);
                        self.processes.end(report.task.job);
                    }
                }
                Ok(Some(ToJobManager::Report(report)))
            }
            WorkerEvent::Said(message) => Ok(Some(message)),
            WorkerEvent::Lost { cause } => Err(TaskManagerError::WorkerLost(cause)),
            WorkerEvent::Ready { .. } => Ok(None),
        }
    }

    /// Cancels everything and waits for the last task: nobody may find two attempts here.
    async fn stop_tasks(&mut self) -> Result<(), TaskManagerError> {
        for (job, deployed) in &self.attempts {
            self.cancel(*job, deployed.attempt);
        }
        while !self.live.is_empty() {
            let event = self.events.recv().await;
            let lost = || TaskManagerError::WorkerLost("all workers are gone".into());
            self.note(event.ok_or_else(lost)?)?;
        }
        Ok(())
    }

    /// Waits, and learns at once if a worker ends meanwhile.
    async fn idle(&mut self, pause: crate::host::LocalFuture<()>) -> Result<(), TaskManagerError> {
        let mut pause = pause;
        loop {
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => {
                    self.note(event)?;
                }
                () = &mut pause => return Ok(()),
            }
        }
    }
}
