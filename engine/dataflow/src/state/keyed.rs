//! One value per key: what a keyed `scan` remembers.
//! A value is only reached through its key, and never survives its operator's uid and name.
//! The bytes of its snapshot are in `section`.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use slackwater_core::Data;
use slackwater_core::key::Key;

use super::section::{Section, SectionReader, SectionWriter, Share, StateError, StateName};
use super::{Groups, table_hash};

/// One value of `S` per key, held by key group.
#[derive(Clone, Debug)]
pub struct KeyedState<K, S> {
    name: StateName,
    groups: Groups,
    tables: Vec<HashTable<(K, S)>>,
}

impl<K: Key, S: Data> KeyedState<K, S> {
    /// Empty state called `name`, of one subtask of the operator `uid`.
    pub fn new(uid: &str, name: &str, groups: Groups) -> Self {
        let tables = (0..groups.len()).map(|_| HashTable::new()).collect();
        Self { name: StateName::new(uid, name), groups, tables }
    }

    /// The value of `key`; `init` makes it when there is none.
    ///
    /// # Errors
    /// If the key's group is another subtask's.
    #[inline]
    pub fn get_mut_or_insert(
        &mut self,
        key: K,
        init: impl FnOnce() -> S,
    ) -> Result<&mut S, StateError> {
        let hash = key.hash64();
        let position = self.groups.position(hash);
        let Some(table) = self.tables.get_mut(position) else {
            return Err(self.name.foreign_key(&key));
        };
        let rehash = |entry: &(K, S)| table_hash(entry.0.hash64());
        match table.entry(table_hash(hash), |entry| entry.0 == key, rehash) {
            Entry::Occupied(entry) => Ok(&mut entry.into_mut().1),
            Entry::Vacant(entry) => Ok(&mut entry.insert((key, init())).into_mut().1),
        }
    }

    /// The value of `key`, if there is one.
    pub fn get(&self, key: &K) -> Option<&S> {
        let hash = key.hash64();
        let table = self.tables.get(self.groups.position(hash))?;
        table.find(table_hash(hash), |entry| entry.0 == *key).map(|entry| &entry.1)
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.tables.iter().map(HashTable::len).sum()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A section per key group that holds anything; equal state gives equal bytes.
    ///
    /// # Errors
    /// If a key or a value has no fixed shape, or refuses to be serialized.
    pub fn snapshot(&self) -> Result<Vec<Section>, StateError> {
        let writer = SectionWriter::<K, S>::new(self.name.clone(), &self.groups)?;
        let mut sections = Vec::new();
        for (position, table) in self.tables.iter().enumerate() {
            let mut entries: Vec<&(K, S)> = table.iter().collect();
            entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            let entries = entries.into_iter().map(|(key, value)| (key, value));
            sections.extend(writer.write(Share::Group(self.groups.at(position)), entries)?);
        }
        Ok(sections)
    }

    /// Takes the sections that are this state's and of its groups; leaves the others alone. What
    /// was held before is gone, also when this fails.
    ///
    /// # Errors
    /// A [`StateError`] that names the section, if it is damaged, of another version or schema.
    pub fn restore(&mut self, sections: &[Section]) -> Result<(), StateError> {
        self.tables.iter_mut().for_each(HashTable::clear);
        let reader = SectionReader::<K, S>::new(self.name.clone(), &self.groups)?;
        for (group, entries) in reader.read(sections)? {
            for (key, value) in entries {
                reader.expect_group(&key, group)?;
                self.get_mut_or_insert(key, || value)?;
            }
        }
        Ok(())
    }
}
