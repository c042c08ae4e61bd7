//! How the desk carries out what `control` commands, one command after the other.
//! Never decides and never waits: what takes time is put on the lane of its job, and its outcome
//! comes back as an event. What comes in is [`super::desk`].

use std::collections::VecDeque;
use std::time::Duration;

use slackwater_control::cluster::Command;
use slackwater_control::command::Placement;
use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::id::{JobId, TaskManagerId};
use slackwater_core::joblog::LogEvent;
use slackwater_core::time::ProcessingTime;

use super::desk::Desk;
use super::lane::{Deed, Lane, Outcome, Stores};
use crate::deployment::{Deployment, Placed};
use crate::wire::message::ToTaskManager;

impl Desk {
    /// Carries out commands, and those that follow from them at once.
    pub(super) fn execute(&mut self, commands: Vec<Command>) {
        let mut queue = VecDeque::from(commands);
        while let Some(command) = queue.pop_front() {
            queue.extend(self.obey(command));
        }
    }

    /// Carries out one command; gives what follows from its outcome, if that is known already.
    fn obey(&mut self, command: Command) -> Vec<Command> {
        let (epoch, now) = (self.cluster.epoch(), self.host.elapsed());
        match command {
            Command::Tell(fact) => self.host.tell(fact),
            // What is not to outlive this process is as durable as it will ever be.
            Command::Persist { job, ticket, .. } if self.places.store.is_none() => {
                return self.cluster.persisted(now, job, ticket);
            }
            Command::Persist { job, ticket, event } => {
                *self.unwritten.entry(job).or_default() += 1;
                self.put(job, Deed::Persist { ticket, event });
            }
            Command::Complete { job, mut metadata, took, event } => {
                self.stamp(&mut metadata, took);
                self.put(job, Deed::Complete { metadata, event });
            }
            Command::Save { job, trigger, path, inline, mut metadata, took, ids_below } => {
                self.stamp(&mut metadata, took);
                let folder = (!inline).then(|| path.clone());
                if inline {
                    // It is to be lost with this process: the log says that it was, and no more.
                    metadata.vertices.clear();
                }
                let event = LogEvent::Saved { trigger, path, metadata, ids_below };
                self.put(job, Deed::Save { folder, event });
            }
            Command::Publish { job, path, metadata } => {
                self.put(job, Deed::Publish { folder: path, metadata });
            }
            Command::Unsave { job, paths } => self.put(job, Deed::Unsave(paths)),
            Command::Discard { job, checkpoints } => self.put(job, Deed::Discard(checkpoints)),
            Command::Sweep { job, keep, below } => self.put(job, Deed::Sweep { keep, below }),
            deploy @ Command::Deploy { .. } => self.deploy(deploy),
            Command::Cancel { task_manager, job, attempt } => {
                self.send(&task_manager, ToTaskManager::Cancel { epoch, job, attempt });
            }
            Command::Trigger { task_manager, job, attempt, barrier, subtasks, savepoint } => {
                let order =
                    ToTaskManager::Trigger { epoch, job, attempt, barrier, subtasks, savepoint };
                self.send(&task_manager, order);
            }
            Command::Notify { task_manager, job, attempt, checkpoint, last } => {
                let order = ToTaskManager::Completed { epoch, job, attempt, checkpoint, last };
                self.send(&task_manager, order);
            }
            Command::AbortCheckpoint { task_manager, job, attempt, checkpoint } => {
                let order = ToTaskManager::Aborted { epoch, job, attempt, checkpoint };
                self.send(&task_manager, order);
            }
        }
        Vec::new()
    }

    /// Says when a checkpoint was triggered and complete, by this host's wall clock.
    fn stamp(&self, metadata: &mut CheckpointMetadata, took: Duration) {
        let completed = self.host.wall();
        let took = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        let triggered = completed.as_millis().saturating_sub(took);
        metadata.triggered = ProcessingTime::from_millis(triggered);
        metadata.completed = completed;
    }

    fn put(&self, job: JobId, deed: Deed) {
        // Without a lane there is nowhere that anything could have been written.
        if let Some(lane) = self.lanes.get(&job) {
            lane.put(deed);
        }
    }

    /// Takes what has come of a deed.
    pub(super) fn written(&mut self, job: JobId, outcome: Outcome) {
        let now = self.host.elapsed();
        let commands = match outcome {
            Outcome::Persisted { ticket } => self.cluster.persisted(now, job, ticket),
            Outcome::Completed(checkpoint) => self.cluster.metadata_written(now, job, checkpoint),
            Outcome::NotCompleted(checkpoint, error) => {
                self.cluster.metadata_failed(now, job, checkpoint, &error.to_string())
            }
            Outcome::Fenced(error) => {
                self.deposed = Some(error.to_string());
                return;
            }
        };
        self.execute(commands);
    }

    fn deploy(&self, command: Command) {
        let Command::Deploy {
            worker,
            job,
            attempt,
            program,
            checkpoints,
            restore,
            spared,
            placement,
            subtasks,
        } = command
        else {
            return;
        };
        let placed = |place: Placement| Placed {
            subtask: place.subtask,
            worker: place.worker,
            address: place.address,
        };
        let deployment = Box::new(Deployment {
            job,
            epoch: self.cluster.epoch(),
            attempt,
            program,
            placement: placement.into_iter().map(placed).collect(),
            subtasks,
            checkpoints,
            restore: restore.map(|point| *point),
            spared,
        });
        let message = ToTaskManager::Deploy { worker: worker.index, deployment };
        self.send(&worker.task_manager, message);
    }

    fn send(&self, to: &TaskManagerId, message: ToTaskManager) {
        if let Some(link) = self.links.get(to) {
            // A link that has just broken is about to say so, and its tasks are lost then.
            let _ = link.outgoing.send(message);
        }
    }

    /// Opens the lane of a job.
    pub(super) fn open_lane(&mut self, job: JobId, stores: Stores) {
        let lane = Lane::new(&self.host, job, stores, (&self.reign, &self.events));
        self.lanes.insert(job, lane);
    }
}
