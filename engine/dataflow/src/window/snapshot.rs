//! What of a window operator outlives its task, by key group: the accumulators of open windows,
//! how many records wait in them, and how far event time had come. Timers follow from the windows.
//! The bytes are [`crate::state::Section`]'s; when they are written and read is the runtime's business.

use slackwater_core::Data;
use slackwater_core::key::{Key, KeyGroup};
use slackwater_core::time::{Clock, EventTime};

use super::lateness::Watermarks;
use super::table::Cell;
use super::{Aggregate, Window, WindowStage};
use crate::state::{Section, SectionReader, SectionWriter, Share, StateError, StateName};

/// The names of the three states of a window operator: part of the savepoint format.
const WINDOWS: &str = "windows";
const WAITING: &str = "waiting";
const WATERMARK: &str = "watermark";

/// A window's bounds in milliseconds, as the first part of a key of state.
type Bounds = (i64, i64);

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
    /// Everything that is held, one section per state and key group; equal state, equal bytes.
    ///
    /// # Errors
    /// If a key or an accumulator has no fixed shape, or refuses to be serialized.
    ///
    /// # Panics
    /// If called while a batch or a firing is half done: a barrier comes between them.
    pub fn snapshot(&self) -> Result<Vec<Section>, StateError> {
        assert!(!self.is_busy(), "a barrier passes when everything before it is done");
        let mut sections = Vec::new();
        let windows = self.writer::<(Bounds, K), G::Acc>(WINDOWS)?;
        let waiting = self.writer::<Bounds, u64>(WAITING)?;
        let watermark = self.writer::<(), EventTime>(WATERMARK)?;
        for position in 0..self.windowing.groups.len() {
            let share = Share::Group(self.windowing.groups.at(position));
            let mut entries: Vec<((Bounds, K), &G::Acc)> = Vec::new();
            let mut counts = Vec::new();
            for (window, cell) in self.cells_of(position) {
                let first = entries.len();
                let bounds = bounds(window);
                entries.extend(cell.entries.iter().map(|(k, acc)| ((bounds, k.clone()), acc)));
                entries[first..].sort_unstable_by(|a, b| a.0.cmp(&b.0));
                counts.extend((cell.waiting > 0).then_some((bounds, cell.waiting)));
            }
            sections.extend(windows.write(share, entries.iter().map(|(key, acc)| (key, *acc)))?);
            sections.extend(waiting.write(share, counts.iter().map(|(key, n)| (key, n)))?);
            let seen = self.watermarks.judge(position);
            let seen = (seen > EventTime::MIN).then_some((&(), &seen));
            sections.extend(watermark.write(share, seen.into_iter())?);
        }
        Ok(sections)
    }

    /// Takes over what of `sections` is this operator's and of its key groups, in place of all that
    /// was held: any set of sections that covers the groups will do, whoever wrote them.
    ///
    /// # Errors
    /// A [`StateError`] that names the section, if one is damaged, of another version, schema or
    /// window size. Then the operator is empty.
    pub fn restore_sections(&mut self, sections: &[Section]) -> Result<(), StateError> {
        assert!(!self.is_busy(), "state is restored before the first element");
        self.table.clear();
        self.watermarks = Watermarks::new(self.windowing.groups.len());
        let result = self.restore_cells(sections);
        let result = result.and_then(|()| self.restore_watermarks(sections));
        if result.is_err() {
            self.table.clear();
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
                self.cell(group, bounds, WINDOWS)?.entry(hash, key, || acc);
            }
        }
        for (group, entries) in self.reader::<Bounds, u64>(WAITING)?.read(sections)? {
            for (bounds, count) in entries {
                self.cell(group, bounds, WAITING)?.waiting = count;
            }
        }
        Ok(())
    }

    /// The cell of a group in the window with these bounds, opened if need be.
    fn cell(
        &mut self,
        group: KeyGroup,
        (start, end): Bounds,
        state: &str,
    ) -> Result<&mut Cell<K, G::Acc>, StateError> {
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
        let index = self.table.find_or_open(window);
        let base = self.table.open()[index].base;
        Ok(&mut self.table.cells[base + position])
    }

    /// The windows that hold anything for a group, sorted by start.
    fn cells_of(&self, position: usize) -> impl Iterator<Item = (Window, &Cell<K, G::Acc>)> {
        self.table.open().iter().map(move |o| (o.window, &self.table.cells[o.base + position]))
    }

    /// After a restore: which windows have fired already, and what happens next.
    fn settle(&mut self) {
        let own = self.watermarks.own();
        if self.windowing.clock == Clock::Event {
            while let Some(index) = self.table.next_due(own) {
                self.table.set_fired(index);
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
