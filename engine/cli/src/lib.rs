//! The engine's verbs as a library: `run` and `series`. Each takes its arguments and the catalogue
//! of programs, and ends in success or in a [`exit::Failure`] with a number of its own.
//! Decides nothing about jobs: it asks job managers. `main` is in the root package.

use std::sync::Arc;

use clap::Subcommand;
use slackwater_dataflow::task::Programs;

pub mod exit;
pub mod series;

use exit::Failure;

/// What the engine can be told.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Read back what a local run has stored
    #[command(subcommand)]
    Series(series::SeriesVerb),
}

/// Does what was told.
///
/// # Errors
/// A [`Failure`]: its number is the exit code, its message is for stderr.
pub fn execute(verb: Verb, _programs: Arc<dyn Programs>) -> Result<(), Failure> {
    match verb {
        Verb::Series(verb) => series::execute(&verb),
    }
}
