//! What checkpoints cost a whole job: throughput with one a second over throughput without, for the
//! WINDOW workload and for a running sum over uniformly touched keys, state in files of a folder.
//! Printed are medians of interleaved rounds, the bytes of a checkpoint, how long its state took to
//! write, and the longest time from one batch of the source to the next. Who triggers is this bench:
//! what a coordinator adds is a few messages. Operators alone are measured by the bench `stall`.
//! Arguments: `rounds=3 events=60000000 every_ms=1000 parallelism=1`.

mod job;
#[path = "../window/workload.rs"]
#[expect(dead_code, reason = "only those who do without the engine make watermarks by hand")]
mod workload;

use std::time::Duration;

use job::{Run, Work};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let value =
            |argument: &String| argument.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        arguments.iter().find_map(value).unwrap_or(default)
    };
    let (rounds, events) = (number("rounds", 3), number("events", 60_000_000));
    let every = Duration::from_millis(number("every_ms", 1_000));
    let parallelism = number("parallelism", 1) as u32;
    println!(
        "{:<12} {:>8} {:>9} {:>9} {:>6} {:>6} {:>9} {:>9} {:>9} {:>9}",
        "work",
        "keys",
        "off M/s",
        "on M/s",
        "on/off",
        "taken",
        "MB each",
        "write",
        "gap off",
        "gap on"
    );
    let works = [(Work::Window, 100_000), (Work::Window, 1_000_000), (Work::Sum, 1_000_000)];
    for (work, keys) in works {
        let (mut off, mut on) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let run = |every| job::run(work, (keys, events), parallelism, every);
            let (without, with) = (run(None), run(Some(every)));
            assert_eq!(without.total, with.total, "checkpoints change no result");
            // The first round warms up.
            if round > 0 {
                off.push(without);
                on.push(with);
            }
        }
        print(&format!("{work:?}"), keys, events, (&mut off, &mut on));
    }
}

fn print(work: &str, keys: u64, events: u64, (off, on): (&mut [Run], &mut [Run])) {
    let rate = |runs: &mut [Run]| {
        runs.sort_by_key(|run| run.took);
        events as f64 / runs[runs.len() / 2].took.as_secs_f64() / 1e6
    };
    let (without, with) = (rate(off), rate(on));
    let gap = |runs: &[Run]| runs.iter().map(|run| run.gap).max().unwrap_or_default();
    let taken = on.iter().map(|run| run.taken).sum::<u64>();
    let bytes = on.iter().map(|run| run.bytes).sum::<u64>() as f64 / 1e6 / taken.max(1) as f64;
    let write = on.iter().map(|run| run.write).max().unwrap_or_default();
    println!(
        "{work:<12} {keys:>8} {without:>9.2} {with:>9.2} {:>6.3} {taken:>6} {bytes:>9.2} {write:>9.1?} {:>9.1?} {:>9.1?}",
        with / without,
        gap(off),
        gap(on),
    );
}
