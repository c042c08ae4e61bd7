//! The job's own command line: `run clicks --local`, `list`, `cancel`, and the roles of a cluster.
//! Nothing is decided here.
//! The job is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    slackwater::cli::main(slackwater_clicks::catalog())
}
