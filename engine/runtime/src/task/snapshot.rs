//! Writes what a task kept at a barrier, beside its stream, and tells the job manager.
//! Never holds the stream up and never fails the task: what cannot be written is declined, and the
//! checkpoint with it. What is kept is the dataflow's `Fork`; how it comes back is
//! [`crate::worker`]'s, and where it lies is [`crate::store`].

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slackwater_core::checkpoint::{CheckpointTimes, Contents, StateHandle};
use slackwater_core::element::{Barrier, BarrierKind};
use slackwater_core::fact::Fact;
use slackwater_core::id::{CheckpointId, Execution};
use slackwater_dataflow::state::{Fork, Summary};

use super::target::{Storage, Targets};
use crate::host::{Host, TaskHandle};
use crate::store::{Part, write_relative, write_state};
use crate::wire::message::ToJobManager;

/// More state than this does not travel inside an acknowledgement.
pub const INLINE_MAX: usize = 4 << 20;

/// How a task speaks to the job manager.
pub type Say = Rc<dyn Fn(ToJobManager)>;

/// What a task needs to take part in checkpoints.
#[derive(Clone)]
pub struct Snapshots {
    /// Where the state of checkpoints goes.
    pub storage: Storage,
    /// Where that of savepoints goes.
    pub targets: Rc<Targets>,
    /// Who hears that it is there.
    pub say: Say,
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshots({:?})", self.storage)
    }
}

/// What a task kept as a barrier passed.
pub(super) struct Kept {
    pub barrier: Barrier,
    pub forks: Vec<Box<dyn Fork>>,
    pub times: CheckpointTimes,
    /// Whether the task is a source at its end.
    pub ended: bool,
}

/// A snapshot that is being written; given up when dropped.
pub(super) struct Writing {
    pub checkpoint: CheckpointId,
    running: TaskHandle,
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Snapshots {
    /// Begins to write, beside the task.
    pub(super) fn write(&self, host: &Arc<dyn Host>, task: Execution, kept: Kept) -> Writing {
        let checkpoint = kept.barrier.checkpoint;
        let writer = Writer { host: Arc::clone(host), task, snapshots: self.clone() };
        let name = format!("snapshot of {task}");
        Writing { checkpoint, running: host.spawn(&name, Box::pin(writer.run(kept))) }
    }
}

struct Writer {
    host: Arc<dyn Host>,
    task: Execution,
    snapshots: Snapshots,
}

impl Writer {
    async fn run(self, kept: Kept) {
        let Kept { barrier, forks, mut times, ended } = kept;
        let (task, say, checkpoint) = (self.task, &self.snapshots.say, barrier.checkpoint);
        let began = self.host.elapsed();
        let (state, contents) = match self.store(barrier, forks).await {
            Ok(stored) => stored,
            Err(cause) => return say(ToJobManager::Declined { task, checkpoint, cause }),
        };
        times.write = self.host.elapsed().saturating_sub(began);
        times.bytes = state.bytes();
        self.host.tell(Fact::StateWritten { task, checkpoint, bytes: times.bytes });
        self.host.tell(Fact::CheckpointAckSent { task, checkpoint });
        say(ToJobManager::Acknowledged { task, checkpoint, state, contents, times, ended });
    }

    /// Encodes at once, so that the stream is free of the forks, also if nobody knows yet where the
    /// bytes go.
    async fn store(
        &self,
        barrier: Barrier,
        forks: Vec<Box<dyn Fork>>,
    ) -> Result<(StateHandle, Contents), String> {
        let (sections, contents) = encode(&*self.host, forks).await?;
        let storage = match barrier.kind {
            BarrierKind::Checkpoint => self.snapshots.storage.clone(),
            BarrierKind::Savepoint | BarrierKind::StopWithSavepoint { .. } => {
                self.snapshots.targets.of(barrier.checkpoint).await
            }
        };
        if let Storage::Closed(error) = &storage {
            return Err(error.to_string());
        }
        let handle = self.put(&storage, barrier.checkpoint, sections).await?;
        Ok((handle, contents))
    }

    async fn put(
        &self,
        storage: &Storage,
        checkpoint: CheckpointId,
        sections: Vec<Bytes>,
    ) -> Result<StateHandle, String> {
        if sections.is_empty() {
            return Ok(StateHandle::Empty);
        }
        let part = Part { checkpoint, task: self.task };
        let written = match storage {
            Storage::Inline => return self.inline(&sections),
            Storage::Files(store) => write_state(store, &part, sections).await,
            Storage::Folder(store) => write_relative(store, &part, sections).await,
            Storage::Closed(error) => Err(error.clone()),
        };
        written.map(StateHandle::File).map_err(|error| error.to_string())
    }

    fn inline(&self, sections: &[Bytes]) -> Result<StateHandle, String> {
        let bytes = sections.iter().map(Bytes::len).sum::<usize>();
        if bytes > INLINE_MAX {
            return Err(format!(
                "the state of {} has {bytes} bytes, and the memory of the job manager takes \
                 {INLINE_MAX}: store it in a folder",
                self.task.subtask
            ));
        }
        Ok(StateHandle::Inline(sections.concat()))
    }
}

/// A slice of encoding lasts so long, or a step of a fork more.
const SLICE: Duration = Duration::from_micros(500);

/// A slice has at most so many steps: where time stands still, slices end all the same.
const SLICE_STEPS: usize = 16;

/// Sections are put together to pieces of this size: each piece is checksummed in one go.
const PIECE: usize = 256 << 10;

/// The bytes of every section and what they hold, one slice of work after the other: the tasks of
/// this worker go on between them.
async fn encode(
    host: &dyn Host,
    forks: Vec<Box<dyn Fork>>,
) -> Result<(Vec<Bytes>, Contents), String> {
    let (mut pieces, mut piece, mut summary) = (Vec::new(), Vec::new(), Summary::default());
    let (mut began, mut steps) = (host.elapsed(), 0);
    for mut fork in forks {
        while let Some(section) = fork.next_section() {
            if let Some(section) = section.map_err(|error| error.to_string())? {
                summary.add(&section).map_err(|error| error.to_string())?;
                piece = postcard::to_extend(&section, piece).map_err(|error| error.to_string())?;
            }
            if piece.len() >= PIECE {
                pieces.push(Bytes::from(std::mem::take(&mut piece)));
            }
            steps += 1;
            if steps == SLICE_STEPS || host.elapsed().saturating_sub(began) >= SLICE {
                tokio::task::yield_now().await;
                (began, steps) = (host.elapsed(), 0);
            }
        }
    }
    if !piece.is_empty() {
        pieces.push(Bytes::from(piece));
    }
    Ok((pieces, summary.contents()))
}
