//! A bounded source whose records are a pure function of split and position: the same in every
//! run, on every host, at every parallelism. Reads nothing and remembers only how far it is.
//! The ledger job of `slackwater-jobs` is made of it; for data from outside see [`crate::log`].

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use slackwater_core::element::Batch;
use slackwater_core::time::{EventTime, ProcessingTime};
use slackwater_dataflow::connector::{
    ConnectorError, Opening, Position, Pulled, Source, SourceReader, Splits,
};
use slackwater_runtime::host::{Host, LocalFuture, of};

/// Makes the record at a position of a split.
type Make<T> = dyn Fn(u32, u64) -> (EventTime, T) + Send + Sync;

/// A generated source.
pub struct Generate<T> {
    splits: u32,
    rows: u64,
    every: Duration,
    make: Arc<Make<T>>,
}

impl<T> fmt::Debug for Generate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generate({} splits of {} rows)", self.splits, self.rows)
    }
}

/// A source of `splits` × `rows` records; `make` gives time and record at (split, position).
///
/// ```
/// use slackwater_connect::generate;
/// use slackwater_core::time::EventTime;
/// let squares = generate::source(2, 100, |split, at| {
///     (EventTime::from_millis(at as i64), (split, at * at))
/// });
/// ```
pub fn source<T>(
    splits: u32,
    rows: u64,
    make: impl Fn(u32, u64) -> (EventTime, T) + Send + Sync + 'static,
) -> Generate<T> {
    Generate { splits, rows, every: Duration::ZERO, make: Arc::new(make) }
}

impl<T> Generate<T> {
    /// Gives each split one record per `span` of the host's clock; behind, it catches up in a
    /// burst. Without it records come as fast as they are taken.
    #[must_use]
    pub fn every(self, span: Duration) -> Self {
        Self { every: span, ..self }
    }
}

impl<T: 'static> Source for Generate<T> {
    type Item = T;
    type Reader = GenerateReader<T>;

    fn splits(&self) -> Splits {
        Splits::Fixed(self.splits)
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn open(&self, opening: Opening) -> Result<GenerateReader<T>, ConnectorError> {
        let host = of(&opening.outside);
        let mine = (opening.task.subtask.index..self.splits).step_by(opening.parallelism as usize);
        Ok(GenerateReader {
            rows: self.rows,
            every: self.every,
            make: Arc::clone(&self.make),
            started: host.elapsed(),
            given: 0,
            host,
            splits: mine.map(|id| Split { id, next: 0, told: false }).collect(),
            turn: 0,
            sleep: None,
        })
    }
}

struct Split {
    id: u32,
    /// The next position.
    next: u64,
    /// Whether its end has been told.
    told: bool,
}

/// Reads the splits of one subtask, one after the other in turn.
pub struct GenerateReader<T> {
    rows: u64,
    every: Duration,
    make: Arc<Make<T>>,
    started: Duration,
    /// The records of each split that were due before it started: those behind a restored position.
    given: u64,
    host: Arc<dyn Host>,
    splits: Vec<Split>,
    turn: usize,
    sleep: Option<LocalFuture<()>>,
}

impl<T> GenerateReader<T> {
    /// How many records of each split are due by now.
    fn due(&self) -> u64 {
        if self.every.is_zero() {
            return self.rows;
        }
        let gone = self.host.elapsed().saturating_sub(self.started);
        let due = gone.as_nanos() / self.every.as_nanos();
        self.rows.min(u64::try_from(due).unwrap_or(u64::MAX).saturating_add(self.given + 1))
    }

    /// The next split, in turn, with a record below `due`.
    fn next_split(&mut self, due: u64) -> Option<usize> {
        let count = self.splits.len();
        let found = (0..count)
            .map(|step| (self.turn + step) % count)
            .find(|&split| self.splits[split].next < due)?;
        self.turn = (found + 1) % count;
        Some(found)
    }

    /// How long until the split that is least far has its next record.
    fn until_next(&self) -> Duration {
        let open = self.splits.iter().filter(|split| split.next < self.rows);
        let next = open.map(|split| split.next).min().unwrap_or(self.given);
        let nanos = self.every.as_nanos().saturating_mul(u128::from(next - self.given));
        let due = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        (self.started + due).saturating_sub(self.host.elapsed()).max(Duration::from_millis(1))
    }
}

impl<T> SourceReader for GenerateReader<T> {
    type Item = T;

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _now: ProcessingTime,
        max_rows: usize,
        out: &mut Batch<T>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        loop {
            let rows = self.rows;
            if self.splits.iter().all(|split| split.next >= rows) {
                return Poll::Ready(Ok(Pulled::End));
            }
            if let Some(split) = self.splits.iter_mut().find(|s| s.next >= rows && !s.told) {
                split.told = true;
                return Poll::Ready(Ok(Pulled::EndOf { split: split.id }));
            }
            let due = self.due();
            if let Some(at) = self.next_split(due) {
                self.sleep = None;
                let Split { id: split, next: offset, .. } = self.splits[at];
                let end = due.min(offset.saturating_add(max_rows as u64));
                for position in offset..end {
                    let (time, value) = (self.make)(split, position);
                    out.push(time, value);
                }
                self.splits[at].next = end;
                return Poll::Ready(Ok(Pulled::Records { split, offset }));
            }
            let span = self.until_next();
            let sleep = self.sleep.get_or_insert_with(|| self.host.sleep(span));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
    }

    fn positions(&self) -> Vec<Position> {
        let position = |split: &Split| Position {
            split: split.id,
            offset: split.next,
            note: Vec::new(),
            ended: split.next >= self.rows,
        };
        self.splits.iter().map(position).collect()
    }

    fn seek(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        for split in &mut self.splits {
            let Some(to) = positions.iter().find(|to| to.split == split.id) else { continue };
            split.next = to.offset;
        }
        let open = self.splits.iter().filter(|split| split.next < self.rows);
        self.given = open.map(|split| split.next).min().unwrap_or(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use slackwater_core::time::ms;

    use super::*;
    use crate::testing::{Clockwork, opening, read};

    fn all(parallelism: u32, every: Duration) -> (Vec<i64>, BTreeSet<(u32, u64)>) {
        let (mut left, mut seen) = (Vec::new(), BTreeSet::new());
        for index in 0..parallelism {
            let host = Clockwork::at(0, 1);
            let source = source(3, 40, |split, at| (EventTime::from_millis(0), (split, at)));
            let mut reader = source.every(every).open(opening(&host, index, parallelism));
            let rows = read(&host, reader.as_mut().expect("opens"), 999).expect("reads");
            left.extend(rows.iter().map(|(left, ..)| *left));
            seen.extend(rows.into_iter().map(|(_, _, row)| row));
        }
        (left, seen)
    }

    #[test]
    fn every_parallelism_reads_every_record_once() {
        let whole: BTreeSet<_> = (0..3).flat_map(|s| (0..40).map(move |at| (s, at))).collect();
        for parallelism in 1..=3 {
            let (left, seen) = all(parallelism, Duration::ZERO);
            assert_eq!((left.len(), &seen), (120, &whole), "at {parallelism}");
        }
    }

    #[test]
    fn a_paced_split_gives_one_record_per_period() {
        let (left, seen) = all(1, ms(10));
        assert_eq!(seen.len(), 120);
        assert_eq!((left.first(), left.last()), (Some(&0), Some(&390)));
    }
}
