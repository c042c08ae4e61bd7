//! Jobs as others see them: lists, the command line, a dashboard.
//! Holds copies; nothing done to a view changes a job.
//! Where they come from: [`crate::cluster::Cluster::jobs`].

use std::time::Duration;

use slackwater_core::fact::JobStatus;
use slackwater_core::id::{Attempt, CheckpointId, JobId};

use crate::checkpoint::Statistics;

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
