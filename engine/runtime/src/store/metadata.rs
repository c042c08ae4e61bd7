//! Metadata files: what a checkpoint is made of, written once, under a name of its own attempt.
//! A metadata file completes nothing: only the entry in the job's log does ([`super::log`]).
//! What it says is [`CheckpointMetadata`], in `slackwater-core`.

use bytes::Bytes;
use slackwater_core::checkpoint::{CheckpointMetadata, StateFile};
use xxhash_rust::xxh3::xxh3_64;

use super::state::verify;
use super::{Created, Store, StoreError, Trouble, layout};

/// Where the metadata of a checkpoint lies.
pub fn path_of(metadata: &CheckpointMetadata) -> String {
    let CheckpointMetadata { job, checkpoint, epoch, attempt, .. } = *metadata;
    layout::metadata_file(job, checkpoint, epoch, attempt)
}

/// Writes the metadata of a checkpoint; durable when it returns. The name in the answer goes into
/// the job's log, which completes the checkpoint.
///
/// # Errors
/// Any [`StoreError`]; [`Trouble::Refused`] if it names a file that does not lie in the checkpoint's
/// own folder; [`Trouble::Fenced`] if other metadata of this attempt is there already.
///
/// # Cancel safety
/// If dropped, the file may appear later, or never; nothing names it.
pub async fn write_metadata(
    store: &Store,
    metadata: &CheckpointMetadata,
) -> Result<StateFile, StoreError> {
    let path = path_of(metadata);
    let at_home = |file: &&StateFile| {
        let (job, checkpoint) = (layout::job_of(&file.path), layout::checkpoint_of(&file.path));
        (job, checkpoint) == (Some(metadata.job), Some(metadata.checkpoint))
    };
    if let Some(stray) = metadata.files().find(|file| !at_home(file)) {
        // Whoever deletes another checkpoint's folder would delete a file that this one needs.
        let why = format!("it names {}, which lies in another's folder", stray.path);
        return Err(StoreError::new(path, Trouble::Refused(why)));
    }
    let sealed = metadata.seal().map_err(|error| StoreError::of_codec(&path, 0, error))?;
    let (length, checksum) = (sealed.len() as u64, xxh3_64(&sealed));
    match store.create(&path, Bytes::from(sealed)).await? {
        Created::Ours => Ok(StateFile { path, length, checksum }),
        Created::Theirs(_) => {
            let why = "other metadata of this attempt is there already";
            Err(StoreError::new(path, Trouble::Fenced(why.into())))
        }
    }
}

/// Reads the metadata that a job's log names.
///
/// # Errors
/// Any [`StoreError`], which names the file: missing, truncated, damaged, newer, or foreign (that of
/// another job, checkpoint, epoch or attempt lies in its place).
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn read_metadata(
    store: &Store,
    file: &StateFile,
) -> Result<CheckpointMetadata, StoreError> {
    let bytes = store.get(&file.path).await?;
    let opened = in_its_place(&file.path, &bytes);
    if let Err(error) = &opened
        && matches!(error.trouble(), Trouble::Foreign(_) | Trouble::Newer { .. })
    {
        return opened;
    }
    verify(file, &bytes)?;
    opened
}

/// Reads metadata of which nothing but its path is known: what a person names.
///
/// # Errors
/// As [`read_metadata`].
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn find_metadata(store: &Store, path: &str) -> Result<CheckpointMetadata, StoreError> {
    in_its_place(path, &store.get(path).await?)
}

fn in_its_place(path: &str, bytes: &[u8]) -> Result<CheckpointMetadata, StoreError> {
    let opened = CheckpointMetadata::open(bytes);
    let found = bytes.len() as u64;
    let metadata = opened.map_err(|error| StoreError::of_codec(path, found, error))?;
    if path_of(&metadata) == path {
        return Ok(metadata);
    }
    let CheckpointMetadata { job, checkpoint, epoch, attempt, .. } = metadata;
    let why = format!("it holds checkpoint {checkpoint} of job {job}, attempt {attempt}@e{epoch}");
    Err(StoreError::new(path, Trouble::Foreign(why)))
}
