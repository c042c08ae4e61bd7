//! The open windows of one subtask and what they hold: one flat table of cells, by window slot and
//! key group, each cell a map from key to accumulator. Finds a record's window without a division
//! while it lies in one of four windows that records lately fell into.
//! Decides nothing about lateness or firing: that is [`super::stage`].

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use slackwater_core::key::Key;
use slackwater_core::time::EventTime;

use super::Window;
use crate::state::table_hash;

/// How many slots keep the memory of their maps for the next window.
const WARM_SLOTS: usize = 4;

/// The accumulators of one key group in one window.
pub(super) struct Cell<K, A> {
    pub(super) entries: HashTable<(K, A)>,
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

/// Up to four windows, sorted: the window of a time is the number of starts that it has reached.
#[derive(Copy, Clone, Debug)]
pub(super) struct Hot {
    starts: [i64; 4],
    /// By that number; in place 0, and where there is no window, a range that holds nothing.
    ends: [i64; 5],
    bases: [usize; 5],
}

impl Hot {
    pub(super) const NONE: Self =
        Self { starts: [i64::MAX; 4], ends: [i64::MIN; 5], bases: [0; 5] };

    /// The first cell of the window that holds `time`, if it is one of the four.
    #[inline(always)]
    pub(super) fn find(&self, time: i64) -> Option<usize> {
        let reached = self.starts.iter().map(|start| usize::from(time >= *start)).sum::<usize>();
        (time < self.ends[reached]).then_some(self.bases[reached])
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
}

impl<K: Key, A> WindowTable<K, A> {
    pub(super) fn new(groups: usize) -> Self {
        Self { groups, cells: Vec::new(), open: Vec::new(), free: Vec::new(), hot: Hot::NONE }
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

    /// Makes the window at `index` hot, and the unfired ones around it.
    pub(super) fn aim(&mut self, index: usize) {
        let unfired = self.open.partition_point(|open| open.fired);
        let first = index.saturating_sub(1).min(self.open.len().saturating_sub(4)).max(unfired);
        self.hot = Hot::NONE;
        for (place, open) in self.open[first..].iter().take(4).enumerate() {
            self.hot.starts[place] = open.window.start.as_millis();
            self.hot.ends[place + 1] = open.window.end.as_millis();
            self.hot.bases[place + 1] = open.base;
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
    fn the_hot_windows_are_those_around_the_last_hit_and_know_their_gaps() {
        let windows = tumbling(ms(10));
        let mut table = WindowTable::<u64, u64>::new(2);
        for start in [90, 0, 30, 20, 70, 10] {
            table.find_or_open(windows.window_of(EventTime::from_millis(start)));
        }
        let base = |t: &WindowTable<u64, u64>, start| {
            t.open.iter().find(|o| o.window.start.as_millis() == start).map(|o| o.base)
        };
        table.aim(3);
        for (time, start) in [(19, None), (20, Some(20)), (39, Some(30)), (40, None), (69, None)] {
            assert_eq!(table.hot.find(time), start.and_then(|s| base(&table, s)), "{time}");
        }
        for time in [i64::MIN, i64::MAX] {
            assert_eq!(table.hot.find(time), None);
        }
        table.set_fired(0);
        table.aim(1);
        assert_eq!(table.hot.find(5), None, "a fired window is never hot");
        assert_eq!(table.hot.find(15), base(&table, 10));
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
