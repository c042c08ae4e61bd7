//! The demo of the walkthrough after the change of section 7: a wave of a hundred steps, and not a
//! letter more than in `oscon.rs` is different. A cluster goes on with it from a savepoint of the other.
//! Nothing else is decided here either; the job is `slackwater-jobs`'.

use std::process::ExitCode;

use slackwater::prelude::*;

/// How many ticks a wave takes: section 7 changes it.
const STEPS: u32 = 100;

fn oscon(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    settings.prefer("wave", STEPS);
    slackwater_jobs::oscon::oscon(env, settings)
}

fn main() -> ExitCode {
    let catalog = Catalog::new().job("oscon", "v1", oscon);
    slackwater::cli::main_or(catalog, "run oscon --local")
}
