//! The events of a job's metadata log: what a new leader must know to go on with the job.
//! Plain data; no event is ever changed or taken back, a later one adds to it.
//! Who says what to write is `slackwater-control`; how it is written, `slackwater-runtime`'s `store`.

use serde::{Deserialize, Serialize};

use crate::checkpoint::CheckpointMetadata;
use crate::fact::JobStatus;
use crate::graph::JobGraph;
use crate::id::{Attempt, CheckpointId, TaskManagerId, TriggerId};
use crate::program::Program;

/// With what a job starts, as it was when it was accepted: what happens to the savepoint's folder
/// later, but for the loss of a file that is needed, changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The folder in which the files lie that it names, each relative to it.
    pub folder: String,
    /// What it is made of.
    pub metadata: Box<CheckpointMetadata>,
    /// Whether event time begins anew.
    pub reset_watermarks: bool,
}

/// What happened to a job and must outlive its job manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogEvent {
    /// A new leader takes over. Appended before it reads: an older leader's next entry fails.
    Claimed,
    /// The job was accepted.
    Submitted {
        /// What it runs.
        program: Program,
        /// With what it starts, if not with nothing.
        #[serde(default)]
        from: Option<Start>,
        /// Its shape, if its code is in a binary of its own: no job manager can plan it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        graph: Option<Box<JobGraph>>,
    },
    /// An attempt is about to be deployed.
    Deployed {
        /// Which attempt.
        attempt: Attempt,
        /// Where: a new leader waits for them, or until they have stopped by themselves.
        task_managers: Vec<TaskManagerId>,
        /// How many failures of the job have been counted.
        failures: u32,
        /// No checkpoint id from here on has been used.
        ids_below: CheckpointId,
    },
    /// A checkpoint is complete: this entry is its marker.
    Completed {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Of which attempt. With the checkpoint and the epoch it names the metadata file.
        attempt: Attempt,
        /// No checkpoint id from here on has been used.
        ids_below: CheckpointId,
    },
    /// A savepoint is complete: this entry is its marker, and what its folder is then given.
    Saved {
        /// The request.
        trigger: TriggerId,
        /// Its folder.
        path: String,
        /// What it is made of; its files are named relative to the folder.
        metadata: Box<CheckpointMetadata>,
        /// No checkpoint id from here on has been used.
        ids_below: CheckpointId,
    },
    /// A savepoint could not be put into its folder, and is none: what [`LogEvent::Saved`] said of
    /// it holds no longer.
    Unsaved {
        /// Which one.
        checkpoint: CheckpointId,
    },
    /// More checkpoint ids may be used from now on, though none has completed.
    Reserved {
        /// No checkpoint id from here on has been used.
        ids_below: CheckpointId,
    },
    /// Somebody asked for the end of the job: a new leader ends it and does not start it again.
    Cancelled,
    /// The job has ended for good: a new leader shows it and leaves it alone.
    Ended {
        /// How.
        status: JobStatus,
        /// Why, if it failed.
        cause: String,
    },
}
