//! Checkpoints and savepoints as data: what one is made of, what a task says of its part, how often.
//! Plain data and its sealed bytes; nothing here waits, and no path is opened or checked.
//! Who decides is `slackwater-control`'s `checkpoint`; where the bytes lie, `slackwater-runtime`'s `store`.

mod contents;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError, Kind};
use crate::graph::Uid;
use crate::id::{Attempt, CheckpointId, JobEpoch, JobId, Subtask, VertexId};
use crate::program::Program;
use crate::savepoint::Ending;
use crate::schema::Fingerprint;
use crate::time::ProcessingTime;

pub use contents::{Contents, SplitPosition, StateSummary};

/// The newest format of [`CheckpointMetadata`] that this code writes and reads. Format 1 says neither
/// what its parts hold nor how a savepoint ended its job; it is read all the same.
pub const METADATA_FORMAT: u16 = 2;

/// Where checkpoints lie if a job does not say: a folder beside the process.
pub const DEFAULT_STORAGE: &str = "./slackwater-data";

/// The storage of state that travels inside the acknowledgement and stays in the job manager.
pub const INLINE: &str = "memory://";

/// A state file as others name it: enough to find it, and to know that it is whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StateFile {
    /// Its path in the store.
    pub path: String,
    /// Its bytes.
    pub length: u64,
    /// XXH3-64 with seed 0 of all its bytes.
    pub checksum: u64,
}

impl fmt::Display for StateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes, {:016x})", self.path, self.length, self.checksum)
    }
}

/// Where the state of one subtask is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateHandle {
    /// The subtask has none.
    #[default]
    Empty,
    /// In a file of the store.
    File(StateFile),
    /// Here: the job manager keeps it (storage `memory://`).
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
}

impl StateHandle {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&StateFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Empty | Self::Inline(_) => None,
        }
    }

    /// Its bytes, wherever they lie.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::File(file) => file.length,
            Self::Inline(bytes) => bytes.len() as u64,
        }
    }
}

/// Who asked for a checkpoint, and so who may delete it.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    /// The engine, which deletes it once newer ones are complete.
    #[default]
    Checkpoint,
    /// A person: never subsumed, moved or deleted by the engine.
    Savepoint,
}

impl fmt::Display for CheckpointKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Checkpoint => "checkpoint",
            Self::Savepoint => "savepoint",
        })
    }
}

/// The part of one vertex in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VertexState {
    /// Which vertex of the graph that took it.
    pub vertex: VertexId,
    /// Its operators' uids, head first: state is found by them, not by the vertex's number.
    pub uids: Vec<Uid>,
    /// How many subtasks it had.
    pub parallelism: u32,
    /// By subtask index; as many as the parallelism. A finished subtask's is [`StateHandle::Empty`].
    pub subtasks: Vec<StateHandle>,
    /// What all of them hold together; unknown, and so empty, in format 1.
    #[serde(default)]
    pub contents: Contents,
}

/// All that is known of a complete checkpoint: with it, and the files it names, a job starts again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointMetadata {
    /// The format it was written in; see [`METADATA_FORMAT`].
    pub format: u16,
    /// Whose it is.
    pub job: JobId,
    /// Its number.
    pub checkpoint: CheckpointId,
    /// Who asked for it.
    pub kind: CheckpointKind,
    /// The leadership term in which it was taken.
    pub epoch: JobEpoch,
    /// The attempt that all its parts are of.
    pub attempt: Attempt,
    /// What ran.
    pub program: Program,
    /// When it was triggered, by the job manager's wall clock.
    pub triggered: ProcessingTime,
    /// When its last part was acknowledged, by the job manager's wall clock.
    pub completed: ProcessingTime,
    /// The number of key groups; fixed for the life of the state.
    pub max_parallelism: u16,
    /// In the order of the graph's vertices.
    pub vertices: Vec<VertexState>,
    /// The subtasks that had finished when it was triggered: a restore does not run them again.
    pub finished: Vec<Subtask>,
    /// Whether every source was at its end: the last checkpoint of a bounded job.
    pub last: bool,
    /// How the job ended with it, if it is a savepoint that ended one.
    #[serde(default)]
    pub ending: Option<Ending>,
}

impl CheckpointMetadata {
    /// Every state file that it names.
    pub fn files(&self) -> impl Iterator<Item = &StateFile> {
        self.vertices.iter().flat_map(|vertex| &vertex.subtasks).filter_map(StateHandle::file)
    }

    /// The bytes of state of all its parts.
    pub fn bytes(&self) -> u64 {
        self.vertices.iter().flat_map(|vertex| &vertex.subtasks).map(StateHandle::bytes).sum()
    }

    /// The sealed bytes. MessagePack with names: a later version may add fields.
    ///
    /// # Errors
    /// If a value refuses to be serialized.
    pub fn seal(&self) -> Result<Vec<u8>, CodecError> {
        let payload = rmp_serde::to_vec_named(self);
        let payload = payload.map_err(|error| CodecError::Malformed(error.to_string()))?;
        Ok(codec::seal(Kind::Metadata, METADATA_FORMAT, Fingerprint(0), &payload))
    }

    /// Reads what [`CheckpointMetadata::seal`] wrote.
    ///
    /// # Errors
    /// Any [`CodecError`]: damaged, newer, or inconsistent in itself.
    pub fn open(bytes: &[u8]) -> Result<Self, CodecError> {
        let malformed = |why: String| CodecError::Malformed(why);
        let opened = codec::open(bytes, Kind::Metadata, METADATA_FORMAT)?;
        if opened.length != bytes.len() {
            return Err(malformed("bytes follow the envelope".into()));
        }
        let read: Result<Self, _> = rmp_serde::from_slice(opened.payload);
        let metadata = read.map_err(|error| malformed(error.to_string()))?;
        if metadata.format != opened.version {
            let (inside, outside) = (metadata.format, opened.version);
            return Err(malformed(format!("format {inside} in an envelope of format {outside}")));
        }
        let crooked = |vertex: &&VertexState| vertex.subtasks.len() != vertex.parallelism as usize;
        match metadata.vertices.iter().find(crooked) {
            None => Ok(metadata),
            Some(VertexState { vertex, parallelism, subtasks, .. }) => Err(malformed(format!(
                "vertex {vertex} has parallelism {parallelism}, but {} subtasks",
                subtasks.len()
            ))),
        }
    }
}

/// The checkpoint that an attempt begins with, as far as its reader needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePoint {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// The parts of the vertices, found by the uids of their operators.
    pub vertices: Vec<VertexState>,
    /// The subtasks that had finished: they are at their end at once.
    pub finished: Vec<Subtask>,
    /// The folder in which its files lie, each named relative to it; `None`: they lie in the store of
    /// the job's checkpoints.
    pub storage: Option<String>,
    /// Whether event time begins anew: no watermark of the checkpoint is taken up.
    pub reset_watermarks: bool,
    /// Whether the job has been stopped with it: sources are at their end, and read nothing.
    pub halted: bool,
}

impl RestorePoint {
    /// Where a job begins that has no checkpoint: with nothing.
    pub fn beginning() -> Self {
        Self {
            checkpoint: CheckpointId(0),
            vertices: Vec::new(),
            finished: Vec::new(),
            storage: None,
            reset_watermarks: false,
            halted: false,
        }
    }

    /// Whether it is [`RestorePoint::beginning`]: checkpoints are counted from 1.
    pub fn is_beginning(&self) -> bool {
        self.checkpoint == CheckpointId(0)
    }
}

impl From<&CheckpointMetadata> for RestorePoint {
    fn from(metadata: &CheckpointMetadata) -> Self {
        Self {
            checkpoint: metadata.checkpoint,
            vertices: metadata.vertices.clone(),
            finished: metadata.finished.clone(),
            storage: None,
            reset_watermarks: false,
            halted: false,
        }
    }
}

/// What a task's part in a checkpoint took, as it says when it acknowledges.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointTimes {
    /// From the first barrier at its gate to the last.
    pub alignment: Duration,
    /// How long the stream stood still for the fork of the state.
    pub sync: Duration,
    /// How long the state took to be written, beside the stream.
    pub write: Duration,
    /// Bytes of state.
    pub bytes: u64,
    /// Packets held at the gate while it aligned.
    pub held: u64,
}

/// Whether, how often and where checkpoints are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointConfig {
    /// From one trigger to the next. `None`: only the last one of a bounded job, and savepoints.
    pub interval: Option<Duration>,
    /// At least this long from the end of one to the trigger of the next.
    pub min_pause: Duration,
    /// A checkpoint that takes longer is aborted.
    pub timeout: Duration,
    /// How many checkpoints in a row may fail before the job does.
    pub tolerated_failures: u32,
    /// How many complete checkpoints are kept; at least 1.
    pub retained: u32,
    /// Where: `file:///folder`, a path, or `memory://`, which keeps state inside the job manager.
    pub storage: String,
}

impl Default for CheckpointConfig {
    /// Flink's: no interval, no pause, 10 minutes, no failure tolerated, one retained.
    fn default() -> Self {
        Self {
            interval: None,
            min_pause: Duration::ZERO,
            timeout: Duration::from_secs(600),
            tolerated_failures: 0,
            retained: 1,
            storage: DEFAULT_STORAGE.to_owned(),
        }
    }
}

impl CheckpointConfig {
    /// The defaults, with a checkpoint every `interval`.
    pub fn every(interval: Duration) -> Self {
        Self { interval: Some(interval), ..Self::default() }
    }

    /// Whether state travels inside the acknowledgement and stays in the job manager.
    pub fn is_inline(&self) -> bool {
        self.storage.starts_with(INLINE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> CheckpointMetadata {
        let file = StateFile { path: "jobs/7/chk-3/0-0-a2".into(), length: 12, checksum: u64::MAX };
        let subtasks = vec![
            StateHandle::File(file),
            StateHandle::Inline(vec![0, 127, 128, 255]),
            StateHandle::Empty,
        ];
        let uids = vec!["source".into(), "sum".into()];
        CheckpointMetadata {
            format: METADATA_FORMAT,
            job: JobId(u128::MAX - 7),
            checkpoint: CheckpointId(3),
            kind: CheckpointKind::Savepoint,
            epoch: JobEpoch(u64::MAX),
            attempt: Attempt(2),
            program: Program::named("ledger").set("seed", 7),
            triggered: ProcessingTime::from_millis(-1),
            completed: ProcessingTime::from_millis(i64::MAX - 1),
            max_parallelism: 128,
            vertices: vec![VertexState {
                vertex: VertexId(0),
                uids,
                parallelism: 3,
                subtasks,
                contents: Contents::default(),
            }],
            finished: vec![Subtask { vertex: VertexId(0), index: 2 }],
            last: false,
            ending: Some(Ending::Stop),
        }
    }

    #[test]
    fn metadata_survives_its_envelope() {
        let bytes = metadata().seal().expect("plain data");
        assert_eq!(CheckpointMetadata::open(&bytes), Ok(metadata()));
        assert_eq!(metadata().bytes(), 16);
        let paths: Vec<_> = metadata().files().map(|file| file.path.clone()).collect();
        assert_eq!(paths, ["jobs/7/chk-3/0-0-a2"]);
    }

    #[test]
    fn metadata_that_is_cut_flipped_lengthened_or_crooked_is_refused() {
        let bytes = metadata().seal().expect("plain data");
        for cut in 0..bytes.len() {
            assert!(CheckpointMetadata::open(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(CheckpointMetadata::open(&damaged).is_err(), "bit {bit}");
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert!(CheckpointMetadata::open(&longer).is_err());
        let mut crooked = metadata();
        crooked.vertices[0].parallelism = 2;
        let refused = CheckpointMetadata::open(&crooked.seal().expect("plain data"));
        let why = refused.expect_err("two subtasks too many").to_string();
        assert_eq!(why, "malformed: vertex 0 has parallelism 2, but 3 subtasks");
    }

    #[test]
    fn a_newer_format_is_named() {
        let payload = rmp_serde::to_vec_named(&metadata()).expect("plain data");
        let newer = codec::seal(Kind::Metadata, METADATA_FORMAT + 1, Fingerprint(0), &payload);
        let expected =
            CodecError::UnknownVersion { found: METADATA_FORMAT + 1, supported: METADATA_FORMAT };
        assert_eq!(CheckpointMetadata::open(&newer), Err(expected));
    }
}
