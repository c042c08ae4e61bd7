//! Identities: jobs, epochs, attempts, checkpoints, vertices, subtasks, workers. One type each.
//! A bare integer never crosses a door; nothing here is drawn at random, the host draws job ids.
//! Key groups are in [`crate::key`]; operators are named by [`crate::graph::Uid`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The next one. Ids of this kind only grow.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The term of one job manager's leadership; every state-changing message carries it.
    JobEpoch(u64)
);
number!(
    /// The how-manieth deployment of a job, from 1; a restart takes the next.
    Attempt(u32)
);
number!(
    /// A checkpoint or savepoint; ids grow over the whole life of a job and are never used twice.
    CheckpointId(u64)
);
number!(
    /// A vertex of the job graph: a chain of operators.
    VertexId(u32)
);

macro_rules! hex {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let well_formed = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
                if !well_formed {
                    return Err(format!(
                        concat!("expected ", $what, " of 32 hex digits, found {:?}"), text
                    ));
                }
                u128::from_str_radix(text, 16).map(Self).map_err(|error| error.to_string())
            }
        }
    };
}

hex!(
    /// 128 bits that name a job, written as 32 hex digits.
    JobId,
    "a job id"
);
hex!(
    /// 128 bits that name one request for a savepoint, however often it is asked: 32 hex digits.
    TriggerId,
    "a trigger id"
);

/// One parallel instance of a vertex: `vertex[index]`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subtask {
    /// The vertex.
    pub vertex: VertexId,
    /// 0-based, below the vertex's parallelism.
    pub index: u32,
}

impl fmt::Display for Subtask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}[{}]", self.vertex.0, self.index)
    }
}

/// One execution of a subtask: the address of every message between tasks and their job manager.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Execution {
    /// The job.
    pub job: JobId,
    /// The leadership term it was deployed in.
    pub epoch: JobEpoch,
    /// The deployment it belongs to.
    pub attempt: Attempt,
    /// Which subtask.
    pub subtask: Subtask,
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.subtask, self.attempt)
    }
}

/// One channel between two subtasks: which output of whom feeds which input of whom.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelId {
    /// The edge of the job graph, by its index.
    pub edge: u32,
    /// Index of the sending subtask.
    pub from: u32,
    /// Index of the receiving subtask.
    pub to: u32,
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}[{}->{}]", self.edge, self.from, self.to)
    }
}

/// The name under which a task manager registers; unique in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskManagerId(pub String);

impl fmt::Display for TaskManagerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A worker of a task manager: it owns slots and exchange endpoints, also while it lives inside
/// the task manager's process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId {
    /// Its task manager.
    pub task_manager: TaskManagerId,
    /// 0-based within the task manager.
    pub index: u32,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.task_manager, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_is_32_hex_digits_and_nothing_else() {
        let id = JobId(0xfd72);
        assert_eq!(id.to_string(), "0000000000000000000000000000fd72");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "fd72", "+000000000000000000000000000fd72", "nonsense"] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
        }
    }
}
