//! How a task begins with a checkpoint: its state files read, checked and handed to its stages.
//! Never lets a task run with less than all of its state: what cannot be read or understood fails
//! it by name. How state was written is in [`crate::task`]; which checkpoint it is to be is decided
//! by the job manager.

use slackwater_core::checkpoint::StateHandle;
use slackwater_core::fact::Fact;
use slackwater_core::graph::Vertex;
use slackwater_core::id::{CheckpointId, Execution};
use slackwater_dataflow::connector::ConnectorError;
use slackwater_dataflow::state::{Restored, Section, Unfit};
use slackwater_dataflow::task::{Instance, Port, TaskError};

use super::parts;
use crate::deployment::RestorePoint;
use crate::host::Host;
use crate::store::{StoreError, Trouble, read_state};
use crate::task::{Failure, Storage};

/// Restores one task.
pub(super) struct Restorer<'a> {
    pub host: &'a dyn Host,
    pub task: Execution,
    /// The vertex, and the number of key groups.
    pub vertex: (&'a Vertex, u16),
    /// Where the files lie that the checkpoint names.
    pub origin: Option<&'a Storage>,
    /// Savepoints of the job that are complete.
    pub spared: &'a [CheckpointId],
}

/// Why a task did not begin.
pub(super) struct Unrestored {
    /// Whether the checkpoint is damaged, if that is where the trouble lies.
    pub damaged: Option<bool>,
    pub failure: Failure,
}

impl Unrestored {
    fn of_checkpoint(damaged: bool, cause: String) -> Self {
        Self { damaged: Some(damaged), failure: Failure { cause, is_fatal: false } }
    }
}

impl From<StoreError> for Unrestored {
    fn from(error: StoreError) -> Self {
        Self::of_checkpoint(error.is_damage(), error.to_string())
    }
}

impl From<Unfit> for Unrestored {
    fn from(unfit: Unfit) -> Self {
        let cause = unfit.to_string();
        match unfit {
            Unfit::Damaged(_) => Self::of_checkpoint(true, cause),
            // The bytes are as they were written: an older checkpoint, or another try, says the same.
            Unfit::Refused(_) => Self { damaged: None, failure: Failure { cause, is_fatal: true } },
        }
    }
}

impl Restorer<'_> {
    /// Lets an instance take up its part of a checkpoint, or begin with nothing. In either case
    /// its sinks see to what their predecessors left behind.
    pub async fn restore(
        &self,
        point: Option<&RestorePoint>,
        instance: &mut Instance,
    ) -> Result<(), Unrestored> {
        let mut restored = Restored { spared: self.spared.to_vec(), ..Restored::default() };
        if let Some(point) = point.filter(|point| !point.is_beginning()) {
            let bytes;
            let left;
            (left, bytes) = self.read(point).await?;
            restored.sections = instance.upgrade(left)?;
            restored.checkpoint = Some(point.checkpoint);
            restored.reset_watermarks = point.reset_watermarks;
            let refused = |error: TaskError| Unrestored {
                damaged: matches!(error, TaskError::Operator(_)).then_some(true),
                failure: error.into(),
            };
            instance.chain.restore(&restored).map_err(|error| refused(error.into()))?;
            if let Some(source) = &mut instance.source {
                source.restore(&restored).map_err(refused)?;
            }
            let (task, checkpoint) = (self.task, point.checkpoint);
            self.host.tell(Fact::StateRestored { task, checkpoint, bytes });
        }
        self.restore_sinks(&restored, instance).await
    }

    async fn restore_sinks(
        &self,
        restored: &Restored,
        instance: &mut Instance,
    ) -> Result<(), Unrestored> {
        for port in &mut instance.ports {
            let Port::Sink(sink) = port else { continue };
            let uid = sink.uid().clone();
            let committed = sink.restore(restored).await;
            let transactions = committed.map_err(|error: ConnectorError| Unrestored {
                damaged: None,
                failure: TaskError::Connector { uid: uid.clone(), error }.into(),
            })?;
            if let Some(checkpoint) = restored.checkpoint.filter(|_| transactions > 0) {
                let task = self.task;
                self.host.tell(Fact::SinkCommitted { task, uid, checkpoint, transactions });
            }
        }
        Ok(())
    }

    /// Every section that this subtask may need, and the bytes of the files they were in.
    async fn read(&self, point: &RestorePoint) -> Result<(Vec<Section>, u64), Unrestored> {
        let (mut sections, mut bytes) = (Vec::new(), 0);
        for part in parts::needed(self.vertex, self.task.subtask.index, &point.vertices) {
            let name = format!("the state of {}[{}] in the checkpoint", part.vertex, part.index);
            sections.extend(sections_of(self.origin, &name, part.handle).await?);
            bytes += part.handle.bytes();
        }
        Ok((sections, bytes))
    }
}

/// The sections of one state handle; `name` says which if it is no file.
async fn sections_of(
    storage: Option<&Storage>,
    name: &str,
    handle: &StateHandle,
) -> Result<Vec<Section>, Unrestored> {
    match (handle, storage) {
        (StateHandle::Empty, _) => Ok(Vec::new()),
        (StateHandle::Inline(bytes), _) => Ok(decode(name, bytes)?),
        (StateHandle::File(file), Some(Storage::Files(store) | Storage::Folder(store))) => {
            let bytes = read_state(store, file).await?;
            Ok(decode(&file.path, &bytes)?)
        }
        (StateHandle::File(_), Some(Storage::Closed(error))) => Err(error.clone().into()),
        (StateHandle::File(file), Some(Storage::Inline) | None) => {
            let cause = format!("{file} cannot be found: the job's checkpoints lie in no folder");
            Err(Unrestored::of_checkpoint(false, cause))
        }
    }
}

/// The sections that the snapshot's writer put one behind the other.
fn decode(path: &str, bytes: &[u8]) -> Result<Vec<Section>, StoreError> {
    let mut sections = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (section, behind) = postcard::take_from_bytes(rest).map_err(|error| {
            StoreError::new(path, Trouble::Damaged(format!("section {}: {error}", sections.len())))
        })?;
        sections.push(section);
        rest = behind;
    }
    Ok(sections)
}
