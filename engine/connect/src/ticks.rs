//! The demo's timestamp source: one tick per period, on the grid for ever (walkthrough W6).
//! The host's clock says when a tick leaves and never what time it carries: jitter and slowdown
//! move the leaving, event time stays exact. Ticks that are due already leave in one burst.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use slackwater_core::element::Batch;
use slackwater_core::random::RandomStream;
use slackwater_core::time::{EventTime, ProcessingTime, span_millis, window_start};
use slackwater_dataflow::connector::{
    ConnectorError, Opening, Position, Pulled, Source, SourceReader, Splits,
};
use slackwater_runtime::host::{Host, LocalFuture, of};

/// A source of ticks; each record is its own timestamp.
///
/// ```
/// use slackwater_connect::ticks::Ticks;
/// use slackwater_core::time::{ms, secs};
/// let ticks = Ticks::every(ms(100)).jitter(ms(100)).slowdown(2).until(secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct Ticks {
    every_ms: i64,
    jitter_ms: i64,
    slowdown: u32,
    ticks: Option<u64>,
}

impl Ticks {
    /// One tick per `period`, the first at the start of the second in which the source opens.
    ///
    /// # Panics
    /// If the period is shorter than 1 ms.
    pub fn every(period: Duration) -> Self {
        let every_ms = span_millis(period);
        assert!(every_ms > 0, "a tick takes at least 1 ms");
        Self { every_ms, jitter_ms: 0, slowdown: 1, ticks: None }
    }

    /// Lets each tick leave nine tenths of `span` after its time, give or take up to `span`, drawn
    /// from the host's stream `jitter`: what breaks processing-time windows in walkthrough §4. Never
    /// before its time, and never before the tick in front of it.
    #[must_use]
    pub fn jitter(self, span: Duration) -> Self {
        Self { jitter_ms: span_millis(span), ..self }
    }

    /// Lets event time run `factor` times slower than the clock (walkthrough W48); 0 counts as 1.
    #[must_use]
    pub fn slowdown(self, factor: u32) -> Self {
        Self { slowdown: factor.max(1), ..self }
    }

    /// Ends after `span` of event time: the source becomes bounded.
    #[must_use]
    pub fn until(self, span: Duration) -> Self {
        let ticks = span_millis(span) / self.every_ms;
        Self { ticks: Some(ticks as u64), ..self }
    }
}

impl Source for Ticks {
    type Item = EventTime;
    type Reader = TickReader;

    fn splits(&self) -> Splits {
        Splits::One
    }

    fn is_bounded(&self) -> bool {
        self.ticks.is_some()
    }

    fn open(&self, opening: Opening) -> Result<TickReader, ConnectorError> {
        let host = of(&opening.outside);
        let random = host.random("jitter");
        Ok(TickReader { ticks: self.clone(), host, random, start: None, next: 0, wait: None })
    }
}

/// Reads the ticks.
pub struct TickReader {
    ticks: Ticks,
    host: Arc<dyn Host>,
    random: RandomStream,
    start: Option<i64>,
    next: u64,
    wait: Option<Wait>,
}

/// The tick that is waited for.
struct Wait {
    due_ms: i64,
    sleep: Option<LocalFuture<()>>,
}

impl TickReader {
    /// When tick `index` leaves, by the wall clock, given that the first one carries `start`.
    fn draw_due(&mut self, start: i64, index: u64) -> i64 {
        let after = index as i64 * self.ticks.every_ms * i64::from(self.ticks.slowdown);
        let jitter = self.ticks.jitter_ms;
        // With a whole span the last but one tick of a second could leave on the second's edge, and
        // a poll later over it: walkthrough T3 knows of one misplaced tick at an edge, not of two.
        let late =
            if jitter > 0 { jitter * 9 / 10 + self.random.between(-jitter, jitter) } else { 0 };
        start + after + late.max(0)
    }

    fn is_over(&self) -> bool {
        self.ticks.ticks.is_some_and(|ticks| self.next >= ticks)
    }
}

impl SourceReader for TickReader {
    type Item = EventTime;

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        now: ProcessingTime,
        max_rows: usize,
        out: &mut Batch<EventTime>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        let floor = || window_start(EventTime::from_millis(now.as_millis()), 1_000, 0).as_millis();
        let start = *self.start.get_or_insert_with(floor);
        let first = self.next;
        let mut now = now;
        while out.rows() < max_rows && !self.is_over() {
            let mut wait = match self.wait.take() {
                Some(wait) => wait,
                None => Wait { due_ms: self.draw_due(start, self.next), sleep: None },
            };
            if wait.due_ms <= now.as_millis() {
                let time = start + self.next as i64 * self.ticks.every_ms;
                out.push(EventTime::from_millis(time), EventTime::from_millis(time));
                self.next += 1;
                continue;
            }
            if self.next > first {
                self.wait = Some(wait);
                break;
            }
            let missing = (wait.due_ms - now.as_millis()) as u64;
            let sleep =
                wait.sleep.get_or_insert_with(|| self.host.sleep(Duration::from_millis(missing)));
            let slept = sleep.as_mut().poll(cx);
            if slept.is_ready() {
                wait.sleep = None;
                now = self.host.wall().max(now);
            }
            self.wait = Some(wait);
            if slept.is_pending() {
                ready!(Poll::<()>::Pending);
            }
        }
        Poll::Ready(Ok(match self.next > first {
            true => Pulled::Records { split: 0, offset: first },
            false => Pulled::End,
        }))
    }

    /// The note is the time of the first tick: without it the ticks would begin anew.
    fn positions(&self) -> Vec<Position> {
        let note = self.start.map_or(Vec::new(), |start| start.to_le_bytes().to_vec());
        vec![Position { split: 0, offset: self.next, note, ended: self.is_over() }]
    }

    fn seek(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        let Some(to) = positions.iter().find(|position| position.split == 0) else {
            return Ok(());
        };
        self.next = to.offset;
        if !to.note.is_empty() {
            let note = <[u8; 8]>::try_from(&*to.note);
            let start = note.map_err(|_| ConnectorError::fatal("not the position of a tick"))?;
            self.start = Some(i64::from_le_bytes(start));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use slackwater_core::time::{ms, secs};

    use super::*;
    use crate::testing::{Clockwork, opening, read};

    /// When each tick left and what time it carries, of a source opened at `start`.
    fn run(ticks: Ticks, start: i64, count: usize) -> Vec<(i64, i64)> {
        let host = Clockwork::at(start, 42);
        let mut reader = ticks.open(opening(&host, 0, 1)).expect("opens");
        let read = read(&host, &mut reader, count).expect("reads");
        read.into_iter().map(|(left, at, _)| (left, at.as_millis())).collect()
    }

    #[test]
    fn ticks_start_at_the_floor_of_the_second_and_catch_up_in_a_burst() {
        let seen = run(Ticks::every(ms(100)), 12_345, 6);
        let times = [12_000, 12_100, 12_200, 12_300, 12_400, 12_500];
        assert_eq!(seen.iter().map(|(_, at)| *at).collect::<Vec<_>>(), times);
        let left: Vec<_> = seen.iter().map(|(left, _)| *left).collect();
        assert_eq!(left, [12_345, 12_345, 12_345, 12_345, 12_400, 12_500]);
    }

    #[test]
    fn jitter_moves_the_leaving_over_the_edge_of_a_second_and_never_the_time() {
        let seen = run(Ticks::every(ms(100)).jitter(ms(100)), 0, 20_000);
        let mut by_second = BTreeMap::<i64, u32>::new();
        for (index, (left, at)) in seen.iter().enumerate() {
            assert_eq!(*at, index as i64 * 100);
            assert!((0..=200).contains(&(left - at)), "left at {left}, carries {at}");
            *by_second.entry(left.div_euclid(1_000)).or_default() += 1;
        }
        let counts = || by_second.values().skip(1).take(1_900);
        let share = |n| counts().filter(|count| **count == n).count() as f64 / 1_900.0;
        // Walkthrough T3: 9, 10 or 11 ticks a window in 25, 49 and 25 % of windows.
        for (ticks, expected) in [(9, 0.25), (10, 0.5), (11, 0.25)] {
            assert!((share(ticks) - expected).abs() < 0.05, "{ticks}: {}", share(ticks));
        }
    }

    #[test]
    fn slowed_down_event_time_runs_slower_and_stays_on_the_grid_until_its_end() {
        let seen = run(Ticks::every(ms(100)).slowdown(3).until(secs(1)), 5_000, 99);
        let expected: Vec<_> = (0..10).map(|at| (5_000 + at * 300, 5_000 + at * 100)).collect();
        assert_eq!(seen, expected);
    }
}
