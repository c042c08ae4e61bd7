//! The window operator: takes records into open windows, sends late ones aside, fires on watermarks
//! or on the clock's timers, and stops half-way when its outputs are full.
//! Never fires on arrival, never drops a record in silence. How windows are cut is in [`super`],
//! what they hold in `table`, how rows come in in `intake`, how they leave in `firing`, what
//! outlives the task in `snapshot`.

mod intake;

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use slackwater_core::Data;
use slackwater_core::element::{BATCH_ROWS, Barrier, BarrierKind, Batch, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::graph::Uid;
use slackwater_core::key::Key;
use slackwater_core::time::{Clock, EventTime, ProcessingTime};

use self::intake::{Input, Late};
use super::firing::Firing;
use super::lateness::Watermarks;
use super::table::WindowTable;
use super::{Aggregate, Pane, Tumbling, Window};
use crate::operator::{BoxStage, Context, OperatorError, Progress, Stage, Step};
use crate::state::{Groups, INSTALMENT, Restored};

/// What a window operator is told besides its functions.
#[derive(Clone, Debug)]
pub struct Windowing {
    /// The operator's uid: its state is found by it.
    pub uid: Uid,
    /// How time is cut.
    pub windows: Tumbling,
    /// Which time.
    pub clock: Clock,
    /// The key groups that this subtask owns.
    pub groups: Groups,
}

/// The window operator. Results leave stamped with their window's last millisecond.
///
/// In event time, a window fires when a watermark reaches its last millisecond; a record is late
/// when the watermark has reached that millisecond plus the allowed lateness. In processing time, a
/// record belongs to the window of the moment in which it arrives; no record is late, and the end
/// of the input fires what is open, unless the job was stopped and its event time has no end.
pub struct WindowStage<T, K, G: Aggregate<T>, F> {
    pub(super) windowing: Windowing,
    key: F,
    aggregate: G,
    results: BoxStage<Pane<K, G::Out>>,
    late: BoxStage<T>,
    pub(super) table: Rc<RefCell<WindowTable<K, G::Acc>>>,
    pub(super) watermarks: Watermarks,
    /// Windows whose last millisecond is reached by this fire before anything else happens.
    due: EventTime,
    /// The least watermark that fires or removes a window.
    next_change: EventTime,
    firing: Firing<K, G::Acc>,
    /// Whether the last watermark has come.
    ended: bool,
    /// A watermark that goes on once what it fires has left.
    passing: Option<EventTime>,
    input: Option<Input<T>>,
    signal: Option<Signal>,
    out: Batch<Pane<K, G::Out>>,
    late_out: Late<T>,
    /// Whether anything was pushed on since the last call.
    pushed: bool,
    of: PhantomData<fn() -> K>,
}

impl<T, K, G, F> WindowStage<T, K, G, F>
where
    T: 'static,
    K: Key,
    G: Aggregate<T>,
    F: Fn(&T) -> K,
{
    /// A window operator without state.
    pub fn new(
        windowing: Windowing,
        key: F,
        aggregate: G,
        results: BoxStage<Pane<K, G::Out>>,
        late: BoxStage<T>,
    ) -> Self {
        let groups = windowing.groups.len();
        Self {
            windowing,
            key,
            aggregate,
            results,
            late,
            table: Rc::new(RefCell::new(WindowTable::new(groups))),
            watermarks: Watermarks::new(groups),
            due: EventTime::MIN,
            next_change: EventTime::MAX,
            firing: Firing::idle(),
            ended: false,
            passing: None,
            input: None,
            signal: None,
            out: Batch::default(),
            late_out: Late { batch: Batch::default(), rows: 0, watermark: EventTime::MIN },
            pushed: false,
            of: PhantomData,
        }
    }

    /// States how many records wait in open windows: for a task that ends before they fire.
    pub fn tell_open(&self, cx: &Context<'_>) {
        let records = self.table.borrow().waiting();
        cx.tell(Fact::WindowsOpen { task: cx.task(), uid: self.windowing.uid.clone(), records });
    }

    /// Whether something is half done.
    pub(super) fn is_busy(&self) -> bool {
        self.input.is_some() || self.firing.open().is_some() || self.signal.is_some()
    }

    /// Goes on from a restored watermark, all windows that it reaches having fired.
    pub(super) fn begin_at(&mut self, watermark: EventTime) {
        self.due = watermark;
        let windowing = &self.windowing;
        self.next_change = self.table.borrow().next_change(|window| windowing.cleanup(window));
    }

    /// Does what is pending, in order: fire, pass a watermark on, take rows, pass a signal on.
    fn work(&mut self, cx: &mut Context<'_>) -> Result<Progress, OperatorError> {
        loop {
            if self.fire(cx)? == Progress::More {
                return Ok(Progress::More);
            }
            if let Some(watermark) = self.passing.take() {
                self.out.mark(watermark);
                self.late_out.batch.mark(watermark);
            }
            if self.input.is_none() {
                break;
            }
            self.take_rows(cx)?;
            if self.out.rows() >= BATCH_ROWS {
                self.push_results(cx)?;
                if cx.is_full() {
                    return Ok(Progress::More);
                }
            } else {
                self.end_of_segment();
            }
        }
        self.push_results(cx)?;
        self.push_late(cx)?;
        self.pass_signal(cx)
    }

    /// Fires all that is due.
    fn fire(&mut self, cx: &mut Context<'_>) -> Result<Progress, OperatorError> {
        loop {
            if self.firing.open().is_none() && !self.start_firing() {
                return Ok(Progress::Done);
            }
            let Some(open) = self.firing.open() else { continue };
            if self.out.values.is_empty() {
                let table = self.table.borrow();
                let cells = &table.cells[open.base..][..table.groups()];
                let left: usize = cells.iter().map(|cell| cell.entries.len()).sum();
                let marks = std::mem::take(&mut self.out.marks);
                self.out = Batch { marks, ..Batch::with_capacity(left.min(BATCH_ROWS)) };
            }
            let room = BATCH_ROWS.saturating_sub(self.out.rows());
            let (window, last) = (open.window, open.window.last());
            let restored = self.watermarks.restored();
            let (out, aggregate) = (&mut self.out, &self.aggregate);
            let fired = self.firing.advance(
                &mut self.table.borrow_mut(),
                |group| restored[group] >= last,
                room,
                |key, acc| out.push(last, Pane { key, window, value: aggregate.finish(acc) }),
            );
            if let Some(fired) = fired {
                self.end_firing(window, fired, cx);
            } else {
                self.push_results(cx)?;
                if cx.is_full() {
                    return Ok(Progress::More);
                }
            }
        }
    }

    /// Begins with the next window that is due, if one is.
    fn start_firing(&mut self) -> bool {
        if self.due < self.next_change {
            return false;
        }
        let table = &mut *self.table.borrow_mut();
        let Some(index) = table.next_due(self.due) else {
            let (windowing, due) = (&self.windowing, self.due);
            table.clean(due, |window| windowing.cleanup(window));
            self.next_change = table.next_change(|window| windowing.cleanup(window));
            return false;
        };
        let open = table.open()[index];
        let keep = self.windowing.cleanup(open.window) > self.due;
        table.set_fired(index);
        self.firing.start(open, keep);
        true
    }

    fn end_firing(&self, window: Window, (rows, records): (u32, u64), cx: &Context<'_>) {
        if rows > 0 && cx.wants(Detail::Flow) {
            let (task, uid) = (cx.task(), self.windowing.uid.clone());
            let Window { start, end } = window;
            cx.tell(Fact::WindowFired { task, uid, start, end, rows, records });
        }
    }

    fn push_results(&mut self, cx: &mut Context<'_>) -> Step {
        if self.out.is_empty() {
            return Ok(());
        }
        self.pushed = true;
        self.results.batch(std::mem::take(&mut self.out), cx)
    }

    fn push_late(&mut self, cx: &mut Context<'_>) -> Step {
        let rows = std::mem::take(&mut self.late_out.rows);
        if rows > 0 {
            cx.counts().late.add(u64::from(rows));
            if let Some(own) = cx.counts().of_uid(&self.windowing.uid) {
                own.late.add(u64::from(rows));
            }
            if cx.wants(Detail::Flow) {
                let (task, uid) = (cx.task(), self.windowing.uid.clone());
                let watermark = self.late_out.watermark;
                cx.tell(Fact::RecordLate { task, uid, rows, watermark });
            }
        }
        if self.late_out.batch.is_empty() {
            return Ok(());
        }
        self.pushed = true;
        self.late.batch(std::mem::take(&mut self.late_out.batch), cx)
    }

    fn pass_signal(&mut self, cx: &mut Context<'_>) -> Result<Progress, OperatorError> {
        if self.signal.is_some() && self.pushed && cx.is_full() {
            return Ok(Progress::More);
        }
        if let Some(signal) = self.signal.take() {
            match signal {
                Signal::EndOfInput => self.tell_open(cx),
                Signal::Barrier(_) => cx.keep(self.fork()?),
                Signal::Idle | Signal::Active | Signal::Latency(_) => {}
            }
            self.results.signal(signal, cx)?;
            self.late.signal(signal, cx)?;
        }
        Ok(Progress::Done)
    }

    /// In processing time: the end of the input fires what is open, and so does a savepoint that
    /// drains. Who ends without a last watermark was stopped, and goes on elsewhere.
    fn is_fired_by(&self, signal: Signal) -> bool {
        match signal {
            Signal::EndOfInput => self.ended,
            Signal::Barrier(Barrier { kind, .. }) => {
                kind == BarrierKind::StopWithSavepoint { drain: true }
            }
            Signal::Idle | Signal::Active | Signal::Latency(_) => false,
        }
    }

    /// In processing time: windows that end by now fire.
    fn clock_reaches(&mut self, now: ProcessingTime) {
        if self.windowing.clock == Clock::Processing {
            let reached = EventTime::from_millis(now.as_millis().saturating_sub(1));
            self.due = self.due.max(reached);
        }
    }
}

impl Windowing {
    /// Until when a window's state is kept: processing-time windows know no late records.
    pub(super) fn cleanup(&self, window: Window) -> EventTime {
        match self.clock {
            Clock::Event => self.windows.cleanup(window),
            Clock::Processing => window.last(),
        }
    }
}

impl<T, K, G, F> Stage<T> for WindowStage<T, K, G, F>
where
    T: Data,
    K: Key,
    G: Aggregate<T>,
    F: Fn(&T) -> K,
{
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        assert!(self.input.is_none(), "a batch comes only after the one before it is done");
        let now = cx.processing_time();
        self.clock_reaches(now);
        let mut marks = batch.marks.into_iter();
        let next_mark = marks.next();
        let arrival = (self.windowing.clock == Clock::Processing).then_some(now.as_millis());
        let (times, values) = (batch.times, batch.values.into_iter());
        self.input = Some(Input { times, values, marks, next_mark, arrival });
        self.pushed = false;
        self.table.borrow_mut().pay(INSTALMENT);
        self.work(cx).map(|_| ())
    }

    fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step {
        assert!(self.signal.is_none(), "a signal comes only after the one before it is done");
        if self.windowing.clock == Clock::Processing && self.is_fired_by(signal) {
            self.due = EventTime::MAX;
        }
        self.signal = Some(signal);
        self.pushed = false;
        self.work(cx).map(|_| ())
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Result<Progress, OperatorError> {
        let behind = [self.results.resume(cx)?, self.late.resume(cx)?];
        if behind.contains(&Progress::More) {
            return Ok(Progress::More);
        }
        self.pushed = false;
        let progress = self.work(cx)?;
        // What was pushed on now may have stopped half-way behind: the next call will tell.
        Ok(if self.pushed { Progress::More } else { progress })
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        let own = match self.windowing.clock {
            Clock::Event => None,
            Clock::Processing => self.table.borrow().next_end(),
        };
        let own = own.map(|end| ProcessingTime::from_millis(end.as_millis()));
        [own, self.results.next_timer(), self.late.next_timer()].into_iter().flatten().min()
    }

    fn on_timers(&mut self, cx: &mut Context<'_>) -> Step {
        self.clock_reaches(cx.processing_time());
        self.pushed = false;
        if self.work(cx)? == Progress::More {
            return Ok(());
        }
        self.results.on_timers(cx)?;
        self.late.on_timers(cx)
    }

    fn restore(&mut self, restored: &Restored) -> Step {
        self.take_up(&restored.sections, !restored.reset_watermarks)?;
        self.results.restore(restored)?;
        self.late.restore(restored)
    }
}
