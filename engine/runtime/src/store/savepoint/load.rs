//! Finds the savepoint or the kept checkpoint that a person names, by its folder or by a tag.
//! Never believes a checkpoint that the log beside it does not know: only an entry there completes
//! one (rule 15 of the semantics). What a savepoint is, [`super`] says; what a tag is, [`super::tag`].

use std::sync::Arc;

use slackwater_core::checkpoint::{CheckpointMetadata, StateHandle};
use slackwater_core::id::{CheckpointId, JobId};
use slackwater_core::joblog::LogEvent;
use slackwater_core::savepoint::METADATA_FILE;

use super::tag::{self, Tag};
use crate::host::Host;
use crate::store::{Listed, Store, StoreError, Trouble, layout, log};

/// How it is known that what was found is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It is a savepoint: its metadata is written last.
    Sealed,
    /// It is a checkpoint, and the log of its job says that it completed.
    Logged,
    /// It is a checkpoint, and the log of its job says nothing of it: it never completed.
    NotLogged,
    /// It is a checkpoint, and no log of its job lies beside it: nobody can say.
    NoLog,
}

/// A savepoint, or a checkpoint that was kept, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The folder, as [`Host::store`] takes it.
    pub folder: String,
    /// What it is made of; its files are named relative to the folder.
    pub metadata: CheckpointMetadata,
    /// Whether it is complete.
    pub completion: Completion,
}

/// Finds what a job is to start from: as [`find`], but no checkpoint of which the log of its job says
/// nothing. `logs`: where the logs of jobs lie, if they do not lie beside their checkpoints. One that
/// was taken away from every log is believed: all its parts are there, and a person chose it.
///
/// # Errors
/// Any [`StoreError`]: [`Trouble::NoSavepoint`] says what lies there instead.
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn load(
    host: &Arc<dyn Host>,
    path: &str,
    logs: Option<&Store>,
) -> Result<Found, StoreError> {
    let mut found = find(host, path).await?;
    let (job, checkpoint) = (found.metadata.job, found.metadata.checkpoint);
    if let (Completion::NoLog, Some(logs)) = (&found.completion, logs) {
        found.completion = by_log(logs, &found.metadata).await?;
    }
    match found.completion {
        Completion::Sealed | Completion::Logged | Completion::NoLog => Ok(found),
        Completion::NotLogged => {
            let why = format!(
                "it has the metadata of checkpoint {checkpoint}, but the log of job {job} does not \
                 say that it ever completed: take an older one, or a savepoint"
            );
            Err(StoreError::new(found.folder, Trouble::NoSavepoint(why)))
        }
    }
}

/// Finds what a person names: the folder of a savepoint or of a checkpoint, the metadata in it, or a
/// tag: `DIR/tags/NAME`, or `DIR/NAME` for short.
///
/// # Errors
/// Any [`StoreError`]: [`Trouble::NoSavepoint`] says what lies there instead.
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn find(host: &Arc<dyn Host>, path: &str) -> Result<Found, StoreError> {
    let folder = folder_of(path)?;
    // A tag's own path is that of an object, which no store opens as a folder.
    let is_tag = folder.rsplit_once('/').is_some_and(|(above, _)| tag::is_folder(above));
    if !is_tag && let Some(found) = find_folder(host, folder).await? {
        return Ok(found);
    }
    match tag::read(host, folder).await? {
        Some(tag) => behind(host, &tag).await,
        None => Err(nothing(host, folder, is_tag).await),
    }
}

/// The folder that a path names: metadata stands for what it makes.
pub(super) fn folder_of(path: &str) -> Result<&str, StoreError> {
    if path.starts_with("jobmanager://") {
        let why = "it is kept in the memory of a job manager, where only a start finds it: `run -s`; \
                   to look at one, take it into a folder: `savepoint JOB DIR`";
        return Err(StoreError::new(path, Trouble::NoSavepoint(why.into())));
    }
    let folder = path.trim_end_matches('/');
    if folder.is_empty() || folder.ends_with(':') {
        let why = "it is the root of a store, and savepoints lie in folders";
        return Err(StoreError::new(path, Trouble::NoSavepoint(why.into())));
    }
    Ok(match folder.rsplit_once('/') {
        Some((above, name)) if name == METADATA_FILE || layout::attempt_of(name).is_some() => above,
        _ => folder,
    })
}

/// What a tag names, if it still is what was tagged.
async fn behind(host: &Arc<dyn Host>, tag: &Tag) -> Result<Found, StoreError> {
    let refused = |why: String| Err(StoreError::new(tag.path(), Trouble::NoSavepoint(why)));
    let folder = tag.folder();
    match find_folder(host, &folder).await? {
        None => refused(format!("it is a tag of {folder}, where no savepoint lies any more")),
        Some(found) if (found.metadata.job, found.metadata.checkpoint) != tag.named.what() => {
            let (job, checkpoint) = tag.named.what();
            let CheckpointMetadata { job: other, checkpoint: number, .. } = found.metadata;
            refused(format!(
                "it is a tag of checkpoint {checkpoint} of job {job}, but in {folder} lies \
                 checkpoint {number} of job {other}"
            ))
        }
        Some(found) => Ok(found),
    }
}

async fn find_folder(host: &Arc<dyn Host>, folder: &str) -> Result<Option<Found>, StoreError> {
    let Some(store) = Store::open_existing(host, folder)? else { return Ok(None) };
    let listed = store.list("").await.map_err(|error| error.within(folder))?;
    let Some(file) = metadata_file(&listed) else { return Ok(None) };
    let metadata = open(&store, folder, file).await?;
    let completion = match file {
        METADATA_FILE => Completion::Sealed,
        _ => completion(host, folder, &metadata).await?,
    };
    Ok(Some(Found { folder: folder.to_owned(), metadata: relative(metadata), completion }))
}

/// Reads the metadata of this name in a folder.
pub(super) async fn open(
    store: &Store,
    folder: &str,
    file: &str,
) -> Result<CheckpointMetadata, StoreError> {
    let bytes = store.get(file).await.map_err(|error| error.within(folder))?;
    let of_codec =
        |error| StoreError::of_codec(&format!("{folder}/{file}"), bytes.len() as u64, error);
    CheckpointMetadata::open(&bytes).map_err(of_codec)
}

/// The metadata in a folder: of a savepoint, or the newest of a checkpoint.
fn metadata_file(listed: &[Listed]) -> Option<&str> {
    let names = || listed.iter().map(|object| object.path.as_str());
    let newest = || names().filter_map(|name| Some((layout::attempt_of(name)?, name))).max();
    names().find(|name| *name == METADATA_FILE).or_else(|| newest().map(|(_, name)| name))
}

/// Whether the log of its job, if that lies beside a checkpoint, says that it completed.
async fn completion(
    host: &Arc<dyn Host>,
    folder: &str,
    metadata: &CheckpointMetadata,
) -> Result<Completion, StoreError> {
    let own = layout::checkpoint_folder(metadata.job, metadata.checkpoint);
    let Some(root) = folder.strip_suffix(&own) else { return Ok(Completion::NoLog) };
    let root = root.strip_suffix('/').unwrap_or(root);
    match Store::open_existing(host, root)? {
        Some(store) => by_log(&store, metadata).await.map_err(|error| error.within(root)),
        None => Ok(Completion::NoLog),
    }
}

async fn by_log(store: &Store, metadata: &CheckpointMetadata) -> Result<Completion, StoreError> {
    let history = match log::read_all(store, metadata.job).await {
        Err(error) if *error.trouble() == Trouble::Missing => return Ok(Completion::NoLog),
        read => read?,
    };
    let said = |event: &LogEvent| match event {
        LogEvent::Completed { checkpoint, attempt, .. } => Some((*checkpoint, *attempt)),
        _ => None,
    };
    let ours = Some((metadata.checkpoint, metadata.attempt));
    let completes =
        |entry: &log::LogEntry| said(&entry.event) == ours && entry.epoch == metadata.epoch;
    Ok(match history.entries.iter().any(completes) {
        true => Completion::Logged,
        false => Completion::NotLogged,
    })
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

/// What lies where neither a savepoint nor a checkpoint does.
async fn nothing(host: &Arc<dyn Host>, folder: &str, is_tag: bool) -> StoreError {
    let refused = |why: String| StoreError::new(folder, Trouble::NoSavepoint(why));
    if is_tag {
        return refused("there is no such tag".into());
    }
    let listed = match Store::open_existing(host, folder) {
        Ok(Some(store)) => store.list("").await.unwrap_or_default(),
        Ok(None) => Vec::new(),
        Err(error) => return error,
    };
    let is_one = |object: &&Listed| object.path.ends_with(&format!("/{METADATA_FILE}"));
    let beneath: Vec<_> = listed.iter().filter(is_one).take(2).collect();
    let is_state = |object: &Listed| layout::is_state_name(&object.path);
    refused(match (beneath.as_slice(), listed.len()) {
        ([], 0) => "nothing lies there".to_owned(),
        ([], _) if listed.iter().any(is_state) => {
            format!(
                "it holds state, but no {METADATA_FILE}: one that never completed, or half of one"
            )
        }
        ([], 1) => format!("1 object lies there, but no {METADATA_FILE}"),
        ([], objects) => format!("{objects} objects lie there, but no {METADATA_FILE}"),
        ([one], _) => {
            let name = one.path.trim_end_matches(METADATA_FILE).trim_end_matches('/');
            format!("did you mean {folder}/{name}?")
        }
        _ => format!("several lie beneath it: `savepoint list {folder}` names them"),
    })
}

/// Whether this is the folder of a checkpoint, by its name: those belong to their jobs.
pub(super) fn checkpoint_at(folder: &str) -> Option<(JobId, CheckpointId)> {
    let (above, _) = folder.rsplit_once('/')?;
    let job = above.rsplit_once('/').map_or(above, |(_, job)| job).parse().ok()?;
    let own = layout::job_folder(job);
    let at = folder.find(&own)?;
    Some((job, layout::checkpoint_at(job, &folder[at..])?))
}
