//! What a checkpoint costs the stream: the longest stall of one batch and of one slice, and how much
//! longer everything takes, for a running sum and for windows over uniformly touched keys.
//! Operators alone, on one thread: a slice of the fork after each batch, as the runtime does it.
//! Arguments: `keys=1000000 batches=6000 every=1500 rounds=3`. What a barrier costs a whole job is
//! measured by the checkpoint scenarios.

use std::time::{Duration, Instant};

use slackwater_core::element::{Barrier, BarrierKind, Batch, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, VertexId};
use slackwater_core::key::DEFAULT_MAX_PARALLELISM;
use slackwater_core::time::{Clock, EventTime, ProcessingTime, ms};
use slackwater_dataflow::operator::keyed_scan::KeyedScan;
use slackwater_dataflow::operator::tee::Discard;
use slackwater_dataflow::operator::{BoxStage, Context, Counts, Outputs, Progress};
use slackwater_dataflow::state::{Fork, Groups};
use slackwater_dataflow::window::aggregate::fold;
use slackwater_dataflow::window::{WindowStage, Windowing, tumbling};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 1_024;

type Row = (u64, f64);

/// What was measured.
#[derive(Clone, Copy, Default)]
struct Seen {
    batch_max: Duration,
    barrier_max: Duration,
    slice_max: Duration,
    slices: u32,
    bytes: usize,
    whole: Duration,
}

fn groups() -> Groups {
    Groups::of_subtask(0, 1, DEFAULT_MAX_PARALLELISM)
}

fn running_sum() -> BoxStage<Row> {
    let add = |sum: &mut f64, row: Row| {
        *sum += row.1;
        *sum
    };
    Box::new(KeyedScan::new(
        (&"sum".into(), groups()),
        |row: &Row| row.0,
        (0.0, add),
        Box::new(Discard),
    ))
}

/// One window that stays open, so that it holds every key.
fn windows() -> BoxStage<Row> {
    let windowing = Windowing {
        uid: "window".into(),
        windows: tumbling(ms(1_000_000_000)),
        clock: Clock::Event,
        groups: groups(),
    };
    let sum = fold((0.0, 0u64), |sum: &mut (f64, u64), row: Row| {
        sum.0 += row.1;
        sum.1 += 1;
    });
    Box::new(WindowStage::new(
        windowing,
        |row: &Row| row.0,
        sum,
        Box::new(Discard),
        Box::new(Discard),
    ))
}

/// Records of uniformly drawn keys.
struct Rows {
    state: u64,
    keys: u64,
}

impl Rows {
    fn batch(&mut self) -> Batch<Row> {
        let mut batch = Batch::with_capacity(ROWS);
        for _ in 0..ROWS {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            batch.push(EventTime::from_millis(0), (self.state % self.keys, 1.0));
        }
        batch
    }
}

/// Calls into a stage; what it kept.
fn call(
    stage: &mut BoxStage<Row>,
    call: impl FnOnce(&mut BoxStage<Row>, &mut Context<'_>),
) -> Vec<Box<dyn Fork>> {
    let subtask = Subtask { vertex: VertexId(0), index: 0 };
    let task = Execution { job: JobId(1), epoch: JobEpoch(1), attempt: Attempt(1), subtask };
    let silent: (Detail, &dyn Fn(Fact)) = (Detail::Control, &|_| {});
    let (mut outputs, counts) = (Outputs { limit: 16, ..Outputs::default() }, Counts::default());
    let now = ProcessingTime::from_millis(0);
    let mut cx = Context::new(task, now, silent, &mut outputs, &counts);
    call(stage, &mut cx);
    while stage.resume(&mut cx).expect("nothing refuses") == Progress::More {}
    outputs.kept
}

/// Runs batches with a barrier every so many of them, 0 for none; a slice after each `per_slice`.
fn run(mut stage: BoxStage<Row>, keys: u64, batches: usize, every: usize) -> Seen {
    let mut rows = Rows { state: 0x9E37_79B9_7F4A_7C15, keys };
    for _ in 0..keys as usize * 4 / ROWS {
        let batch = rows.batch();
        call(&mut stage, |stage, cx| stage.batch(batch, cx).expect("adds"));
    }
    let (mut seen, mut forks) = (Seen::default(), Vec::<Box<dyn Fork>>::new());
    for index in 1..=batches {
        let batch = rows.batch();
        let began = Instant::now();
        call(&mut stage, |stage, cx| stage.batch(batch, cx).expect("adds"));
        let took = began.elapsed();
        seen.batch_max = seen.batch_max.max(took);
        seen.whole += took;
        if every > 0 && index % every == 0 {
            let checkpoint = CheckpointId(index as u64);
            let barrier = Signal::Barrier(Barrier { checkpoint, kind: BarrierKind::Checkpoint });
            let began = Instant::now();
            forks = call(&mut stage, |stage, cx| stage.signal(barrier, cx).expect("passes"));
            seen.barrier_max = seen.barrier_max.max(began.elapsed());
            seen.whole += began.elapsed();
        }
        let Some(fork) = forks.last_mut() else { continue };
        let began = Instant::now();
        match fork.next_section() {
            Some(slice) => {
                let section = slice.expect("serializable");
                seen.bytes += section.map_or(0, |section| section.bytes.len());
                seen.slices += 1;
            }
            None => drop(forks.pop()),
        }
        seen.slice_max = seen.slice_max.max(began.elapsed());
        seen.whole += began.elapsed();
    }
    seen
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let value =
            |argument: &String| argument.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        arguments.iter().find_map(value).unwrap_or(default)
    };
    let (batches, every) = (number("batches", 12_000), number("every", 4_000));
    let rounds = number("rounds", 3);
    println!(
        "{:<12} {:>8} {:>10} {:>8} | longest, µs: {:>6} {:>8} {:>6} | {:>7} {:>7}",
        "STALL", "keys", "barriers", "M rec/s", "batch", "barrier", "slice", "slices", "MB"
    );
    for keys in
        [100_000, 1_000_000].into_iter().filter(|keys| [0, *keys].contains(&number("keys", 0)))
    {
        let stages: [(&str, fn() -> BoxStage<Row>); 2] =
            [("running sum", running_sum), ("window", windows)];
        for (name, stage) in stages {
            for every in (0..rounds).flat_map(|_| [0, every]) {
                let seen = run(stage(), keys as u64, batches, every);
                let barriers = batches.checked_div(every).unwrap_or(0);
                let rate = (batches * ROWS) as f64 / seen.whole.as_secs_f64() / 1e6;
                println!(
                    "{name:<12} {keys:>8} {barriers:>10} {rate:>8.1} | {:>19} {:>8} {:>6} | {:>7} {:>7.1}",
                    seen.batch_max.as_micros(),
                    seen.barrier_max.as_micros(),
                    seen.slice_max.as_micros(),
                    seen.slices,
                    seen.bytes as f64 / 1e6,
                );
            }
        }
    }
}
