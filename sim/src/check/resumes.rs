//! A copy of the store's bytes, opened by processes that know nothing, resumes to the same output.
//! Reads a story in two worlds, told as one, and holds what it commits against the run without
//! faults, row by row. Who cuts it in two is the player.

use std::time::Duration;

use slackwater_core::fact::Fact;

use super::{Args, Broken, Check, Evidence, Needs, Outcome, calm_output};
use crate::journal::Journal;

pub(super) const CHECK: Check = Check {
    name: "resumes_from_store",
    about: "a copy of the store's bytes, opened by fresh processes, resumes to the output of a run \
            without faults",
    keys: &[],
    measures: &["rows", "read_back"],
    needs: Needs::Resumed,
    judge,
};

/// A story that was cut in two.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// Both halves, one behind the other.
    pub journal: Journal,
    /// When the second began.
    pub cut: Duration,
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let Some(Resumed { journal, cut }) = run.resumed else {
        return Outcome::saw(0, "no checkpoint completed: there is nothing to resume");
    };
    let Some(calm) = run.calm else {
        return Outcome::saw(0, "there is no calm run to compare with");
    };
    let mut read_back = 0;
    for entry in journal.entries().iter().filter(|entry| entry.time >= *cut) {
        if let Fact::StateRestored { bytes, .. } = &entry.fact {
            read_back += bytes;
        }
    }
    let compared = calm_output::compare(calm, journal, "");
    let nothing =
        (read_back == 0).then(|| Broken::at(*cut, "the fresh processes read no state back"));
    Outcome::saw(compared.saw, "fresh processes resume to the same output")
        .measured("rows", compared.saw as f64)
        .measured("read_back", read_back as f64)
        .broken_by(nothing)
        .broken_by(compared.broken)
}
