//! Savepoints where they lie: a folder of their own, in any store, that can be moved as it is.
//! A folder without its metadata is no savepoint, and one with it is never changed or deleted here:
//! the metadata is written last, and names every file relative to the folder. Checkpoints that were
//! kept are read alike. When one is complete is decided by `slackwater-control`, and said in the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use slackwater_core::checkpoint::{CheckpointMetadata, StateHandle};
use slackwater_core::savepoint::METADATA_FILE;

use super::{Created, Listed, Store, StoreError, Trouble, layout};
use crate::host::Host;

/// The folder of the names that persons gave to the savepoints beside it.
pub const TAGS: &str = "tags";

/// A savepoint, or a checkpoint that was kept, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The folder, as [`Host::store`] takes it.
    pub folder: String,
    /// What it is made of; its files are named relative to the folder.
    pub metadata: CheckpointMetadata,
}

/// Puts the metadata of a savepoint into its folder, which makes it one; again is harmless. What else
/// lies there, of attempts that died, is deleted then.
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
        if stray.path != METADATA_FILE && !ours.contains(stray.path.as_str()) {
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

/// Deletes what a savepoint that never completed left in its folder; nothing, if it is one.
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
    for object in listed {
        store.delete(&object.path).await.map_err(named)?;
    }
    Ok(())
}

/// Finds the savepoint that a person names: its folder, its metadata file, a tag beside it, or the
/// folder of a checkpoint that was kept.
///
/// # Errors
/// Any [`StoreError`]: [`Trouble::Missing`] says what lies there instead.
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn load(host: &Arc<dyn Host>, path: &str) -> Result<Found, StoreError> {
    let folder = path.trim_end_matches('/');
    let folder = folder.strip_suffix(METADATA_FILE).unwrap_or(folder).trim_end_matches('/');
    if let Some(found) = load_folder(host, folder).await? {
        return Ok(found);
    }
    match tagged(host, folder).await? {
        Some(tagged) => match load_folder(host, &tagged).await? {
            Some(found) => Ok(found),
            None => {
                let why = format!("it is a tag of {tagged}, where no savepoint lies");
                Err(StoreError::new(path, Trouble::Foreign(why)))
            }
        },
        None => Err(no_savepoint(host, folder).await),
    }
}

/// The folder that a tag names, which lies beside the folder `tags`.
///
/// # Errors
/// Any [`StoreError`] but that there is no such tag.
pub async fn tagged(host: &Arc<dyn Host>, path: &str) -> Result<Option<String>, StoreError> {
    let Some((parent, name)) = path.rsplit_once('/').filter(|(parent, _)| !parent.is_empty())
    else {
        return Ok(None);
    };
    let Some(store) = Store::open_existing(host, parent)? else { return Ok(None) };
    match store.get(&format!("{TAGS}/{name}")).await {
        Ok(bytes) => {
            let named = String::from_utf8_lossy(&bytes);
            Ok(Some(format!("{parent}/{}", named.trim())))
        }
        Err(error) if *error.trouble() == Trouble::Missing => Ok(None),
        Err(error) => Err(error.within(parent)),
    }
}

async fn load_folder(host: &Arc<dyn Host>, folder: &str) -> Result<Option<Found>, StoreError> {
    let Some(store) = Store::open_existing(host, folder)? else { return Ok(None) };
    let named = |error: StoreError| error.within(folder);
    let listed = store.list("").await.map_err(named)?;
    let Some(file) = metadata_file(&listed) else { return Ok(None) };
    let bytes = store.get(file).await.map_err(named)?;
    let opened = CheckpointMetadata::open(&bytes);
    let of_codec =
        |error| StoreError::of_codec(&format!("{folder}/{file}"), bytes.len() as u64, error);
    let metadata = relative(opened.map_err(of_codec)?);
    Ok(Some(Found { folder: folder.to_owned(), metadata }))
}

/// The metadata in a folder: of a savepoint, or the newest of a checkpoint.
fn metadata_file(listed: &[Listed]) -> Option<&str> {
    let names = || listed.iter().map(|object| object.path.as_str());
    let newest = || names().filter_map(|name| Some((layout::attempt_of(name)?, name))).max();
    names().find(|name| *name == METADATA_FILE).or_else(|| newest().map(|(_, name)| name))
}

/// The files of a checkpoint are named from the root of its store: here from its own folder.
fn relative(mut metadata: CheckpointMetadata) -> CheckpointMetadata {
    let own = format!("{}/", layout::checkpoint_folder(metadata.job, metadata.checkpoint));
    for handle in metadata.vertices.iter_mut().flat_map(|vertex| &mut vertex.subtasks) {
        if let StateHandle::File(file) = handle
            && let Some(name) = file.path.strip_prefix(&own)
        {
            file.path = name.to_owned();
        }
    }
    metadata
}

async fn no_savepoint(host: &Arc<dyn Host>, folder: &str) -> StoreError {
    let listed = match Store::open_existing(host, folder) {
        Ok(Some(store)) => store.list("").await.unwrap_or_default(),
        Ok(None) => Vec::new(),
        Err(error) => return error,
    };
    let is_one = |object: &&Listed| object.path.ends_with(&format!("/{METADATA_FILE}"));
    let beneath: Vec<_> = listed.iter().filter(is_one).take(2).collect();
    let what = match (beneath.as_slice(), listed.len()) {
        ([], 0) => "nothing lies there".to_owned(),
        ([], objects) => format!("it has {objects} objects, but no {METADATA_FILE}"),
        ([one], _) => {
            let name = one.path.trim_end_matches(METADATA_FILE).trim_end_matches('/');
            format!("did you mean {folder}/{name}?")
        }
        _ => format!("several lie beneath it: see `savepoint list {folder}`"),
    };
    let why = format!("no savepoint and no checkpoint lies there: {what}");
    StoreError::new(folder, Trouble::Refused(why))
}
