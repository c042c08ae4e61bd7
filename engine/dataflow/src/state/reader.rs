//! Sections back into state: checked whole before anything of them is believed.
//! A section that is damaged, newer, of another type or filed under another name is refused by name
//! and never decoded. What is in one, and how it is written, is in [`super::section`].

use std::collections::BTreeMap;
use std::marker::PhantomData;

use slackwater_core::Data;
use slackwater_core::codec::{self, Kind};
use slackwater_core::key::{Key, KeyGroup};
use slackwater_core::schema::Schema;

use super::section::{Header, VERSION};
use super::{Groups, Section, Share, StateError, StateName};

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

/// Takes off the front what the writer measured.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let short = "malformed: an entry is cut short";
    let (length, rest) = bytes.split_first_chunk().ok_or(short)?;
    let (head, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(short)?;
    *bytes = rest;
    Ok(head)
}
