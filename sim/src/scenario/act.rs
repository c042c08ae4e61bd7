//! People as faults: what a second person types at the client while the first one follows the file.
//! Nothing is typed here; the lines are the command line's own. What must be answered is said in
//! [`super::answer`]; the first person is [`super::step`]'s.

use super::fault::{Deed, FaultPart};
use super::format::Document;
use super::step;
use crate::fault::Fault;
use crate::world::Main;
use crate::world::person::{self, Line, Memory};

/// What the path of a savepoint is remembered as.
const SAVEPOINT: &str = "savepoint";

/// How many lines a deed types, if all are answered well.
pub(super) fn length(deed: Deed) -> usize {
    lines(deed, "JOB").len()
}

/// What a deed types, in order, about the job of this program.
fn lines(deed: Deed, program: &str) -> Vec<String> {
    let (cancel, run) = ("cancel $job".to_owned(), format!("run -d {program}"));
    let (savepoint, stop) = ("savepoint $job".to_owned(), "stop $job".to_owned());
    let resume = format!("run -d -s ${SAVEPOINT} {program}");
    match deed {
        Deed::List => vec!["list -a".to_owned()],
        Deed::CancelResubmit => vec![cancel, run],
        Deed::CancelTwiceResubmit => vec![cancel.clone(), cancel, run],
        Deed::SubmitCancel => vec![run, "cancel $other".to_owned()],
        Deed::Savepoint => vec![savepoint],
        Deed::StopResume => vec![stop, resume],
        Deed::SavepointCancelResume => vec![savepoint, cancel, resume],
        _ => Vec::new(),
    }
}

/// The deed of a fault that is a person's.
pub(super) fn deed(part: &FaultPart) -> Fault {
    let line = lines(*part.deed.get_ref(), "JOB").join("; ");
    Fault::Type { step: part.name.get_ref().clone(), line }
}

/// What the second person does, by fault.
pub(super) fn mains(document: &Document, memory: &Memory) -> Vec<(String, Main)> {
    let parts = document.fault.iter().filter(|part| part.deed.get_ref().is_a_persons());
    let mains = parts.map(|part| {
        let (name, deed) = (part.name.get_ref().clone(), *part.deed.get_ref());
        let program = document.job.0.first().map_or("", |job| job.program.get_ref().as_str());
        let line = |text: String| Line {
            step: name.clone(),
            to_control: false,
            with: step::with(document, &text, None),
            keep: prints_a_path(&text).then(|| format!("{name}/{SAVEPOINT}")),
            text: text.replace(&format!("${SAVEPOINT}"), &format!("${name}/{SAVEPOINT}")),
            job: if deed == Deed::SubmitCancel { "other" } else { "job" }.to_owned(),
        };
        let lines = lines(deed, program).into_iter().map(line).collect();
        (name.clone(), person::types_at_once(lines, memory))
    });
    mains.collect()
}

fn prints_a_path(line: &str) -> bool {
    line.starts_with("savepoint ") || line.starts_with("stop ")
}
