//! Objects of another job: whole, well-formed, with every checksum right, and wrong in their place.
//! Never damages anything: what is made here is refused for whose it is, or not at all.
//! Put in place by [`super::befall`].

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::id::JobId;
use slackwater_runtime::store::{LogEntry, Part};

/// The same object as another job would have written it; `None` if it belongs to no job.
pub(super) fn of_another_job(bytes: &[u8]) -> Option<Vec<u8>> {
    if let Ok(mut metadata) = CheckpointMetadata::open(bytes) {
        metadata.job = other(metadata.job);
        return metadata.seal().ok();
    }
    if let Ok(mut entry) = LogEntry::open(bytes) {
        entry.job = other(entry.job);
        return entry.seal().ok();
    }
    let (mut part, head) = Part::open(bytes).ok()?;
    part.task.job = other(part.task.job);
    let mut file = part.seal().ok()?;
    file.extend_from_slice(&bytes[head..]);
    Some(file)
}

fn other(job: JobId) -> JobId {
    JobId(job.0 ^ 1)
}
