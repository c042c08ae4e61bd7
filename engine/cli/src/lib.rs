//! The engine's verbs as a library: `run` and `series`. Each takes its arguments and the catalogue
//! of programs, and ends in success or in a [`exit::Failure`] with a number of its own.
//! Decides nothing about jobs: it asks job managers. `main` is in the root package.

use std::sync::Arc;

use clap::Subcommand;
use slackwater_dataflow::task::Programs;

pub mod exit;
pub mod local;
pub mod picture;
pub mod run;
pub mod series;
pub mod tally;
pub mod watch;

use exit::Failure;

/// What the engine can be told.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Run a job: `run oscon --local`, `run flights --local --input FILE --out DIR`
    Run(run::RunArgs),
    /// Read back what a local run has stored
    #[command(subcommand)]
    Series(series::SeriesVerb),
}

/// Does what was told.
///
/// # Errors
/// A [`Failure`]: its number is the exit code, its message is for stderr.
pub fn execute(verb: Verb, programs: Arc<dyn Programs>) -> Result<(), Failure> {
    match verb {
        Verb::Run(args) => run::run(&args, programs),
        Verb::Series(verb) => series::execute(&verb),
    }
}
