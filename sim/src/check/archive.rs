//! The object store as the facts of a run tell it: what lay where at every instant, which
//! checkpoints were complete, and what their files hold. Reads bytes by the codec alone and
//! trusts no path but those it knows; whether what it finds is right, the other oracles say.
//! The sections of state are decoded in [`super::sections`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use slackwater_core::checkpoint::{CheckpointMetadata, StateFile, StateHandle};
use slackwater_core::codec::{self, Kind};
use slackwater_core::fact::Fact;
use slackwater_core::id::{Attempt, CheckpointId, JobEpoch, JobId, Subtask};
use slackwater_core::joblog::LogEvent;
use slackwater_core::savepoint::METADATA_FILE;
use xxhash_rust::xxh3::xxh3_64;

use crate::world::cluster::STORE;

/// The newest formats that the oracles read.
const FORMAT: u16 = 1;

/// What lies in the store after some facts.
#[derive(Clone, Debug, Default)]
pub(super) struct Archive<'a> {
    objects: BTreeMap<&'a str, Object<'a>>,
    /// What a fault will have torn when it arrives.
    torn: BTreeSet<&'a str>,
}

/// One object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a> {
    /// What was put.
    pub(super) bytes: &'a [u8],
    /// How many bytes the store says it has.
    pub(super) length: u64,
    /// Whether a fault damaged it since.
    pub(super) damaged: bool,
}

/// An entry of a job's log, as far as oracles read it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct LogEntry {
    /// The term of the leader that wrote it.
    pub(super) epoch: JobEpoch,
    /// What happened.
    pub(super) event: LogEvent,
}

/// A checkpoint or savepoint that a job's log completes.
#[derive(Clone, Debug)]
pub(super) struct Complete {
    pub(super) job: JobId,
    pub(super) checkpoint: CheckpointId,
    pub(super) epoch: JobEpoch,
    pub(super) attempt: Attempt,
    /// Of a savepoint: where it lies, and what the log says that it is made of.
    pub(super) saved: Option<Saved>,
}

/// A savepoint as the log completes it.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    /// Its address, as a person is told it.
    pub(super) path: String,
    /// The folder in the store; `None`: it lies in the memory of the job manager.
    pub(super) folder: Option<String>,
    /// What it is made of; its files are named from the root of the store here.
    pub(super) metadata: Box<CheckpointMetadata>,
}

impl Complete {
    /// Where its metadata lies; empty for a savepoint that lies nowhere.
    pub(super) fn metadata(&self) -> String {
        let Self { job, checkpoint, epoch, attempt, saved } = self;
        match saved {
            None => format!("jobs/{job}/chk-{checkpoint}/_metadata-e{epoch}a{attempt}"),
            Some(Saved { folder: Some(folder), .. }) => format!("{folder}/{METADATA_FILE}"),
            Some(Saved { folder: None, .. }) => String::new(),
        }
    }

    /// Whether it is a savepoint in the memory of a job manager.
    pub(super) fn lies_nowhere(&self) -> bool {
        self.saved.as_ref().is_some_and(|saved| saved.folder.is_none())
    }

    /// The folder of its files, with the slash.
    fn folder(&self) -> Option<String> {
        match &self.saved {
            None => Some(format!("jobs/{}/chk-{}/", self.job, self.checkpoint)),
            Some(saved) => saved.folder.as_ref().map(|folder| format!("{folder}/")),
        }
    }
}

/// The path within the world's store to which an address leads; `None` if it leads to none.
pub(super) fn within_store(address: &str) -> Option<String> {
    let path = address.strip_prefix("file://")?;
    let own = STORE.trim_start_matches("file://");
    let inside = path.strip_prefix(own).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    Some(inside.unwrap_or(path).trim_matches('/').to_owned())
}

/// The metadata with its files named from the root of the store.
pub(super) fn from_root(mut metadata: CheckpointMetadata, folder: &str) -> CheckpointMetadata {
    for handle in metadata.vertices.iter_mut().flat_map(|vertex| &mut vertex.subtasks) {
        if let StateHandle::File(file) = handle {
            file.path = format!("{folder}/{}", file.path);
        }
    }
    metadata
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The entry of this number of a job's log.
    Log(JobId, u64),
    /// A file in the folder of a checkpoint.
    Checkpoint(JobId, CheckpointId),
    /// A file in the folder of a savepoint: its name begins where the folder's ends.
    Savepoint(usize),
    /// Anything else, such as the leader's lease.
    Other,
}

/// What a path is, by its words.
pub(super) fn place_of(path: &str) -> Place {
    let known = || {
        let (job, rest) = path.strip_prefix("jobs/")?.split_once('/')?;
        let job: JobId = job.parse().ok()?;
        let (folder, file) = rest.split_once('/')?;
        match folder.strip_prefix("chk-") {
            Some(number) => Some(Place::Checkpoint(job, CheckpointId(number.parse().ok()?))),
            None if folder == "log" => Some(Place::Log(job, file.parse().ok()?)),
            None => None,
        }
    };
    known().or_else(|| savepoint_of(path)).unwrap_or(Place::Other)
}

/// Whether a path lies in the folder of a savepoint: `savepoint-`, and the ids of job and request.
fn savepoint_of(path: &str) -> Option<Place> {
    let (folder, _) = path.rsplit_once('/')?;
    let name = folder.rsplit('/').next().unwrap_or(folder).strip_prefix("savepoint-")?;
    let (job, trigger) = name.split_once('-')?;
    let is_hex = |text: &str, long: usize| {
        text.len() == long && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    (is_hex(job, 6) && is_hex(trigger, 12)).then_some(Place::Savepoint(folder.len()))
}

impl<'a> Archive<'a> {
    /// Takes a fact of the store; others change nothing. A log entry that is new is given back.
    pub(super) fn note(&mut self, fact: &'a Fact) -> Option<(JobId, u64, LogEntry)> {
        match fact {
            Fact::StorePut { path, bytes: length, content, .. } => {
                let damaged = self.torn.remove(path.as_str());
                let object = Object { bytes: &content.0, length: *length, damaged };
                self.objects.insert(path, object);
                let Place::Log(job, number) = place_of(path) else { return None };
                entry(&content.0).map(|entry| (job, number, entry))
            }
            Fact::StoreDeleted { path } => {
                self.objects.remove(path.as_str());
                None
            }
            Fact::StoreDamaged { path, .. } => {
                match self.objects.get_mut(path.as_str()) {
                    Some(object) => object.damaged = true,
                    None => drop(self.torn.insert(path)),
                }
                None
            }
            _ => None,
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<Object<'a>> {
        self.objects.get(path).copied()
    }

    /// Whether a fault damaged something that a checkpoint is made of.
    pub(super) fn is_damaged(&self, of: &Complete) -> bool {
        let Some(folder) = of.folder() else { return false };
        let inside = self.objects.range(folder.as_str()..);
        inside.take_while(|(path, _)| path.starts_with(&folder)).any(|(_, object)| object.damaged)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &'a str> {
        self.objects.keys().copied()
    }

    /// The metadata of a complete checkpoint.
    pub(super) fn metadata(&self, of: &Complete) -> Result<CheckpointMetadata, String> {
        if let Some(saved) = &of.saved {
            return Ok((*saved.metadata).clone());
        }
        let path = of.metadata();
        let object = self.get(&path).ok_or_else(|| format!("{path} is not there"))?;
        let metadata = CheckpointMetadata::open(object.bytes);
        let metadata = metadata.map_err(|error| format!("{path}: {error}"))?;
        let found = (metadata.job, metadata.checkpoint, metadata.epoch, metadata.attempt);
        if found != (of.job, of.checkpoint, of.epoch, of.attempt) {
            return Err(format!("{path} holds checkpoint {} of another", metadata.checkpoint));
        }
        Ok(metadata)
    }

    /// Whether a state file is there as its checkpoint names it.
    pub(super) fn whole(&self, file: &StateFile) -> Result<&'a [u8], String> {
        let StateFile { path, length, checksum } = file;
        let object = self.get(path).ok_or_else(|| format!("{path} is not there"))?;
        if object.length != *length || object.bytes.len() as u64 != *length {
            return Err(format!("{path} has {} bytes, and {length} are named", object.length));
        }
        match xxh3_64(object.bytes) == *checksum {
            true => Ok(object.bytes),
            false => Err(format!("{path} has another checksum than is named")),
        }
    }

    /// The sections of a subtask, one behind the other, as its checkpoint names them.
    pub(super) fn state<'h>(&self, handle: &'h StateHandle) -> Result<&'h [u8], String>
    where
        'a: 'h,
    {
        match handle {
            StateHandle::Empty => Ok(&[]),
            StateHandle::Inline(bytes) => Ok(bytes),
            StateHandle::File(file) => {
                let bytes = self.whole(file)?;
                let head = codec::open(bytes, Kind::StateFile, FORMAT);
                let head = head.map_err(|error| format!("{}: {error}", file.path))?;
                Ok(&bytes[head.length..])
            }
        }
    }
}

/// A log entry; none if the bytes are no entry, such as one that was torn.
fn entry(bytes: &[u8]) -> Option<LogEntry> {
    let opened = codec::open(bytes, Kind::LogEntry, FORMAT).ok()?;
    rmp_serde::from_slice(opened.payload).ok()
}

/// The checkpoint or savepoint that a log entry completes.
pub(super) fn completes(job: JobId, entry: &LogEntry) -> Option<Complete> {
    match &entry.event {
        LogEvent::Completed { checkpoint, attempt, .. } => Some(Complete {
            job,
            checkpoint: *checkpoint,
            epoch: entry.epoch,
            attempt: *attempt,
            saved: None,
        }),
        LogEvent::Saved { path, metadata, .. } => {
            let folder = within_store(path);
            let named = match &folder {
                Some(folder) => from_root((**metadata).clone(), folder),
                None => (**metadata).clone(),
            };
            let CheckpointMetadata { checkpoint, epoch, attempt, .. } = named;
            let saved = Some(Saved { path: path.clone(), folder, metadata: Box::new(named) });
            Some(Complete { job, checkpoint, epoch, attempt, saved })
        }
        _ => None,
    }
}

/// The parts of a checkpoint: whose they are, and their handles.
pub(super) fn parts(
    metadata: &CheckpointMetadata,
) -> impl Iterator<Item = (Subtask, u32, &StateHandle)> {
    metadata.vertices.iter().flat_map(|state| {
        (0..).zip(&state.subtasks).map(move |(index, handle)| {
            (Subtask { vertex: state.vertex, index }, state.parallelism, handle)
        })
    })
}
