//! Writes what a task kept at a barrier, beside its stream, and tells the job manager.
//! Never holds the stream up and never fails the task: what cannot be written is declined, and the
//! checkpoint with it. What is kept is the dataflow's `Fork`; how it comes back is
//! [`crate::worker`]'s, and where it lies is [`crate::store`].

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slackwater_core::checkpoint::{CheckpointConfig, CheckpointTimes, Contents, StateHandle};
use slackwater_core::fact::Fact;
use slackwater_core::id::{CheckpointId, Execution};
use slackwater_dataflow::state::Fork;

use crate::host::{Host, TaskHandle};
use crate::store::{Part, Store, StoreError, write_state};
use crate::wire::message::ToJobManager;

/// More state than this does not travel inside an acknowledgement.
pub const INLINE_MAX: usize = 4 << 20;

/// Where the state of a job goes.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Into the acknowledgement: the job manager keeps it.
    Inline,
    /// Into files.
    Files(Store),
    /// Nowhere: the store could not be opened.
    Closed(StoreError),
}

impl Storage {
    /// Opens what the settings name. A store that cannot be opened fails checkpoints, not tasks.
    pub fn open(host: &Arc<dyn Host>, config: &CheckpointConfig) -> Self {
        if config.is_inline() {
            return Self::Inline;
        }
        Store::open(Arc::clone(host), &config.storage).map_or_else(Self::Closed, Self::Files)
    }
}

/// How a task speaks to the job manager.
pub type Say = Rc<dyn Fn(ToJobManager)>;

/// What a task needs to take part in checkpoints.
#[derive(Clone)]
pub struct Snapshots {
    /// Where its state goes.
    pub storage: Storage,
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
    pub checkpoint: CheckpointId,
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
        let checkpoint = kept.checkpoint;
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
        let Kept { checkpoint, forks, mut times, ended } = kept;
        let (task, say) = (self.task, &self.snapshots.say);
        let began = self.host.elapsed();
        let state = match self.store(checkpoint, forks).await {
            Ok(state) => state,
            Err(cause) => return say(ToJobManager::Declined { task, checkpoint, cause }),
        };
        times.write = self.host.elapsed().saturating_sub(began);
        times.bytes = state.bytes();
        self.host.tell(Fact::StateWritten { task, checkpoint, bytes: times.bytes });
        self.host.tell(Fact::CheckpointAckSent { task, checkpoint });
        let contents = Contents::default();
        say(ToJobManager::Acknowledged { task, checkpoint, state, contents, times, ended });
    }

    async fn store(
        &self,
        checkpoint: CheckpointId,
        forks: Vec<Box<dyn Fork>>,
    ) -> Result<StateHandle, String> {
        let sections = encode(&*self.host, forks).await?;
        if sections.is_empty() {
            return Ok(StateHandle::Empty);
        }
        match &self.snapshots.storage {
            Storage::Inline => {
                let bytes = sections.iter().map(Bytes::len).sum::<usize>();
                if bytes > INLINE_MAX {
                    return Err(format!(
                        "the state of {} has {bytes} bytes, and memory:// takes {INLINE_MAX}: \
                         store checkpoints in a folder",
                        self.task.subtask
                    ));
                }
                Ok(StateHandle::Inline(sections.concat()))
            }
            Storage::Files(store) => {
                let part = Part { checkpoint, task: self.task };
                let written = write_state(store, &part, sections).await;
                written.map(StateHandle::File).map_err(|error| error.to_string())
            }
            Storage::Closed(error) => Err(error.to_string()),
        }
    }
}

/// A slice of encoding lasts so long, or a step of a fork more.
const SLICE: Duration = Duration::from_micros(500);

/// A slice has at most so many steps: where time stands still, slices end all the same.
const SLICE_STEPS: usize = 16;

/// Sections are put together to pieces of this size: each piece is checksummed in one go.
const PIECE: usize = 256 << 10;

/// The bytes of every section, one slice of work after the other: the tasks of this worker go on
/// between them.
async fn encode(host: &dyn Host, forks: Vec<Box<dyn Fork>>) -> Result<Vec<Bytes>, String> {
    let (mut pieces, mut piece) = (Vec::new(), Vec::new());
    let (mut began, mut steps) = (host.elapsed(), 0);
    for mut fork in forks {
        while let Some(section) = fork.next_section() {
            if let Some(section) = section.map_err(|error| error.to_string())? {
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
    Ok(pieces)
}
