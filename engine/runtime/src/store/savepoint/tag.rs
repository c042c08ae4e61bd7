//! Tags: names that persons give to savepoints, in a folder beside them that moves with them.
//! A tag names a folder beside its own, and which checkpoint of which job lay there: it never stands
//! for another one that came in its place. Who follows a tag is [`mod@super::load`].

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use slackwater_core::checkpoint::CheckpointKind;
use slackwater_core::codec::{self, CodecError, Kind};
use slackwater_core::id::{CheckpointId, JobId};
use slackwater_core::schema::Fingerprint;
use slackwater_core::time::ProcessingTime;

use super::load::Found;
use crate::host::Host;
use crate::store::{Created, Store, StoreError, Trouble};

/// The folder of the names that persons gave to the savepoints beside it.
pub const TAGS: &str = "tags";

/// The newest format of a tag that this code writes and reads.
const FORMAT: u16 = 1;

/// What a tag says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The folder of the savepoint, within the folder in which `tags` lies.
    pub savepoint: String,
    /// Whose it is.
    pub job: JobId,
    /// Its number.
    pub checkpoint: CheckpointId,
    /// When it was tagged, by the clock of whoever did.
    pub tagged: ProcessingTime,
}

impl Named {
    /// Which checkpoint of which job was tagged.
    pub fn what(&self) -> (JobId, CheckpointId) {
        (self.job, self.checkpoint)
    }

    fn seal(&self) -> Result<Vec<u8>, CodecError> {
        let payload = rmp_serde::to_vec_named(self);
        let payload = payload.map_err(|error| CodecError::Malformed(error.to_string()))?;
        Ok(codec::seal(Kind::Tag, FORMAT, Fingerprint(0), &payload))
    }

    fn open(bytes: &[u8]) -> Result<Self, CodecError> {
        let opened = codec::open(bytes, Kind::Tag, FORMAT)?;
        if opened.length != bytes.len() {
            return Err(CodecError::Malformed("bytes follow the envelope".into()));
        }
        let named = rmp_serde::from_slice(opened.payload);
        named.map_err(|error| CodecError::Malformed(error.to_string()))
    }
}

/// A tag as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The folder in which `tags` and the savepoints lie.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub named: Named,
}

impl Tag {
    /// Where it lies.
    pub fn path(&self) -> String {
        format!("{}/{TAGS}/{}", self.parent, self.name)
    }

    /// The folder of the savepoint that it names.
    pub fn folder(&self) -> String {
        format!("{}/{}", self.parent, self.named.savepoint)
    }
}

/// All tags of a folder, by name, and those that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Those that can.
    pub whole: Vec<Tag>,
    /// Those that cannot, each by name.
    pub unreadable: Vec<StoreError>,
}

impl Tags {
    /// The names of the savepoint in this folder within the parent.
    pub fn of(&self, savepoint: &str) -> Vec<String> {
        let ours = self.whole.iter().filter(|tag| tag.named.savepoint == savepoint);
        ours.map(|tag| tag.name.clone()).collect()
    }
}

/// Whether this is a folder of tags, by its name.
pub(super) fn is_folder(folder: &str) -> bool {
    folder.rsplit('/').next() == Some(TAGS)
}

/// The folder around this one, and its name within it.
///
/// # Errors
/// [`Trouble::NoSavepoint`] if there is none: the root of a store has no folder around it.
pub(super) fn parted(folder: &str) -> Result<(&str, &str), StoreError> {
    let parted = folder.rsplit_once('/').filter(|(parent, name)| {
        !(parent.is_empty() || parent.ends_with("//") || name.is_empty() || parent.ends_with(":/"))
    });
    let why = "it has no folder around it in which its tags could lie";
    parted.ok_or_else(|| StoreError::new(folder, Trouble::NoSavepoint(why.into())))
}

/// Reads the tag at `DIR/tags/NAME`, or `DIR/NAME` for short; `None` if there is none.
///
/// # Errors
/// Any [`StoreError`] but that there is no such tag.
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn read(host: &Arc<dyn Host>, path: &str) -> Result<Option<Tag>, StoreError> {
    let Ok((above, name)) = parted(path.trim_end_matches('/')) else { return Ok(None) };
    let parent = match is_folder(above) {
        true => parted(above)?.0,
        false => above,
    };
    // Beside a file lie no tags.
    let Some(store) = Store::open_existing(host, parent).ok().flatten() else { return Ok(None) };
    match read_in(&store, parent, name).await {
        Err(error) if *error.trouble() == Trouble::Missing => Ok(None),
        read => read.map(Some),
    }
}

async fn read_in(store: &Store, parent: &str, name: &str) -> Result<Tag, StoreError> {
    let path = format!("{TAGS}/{name}");
    let bytes = store.get(&path).await.map_err(|error| error.within(parent))?;
    let of_codec =
        |error| StoreError::of_codec(&format!("{parent}/{path}"), bytes.len() as u64, error);
    let named = Named::open(&bytes).map_err(of_codec)?;
    Ok(Tag { parent: parent.to_owned(), name: name.to_owned(), named })
}

/// Reads all tags in a folder of savepoints.
///
/// # Errors
/// Any [`StoreError`]; a tag that cannot be read is none: see [`Tags::unreadable`].
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn all(host: &Arc<dyn Host>, parent: &str) -> Result<Tags, StoreError> {
    let mut tags = Tags::default();
    let Some(store) = Store::open_existing(host, parent)? else { return Ok(tags) };
    for listed in store.list(TAGS).await.map_err(|error| error.within(parent))? {
        let Some(name) = listed.path.strip_prefix(TAGS).and_then(|name| name.strip_prefix('/'))
        else {
            continue;
        };
        match read_in(&store, parent, name).await {
            Ok(tag) => tags.whole.push(tag),
            // Somebody has removed it meanwhile.
            Err(error) if *error.trouble() == Trouble::Missing => {}
            Err(error) if error.is_damage() => tags.unreadable.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(tags)
}

/// Gives a savepoint a name; with `moves`, one that another may have now, whose folder is then the
/// answer.
///
/// # Errors
/// Any [`StoreError`]: [`Trouble::Declined`] if the name is another's, or cannot be one, or if it is
/// a checkpoint, which its job deletes.
///
/// # Cancel safety
/// If dropped, the savepoint may have the name, now or later, or not.
pub async fn put(
    host: &Arc<dyn Host>,
    found: &Found,
    name: &str,
    moves: bool,
) -> Result<Option<String>, StoreError> {
    let (parent, savepoint) = parted(&found.folder)?;
    let path = format!("{parent}/{TAGS}/{name}");
    let refuse = |why: String| Err(StoreError::new(path.as_str(), Trouble::Declined(why)));
    if found.metadata.kind == CheckpointKind::Checkpoint {
        let why = "a checkpoint is deleted by its job: take a savepoint, and tag that";
        return Err(StoreError::new(found.folder.as_str(), Trouble::Declined(why.into())));
    }
    if let Err(why) = may_be_called(name) {
        return refuse(why);
    }
    let store = Store::open(Arc::clone(host), parent)?;
    let within = |error: StoreError| error.within(parent);
    if !store.list(name).await.map_err(within)?.is_empty() {
        return refuse(format!("a folder {parent}/{name} is there, which would be taken for it"));
    }
    let (job, checkpoint) = (found.metadata.job, found.metadata.checkpoint);
    let named = Named { savepoint: savepoint.into(), job, checkpoint, tagged: host.wall() };
    let sealed = named.seal().map_err(|error| StoreError::of_codec(&path, 0, error))?;
    let (place, sealed) = (format!("{TAGS}/{name}"), Bytes::from(sealed));
    if store.create(&place, sealed.clone()).await.map_err(within)? == Created::Ours {
        return Ok(None);
    }
    // One that cannot be read names nothing that could be lost.
    let before = read_in(&store, parent, name).await.ok().map(|tag| tag.named);
    match before {
        Some(before) if (&*before.savepoint, before.what()) == (savepoint, named.what()) => {
            Ok(None)
        }
        before if moves => {
            store.put(&place, vec![sealed]).await.map_err(within)?;
            Ok(before.map(|before| format!("{parent}/{}", before.savepoint)))
        }
        Some(before) => refuse(format!(
            "the tag is there already, and names {parent}/{}: --force moves it",
            before.savepoint
        )),
        None => refuse("a tag that cannot be read is there already: --force replaces it".into()),
    }
}

fn may_be_called(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(format!(
            "{name:?} is no name for a tag: letters, digits and -_.+ make one, and no . begins it"
        ));
    }
    match [TAGS, slackwater_core::savepoint::METADATA_FILE].contains(&name) {
        true => Err(format!("{name:?} is no name for a tag: it means something else")),
        false => Ok(()),
    }
}

/// Takes a name of a folder's savepoints away. Nothing else is touched.
///
/// # Errors
/// Any [`StoreError`].
///
/// # Cancel safety
/// If dropped, it may be gone, now or later.
pub async fn forget(host: &Arc<dyn Host>, parent: &str, name: &str) -> Result<(), StoreError> {
    let store = Store::open(Arc::clone(host), parent)?;
    store.delete(&format!("{TAGS}/{name}")).await.map_err(|error| error.within(parent))
}
