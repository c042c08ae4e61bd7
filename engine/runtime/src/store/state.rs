//! State files: the state of one subtask in one checkpoint, and how it is known to be the right one.
//! Never hands out a byte that is not exactly what was written there; what the sections inside mean
//! is the business of `slackwater-dataflow`'s `state`. Who names the files: [`super::metadata`].

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use slackwater_core::checkpoint::StateFile;
use slackwater_core::codec::{self, CodecError, Kind};
use slackwater_core::id::{CheckpointId, Execution};
use slackwater_core::schema::Fingerprint;
use xxhash_rust::xxh3::Xxh3;

use super::{Store, StoreError, Trouble, layout};

/// The newest format of a state file that this code writes and reads.
const FORMAT: u16 = 1;

/// Whose state a file holds; it stands sealed at the file's head.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Of which checkpoint.
    pub checkpoint: CheckpointId,
    /// By which execution: job, epoch, attempt, subtask.
    pub task: Execution,
}

impl Part {
    /// Where it lies.
    pub fn path(&self) -> String {
        let Execution { job, attempt, subtask, .. } = self.task;
        layout::state_file(job, self.checkpoint, subtask, attempt)
    }

    /// What it is called in the folder of a savepoint, which holds one checkpoint of one job.
    pub fn name(&self) -> String {
        layout::state_name(self.task.subtask, self.task.attempt)
    }

    /// The head of its file.
    ///
    /// # Errors
    /// If it refuses to be serialized.
    pub fn seal(&self) -> Result<Vec<u8>, CodecError> {
        let payload = rmp_serde::to_vec_named(self);
        let payload = payload.map_err(|error| CodecError::Malformed(error.to_string()))?;
        Ok(codec::seal(Kind::StateFile, FORMAT, Fingerprint(0), &payload))
    }

    /// Reads the head of a file; gives its length, too.
    ///
    /// # Errors
    /// Any [`CodecError`].
    pub fn open(file: &[u8]) -> Result<(Self, usize), CodecError> {
        let opened = codec::open(file, Kind::StateFile, FORMAT)?;
        let part = rmp_serde::from_slice(opened.payload);
        let part = part.map_err(|error| CodecError::Malformed(error.to_string()))?;
        Ok((part, opened.length))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Execution { job, epoch, attempt, subtask } = self.task;
        let checkpoint = self.checkpoint;
        write!(f, "checkpoint {checkpoint} of {subtask}, job {job}, attempt {attempt}@e{epoch}")
    }
}

/// Writes the state of one subtask, in pieces of the caller's making; yields between them. Durable
/// when it returns, and complete only once a checkpoint's metadata names it.
///
/// # Errors
/// Any [`StoreError`]; a transient one after the last try.
///
/// # Cancel safety
/// If dropped, the file may appear later, or never; nothing names it.
pub async fn write_state(
    store: &Store,
    part: &Part,
    sections: Vec<Bytes>,
) -> Result<StateFile, StoreError> {
    write_as(store, part.path(), part, sections).await
}

/// The same, into the folder of a savepoint: `store` is that folder.
///
/// # Errors
/// As [`write_state`].
///
/// # Cancel safety
/// As [`write_state`].
pub async fn write_relative(
    store: &Store,
    part: &Part,
    sections: Vec<Bytes>,
) -> Result<StateFile, StoreError> {
    write_as(store, part.name(), part, sections).await
}

async fn write_as(
    store: &Store,
    path: String,
    part: &Part,
    sections: Vec<Bytes>,
) -> Result<StateFile, StoreError> {
    let head = part.seal().map_err(|error| StoreError::of_codec(&path, 0, error))?;
    let mut pieces = vec![Bytes::from(head)];
    pieces.extend(sections);
    let (mut length, mut checksum) = (0, Xxh3::new());
    for piece in &pieces {
        length += piece.len() as u64;
        checksum.update(piece);
        tokio::task::yield_now().await;
    }
    store.put(&path, pieces).await?;
    Ok(StateFile { path, length, checksum: checksum.digest() })
}

/// Reads the sections of a state file: exactly the bytes that were written.
///
/// # Errors
/// Any [`StoreError`], which names the file: missing, truncated, damaged, newer, or foreign (the
/// file of another job, checkpoint, attempt or subtask lies in its place).
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn read_state(store: &Store, file: &StateFile) -> Result<Bytes, StoreError> {
    let bytes = store.get(&file.path).await?;
    let found = bytes.len() as u64;
    let refuse = |trouble| Err(StoreError::new(file.path.clone(), trouble));
    let opened = Part::open(&bytes);
    if let Ok((part, _)) = &opened
        && part.path() != file.path
        && part.name() != file.path
    {
        return refuse(Trouble::Foreign(format!("it holds {part}")));
    }
    verify(file, &bytes)?;
    // The checksum holds: what the head says now is what was written.
    let (_, head) = opened.map_err(|error| StoreError::of_codec(&file.path, found, error))?;
    Ok(bytes.slice(head..))
}

/// Compares an object with what its name in a checkpoint says of it.
pub(super) fn verify(file: &StateFile, bytes: &[u8]) -> Result<(), StoreError> {
    let (expected, found) = (file.length, bytes.len() as u64);
    let refuse = |trouble| Err(StoreError::new(file.path.clone(), trouble));
    if found < expected {
        return refuse(Trouble::Truncated { expected, found });
    }
    if found > expected {
        let why = format!("{expected} bytes expected, {found} found");
        return refuse(Trouble::Damaged(why));
    }
    if xxhash_rust::xxh3::xxh3_64(bytes) != file.checksum {
        return refuse(Trouble::Damaged("the checksum does not match".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use slackwater_core::id::{Attempt, JobEpoch, JobId, Subtask, VertexId};

    use super::*;
    use crate::host::real::{RealHost, run};

    #[derive(Clone, Debug)]
    enum Spoiled {
        Cut(prop::sample::Index),
        Flipped(prop::sample::Index, u8),
        Longer(Vec<u8>),
        Replaced(Vec<u8>),
    }

    fn spoiled() -> impl Strategy<Value = Spoiled> {
        let bytes = || prop::collection::vec(any::<u8>(), 1..64);
        prop_oneof![
            any::<prop::sample::Index>().prop_map(Spoiled::Cut),
            (any::<prop::sample::Index>(), 0..8u8).prop_map(|(at, bit)| Spoiled::Flipped(at, bit)),
            bytes().prop_map(Spoiled::Longer),
            bytes().prop_map(Spoiled::Replaced),
        ]
    }

    fn part(job: u128, index: u32) -> Part {
        let subtask = Subtask { vertex: VertexId(1), index };
        let (job, epoch, attempt) = (JobId(job), JobEpoch(3), Attempt(2));
        let task = Execution { job, epoch, attempt, subtask };
        Part { checkpoint: CheckpointId(9), task }
    }

    proptest! {
        #[test]
        fn sections_come_back_as_they_were_or_not_at_all(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
            spoiled in spoiled(),
            index in 0..4u32,
        ) {
            let whole = pieces.concat();
            let pieces: Vec<Bytes> = pieces.into_iter().map(Bytes::from).collect();
            let (read, spoiled) = run(RealHost::named("tm-1").expect("randomness"), async |host| {
                let store = Store::open(host, "memory://spoiled-sections").expect("memory");
                let file = write_state(&store, &part(1, index), pieces).await.expect("room");
                let read = read_state(&store, &file).await;
                let mut bytes = store.get(&file.path).await.expect("written").to_vec();
                match spoiled {
                    Spoiled::Cut(at) => bytes.truncate(at.index(bytes.len())),
                    Spoiled::Flipped(at, bit) => {
                        let at = at.index(bytes.len());
                        bytes[at] ^= 1 << bit;
                    }
                    Spoiled::Longer(more) => bytes.extend(more),
                    Spoiled::Replaced(other) => bytes = other,
                }
                store.put(&file.path, vec![bytes.into()]).await.expect("room");
                (read, read_state(&store, &file).await)
            }).expect("a runtime");
            prop_assert_eq!(read, Ok(Bytes::from(whole)));
            let error = spoiled.expect_err("spoiled");
            prop_assert!(error.is_damage(), "{}", error);
            prop_assert_eq!(error.path(), part(1, index).path());
        }
    }
}
