//! The bytes of state: one sealed section per operator uid, state name and share of it.
//! Equal state gives equal bytes, whatever the order of insertion. How sections are read and refused
//! is in `reader`; where they are kept and who is handed which of them is the runtime's business.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use slackwater_core::Data;
use slackwater_core::codec::{self, Kind};
use slackwater_core::graph::Uid;
use slackwater_core::key::{Key, KeyGroup};
use slackwater_core::schema::Schema;

use super::Groups;
use crate::operator::OperatorError;

/// The newest format of a section that this code writes and reads.
pub(super) const VERSION: u16 = 1;

/// Which part of a state a section holds: what moves as one when a job is rescaled.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Share {
    /// Keyed state: a key group.
    Group(KeyGroup),
    /// List state: a split of a source; 0 for the only state of an operator that has no keys; the
    /// index of a subtask for the transactions of a sink.
    Item(u32),
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => write!(f, "key group {group}"),
            Self::Item(item) => write!(f, "item {item}"),
        }
    }
}

/// One share of a state, sealed. `uid`, `state` and `share` are repeated inside the seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Whose state it is.
    pub uid: Uid,
    /// Which of the operator's states.
    pub state: String,
    /// Which part of it.
    pub share: Share,
    /// The sealed envelope.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// Why state could not be written, read or reached. Names the operator, the state, the share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateError {
    uid: Uid,
    what: String,
    why: String,
}

impl StateError {
    /// The operator whose state it is.
    pub fn uid(&self) -> &Uid {
        &self.uid
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of operator {:?}: {}", self.what, self.uid.0, self.why)
    }
}

impl std::error::Error for StateError {}

impl From<StateError> for OperatorError {
    fn from(error: StateError) -> Self {
        Self { operator: error.uid.0, message: format!("{}: {}", error.what, error.why) }
    }
}

/// What every section says of itself before its entries. MessagePack with names, like the values:
/// a later version may add fields.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) uid: Uid,
    pub(super) state: String,
    pub(super) share: Share,
    /// The number of key groups; 0 for list state, which knows none.
    pub(super) max_parallelism: u16,
    pub(super) schema: String,
    pub(super) entries: u64,
}

/// An operator's uid and the name of one of its states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateName {
    pub(super) uid: Uid,
    pub(super) state: String,
}

impl StateName {
    pub(crate) fn new(uid: &str, state: &str) -> Self {
        Self { uid: uid.into(), state: state.to_owned() }
    }

    pub(crate) fn error(&self, share: Option<Share>, why: impl fmt::Display) -> StateError {
        let what = match share {
            Some(share) => format!("state {:?}, {share},", self.state),
            None => format!("state {:?}", self.state),
        };
        StateError { uid: self.uid.clone(), what, why: why.to_string() }
    }

    #[cold]
    pub(crate) fn foreign_key(&self, key: &dyn fmt::Debug) -> StateError {
        self.error(None, format!("the key {key:?} belongs to a key group of another subtask"))
    }

    pub(super) fn schema<K: Key, S: Data>(&self) -> Result<Schema, StateError> {
        Schema::of::<(K, S)>().map_err(|error| self.error(None, error))
    }
}

/// A section that is being written, entry by entry.
pub(crate) struct Draft {
    share: Share,
    body: Vec<u8>,
    entries: u64,
    /// Where the last key lies in `body`.
    last_key: std::ops::Range<usize>,
}

impl Draft {
    pub(crate) fn new(share: Share) -> Self {
        Self { share, body: Vec::new(), entries: 0, last_key: 0..0 }
    }
}

/// Writes the sections of one state: entries of `K` and `S`.
pub struct SectionWriter<K, S> {
    name: StateName,
    schema: Schema,
    max_parallelism: u16,
    of: PhantomData<fn(K, S)>,
}

impl<K: Key, S: Data> SectionWriter<K, S> {
    pub(crate) fn new(name: StateName, groups: &Groups) -> Result<Self, StateError> {
        let schema = name.schema::<K, S>()?;
        Ok(Self { name, schema, max_parallelism: groups.max_parallelism(), of: PhantomData })
    }

    /// The section of a share; none if there is no entry.
    ///
    /// # Errors
    /// If a value refuses to be serialized.
    ///
    /// # Panics
    /// If the entries are not in the strict order of their keys: their order is the bytes' order.
    pub fn write<'a>(
        &self,
        share: Share,
        entries: impl Iterator<Item = (&'a K, &'a S)>,
    ) -> Result<Option<Section>, StateError> {
        let mut draft = Draft::new(share);
        for (key, value) in entries {
            self.append(&mut draft, |out| key.encode(out), value)?;
        }
        self.finish(draft)
    }

    /// Adds an entry, whose key `encode` appends.
    pub(crate) fn append(
        &self,
        draft: &mut Draft,
        encode: impl FnOnce(&mut Vec<u8>),
        value: &S,
    ) -> Result<(), StateError> {
        let body = &mut draft.body;
        let key = measured(body, |body| {
            encode(body);
            Ok(())
        });
        let key = key.map_err(|why| self.name.error(Some(draft.share), why))?;
        assert!(
            draft.entries == 0 || body[draft.last_key.clone()] < body[key.clone()],
            "entries come in the order of their keys"
        );
        let written = measured(body, |body| {
            rmp_serde::encode::write_named(body, value).map_err(|error| error.to_string())
        });
        written.map_err(|why| self.name.error(Some(draft.share), why))?;
        draft.last_key = key;
        draft.entries += 1;
        Ok(())
    }

    /// Seals a section; none if there is no entry.
    pub(crate) fn finish(&self, draft: Draft) -> Result<Option<Section>, StateError> {
        let Draft { share, body, entries, .. } = draft;
        if entries == 0 {
            return Ok(None);
        }
        let refuse = |why: String| self.name.error(Some(share), why);
        let header = Header {
            uid: self.name.uid.clone(),
            state: self.name.state.clone(),
            share,
            max_parallelism: self.max_parallelism,
            schema: self.schema.text().to_owned(),
            entries,
        };
        let header = rmp_serde::to_vec_named(&header).map_err(|error| refuse(error.to_string()))?;
        let mut payload = Vec::with_capacity(header.len() + 4 + body.len());
        measured(&mut payload, |payload| {
            payload.extend_from_slice(&header);
            Ok(())
        })
        .map_err(refuse)?;
        payload.extend_from_slice(&body);
        let bytes = codec::seal(Kind::State, VERSION, self.schema.fingerprint(), &payload);
        let (uid, state) = (self.name.uid.clone(), self.name.state.clone());
        Ok(Some(Section { uid, state, share, bytes }))
    }
}

impl<S: Data> SectionWriter<(), S> {
    /// Writes list state: one value per item.
    pub(crate) fn list(name: StateName) -> Result<Self, StateError> {
        let schema = name.schema::<(), S>()?;
        Ok(Self { name, schema, max_parallelism: 0, of: PhantomData })
    }

    /// The section of an item.
    ///
    /// # Errors
    /// If the value refuses to be serialized.
    pub fn write_item(&self, item: u32, value: &S) -> Result<Section, StateError> {
        let section = self.write(Share::Item(item), std::iter::once((&(), value)))?;
        Ok(section.expect("a section of one entry is not left out"))
    }
}

/// Appends what `write` does behind its length; where that lies.
pub(super) fn measured(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
) -> Result<std::ops::Range<usize>, String> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let length = u32::try_from(out.len() - at - 4).map_err(|_| "an entry of more than 4 GiB")?;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    Ok(at + 4..out.len())
}
