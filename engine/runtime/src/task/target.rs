//! Where state goes: into the job's own store, into the folder of a savepoint, into an acknowledgement.
//! Decides nothing: a worker is told for every savepoint, and a barrier that has overtaken the word
//! waits for it beside the stream. What is written there: [`super::snapshot`].

use std::cell::RefCell;
use std::sync::Arc;

use slackwater_core::checkpoint::{CheckpointConfig, INLINE};
use slackwater_core::id::CheckpointId;
use tokio::sync::Notify;

use crate::host::Host;
use crate::store::{Store, StoreError};

/// Where the state of a job goes, or comes from.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Into the acknowledgement: the job manager keeps it.
    Inline,
    /// Into files, named from the root of the store.
    Files(Store),
    /// Into files of one folder, named relative to it.
    Folder(Store),
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

    /// Opens the folder of a savepoint, or nothing for `memory://`.
    pub fn of_savepoint(host: &Arc<dyn Host>, url: &str) -> Self {
        if url.starts_with(INLINE) {
            return Self::Inline;
        }
        Store::open(Arc::clone(host), url).map_or_else(Self::Closed, Self::Folder)
    }
}

/// Where the state of the newest savepoint of an attempt goes, as its worker has been told.
#[derive(Debug, Default)]
pub struct Targets {
    newest: RefCell<Option<(CheckpointId, Storage)>>,
    told: Notify,
}

impl Targets {
    /// States where a savepoint's state goes. Older ones are over.
    pub fn announce(&self, checkpoint: CheckpointId, storage: Storage) {
        self.newest.replace(Some((checkpoint, storage)));
        self.told.notify_waiters();
    }

    /// Where this savepoint's state goes; waits until that is known. Cancel safe.
    pub async fn of(&self, checkpoint: CheckpointId) -> Storage {
        loop {
            let told = self.told.notified();
            match &*self.newest.borrow() {
                Some((newest, storage)) if *newest == checkpoint => return storage.clone(),
                _ => {}
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn whoever_asks_first_waits_for_the_word_about_this_savepoint() {
        let targets = Targets::default();
        let three = targets.of(CheckpointId(3));
        let mut three = std::pin::pin!(three);
        assert!(three.as_mut().now_or_never().is_none());
        targets.announce(CheckpointId(2), Storage::Inline);
        assert!(three.as_mut().now_or_never().is_none(), "that was another one");
        targets.announce(CheckpointId(3), Storage::Inline);
        assert!(matches!(three.as_mut().now_or_never(), Some(Storage::Inline)));
        let again = targets.of(CheckpointId(3)).now_or_never();
        assert!(matches!(again, Some(Storage::Inline)), "what was said before is known");
    }
}
