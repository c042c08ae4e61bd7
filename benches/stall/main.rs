//! What a checkpoint costs the stream: the longest stall of one batch and of one slice, and how much
//! longer everything takes, for a running sum and for windows over uniformly touched keys.
//! Operators alone, on one thread: a slice of the fork after each batch, as the runtime does it.
//! Arguments: `keys=1000000 batches=10000 every=1000`. What checkpoints cost a whole job is another
//! question: there the exchange, the store and the other tasks have their say.

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

/// What was measured: of each checkpoint the longest batch and slice while its fork was open. A
/// machine with other work interrupts some; the median checkpoint tells what the engine does.
#[derive(Default)]
struct Seen {
    batch: Vec<Duration>,
    barrier: Vec<Duration>,
    slice: Vec<Duration>,
    /// All slices of one checkpoint together.
    fork: Vec<Duration>,
    bytes: usize,
    whole: Duration,
}

/// The median and the greatest, in microseconds.
fn shown(spans: &mut [Duration]) -> String {
    spans.sort();
    let at = |place: usize| spans.get(place).map_or(0, Duration::as_micros);
    format!("{:>6} {:>7}", at(spans.len() / 2), at(spans.len().saturating_sub(1)))
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

/// Runs batches with a barrier every so many of them, 0 for none, and a slice of the fork after each.
fn run(mut stage: BoxStage<Row>, keys: u64, batches: usize, every: usize) -> Seen {
    let mut rows = Rows { state: 0x9E37_79B9_7F4A_7C15, keys };
    for _ in 0..keys as usize * 4 / ROWS {
        let batch = rows.batch();
        call(&mut stage, |stage, cx| stage.batch(batch, cx).expect("adds"));
    }
    let (mut seen, mut forks) = (Seen::default(), Vec::<Box<dyn Fork>>::new());
    let (mut batch_max, mut slice_max, mut fork_all) = Default::default();
    for index in 1..=batches {
        let batch = rows.batch();
        let began = now();
        call(&mut stage, |stage, cx| stage.batch(batch, cx).expect("adds"));
        let took = began.elapsed();
        batch_max = took.max(batch_max);
        seen.whole += took;
        if every > 0 && index % every == 1 {
            let checkpoint = CheckpointId(index as u64);
            let barrier = Signal::Barrier(Barrier { checkpoint, kind: BarrierKind::Checkpoint });
            let began = now();
            forks = call(&mut stage, |stage, cx| stage.signal(barrier, cx).expect("passes"));
            seen.barrier.push(began.elapsed());
            (batch_max, slice_max, fork_all) = Default::default();
        }
        let Some(fork) = forks.last_mut() else { continue };
        let began = now();
        let slice = fork.next_section();
        let took = began.elapsed();
        (slice_max, fork_all) = (took.max(slice_max), fork_all + took);
        match slice {
            Some(slice) => seen.bytes += slice.expect("plain").map_or(0, |s| s.bytes.len()),
            None => {
                forks.clear();
                seen.batch.push(batch_max);
                seen.slice.push(slice_max);
                seen.fork.push(fork_all);
                seen.whole += fork_all;
            }
        }
    }
    seen
}

type MakeStage = fn() -> BoxStage<Row>;

#[expect(clippy::disallowed_methods, reason = "a bench measures the wall clock, on no host")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let value =
            |argument: &String| argument.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        arguments.iter().find_map(value).unwrap_or(default)
    };
    let (batches, every) = (number("batches", 10_000), number("every", 1_000));
    println!("STALL, microseconds: the median checkpoint, the worst");
    println!(
        "{:<12} {:>8} {:>6} {:>8} {:>15} {:>15} {:>15} {:>15} {:>8}",
        "", "keys", "forks", "M rec/s", "batch", "barrier", "slice", "whole fork", "MB each"
    );
    let stages: [(&str, MakeStage); 2] = [("running sum", running_sum), ("window", windows)];
    let keys = [100_000, 1_000_000].into_iter();
    for keys in keys.filter(|keys| [0, *keys].contains(&number("keys", 0))) {
        for ((name, stage), every) in stages.into_iter().flat_map(|s| [(s, 0), (s, every)]) {
            let mut seen = run(stage(), keys as u64, batches, every);
            let forks = seen.fork.len();
            let rate = (batches * ROWS) as f64 / seen.whole.as_secs_f64() / 1e6;
            println!(
                "{name:<12} {keys:>8} {forks:>6} {rate:>8.1} {:>15} {:>15} {:>15} {:>15} {:>8.1}",
                shown(&mut seen.batch),
                shown(&mut seen.barrier),
                shown(&mut seen.slice),
                shown(&mut seen.fork),
                seen.bytes as f64 / 1e6 / forks.max(1) as f64,
            );
        }
    }
}
