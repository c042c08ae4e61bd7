//! The work by hand: generator, windows and sum in one loop, without keys groups, checkpoints, late
//! records or anything else that an engine is for. What no engine will beat on this machine.
//! The events are in [`super::workload`].

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

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

/// What one worker sends the other: events of its keys, and how far its own time has come.
struct Parcel {
    events: Vec<(i64, Event)>,
    watermark: i64,
}

/// One of two symmetric workers: makes events, keeps its own keys, sends the others.
struct Worker {
    me: usize,
    generator: Generator,
    windows: Windows,
    to: SyncSender<Parcel>,
    from: Receiver<Parcel>,
    peer_watermark: i64,
    spare: Vec<Vec<(i64, Event)>>,
}

/// Whose key it is.
#[inline(always)]
fn owner(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63) as usize
}

impl Worker {
    fn run(mut self) -> Total {
        while self.generator.left() > 0 {
            let mut other =
                self.spare.pop().unwrap_or_else(|| Vec::with_capacity(2 * ROWS as usize));
            for _ in 0..self.generator.left().min(2 * ROWS) {
                let (time, event) = self.generator.next();
                if owner(event.key) == self.me {
                    self.windows.add(time, &event);
                } else {
                    other.push((time, event));
                }
            }
            let watermark = self.generator.watermark();
            self.send(Parcel { events: other, watermark });
            for _ in 0..2 {
                match self.from.try_recv() {
                    Ok(parcel) => self.take(parcel),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            self.windows.advance(watermark.min(self.peer_watermark));
        }
        while self.peer_watermark < i64::MAX {
            let parcel = self.from.recv().expect("the peer sends its end");
            self.take(parcel);
            self.windows.advance(self.peer_watermark);
        }
        self.windows.total()
    }

    fn send(&mut self, mut parcel: Parcel) {
        loop {
            match self.to.try_send(parcel) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => parcel = back,
            }
            if let Ok(incoming) = self.from.try_recv() {
                self.take(incoming);
            } else {
                std::thread::yield_now();
            }
        }
    }

    fn take(&mut self, mut parcel: Parcel) {
        parcel.events.iter().for_each(|(time, event)| self.windows.add(*time, event));
        self.peer_watermark = parcel.watermark;
        parcel.events.clear();
        self.spare.push(parcel.events);
    }
}

/// Two threads that exchange what belongs to the other, by channel.
#[expect(clippy::disallowed_methods, reason = "the limit is written without the engine")]
pub fn exchanged(keys: u64, events: u64) -> Total {
    let ((to_a, from_b), (to_b, from_a)) = (sync_channel(64), sync_channel(64));
    let worker = |me: usize, to, from| {
        let generator = Generator::new((me as u64, 2), keys, events / 2);
        let (windows, spare) = (Windows::default(), Vec::new());
        let peer_watermark = i64::MIN;
        let worker = Worker { me, generator, windows, to, from, peer_watermark, spare };
        std::thread::spawn(move || worker.run())
    };
    let workers = [worker(0, to_b, from_b), worker(1, to_a, from_a)];
    let mut all = Total::default();
    for worker in workers {
        let total = worker.join().expect("no worker fails");
        all.panes += total.panes;
        all.records += total.records;
        all.sum += total.sum;
    }
    all
}
