//! What may be deleted of a job, and how: whole checkpoints, by their folders.
//! A checkpoint's files lie in its own folder and nowhere else ([`super::metadata`] refuses any other),
//! so a folder whose checkpoint is retained is never touched. Logs and leases are never deleted.
//! Which checkpoints are retained is decided by `slackwater-control` (rule 20 of the semantics).

use slackwater_core::id::{CheckpointId, JobId};

use super::{Store, StoreError, layout};

/// Which of the checkpoints that left something in a job's folder can go: those below `below` that
/// are not to `keep`. Newer ones may still complete, whoever leads.
pub fn collectable(
    job: JobId,
    folders: &[String],
    keep: &[CheckpointId],
    below: CheckpointId,
) -> Vec<CheckpointId> {
    let of_job = folders.iter().filter_map(|folder| layout::checkpoint_at(job, folder));
    of_job.filter(|checkpoint| *checkpoint < below && !keep.contains(checkpoint)).collect()
}

/// Finds what [`collectable`] chooses from.
///
/// # Errors
/// Any [`StoreError`].
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn folders(store: &Store, job: JobId) -> Result<Vec<String>, StoreError> {
    store.folders(&layout::job_folder(job)).await
}

/// Deletes all that a checkpoint left, for as long as `goes_on` says so before each object. One
/// that is gone already is no error.
///
/// # Errors
/// The first [`StoreError`]; the rest stays for the next time.
///
/// # Cancel safety
/// If dropped, some objects are deleted.
pub async fn delete(
    store: &Store,
    job: JobId,
    checkpoint: CheckpointId,
    goes_on: impl Fn() -> bool,
) -> Result<(), StoreError> {
    for object in store.list(&layout::checkpoint_folder(job, checkpoint)).await? {
        if !goes_on() {
            break;
        }
        store.delete(&object.path).await?;
    }
    Ok(())
}
