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
    let (mut windows, mut tasks, mut wrong) = (0u64, 0u64, None);
    for entry in run.entries() {
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
    if run.finished() {
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
    Outcome::saw(windows.max(stand).max(1), format!("{windows} late, {stand} in {series}"))
        .measured("late", windows as f64)
        .broken_by(wrong)
}
