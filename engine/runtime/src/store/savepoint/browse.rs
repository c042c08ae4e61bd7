//! Looks around among savepoints: what lies in a folder of them, and whether one has all its files.
//! Never hides what is none for the sake of those that are, and never the other way around.
//! Who finds a single one is [`mod@super::load`].

use std::sync::Arc;

use slackwater_core::savepoint::METADATA_FILE;

use super::load::{self, Completion, Found};
use super::tag::{self, TAGS, Tags};
use crate::host::Host;
use crate::store::state::verify;
use crate::store::{Listed, Store, StoreError, Trouble, layout};

/// What lies in a folder of savepoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shelf {
    /// The savepoints, newest first.
    pub whole: Vec<Whole>,
    /// What is none: half of one, or one that cannot be read.
    pub broken: Vec<Broken>,
    /// The names of all of them.
    pub tags: Tags,
}

/// A savepoint on a shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Its folder within the shelf.
    pub name: String,
    /// What it is made of.
    pub found: Found,
    /// What is wrong with its files, without a look into them.
    pub damaged: Vec<StoreError>,
}

/// A folder on a shelf that is no savepoint, though it is meant to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The folder within the shelf.
    pub name: String,
    /// What is wrong.
    pub why: String,
    /// How many objects it holds, and their bytes.
    pub objects: (u64, u64),
}

/// Looks at everything in a folder of savepoints.
///
/// # Errors
/// Any [`StoreError`]: [`Trouble::NoSavepoint`] if there is no such folder, [`Trouble::Declined`] if it
/// is a savepoint itself.
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn shelf(host: &Arc<dyn Host>, folder: &str) -> Result<Shelf, StoreError> {
    let folder = load::folder_of(folder)?;
    let refuse = |why: String| Err(StoreError::new(folder, Trouble::NoSavepoint(why)));
    let Some(store) = Store::open_existing(host, folder)? else {
        return refuse("there is no such folder".into());
    };
    let within = |error: StoreError| error.within(folder);
    let listed = store.list("").await.map_err(within)?;
    if listed.iter().any(|object| object.path == METADATA_FILE) {
        let why = format!("one savepoint, and no folder of them: `savepoint show {folder}`");
        return Err(StoreError::new(folder, Trouble::Declined(why)));
    }
    let mut shelf = Shelf { tags: tag::all(host, folder).await?, ..Shelf::default() };
    for (name, objects) in by_folder(&listed) {
        let place = format!("{folder}/{name}");
        let of_object =
            |(path, length): &(&str, u64)| Listed { path: (*path).into(), length: *length };
        let own: Vec<_> = objects.iter().map(of_object).collect();
        if !objects.iter().any(|(path, _)| *path == METADATA_FILE) {
            shelf.broken.extend(half(name, &own));
            continue;
        }
        let opened = match Store::open(Arc::clone(host), &place) {
            Ok(store) => load::open(&store, &place, METADATA_FILE).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(metadata) => {
                let completion = Completion::Sealed;
                let found = Found { folder: place, metadata, completion };
                let damaged = at_a_glance(&found, &own);
                shelf.whole.push(Whole { name: name.to_owned(), found, damaged });
            }
            // Somebody removes it at this moment.
            Err(error) if *error.trouble() == Trouble::Missing => {
                shelf.broken.extend(half(name, &own));
            }
            Err(error) if error.is_damage() => {
                shelf.broken.push(broken(name, error.to_string(), &own));
            }
            Err(error) => return Err(error),
        }
    }
    shelf
        .whole
        .sort_by_key(|one| (std::cmp::Reverse(one.found.metadata.completed), one.name.clone()));
    Ok(shelf)
}

/// The objects of each folder, by their names in it, in the order of a sorted listing.
fn by_folder(listed: &[Listed]) -> Vec<(&str, Vec<(&str, u64)>)> {
    let mut folders: Vec<(&str, Vec<(&str, u64)>)> = Vec::new();
    for Listed { path, length } in listed {
        match path.split_once('/') {
            None | Some((TAGS, _)) => {}
            Some((folder, path)) => match folders.last_mut() {
                Some((last, objects)) if *last == folder => objects.push((path, *length)),
                _ => folders.push((folder, vec![(path, *length)])),
            },
        }
    }
    folders
}

/// A folder that holds the state of tasks and is no savepoint; anything else is nobody's business.
fn half(name: &str, objects: &[Listed]) -> Option<Broken> {
    let is_half = objects.iter().any(|object| layout::is_state_name(&object.path));
    let is_checkpoint = objects.iter().any(|object| layout::attempt_of(&object.path).is_some());
    let why = match is_checkpoint {
        true => "a checkpoint, which belongs to its job: `savepoint show` reads it".to_owned(),
        false => {
            format!(
                "half of a savepoint: no {METADATA_FILE}; being taken or removed, or never completed"
            )
        }
    };
    is_half.then(|| broken(name, why, objects))
}

fn broken(name: &str, why: String, objects: &[Listed]) -> Broken {
    let bytes = objects.iter().map(|object| object.length).sum();
    Broken { name: name.to_owned(), why, objects: (objects.len() as u64, bytes) }
}

/// What is wrong with the files of a savepoint, as far as a listing of its folder tells: those that
/// are missing, and those of another length.
///
/// # Errors
/// Any [`StoreError`] of the folder itself.
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn glance(host: &Arc<dyn Host>, found: &Found) -> Result<Vec<StoreError>, StoreError> {
    let store = Store::open(Arc::clone(host), &found.folder)?;
    let listed = store.list("").await.map_err(|error| error.within(&found.folder))?;
    Ok(at_a_glance(found, &listed))
}

fn at_a_glance(found: &Found, listed: &[Listed]) -> Vec<StoreError> {
    let wrong = |file: &slackwater_core::checkpoint::StateFile| {
        let there = listed.iter().find(|object| object.path == file.path);
        let trouble = match there.map(|object| object.length) {
            Some(length) if length == file.length => return None,
            Some(length) if length < file.length => {
                Trouble::Truncated { expected: file.length, found: length }
            }
            Some(length) => {
                Trouble::Damaged(format!("{} bytes expected, {length} found", file.length))
            }
            None => Trouble::Missing,
        };
        Some(StoreError::new(file.path.as_str(), trouble).within(&found.folder))
    };
    found.metadata.files().filter_map(wrong).collect()
}

/// Reads every file of a savepoint and compares length and checksum: what is wrong, file by file.
///
/// # Errors
/// Any [`StoreError`] that is no damage: the store cannot be reached.
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn check(host: &Arc<dyn Host>, found: &Found) -> Result<Vec<StoreError>, StoreError> {
    let store = Store::open(Arc::clone(host), &found.folder)?;
    let mut wrong = Vec::new();
    for file in found.metadata.files() {
        let checked = store.get(&file.path).await.and_then(|bytes| verify(file, &bytes));
        match checked.map_err(|error| error.within(&found.folder)) {
            Ok(()) => {}
            Err(error) if error.is_damage() => wrong.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(wrong)
}
