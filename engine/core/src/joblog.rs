//! The events of a job's metadata log: what a new leader must know to go on with the job.
//! Plain data; no event is ever changed or taken back, a later one adds to it.
//! Who says what to write is `slackwater-control`; how it is written, `slackwater-runtime`'s `store`.

use serde::{Deserialize, Serialize};

use crate::fact::JobStatus;
use crate::id::{Attempt, CheckpointId, TaskManagerId};
use crate::program::Program;

/// What happened to a job and must outlive its job manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogEvent {
    /// A new leader takes over. Appended before it reads: an older leader's next entry fails.
    Claimed,
    /// The job was accepted.
    Submitted {
        /// What it runs.
        program: Program,
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
