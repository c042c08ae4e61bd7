//! What the control plane wants done: one list of commands, in the order in which they must happen.
//! Plain data; nothing is executed, retried or awaited here.
//! Who fills the list: [`crate::cluster`]; who empties it: `slackwater-runtime`'s `jobmanager`.
//!
//! The executor carries commands out in their order. Those that touch the store of a job
//! ([`Command::Persist`], [`Command::Complete`], [`Command::Discard`], [`Command::Sweep`]) may take
//! time: they are done one after the other for each job, while other commands go on. The outcome of
//! `Persist` and `Complete` is a message to [`crate::cluster::Cluster`]; whatever must not happen
//! before it is commanded then, and no sooner.

use std::time::Duration;

use slackwater_core::checkpoint::{CheckpointConfig, CheckpointMetadata, RestorePoint};
use slackwater_core::element::Barrier;
use slackwater_core::fact::Fact;
use slackwater_core::id::{
    Attempt, CheckpointId, JobId, Subtask, TaskManagerId, TriggerId, WorkerId,
};
use slackwater_core::joblog::LogEvent;
use slackwater_core::program::Program;

/// Where one subtask goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Which subtask.
    pub subtask: Subtask,
    /// On which worker.
    pub worker: WorkerId,
    /// The worker's exchange address.
    pub address: String,
}

/// What the job manager must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// State a fact.
    Tell(Fact),
    /// Append an entry to the job's metadata log, then say
    /// [`persisted`](crate::cluster::Cluster::persisted). An append that may have failed is tried
    /// again until it is known; one that another leader forestalled ends this leadership.
    Persist {
        /// The job.
        job: JobId,
        /// Names the entry in the answer; not its number in the log.
        ticket: u64,
        /// What the entry says.
        event: LogEvent,
    },
    /// Let a worker start these subtasks of an attempt.
    Deploy {
        /// The worker.
        worker: WorkerId,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// What it runs.
        program: Program,
        /// Whether checkpoints are taken, and where their state goes.
        checkpoints: Option<CheckpointConfig>,
        /// Where the tasks begin; `None`: at the start.
        restore: Option<Box<RestorePoint>>,
        /// Savepoints that are complete: what two-phase sinks prepared for them stays.
        spared: Vec<CheckpointId>,
        /// Where every subtask of the attempt runs.
        placement: Vec<Placement>,
        /// Which of them start on this worker.
        subtasks: Vec<Subtask>,
    },
    /// Let a task manager cancel every task of this attempt, and of older ones.
    Cancel {
        /// The task manager.
        task_manager: TaskManagerId,
        /// The job.
        job: JobId,
        /// Up to and with this attempt.
        attempt: Attempt,
    },
    /// Let a barrier start at these sources.
    Trigger {
        /// The task manager that runs them.
        task_manager: TaskManagerId,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// The barrier.
        barrier: Barrier,
        /// The sources; none on this task manager, if it is only told where a savepoint goes.
        subtasks: Vec<Subtask>,
        /// Where the state goes, if it is a savepoint: its folder, or `memory://`.
        savepoint: Option<String>,
    },
    /// Write the metadata file of a checkpoint, then append the entry, which completes it; then say
    /// [`metadata_written`](crate::cluster::Cluster::metadata_written).
    /// [`metadata_failed`](crate::cluster::Cluster::metadata_failed) may be said only while it is
    /// certain that the entry is not in the log and will never be.
    Complete {
        /// The job.
        job: JobId,
        /// The metadata; the executor stamps its two times, of which control knows none.
        metadata: Box<CheckpointMetadata>,
        /// From the trigger to the last acknowledgement.
        took: Duration,
        /// What to append once the file is durable.
        event: LogEvent,
    },
    /// Append [`LogEvent::Saved`], which completes the savepoint, then put its metadata into its
    /// folder; then say [`metadata_written`](crate::cluster::Cluster::metadata_written). What the
    /// folder refuses for good is taken back with [`LogEvent::Unsaved`], before
    /// [`metadata_failed`](crate::cluster::Cluster::metadata_failed) is said.
    Save {
        /// The job.
        job: JobId,
        /// The request.
        trigger: TriggerId,
        /// Its folder, or its place in the job manager's memory.
        path: String,
        /// Whether it stays in the job manager's memory: then there is nothing to put anywhere.
        inline: bool,
        /// The metadata; the executor stamps its two times, of which control knows none.
        metadata: Box<CheckpointMetadata>,
        /// From the trigger to the last acknowledgement.
        took: Duration,
        /// No checkpoint id from here on has been used.
        ids_below: CheckpointId,
    },
    /// Put the metadata of a savepoint into its folder, if its state lies there and nothing else:
    /// the leader before may not have lived to do so.
    Publish {
        /// The job.
        job: JobId,
        /// The folder.
        path: String,
        /// The metadata.
        metadata: Box<CheckpointMetadata>,
    },
    /// Delete what savepoints left in their folders that never completed: nothing, where there is
    /// metadata.
    Unsave {
        /// The job.
        job: JobId,
        /// The folders.
        paths: Vec<String>,
    },
    /// Tell a task manager's tasks of this attempt that a checkpoint is complete.
    Notify {
        /// The task manager.
        task_manager: TaskManagerId,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Whether every source was at its end, so that the job ends with it.
        last: bool,
    },
    /// Tell a task manager's tasks of this attempt that a checkpoint will never complete.
    AbortCheckpoint {
        /// The task manager.
        task_manager: TaskManagerId,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Delete everything that these checkpoints left in the store. A failure to do so is no harm:
    /// it is told again by the next [`Command::Sweep`].
    Discard {
        /// The job.
        job: JobId,
        /// The checkpoints; none of them will ever be restored.
        checkpoints: Vec<CheckpointId>,
    },
    /// Delete what every checkpoint below `below` left in the store, but for those to keep.
    Sweep {
        /// The job.
        job: JobId,
        /// The checkpoints that stay.
        keep: Vec<CheckpointId>,
        /// Ids from here on may be a later leader's, and are left alone.
        below: CheckpointId,
    },
}

/// The commands that a message has led to, so far.
#[derive(Debug, Default)]
pub struct Outbox {
    commands: Vec<Command>,
    now: Duration,
}

impl Outbox {
    /// From here on, what is decided is decided at `now`.
    pub fn at(&mut self, now: Duration) {
        self.now = now;
    }

    /// When what is decided now is decided.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Appends a fact.
    pub fn tell(&mut self, fact: Fact) {
        self.commands.push(Command::Tell(fact));
    }

    /// Appends a command.
    pub fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Empties the list.
    pub fn take(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }
}

impl Extend<Command> for Outbox {
    fn extend<T: IntoIterator<Item = Command>>(&mut self, commands: T) {
        self.commands.extend(commands);
    }
}
