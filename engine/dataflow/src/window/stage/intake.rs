//! How the window operator takes rows in: straight into the window at hand, or the slower way when
//! the record is late, or its window new or fired. Fires nothing and passes nothing on.
//! When it is called, and what leaves, is in [`super`].

use std::vec::IntoIter;

use slackwater_core::element::{BATCH_ROWS, Batch, Mark};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::key::Key;
use slackwater_core::time::{Clock, EventTime};

use super::WindowStage;
use crate::operator::{Context, OperatorError, Step};
use crate::window::table::{Hot, NO_CELL};
use crate::window::{Aggregate, Pane, Window};

/// A batch, as far as it has not been taken in.
pub(super) struct Input<T> {
    pub times: Vec<EventTime>,
    pub values: IntoIter<T>,
    pub marks: IntoIter<Mark>,
    pub next_mark: Option<Mark>,
    /// When the batch arrived, if that decides the window.
    pub arrival: Option<i64>,
}

impl<T> Input<T> {
    /// The next row to be taken in.
    fn row(&self) -> usize {
        self.times.len() - self.values.len()
    }
}

/// Late records of the current batch.
pub(super) struct Late<T> {
    pub batch: Batch<T>,
    pub rows: u32,
    pub watermark: EventTime,
}

/// A record's key, hashed once.
struct Arrival<K> {
    hash: u64,
    key: K,
}

/// A record that is not for the hot windows.
type Other<K, T> = (Arrival<K>, (EventTime, T));

impl<T, K, G, F> WindowStage<T, K, G, F>
where
    T: 'static,
    K: Key,
    G: Aggregate<T>,
    F: Fn(&T) -> K,
{
    /// Takes rows up to the next mark, or until enough results wait to be pushed on.
    pub(super) fn take_rows(&mut self, cx: &mut Context<'_>) -> Step {
        let Some(mut input) = self.input.take() else { return Ok(()) };
        let result = self.take_rows_of(&mut input, cx);
        self.input = Some(input);
        result
    }

    fn take_rows_of(&mut self, input: &mut Input<T>, cx: &mut Context<'_>) -> Step {
        let until = input.next_mark.map_or(input.times.len(), |mark| mark.row as usize);
        // Whoever wants to hear of every record, or of every change, is served by the slower way.
        let each = cx.wants(Detail::Records) || self.table.borrow().owes();
        while let Some((arrival, record)) = self.take_hot(input, until, each) {
            self.take_slowly(arrival, record, input.arrival, cx)?;
            if self.out.rows() >= BATCH_ROWS {
                break;
            }
        }
        Ok(())
    }

    /// Takes records into the hot windows, up to the first that belongs elsewhere. Borrows what it
    /// needs once: nothing is looked up through `self` for a record.
    #[inline]
    fn take_hot(&mut self, input: &mut Input<T>, until: usize, each: bool) -> Option<Other<K, T>> {
        let Self { key: key_of, aggregate, windowing, table, .. } = self;
        let groups = &windowing.groups;
        let table = &mut *table.borrow_mut();
        let hot = if each { Hot::NONE } else { table.hot };
        let cells = table.cells.as_mut_slice();
        let times = &input.times[input.row()..until];
        for (time, value) in times.iter().zip(input.values.by_ref()) {
            let key = key_of(&value);
            let hash = key.hash64();
            let position = groups.position(hash);
            let base = hot.find(input.arrival.unwrap_or(time.as_millis()));
            let cell = if position < groups.len() { base + position } else { NO_CELL };
            let Some(cell) = cells.get_mut(cell) else {
                return Some((Arrival { hash, key }, (*time, value)));
            };
            cell.waiting += 1;
            let acc = cell.entry(hash, key, || aggregate.create());
            aggregate.add(acc, value);
        }
        None
    }

    /// A record whose window is not hot: it may be late, or in a window that has fired, or the
    /// first of its window.
    #[cold]
    #[inline(never)]
    fn take_slowly(
        &mut self,
        Arrival { hash, key }: Arrival<K>,
        (time, value): (EventTime, T),
        arrival: Option<i64>,
        cx: &Context<'_>,
    ) -> Step {
        let position = self.windowing.groups.position(hash);
        if position >= self.windowing.groups.len() {
            return Err(self.foreign(&key));
        }
        let moment = arrival.map_or(time, EventTime::from_millis);
        let window = self.windowing.windows.window_of(moment);
        let watermark = self.watermarks.judge(position);
        if self.windowing.cleanup(window) <= watermark {
            self.late_out.batch.push(time, value);
            self.late_out.rows += 1;
            self.late_out.watermark = watermark;
            return Ok(());
        }
        let Window { start, end } = window;
        let (task, uid) = (cx.task(), &self.windowing.uid);
        if cx.wants(Detail::Records) {
            cx.tell(Fact::RecordWindowed { task, uid: uid.clone(), time, start, end });
        }
        let table = &mut *self.table.borrow_mut();
        let index = table.find_or_open(window);
        let has_fired = window.last() <= watermark;
        let open = table.open()[index];
        table.note(open.base + position, hash, &key);
        let cell = &mut table.cells[open.base + position];
        cell.waiting += u64::from(!has_fired);
        let acc = cell.entry(hash, key.clone(), || self.aggregate.create());
        self.aggregate.add(acc, value);
        if has_fired {
            let value = self.aggregate.finish(acc.clone());
            self.out.push(window.last(), Pane { key, window, value });
            if cx.wants(Detail::Flow) {
                let (uid, rows, records) = (uid.clone(), 1, 1);
                cx.tell(Fact::WindowFired { task, uid, start, end, rows, records });
            }
        } else if !self.watermarks.ahead() {
            table.aim(index);
        }
        let is_past = window.last() <= self.watermarks.own();
        if is_past && !open.fired {
            table.set_fired(index);
        }
        let change = if is_past { self.windowing.cleanup(window) } else { window.last() };
        self.next_change = self.next_change.min(change);
        Ok(())
    }

    /// Lets the next mark act, or finishes the batch.
    pub(super) fn end_of_segment(&mut self) {
        let Some(input) = &mut self.input else { return };
        let Some(mark) = input.next_mark else {
            self.input = None;
            return;
        };
        if (mark.row as usize) > input.row() {
            return;
        }
        input.next_mark = input.marks.next();
        self.passing = Some(mark.watermark);
        self.ended |= mark.watermark == EventTime::MAX;
        if self.windowing.clock == Clock::Event && self.watermarks.advance(mark.watermark) {
            self.due = mark.watermark;
        }
    }

    #[cold]
    fn foreign(&self, key: &K) -> OperatorError {
        OperatorError {
            operator: self.windowing.uid.0.clone(),
            message: format!("the key {key:?} belongs to a key group of another subtask"),
        }
    }
}
