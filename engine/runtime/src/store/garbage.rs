//! Which objects of a job may be deleted: leftovers of checkpoints that nobody will ever read.
//! Never names an object that a retained checkpoint or savepoint needs, nor one of a checkpoint that
//! may still complete, whoever leads; when in doubt, an object stays (rule 20 of the semantics).
//! What is retained is decided by `slackwater-control`; logs and leases are never collected.

use std::collections::BTreeSet;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::id::{CheckpointId, JobId};

use super::{Listed, Store, StoreError, layout, metadata};

/// The objects of a running job that can go: those of checkpoints older than the newest retained
/// one, unless a retained one names them or their checkpoint is among the `live`, which may still
/// complete or be read. Nothing newer is ever named: a leader that was replaced without knowing it
/// does not delete its successor's files.
///
/// `retained`: every checkpoint and savepoint that can be restored, the one that an attempt was
/// restored from included.
pub fn collectable<'a>(
    job: JobId,
    listing: &'a [Listed],
    retained: &[CheckpointMetadata],
    live: &BTreeSet<CheckpointId>,
) -> Vec<&'a str> {
    let newest = retained.iter().map(|metadata| metadata.checkpoint).max();
    let is_past = |checkpoint| newest.is_some_and(|newest| checkpoint <= newest);
    select(job, listing, retained, |checkpoint| is_past(checkpoint) && !live.contains(&checkpoint))
}

/// The objects of a job that has ended, and whose checkpoints nobody wants: all but what the
/// `savepoints` name.
pub fn discardable<'a>(
    job: JobId,
    listing: &'a [Listed],
    savepoints: &[CheckpointMetadata],
) -> Vec<&'a str> {
    select(job, listing, savepoints, |_| true)
}

fn select<'a>(
    job: JobId,
    listing: &'a [Listed],
    retained: &[CheckpointMetadata],
    may_go: impl Fn(CheckpointId) -> bool,
) -> Vec<&'a str> {
    let named: BTreeSet<String> = (retained.iter())
        .flat_map(|kept| {
            kept.files().map(|file| file.path.clone()).chain([metadata::path_of(kept)])
        })
        .collect();
    let paths = listing.iter().map(|listed| listed.path.as_str());
    let of_job = paths.filter(|path| layout::job_of(path) == Some(job));
    let can_go = of_job.filter(|path| layout::checkpoint_of(path).is_some_and(&may_go));
    can_go.filter(|path| !named.contains(*path)).collect()
}

/// Deletes what was selected. One that is gone already is no error.
///
/// # Errors
/// The first [`StoreError`]; the rest stays for the next time.
///
/// # Cancel safety
/// If dropped, some are deleted.
pub async fn delete(store: &Store, paths: &[&str]) -> Result<(), StoreError> {
    for path in paths {
        store.delete(path).await?;
    }
    Ok(())
}
