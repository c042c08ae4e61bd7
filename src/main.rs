//! The binary `slackwater`: reads the command line, hands each verb to the library that knows it,
//! and exits with the number that the verb ends in. Nothing is decided here.
//! The engine's verbs are in `slackwater-cli`; the harness's in `slackwater-sim`.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

// A simulated second makes some ten thousand small allocations: what is run is what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A stream engine and the world it is tried in.
#[derive(Parser)]
#[command(name = "slackwater", version, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    #[command(flatten)]
    Engine(slackwater_cli::Verb),
    #[command(flatten)]
    Harness(slackwater_sim::verb::Verb),
}

fn main() -> ExitCode {
    let programs = Arc::new(slackwater_jobs::catalog());
    match Command::parse().verb {
        Verb::Engine(verb) => slackwater_cli::ended(slackwater_cli::execute(verb, programs)),
        Verb::Harness(verb) => ExitCode::from(slackwater_sim::verb::execute(&verb, programs)),
    }
}
