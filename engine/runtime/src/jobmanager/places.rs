//! Where what jobs write goes: the store of their logs, and that of their checkpoints.
//! Nothing is read or written here, and a job that says where its checkpoints lie is not overruled.
//! Who writes is [`super::lane`]; who reads, [`super::recovery`].

use std::sync::Arc;

use slackwater_core::checkpoint::DEFAULT_STORAGE;
use slackwater_core::graph::JobGraph;

use super::JobManagerConfig;
use crate::host::Host;
use crate::store::{Store, StoreError};

/// The places of a job manager.
#[derive(Clone)]
pub(super) struct Places {
    host: Arc<dyn Host>,
    /// Of the logs; `None` if jobs do not outlive their job manager.
    pub store: Option<Store>,
    /// Of the checkpoints of jobs that do not say so.
    storage: Option<String>,
    /// Of the savepoints, unless whoever asks for one says where; `None`: the memory of the job
    /// manager.
    pub savepoints: Option<String>,
}

impl Places {
    pub fn new(host: &Arc<dyn Host>, store: Option<&Store>, config: &JobManagerConfig) -> Self {
        let storage = config.storage.clone().or_else(|| config.store.clone());
        let savepoints = config.savepoints.clone();
        Self { host: Arc::clone(host), store: store.cloned(), storage, savepoints }
    }

    /// Fills in where the checkpoints of a job lie that does not say so.
    pub fn settle(&self, graph: &mut JobGraph) {
        if let (Some(config), Some(storage)) = (&mut graph.checkpoints, &self.storage)
            && config.storage == DEFAULT_STORAGE
        {
            config.storage.clone_from(storage);
        }
    }

    /// Where the checkpoints of a settled job lie; `None` if it takes none, or they stay in memory.
    ///
    /// # Errors
    /// If there is no such store.
    pub fn checkpoints(&self, graph: &JobGraph) -> Result<Option<Store>, StoreError> {
        match &graph.checkpoints {
            None => Ok(None),
            Some(config) if config.is_inline() => Ok(self.store.clone()),
            Some(config) => Store::open(Arc::clone(&self.host), &config.storage).map(Some),
        }
    }
}
