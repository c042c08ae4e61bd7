//! The WINDOW workload under criterion: the same contestants as the bench `window`, with confidence
//! intervals and a comparison with the last run. Criterion cannot interleave contestants, so ratios
//! between them are what the bench `window` prints. Needs the feature `criterion`:
//! `cargo bench --features criterion --bench window_criterion`.

#[path = "../window/contestants.rs"]
mod contestants;
#[path = "../window/engine.rs"]
mod engine;
#[path = "../window/limit.rs"]
mod limit;
#[path = "../window/operators.rs"]
mod operators;
#[path = "../window/workload.rs"]
mod workload;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use contestants::{ALONE, TOGETHER};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: u64 = 2_000_000;

fn window(criterion: &mut Criterion) {
    for keys in [1_000, 100_000, 1_000_000] {
        let mut group = criterion.benchmark_group(format!("WINDOW, {keys} keys"));
        group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
        for (name, run) in ALONE.iter().chain(TOGETHER) {
            group.bench_function(*name, |bencher| {
                bencher.iter_custom(|rounds| (0..rounds).map(|_| run(keys, EVENTS).1).sum());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, window);
criterion_main!(benches);
