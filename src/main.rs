//! The binary `slackwater`: the command line of engine and harness over the demo jobs.
//! Nothing is decided here, and a pipeline of one's own has the same `main`.
//! The verbs are `slackwater-cli`'s and `slackwater-sim`'s, the jobs `slackwater-jobs`'.

use std::process::ExitCode;

// A simulated second makes some ten thousand small allocations: what is run is what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    slackwater_sim::verb::main(slackwater_jobs::catalog())
}
