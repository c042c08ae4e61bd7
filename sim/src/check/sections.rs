//! The sections of state in a checkpoint's files, read by the codec alone.
//! Shares no code with what wrote them, and knows no operator: a section says itself whose it is.
//! What its entries mean, [`super::cut`] asks.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use slackwater_core::codec::{self, Kind};
use slackwater_core::graph::Uid;
use slackwater_core::key::KeyGroup;

/// The newest format of a section that the oracles read.
const FORMAT: u16 = 1;

/// Which part of a state a section holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum Share {
    /// A key group.
    Group(KeyGroup),
    /// An item of a list.
    Item(u32),
}

/// A section as it lies in a file: what it says of itself outside of its seal, and the seal.
#[derive(Debug, Deserialize)]
struct Outer {
    uid: Uid,
    state: String,
    share: Share,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

/// What stands within the seal before the entries.
#[derive(Debug, Deserialize)]
struct Header {
    uid: Uid,
    state: String,
    share: Share,
    max_parallelism: u16,
    entries: u64,
}

/// A section, opened.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) uid: Uid,
    pub(super) state: String,
    pub(super) share: Share,
    /// 0 for a list.
    pub(super) max_parallelism: u16,
    /// The encoding of each key and of its value.
    pub(super) entries: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Every section of a subtask's state.
pub(super) fn sections(mut bytes: &[u8]) -> Result<Vec<Section>, String> {
    let mut sections = Vec::new();
    while !bytes.is_empty() {
        let (outer, rest) =
            postcard::take_from_bytes::<Outer>(bytes).map_err(|error| error.to_string())?;
        sections.push(open(&outer).map_err(|why| {
            format!("state {:?} of {:?}, {:?}: {why}", outer.state, outer.uid.0, outer.share)
        })?);
        bytes = rest;
    }
    Ok(sections)
}

fn open(outer: &Outer) -> Result<Section, String> {
    let opened =
        codec::open(&outer.bytes, Kind::State, FORMAT).map_err(|error| error.to_string())?;
    let mut rest = opened.payload;
    let header: Header = read(take(&mut rest)?)?;
    if (&header.uid, &header.state, header.share) != (&outer.uid, &outer.state, outer.share) {
        return Err("the seal holds another section".into());
    }
    let mut entries = Vec::new();
    for _ in 0..header.entries {
        let key = take(&mut rest)?.to_vec();
        entries.push((key, take(&mut rest)?.to_vec()));
    }
    if !entries.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return Err("the keys are not in their order".into());
    }
    match rest.is_empty() {
        true => Ok(Section {
            uid: header.uid,
            state: header.state,
            share: header.share,
            max_parallelism: header.max_parallelism,
            entries,
        }),
        false => Err("bytes follow the entries".into()),
    }
}

impl Section {
    /// The value of a list's item, or of a state's only entry.
    pub(super) fn only<T: DeserializeOwned>(&self) -> Result<T, String> {
        match &self.entries[..] {
            [(_, value)] => read(value),
            entries => Err(format!("one entry was expected, and there are {}", entries.len())),
        }
    }

    /// Whose and which it is, for a person.
    pub(super) fn name(&self) -> String {
        let share = match self.share {
            Share::Group(group) => format!("key group {group}"),
            Share::Item(item) => format!("item {item}"),
        };
        format!("{}/{} {share}", self.uid, self.state)
    }
}

/// Reads a value: MessagePack with names.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}

/// Takes off the front what stands behind its own length.
fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let short = "an entry is cut short";
    let (length, rest) = bytes.split_first_chunk().ok_or(short)?;
    let (head, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(short)?;
    *bytes = rest;
    Ok(head)
}
