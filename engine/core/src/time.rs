//! Event time and processing time, kept apart by type, and the arithmetic of window edges.
//! Nothing here reads a clock: the host owns the clock and hands out [`ProcessingTime`].
//! Windows are built on [`window_start`] in `slackwater-dataflow`'s `window`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! instant {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// Before everything: "no watermark yet" (i64::MIN is reserved).
            pub const MIN: Self = Self(i64::MIN);
            /// After everything: "the end" (i64::MAX is reserved).
            pub const MAX: Self = Self(i64::MAX);

            /// Milliseconds since the Unix epoch, negative before it.
            pub const fn from_millis(millis: i64) -> Self {
                Self(millis)
            }

            /// Milliseconds since the Unix epoch.
            pub const fn as_millis(self) -> i64 {
                self.0
            }

            /// The instant `span` later; clamps at [`Self::MAX`] and leaves the reserved values alone.
            pub fn plus(self, span: Duration) -> Self {
                self.offset(span_millis(span) as i128)
            }

            /// The instant `span` earlier; clamps at [`Self::MIN`] and leaves the reserved values alone.
            pub fn minus(self, span: Duration) -> Self {
                self.offset(-(span_millis(span) as i128))
            }

            /// Milliseconds from `earlier` to `self`, clamped to i64.
            pub fn millis_since(self, earlier: Self) -> i64 {
                clamp(self.0 as i128 - earlier.0 as i128)
            }

            fn offset(self, millis: i128) -> Self {
                if self == Self::MIN || self == Self::MAX { self } else { Self(clamp(self.0 as i128 + millis)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    Self::MIN => f.pad("MIN"),
                    Self::MAX => f.pad("MAX"),
                    Self(millis) => f.pad(&millis.to_string()),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

instant!(
    /// When something happened, as the data says. A watermark is an event time.
    EventTime
);
instant!(
    /// When something is processed, as the host's clock says; offset and drift included.
    ProcessingTime
);

/// Which clock windows follow: the one word that walkthrough §4 changes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Windows follow the timestamps of the records.
    Event,
    /// Windows follow the host's clock.
    Processing,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Event => "event",
            Self::Processing => "processing",
        })
    }
}

impl std::str::FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "event" => Ok(Self::Event),
            "processing" => Ok(Self::Processing),
            other => Err(format!("expected \"event\" or \"processing\", found {other:?}")),
        }
    }
}

/// Milliseconds as a [`Duration`].
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Seconds as a [`Duration`].
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Minutes as a [`Duration`].
pub const fn mins(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// A span as whole milliseconds, clamped to i64.
pub fn span_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Reads a span: a whole number and a unit, such as `100ms`, `1s`, `60m`, `2h`.
///
/// # Errors
/// What was expected, for a person.
///
/// ```
/// use slackwater_core::time::{mins, parse_span};
/// assert_eq!(parse_span("60m"), Ok(mins(60)));
/// assert!(parse_span("60").is_err());
/// ```
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let expected =
        || format!("expected a span such as \"100ms\", \"1s\", \"60m\" or \"2h\", found {text:?}");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().map_err(|_| expected())?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(expected()),
    };
    number.checked_mul(unit).map(Duration::from_millis).ok_or_else(expected)
}

/// The start of the window of `size` ms (> 0) that holds `time`, windows being laid at `offset`.
///
/// start = time − floorMod(time − offset, size), computed in i128 and clamped: nothing wraps, and
/// negative timestamps fall into the window that lies before the epoch.
///
/// # Panics
/// If `size` is not positive.
///
/// ```
/// use slackwater_core::time::{EventTime, window_start};
/// let at = EventTime::from_millis;
/// assert_eq!(window_start(at(1_999), 1_000, 0), at(1_000));
/// assert_eq!(window_start(at(-1), 1_000, 0), at(-1_000));
/// assert_eq!(window_start(at(1_249), 1_000, 250), at(250));
/// ```
pub fn window_start(time: EventTime, size: i64, offset: i64) -> EventTime {
    assert!(size > 0, "a window has a positive size");
    let time = time.0 as i128;
    EventTime(clamp(time - (time - offset as i128).rem_euclid(size as i128)))
}

fn clamp(value: i128) -> i64 {
    value.clamp(i64::MIN as i128, i64::MAX as i128) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_values_do_not_move_and_nothing_wraps() {
        assert_eq!(EventTime::MIN.plus(secs(1)), EventTime::MIN);
        assert_eq!(EventTime::MAX.minus(secs(1)), EventTime::MAX);
        assert_eq!(EventTime::from_millis(i64::MAX - 1).plus(secs(1)), EventTime::MAX);
        assert_eq!(window_start(EventTime::from_millis(i64::MIN + 1), 1_000, 0), EventTime::MIN);
        assert_eq!(EventTime::MAX.millis_since(EventTime::MIN), i64::MAX);
    }
}
