//! Deletes a savepoint because a person says so; nothing else in the engine ever does.
//! Its metadata goes first, so that nobody ever sees half a savepoint as a whole one. A checkpoint is
//! not touched: its job deletes it ([`crate::store::garbage`]). Names are [`super::tag`]'s.

use std::sync::Arc;

use slackwater_core::checkpoint::CheckpointKind;
use slackwater_core::savepoint::METADATA_FILE;

use super::load::{self, find};
use super::tag::{self, Tag};
use crate::host::Host;
use crate::store::{Listed, Store, StoreError, Trouble, layout};

/// What a person is ready to lose.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Also the tags that name it.
    pub for_tags: bool,
    /// Also what is no whole savepoint: half of one, or one whose metadata cannot be read.
    pub for_half: bool,
}

/// What has been deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A savepoint, or what there was of it.
    Savepoint {
        /// Its folder.
        folder: String,
        /// How many objects, and their bytes.
        objects: (u64, u64),
        /// The tags that named it, which went with it.
        tags: Vec<String>,
        /// What else lies in the folder, and stays.
        stays: Vec<String>,
    },
    /// A tag; the savepoint that it named stays.
    Tag(Tag),
    /// A tag that could not be read, at this path.
    BrokenTag(String),
}

/// Deletes the savepoint in a folder, or the tag, if the path is a tag's.
///
/// # Errors
/// Any [`StoreError`]: [`Trouble::NoSavepoint`] if it is none, [`Trouble::Declined`] if it is more than
/// the person is ready to lose.
///
/// # Cancel safety
/// If dropped, some of it is deleted, and it is no savepoint any more.
pub async fn remove(host: &Arc<dyn Host>, path: &str, ready: Ready) -> Result<Removed, StoreError> {
    let folder = load::folder_of(path)?;
    match tag_at(host, folder).await {
        Ok(None) => {}
        Ok(Some(tag)) => {
            tag::forget(host, &tag.parent, &tag.name).await?;
            return Ok(Removed::Tag(tag));
        }
        Err(error) if error.is_damage() => return broken_tag(host, error, ready).await,
        Err(error) => return Err(error),
    }
    if load::checkpoint_at(folder).is_some() {
        return Err(belongs_to_its_job(folder));
    }
    let (store, objects) = contents(host, folder).await?;
    match find(host, folder).await {
        Ok(found) if found.metadata.kind == CheckpointKind::Checkpoint => {
            return Err(belongs_to_its_job(folder));
        }
        Ok(_) => {}
        Err(error) => {
            let is_none = matches!(error.trouble(), Trouble::NoSavepoint(_));
            let is_half = error.is_damage() || (is_none && half_of_one(&objects));
            if !is_half {
                return Err(error);
            }
            if !ready.for_half {
                let why =
                    format!("no whole savepoint ({error}): --half deletes what there is of it");
                return Err(StoreError::new(folder, Trouble::Declined(why)));
            }
        }
    }
    let (parent, name) = tag::parted(folder)?;
    let names = tag::all(host, parent).await?.whole;
    let names: Vec<Tag> = names.into_iter().filter(|tag| tag.named.savepoint == name).collect();
    if let (Some(tag), false) = (names.first(), ready.for_tags) {
        let why = format!("the tag {} names it: --force deletes both", tag.name);
        return Err(StoreError::new(folder, Trouble::Declined(why)));
    }
    let (ours, stays): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_of_a_savepoint);
    let metadata = ours.iter().filter(|object| object.path == METADATA_FILE);
    let state = ours.iter().filter(|object| object.path != METADATA_FILE);
    // First of all: without it the rest is no savepoint.
    for object in metadata.chain(state) {
        store.delete(&object.path).await.map_err(|error| error.within(folder))?;
    }
    for tag in &names {
        tag::forget(host, &tag.parent, &tag.name).await?;
    }
    let bytes = ours.iter().map(|object| object.length).sum();
    Ok(Removed::Savepoint {
        folder: folder.to_owned(),
        objects: (ours.len() as u64, bytes),
        tags: names.into_iter().map(|tag| tag.name).collect(),
        stays: stays.into_iter().map(|object| object.path).collect(),
    })
}

/// The tag at this path, unless a folder of that name lies there.
async fn tag_at(host: &Arc<dyn Host>, path: &str) -> Result<Option<Tag>, StoreError> {
    let Some(tag) = tag::read(host, path).await? else { return Ok(None) };
    let holds_any = |(_, objects): (Store, Vec<Listed>)| !objects.is_empty();
    let is_folder = path != tag.path() && contents(host, path).await.is_ok_and(holds_any);
    Ok((!is_folder).then_some(tag))
}

/// Deletes a tag that cannot be read: it names nothing that could be lost.
async fn broken_tag(
    host: &Arc<dyn Host>,
    error: StoreError,
    ready: Ready,
) -> Result<Removed, StoreError> {
    let path = error.path().to_owned();
    if !ready.for_half {
        let why = format!("no whole tag ({error}): --half deletes it");
        return Err(StoreError::new(path, Trouble::Declined(why)));
    }
    let (tags, name) = tag::parted(&path)?;
    tag::forget(host, tag::parted(tags)?.0, name).await?;
    Ok(Removed::BrokenTag(path))
}

/// What lies in a folder.
async fn contents(host: &Arc<dyn Host>, folder: &str) -> Result<(Store, Vec<Listed>), StoreError> {
    let refuse = |why: &str| Err(StoreError::new(folder, Trouble::NoSavepoint(why.into())));
    match Store::open_existing(host, folder)? {
        Some(store) => {
            let listed = store.list("").await.map_err(|error| error.within(folder))?;
            Ok((store, listed))
        }
        None => refuse("nothing lies there"),
    }
}

/// Whether a folder holds the state of tasks, and nothing else.
fn half_of_one(objects: &[Listed]) -> bool {
    !objects.is_empty() && objects.iter().all(is_of_a_savepoint)
}

fn is_of_a_savepoint(object: &Listed) -> bool {
    object.path == METADATA_FILE || layout::is_state_name(&object.path)
}

fn belongs_to_its_job(folder: &str) -> StoreError {
    let why = "a checkpoint belongs to its job, which deletes it: `cancel JOB` does";
    StoreError::new(folder, Trouble::Declined(why.into()))
}
