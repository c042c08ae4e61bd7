//! The rules by which the watermark of one split follows from its records, one after the other.
//! Knows nothing of other splits but the least of their watermarks, and never reads a clock.
//! Splits and idleness are in [`super`].

use slackwater_core::element::{Batch, Mark};
use slackwater_core::time::EventTime;

use super::Quantum;

/// A generator of one split.
pub(super) trait Rule<T>: Send + Sync {
    /// Walks over the rows of a batch and offers a watermark behind each that advances it.
    fn walk(&mut self, batch: &mut Batch<T>, merge: &mut Merge);
    /// How far it has come.
    fn watermark(&self) -> EventTime;
    /// What of it outlives the task: the greatest timestamp, or the greatest watermark said.
    fn greatest(&self) -> EventTime;
    /// Goes on from what [`Rule::greatest`] gave.
    fn resume(&mut self, greatest: EventTime);
    fn boxed_clone(&self) -> Box<dyn Rule<T>>;
}

/// As far behind the greatest timestamp as records may be late.
#[derive(Clone)]
pub(super) struct Bounded {
    pub bound: i64,
    pub greatest: EventTime,
    pub watermark: EventTime,
}

impl Bounded {
    /// The watermark behind this greatest timestamp; none yet if there was no record.
    fn after(&self, greatest: EventTime) -> EventTime {
        let millis = greatest.as_millis().saturating_sub(self.bound).saturating_sub(1);
        EventTime::from_millis(millis)
    }

    fn reach(&mut self, greatest: EventTime) {
        self.watermark = self.after(greatest);
        self.greatest = greatest;
    }
}

impl<T> Rule<T> for Bounded {
    fn walk(&mut self, batch: &mut Batch<T>, merge: &mut Merge) {
        // Few batches bring a watermark that is worth a mark; the others are told by their
        // greatest timestamp alone.
        let greatest = batch.times.iter().copied().fold(self.greatest, EventTime::max);
        if self.after(greatest) < merge.next {
            self.reach(greatest);
            return;
        }
        for (row, &time) in (1u32..).zip(&batch.times) {
            if time > self.greatest {
                self.reach(time);
                if self.watermark >= merge.next {
                    merge.offer(&mut batch.marks, row, self.watermark);
                }
            }
        }
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn greatest(&self) -> EventTime {
        self.greatest
    }

    fn resume(&mut self, greatest: EventTime) {
        self.reach(greatest);
    }

    fn boxed_clone(&self) -> Box<dyn Rule<T>> {
        Box::new(self.clone())
    }
}

/// As the records themselves say.
#[derive(Clone)]
pub(super) struct Punctuated<F> {
    pub f: F,
    pub watermark: EventTime,
}

impl<T, F> Rule<T> for Punctuated<F>
where
    F: FnMut(&T, EventTime) -> Option<EventTime> + Clone + Send + Sync + 'static,
{
    fn walk(&mut self, batch: &mut Batch<T>, merge: &mut Merge) {
        let Batch { times, values, marks } = batch;
        for (row, (&time, value)) in (1u32..).zip(times.iter().zip(values.iter())) {
            let Some(said) = (self.f)(value, time) else { continue };
            // MAX is reserved: only the end of the input may say it.
            let said = said.min(EventTime::from_millis(i64::MAX - 1));
            if said > self.watermark {
                self.watermark = said;
                if said >= merge.next {
                    merge.offer(marks, row, said);
                }
            }
        }
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn greatest(&self) -> EventTime {
        self.watermark
    }

    fn resume(&mut self, greatest: EventTime) {
        self.watermark = greatest;
    }

    fn boxed_clone(&self) -> Box<dyn Rule<T>> {
        Box::new(self.clone())
    }
}

/// What has been marked so far, and what the other splits allow.
#[derive(Debug)]
pub(super) struct Merge {
    pub quantum: Quantum,
    pub marked: EventTime,
    /// The first watermark that is worth a mark.
    pub next: EventTime,
    /// The least over the other active splits.
    pub others: EventTime,
}

impl Merge {
    pub fn offer(&mut self, marks: &mut Vec<Mark>, row: u32, watermark: EventTime) {
        let watermark = watermark.min(self.others);
        if watermark >= self.next {
            marks.push(Mark { row, watermark });
            self.mark(watermark);
        }
    }

    pub fn mark(&mut self, watermark: EventTime) {
        assert!(watermark > self.marked, "a watermark never goes back");
        self.marked = watermark;
        self.next = self.quantum.next_after(watermark);
    }
}
