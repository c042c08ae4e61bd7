//! Windows: how time is cut ([`Tumbling`]), what is computed per key and window ([`aggregate`]),
//! and the operator that holds what is open and fires it ([`WindowStage`]).
//! Event-time windows fire on watermarks, never on arrival; nothing here reads a clock.
//! Watermarks come from `crate::gate`; the state's format is in [`crate::state`].

pub mod aggregate;
mod exact;
mod firing;
mod lateness;
pub(crate) mod snapshot;
mod stage;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::time::EventTime;

pub use aggregate::Aggregate;
pub use exact::ExactSum;
pub(crate) use snapshot::WATERMARK;
pub use stage::{WindowStage, Windowing};

/// A span of event time, half-open: `start` belongs to it, `end` does not.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first millisecond.
    pub start: EventTime,
    /// The first millisecond after it.
    pub end: EventTime,
}

impl Window {
    /// The last millisecond: a watermark that reaches it fires the window, and results carry it
    /// as their timestamp, so that they are never late downstream.
    pub fn last(&self) -> EventTime {
        EventTime::from_millis(self.end.as_millis() - 1)
    }
}

/// What a window gave for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pane<K, A> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
    /// The result of the aggregate.
    pub value: A,
}

/// Windows of one size, side by side: every record is in exactly one.
///
/// ```
/// use slackwater_core::time::{EventTime, ms, secs};
/// use slackwater_dataflow::window::tumbling;
/// let windows = tumbling(secs(1)).offset(ms(250));
/// let window = windows.window_of(EventTime::from_millis(-1));
/// assert_eq!((window.start.as_millis(), window.end.as_millis()), (-750, 250));
/// assert_eq!(windows.quantum(), 250);
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Tumbling {
    size: Duration,
    offset: Duration,
    lateness: Duration,
}

/// Windows of `size`, a whole number of milliseconds and at least one; see [`Tumbling::check`].
pub fn tumbling(size: Duration) -> Tumbling {
    Tumbling { size, offset: Duration::ZERO, lateness: Duration::ZERO }
}

impl Tumbling {
    /// Lays the windows so that one starts `offset` after the epoch. Default: at the epoch.
    #[must_use]
    pub fn offset(self, offset: Duration) -> Self {
        Self { offset, ..self }
    }

    /// Keeps fired windows for `lateness` of event time: a record that comes late within it is
    /// added, and its key fires again at once. Default: zero.
    #[must_use]
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { lateness, ..self }
    }

    /// Whether such windows can be: every span in whole milliseconds, the size at least one.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn check(&self) -> Result<(), String> {
        if self.size.is_zero() {
            return Err("a window has a size of at least 1 ms".into());
        }
        for (what, span) in
            [("size", self.size), ("offset", self.offset), ("allowed lateness", self.lateness)]
        {
            if span.subsec_nanos() % 1_000_000 != 0 {
                return Err(format!("the {what} of a window is {span:?}: use whole milliseconds"));
            }
        }
        Ok(())
    }

    /// The window that holds `time`. Bounds are computed in i128 and clamped: nothing wraps. The
    /// two reserved instants are taken for the milliseconds next to them.
    pub fn window_of(&self, time: EventTime) -> Window {
        let time = i128::from(time.as_millis().clamp(i64::MIN + 1, i64::MAX - 1));
        let size = millis(self.size);
        let start = time - (time - millis(self.offset)).rem_euclid(size);
        Window { start: clamped(start), end: clamped(start + size) }
    }

    /// The watermark from which on a record for `window` is late and nothing of it is kept: its
    /// last millisecond plus the allowed lateness, clamped.
    pub fn cleanup(&self, window: Window) -> EventTime {
        clamped(i128::from(window.last().as_millis()) + millis(self.lateness))
    }

    /// How far fired windows stay open.
    pub fn lateness(&self) -> Duration {
        self.lateness
    }

    /// The grid of the watermarks that such windows can tell apart, in milliseconds: a watermark
    /// changes something only when it reaches a multiple of this, less one.
    pub fn quantum(&self) -> i64 {
        let (size, offset) = (millis(self.size), millis(self.offset));
        let all = gcd(gcd(size, offset.rem_euclid(size.max(1))), millis(self.lateness));
        i64::try_from(all).unwrap_or(i64::MAX).max(1)
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn millis(span: Duration) -> i128 {
    i128::try_from(span.as_millis()).unwrap_or(i128::from(i64::MAX))
}

fn clamped(millis: i128) -> EventTime {
    EventTime::from_millis(millis.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

#[cfg(test)]
mod assigner_tests {
    use slackwater_core::time::{ms, secs};

    use super::*;

    fn check(windows: Tumbling, times: &[(i64, (i64, i64))]) {
        for &(time, expected) in times {
            let window = windows.window_of(EventTime::from_millis(time));
            assert_eq!((window.start.as_millis(), window.end.as_millis()), expected, "{time}");
        }
    }

    #[test]
    fn a_record_lies_in_the_window_whose_start_it_has_reached() {
        let second = tumbling(secs(1));
        check(
            second,
            &[
                (0, (0, 1_000)),
                (999, (0, 1_000)),
                (1_000, (1_000, 2_000)),
                (-1, (-1_000, 0)),
                (-1_000, (-1_000, 0)),
                (-1_001, (-2_000, -1_000)),
            ],
        );
        check(second.offset(ms(250)), &[(249, (-750, 250)), (250, (250, 1_250))]);
        check(tumbling(ms(1)), &[(-1, (-1, 0)), (0, (0, 1))]);
    }

    #[test]
    fn no_bound_wraps_at_the_ends_of_time() {
        let (min, max) = (i64::MIN, i64::MAX);
        let top = (max - max % 1_000, max);
        check(tumbling(secs(1)), &[(max, top), (max - 1, top), (max - 807, top)]);
        let bottom = (min, min + 808);
        check(tumbling(secs(1)), &[(min, bottom), (min + 1, bottom), (min + 807, bottom)]);
        check(tumbling(ms(1)), &[(max, (max - 1, max)), (min, (min + 1, min + 2))]);
        check(tumbling(Duration::MAX), &[(0, (0, max)), (-1, (min, 0))]);
        let kept = tumbling(secs(1)).allowed_lateness(Duration::MAX);
        assert_eq!(kept.cleanup(kept.window_of(EventTime::MAX)), EventTime::MAX);
    }

    #[test]
    fn the_quantum_divides_every_instant_at_which_something_changes() {
        assert_eq!(tumbling(secs(1)).quantum(), 1_000);
        assert_eq!(tumbling(secs(1)).offset(secs(7)).quantum(), 1_000);
        assert_eq!(tumbling(secs(1)).offset(ms(250)).allowed_lateness(ms(100)).quantum(), 50);
        assert_eq!(tumbling(ms(7)).allowed_lateness(ms(3)).quantum(), 1);
    }

    #[test]
    fn a_size_of_nothing_or_of_half_a_millisecond_is_refused() {
        assert!(tumbling(secs(1)).check().is_ok());
        assert!(tumbling(Duration::ZERO).check().is_err());
        let half = Duration::from_micros(1_500);
        assert_eq!(
            tumbling(secs(1)).offset(half).check(),
            Err("the offset of a window is 1.5ms: use whole milliseconds".into())
        );
    }
}
