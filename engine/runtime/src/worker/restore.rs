//! How a task begins with a checkpoint: its state files read, checked and handed to its stages.
//! Never lets a task run with less than all of its state: what cannot be read or understood fails
//! it by name. How state was written is in [`crate::task`]; which checkpoint it is to be is decided
//! by the job manager.

use slackwater_core::checkpoint::StateHandle;
use slackwater_core::fact::Fact;
use slackwater_core::graph::{Uid, Vertex};
use slackwater_core::id::Execution;
use slackwater_dataflow::connector::ConnectorError;
use slackwater_dataflow::state::{Restored, Section};
use slackwater_dataflow::task::{Instance, Port, TaskError};

use crate::deployment::RestorePoint;
use crate::host::Host;
use crate::store::{StoreError, Trouble, read_state};
use crate::task::{Failure, Storage};

/// Restores one task.
pub(super) struct Restorer<'a> {
    pub host: &'a dyn Host,
    pub task: Execution,
    pub vertex: &'a Vertex,
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

impl Restorer<'_> {
    /// Lets an instance take up its part of a checkpoint, or begin with nothing. In either case
    /// its sinks see to what their predecessors left behind.
    pub async fn restore(
        &self,
        storage: Option<&Storage>,
        point: Option<&RestorePoint>,
        instance: &mut Instance,
    ) -> Result<(), Unrestored> {
        let mut restored = Restored::default();
        if let Some(point) = point {
            let bytes;
            (restored, bytes) = self.read(storage, point).await?;
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
    async fn read(
        &self,
        storage: Option<&Storage>,
        point: &RestorePoint,
    ) -> Result<(Restored, u64), Unrestored> {
        let uids: Vec<&Uid> =
            self.vertex.operators.iter().filter_map(|operator| operator.uid.as_ref()).collect();
        let mut restored = Restored { checkpoint: Some(point.checkpoint), sections: Vec::new() };
        let mut bytes = 0;
        let ours = point.vertices.iter().filter(|v| v.uids.iter().any(|uid| uids.contains(&uid)));
        for vertex in ours {
            // As many subtasks as then: each takes up its own part. Else every one looks through
            // all of them for its share.
            let own = (vertex.parallelism == self.vertex.parallelism)
                .then_some(self.task.subtask.index as usize);
            let parts = (0..).zip(&vertex.subtasks);
            for (index, handle) in parts.filter(|(index, _)| own.is_none_or(|own| own == *index)) {
                let name = format!("the state of {}[{index}] in the checkpoint", vertex.vertex);
                restored.sections.extend(sections_of(storage, &name, handle).await?);
                bytes += handle.bytes();
            }
        }
        Ok((restored, bytes))
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
        (StateHandle::File(file), Some(Storage::Files(store))) => {
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
