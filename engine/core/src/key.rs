//! Keys and key groups: the one encoding of a key, its group, and who owns a group.
//! A key's group depends on the key's bytes and the maximum parallelism only, for ever.
//! State by key group lives in `slackwater-dataflow`'s `state`.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::Data;

/// The default number of key groups of a job.
pub const DEFAULT_MAX_PARALLELISM: u16 = 128;

/// A key group: the unit in which keyed state moves when a job is rescaled.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct KeyGroup(pub u16);

impl fmt::Display for KeyGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl KeyGroup {
    /// The group of a key with this hash: hash modulo `max_parallelism`.
    ///
    /// # Panics
    /// If `max_parallelism` is 0.
    #[inline]
    pub fn of_hash(hash: u64, max_parallelism: u16) -> Self {
        Self((hash % u64::from(max_parallelism)) as u16)
    }

    /// The subtask that owns this group: ⌊group × parallelism / max⌋.
    #[inline]
    pub fn owner(self, parallelism: u32, max_parallelism: u16) -> u32 {
        (u64::from(self.0) * u64::from(parallelism) / u64::from(max_parallelism)) as u32
    }
}

/// The groups that subtask `index` of `parallelism` owns: ⌈i·max/p⌉ ..= ⌈(i+1)·max/p⌉ − 1.
///
/// ```
/// use slackwater_core::key::{KeyGroup, groups_of};
/// assert_eq!(groups_of(1, 3, 128), KeyGroup(43)..=KeyGroup(85));
/// ```
///
/// # Panics
/// If `index ≥ parallelism` or `parallelism > max_parallelism`: such a subtask owns nothing.
pub fn groups_of(index: u32, parallelism: u32, max_parallelism: u16) -> RangeInclusive<KeyGroup> {
    assert!(index < parallelism, "a subtask's index is below the parallelism");
    assert!(parallelism <= u32::from(max_parallelism), "every subtask owns at least one group");
    let first = |i: u32| (u64::from(i) * u64::from(max_parallelism)).div_ceil(parallelism.into());
    KeyGroup(first(index) as u16)..=KeyGroup(first(index + 1) as u16 - 1)
}

/// A key: ordered, and encoded so that the order of the bytes is the order of the keys.
///
/// The encoding is used on the wire, in state and in savepoints; [`Key::hash64`] is XXH3-64 with
/// seed 0 of these bytes. Integers are big-endian with the sign bit flipped, strings end in
/// `00 00` with `00` escaped as `00 ff`, so that tuples stay ordered.
pub trait Key: Data + Ord + fmt::Debug {
    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes one key off the front of `bytes`; `None` if they are not its encoding.
    fn decode(bytes: &mut &[u8]) -> Option<Self>;

    /// XXH3-64 with seed 0 of the encoding. Override only to be faster, never to differ.
    #[inline]
    fn hash64(&self) -> u64 {
        let mut bytes = Vec::with_capacity(32);
        self.encode(&mut bytes);
        xxh3_64(&bytes)
    }

    /// The first eight bytes of the encoding as a number, zeros where it is shorter: never
    /// contradicts the order of the keys. Override only to be faster, never to differ.
    fn prefix64(&self) -> u64 {
        let mut bytes = Vec::with_capacity(32);
        self.encode(&mut bytes);
        bytes.resize(bytes.len().max(8), 0);
        bytes.first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
    }
}

macro_rules! integer_key {
    ($($signed:ty, $unsigned:ty);*) => {$(
        impl Key for $unsigned {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                take(bytes).map(Self::from_be_bytes)
            }
            #[inline]
            fn hash64(&self) -> u64 {
                xxh3_64(&self.to_be_bytes())
            }
            #[inline]
            fn prefix64(&self) -> u64 {
                ((u128::from(*self) << (128 - <$unsigned>::BITS)) >> 64) as u64
            }
        }
        impl Key for $signed {
            fn encode(&self, out: &mut Vec<u8>) {
                ((*self as $unsigned) ^ (1 << (<$unsigned>::BITS - 1))).encode(out);
            }
            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                <$unsigned>::decode(bytes).map(|raw| (raw ^ (1 << (<$unsigned>::BITS - 1))) as Self)
            }
            #[inline]
            fn hash64(&self) -> u64 {
                ((*self as $unsigned) ^ (1 << (<$unsigned>::BITS - 1))).hash64()
            }
            #[inline]
            fn prefix64(&self) -> u64 {
                ((*self as $unsigned) ^ (1 << (<$unsigned>::BITS - 1))).prefix64()
            }
        }
    )*};
}
integer_key!(i8, u8; i16, u16; i32, u32; i64, u64; i128, u128);

impl Key for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        match u8::decode(bytes)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Key for () {
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(_: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_text(self.as_bytes(), out);
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        String::from_utf8(decode_text(bytes)?).ok()
    }
}

impl Key for std::sync::Arc<str> {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_text(self.as_bytes(), out);
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        String::decode(bytes).map(Into::into)
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::decode(bytes)?, B::decode(bytes)?))
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
        self.2.encode(out);
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::decode(bytes)?, B::decode(bytes)?, C::decode(bytes)?))
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn encode_text(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

fn decode_text(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        let [byte] = take(bytes)?;
        if byte != 0 {
            text.push(byte);
            continue;
        }
        match take(bytes)? {
            [0xff] => text.push(0),
            [0] => return Some(text),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<K: Key>(key: &K) -> Vec<u8> {
        let mut out = Vec::new();
        key.encode(&mut out);
        out
    }

    fn check<K: Key>(sorted: &[K]) {
        for key in sorted {
            let encoded = bytes(key);
            let mut rest = encoded.as_slice();
            assert_eq!(K::decode(&mut rest).as_ref(), Some(key));
            assert!(rest.is_empty(), "{key:?} is read whole");
            assert_eq!(key.hash64(), xxh3_64(&encoded), "{key:?} hashes its encoding");
            let mut head = encoded.clone();
            head.resize(head.len().max(8), 0);
            assert_eq!(key.prefix64().to_be_bytes(), head[..8], "{key:?} begins like its encoding");
        }
        for pair in sorted.windows(2) {
            assert!(bytes(&pair[0]) < bytes(&pair[1]), "{pair:?} keep their order");
        }
    }

    #[test]
    fn the_order_of_the_bytes_is_the_order_of_the_keys() {
        check(&[i64::MIN, -1, 0, 1, i64::MAX]);
        check(&[0u64, 1, 255, 256, u64::MAX]);
        check(&["".to_owned(), "\0".into(), "\0a".into(), "a".into(), "a\0".into(), "aa".into()]);
        check(&[("a".to_owned(), 2i32), ("a".into(), 3), ("aa".into(), -1)]);
        check(&[false, true]);
        check(&[i8::MIN, -1, 0, i8::MAX]);
        check(&[i128::MIN, -1, 0, 1 << 64, i128::MAX]);
    }

    #[test]
    fn every_group_has_one_owner_whose_range_holds_it() {
        for (parallelism, max) in [(1, 128), (3, 128), (4, 8), (7, 128), (128, 128), (5, 1000)] {
            for group in (0..max).map(KeyGroup) {
                let owner = group.owner(parallelism, max);
                assert!(groups_of(owner, parallelism, max).contains(&group));
            }
        }
    }

    #[test]
    fn torn_and_foreign_bytes_are_no_key() {
        assert_eq!(u64::decode(&mut &[1, 2][..]), None);
        assert_eq!(String::decode(&mut &b"abc"[..]), None);
        assert_eq!(String::decode(&mut &b"a\0\x01"[..]), None);
        assert_eq!(bool::decode(&mut &[2][..]), None);
    }

    #[test]
    fn key_groups_are_pinned_for_ever() {
        let group = |hash| KeyGroup::of_hash(hash, 128).0;
        let groups =
            [group(0u64.hash64()), group(1u64.hash64()), group("pressure".to_owned().hash64())];
        assert_eq!(groups, PINNED);
    }

    const PINNED: [u16; 3] = [89, 115, 111];
}
