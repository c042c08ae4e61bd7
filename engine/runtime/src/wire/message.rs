//! What job manager, task managers and clients say to each other, once they have shaken hands.
//! Plain data, postcard-encoded; every message that changes state carries epoch and attempt.
//! How messages travel and how silence is noticed: [`super::session`].

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use slackwater_control::view::{JobDetail, JobSummary, TaskManagerView};
use slackwater_core::checkpoint::{CheckpointTimes, Contents, StateHandle};
use slackwater_core::element::Barrier;
use slackwater_core::fact::JobStatus;
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, TriggerId};
use slackwater_core::program::Program;
use slackwater_core::savepoint::{Ending, SavepointStatus, StartFrom};
use slackwater_core::time::ProcessingTime;

use super::session::Heartbeat;
use crate::deployment::{Deployment, TaskReport};

/// What a task manager says when it registers: the body of its greeting. Its name is the greeting's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// How many slots it offers, spread over its workers in turn.
    pub slots: u32,
    /// The exchange address of each worker, `name:port`, by the worker's index.
    pub workers: Vec<String>,
}

/// What a job manager answers to a task manager or a client: the body of its welcome.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The leadership term; messages of older ones change nothing.
    pub epoch: JobEpoch,
    /// When either takes the other for lost: one setting for both, or fencing would not hold.
    pub heartbeat: Heartbeat,
}

/// From the job manager to a task manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToTaskManager {
    /// Let a worker start subtasks. Epoch and attempt are the deployment's.
    Deploy {
        /// The worker's index.
        worker: u32,
        /// What to start.
        deployment: Box<Deployment>,
    },
    /// Cancel every task of this attempt, and of older ones.
    Cancel {
        /// The term of the sender.
        epoch: JobEpoch,
        /// The job.
        job: JobId,
        /// Up to and with this attempt.
        attempt: Attempt,
    },
    /// Let a barrier pass, beginning with these sources of this attempt.
    Trigger {
        /// The term of the sender.
        epoch: JobEpoch,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// The barrier.
        barrier: Barrier,
        /// The source subtasks that this task manager runs; none, if it is only told of a savepoint.
        subtasks: Vec<Subtask>,
        /// Where the state goes, if it is a savepoint: its folder, or `memory://` for the job
        /// manager's memory. Every task manager of the attempt is told.
        savepoint: Option<String>,
    },
    /// A checkpoint is complete: what sinks hold for it may be seen.
    Completed {
        /// The term of the sender.
        epoch: JobEpoch,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Whether the job ends with it: sources send the end.
        last: bool,
    },
    /// A checkpoint will never complete: tasks that align for it go on.
    Aborted {
        /// The term of the sender.
        epoch: JobEpoch,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
}

/// From a task manager to its job manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToJobManager {
    /// A task changed its state.
    Report(TaskReport),
    /// A task's part of a checkpoint is durable.
    Acknowledged {
        /// Which execution.
        task: Execution,
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Where the state is.
        state: StateHandle,
        /// What it holds, by name.
        contents: Contents,
        /// What it took.
        times: CheckpointTimes,
        /// Whether the task is a source that has read everything: it was at its end when the
        /// barrier passed.
        ended: bool,
    },
    /// A task could not write its part of a checkpoint. The task lives on.
    Declined {
        /// Which execution.
        task: Execution,
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Why, for a person.
        cause: String,
    },
    /// A source has read everything, and waits for the last checkpoint.
    SourceEnded {
        /// Which execution.
        task: Execution,
    },
    /// A task could not take up its part of a checkpoint; its final status follows.
    RestoreFailed {
        /// Which execution.
        task: Execution,
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Whether the bytes are not those that were written, so that no retry will help.
        damaged: bool,
        /// Which file and why, for a person.
        cause: String,
    },
}

impl ToJobManager {
    /// Which execution speaks.
    pub fn task(&self) -> Execution {
        match self {
            Self::Report(report) => report.task,
            Self::Acknowledged { task, .. }
            | Self::Declined { task, .. }
            | Self::SourceEnded { task }
            | Self::RestoreFailed { task, .. } => *task,
        }
    }
}

impl ToTaskManager {
    /// The leadership term of the sender.
    pub fn epoch(&self) -> JobEpoch {
        match self {
            Self::Deploy { deployment, .. } => deployment.epoch,
            Self::Cancel { epoch, .. }
            | Self::Trigger { epoch, .. }
            | Self::Completed { epoch, .. }
            | Self::Aborted { epoch, .. } => *epoch,
        }
    }
}

/// From a client to the job manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Run a program. The client draws the id: the same request again has no second effect.
    Submit {
        /// The job's id for ever.
        job: JobId,
        /// What to run.
        program: Program,
        /// With what it starts, if not with nothing.
        from: Option<StartFrom>,
    },
    /// Take a savepoint of a job, named by its id or by a prefix that only it has. The client draws
    /// the trigger id: the same request again has no second effect.
    Savepoint {
        /// Names the request.
        trigger: TriggerId,
        /// Hex digits.
        job: String,
        /// The folder to make the savepoint's in; `None`: where the cluster keeps them.
        target: Option<String>,
        /// Whether and how the job ends with it.
        ending: Option<Ending>,
    },
    /// How far a savepoint is.
    SavepointStatus {
        /// The request.
        trigger: TriggerId,
    },
    /// Cancel a job, named by its id or by a prefix that only it has.
    Cancel {
        /// Hex digits.
        job: String,
    },
    /// All jobs.
    Jobs,
    /// All task managers.
    TaskManagers,
    /// Jobs and task managers, with what they do.
    Overview,
    /// All that is known of a job.
    Job {
        /// Which.
        job: JobId,
    },
    /// Whether the binary of this hash is there.
    HasArtifact {
        /// SHA-256, in hex.
        hash: String,
    },
    /// The next piece of a binary. It is there once its last piece has arrived and its hash is right.
    PutArtifact {
        /// SHA-256 of the whole, in hex.
        hash: String,
        /// The length of the whole, in bytes.
        size: u64,
        /// Where the piece begins.
        offset: u64,
        /// At most [`crate::artifact::PIECE`] bytes.
        piece: Bytes,
    },
    /// A piece of a binary.
    GetArtifact {
        /// SHA-256, in hex.
        hash: String,
        /// Where it begins.
        offset: u64,
    },
    /// As [`Request::Submit`], of a program that a binary brings along which is there.
    SubmitDelivered {
        /// The job's id for ever.
        job: JobId,
        /// What to run.
        program: Program,
        /// Its shape, as the binary planned it.
        graph: Box<JobGraph>,
        /// With what it starts, if not with nothing.
        from: Option<StartFrom>,
    },
}

/// The job manager's answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The job was accepted.
    Submitted(JobId),
    /// The job is being cancelled, or is cancelled already.
    Cancelling(JobId),
    /// How far a savepoint of the job is.
    Savepoint(JobId, SavepointStatus),
    /// All jobs, in the order of submission.
    Jobs(Vec<JobLine>),
    /// All task managers, by name.
    TaskManagers(Vec<TaskManagerLine>),
    /// The request changed nothing.
    Refused(Refused),
    /// Jobs and task managers, with what they do.
    Overview(Box<Overview>),
    /// All that is known of a job; `None`: the job is not known.
    Job(ClockReading, Option<Box<JobDetail>>),
    /// Whether the binary is there.
    Artifact(bool),
    /// A piece of a binary, and the length of the whole; `None`: it is not there.
    Piece(Option<(u64, Bytes)>),
}

/// The clock of a job manager, by which its answers tell times.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// The wall time at which the clock stood at zero, as it was known when the term began: it does
    /// not move with the wall clock, so that what has happened keeps its time.
    pub zero: ProcessingTime,
    /// What the clock says now.
    pub now: Duration,
}

/// Jobs and task managers, with what they do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// The clock of all times.
    pub clock: ClockReading,
    /// In the order of submission.
    pub jobs: Vec<JobSummary>,
    /// By name.
    pub task_managers: Vec<TaskManagerView>,
}

/// Why a request changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// The catalogue has no such program, or the program refuses its parameters.
    BadProgram(String),
    /// No job, or more than one, answers to this name; or its state forbids the request.
    BadJob(String),
    /// No savepoint was asked for under this id, or the job manager that was asked is no more: to ask
    /// for it again, under the same id, is safe.
    UnknownTrigger(TriggerId),
    /// What the job is to start from is no savepoint, or cannot be read.
    BadStart(String),
    /// What the job is to start from does not fit it.
    Incompatible(String),
    /// The request itself cannot be read.
    Malformed(String),
}

/// A job as `list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLine {
    /// Its id.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: JobStatus,
    /// Its attempt, from 1; 0 before the first deployment.
    pub attempt: Attempt,
    /// For how long the job manager has known it.
    pub age: Duration,
    /// Why it failed last; empty if it never did.
    pub cause: String,
}

/// A task manager as the overview shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskManagerLine {
    /// Its name.
    pub name: String,
    /// Its slots.
    pub slots: u32,
    /// How many of them are free.
    pub free: u32,
}
