//! One value per key: what a keyed `scan` remembers.
//! A value is only reached through its key, and never survives its operator's uid and name.
//! The bytes of a snapshot are in `section`, how one is taken while records go on in `debt`.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use slackwater_core::Data;
use slackwater_core::key::Key;

use super::{
    Debt, Draft, Fork, Groups, INSTALMENT, Map, SLICE, Section, SectionReader, SectionWriter,
    Share, SharedDebt, Sorted, Sorter, StateError, StateName, sections, table_hash,
};

/// One value of `S` per key, held by key group.
#[derive(Debug)]
pub struct KeyedState<K, S> {
    name: StateName,
    groups: Groups,
    values: Rc<RefCell<Values<K, S>>>,
}

/// The values, for as long as a batch needs them.
pub struct Values<K, S> {
    name: StateName,
    groups: Groups,
    maps: Vec<Map<K, S>>,
    /// What a fork has yet to get.
    debt: Option<SharedDebt<K, S>>,
}

impl<K: Key, S: Data> KeyedState<K, S> {
    /// Empty state called `name`, of one subtask of the operator `uid`.
    pub fn new(uid: &str, name: &str, groups: Groups) -> Self {
        let maps = (0..groups.len()).map(|_| HashTable::new()).collect();
        let name = StateName::new(uid, name);
        let values = Values { name: name.clone(), groups: groups.clone(), maps, debt: None };
        Self { name, groups, values: Rc::new(RefCell::new(values)) }
    }

    /// The values. A fork that is still open gets an instalment first, so once a batch.
    ///
    /// # Panics
    /// If they are in use already.
    pub fn values(&self) -> RefMut<'_, Values<K, S>> {
        let mut values = self.values.borrow_mut();
        values.pay();
        values
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.values.borrow().maps.iter().map(HashTable::len).sum()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state as it is now, to be read while it changes: a section per key group that holds
    /// anything. A fork that is still open is given all it is owed first.
    ///
    /// # Errors
    /// If a key or a value has no fixed shape.
    pub fn fork(&self) -> Result<Box<dyn Fork>, StateError> {
        let writer = SectionWriter::new(self.name.clone(), &self.groups)?;
        let mut values = self.values.borrow_mut();
        values.pay_all();
        let held = |position: &usize| !values.maps[*position].is_empty();
        let cells: Vec<usize> = (0..self.groups.len()).filter(held).collect();
        let shares = cells.iter().map(|position| Share::Group(self.groups.at(*position)));
        let (shares, sorter) = (shares.collect(), Sorter::default());
        let debt = Rc::new(RefCell::new(Debt::new(cells)));
        values.debt = Some(Rc::clone(&debt));
        let values = Rc::clone(&self.values);
        Ok(Box::new(KeyedFork { writer, values, debt, shares, place: 0, sorter, open: None }))
    }

    /// A section per key group that holds anything; equal state gives equal bytes.
    ///
    /// # Errors
    /// If a key or a value has no fixed shape, or refuses to be serialized.
    pub fn snapshot(&self) -> Result<Vec<Section>, StateError> {
        sections(&mut *self.fork()?)
    }

    /// Takes the sections that are this state's and of its groups; leaves the others alone. What
    /// was held before is gone, also when this fails.
    ///
    /// # Errors
    /// A [`StateError`] that names the section, if it is damaged, of another version or schema.
    pub fn restore(&self, sections: &[Section]) -> Result<(), StateError> {
        let mut values = self.values.borrow_mut();
        values.pay_all();
        values.maps.iter_mut().for_each(HashTable::clear);
        let reader = SectionReader::<K, S>::new(self.name.clone(), &self.groups)?;
        for (group, entries) in reader.read(sections)? {
            for (key, value) in entries {
                reader.expect_group(&key, group)?;
                values.get_mut_or_insert(key, || value)?;
            }
        }
        Ok(())
    }
}

impl<K: Key, S: Data> Values<K, S> {
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
        if self.debt.is_some() {
            self.note(position, hash, &key);
        }
        let Some(map) = self.maps.get_mut(position) else {
            return Err(self.name.foreign_key(&key));
        };
        let rehash = |entry: &(K, S)| table_hash(entry.0.hash64());
        match map.entry(table_hash(hash), |entry| entry.0 == key, rehash) {
            Entry::Occupied(entry) => Ok(&mut entry.into_mut().1),
            Entry::Vacant(entry) => Ok(&mut entry.insert((key, init())).into_mut().1),
        }
    }

    /// The value of `key`, if there is one.
    pub fn get(&self, key: &K) -> Option<&S> {
        self.get_in(self.groups.position(key.hash64()), key.hash64(), key)
    }

    fn get_in(&self, position: usize, hash: u64, key: &K) -> Option<&S> {
        let map = self.maps.get(position)?;
        map.find(table_hash(hash), |entry| entry.0 == *key).map(|entry| &entry.1)
    }

    /// Tells the fork what is there before it changes.
    #[cold]
    fn note(&mut self, position: usize, hash: u64, key: &K) {
        let now = self.get_in(position, hash, key);
        if let Some(debt) = &self.debt {
            debt.borrow_mut().note(position, key, now);
        }
    }

    fn pay(&mut self) {
        self.pay_some(INSTALMENT);
    }

    fn pay_all(&mut self) {
        self.pay_some(usize::MAX);
    }

    fn pay_some(&mut self, budget: usize) {
        let Some(debt) = &self.debt else { return };
        debt.borrow_mut().pay(budget, |position| &self.maps[position]);
        let is_paid = debt.borrow().is_paid();
        if is_paid {
            self.debt = None;
        }
    }

    /// Nobody wants `debt` any more.
    fn forgive(&mut self, debt: &SharedDebt<K, S>) {
        if self.debt.as_ref().is_some_and(|ours| Rc::ptr_eq(ours, debt)) {
            self.debt = None;
        }
    }
}

impl<K, S> std::fmt::Debug for Values<K, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Values({:?})", self.name)
    }
}

/// Keyed state as it was when a barrier passed.
struct KeyedFork<K: Key, S: Data> {
    writer: SectionWriter<K, S>,
    values: Rc<RefCell<Values<K, S>>>,
    debt: SharedDebt<K, S>,
    /// By place in the debt.
    shares: Vec<Share>,
    /// The first that has not been taken.
    place: usize,
    sorter: Sorter,
    /// A section under way, and its entries that are not yet in it.
    open: Option<(Draft, Sorted<K, S>)>,
}

impl<K: Key, S: Data> Fork for KeyedFork<K, S> {
    fn next_section(&mut self) -> Option<Result<Option<Section>, StateError>> {
        let Some((mut draft, mut entries)) = self.open.take() else {
            let share = *self.shares.get(self.place)?;
            if !self.debt.borrow().is_paid_at(self.place) {
                self.values.borrow_mut().pay();
                return Some(Ok(None));
            }
            let entries = self.debt.borrow_mut().take(self.place, &mut self.sorter);
            self.open = Some((Draft::new(share), entries));
            self.place += 1;
            return Some(Ok(None));
        };
        for (key, value) in entries.next(SLICE) {
            if let Err(error) = self.writer.append(&mut draft, |out| key.encode(out), value) {
                return Some(Err(error));
            }
        }
        if entries.is_read() {
            return Some(self.writer.finish(draft));
        }
        self.open = Some((draft, entries));
        Some(Ok(None))
    }
}

impl<K: Key, S: Data> Drop for KeyedFork<K, S> {
    fn drop(&mut self) {
        self.values.borrow_mut().forgive(&self.debt);
    }
}
