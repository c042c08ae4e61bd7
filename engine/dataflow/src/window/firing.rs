//! A window on its way out: key group by key group, keys in order, as many at a time as the caller
//! has room for. Knows nothing of watermarks or of other windows.
//! Who starts and resumes it: [`super::stage`].

use slackwater_core::key::Key;

use super::table::{Open, WindowTable};
use crate::state::Sorter;

/// The firing of one window, which may stop and go on between any two keys. Kept from window to
/// window for its memory.
pub(super) struct Firing<K, A> {
    firing: Option<Open>,
    /// Whether the accumulators stay, for late records.
    keep: bool,
    /// The next group to be loaded, by position.
    next_group: usize,
    /// The loaded group; an entry is taken as it leaves.
    entries: Vec<Option<(K, A)>>,
    /// The positions of the entries, in the order of their keys.
    order: Vec<u32>,
    sorter: Sorter,
    /// How many of the loaded group have left, and how many in all.
    done: usize,
    rows: u32,
    /// How many records they are made of that were in no firing before.
    records: u64,
}

impl<K: Key, A: Clone> Firing<K, A> {
    /// Nothing fires.
    pub(super) fn idle() -> Self {
        Self {
            firing: None,
            keep: false,
            next_group: 0,
            entries: Vec::new(),
            order: Vec::new(),
            sorter: Sorter::default(),
            done: 0,
            rows: 0,
            records: 0,
        }
    }

    /// Begins with a window.
    pub(super) fn start(&mut self, open: Open, keep: bool) {
        assert!(self.firing.is_none(), "one window fires after the other");
        (self.firing, self.keep) = (Some(open), keep);
        (self.next_group, self.done, self.rows, self.records) = (0, 0, 0, 0);
        self.entries.clear();
        self.order.clear();
    }

    /// The window that fires.
    pub(super) fn open(&self) -> Option<Open> {
        self.firing
    }

    /// Hands out at most `room` keys of the window. Gives the number of rows, and of the records they
    /// are made of, once the window has left whole. A group that `has_fired` already is passed over.
    pub(super) fn advance(
        &mut self,
        table: &mut WindowTable<K, A>,
        has_fired: impl Fn(usize) -> bool,
        mut room: usize,
        mut emit: impl FnMut(K, A),
    ) -> Option<(u32, u64)> {
        loop {
            let left = &self.order[self.done..];
            let now = &left[..room.min(left.len())];
            for index in now {
                let entry = self.entries[*index as usize].take();
                let (key, acc) = entry.expect("every position is in the order once");
                emit(key, acc);
            }
            self.done += now.len();
            self.rows += now.len() as u32;
            room -= now.len();
            if self.done < self.order.len() {
                return None;
            }
            let Some(open) = self.firing.filter(|_| self.next_group < table.groups()) else {
                self.firing = None;
                return Some((self.rows, self.records));
            };
            self.load((table, open.base + self.next_group), has_fired(self.next_group));
            self.next_group += 1;
        }
    }

    fn load(&mut self, (table, cell): (&mut WindowTable<K, A>, usize), has_fired: bool) {
        table.pay_cell(cell);
        let cell = &mut table.cells[cell];
        self.done = 0;
        self.entries.clear();
        self.sorter.clear();
        let (entries, sorter) = (&mut self.entries, &mut self.sorter);
        let mut take = |(key, acc): (K, A)| {
            sorter.push(&key);
            entries.push(Some((key, acc)));
        };
        match (has_fired, self.keep) {
            (true, true) => {}
            (true, false) => cell.entries.clear(),
            (false, true) => cell.entries.iter().cloned().for_each(&mut take),
            (false, false) => cell.entries.drain().for_each(&mut take),
        }
        if !has_fired {
            self.records += std::mem::take(&mut cell.waiting);
        }
        let key = |index: usize| {
            let entry: &Option<(K, A)> = &self.entries[index];
            &entry.as_ref().expect("nothing has left yet").0
        };
        self.sorter.sort(key, &mut self.order);
    }
}
