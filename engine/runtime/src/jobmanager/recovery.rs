//! What a new leader does before it opens its doors: claims every job, then reads how far it had come.
//! Never reads a log that it has not claimed, unless the job has ended, and never starts a job from
//! nothing because something could not be read (semantics rules 16 and 17).
//! What follows for the jobs is decided in `slackwater_control`'s `recovery` and `cluster`.

use std::sync::Arc;
use std::time::Duration;

use slackwater_control::job::Complete;
use slackwater_control::recovery::{Marked, Recovered};
use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::fact::Fact;
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{CheckpointId, JobEpoch, JobId};
use slackwater_core::joblog::LogEvent;
use slackwater_dataflow::task::Programs;

use super::lane::Stores;
use super::places::Places;
use crate::host::Host;
use crate::store::{History, JobLog, Store, StoreError, find_metadata, jobs, layout, read_all};

/// How long to wait before something is tried again that the store could not do.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A job as its log and its checkpoints tell it.
pub(super) struct Found {
    pub recovered: Recovered,
    pub graph: JobGraph,
    /// What of its newest checkpoints can be read.
    pub complete: Complete,
    /// Where it goes on writing; without a log if it has ended.
    pub stores: Stores,
}

/// Reads what the store knows of jobs, for the leader of a term.
pub(super) struct Reader<'a> {
    pub host: &'a Arc<dyn Host>,
    pub programs: &'a Arc<dyn Programs>,
    pub places: &'a Places,
    pub epoch: JobEpoch,
}

impl Reader<'_> {
    /// Every job, claimed and read; one that cannot be taken up is told as refused.
    ///
    /// # Errors
    /// If another leads.
    pub async fn read(&self, store: &Store) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for job in self.patiently(async || jobs(store).await).await? {
            match self.read_job(store, job).await? {
                Ok(job) => found.push(job),
                Err(cause) => self.host.tell(Fact::JobRefused { job, cause }),
            }
        }
        Ok(found)
    }

    async fn read_job(
        &self,
        store: &Store,
        job: JobId,
    ) -> Result<Result<Found, String>, StoreError> {
        let history = self.patiently(async || read_all(store, job).await).await?;
        if recovered(job, &history).is_some_and(|known| known.ended.is_some()) {
            return Ok(self.found(job, &history, None).await);
        }
        let claim = async || JobLog::claim(store.clone(), job, self.epoch).await;
        let (log, history) = self.patiently(claim).await?;
        Ok(self.found(job, &history, Some(log)).await)
    }

    /// Puts together what is known of a job.
    async fn found(
        &self,
        job: JobId,
        history: &History,
        log: Option<JobLog>,
    ) -> Result<Found, String> {
        let unreadable = history.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut recovered = recovered(job, history).ok_or_else(|| {
            format!("its log does not say what it runs: {}", unreadable.join("; "))
        })?;
        // Any of them may have begun an attempt.
        recovered.attempt.0 += unreadable.len() as u32;
        let mut graph = match recovered.graph.take() {
            Some(graph) => *graph,
            None => {
                let planned = self.programs.plan(&recovered.program);
                planned.map_err(|error| error.to_string())?.graph
            }
        };
        self.places.settle(&mut graph);
        let checkpoints = self.places.checkpoints(&graph).map_err(|error| error.to_string())?;
        let mut complete = Complete::new();
        if let (Some(store), Some(config), Some(_)) = (&checkpoints, &graph.checkpoints, &log) {
            for marked in recovered.candidates(config.retained) {
                complete.push(self.checkpoint(store, job, *marked).await);
            }
            // What cannot be read behind the last completion may have been a newer one.
            if let Some(cause) = unknown_end(job, history) {
                complete.push((recovered.next_checkpoint, Err(cause)));
                recovered.next_checkpoint = recovered.next_checkpoint.next();
            }
        }
        let stores = Stores { log, checkpoints };
        Ok(Found { recovered, graph, complete, stores })
    }

    /// Reads the metadata of a checkpoint.
    async fn checkpoint(
        &self,
        store: &Store,
        job: JobId,
        marked: Marked,
    ) -> (CheckpointId, Result<CheckpointMetadata, String>) {
        let Marked { checkpoint, epoch, attempt } = marked;
        let path = layout::metadata_file(job, checkpoint, epoch, attempt);
        let read = self.patiently(async || find_metadata(store, &path).await).await;
        (checkpoint, read.map_err(|error| error.to_string()))
    }

    /// Asks until there is an answer: for as long as the term lasts, the store may come back.
    async fn patiently<T>(
        &self,
        ask: impl AsyncFn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            match ask().await {
                Err(error) if error.is_transient() => self.host.sleep(TRY_AGAIN_AFTER).await,
                answered => return answered,
            }
        }
    }
}

fn recovered(job: JobId, history: &History) -> Option<Recovered> {
    let entries = history.entries.iter().map(|entry| (entry.epoch, &entry.event));
    Recovered::from_log(job, entries)
}

/// Why it is not known which checkpoint was the last to complete, if it is not.
fn unknown_end(job: JobId, history: &History) -> Option<String> {
    let completed = |event: &LogEvent| matches!(event, LogEvent::Completed { .. });
    let last = history.entries.iter().rev().find(|entry| completed(&entry.event));
    let last = last.map_or_else(String::new, |entry| layout::log_entry(job, entry.number));
    // Entries lie in the order of their names.
    let behind = history.unreadable.iter().find(|error| error.path() > last.as_str());
    behind.map(|error| format!("its log does not say whether it is complete: {error}"))
}
