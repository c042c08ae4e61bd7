//! The WINDOW workload beside the same thing written by hand: records of 1k, 100k and 1M keys, sum
//! and count per key in 1 s tumbling event-time windows, everything added up at the end.
//! Rounds of all contestants are interleaved, because the machine has fast and slow phases; printed
//! are medians and their ratios. Arguments say what is run: `rounds=5 events=10000000 keys=1000
//! only=fused`, the last for a profiler: only contestants whose names contain it. With confidence
//! intervals, but one contestant after the other: the bench `window_criterion`.

mod contestants;
mod engine;
mod limit;
mod operators;
mod workload;

use std::time::Duration;

use contestants::{ALONE, Contestant, TOGETHER};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let given = |name: &str| {
        let value =
            |argument: &String| Some(argument.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        arguments.iter().find_map(value)
    };
    let number = |name, default| given(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, events) = (number("rounds", 5), number("events", 10_000_000));
    let (one, only) = (number("keys", 0), given("only").unwrap_or_default());
    let wanted = |all: &[Contestant]| -> Vec<Contestant> {
        all.iter().filter(|contestant| contestant.0.contains(&only)).copied().collect()
    };
    let (alone, together) = (wanted(ALONE), wanted(TOGETHER));
    println!("{:<28} {:>8} {:>12} {:>8}", "WINDOW", "keys", "M events/s", "ratio");
    for keys in [1_000, 100_000, 1_000_000].into_iter().filter(|keys| one == 0 || one == *keys) {
        compare(&alone, keys, events, rounds);
        compare(&together, keys, events, rounds);
    }
}

/// Runs all contestants in turn, as many rounds as asked for, and prints medians.
fn compare(contestants: &[Contestant], keys: u64, events: u64, rounds: u64) {
    let mut took: Vec<Vec<Duration>> = contestants.iter().map(|_| Vec::new()).collect();
    let mut expected = None;
    for round in 0..=rounds {
        for ((name, run), took) in contestants.iter().zip(&mut took) {
            let (total, span) = run(keys, events);
            assert_eq!(total.records, events, "{name} lost or doubled records");
            assert_eq!(*expected.get_or_insert(total), total, "{name} found other sums");
            // The first round warms up.
            if round > 0 {
                took.push(span);
            }
        }
    }
    let rate = |took: &mut Vec<Duration>| {
        took.sort();
        events as f64 / took[took.len() / 2].as_secs_f64() / 1e6
    };
    let rates: Vec<f64> = took.iter_mut().map(rate).collect();
    for ((name, _), rate) in contestants.iter().zip(&rates) {
        println!("{name:<28} {keys:>8} {rate:>12.2} {:>8.2}", rate / rates[0]);
    }
}
