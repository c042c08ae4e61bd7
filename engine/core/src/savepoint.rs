//! Savepoints as a person asks for them: what for, where to, how far one is, and a start from one.
//! Plain data: nothing is opened, and no folder is looked into. What one is made of is
//! [`crate::checkpoint`]; who takes one is `slackwater-control`, where it lies `slackwater-runtime`'s `store`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{JobId, TriggerId};

/// The target that keeps savepoints in the memory of the job manager that leads: lost with it.
pub const JOB_MANAGER: &str = "jobmanager://savepoints";

/// The file whose being there makes a folder a savepoint. Written last.
pub const METADATA_FILE: &str = "_metadata";

/// The name of the folder of the savepoint that this request asks for: the same for every try.
///
/// ```
/// use slackwater_core::id::{JobId, TriggerId};
/// use slackwater_core::savepoint::folder_name;
/// let job: JobId = "5f3c1a00000000000000000000000000".parse().unwrap();
/// let trigger: TriggerId = "0123456789ab00000000000000000000".parse().unwrap();
/// assert_eq!(folder_name(job, trigger), "savepoint-5f3c1a-0123456789ab");
/// ```
pub fn folder_name(job: JobId, trigger: TriggerId) -> String {
    format!("savepoint-{:06x}-{:012x}", job.0 >> 104, trigger.0 >> 80)
}

/// How a job ends with a savepoint.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its sources stop reading: no window fires, and it can go on from the savepoint.
    Stop,
    /// Event time comes to its end first, so that every window fires: nothing is left to go on with.
    Drain,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stop => "stop",
            Self::Drain => "drain",
        })
    }
}

/// A request for a savepoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavepointRequest {
    /// Names the request: asked again, it has no second effect.
    pub trigger: TriggerId,
    /// The folder to make its folder in, or [`JOB_MANAGER`].
    pub target: String,
    /// Whether and how the job ends with it.
    pub ending: Option<Ending>,
}

impl SavepointRequest {
    /// Whether it stays in the job manager's memory.
    pub fn is_inline(&self) -> bool {
        self.target.starts_with("jobmanager://")
    }
}

/// How far a savepoint is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavepointStatus {
    /// It waits for its turn, or for its parts.
    InProgress,
    /// It is there.
    Completed {
        /// Where.
        path: String,
        /// What a person has to know of the place; empty if nothing.
        warning: String,
    },
    /// It is not, and never will be.
    Failed {
        /// Why.
        cause: String,
    },
}

/// With what a job starts, if not with nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFrom {
    /// The folder of a savepoint or of a checkpoint that was kept.
    pub path: String,
    /// Whether state may be left behind that no operator of the job takes up.
    pub allow_non_restored: bool,
    /// Whether event time begins anew: what a drained savepoint needs.
    pub reset_watermarks: bool,
}
