//! The key groups that one subtask owns, and the way from a key's hash to one of them.
//! Decides nothing: who owns what is fixed by [`slackwater_core::key`].
//! Used by keyed state, by windows and (the whole range) by the hash router.

use std::ops::RangeInclusive;

use slackwater_core::key::{KeyGroup, groups_of};

/// A range of key groups out of `max_parallelism`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    first: usize,
    len: usize,
    max_parallelism: u16,
    /// `max_parallelism − 1` if that is a mask: a division less per record.
    mask: Option<u64>,
}

impl Groups {
    /// The groups of subtask `index` of `parallelism`.
    ///
    /// # Panics
    /// As [`groups_of`].
    pub fn of_subtask(index: u32, parallelism: u32, max_parallelism: u16) -> Self {
        Self::new(groups_of(index, parallelism, max_parallelism), max_parallelism)
    }

    /// These groups.
    ///
    /// # Panics
    /// If the range is empty or reaches beyond `max_parallelism`.
    pub fn new(range: RangeInclusive<KeyGroup>, max_parallelism: u16) -> Self {
        let (first, last) = (range.start().0, range.end().0);
        assert!(first <= last, "a subtask owns at least one key group");
        assert!(last < max_parallelism, "key groups lie below the maximum parallelism");
        let power = max_parallelism.is_power_of_two();
        Self {
            first: usize::from(first),
            len: usize::from(last - first) + 1,
            max_parallelism,
            mask: power.then(|| u64::from(max_parallelism) - 1),
        }
    }

    /// The position, within the range, of the group of a key with this hash; not below
    /// [`Groups::len`] if the group is another subtask's.
    #[inline]
    pub fn position(&self, hash: u64) -> usize {
        let group = match self.mask {
            Some(mask) => (hash & mask) as usize,
            None => usize::from(KeyGroup::of_hash(hash, self.max_parallelism).0),
        };
        group.wrapping_sub(self.first)
    }

    /// The group at a position of the range.
    pub fn at(&self, position: usize) -> KeyGroup {
        KeyGroup((self.first + position) as u16)
    }

    /// Where a group stands in the range; `None` if it is another subtask's.
    pub fn position_of(&self, group: KeyGroup) -> Option<usize> {
        usize::from(group.0).checked_sub(self.first).filter(|position| *position < self.len)
    }

    /// How many groups there are: at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Of how many groups in all.
    pub fn max_parallelism(&self) -> u16 {
        self.max_parallelism
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_led_to_the_group_that_the_core_says() {
        for (parallelism, max) in [(1, 128), (3, 128), (2, 1_000), (5, 5)] {
            for index in 0..parallelism {
                let groups = Groups::of_subtask(index, parallelism, max);
                for hash in (0..5_000u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
                    let group = KeyGroup::of_hash(hash, max);
                    let position = groups.position(hash);
                    let owned = group.owner(parallelism, max) == index;
                    assert_eq!(position < groups.len(), owned);
                    assert_eq!(groups.position_of(group), owned.then_some(position));
                    assert!(!owned || groups.at(position) == group);
                }
            }
        }
    }
}
