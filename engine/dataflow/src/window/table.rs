//! The open windows of one subtask and what they hold: one flat table of cells, by window slot and
//! key group, each cell a map from key to accumulator. Finds a record's window without a division
//! while it lies in one of four windows that records lately fell into.
//! Decides nothing about lateness or firing: that is [`super::stage`].

use std::rc::Rc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use slackwater_core::key::Key;
use slackwater_core::time::EventTime;

use super::Window;
use crate::state::{Map, SharedDebt, table_hash};

/// How many slots keep the memory of their maps for the next window.
const WARM_SLOTS: usize = 4;

/// The accumulators of one key group in one window.
pub(super) struct Cell<K, A> {
    pub(super) entries: Map<K, A>,
    /// Records added that no firing has carried out yet.
    pub(super) waiting: u64,
}

impl<K: Key, A> Cell<K, A> {
    fn new() -> Self {
        Self { entries: HashTable::new(), waiting: 0 }
    }

    /// The accumulator of `key`, whose hash is `hash`.
    #[inline]
    pub(super) fn entry(&mut self, hash: u64, key: K, create: impl FnOnce() -> A) -> &mut A {
        let rehash = |entry: &(K, A)| table_hash(entry.0.hash64());
        match self.entries.entry(table_hash(hash), |entry| entry.0 == key, rehash) {
            Entry::Occupied(entry) => &mut entry.into_mut().1,
            Entry::Vacant(entry) => &mut entry.insert((key, create())).into_mut().1,
        }
    }
}

/// A window that holds state.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) window: Window,
    /// Its first cell; the others follow by key group.
    pub(super) base: usize,
    /// Whether it has fired, and stays for late records.
    pub(super) fired: bool,
}

/// Windows side by side that records lately fell into: the window of a time is found by a
/// multiplication in place of a division.
#[derive(Copy, Clone, Debug)]
pub(super) struct Hot {
    /// Where the first one starts, and how far they reach together.
    first: i64,
    span: u64,
    /// 2^64 by their size, rounded up: the high word of a product with it is the quotient, as long
    /// as the error, which is less than span / 2^64, does not reach 1 / size.
    reciprocal: u64,
    /// The first cell of each; [`NO_CELL`] where no window is open.
    bases: [usize; HOT],
}

/// How many windows can be hot.
const HOT: usize = 8;
/// No cell is this one, nor any that lies a number of key groups behind it.
pub(super) const NO_CELL: usize = usize::MAX >> 1;

impl Hot {
    pub(super) const NONE: Self = Self { first: 0, span: 0, reciprocal: 0, bases: [NO_CELL; HOT] };

    /// The first cell of the window that holds `time`, if it is one of these.
    #[inline(always)]
    pub(super) fn find(&self, time: i64) -> usize {
        let offset = (time as u64).wrapping_sub(self.first as u64);
        if offset >= self.span {
            return NO_CELL;
        }
        let place = (u128::from(offset) * u128::from(self.reciprocal)) >> 64;
        self.bases[place as usize % HOT]
    }
}

/// All open windows.
pub(super) struct WindowTable<K, A> {
    groups: usize,
    pub(super) cells: Vec<Cell<K, A>>,
    /// Sorted by start. Those that have fired come first: windows do not overlap.
    open: Vec<Open>,
    free: Vec<usize>,
    pub(super) hot: Hot,
    /// What a fork has yet to get.
    debt: Option<SharedDebt<K, A>>,
}

impl<K: Key, A: Clone> WindowTable<K, A> {
    pub(super) fn new(groups: usize) -> Self {
        let (cells, open, free) = (Vec::new(), Vec::new(), Vec::new());
        Self { groups, cells, open, free, hot: Hot::NONE, debt: None }
    }

    /// How many key groups there are.
    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    /// Whether a fork has yet to get something: then every change is noted.
    pub(super) fn owes(&self) -> bool {
        self.debt.is_some()
    }

    /// Owes a fork from now on; nothing may be owed to another one.
    pub(super) fn owe(&mut self, debt: SharedDebt<K, A>) {
        assert!(self.debt.is_none(), "one fork is paid before the next is made");
        self.debt = Some(debt);
    }

    /// Copies cells for the fork until `budget` entries have been.
    pub(super) fn pay(&mut self, budget: usize) {
        let Some(debt) = &self.debt else { return };
        debt.borrow_mut().pay(budget, |cell| &self.cells[cell].entries);
        let is_paid = debt.borrow().is_paid();
        if is_paid {
            self.debt = None;
        }
    }

    /// Copies a cell that will be emptied.
    pub(super) fn pay_cell(&self, cell: usize) {
        if let Some(debt) = &self.debt {
            debt.borrow_mut().pay_cell(cell, &self.cells[cell].entries);
        }
    }

    /// Notes what is at a key before it changes.
    pub(super) fn note(&self, cell: usize, hash: u64, key: &K) {
        if let Some(debt) = &self.debt {
            let entries = &self.cells[cell].entries;
            let now = entries.find(table_hash(hash), |entry| entry.0 == *key);
            debt.borrow_mut().note(cell, key, now.map(|entry| &entry.1));
        }
    }

    /// Nobody wants `debt` any more.
    pub(super) fn forgive(&mut self, debt: &SharedDebt<K, A>) {
        if self.debt.as_ref().is_some_and(|ours| Rc::ptr_eq(ours, debt)) {
            self.debt = None;
        }
    }

    /// The open windows, sorted by start.
    pub(super) fn open(&self) -> &[Open] {
        &self.open
    }

    /// The place of `window` among the open ones; opened if need be.
    pub(super) fn find_or_open(&mut self, window: Window) -> usize {
        match self.open.binary_search_by_key(&window.start, |open| open.window.start) {
            Ok(index) => index,
            Err(index) => {
                let base = self.free.pop().unwrap_or_else(|| {
                    let base = self.cells.len();
                    self.cells.resize_with(base + self.groups, Cell::new);
                    base
                });
                self.open.insert(index, Open { window, base, fired: false });
                index
            }
        }
    }

    /// Makes the window at `index` hot, the one before it, and those that follow.
    pub(super) fn aim(&mut self, index: usize) {
        let unfired = self.open.partition_point(|open| open.fired);
        let size = |open: &Open| open.window.end.millis_since(open.window.start) as u64;
        let aimed = self.open[index];
        // Windows that are clamped at the ends of time have a size of their own.
        let alike = |open: &&Open| size(open) == size(&aimed);
        let size = size(&aimed);
        let exact = (2..1 << 30).contains(&size);
        let before = if exact { index.saturating_sub(1).max(unfired) } else { index };
        let first = self.open.get(before).filter(alike).unwrap_or(&aimed).window.start.as_millis();
        self.hot = Hot { first, span: size, reciprocal: 0, ..Hot::NONE };
        if exact {
            self.hot.span = size * HOT as u64;
            self.hot.reciprocal = u64::MAX / size + 1;
        }
        for open in self.open[before..].iter().filter(alike).take(HOT) {
            let distance = open.window.start.millis_since(EventTime::from_millis(first)) as u64;
            let place = distance / size;
            if place == 0 || exact && place < HOT as u64 {
                self.hot.bases[place as usize] = open.base;
            }
        }
    }

    /// The first window that has not fired, if its last millisecond is reached.
    pub(super) fn next_due(&self, due: EventTime) -> Option<usize> {
        let index = self.open.partition_point(|open| open.fired);
        self.open.get(index).filter(|open| open.window.last() <= due).map(|_| index)
    }

    /// The end of the first window that has not fired.
    pub(super) fn next_end(&self) -> Option<EventTime> {
        self.open.iter().find(|open| !open.fired).map(|open| open.window.end)
    }

    /// The earliest watermark that fires or removes something.
    pub(super) fn next_change(&self, cleanup: impl Fn(Window) -> EventTime) -> EventTime {
        let fires = self.open.iter().find(|open| !open.fired).map(|open| open.window.last());
        let goes = self.open.first().filter(|open| open.fired).map(|open| cleanup(open.window));
        fires.into_iter().chain(goes).min().unwrap_or(EventTime::MAX)
    }

    /// Marks a window as fired.
    pub(super) fn set_fired(&mut self, index: usize) {
        self.open[index].fired = true;
        self.hot = Hot::NONE;
    }

    /// Removes a window with all that it holds.
    pub(super) fn remove(&mut self, index: usize) {
        let Open { base, .. } = self.open.remove(index);
        (base..base + self.groups).for_each(|cell| self.pay_cell(cell));
        let warm = self.free.len() < WARM_SLOTS;
        for cell in &mut self.cells[base..base + self.groups] {
            if warm {
                cell.entries.clear();
                cell.waiting = 0;
            } else {
                *cell = Cell::new();
            }
        }
        self.free.push(base);
        self.hot = Hot::NONE;
    }

    /// Removes the fired windows whose time is over.
    pub(super) fn clean(&mut self, watermark: EventTime, cleanup: impl Fn(Window) -> EventTime) {
        while self.open.first().is_some_and(|o| o.fired && cleanup(o.window) <= watermark) {
            self.remove(0);
        }
    }

    /// How many records wait for their first firing.
    pub(super) fn waiting(&self) -> u64 {
        let cells = |open: &Open| &self.cells[open.base..open.base + self.groups];
        self.open.iter().flat_map(cells).map(|cell| cell.waiting).sum()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        while !self.open.is_empty() {
            self.remove(self.open.len() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tumbling;
    use super::*;
    use slackwater_core::time::ms;

    #[test]
    fn the_hot_windows_follow_the_last_hit_and_know_their_gaps() {
        for (size, stretch) in [(10, 1), (7, 1), (1, 1), ((1 << 30) - 1, 1), (1 << 31, 1 << 20)] {
            let windows = tumbling(ms(size as u64));
            let window = |place: i64| windows.window_of(EventTime::from_millis(place * size));
            let mut table = WindowTable::<u64, u64>::new(2);
            for place in [9, -1, 3, 2, 7, 1] {
                table.find_or_open(window(place));
            }
            table.set_fired(0);
            for aimed in 1..6 {
                table.aim(aimed);
                let hits = table.open[aimed].window.start.as_millis();
                assert_eq!(table.hot.find(hits), table.open[aimed].base, "{size}: {aimed}");
                for time in (-2 * size..12 * size).step_by((size / 3).max(1) as usize * stretch) {
                    let holds =
                        |o: &&Open| windows.window_of(EventTime::from_millis(time)) == o.window;
                    let open = table.open.iter().find(holds).filter(|open| !open.fired);
                    let found = table.hot.find(time);
                    assert!(found == NO_CELL || Some(found) == open.map(|o| o.base), "{time}");
                }
                for time in [i64::MIN, i64::MAX, i64::MIN + 1, i64::MAX - 1] {
                    assert_eq!(table.hot.find(time), NO_CELL);
                }
            }
        }
    }

    #[test]
    fn a_removed_window_leaves_an_empty_slot_to_the_next() {
        let windows = tumbling(ms(10));
        let window = |start| windows.window_of(EventTime::from_millis(start));
        let mut table = WindowTable::<u64, u64>::new(2);
        for start in 0..8 {
            let index = table.find_or_open(window(start * 10));
            let base = table.open[index].base;
            *table.cells[base].entry(7u64.hash64(), 7, || 0) += 1;
            table.cells[base].waiting += 1;
        }
        assert_eq!(table.waiting(), 8);
        table.clear();
        assert_eq!((table.waiting(), table.open.len(), table.free.len()), (0, 0, 8));
        assert!(table.cells.iter().all(|cell| cell.entries.is_empty()));
        table.find_or_open(window(500));
        assert_eq!(table.cells.len(), 16, "no slot is made while one is free");
    }
}
