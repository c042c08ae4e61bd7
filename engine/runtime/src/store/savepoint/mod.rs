//! Savepoints where they lie: a folder of their own, in any store, that can be moved as it is.
//! A folder without its metadata is no savepoint, and one with it is never changed or deleted here:
//! the metadata is written last, and names every file relative to the folder. Who finds one is
//! [`load()`], who looks around [`browse`]; who names and deletes them, [`tag`] and [`mod@remove`].

pub mod browse;
pub mod load;
pub mod remove;
pub mod tag;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::savepoint::METADATA_FILE;

use super::layout::is_state_name;
use super::{Created, Store, StoreError, Trouble};
use crate::host::Host;

pub use load::{Completion, Found, find, load};
pub use tag::TAGS;

/// Puts the metadata of a savepoint into its folder, which makes it one; again is harmless. State that
/// it does not name, of attempts that died, is deleted then; what is called otherwise is not ours.
///
/// # Errors
/// Any [`StoreError`]; [`Trouble::Fenced`] if other metadata lies there.
///
/// # Cancel safety
/// If dropped, the savepoint may be there, now or later, or not; it is never there in part.
pub async fn publish(
    host: &Arc<dyn Host>,
    folder: &str,
    metadata: &CheckpointMetadata,
) -> Result<(), StoreError> {
    let path = format!("{folder}/{METADATA_FILE}");
    let sealed = metadata.seal().map_err(|error| StoreError::of_codec(&path, 0, error))?;
    let store = Store::open(Arc::clone(host), folder)?;
    let named = |error: StoreError| error.within(folder);
    if let Created::Theirs(_) =
        store.create(METADATA_FILE, Bytes::from(sealed)).await.map_err(named)?
    {
        let why = "another savepoint lies in its place";
        return Err(StoreError::new(path, Trouble::Fenced(why.into())));
    }
    let ours: BTreeSet<&str> = metadata.files().map(|file| file.path.as_str()).collect();
    for stray in store.list("").await.map_err(named)? {
        if is_state_name(&stray.path) && !ours.contains(stray.path.as_str()) {
            store.delete(&stray.path).await.map_err(named)?;
        }
    }
    Ok(())
}

/// Publishes a savepoint whose leader may have died before it did: if its files lie in the folder
/// still, and no metadata. Whether it was put there.
///
/// # Errors
/// As [`publish`].
///
/// # Cancel safety
/// As [`publish`].
pub async fn publish_again(
    host: &Arc<dyn Host>,
    folder: &str,
    metadata: &CheckpointMetadata,
) -> Result<bool, StoreError> {
    let Some(store) = Store::open_existing(host, folder)? else { return Ok(false) };
    let listed = store.list("").await.map_err(|error| error.within(folder))?;
    let lies = |path: &str| listed.iter().any(|object| object.path == path);
    let moved = metadata.files().any(|file| !lies(&file.path));
    if moved || lies(METADATA_FILE) {
        return Ok(false);
    }
    publish(host, folder, metadata).await.map(|()| true)
}

/// Deletes the state that a savepoint which never completed left in its folder; nothing, if it is one,
/// and nothing that is not called as the engine calls state.
///
/// # Errors
/// Any [`StoreError`].
///
/// # Cancel safety
/// If dropped, some of it is deleted.
pub async fn sweep(host: &Arc<dyn Host>, folder: &str) -> Result<(), StoreError> {
    let Some(store) = Store::open_existing(host, folder)? else { return Ok(()) };
    let named = |error: StoreError| error.within(folder);
    let listed = store.list("").await.map_err(named)?;
    if listed.iter().any(|object| object.path == METADATA_FILE) {
        return Ok(());
    }
    for object in listed.into_iter().filter(|object| is_state_name(&object.path)) {
        store.delete(&object.path).await.map_err(named)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
