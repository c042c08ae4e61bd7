//! The job's own command line: `run clicks --local`, `check scenarios`, `replay FILE --seed 7`.
//! Nothing is decided here.
//! The job is in the library beside it; the verbs are those of `slackwater`.

use std::process::ExitCode;

fn main() -> ExitCode {
    slackwater_sim::verb::main(slackwater_clicks::catalog())
}
