//! The order in which the keys of one group leave: by the bytes of their encoding, which is `Ord`.
//! Sorts small numbers instead of keys wherever eight bytes of a key tell it from the others.
//! Used by `firing`; a stable order is owed to semantics rule 9.

use slackwater_core::key::Key;

/// Memory for [`Sorter::sort`], kept between calls.
#[derive(Debug, Default)]
pub(super) struct Sorter {
    packed: Vec<u64>,
    prefixes: Vec<u64>,
}

impl Sorter {
    /// Writes to `order` the positions of `len` keys in the order of their encodings. Equal keys
    /// do not occur.
    pub(super) fn sort<'a, K: Key>(
        &mut self,
        key: impl Fn(usize) -> &'a K,
        len: usize,
        order: &mut Vec<u32>,
    ) {
        order.clear();
        self.prefixes.clear();
        self.prefixes.extend((0..len).map(|index| key(index).prefix64()));
        let low = self.prefixes.iter().copied().min().unwrap_or(0);
        let high = self.prefixes.iter().copied().max().unwrap_or(0);
        let index_bits = usize::BITS - len.leading_zeros();
        if (high - low).leading_zeros() < index_bits {
            order.extend(0..len as u32);
            return order.sort_unstable_by(|a, b| key(*a as usize).cmp(key(*b as usize)));
        }
        let pack = |(index, prefix): (usize, &u64)| (prefix - low) << index_bits | index as u64;
        self.packed.clear();
        self.packed.extend(self.prefixes.iter().enumerate().map(pack));
        self.packed.sort_unstable();
        let position = |packed: &u64| (packed & ((1 << index_bits) - 1)) as u32;
        order.extend(self.packed.iter().map(position));
        // Keys that agree in their first eight bytes lie side by side now, in any order.
        let same = |a: &u32, b: &u32| self.prefixes[*a as usize] == self.prefixes[*b as usize];
        for tie in order.chunk_by_mut(same).filter(|tie| tie.len() > 1) {
            tie.sort_unstable_by(|a, b| key(*a as usize).cmp(key(*b as usize)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<K: Key>(mut keys: Vec<K>) {
        let mut sorter = Sorter::default();
        let mut order = Vec::new();
        sorter.sort(|index| &keys[index], keys.len(), &mut order);
        let sorted: Vec<K> = order.iter().map(|index| keys[*index as usize].clone()).collect();
        keys.sort();
        assert_eq!(sorted, keys);
    }

    proptest! {
        #[test]
        fn any_keys_come_out_in_their_own_order(
            dense in prop::collection::hash_set(0u64..5_000, 0..300),
            wide in prop::collection::hash_set(any::<i64>(), 0..300),
            text in prop::collection::hash_set("[\0ab]{0,12}", 0..100),
            pairs in prop::collection::hash_set((any::<bool>(), any::<u8>()), 0..100),
        ) {
            check(dense.into_iter().collect());
            check(wide.into_iter().collect());
            check(text.into_iter().collect::<Vec<String>>());
            check(pairs.into_iter().collect());
        }
    }
}
