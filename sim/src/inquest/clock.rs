//! How long a search has taken, by the clock on the wall.
//! Nothing in a world ever sees it: it ends a search, and stands beside what was found. Asked by
//! [`super::trial`].

use std::time::{Duration, Instant};

/// A stopwatch.
#[derive(Copy, Clone, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    /// Begins to count.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a search takes, never what is in a run"
    )]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago that was.
    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
