//! The job's own command line: `run clicks --local`, `list`, `cancel`, and the roles of a cluster.

use std::process::ExitCode;

fn main() -> ExitCode {
    slackwater::cli::main(slackwater_clicks::catalog())
}
