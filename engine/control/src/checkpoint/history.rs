//! The complete checkpoints of a job: which are kept, and with which one it starts again.
//! Never gives nothing where something was: damage leads to an older one, or to an error that names it.
//! When a checkpoint is complete: [`super::Coordinator`]; who deletes files: the executor.

use std::collections::{BTreeSet, VecDeque};

use slackwater_core::checkpoint::{CheckpointMetadata, RestorePoint};
use slackwater_core::id::CheckpointId;
use slackwater_core::joblog::Start;

/// The complete checkpoints of one job.
#[derive(Debug)]
pub struct History {
    /// How many are kept; at least 1.
    retained: usize,
    /// Whether what is seen outside was committed by these checkpoints.
    two_phase: bool,
    /// Oldest first, never more than are retained.
    complete: VecDeque<CheckpointMetadata>,
    /// Where the job started; the fallback until its first own one (semantics rule 21).
    initial: Option<Start>,
    /// Aborted or unreadable: their files may still lie about, or yet appear.
    litter: BTreeSet<CheckpointId>,
}

impl History {
    /// None yet.
    pub fn new(retained: u32, two_phase: bool, initial: Option<Start>) -> Self {
        let retained = retained.max(1) as usize;
        let (complete, litter) = (VecDeque::new(), BTreeSet::new());
        Self { retained, two_phase, complete, initial, litter }
    }

    /// The one to start again with; `None`: the job has none yet, and starts at its beginning.
    pub fn newest(&self) -> Option<&CheckpointMetadata> {
        self.complete.back().or(self.initial.as_ref().map(|start| &*start.metadata))
    }

    /// The same as those need it who take it up.
    pub fn restore_point(&self) -> Option<RestorePoint> {
        let own = self.complete.back().map(RestorePoint::from);
        own.or_else(|| {
            let Start { folder, metadata, reset_watermarks } = self.initial.as_ref()?;
            // What was kept in a job manager's memory is in the metadata, state and all.
            let storage = (!folder.starts_with("jobmanager://")).then(|| folder.clone());
            let reset_watermarks = *reset_watermarks;
            Some(RestorePoint { storage, reset_watermarks, ..RestorePoint::from(&**metadata) })
        })
    }

    /// The newest of the job's own.
    pub fn last_completed(&self) -> Option<CheckpointId> {
        self.complete.back().map(|metadata| metadata.checkpoint)
    }

    /// The job's own that are kept, oldest first. Where it started lies elsewhere.
    pub fn kept(&self) -> Vec<CheckpointId> {
        self.complete.iter().map(|metadata| metadata.checkpoint).collect()
    }

    /// Whether this one is kept.
    pub fn keeps(&self, checkpoint: CheckpointId) -> bool {
        self.complete.iter().any(|kept| kept.checkpoint == checkpoint)
    }

    /// Adds a complete checkpoint. Which ones it subsumes: no restore uses them, since a new one can
    /// only complete when every task of the attempt has taken up the old.
    ///
    /// # Panics
    /// Unless it is newer than all others.
    pub fn add(&mut self, metadata: CheckpointMetadata) -> Vec<CheckpointId> {
        let newer = self.last_completed().is_none_or(|last| last < metadata.checkpoint);
        assert!(newer, "checkpoints complete in the order of their ids");
        // What a person named is not ours to delete, only ours to forget.
        self.initial = None;
        self.complete.push_back(metadata);
        let over = self.complete.len().saturating_sub(self.retained);
        self.complete.drain(..over).map(|metadata| metadata.checkpoint).collect()
    }

    /// Notes that files of a checkpoint may lie about that will never be complete.
    pub fn litter(&mut self, checkpoint: CheckpointId) {
        assert!(!self.keeps(checkpoint), "what is kept is no litter");
        self.litter.insert(checkpoint);
    }

    /// Gives up what has been noted as litter so far, to be deleted.
    pub fn take_litter(&mut self) -> Vec<CheckpointId> {
        std::mem::take(&mut self.litter).into_iter().collect()
    }

    /// Takes out a checkpoint that cannot be read (semantics rule 17); then [`History::newest`] is
    /// the next older one.
    ///
    /// # Errors
    /// If there is no older one, or what it does not know has been committed outside: why the job
    /// has to wait for a person.
    pub fn discredit(&mut self, checkpoint: CheckpointId, cause: &str) -> Result<(), String> {
        let damaged = format!("checkpoint {checkpoint} cannot be read: {cause}");
        if self.initial.as_ref().is_some_and(|start| start.metadata.checkpoint == checkpoint) {
            // It stays named: to forget it would be to start from nothing.
            return Err(format!("{damaged}; it is where the job was told to start"));
        }
        let next_older = self.complete.iter().rev().find(|kept| kept.checkpoint < checkpoint);
        let older = next_older.map(|metadata| metadata.checkpoint);
        let Some(older) = older else {
            return Err(format!("{damaged}; there is no older one that can be read"));
        };
        if self.two_phase {
            return Err(format!(
                "{damaged}; checkpoint {older} is older than what two-phase sinks have committed"
            ));
        }
        self.complete.retain(|kept| kept.checkpoint != checkpoint);
        self.litter.insert(checkpoint);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use slackwater_core::checkpoint::{CheckpointKind, METADATA_FORMAT};
    use slackwater_core::id::{Attempt, JobEpoch, JobId};
    use slackwater_core::program::Program;
    use slackwater_core::time::ProcessingTime;

    use super::*;

    fn metadata(job: u128, checkpoint: u64) -> CheckpointMetadata {
        CheckpointMetadata {
            format: METADATA_FORMAT,
            job: JobId(job),
            checkpoint: CheckpointId(checkpoint),
            kind: CheckpointKind::Checkpoint,
            epoch: JobEpoch(1),
            attempt: Attempt(1),
            program: Program::named("job"),
            triggered: ProcessingTime::from_millis(0),
            completed: ProcessingTime::from_millis(0),
            max_parallelism: 8,
            vertices: Vec::new(),
            finished: Vec::new(),
            last: false,
            ending: None,
        }
    }

    fn newest(history: &History) -> Option<(u128, u64)> {
        history.newest().map(|metadata| (metadata.job.0, metadata.checkpoint.0))
    }

    #[test]
    fn where_a_job_was_told_to_start_stays_its_fallback_until_its_first_own_checkpoint() {
        let (folder, metadata_of_start) = ("file:///sp".to_owned(), Box::new(metadata(9, 40)));
        let start = Start { folder, metadata: metadata_of_start, reset_watermarks: false };
        let mut history = History::new(1, false, Some(start));
        // However many attempts there are: each begins there.
        assert_eq!((newest(&history), newest(&history)), (Some((9, 40)), Some((9, 40))));
        let damaged = history.discredit(CheckpointId(40), "gone").expect_err("nothing else");
        assert!(damaged.contains("where the job was told to start"), "{damaged}");
        assert_eq!(newest(&history), Some((9, 40)), "it is never forgotten for nothing");
        assert_eq!(history.add(metadata(1, 1)), [], "what a person named is not ours to delete");
        assert_eq!(newest(&history), Some((1, 1)));
    }

    #[test]
    fn what_is_kept_is_what_was_asked_for_and_at_least_one() {
        for (retained, expected) in [(0, 1), (1, 1), (2, 2), (3, 3), (9, 5)] {
            let mut history = History::new(retained, false, None);
            let gone: usize = (1..=5).map(|id| history.add(metadata(1, id)).len()).sum();
            assert_eq!((history.kept().len(), gone), (expected, 5 - expected), "{retained}");
            assert_eq!(history.last_completed(), Some(CheckpointId(5)));
        }
    }

    #[test]
    fn damage_leads_to_older_ones_and_at_last_to_an_error() {
        let mut history = History::new(3, false, None);
        (1..=3).for_each(|id| drop(history.add(metadata(1, id))));
        for (damaged, next) in [(3, 2), (2, 1)] {
            assert_eq!(history.discredit(CheckpointId(damaged), "flipped"), Ok(()));
            assert_eq!(newest(&history), Some((1, next)));
        }
        assert!(history.discredit(CheckpointId(1), "flipped").is_err());
        assert_eq!(newest(&history), Some((1, 1)), "never nothing");
    }
}
