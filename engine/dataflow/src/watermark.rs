//! Watermark generators: how far event time has come, judged by the records of a source's splits.
//! Exact at every batch size: a watermark belongs to a row, not to a batch. Never reads a clock:
//! it is told the time at which a reader found nothing. Channels are merged by [`crate::gate`].

mod rule;

use std::fmt;
use std::time::Duration;

use slackwater_core::element::Batch;
use slackwater_core::time::{EventTime, ProcessingTime, span_millis};

use self::rule::{Bounded, Merge, Punctuated, Rule};

/// How a source's watermarks follow from its records, and when a silent split is idle.
///
/// ```
/// use slackwater_core::time::{EventTime, mins, secs};
/// use slackwater_dataflow::watermark::Watermarks;
/// let late_by_an_hour = Watermarks::<u64>::bounded(mins(60)).idle_after(secs(5));
/// let as_the_data_says = Watermarks::punctuated(|is_last: &bool, time: EventTime| {
///     is_last.then_some(time)
/// });
/// # let _ = (late_by_an_hour, as_the_data_says);
/// ```
pub struct Watermarks<T> {
    rule: Box<dyn Rule<T>>,
    idle_after: Option<Duration>,
}

impl<T> Clone for Watermarks<T> {
    fn clone(&self) -> Self {
        Self { rule: self.rule.boxed_clone(), idle_after: self.idle_after }
    }
}

impl<T> fmt::Debug for Watermarks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watermarks").field("idle_after", &self.idle_after).finish_non_exhaustive()
    }
}

impl<T: 'static> Watermarks<T> {
    /// The records of a split come in the order of their timestamps; equal ones may follow.
    pub fn ascending() -> Self {
        Self::bounded(Duration::ZERO)
    }

    /// A record may come up to `bound` after one with a greater timestamp: the watermark is the
    /// greatest timestamp so far − bound − 1 ms, after every record.
    pub fn bounded(bound: Duration) -> Self {
        let bound = span_millis(bound);
        Self::of(Bounded { bound, greatest: EventTime::MIN, watermark: EventTime::MIN })
    }

    /// The records themselves say it: `f` is asked after every record. What does not advance the
    /// watermark is ignored.
    pub fn punctuated<F>(f: F) -> Self
    where
        F: FnMut(&T, EventTime) -> Option<EventTime> + Clone + Send + Sync + 'static,
    {
        Self::of(Punctuated { f, watermark: EventTime::MIN })
    }

    /// A split whose reader found nothing for this long is idle: nobody waits for it. Without
    /// this, a silent split holds back everybody's event time.
    #[must_use]
    pub fn idle_after(mut self, span: Duration) -> Self {
        self.idle_after = Some(span);
        self
    }

    fn of(rule: impl Rule<T> + 'static) -> Self {
        Self { rule: Box::new(rule), idle_after: None }
    }
}

/// Which watermarks something downstream can tell apart: those that pass a multiple of a span.
///
/// Windows end, and are cleaned up, at multiples of the greatest common divisor of their sizes,
/// offsets and latenesses; a watermark that passes none of them changes nothing anywhere.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Quantum(i64);

impl Quantum {
    /// Nothing looks at watermarks: only the end is marked.
    pub const NOTHING: Self = Self(0);
    /// Every advance matters: sessions, timers, a person who looks.
    pub const EVERY: Self = Self(1);

    /// Multiples of `millis`; 0 is [`Quantum::NOTHING`].
    pub fn of_millis(millis: i64) -> Self {
        Self(millis.saturating_abs())
    }

    /// What either can tell apart.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (mut a, mut b) = (self.0, other.0);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self(a)
    }

    /// The first watermark after `seen` that makes a difference.
    fn next_after(self, seen: EventTime) -> EventTime {
        if self.0 == 0 {
            return EventTime::MAX;
        }
        // Watermark e − 1 is the first that says "everything before e is here".
        let (step, passed) = (i128::from(self.0), i128::from(seen.as_millis()) + 1);
        let edge = passed - passed.rem_euclid(step) + step;
        EventTime::from_millis((edge - 1).clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }
}

/// The generators of one source subtask, a split each, and the least of them.
pub struct Generators<T> {
    splits: Vec<Split<T>>,
    idle_after: Option<Duration>,
    merge: Merge,
    idle: bool,
}

struct Split<T> {
    id: u32,
    rule: Box<dyn Rule<T>>,
    state: SplitState,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum SplitState {
    /// Speaks, or may speak at any time.
    Active,
    /// Was asked, first at this time, and had nothing since.
    Quiet(ProcessingTime),
    Idle,
    Ended,
}

impl SplitState {
    /// Whether others wait for it.
    fn holds(self) -> bool {
        matches!(self, Self::Active | Self::Quiet(_))
    }
}

/// What follows when splits fall silent or end.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// A watermark to pass on first.
    pub watermark: Option<EventTime>,
    /// Whether the subtask as a whole has become idle.
    pub became_idle: bool,
}

impl<T> Generators<T> {
    /// One generator for each of these splits.
    pub fn new(watermarks: &Watermarks<T>, splits: &[u32], quantum: Quantum) -> Self {
        let split = |&id: &u32| {
            let rule = watermarks.rule.boxed_clone();
            Split { id, rule, state: SplitState::Active }
        };
        let marked = EventTime::MIN;
        let next = quantum.next_after(marked);
        Self {
            splits: splits.iter().map(split).collect(),
            idle_after: watermarks.idle_after,
            merge: Merge { quantum, marked, next, others: EventTime::MAX },
            idle: false,
        }
    }

    /// Marks a batch of records of one split. Tells whether the subtask was idle until now;
    /// `None` if the split is not one of this subtask's.
    pub fn on_records(&mut self, split: u32, batch: &mut Batch<T>) -> Option<bool> {
        let place = self.place(split)?;
        self.splits[place].state = SplitState::Active;
        let others =
            self.splits.iter().enumerate().filter(|(at, s)| *at != place && s.state.holds());
        self.merge.others = others.map(|(_, s)| s.rule.watermark()).min().unwrap_or(EventTime::MAX);
        let rule = &mut self.splits[place].rule;
        // A split that speaks again may have been further than the watermark that was held.
        self.merge.offer(&mut batch.marks, 0, rule.watermark());
        rule.walk(batch, &mut self.merge);
        Some(std::mem::replace(&mut self.idle, false))
    }

    /// The reader asked one split, or all of them, and found nothing.
    pub fn on_nothing(&mut self, split: Option<u32>, now: ProcessingTime) {
        for asked in self.splits.iter_mut().filter(|s| split.is_none_or(|id| s.id == id)) {
            if asked.state == SplitState::Active {
                asked.state = SplitState::Quiet(now);
            }
        }
    }

    /// One split has ended; the others go on without it.
    pub fn on_end(&mut self, split: u32) {
        if let Some(place) = self.place(split) {
            self.splits[place].state = SplitState::Ended;
        }
    }

    /// Declares idle what has been quiet for long enough, and says what follows. While anyone
    /// speaks the watermark is the least of those who do; once nobody does it is held.
    pub fn settle(&mut self, now: ProcessingTime) -> Settled {
        let before = self.combined();
        for index in 0..self.splits.len() {
            if self.idle_at(&self.splits[index]).is_some_and(|due| due <= now) {
                self.splits[index].state = SplitState::Idle;
            }
        }
        let silent = !self.splits.iter().any(|s| s.state.holds());
        let ended = self.splits.iter().all(|s| s.state == SplitState::Ended);
        let became_idle = silent && !ended && !self.idle;
        self.idle |= became_idle;
        // An advance that made no difference so far still goes out before the silence.
        let pending = if silent { before } else { self.combined() };
        let worth = if silent { EventTime::MIN } else { self.merge.next };
        let watermark = pending.filter(|&w| w > self.merge.marked && w >= worth);
        if let Some(watermark) = watermark {
            self.merge.mark(watermark);
        }
        Settled { watermark, became_idle }
    }

    /// An advance that made no difference so far, and goes out all the same: in front of a barrier.
    pub fn take_pending(&mut self) -> Option<EventTime> {
        let pending = self.combined().filter(|&watermark| watermark > self.merge.marked)?;
        self.merge.mark(pending);
        Some(pending)
    }

    /// What of each split's generator outlives the task. Idleness does not (semantics rule 5).
    pub fn greatest(&self) -> impl Iterator<Item = (u32, EventTime)> {
        self.splits.iter().map(|split| (split.id, split.rule.greatest()))
    }

    /// Goes on from what [`Generators::greatest`] gave for a split.
    pub fn resume(&mut self, split: u32, greatest: EventTime) {
        if let Some(place) = self.place(split) {
            self.splits[place].rule.resume(greatest);
        }
    }

    /// Whether a split has ended.
    pub fn has_ended(&self, split: u32) -> bool {
        self.place(split).is_some_and(|place| self.splits[place].state == SplitState::Ended)
    }

    /// The splits, in their order.
    pub fn splits(&self) -> impl Iterator<Item = u32> {
        self.splits.iter().map(|split| split.id)
    }

    /// When [`Generators::settle`] will next find something idle, if nothing is read until then.
    pub fn next_idle(&self) -> Option<ProcessingTime> {
        self.splits.iter().filter_map(|split| self.idle_at(split)).min()
    }

    /// Whether every split is idle or ended.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    fn idle_at(&self, split: &Split<T>) -> Option<ProcessingTime> {
        match split.state {
            SplitState::Quiet(since) => self.idle_after.map(|span| since.plus(span)),
            _ => None,
        }
    }

    fn combined(&self) -> Option<EventTime> {
        self.splits.iter().filter(|s| s.state.holds()).map(|s| s.rule.watermark()).min()
    }

    fn place(&self, split: u32) -> Option<usize> {
        self.splits.iter().position(|s| s.id == split)
    }
}

#[cfg(test)]
mod tests;
