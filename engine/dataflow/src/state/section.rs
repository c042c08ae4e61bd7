//! The bytes of state: one sealed section per operator uid, state name and share of it.
//! Equal state gives equal bytes, whatever the order of insertion; a section that is damaged, newer
//! or of another type is refused by name and never decoded. Where sections are kept and which
//! subtask is handed which of them is the runtime's business.

use std::collections::BTreeMap;
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
const VERSION: u16 = 1;

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
struct Header {
    uid: Uid,
    state: String,
    share: Share,
    /// The number of key groups; 0 for list state, which knows none.
    max_parallelism: u16,
    schema: String,
    entries: u64,
}

/// An operator's uid and the name of one of its states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateName {
    uid: Uid,
    state: String,
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

    fn schema<K: Key, S: Data>(&self) -> Result<Schema, StateError> {
        Schema::of::<(K, S)>().map_err(|error| self.error(None, error))
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
        let refuse = |why: String| self.name.error(Some(share), why);
        let (mut body, mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new(), Vec::new());
        let mut last: Option<&K> = None;
        let mut count = 0;
        for (key, value) in entries {
            assert!(last.is_none_or(|last| last < key), "entries come in the order of their keys");
            last = Some(key);
            key_bytes.clear();
            key.encode(&mut key_bytes);
            value_bytes.clear();
            rmp_serde::encode::write_named(&mut value_bytes, value)
                .map_err(|error| refuse(error.to_string()))?;
            put(&mut body, &key_bytes).map_err(refuse)?;
            put(&mut body, &value_bytes).map_err(refuse)?;
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        let header = Header {
            uid: self.name.uid.clone(),
            state: self.name.state.clone(),
            share,
            max_parallelism: self.max_parallelism,
            schema: self.schema.text().to_owned(),
            entries: count,
        };
        let header = rmp_serde::to_vec_named(&header).map_err(|error| refuse(error.to_string()))?;
        let mut payload = Vec::with_capacity(header.len() + 4 + body.len());
        put(&mut payload, &header).map_err(refuse)?;
        payload.extend_from_slice(&body);
        let bytes = codec::seal(Kind::State, VERSION, self.schema.fingerprint(), &payload);
        Ok(Some(Section {
            uid: self.name.uid.clone(),
            state: self.name.state.clone(),
            share,
            bytes,
        }))
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

/// What was read of one state: per key group its entries, in the order of their keys.
pub type Entries<K, S> = BTreeMap<KeyGroup, Vec<(K, S)>>;

/// Reads the sections of one state.
pub struct SectionReader<K, S> {
    name: StateName,
    schema: Schema,
    /// `None` for list state.
    groups: Option<Groups>,
    of: PhantomData<fn() -> (K, S)>,
}

impl<K: Key, S: Data> SectionReader<K, S> {
    pub(crate) fn new(name: StateName, groups: &Groups) -> Result<Self, StateError> {
        let schema = name.schema::<K, S>()?;
        Ok(Self { name, schema, groups: Some(groups.clone()), of: PhantomData })
    }

    /// The entries of this state in the groups that the subtask owns; other sections are passed
    /// over, so that any set of sections that covers the groups will do.
    ///
    /// # Errors
    /// If one of them is damaged, newer, of another type, or there twice.
    pub fn read(&self, sections: &[Section]) -> Result<Entries<K, S>, StateError> {
        let owned = |group: &KeyGroup| {
            self.groups.as_ref().is_some_and(|groups| groups.position_of(*group).is_some())
        };
        self.read_shares(sections, |share| match share {
            Share::Group(group) => Some(group).filter(owned),
            Share::Item(_) => None,
        })
    }

    /// The entries of the shares that are wanted, by what they are called then.
    fn read_shares<I: Ord>(
        &self,
        sections: &[Section],
        wanted: impl Fn(Share) -> Option<I>,
    ) -> Result<BTreeMap<I, Vec<(K, S)>>, StateError> {
        let mut read = BTreeMap::new();
        for section in sections {
            let ours = section.uid == self.name.uid && section.state == self.name.state;
            let Some(index) = wanted(section.share).filter(|_| ours) else { continue };
            let entries = self.read_one(section);
            let entries = entries.map_err(|why| self.name.error(Some(section.share), why))?;
            if read.insert(index, entries).is_some() {
                return Err(self.name.error(Some(section.share), "there are two such sections"));
            }
        }
        Ok(read)
    }

    /// Refuses a key that was filed under another group than its own.
    pub(crate) fn expect_group(&self, key: &impl Key, group: KeyGroup) -> Result<(), StateError> {
        let of_key = KeyGroup::of_hash(key.hash64(), self.max_parallelism());
        if of_key == group {
            return Ok(());
        }
        let why = format!("the key {key:?} is of key group {of_key}");
        Err(self.name.error(Some(Share::Group(group)), why))
    }

    fn read_one(&self, section: &Section) -> Result<Vec<(K, S)>, String> {
        let opened =
            codec::open(&section.bytes, Kind::State, VERSION).map_err(|error| error.to_string())?;
        if opened.length != section.bytes.len() {
            return Err("malformed: bytes follow the envelope".into());
        }
        let mut rest = opened.payload;
        let header: Header =
            rmp_serde::from_slice(take(&mut rest)?).map_err(|error| error.to_string())?;
        self.check_header(&header, section.share)?;
        if opened.schema != self.schema.fingerprint() {
            return Err(format!("written as {}, expected {}", header.schema, self.schema));
        }
        let mut entries: Vec<(K, S)> = Vec::new();
        for _ in 0..header.entries {
            let mut key_bytes = take(&mut rest)?;
            let key = K::decode(&mut key_bytes).filter(|_| key_bytes.is_empty());
            let key = key.ok_or("malformed: not the encoding of a key")?;
            let value =
                rmp_serde::from_slice(take(&mut rest)?).map_err(|error| error.to_string())?;
            if entries.last().is_some_and(|last| last.0 >= key) {
                return Err(format!("malformed: the key {key:?} is out of order"));
            }
            entries.push((key, value));
        }
        if rest.is_empty() {
            Ok(entries)
        } else {
            Err("malformed: bytes follow the entries".into())
        }
    }

    fn max_parallelism(&self) -> u16 {
        self.groups.as_ref().map_or(0, Groups::max_parallelism)
    }

    fn check_header(&self, header: &Header, share: Share) -> Result<(), String> {
        let max = self.max_parallelism();
        if header.max_parallelism != max {
            return Err(format!(
                "written at a maximum parallelism of {}, expected {max}: it is fixed for the life \
                 of the state",
                header.max_parallelism
            ));
        }
        let same = header.uid == self.name.uid && header.state == self.name.state;
        if same && header.share == share {
            return Ok(());
        }
        Err(format!(
            "the section holds state {:?}, {}, of operator {:?}",
            header.state, header.share, header.uid.0
        ))
    }
}

impl<S: Data> SectionReader<(), S> {
    /// Reads list state.
    pub(crate) fn list(name: StateName) -> Result<Self, StateError> {
        let schema = name.schema::<(), S>()?;
        Ok(Self { name, schema, groups: None, of: PhantomData })
    }

    /// The value of every item of this state that is `wanted`.
    ///
    /// # Errors
    /// As [`SectionReader::read`].
    pub fn read_items(
        &self,
        sections: &[Section],
        wanted: impl Fn(u32) -> bool,
    ) -> Result<BTreeMap<u32, S>, StateError> {
        let read = self.read_shares(sections, |share| match share {
            Share::Item(item) => Some(item).filter(|item| wanted(*item)),
            Share::Group(_) => None,
        })?;
        let value = |(item, entries): (u32, Vec<((), S)>)| {
            let one = entries.into_iter().next();
            let missing = || self.name.error(Some(Share::Item(item)), "malformed: no value");
            Ok((item, one.ok_or_else(missing)?.1))
        };
        read.into_iter().map(value).collect()
    }
}

/// Appends bytes behind their length.
fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
    let length = u32::try_from(bytes.len()).map_err(|_| "an entry of more than 4 GiB")?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Takes off the front what [`put`] appended.
fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let short = "malformed: an entry is cut short";
    let (length, rest) = bytes.split_first_chunk().ok_or(short)?;
    let (head, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(short)?;
    *bytes = rest;
    Ok(head)
}
