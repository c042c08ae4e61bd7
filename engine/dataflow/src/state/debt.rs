//! What live state owes to a fork: the entries of every cell as they were when the barrier passed.
//! Nothing is copied at the barrier itself: cells are copied later, a bounded number of entries at a
//! time, and until a cell's turn has come every change to it notes what was there before.
//! Who pays and when: the operator before each batch, and [`super::Fork`]s as they are read.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashTable;
use slackwater_core::key::Key;

use super::sort::Sorter;

/// How many entries an operator copies for a fork before each batch, at most one cell more: half a
/// millisecond or so. What is noted until all is paid stays small. Tests pay little, so that much
/// is noted.
pub(crate) const INSTALMENT: usize = if cfg!(test) { 40 } else { 32 << 10 };

/// How many entries a fork encodes in one slice.
pub(crate) const SLICE: usize = if cfg!(test) { 3 } else { 4 << 10 };

/// Debt as the live state and its fork share it; both live on one worker.
pub(crate) type SharedDebt<K, S> = Rc<RefCell<Debt<K, S>>>;

/// A map of the live state, whose entries move with one key group.
pub(crate) type Map<K, S> = HashTable<(K, S)>;

/// The cells that a fork has yet to get, and what of them it has got.
pub(crate) struct Debt<K, S> {
    /// In the order in which the fork wants them.
    owed: Vec<Owed<K, S>>,
    /// By cell: its place in `owed`.
    places: Vec<u32>,
    /// Everything before this place is paid.
    next: usize,
    unpaid: usize,
}

struct Owed<K, S> {
    cell: usize,
    paid: bool,
    /// What the cell held when it was copied.
    entries: Vec<(K, S)>,
    /// What was there before a change that came between the barrier and the copy; the first note of
    /// a key tells.
    before: Vec<(K, Option<S>)>,
}

const NOT_OWED: u32 = u32::MAX;

impl<K: Key, S: Clone> Debt<K, S> {
    /// Owes these cells, in this order.
    pub(crate) fn new(cells: Vec<usize>) -> Self {
        let mut places = vec![NOT_OWED; cells.iter().max().map_or(0, |greatest| greatest + 1)];
        for (place, cell) in (0u32..).zip(&cells) {
            places[*cell] = place;
        }
        let owe = |cell| Owed { cell, paid: false, entries: Vec::new(), before: Vec::new() };
        let unpaid = cells.len();
        Self { owed: cells.into_iter().map(owe).collect(), places, next: 0, unpaid }
    }

    /// Whether the fork has got everything.
    pub(crate) fn is_paid(&self) -> bool {
        self.unpaid == 0
    }

    /// What is at `key` now, or that nothing is, will change.
    pub(crate) fn note(&mut self, cell: usize, key: &K, now: Option<&S>) {
        if let Some(owed) = self.owing(cell) {
            owed.before.push((key.clone(), now.cloned()));
        }
    }

    /// A cell will be emptied: it is copied now, whatever its turn.
    pub(crate) fn pay_cell(&mut self, cell: usize, map: &Map<K, S>) {
        if let Some(owed) = self.owing(cell) {
            owed.pay(map);
            self.unpaid -= 1;
        }
    }

    /// Copies cells, in the order in which they are wanted, until `budget` entries have been.
    pub(crate) fn pay<'a>(&mut self, budget: usize, map: impl Fn(usize) -> &'a Map<K, S>)
    where
        K: 'a,
        S: 'a,
    {
        let mut copied = 0;
        while copied < budget && !self.is_paid() {
            let owed = &mut self.owed[self.next];
            if !owed.paid {
                owed.pay(map(owed.cell));
                // A cell costs something even if it holds next to nothing.
                copied += owed.entries.len() + 16;
                self.unpaid -= 1;
            }
            self.next += 1;
        }
    }

    /// Whether the cell at a place has been copied.
    pub(crate) fn is_paid_at(&self, place: usize) -> bool {
        self.owed[place].paid
    }

    /// Hands out the cell at a place as it was when the barrier passed.
    pub(crate) fn take(&mut self, place: usize, sorter: &mut Sorter) -> Sorted<K, S> {
        let owed = &mut self.owed[place];
        assert!(owed.paid, "a cell is copied before it is read");
        owed.restore();
        Sorted::new(std::mem::take(&mut owed.entries), sorter)
    }

    fn owing(&mut self, cell: usize) -> Option<&mut Owed<K, S>> {
        let place = *self.places.get(cell).filter(|place| **place != NOT_OWED)?;
        Some(&mut self.owed[place as usize]).filter(|owed| !owed.paid)
    }
}

impl<K: Key, S: Clone> Owed<K, S> {
    fn pay(&mut self, map: &Map<K, S>) {
        self.entries = Vec::with_capacity(map.len());
        self.entries.extend(map.iter().cloned());
        self.paid = true;
    }

    /// Undoes what was changed between the barrier and the copy.
    fn restore(&mut self) {
        if self.before.is_empty() {
            return;
        }
        let mut before = std::mem::take(&mut self.before);
        // Stable: of the notes of one key the first stays first.
        before.sort_by(|a, b| a.0.cmp(&b.0));
        before.dedup_by(|later, first| later.0 == first.0);
        let noted = |key: &K| before.binary_search_by(|note| note.0.cmp(key)).is_ok();
        self.entries.retain(|(key, _)| !noted(key));
        let old = before.into_iter().filter_map(|(key, value)| Some((key, value?)));
        self.entries.extend(old);
    }
}

/// The entries of a cell, read in the order of their keys; moved only by their numbers.
pub(crate) struct Sorted<K, S> {
    entries: Vec<(K, S)>,
    order: Vec<u32>,
    /// How many have been read.
    read: usize,
}

impl<K, S> Default for Sorted<K, S> {
    fn default() -> Self {
        Self { entries: Vec::new(), order: Vec::new(), read: 0 }
    }
}

impl<K: Key, S> Sorted<K, S> {
    fn new(entries: Vec<(K, S)>, sorter: &mut Sorter) -> Self {
        let mut order = Vec::new();
        sorter.clear();
        entries.iter().for_each(|(key, _)| sorter.push(key));
        sorter.sort(|index| &entries[index].0, &mut order);
        Self { entries, order, read: 0 }
    }

    /// Whether all have been read.
    pub(crate) fn is_read(&self) -> bool {
        self.read == self.order.len()
    }

    /// The next entries, `count` of them if there are as many.
    pub(crate) fn next(&mut self, count: usize) -> impl ExactSizeIterator<Item = &(K, S)> {
        let until = self.order.len().min(self.read + count);
        let next = &self.order[self.read..until];
        self.read = until;
        next.iter().map(|index| &self.entries[*index as usize])
    }
}
