//! What is wrong with a run whatever was expected of it: a limit reached, a panic, a fault that never
//! fired, two histories of one seed.
//! Nothing is played here, and no expectation is judged: that is [`crate::check`]'s. Asked by
//! [`super::player`].

use slackwater_core::fact::{Fact, JobStatus};

use super::drawn::Drawn;
use super::format::Stop;
use super::inside::NeverOpened;
use super::player::Prepared;
use super::resolve::Cell;
use super::verdict::{Class, Trouble};
use crate::journal::{Divergence, Journal};
use crate::world::{End, Run};

/// What is wrong with what was played before.
pub(super) fn unprepared(prepared: &Prepared, has_faults: bool) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if has_faults && prepared.running.is_none() {
        let what = "not every job ran in the run without faults: there is no time to count from";
        troubles.push(Trouble::new(Class::Harness, what));
    }
    if let Err(what) = &prepared.cell {
        troubles.push(Trouble::new(Class::Harness, what.clone()));
    }
    for NeverOpened { name, what } in &prepared.never {
        let what = format!("a fault never fired: no step lies {what} ({name})");
        troubles.push(Trouble::new(Class::Harness, what));
    }
    if let Some(Err(what)) = &prepared.instants {
        troubles.push(Trouble::new(Class::Harness, what.clone()));
    }
    troubles
}

/// What is wrong with a run whatever was expected of it.
pub(super) fn troubles(cell: &Cell, run: &Run, faults: &[Drawn]) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    // A damaged checkpoint may leave a job no other way out: the check says whether it was right.
    let is_refused = cell.expectations.iter().any(|e| e.check.name == "damage_refused");
    let may_fail = is_refused || cell.document.run.jobs_may_fail;
    let is_timed = matches!(cell.document.run.stop, Stop::Time(_));
    let steps = cell.document.run.limit.steps;
    match &run.end {
        End::Stopped(_) => {}
        End::Limit if steps.is_some_and(|limit| run.steps >= limit) => {
            let what = format!("the limit of {} steps was reached", steps.unwrap_or_default());
            troubles.push(Trouble::new(Class::Stuck, what));
        }
        End::Limit if is_timed => {}
        End::Limit => {
            let what = format!("the limit of {:?} virtual time was reached", run.time);
            troubles.push(Trouble::new(Class::Stuck, what));
        }
        End::Broken(why) => {
            troubles.push(Trouble::new(Class::Harness, format!("the world broke: {why}")));
        }
    }
    let failing = super::answer::failing(&cell.document, &run.journal);
    for entry in run.journal.entries() {
        let at = entry.time.as_secs_f64();
        let node = run.journal.name(entry.node);
        match &entry.fact {
            Fact::Panicked { task, message } => {
                let what = format!("at {at:.3} s on {node}: {task}: {message}");
                troubles.push(Trouble::new(Class::Panicked, what).shown_by(entry));
            }
            Fact::JobStatusChanged { job, to: JobStatus::Failed, cause, .. }
                if !may_fail && !failing.contains(job) =>
            {
                let what = format!("at {at:.3} s job {job} FAILED: {cause}");
                troubles.push(Trouble::new(Class::Broken, what).shown_by(entry));
            }
            Fact::JobRefused { cause, .. } => {
                let what = format!("at {at:.3} s a job was refused: {cause}");
                troubles.push(Trouble::new(Class::Harness, what).shown_by(entry));
            }
            _ => {}
        }
    }
    troubles.extend(super::answer::troubles(&cell.document, &run.journal));
    let must_fire = |fault: &&Drawn| {
        let part = cell.document.fault.iter().find(|part| *part.name.get_ref() == fault.name);
        part.is_none_or(|part| part.must_fire != Some(false))
    };
    let fired = faults.iter().filter(must_fire);
    troubles.extend(fired.filter_map(|fault| never_fired(fault, &run.journal)));
    troubles
}

/// A fault that left no trace, or fell on a node that was down already.
fn never_fired(fault: &Drawn, journal: &Journal) -> Option<Trouble> {
    let fired = journal.entries().iter().any(|entry| fault.is_shown_by(entry));
    (!fired).then(|| Trouble::new(Class::Harness, format!("a fault never fired: {fault}")))
}

/// Whether the same seed gave two histories.
pub(super) fn diverged(first: &Run, second: &Run) -> Option<Trouble> {
    if first.journal.hash() == second.journal.hash() {
        return None;
    }
    let divergence = Divergence::between(&first.journal.text(), &second.journal.text());
    let what = divergence.map_or_else(
        || "two runs differ in what their text does not show".to_owned(),
        |divergence| divergence.to_string(),
    );
    Some(Trouble::new(Class::NonDeterministic, what))
}
