//! The harness's verbs on the command line; each ends in a number that says what was wrong.
//! Nothing is judged here, and nothing is printed in an order that depends on which world was
//! ready first. One file per verb; scenario files are found and read in [`files`].

mod check;
pub mod files;
mod fuzz;
pub mod look;
mod merge;
mod pages;
mod probes;
mod real;
mod replay;
mod schema;
mod shrink;
mod verdict;

use std::process::ExitCode;
use std::sync::Arc;

use slackwater_cli::exit::Exit;
use slackwater_dataflow::task::Programs;

pub use check::CheckArgs;
pub use fuzz::FuzzArgs;
pub use look::LookArgs;
pub use merge::MergeArgs;
pub use probes::ProbesArgs;
pub use replay::{ReplayArgs, Which};
pub use shrink::ShrinkArgs;

/// What the harness can be asked for.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Verb {
    /// Play scenarios in the simulator: `check scenarios`
    Check(CheckArgs),
    /// Play one run of a scenario again, and tell all of it: `replay FILE --seed 7`
    Replay(ReplayArgs),
    /// Play scenarios under fresh seeds until something breaks: `fuzz --time 20m`
    Fuzz(FuzzArgs),
    /// Make a failing run small, and write it as a scenario file: `shrink FILE --seed 7`
    Shrink(ShrinkArgs),
    /// Judge the records of several shares of a campaign as one: `merge 1.json 2.json`
    Merge(MergeArgs),
    /// Every event by its name: what scenarios wait for, expect and count
    Probes(ProbesArgs),
    /// The JSON Schema of scenario files, for editors
    Schema,
}

/// The command line of engine and harness together.
#[derive(clap::Parser)]
#[command(name = "slackwater", version, arg_required_else_help = true, after_help = codes())]
struct Command {
    #[command(subcommand)]
    verb: Either,
}

/// The exit codes of both.
fn codes() -> String {
    let engine = slackwater_cli::exit::CODES;
    format!(
        "{engine}. Of check, fuzz, replay, shrink and merge: 10 an expectation was not met; 11 the run \
         did not end; 12 a panic; 13 one seed gave two histories; 14 the harness is at fault; 15 what \
         had to happen in some runs happened in too few"
    )
}

#[derive(clap::Subcommand)]
enum Either {
    #[command(flatten)]
    Engine(slackwater_cli::Verb),
    #[command(flatten)]
    Harness(Verb),
}

/// The `main` of a binary that runs its own jobs and plays its own scenarios: every verb of
/// `slackwater`, over this catalogue.
pub fn main(programs: impl Programs + 'static) -> ExitCode {
    let programs = Arc::new(programs);
    match <Command as clap::Parser>::parse().verb {
        // Also those of the harness.
        Either::Engine(slackwater_cli::Verb::Completions(args)) => {
            let command = <Command as clap::CommandFactory>::command();
            slackwater_cli::ended(slackwater_cli::completions(command, &args))
        }
        Either::Engine(verb) => slackwater_cli::ended(slackwater_cli::execute(verb, programs)),
        Either::Harness(verb) => ExitCode::from(execute(&verb, programs)),
    }
}

/// Does what a verb says. Gives the number to exit with: 0, one of [`Exit`]'s if it could not be
/// done at all, else the [`crate::scenario::Class`] of the gravest thing that was found.
pub fn execute(verb: &Verb, programs: Arc<dyn Programs>) -> u8 {
    let done = match verb {
        Verb::Check(args) => check::check(args, &programs),
        Verb::Replay(args) => replay::replay(args, &programs),
        Verb::Fuzz(args) => fuzz::fuzz(args, &programs),
        Verb::Shrink(args) => shrink::shrink(args, &programs),
        Verb::Merge(args) => merge::merge(args, &programs),
        Verb::Probes(args) => probes::probes(args),
        Verb::Schema => schema::schema(),
    };
    match done {
        Ok(None) => 0,
        Ok(Some(class)) => class as u8,
        Err((exit, message)) => {
            eprintln!("{message}");
            exit as u8
        }
    }
}

/// Why a verb could not be done at all: the exit code, and what to tell a person.
pub type Refusal = (Exit, String);

/// A command line that makes no sense.
fn usage(message: impl std::fmt::Display) -> Refusal {
    (Exit::Usage, format!("error: {message}"))
}

/// `1 run`, `2 runs`.
fn many(number: u64, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
