//! Jobs as others see them: lists, the command line, a dashboard.
//! Holds copies; nothing done to a view changes a job. All times are on the clock of the job manager.
//! Where they come from: [`crate::cluster::Cluster`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::checkpoint::CheckpointTimes;
use slackwater_core::fact::{JobStatus, TaskStatus};
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{Attempt, CheckpointId, JobId, Subtask, TriggerId};
use slackwater_core::savepoint::Ending;

use crate::checkpoint::Statistics;
use crate::metrics::Measured;

/// A job as `list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its state. CREATED: it is not accepted yet, its submission is being written.
    pub status: JobStatus,
    /// Its attempt.
    pub attempt: Attempt,
    /// When it was submitted, or resumed, on the job manager's clock.
    pub submitted: Duration,
    /// Why it failed last; empty if it never did.
    pub cause: String,
    /// How often it started again after a failure, under this job manager.
    pub restarts: u32,
    /// Its newest complete checkpoint.
    pub last_completed: Option<CheckpointId>,
    /// The checkpoint that is under way.
    pub pending: Option<CheckpointId>,
    /// How its checkpoints fared.
    pub checkpoints: Statistics,
}

/// A job as an overview shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: JobStatus,
    /// Its attempt; 0 before the first.
    pub attempt: Attempt,
    /// When it was submitted, or resumed.
    pub submitted: Duration,
    /// When it last came to each state, under this job manager.
    pub since: BTreeMap<JobStatus, Duration>,
    /// How many tasks of the attempt are in each state.
    pub tasks: BTreeMap<TaskStatus, u32>,
    /// How many tasks an attempt has.
    pub total: u32,
    /// How many slots it needs.
    pub slots: u32,
    /// How often it started again after a failure, under this job manager.
    pub restarts: u32,
    /// RESTARTING: when it starts again at the latest.
    pub tries_again: Option<Duration>,
    /// Why it failed last; empty if it never did.
    pub cause: String,
}

/// All that is known of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDetail {
    /// What an overview shows.
    pub summary: JobSummary,
    /// Its shape.
    pub graph: JobGraph,
    /// The settings of its program, as they were given.
    pub settings: Vec<(String, String)>,
    /// The tasks of the attempt, by subtask; none before the first.
    pub tasks: Vec<TaskView>,
    /// Its failures under this job manager, oldest first, as many as are kept.
    pub failures: Vec<FailureView>,
    /// How many older ones are not kept.
    pub failures_forgotten: u32,
    /// Its checkpoints; `None`: it takes none.
    pub checkpoints: Option<CheckpointsView>,
}

/// A task of the current attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    /// Which subtask.
    pub subtask: Subtask,
    /// How far it has come.
    pub status: TaskStatus,
    /// The task manager that runs it.
    pub task_manager: String,
    /// The exchange address of its worker.
    pub address: String,
    /// When it came to each state.
    pub since: BTreeMap<TaskStatus, Duration>,
    /// How it was last heard to fare; `None`: it has not said anything yet.
    pub measured: Option<Box<Measured>>,
}

/// A failure of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureView {
    /// When.
    pub at: Duration,
    /// In which attempt.
    pub attempt: Attempt,
    /// Why.
    pub cause: String,
    /// Which task failed, and on which task manager; `None`: it was not a task's failure.
    pub task: Option<(Subtask, String)>,
}

/// The checkpoints and savepoints of a job, under this job manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointsView {
    /// How many completed.
    pub completed: u64,
    /// How many were given up.
    pub failed: u64,
    /// How often an attempt started with one.
    pub restored: u64,
    /// The newest, newest first: one that is under way, and as many others as are kept.
    pub history: Vec<CheckpointView>,
    /// The newest complete checkpoint that no person asked for.
    pub last_completed: Option<CheckpointView>,
    /// The newest savepoint.
    pub last_savepoint: Option<CheckpointView>,
    /// The newest that was given up.
    pub last_failed: Option<CheckpointView>,
    /// With what an attempt last started.
    pub last_restored: Option<RestoredView>,
}

/// How far a checkpoint is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckpointState {
    /// Parts of it are missing, or it is not durable yet.
    InProgress,
    /// It is complete, durably.
    Completed,
    /// It was given up.
    Failed,
}

/// A checkpoint or savepoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointView {
    /// Its id.
    pub id: CheckpointId,
    /// The attempt whose tasks took part.
    pub attempt: Attempt,
    /// How far it is.
    pub state: CheckpointState,
    /// Which request for a savepoint it answers, if it is one.
    pub savepoint: Option<TriggerId>,
    /// Whether and how the job ends with it.
    pub ending: Option<Ending>,
    /// When it was triggered.
    pub triggered: Duration,
    /// When it completed or was given up.
    pub ended: Option<Duration>,
    /// Where a savepoint lies; empty for others.
    pub path: String,
    /// Why it was given up; empty if it was not.
    pub cause: String,
    /// Whether newer ones have taken its place.
    pub discarded: bool,
    /// How many tasks take part.
    pub subtasks: u32,
    /// What all parts took: the longest of each, and all their bytes.
    pub times: CheckpointTimes,
    /// The parts that are in, in the order in which they came.
    pub parts: Vec<PartView>,
}

/// A task's part of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartView {
    /// Whose.
    pub subtask: Subtask,
    /// When it came in.
    pub at: Duration,
    /// What it took.
    pub times: CheckpointTimes,
}

/// A checkpoint that an attempt started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredView {
    /// Which.
    pub id: CheckpointId,
    /// When.
    pub at: Duration,
    /// Its folder, if it lies outside of the job's own checkpoints.
    pub path: Option<String>,
}

/// A task manager as it is seen by the job manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskManagerView {
    /// Its name.
    pub name: String,
    /// Its slots.
    pub slots: u32,
    /// How many of them are free.
    pub free: u32,
    /// When it was last heard of; `None`: not since it registered.
    pub heard: Option<Duration>,
    /// The exchange addresses of its workers.
    pub workers: Vec<String>,
    /// Who holds its slots: one entry for each that is held.
    pub holders: Vec<JobId>,
    /// How many tasks of which jobs run there.
    pub tasks: Vec<(JobId, u32)>,
}
