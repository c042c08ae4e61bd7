//! Late records are counted and stand in the late stream: nothing is dropped in silence.
//! Says nothing of which records are late, which is [`super::model`]'s; compares the counters of the
//! windows, of the tasks and the rows that arrived outside.

use slackwater_core::fact::Fact;

use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "late_records",
    about: "every late record is counted and stands in the late stream",
    keys: &[("series", Kind::Text)],
    measures: &["late"],
    needs: Needs::Run,
    judge,
};

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let series = args.text("series", "ledger-late");
    let newest = run.newest();
    let restored = run.restored();
    let restored = newest.iter().any(|(job, (_, attempt))| restored.contains(&(*job, *attempt)));
    let (mut windows, mut tasks, mut ever, mut wrong) = (0u64, 0u64, 0u64, None);
    for entry in run.entries() {
        if let Fact::RecordLate { rows, .. } = &entry.fact {
            ever += u64::from(*rows);
        }
        match &entry.fact {
            Fact::RecordLate { task, rows, .. }
                if newest.get(&task.job) == Some(&(task.epoch, task.attempt)) =>
            {
                windows += u64::from(*rows);
            }
            Fact::TaskCounted { task, late, .. }
                if newest.get(&task.job) == Some(&(task.epoch, task.attempt)) =>
            {
                tasks += late;
            }
            _ => {}
        }
    }
    let stand = run.rows(series).len() as u64;
    if restored {
        // What was late before a checkpoint is in it, and is not counted again.
        if run.finished() && !(windows..=ever).contains(&stand) {
            let what = format!(
                "{windows} to {ever} records were late, in one attempt and in all, and {stand} \
                 stand in {series}"
            );
            wrong = Some(Broken::somewhere(what));
        }
    } else if run.finished() {
        if stand != windows {
            let what = format!("{windows} records were late and {stand} stand in {series}");
            wrong = Some(Broken::somewhere(what));
        } else if tasks != windows {
            let what = format!("windows counted {windows} late records and tasks {tasks}");
            wrong = Some(Broken::somewhere(what));
        }
    } else if stand > windows {
        let what = format!("{stand} rows stand in {series} and {windows} records were late");
        wrong = Some(Broken::somewhere(what));
    }
    Outcome::saw(windows.max(stand).max(1), words(restored, windows, stand, series))
        .measured("late", windows.max(if restored { stand } else { 0 }) as f64)
        .broken_by(wrong)
}

/// What was seen. After a restore, which records were late in which attempt is nobody's business.
fn words(restored: bool, windows: u64, stand: u64, series: &str) -> String {
    match restored {
        true => format!("{stand} in {series}"),
        false => format!("{windows} late, {stand} in {series}"),
    }
}
