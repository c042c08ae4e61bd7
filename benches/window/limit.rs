//! The work by hand: generator, windows and sum in one loop, without keys groups, checkpoints, late
//! records or anything else that an engine is for. What no engine will beat on this machine.
//! The events are in [`super::workload`].

use std::hash::{BuildHasherDefault, Hasher};

use super::workload::{Event, Generator, Total, WINDOW_MS};

/// How many events pass between two looks at the watermark.
pub const ROWS: u64 = 1_024;

/// A fast hasher for whole numbers: a folded multiplication.
#[derive(Copy, Clone, Default)]
pub struct Folded(u64);

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0xf135_7aea_2e62_a9c5);
        }
    }
    #[inline(always)]
    fn write_u64(&mut self, number: u64) {
        let mixed = u128::from(number ^ self.0 ^ 0x243f_6a88_85a3_08d3);
        let product = mixed * 0x9E37_79B9_7F4A_7C15_u128;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
    #[inline(always)]
    fn finish(&self) -> u64 {
        self.0
    }
}

type Sums = hashbrown::HashMap<u64, (f64, u64), BuildHasherDefault<Folded>>;

/// The open windows, each a map of its own.
#[derive(Default)]
pub struct Windows {
    open: Vec<(i64, Sums)>,
    spare: Vec<Sums>,
    total: Total,
    late: u64,
    fired: i64,
}

impl Windows {
    /// Adds an event to its window.
    #[inline(always)]
    pub fn add(&mut self, time: i64, event: &Event) {
        let window = time.div_euclid(WINDOW_MS);
        for (open, sums) in &mut self.open {
            if *open == window {
                let sum = sums.entry(event.key).or_default();
                sum.0 += event.value;
                sum.1 += 1;
                return;
            }
        }
        self.open(window, event);
    }

    #[cold]
    fn open(&mut self, window: i64, event: &Event) {
        if (window + 1) * WINDOW_MS <= self.fired {
            self.late += 1;
            return;
        }
        let mut sums = self.spare.pop().unwrap_or_default();
        sums.insert(event.key, (event.value, 1));
        self.open.push((window, sums));
    }

    /// Fires what the watermark has passed.
    pub fn advance(&mut self, watermark: i64) {
        let mut index = 0;
        while index < self.open.len() {
            let end = (self.open[index].0 + 1).saturating_mul(WINDOW_MS);
            if end - 1 > watermark {
                index += 1;
                continue;
            }
            let (_, mut sums) = self.open.swap_remove(index);
            sums.values().for_each(|(sum, records)| self.total.add(*sum, *records));
            sums.clear();
            self.spare.push(sums);
            self.fired = self.fired.max(end);
        }
    }

    /// Everything that fired.
    pub fn total(&self) -> Total {
        assert_eq!(self.late, 0, "nothing is late here");
        self.total
    }
}

/// All in one loop.
pub fn fused(keys: u64, events: u64) -> Total {
    let mut generator = Generator::new((0, 1), keys, events);
    let mut windows = Windows::default();
    while generator.left() > 0 {
        for _ in 0..generator.left().min(ROWS) {
            let (time, event) = generator.next();
            windows.add(time, &event);
        }
        windows.advance(generator.watermark());
    }
    windows.total()
}
