//! A process that runs the tasks of one attempt with code that it brings along itself: workers as in a
//! task manager, and one connection to the task manager that started it. Never outlives that
//! connection, decides nothing, and registers nowhere. Who starts it is [`crate::taskmanager`].

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::id::{Attempt, CheckpointId, JobId, TaskManagerId, WorkerId};
use slackwater_core::message::MessageKind;
use slackwater_core::program::Program;
use slackwater_dataflow::task::{Plan, PlanError, Programs};
use tokio::sync::mpsc;

use super::{Meters, Seat, Worker, WorkerConfig, WorkerHandle};
use crate::deployment::{CheckpointOrder, WorkerCommand, WorkerEvent};
use crate::exchange::Neighbours;
use crate::host::Host;
use crate::wire::about::{About, Told};
use crate::wire::handshake::{Handshake, Hello, Role};
use crate::wire::session::{End, Heartbeat, Session, SessionEnd};

/// How long the task manager may take to answer the door.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What a worker process has to know before it can call its task manager. Nobody else may see it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calling {
    /// Where the task manager waits for the call, as `name:port`.
    pub address: String,
    /// What shows that it was this process that was started.
    pub secret: String,
    /// The task manager.
    pub task_manager: String,
    /// How many workers it has, and so many this process has.
    pub workers: u32,
    /// Their measures.
    pub config: WorkerConfig,
    /// The address of the machine to listen on, unless it is loopback.
    pub bind: Option<IpAddr>,
}

impl fmt::Debug for Calling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calling({} workers of {})", self.workers, self.task_manager)
    }
}

/// The body of the call: the secret, and the exchange port of each worker.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub secret: String,
    pub ports: Vec<u16>,
}

/// To a worker process: a command for one of its workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ordered {
    pub worker: u32,
    pub command: WorkerCommand,
}

/// From a worker process: what one of its workers says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answered(pub WorkerEvent);

impl Told for Ordered {
    fn about(&self) -> About {
        let none = CheckpointId::default();
        let (kind, job, attempt, checkpoint) = match &self.command {
            WorkerCommand::Deploy(it) => (MessageKind::Deploy, it.job, it.attempt, none),
            WorkerCommand::Cancel { job, attempt } | WorkerCommand::Moved { job, attempt, .. } => {
                (MessageKind::Cancel, *job, *attempt, none)
            }
            WorkerCommand::Stop => (MessageKind::Cancel, JobId(0), Attempt(0), none),
            WorkerCommand::Checkpoint { job, attempt, order, .. } => {
                let (kind, checkpoint) = match order {
                    CheckpointOrder::Trigger { barrier, .. } => {
                        (MessageKind::Trigger, barrier.checkpoint)
                    }
                    CheckpointOrder::Completed { checkpoint, .. } => {
                        (MessageKind::Completed, *checkpoint)
                    }
                    CheckpointOrder::Aborted { checkpoint } => (MessageKind::Aborted, *checkpoint),
                };
                (kind, *job, *attempt, checkpoint)
            }
        };
        About { kind, job, attempt, checkpoint }
    }
}

impl Told for Answered {
    fn about(&self) -> About {
        match &self.0 {
            WorkerEvent::Said(message) => message.about(),
            WorkerEvent::Task(report) => About {
                kind: MessageKind::Report,
                job: report.task.job,
                attempt: report.task.attempt,
                checkpoint: CheckpointId::default(),
            },
            WorkerEvent::Ready { .. } | WorkerEvent::Lost { .. } => About {
                kind: MessageKind::Report,
                job: JobId(0),
                attempt: Attempt(0),
                checkpoint: CheckpointId::default(),
            },
        }
    }
}

/// The programs of a binary as a task manager asks for them: by the version under which they were
/// delivered.
struct Own(Arc<dyn Programs>);

impl Programs for Own {
    fn plan(&self, program: &Program) -> Result<Plan, PlanError> {
        self.0.plan(&program.own())
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }
}

/// Runs workers and does what the task manager says, until it says no more.
///
/// # Errors
/// In words, if a worker cannot start, the task manager does not want this process, or it is lost.
pub async fn serve(
    host: Arc<dyn Host>,
    calling: Calling,
    programs: Arc<dyn Programs>,
) -> Result<(), String> {
    let programs: Arc<dyn Programs> = Arc::new(Own(programs));
    let meters = Meters::default();
    let (mut crew, mut events) = Crew::start(&*host, &calling, &programs, &meters).await?;
    let conn = host.connect(&calling.address, CONNECT_WITHIN).await;
    let conn = conn.map_err(|error| error.to_string())?;
    let call = Call { secret: calling.secret.clone(), ports: std::mem::take(&mut crew.ports) };
    let hello = Hello::new(Role::Worker, &calling.task_manager, &call);
    let handshake = Handshake::default();
    let offered = handshake.offer::<Heartbeat>(&*host, conn, &calling.task_manager, &hello);
    let (beat, reader, writer) = offered.await.map_err(|error| error.to_string())?;
    let (say, outgoing) = mpsc::unbounded_channel();
    let (clock, peer) = (Arc::clone(&host), calling.task_manager.clone());
    let mut session = Session::new(Arc::clone(&host), End::Tenant, peer, (reader, writer), beat)
        .gathering(move || meters.report(clock.elapsed()));
    let passing = async move {
        while let Some(event) = events.recv().await {
            if let WorkerEvent::Lost { cause } = event {
                return cause;
            }
            // A session that has ended is about to say so.
            let _ = say.send(Answered(event));
        }
        "all workers are gone".to_owned()
    };
    let workers = &crew.workers;
    let obeying = session.run(outgoing, |Ordered { worker, command }| {
        if let Some(worker) = workers.get(worker as usize) {
            worker.send(command);
        }
    });
    tokio::select! {
        biased;
        end = obeying => {
            // What still runs here is nobody's any more.
            workers.iter().for_each(WorkerHandle::abort);
            match end {
                SessionEnd::Closed(_) => Ok(()),
                lost => Err(format!("the task manager is lost: {lost}")),
            }
        }
        cause = passing => Err(format!("a worker ended: {cause}")),
    }
}

/// The workers of this process.
struct Crew {
    workers: Vec<WorkerHandle>,
    ports: Vec<u16>,
}

impl Crew {
    async fn start(
        host: &dyn Host,
        calling: &Calling,
        programs: &Arc<dyn Programs>,
        meters: &Meters,
    ) -> Result<(Self, mpsc::UnboundedReceiver<WorkerEvent>), String> {
        let (tell, mut events) = mpsc::unbounded_channel();
        let neighbours = Neighbours::default();
        let mut crew = Self { workers: Vec::new(), ports: Vec::new() };
        for index in 0..calling.workers {
            let task_manager = TaskManagerId(calling.task_manager.clone());
            let id = WorkerId { task_manager, index };
            let seat = Seat { id, neighbours: neighbours.clone(), meters: meters.clone() };
            let programs = Arc::clone(programs);
            crew.workers.push(Worker::start(host, seat, programs, calling.config, tell.clone()));
            // One after the other, so that the n-th port is that of worker n.
            match events.recv().await {
                Some(WorkerEvent::Ready { data_port }) => crew.ports.push(data_port),
                Some(WorkerEvent::Lost { cause }) => return Err(cause),
                _ => return Err("a worker never was ready".into()),
            }
        }
        Ok((crew, events))
    }
}
