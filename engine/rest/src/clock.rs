//! Times as Flink tells them: milliseconds since 1970, on the clock of the job manager.
//! Never asks a clock: all times come with the answer. `-1` is what has not been yet.
//! Where readings come from: `slackwater_runtime::wire::message`.

use std::time::Duration;

use slackwater_core::time::span_millis;
use slackwater_runtime::wire::message::ClockReading;

/// What has not been yet.
pub(crate) const NEVER: i64 = -1;

/// Times of one answer.
#[derive(Copy, Clone)]
pub(crate) struct Times(pub ClockReading);

impl Times {
    /// A time of the job manager's clock.
    pub fn at(self, at: Duration) -> i64 {
        self.0.zero.as_millis().saturating_add(span_millis(at))
    }

    /// When the answer was made.
    pub fn now(self) -> i64 {
        self.at(self.0.now)
    }

    /// Start, end and duration of what began, and may be over.
    pub fn span(self, begun: Duration, over: Option<Duration>) -> (i64, i64, i64) {
        let until = over.unwrap_or(self.0.now);
        let lasted = span_millis(until.saturating_sub(begun));
        (self.at(begun), over.map_or(NEVER, |over| self.at(over)), lasted)
    }
}
