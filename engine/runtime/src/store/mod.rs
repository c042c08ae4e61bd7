//! What outlives every process: state files, checkpoint metadata, job logs, the leader's lease.
//! Never relies on times of modification, on the order of a listing, or on an update in place; a
//! checkpoint whose `Completed` entry is not in its job's log does not exist.
//! The objects themselves come from [`crate::host`]; when something is written is decided elsewhere.

mod error;
pub mod garbage;
pub mod layout;
pub mod lease;
pub mod log;
pub mod metadata;
pub mod savepoint;
pub mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::host::Host;

pub use error::{StoreError, Trouble};
pub use lease::{Lease, Term};
pub use log::{History, JobLog, LogEntry, jobs, read_all};
pub use metadata::{find_metadata, read_metadata, write_metadata};
pub use state::{Part, read_state, write_relative, write_state};

/// How often something transient is tried again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How many tries there are, the first one included; at least 1.
    pub tries: u32,
    /// From the first failure to the second try; every further wait is twice as long.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Default for Patience {
    /// Five tries within 1.5 s.
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { tries: 5, first: ms(100), longest: ms(2_000) }
    }
}

impl Patience {
    /// One try.
    pub const NONE: Self = Self { tries: 1, first: Duration::ZERO, longest: Duration::ZERO };
}

/// What came of a conditional create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is new, or was there already with exactly these bytes: an earlier try whose
    /// answer was lost.
    Ours,
    /// Somebody else wrote it first, with these bytes.
    Theirs(Bytes),
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Where.
    pub path: String,
    /// Its bytes.
    pub length: u64,
}

/// A store as the engine uses it: whole objects by path, transient trouble retried, errors named.
#[derive(Clone)]
pub struct Store {
    host: Arc<dyn Host>,
    objects: Arc<dyn ObjectStore>,
    patience: Patience,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.objects)
    }
}

impl Store {
    /// Opens the store at `url` through the host; see [`Host::store`].
    ///
    /// # Errors
    /// [`Trouble::Address`].
    pub fn open(host: Arc<dyn Host>, url: &str) -> Result<Self, StoreError> {
        let objects = host.store(url)?;
        Ok(Self { host, objects, patience: Patience::default() })
    }

    /// The same, if there is one: nothing is made for having been asked about.
    ///
    /// # Errors
    /// [`Trouble::Address`].
    pub fn open_existing(host: &Arc<dyn Host>, url: &str) -> Result<Option<Self>, StoreError> {
        host.has_store(url).then(|| Self::open(Arc::clone(host), url)).transpose()
    }

    /// The same store with another patience.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Writes an object, replacing what is there; durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`]; a transient one after the last try.
    ///
    /// # Cancel safety
    /// If dropped, the object may appear later, or never; it is never seen in part.
    pub async fn put(&self, path: &str, pieces: Vec<Bytes>) -> Result<(), StoreError> {
        self.put_as(path, pieces, PutMode::Overwrite).await
    }

    /// Writes an object that is not there yet; durable when it returns. Who was first is told by
    /// the bytes: two writers that must not both win must never write the same.
    ///
    /// # Errors
    /// Any [`StoreError`]; a transient one after the last try.
    ///
    /// # Cancel safety
    /// As [`Store::put`].
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<Created, StoreError> {
        if self.create_new(path, bytes.clone()).await? {
            return Ok(Created::Ours);
        }
        let found = self.get(path).await?;
        Ok(if found == bytes { Created::Ours } else { Created::Theirs(found) })
    }

    /// As [`Store::create`], without a look at what is there: `false` if anything is, which may be
    /// the work of an earlier try.
    async fn create_new(&self, path: &str, bytes: Bytes) -> Result<bool, StoreError> {
        match self.put_as(path, vec![bytes], PutMode::Create).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_fenced() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn put_as(
        &self,
        path: &str,
        pieces: Vec<Bytes>,
        mode: PutMode,
    ) -> Result<(), StoreError> {
        let payload: PutPayload = pieces.into_iter().collect();
        let options = PutOptions { mode, ..PutOptions::default() };
        let tried = self.patiently(path, async |location: &Path| {
            self.objects.put_opts(location, payload.clone(), options.clone()).await
        });
        tried.await.map(drop)
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// Any [`StoreError`]; [`Trouble::Missing`] if it is not there.
    ///
    /// # Cancel safety
    /// Nothing happens if dropped.
    pub async fn get(&self, path: &str) -> Result<Bytes, StoreError> {
        let tried = self.patiently(path, async |location: &Path| {
            self.objects.get(location).await?.bytes().await
        });
        tried.await
    }

    /// What lies in a folder and beneath it, sorted by path. Whatever is being written may be there
    /// or not.
    ///
    /// # Errors
    /// Any [`StoreError`].
    ///
    /// # Cancel safety
    /// Nothing happens if dropped.
    pub async fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let tried = self.patiently(folder, async |location: &Path| {
            let listed = self.objects.list(Some(location));
            listed
                .map_ok(|meta| Listed { path: meta.location.to_string(), length: meta.size })
                .try_collect::<Vec<_>>()
                .await
        });
        let mut listed = tried.await?;
        listed.sort();
        Ok(listed)
    }

    /// The folders in a folder, by path, sorted.
    ///
    /// # Errors
    /// Any [`StoreError`].
    ///
    /// # Cancel safety
    /// Nothing happens if dropped.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let tried = self.patiently(folder, async |location: &Path| {
            self.objects.list_with_delimiter(Some(location)).await
        });
        let mut folders: Vec<_> =
            tried.await?.common_prefixes.iter().map(ToString::to_string).collect();
        folders.sort();
        Ok(folders)
    }

    /// Deletes an object; one that is not there is no error.
    ///
    /// # Errors
    /// Any [`StoreError`].
    ///
    /// # Cancel safety
    /// If dropped, the object may be gone, now or later.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        let tried =
            self.patiently(path, async |location: &Path| self.objects.delete(location).await);
        match tried.await {
            Err(error) if error.trouble() == &Trouble::Missing => Ok(()),
            deleted => deleted,
        }
    }

    /// A number that no other process draws; equal for as long as this one lives.
    fn draw(&self, stream: &str) -> u128 {
        self.host.random(stream).next_u128()
    }

    /// Tries until it works, fails for good, or the patience is at its end.
    async fn patiently<T>(
        &self,
        path: &str,
        attempt: impl AsyncFn(&Path) -> object_store::Result<T>,
    ) -> Result<T, StoreError> {
        let refused = |why| StoreError::new(path, Trouble::Refused(why));
        let location = Path::parse(path).map_err(|error| refused(error.to_string()))?;
        let mut wait = self.patience.first;
        for _ in 1..self.patience.tries {
            match attempt(&location).await.map_err(|error| StoreError::of_object(path, &error)) {
                Err(error) if error.is_transient() => {
                    self.host.sleep(wait).await;
                    wait = (wait * 2).min(self.patience.longest);
                }
                tried => return tried,
            }
        }
        attempt(&location).await.map_err(|error| StoreError::of_object(path, &error))
    }
}

#[cfg(test)]
mod tests;
