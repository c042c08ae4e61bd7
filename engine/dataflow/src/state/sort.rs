//! The order in which the keys of one group leave: by the bytes of their encoding, which is `Ord`.
//! Sorts small numbers instead of keys wherever eight bytes of a key tell it from the others.
//! Used by forks and by firing windows; a fixed order is owed to semantics rules 9 and 14.

use slackwater_core::key::Key;

/// From this many keys on, counting digits is cheaper than comparing.
const RADIX_FROM: usize = 96;
/// The most bits of a digit.
const DIGIT_MAX: u32 = 10;

/// Sorts the keys of one group: told their prefixes one by one, then asked for their order.
#[derive(Debug, Default)]
pub(crate) struct Sorter {
    prefixes: Vec<u64>,
    packed: Vec<u64>,
    spare: Vec<u64>,
}

impl Sorter {
    /// Forgets all keys.
    pub(crate) fn clear(&mut self) {
        self.prefixes.clear();
    }

    /// Takes the next key.
    #[inline]
    pub(crate) fn push<K: Key>(&mut self, key: &K) {
        self.prefixes.push(key.prefix64());
    }

    /// Writes to `order` the positions of the keys in the order of their encodings. `key` gives
    /// the key at a position. Equal keys do not occur.
    pub(crate) fn sort<'a, K: Key>(&mut self, key: impl Fn(usize) -> &'a K, order: &mut Vec<u32>) {
        order.clear();
        let len = self.prefixes.len();
        let low = self.prefixes.iter().copied().min().unwrap_or(0);
        let high = self.prefixes.iter().copied().max().unwrap_or(0);
        let (prefix_bits, index_bits) = (bits(high - low), bits(len as u64));
        if prefix_bits + index_bits > u64::BITS {
            order.extend(0..len as u32);
            return order.sort_unstable_by(|a, b| key(*a as usize).cmp(key(*b as usize)));
        }
        // Prefix and position in one number: what is sorted carries where it came from.
        let pack = |(index, prefix): (u64, &u64)| (prefix - low) << index_bits | index;
        self.packed.clear();
        self.packed.extend((0..).zip(&self.prefixes).map(pack));
        if len < RADIX_FROM {
            self.packed.sort_unstable();
        } else {
            self.sort_by_digits(index_bits, index_bits + prefix_bits);
        }
        let mask = (1 << index_bits) - 1;
        order.extend(self.packed.iter().map(|packed| (packed & mask) as u32));
        // Keys that agree in their first eight bytes lie side by side now, in any order.
        let same = |a: &u32, b: &u32| self.prefixes[*a as usize] == self.prefixes[*b as usize];
        for tie in order.chunk_by_mut(same).filter(|tie| tie.len() > 1) {
            tie.sort_unstable_by(|a, b| key(*a as usize).cmp(key(*b as usize)));
        }
    }

    /// Sorts the packed numbers by their bits from `first` up to and without `end`: from the
    /// lowest digit to the highest, each time keeping the order so far.
    fn sort_by_digits(&mut self, first: u32, end: u32) {
        self.spare.clear();
        self.spare.resize(self.packed.len(), 0);
        // As few digits as there can be, and none wider than it must.
        let digits = (end - first).div_ceil(DIGIT_MAX).max(1);
        let width = (end - first).div_ceil(digits);
        let mask = (1usize << width) - 1;
        for shift in (first..end).step_by(width.max(1) as usize) {
            let digit = |packed: u64| (packed >> shift) as usize & mask;
            let mut places = [0u32; 1 << DIGIT_MAX];
            let places = &mut places[..=mask];
            self.packed.iter().for_each(|packed| places[digit(*packed)] += 1);
            let mut before = 0;
            for place in places.iter_mut() {
                (*place, before) = (before, before + *place);
            }
            for packed in &self.packed {
                let place = &mut places[digit(*packed)];
                self.spare[*place as usize] = *packed;
                *place += 1;
            }
            std::mem::swap(&mut self.packed, &mut self.spare);
        }
    }
}

/// How many bits a number needs.
fn bits(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<K: Key>(mut keys: Vec<K>) {
        let (mut sorter, mut order) = (Sorter::default(), Vec::new());
        sorter.clear();
        keys.iter().for_each(|key| sorter.push(key));
        sorter.sort(|index| &keys[index], &mut order);
        let sorted: Vec<K> = order.iter().map(|index| keys[*index as usize].clone()).collect();
        keys.sort();
        assert_eq!(sorted, keys);
    }

    proptest! {
        #[test]
        fn any_keys_come_out_in_their_own_order(
            dense in prop::collection::hash_set(0u64..5_000, 0..300),
            wide in prop::collection::hash_set(any::<i64>(), 0..300),
            text in prop::collection::hash_set("[\0ab]{0,12}", 0..200),
            pairs in prop::collection::hash_set((any::<bool>(), any::<u8>()), 0..200),
        ) {
            check(dense.into_iter().collect());
            check(wide.into_iter().collect());
            check(text.into_iter().collect::<Vec<String>>());
            check(pairs.into_iter().collect());
        }
    }
}
