//! Which object lies where: paths under the root of the store, and what a path says.
//! Names alone: nothing is read, and nothing here depends on what is in an object.
//! What is in them is written by the other rooms of [`super`].

use slackwater_core::id::{Attempt, CheckpointId, JobEpoch, JobId, Subtask};

/// The folder of all jobs.
pub const JOBS: &str = "jobs";

/// The folder of the leader's lease.
pub const LEADER: &str = "leader";

/// The folder of a job.
pub fn job_folder(job: JobId) -> String {
    format!("{JOBS}/{job}")
}

/// The folder of a job's metadata log.
pub fn log_folder(job: JobId) -> String {
    format!("{}/log", job_folder(job))
}

/// The entry of this number, from 1, of a job's metadata log.
pub fn log_entry(job: JobId, number: u64) -> String {
    format!("{}/{number:012}", log_folder(job))
}

/// The folder of a checkpoint.
pub fn checkpoint_folder(job: JobId, checkpoint: CheckpointId) -> String {
    format!("{}/chk-{checkpoint}", job_folder(job))
}

/// The state of one subtask in a checkpoint.
pub fn state_file(
    job: JobId,
    checkpoint: CheckpointId,
    subtask: Subtask,
    attempt: Attempt,
) -> String {
    format!("{}/{}", checkpoint_folder(job, checkpoint), state_name(subtask, attempt))
}

/// The same within the folder of one checkpoint of one job.
pub fn state_name(subtask: Subtask, attempt: Attempt) -> String {
    let Subtask { vertex, index } = subtask;
    format!("{vertex}-{index}-a{attempt}")
}

/// Whether an object of this name holds the state of a subtask, as [`state_name`] calls it.
pub fn is_state_name(name: &str) -> bool {
    let mut parts = name.split('-');
    let parts = [parts.next(), parts.next(), parts.next().and_then(|part| part.strip_prefix('a'))]
        .map(|part| part.is_some_and(|part| part.parse::<u32>().is_ok()));
    parts == [true; 3] && name.split('-').count() == 3
}

/// The metadata of a checkpoint.
pub fn metadata_file(
    job: JobId,
    checkpoint: CheckpointId,
    epoch: JobEpoch,
    attempt: Attempt,
) -> String {
    format!("{}/_metadata-e{epoch}a{attempt}", checkpoint_folder(job, checkpoint))
}

/// The term and the attempt of a checkpoint's metadata file, by its name.
pub fn attempt_of(name: &str) -> Option<(JobEpoch, Attempt)> {
    let (epoch, attempt) = name.strip_prefix("_metadata-e")?.split_once('a')?;
    Some((JobEpoch(epoch.parse().ok()?), Attempt(attempt.parse().ok()?)))
}

/// The object whose creation takes a term of leadership. It stays for ever.
pub fn term(epoch: JobEpoch) -> String {
    format!("{LEADER}/{epoch:012}", epoch = epoch.0)
}

/// The object of this number that renews the lease of a term.
pub fn renewal(epoch: JobEpoch, number: u64) -> String {
    format!("{}-{number:012}", term(epoch))
}

/// The job whose folder holds this path.
pub fn job_of(path: &str) -> Option<JobId> {
    path.strip_prefix(JOBS)?.strip_prefix('/')?.split_once('/')?.0.parse().ok()
}

/// The number of a log entry.
pub fn entry_of(path: &str) -> Option<u64> {
    let (folder, name) = path.rsplit_once('/')?;
    (log_folder(job_of(path)?) == folder).then(|| name.parse().ok()).flatten()
}

/// The checkpoint to whose folder this path belongs.
pub fn checkpoint_of(path: &str) -> Option<CheckpointId> {
    let within = path.strip_prefix(&job_folder(job_of(path)?))?.strip_prefix("/chk-")?;
    within.split_once('/')?.0.parse().ok().map(CheckpointId)
}

/// The checkpoint whose folder this is.
pub fn checkpoint_at(job: JobId, folder: &str) -> Option<CheckpointId> {
    let number = folder.strip_prefix(&job_folder(job))?.strip_prefix("/chk-")?;
    number.parse().ok().map(CheckpointId)
}

/// The term of a lease object, and the number of the renewal, 0 for the taking itself.
pub fn term_of(path: &str) -> Option<(JobEpoch, u64)> {
    let name = path.strip_prefix(LEADER)?.strip_prefix('/')?;
    let (epoch, number) = match name.split_once('-') {
        Some((epoch, number)) => (epoch, number.parse().ok()?),
        None => (name, 0),
    };
    Some((JobEpoch(epoch.parse().ok()?), number))
}

#[cfg(test)]
mod tests {
    use slackwater_core::id::VertexId;

    use super::*;

    #[test]
    fn a_path_says_what_it_was_made_of() {
        let (job, checkpoint) = (JobId(7), CheckpointId(12));
        let subtask = Subtask { vertex: VertexId(3), index: 1 };
        let state = state_file(job, checkpoint, subtask, Attempt(2));
        let metadata = metadata_file(job, checkpoint, JobEpoch(4), Attempt(2));
        let entry = log_entry(job, 9);
        let root = "jobs/00000000000000000000000000000007";
        assert_eq!(state, format!("{root}/chk-12/3-1-a2"));
        assert_eq!(metadata, format!("{root}/chk-12/_metadata-e4a2"));
        assert_eq!(entry, format!("{root}/log/000000000009"));
        for path in [&state, &metadata] {
            assert_eq!((job_of(path), checkpoint_of(path)), (Some(job), Some(checkpoint)));
            assert_eq!(entry_of(path), None);
        }
        assert_eq!((job_of(&entry), checkpoint_of(&entry)), (Some(job), None));
        assert_eq!(entry_of(&entry), Some(9));
        assert_eq!(term(JobEpoch(5)), "leader/000000000005");
        assert_eq!(term_of(&term(JobEpoch(5))), Some((JobEpoch(5), 0)));
        assert_eq!(term_of(&renewal(JobEpoch(5), 31)), Some((JobEpoch(5), 31)));
    }

    #[test]
    fn a_path_of_somebody_else_says_nothing() {
        for path in ["", "jobs", "jobs/7/chk-1/x", "leader", "leader/x", "leader/1-x", "etc/passwd"]
        {
            assert_eq!((job_of(path), checkpoint_of(path), entry_of(path)), (None, None, None));
            assert_eq!(term_of(path), None, "{path}");
        }
    }
}
