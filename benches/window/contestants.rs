//! Who runs the WINDOW workload: the loops written by hand, the operators alone, the whole engine.
//! Measures nothing but the span of one run; rounds, medians and ratios are made by [`crate`].
//! The work itself is in `workload`.

use std::time::{Duration, Instant};

use crate::workload::Total;
use crate::{engine, limit, operators};

/// A way to do the work: its name, and what does it and says how long it took.
pub type Contestant = (&'static str, fn(keys: u64, events: u64) -> (Total, Duration));

/// On one thread. The first is what the others are measured against.
pub const ALONE: &[Contestant] = &[
    ("1: fused loop by hand", |keys, events| timed(limit::fused, keys, events)),
    ("1: operators without runtime", |keys, events| timed(operators::run, keys, events)),
    ("1: the engine", engine::one),
];

/// On two threads, with an exchange between them.
pub const TOGETHER: &[Contestant] = &[
    ("2: exchange by hand", |keys, events| timed(limit::exchanged, keys, events)),
    ("2: the engine, over TCP", engine::two),
];

fn timed(run: fn(u64, u64) -> Total, keys: u64, events: u64) -> (Total, Duration) {
    let start = now();
    (run(keys, events), start.elapsed())
}

/// The time, for spans.
#[expect(clippy::disallowed_methods, reason = "a bench measures the wall clock")]
pub fn now() -> Instant {
    Instant::now()
}
