//! What of a window operator outlives its task, by key group: the accumulators of open windows,
//! how many records wait in them, and how far event time had come. Timers follow from the windows.
//! The bytes are [`crate::state::Section`]'s; when they are written and read is the runtime's business.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use slackwater_core::Data;
use slackwater_core::key::{Key, KeyGroup};
use slackwater_core::time::{Clock, EventTime};

use super::lateness::Watermarks;
use super::table::WindowTable;
use super::{Aggregate, Window, WindowStage};
use crate::state::{
    Debt, Draft, Fork, INSTALMENT, SLICE, Section, SectionReader, SectionWriter, Share, SharedDebt,
    Sorted, Sorter, StateError, StateName, sections,
};

/// The names of the three states of a window operator: part of the savepoint format.
pub(crate) const WINDOWS: &str = "windows";
pub(crate) const WAITING: &str = "waiting";
pub(crate) const WATERMARK: &str = "watermark";

/// A window's bounds in milliseconds, as the first part of a key of state.
pub(crate) type Bounds = (i64, i64);

fn bounds(window: Window) -> Bounds {
    (window.start.as_millis(), window.end.as_millis())
}

impl<T, K, G, F> WindowStage<T, K, G, F>
where
    T: 'static,
    K: Key,
    G: Aggregate<T>,
    F: Fn(&T) -> K,
{
    /// Everything that is held as it is now, to be read while it changes: one section per state and
    /// key group. A fork that is still open is given all it is owed first.
    ///
    /// # Errors
    /// If a key or an accumulator has no fixed shape.
    ///
    /// # Panics
    /// If called while a batch or a firing is half done: a barrier comes between them.
    pub fn fork(&self) -> Result<Box<dyn Fork>, StateError> {
        assert!(!self.is_busy(), "a barrier passes when everything before it is done");
        let writers = Writers {
            windows: self.writer::<(Bounds, K), G::Acc>(WINDOWS)?,
            waiting: self.writer::<Bounds, u64>(WAITING)?,
            watermark: self.writer::<(), EventTime>(WATERMARK)?,
        };
        let mut table = self.table.borrow_mut();
        table.pay(usize::MAX);
        let (mut cells, mut groups) = (Vec::new(), VecDeque::new());
        for position in 0..self.windowing.groups.len() {
            let mut forked = Forked {
                share: Share::Group(self.windowing.groups.at(position)),
                windows: VecDeque::new(),
                waiting: Vec::new(),
                watermark: self.watermarks.judge(position),
            };
            for open in table.open() {
                let cell = &table.cells[open.base + position];
                let bounds = bounds(open.window);
                if !cell.entries.is_empty() {
                    forked.windows.push_back((bounds, cells.len()));
                    cells.push(open.base + position);
                }
                forked.waiting.extend((cell.waiting > 0).then_some((bounds, cell.waiting)));
            }
            groups.push_back(forked);
        }
        let debt = Rc::new(RefCell::new(Debt::new(cells)));
        table.owe(Rc::clone(&debt));
        let (table, sorter) = (Rc::clone(&self.table), Sorter::default());
        let (open, done) = (None, VecDeque::new());
        Ok(Box::new(WindowFork { writers, table, debt, groups, sorter, open, done }))
    }

    /// Everything that is held, one section per state and key group; equal state, equal bytes.
    ///
    /// # Errors
    /// If a key or an accumulator has no fixed shape, or refuses to be serialized.
    ///
    /// # Panics
    /// As [`WindowStage::fork`].
    pub fn snapshot(&self) -> Result<Vec<Section>, StateError> {
        sections(&mut *self.fork()?)
    }

    /// Takes over what of `sections` is this operator's and of its key groups, in place of all that
    /// was held: any set of sections that covers the groups will do, whoever wrote them.
    ///
    /// # Errors
    /// A [`StateError`] that names the section, if one is damaged, of another version, schema or
    /// window size. Then the operator is empty.
    pub fn restore_sections(&mut self, sections: &[Section]) -> Result<(), StateError> {
        self.take_up(sections, true)
    }

    /// The same; event time begins anew unless its watermarks are to be taken up, too.
    pub(super) fn take_up(&mut self, sections: &[Section], timed: bool) -> Result<(), StateError> {
        assert!(!self.is_busy(), "state is restored before the first element");
        self.table.borrow_mut().clear();
        self.watermarks = Watermarks::new(self.windowing.groups.len());
        let result = self.restore_cells(sections);
        let timed = if timed { sections } else { &[] };
        let result = result.and_then(|()| self.restore_watermarks(timed));
        if result.is_err() {
            self.table.borrow_mut().clear();
        }
        self.settle();
        result
    }

    fn restore_watermarks(&mut self, sections: &[Section]) -> Result<(), StateError> {
        let reader = self.reader::<(), EventTime>(WATERMARK)?;
        let seen = reader.read(sections)?;
        let groups = &self.windowing.groups;
        let of = |group: KeyGroup| seen.get(&group).and_then(|entries| entries.first());
        let of = |position| of(groups.at(position)).map_or(EventTime::MIN, |(_, seen)| *seen);
        self.watermarks.restore((0..groups.len()).map(of).collect());
        Ok(())
    }

    fn restore_cells(&mut self, sections: &[Section]) -> Result<(), StateError> {
        let reader = self.reader::<(Bounds, K), G::Acc>(WINDOWS)?;
        for (group, entries) in reader.read(sections)? {
            for ((bounds, key), acc) in entries {
                reader.expect_group(&key, group)?;
                let hash = key.hash64();
                let cell = self.cell(group, bounds, WINDOWS)?;
                self.table.borrow_mut().cells[cell].entry(hash, key, || acc);
            }
        }
        for (group, entries) in self.reader::<Bounds, u64>(WAITING)?.read(sections)? {
            for (bounds, count) in entries {
                let cell = self.cell(group, bounds, WAITING)?;
                self.table.borrow_mut().cells[cell].waiting = count;
            }
        }
        Ok(())
    }

    /// The cell of a group in the window with these bounds, opened if need be.
    fn cell(
        &self,
        group: KeyGroup,
        (start, end): Bounds,
        state: &str,
    ) -> Result<usize, StateError> {
        let (start, end) = (EventTime::from_millis(start), EventTime::from_millis(end));
        let window = Window { start, end };
        let expected = self.windowing.windows.window_of(window.last());
        let position = self.windowing.groups.position_of(group);
        let (true, Some(position)) = (window == expected, position) else {
            let why = format!(
                "written for the window [{start}, {end}), which is none of these: keep the size \
                 and the offset, or give the operator another uid"
            );
            return Err(self.name(state).error(Some(Share::Group(group)), why));
        };
        let mut table = self.table.borrow_mut();
        let index = table.find_or_open(window);
        Ok(table.open()[index].base + position)
    }

    /// After a restore: which windows have fired already, and what happens next.
    fn settle(&mut self) {
        let own = self.watermarks.own();
        if self.windowing.clock == Clock::Event {
            let mut table = self.table.borrow_mut();
            while let Some(index) = table.next_due(own) {
                table.set_fired(index);
            }
        }
        self.begin_at(own);
    }

    fn name(&self, state: &str) -> StateName {
        StateName::new(&self.windowing.uid.0, state)
    }

    fn writer<Q: Key, S: Data>(&self, state: &str) -> Result<SectionWriter<Q, S>, StateError> {
        SectionWriter::new(self.name(state), &self.windowing.groups)
    }

    fn reader<Q: Key, S: Data>(&self, state: &str) -> Result<SectionReader<Q, S>, StateError> {
        SectionReader::new(self.name(state), &self.windowing.groups)
    }
}

struct Writers<K, A> {
    windows: SectionWriter<(Bounds, K), A>,
    waiting: SectionWriter<Bounds, u64>,
    watermark: SectionWriter<(), EventTime>,
}

/// What a fork holds of one key group.
struct Forked {
    share: Share,
    /// Each window that held anything, and its place in the debt.
    windows: VecDeque<(Bounds, usize)>,
    waiting: Vec<(Bounds, u64)>,
    watermark: EventTime,
}

/// The state of a window operator as it was when a barrier passed.
struct WindowFork<K: Key, A: Data> {
    writers: Writers<K, A>,
    table: Rc<RefCell<WindowTable<K, A>>>,
    debt: SharedDebt<K, A>,
    /// Those that have not been read whole.
    groups: VecDeque<Forked>,
    sorter: Sorter,
    /// The section of the first group's windows, and what of the current window is not yet in it.
    open: Option<Open<K, A>>,
    /// Sections that are whole.
    done: VecDeque<Section>,
}

/// A section of windows under way.
struct Open<K, A> {
    draft: Draft,
    /// The window whose entries come now.
    bounds: Bounds,
    entries: Sorted<K, A>,
}

impl<K: Key, A: Data> Open<K, A> {
    fn new(share: Share) -> Self {
        Self { draft: Draft::new(share), bounds: (0, 0), entries: Sorted::default() }
    }

    /// Encodes at most `room` entries; how many.
    fn encode(
        &mut self,
        room: usize,
        writer: &SectionWriter<(Bounds, K), A>,
    ) -> Result<usize, StateError> {
        let slice = self.entries.next(room);
        let count = slice.len();
        for (key, acc) in slice {
            let encode = |out: &mut Vec<u8>| {
                self.bounds.encode(out);
                key.encode(out);
            };
            writer.append(&mut self.draft, encode, acc)?;
        }
        Ok(count)
    }
}

impl<K: Key, A: Data> WindowFork<K, A> {
    /// Does a slice of the first group; whether there was one.
    fn advance(&mut self) -> Result<bool, StateError> {
        let Some(group) = self.groups.front_mut() else { return Ok(false) };
        let mut draft = self.open.take().unwrap_or_else(|| Open::new(group.share));
        let mut room = SLICE;
        while room > 0 {
            if draft.entries.is_read() {
                let Some((bounds, place)) = group.windows.front().copied() else { break };
                let is_paid = self.debt.borrow().is_paid_at(place);
                if !is_paid {
                    self.table.borrow_mut().pay(INSTALMENT);
                    break;
                }
                group.windows.pop_front();
                draft.bounds = bounds;
                draft.entries = self.debt.borrow_mut().take(place, &mut self.sorter);
            }
            room -= draft.encode(room, &self.writers.windows)?;
        }
        if !draft.entries.is_read() || !group.windows.is_empty() {
            self.open = Some(draft);
            return Ok(true);
        }
        let Forked { share, waiting, watermark, .. } = group;
        self.done.extend(self.writers.windows.finish(draft.draft)?);
        let counts = waiting.iter().map(|(bounds, count)| (bounds, count));
        self.done.extend(self.writers.waiting.write(*share, counts)?);
        let seen = (*watermark > EventTime::MIN).then_some((&(), &*watermark));
        self.done.extend(self.writers.watermark.write(*share, seen.into_iter())?);
        self.groups.pop_front();
        Ok(true)
    }
}

impl<K: Key, A: Data> Fork for WindowFork<K, A> {
    fn next_section(&mut self) -> Option<Result<Option<Section>, StateError>> {
        if let Some(section) = self.done.pop_front() {
            return Some(Ok(Some(section)));
        }
        match self.advance() {
            Ok(true) => Some(Ok(self.done.pop_front())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl<K: Key, A: Data> Drop for WindowFork<K, A> {
    fn drop(&mut self) {
        self.table.borrow_mut().forgive(&self.debt);
    }
}
