//! The events of the WINDOW workload: a generator without I/O, one hundred thousand events to the
//! second of event time, out of order by up to half a second.
//! The same for every contestant; what is done with them is in the files beside.

use serde::{Deserialize, Serialize};

/// Event time of the first event: whole seconds.
const BEGIN_MS: i64 = 1_000_000_000;
/// Events of one millisecond, over all generators.
const PER_MS: u64 = 100;
/// How far an event may lie behind the time reached.
pub const DISORDER_MS: i64 = 500;
/// The size of the windows.
pub const WINDOW_MS: i64 = 1_000;

/// One event; its timestamp travels beside it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Uniform below the number of keys.
    pub key: u64,
    /// A small whole number: sums are exact in any order.
    pub value: f64,
}

/// What came out, added up.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct Total {
    /// Pairs of window and key.
    pub panes: u64,
    /// Records in them.
    pub records: u64,
    /// The sum of their values.
    pub sum: f64,
}

impl Total {
    /// Adds one pane.
    #[inline]
    pub fn add(&mut self, sum: f64, records: u64) {
        self.panes += 1;
        self.records += records;
        self.sum += sum;
    }
}

/// One of several generators (xorshift64).
#[derive(Clone, Debug)]
pub struct Generator {
    state: u64,
    made: u64,
    events: u64,
    peers: u64,
    keys: u64,
}

impl Generator {
    /// Number `index` of `peers`, which makes `events` events.
    pub fn new((index, peers): (u64, u64), keys: u64, events: u64) -> Self {
        let state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(index * 2 + 1);
        Self { state, made: 0, events, peers, keys }
    }

    /// How many are left.
    pub fn left(&self) -> u64 {
        self.events - self.made
    }

    /// The next event and its time in milliseconds. Call it no more often than there are any left.
    #[inline(always)]
    pub fn next(&mut self) -> (i64, Event) {
        let reached = self.reached();
        self.made += 1;
        let mut x = self.state;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.state = x;
        // The key from the high bits, the disorder from the middle, the value from the low ones.
        let key = ((u128::from(x) * u128::from(self.keys)) >> 64) as u64;
        let behind = (((x & 0xffff_ffff) * (DISORDER_MS as u64 + 1)) >> 32) as i64;
        let value = ((x >> 11) & 0xff) as f64;
        (reached - behind, Event { key, value })
    }

    #[inline(always)]
    fn reached(&self) -> i64 {
        BEGIN_MS + (self.made * self.peers / PER_MS) as i64
    }

    /// No later event has a timestamp up to this.
    #[inline(always)]
    pub fn watermark(&self) -> i64 {
        if self.left() == 0 { i64::MAX } else { self.reached() - DISORDER_MS - 1 }
    }
}
