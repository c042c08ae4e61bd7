//! The demo of the walkthrough as a binary of its own: what a person builds, and hands to a cluster.
//! Nothing is decided here but the steps of the wave; the job is `slackwater-jobs`'. Without words it
//! runs in this process, as in an editor: `cargo run --example oscon`. See also `oscon_100.rs`.

use std::process::ExitCode;

use slackwater::prelude::*;

/// How many ticks a wave takes: section 7 changes it.
const STEPS: u32 = 10;

fn oscon(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    settings.prefer("wave", STEPS);
    slackwater_jobs::oscon::oscon(env, settings)
}

fn main() -> ExitCode {
    let catalog = Catalog::new().job("oscon", "v1", oscon);
    slackwater::cli::main_or(catalog, "run oscon --local")
}
