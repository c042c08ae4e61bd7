//! The bytes of state: one sealed section per operator uid, state name and key group.
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

/// The state of one key group, sealed. `uid`, `state` and `group` are repeated inside the seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Whose state it is.
    pub uid: Uid,
    /// Which of the operator's states.
    pub state: String,
    /// Of which key group.
    pub group: KeyGroup,
    /// The sealed envelope.
    pub bytes: Vec<u8>,
}

/// Why state could not be written, read or reached. Names the operator, the state, the key group.
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
    group: KeyGroup,
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

    pub(crate) fn error(&self, group: Option<KeyGroup>, why: impl fmt::Display) -> StateError {
        let what = match group {
            Some(group) => format!("state {:?}, key group {group},", self.state),
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

    /// The section of a group; none if there is no entry.
    ///
    /// # Errors
    /// If a value refuses to be serialized.
    ///
    /// # Panics
    /// If the entries are not in the strict order of their keys: their order is the bytes' order.
    pub fn write<'a>(
        &self,
        group: KeyGroup,
        entries: impl Iterator<Item = (&'a K, &'a S)>,
    ) -> Result<Option<Section>, StateError> {
        let refuse = |why: String| self.name.error(Some(group), why);
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
            group,
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
            group,
            bytes,
        }))
    }
}

/// What was read of one state: per key group its entries, in the order of their keys.
pub type Entries<K, S> = BTreeMap<KeyGroup, Vec<(K, S)>>;

/// Reads the sections of one state.
pub struct SectionReader<K, S> {
    name: StateName,
    schema: Schema,
    groups: Groups,
    of: PhantomData<fn() -> (K, S)>,
}

impl<K: Key, S: Data> SectionReader<K, S> {
    pub(crate) fn new(name: StateName, groups: &Groups) -> Result<Self, StateError> {
        let schema = name.schema::<K, S>()?;
        Ok(Self { name, schema, groups: groups.clone(), of: PhantomData })
    }

    /// The entries of this state in the groups that the subtask owns; other sections are passed
    /// over, so that any set of sections that covers the groups will do.
    ///
    /// # Errors
    /// If one of them is damaged, newer, of another type, or there twice.
    pub fn read(&self, sections: &[Section]) -> Result<Entries<K, S>, StateError> {
        let mut read = BTreeMap::new();
        for section in sections {
            let ours = section.uid == self.name.uid && section.state == self.name.state;
            if !ours || self.groups.position_of(section.group).is_none() {
                continue;
            }
            let entries = self.read_one(section);
            let entries = entries.map_err(|why| self.name.error(Some(section.group), why))?;
            if read.insert(section.group, entries).is_some() {
                return Err(self.name.error(Some(section.group), "there are two such sections"));
            }
        }
        Ok(read)
    }

    /// Refuses a key that was filed under another group than its own.
    pub(crate) fn expect_group(&self, key: &impl Key, group: KeyGroup) -> Result<(), StateError> {
        let of_key = KeyGroup::of_hash(key.hash64(), self.groups.max_parallelism());
        if of_key == group {
            return Ok(());
        }
        Err(self.name.error(Some(group), format!("the key {key:?} is of key group {of_key}")))
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
        self.check_header(&header, section.group)?;
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

    fn check_header(&self, header: &Header, group: KeyGroup) -> Result<(), String> {
        let max = self.groups.max_parallelism();
        if header.max_parallelism != max {
            return Err(format!(
                "written at a maximum parallelism of {}, expected {max}: it is fixed for the life \
                 of the state",
                header.max_parallelism
            ));
        }
        let same = header.uid == self.name.uid && header.state == self.name.state;
        if same && header.group == group {
            return Ok(());
        }
        Err(format!(
            "the section holds state {:?}, key group {}, of operator {:?}",
            header.state, header.group, header.uid.0
        ))
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
