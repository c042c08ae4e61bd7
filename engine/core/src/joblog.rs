//! The entries of a job's metadata log: what a new leader must know to go on with the job.
//! Plain data and its sealed bytes; no entry is ever changed or taken back, a later one adds to it.
//! Who says what to write is `slackwater-control`; who appends, `slackwater-runtime`'s `jobmanager`.

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError, Kind};
use crate::fact::JobStatus;
use crate::id::{Attempt, CheckpointId, JobEpoch, TaskManagerId};
use crate::program::Program;
use crate::schema::Fingerprint;

/// The newest format of a [`LogEntry`] that this code writes and reads.
pub const LOG_FORMAT: u16 = 1;

/// One entry: which leader says what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The term of the leader that appended it.
    pub epoch: JobEpoch,
    /// What happened.
    pub event: LogEvent,
}

/// What happened to a job and must outlive its job manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogEvent {
    /// A new leader takes over. Appended before it reads, so that an older leader's next entry fails.
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
    /// The job has ended for good: a new leader shows it and leaves it alone.
    Ended {
        /// How.
        status: JobStatus,
        /// Why, if it failed.
        cause: String,
    },
}

impl LogEntry {
    /// The sealed bytes. MessagePack with names: a later version may add fields.
    ///
    /// # Errors
    /// If a value refuses to be serialized.
    pub fn seal(&self) -> Result<Vec<u8>, CodecError> {
        let payload = rmp_serde::to_vec_named(self);
        let payload = payload.map_err(|error| CodecError::Malformed(error.to_string()))?;
        Ok(codec::seal(Kind::LogEntry, LOG_FORMAT, Fingerprint(0), &payload))
    }

    /// Reads what [`LogEntry::seal`] wrote.
    ///
    /// # Errors
    /// Any [`CodecError`]: damaged, newer, or not an entry.
    pub fn open(bytes: &[u8]) -> Result<Self, CodecError> {
        let opened = codec::open(bytes, Kind::LogEntry, LOG_FORMAT)?;
        if opened.length != bytes.len() {
            return Err(CodecError::Malformed("bytes follow the envelope".into()));
        }
        let read = rmp_serde::from_slice(opened.payload);
        read.map_err(|error| CodecError::Malformed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_survives_its_envelope_and_no_damage_goes_unseen() {
        let events = [
            LogEvent::Claimed,
            LogEvent::Submitted { program: Program::named("job").set("seed", 7) },
            LogEvent::Deployed {
                attempt: Attempt(3),
                task_managers: vec![TaskManagerId("tm-1".into())],
                failures: 2,
                ids_below: CheckpointId(11),
            },
            LogEvent::Completed {
                checkpoint: CheckpointId(7),
                attempt: Attempt(3),
                ids_below: CheckpointId(18),
            },
            LogEvent::Reserved { ids_below: CheckpointId(28) },
            LogEvent::Ended { status: JobStatus::Failed, cause: "damaged".into() },
        ];
        for event in events {
            let entry = LogEntry { epoch: JobEpoch(u64::MAX), event };
            let bytes = entry.seal().expect("plain data");
            assert_eq!(LogEntry::open(&bytes), Ok(entry));
            for cut in 0..bytes.len() {
                assert!(LogEntry::open(&bytes[..cut]).is_err(), "cut at {cut}");
            }
            let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
            assert!(LogEntry::open(&longer).is_err(), "a byte too many");
        }
    }
}
