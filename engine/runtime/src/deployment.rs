//! What a job manager tells a worker to run, and what the worker tells of it. Plain data.
//! Decides nothing: placement is `control::slots`, execution is [`crate::worker`].
//! How these travel: [`crate::wire`].

use std::fmt;

use serde::{Deserialize, Serialize};
use slackwater_core::checkpoint::CheckpointConfig;
pub use slackwater_core::checkpoint::RestorePoint;
use slackwater_core::element::Barrier;
use slackwater_core::fact::TaskStatus;
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, WorkerId};
use slackwater_core::program::Program;

use crate::wire::message::ToJobManager;

/// Where a subtask runs, and where its worker takes exchange connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Which subtask.
    pub subtask: Subtask,
    /// On which worker.
    pub worker: WorkerId,
    /// The worker's exchange address, `name:port`.
    pub address: String,
}

/// One attempt of a job, as one worker needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The job.
    pub job: JobId,
    /// The leadership term.
    pub epoch: JobEpoch,
    /// The attempt.
    pub attempt: Attempt,
    /// The program; the worker builds its plan from its own catalogue.
    pub program: Program,
    /// Where every subtask of the attempt runs: the channels follow from this and the graph.
    pub placement: Vec<Placed>,
    /// Which of them this worker starts.
    pub subtasks: Vec<Subtask>,
    /// Whether checkpoints are taken, and where their state goes. `None`: sources that have read
    /// everything end at once, and no barrier ever comes.
    pub checkpoints: Option<CheckpointConfig>,
    /// Where the tasks begin; `None`: with nothing.
    pub restore: Option<RestorePoint>,
    /// Savepoints that are complete: what two-phase sinks prepared for them stays.
    pub spared: Vec<CheckpointId>,
}

/// What the coordinator of checkpoints asks of the tasks of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckpointOrder {
    /// Let a barrier pass, beginning with these sources.
    Trigger {
        /// The barrier.
        barrier: Barrier,
        /// The subtasks, all of them sources.
        subtasks: Vec<Subtask>,
        /// Where the state goes, if it is a savepoint; see `ToTaskManager::Trigger`.
        savepoint: Option<String>,
    },
    /// A checkpoint is complete: what sinks hold for it may be seen.
    Completed {
        /// Which one.
        checkpoint: CheckpointId,
        /// Whether the job ends with it.
        last: bool,
    },
    /// A checkpoint will never complete: channels that wait for its barrier go on.
    Aborted {
        /// Which one.
        checkpoint: CheckpointId,
    },
}

impl fmt::Display for CheckpointOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trigger { barrier, .. } => {
                write!(f, "trigger of checkpoint {}", barrier.checkpoint)
            }
            Self::Completed { checkpoint, .. } => write!(f, "end of checkpoint {checkpoint}"),
            Self::Aborted { checkpoint } => write!(f, "abort of checkpoint {checkpoint}"),
        }
    }
}

/// What a task manager tells one of its workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerCommand {
    /// Start these subtasks.
    Deploy(Box<Deployment>),
    /// Cancel every task of this attempt of this job, and of older ones.
    Cancel {
        /// The job.
        job: JobId,
        /// Up to and with this attempt.
        attempt: Attempt,
    },
    /// Let the tasks of exactly this attempt obey.
    Checkpoint {
        /// The job.
        job: JobId,
        /// The leadership term of the attempt.
        epoch: JobEpoch,
        /// The attempt.
        attempt: Attempt,
        /// What to do.
        order: CheckpointOrder,
    },
    /// The tasks of this attempt run in another process: whoever comes with their batches is sent on.
    Moved {
        /// The job.
        job: JobId,
        /// The leadership term of the attempt.
        epoch: JobEpoch,
        /// The attempt.
        attempt: Attempt,
        /// The exchange port of that process's worker, on this host.
        port: u16,
    },
    /// Cancel everything and end.
    Stop,
}

/// What a worker tells its task manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerEvent {
    /// The worker takes exchange connections on this port.
    Ready {
        /// The port.
        data_port: u16,
    },
    /// A task changed its state. Each deployed task ends with exactly one final status.
    Task(TaskReport),
    /// A task says something to the job manager.
    Said(ToJobManager),
    /// The worker could not start, or ended by itself.
    Lost {
        /// Why.
        cause: String,
    },
}

/// A task's change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReport {
    /// Which execution.
    pub task: Execution,
    /// Its new state.
    pub status: TaskStatus,
    /// Why it failed; empty otherwise.
    pub cause: String,
    /// Whether a restart would fail the same way (bad input, bad setting).
    pub fatal: bool,
}
