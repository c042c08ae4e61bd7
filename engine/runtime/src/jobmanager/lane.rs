//! What one job has written to stores, one deed after the other, beside the desk.
//! Never gives up on an entry of the log while its term lasts: whether it stands must be known before
//! anything else takes its number. Never deletes what it was not told to delete.
//! What is to be written, and what follows from it, is decided in `slackwater-control`.

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::id::{CheckpointId, JobId};
use slackwater_core::joblog::LogEvent;
use tokio::sync::mpsc;

use super::Kept;
use super::door::Event;
use super::leader::Reign;
use crate::host::Host;
use crate::store::{JobLog, Store, StoreError, garbage, savepoint, write_metadata};

/// How long to wait before an entry that could not be written is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Something to be done to a store.
pub(super) enum Deed {
    /// Append an entry to the job's log.
    Persist { ticket: u64, event: LogEvent },
    /// Write the metadata of a checkpoint, and then the entry that completes it.
    Complete { metadata: Box<CheckpointMetadata>, event: LogEvent },
    /// Append the entry that completes a savepoint, then put its metadata into its folder, if it has
    /// one.
    Save { folder: Option<String>, event: LogEvent },
    /// Put the metadata of a savepoint into its folder that the log names, if it lacks it.
    Publish { folder: String, metadata: Box<CheckpointMetadata> },
    /// Delete what savepoints left in these folders that never completed.
    Unsave(Vec<String>),
    /// Delete what these checkpoints left.
    Discard(Vec<CheckpointId>),
    /// Delete what every checkpoint below `below` left, but for those to keep.
    Sweep { keep: Vec<CheckpointId>, below: CheckpointId },
}

/// What came of a deed that somebody waits for.
pub(super) enum Outcome {
    /// The entry stands.
    Persisted { ticket: u64 },
    /// The checkpoint is complete.
    Completed(CheckpointId),
    /// The checkpoint could not be written, and never will be complete.
    NotCompleted(CheckpointId, StoreError),
    /// Somebody else leads.
    Fenced(StoreError),
}

/// Where a job's deeds are done.
pub(super) struct Stores {
    /// Its log; `None` if nothing is to outlive the job manager.
    pub log: Option<JobLog>,
    /// Where its checkpoints lie; `None` if they stay in the job manager's memory.
    pub checkpoints: Option<Store>,
}

/// The way of one job to its stores.
pub(super) struct Lane {
    deeds: mpsc::UnboundedSender<Deed>,
    _writing: Kept,
}

impl Lane {
    /// The lane of a job. What comes of its deeds is told as [`Event::Written`].
    pub fn new(
        host: &Arc<dyn Host>,
        job: JobId,
        stores: Stores,
        (reign, events): (&Reign, &mpsc::UnboundedSender<Event>),
    ) -> Self {
        let (deeds, ordered) = mpsc::unbounded_channel();
        let (host_of, reign, events) = (Arc::clone(host), reign.clone(), events.clone());
        let writer = Writer { host: host_of, job, stores, reign, events };
        let writing = host.spawn("job log", Box::pin(writer.run(ordered)));
        Self { deeds, _writing: Kept(writing) }
    }

    /// Has something done, after all that was asked for before.
    pub fn put(&self, deed: Deed) {
        // The writer lives as long as this lane, unless it panicked, which was told.
        let _ = self.deeds.send(deed);
    }
}

/// Does what a lane was given, in order.
struct Writer {
    host: Arc<dyn Host>,
    job: JobId,
    stores: Stores,
    reign: Reign,
    events: mpsc::UnboundedSender<Event>,
}

impl Writer {
    async fn run(mut self, mut deeds: mpsc::UnboundedReceiver<Deed>) {
        while let Some(deed) = deeds.recv().await {
            if let Some(outcome) = self.execute(deed).await {
                // Without a desk the term is over, and this task with it.
                let _ = self.events.send(Event::Written { job: self.job, outcome });
            }
        }
    }

    async fn execute(&mut self, deed: Deed) -> Option<Outcome> {
        match deed {
            Deed::Persist { ticket, event } => Some(match self.append(&event).await {
                Ok(()) => Outcome::Persisted { ticket },
                Err(fenced) => Outcome::Fenced(fenced),
            }),
            Deed::Complete { metadata, event } => Some(self.complete(&metadata, &event).await),
            Deed::Save { folder, event } => self.save(folder.as_deref(), event).await,
            Deed::Publish { folder, metadata } => {
                let again = || savepoint::publish_again(&self.host, &folder, &metadata);
                // What cannot be put there now was never told to anybody.
                drop(self.patiently(again).await);
                None
            }
            Deed::Unsave(folders) => {
                for folder in folders {
                    // As for checkpoints; the coordinator asks once more.
                    drop(savepoint::sweep(&self.host, &folder).await);
                }
                None
            }
            // What could not be deleted now is found by the next sweep.
            Deed::Discard(gone) => {
                drop(self.delete(&gone).await);
                None
            }
            Deed::Sweep { keep, below } => {
                // The last sweep of a job has no next one that finds what it leaves.
                let is_last = keep.is_empty();
                while let Err(error) = self.sweep(&keep, below).await
                    && is_last
                    && error.is_transient()
                {
                    self.host.sleep(TRY_AGAIN_AFTER).await;
                }
                None
            }
        }
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// If it never will stand: somebody else leads.
    async fn append(&mut self, event: &LogEvent) -> Result<(), StoreError> {
        let Some(log) = &mut self.stores.log else { return Ok(()) };
        loop {
            match log.append(event.clone()).await {
                Ok(_) => return Ok(()),
                // What lies in the place of the entry may be a claim that nobody can read: to lead on
                // is not safe, and the next leader begins behind it.
                Err(error) if error.is_fenced() || error.is_damage() => return Err(error),
                // It may stand or not: the same is tried again, and recognised.
                Err(_) => self.host.sleep(TRY_AGAIN_AFTER).await,
            }
        }
    }

    async fn complete(&mut self, metadata: &CheckpointMetadata, event: &LogEvent) -> Outcome {
        let checkpoint = metadata.checkpoint;
        if let Some(store) = &self.stores.checkpoints
            && let Err(error) = write_metadata(store, metadata).await
        {
            return Outcome::NotCompleted(checkpoint, error);
        }
        match self.append(event).await {
            Ok(()) => Outcome::Completed(checkpoint),
            Err(fenced) => Outcome::Fenced(fenced),
        }
    }

    /// Completes a savepoint. The entry comes first: with it, every later leader spares what two-phase
    /// sinks prepared for the savepoint, before anybody can start from it.
    async fn save(&mut self, folder: Option<&str>, event: LogEvent) -> Option<Outcome> {
        let LogEvent::Saved { metadata, .. } = &event else { return None };
        let checkpoint = metadata.checkpoint;
        if let Err(fenced) = self.append(&event).await {
            return Some(Outcome::Fenced(fenced));
        }
        let Some(folder) = folder else { return Some(Outcome::Completed(checkpoint)) };
        let published = self.patiently(|| savepoint::publish(&self.host, folder, metadata)).await;
        let Err(error) = published else { return Some(Outcome::Completed(checkpoint)) };
        match self.append(&LogEvent::Unsaved { checkpoint }).await {
            Ok(()) => Some(Outcome::NotCompleted(checkpoint, error)),
            Err(fenced) => Some(Outcome::Fenced(fenced)),
        }
    }

    /// Tries until it works or fails for good.
    async fn patiently<T>(
        &self,
        attempt: impl AsyncFn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            match attempt().await {
                Err(error) if error.is_transient() => self.host.sleep(TRY_AGAIN_AFTER).await,
                tried => return tried,
            }
        }
    }

    /// Deletes what every checkpoint below `below` left, but for those to keep.
    async fn sweep(&self, keep: &[CheckpointId], below: CheckpointId) -> Result<(), StoreError> {
        let Some(store) = &self.stores.checkpoints else { return Ok(()) };
        let folders = garbage::folders(store, self.job).await?;
        self.delete(&garbage::collectable(self.job, &folders, keep, below)).await
    }

    /// Deletes what lies in the folders of these checkpoints, for as long as this term lasts: the
    /// next leader may need what this one does not know of.
    async fn delete(&self, gone: &[CheckpointId]) -> Result<(), StoreError> {
        let Some(store) = &self.stores.checkpoints else { return Ok(()) };
        let goes_on = || self.reign.lasts(self.host.elapsed());
        for checkpoint in gone {
            garbage::delete(store, self.job, *checkpoint, goes_on).await?;
        }
        Ok(())
    }
}
