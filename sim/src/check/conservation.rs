//! Conservation: what went into the windows is in fired windows, in open ones, or late.
//! Counts records only; whether they fell into the right windows is [`super::model`]'s to say.
//! Every number comes from another fact than the one it is held against.

use std::collections::BTreeMap;

use slackwater_core::fact::{Fact, TaskStatus};
use slackwater_core::id::{Execution, JobId};

use super::steps::Logs;
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "conservation",
    about: "records in = windowed + open + late, in every task and over the whole job",
    keys: &[("per_record", Kind::Number)],
    measures: &["in", "windowed", "open", "late"],
    needs: Needs::Run,
    judge,
};

/// What one task that holds windows told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    /// Taken from channels.
    received: u64,
    /// Entered a window.
    entered: u64,
    /// Left in fired windows.
    fired: u64,
    /// Entered a window of the same subtask in earlier attempts: an attempt that began with a
    /// checkpoint may still hold them.
    before: u64,
    /// Still in open windows when the task ended.
    open: Option<u64>,
    late: u64,
    /// What the task itself counted as taken in.
    counted: Option<u64>,
}

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let newest = run.newest();
    let mut tasks = count(run);
    tasks.retain(|task, count| {
        let current = newest.get(&task.job) == Some(&(task.epoch, task.attempt));
        current && count.entered + count.late > 0
    });
    let ended = run.ended();
    let wrong = tasks.iter().find_map(|(task, count)| {
        let whole = ended.get(task) == Some(&TaskStatus::Finished);
        wrong(*count, whole).map(|what| Broken::somewhere(format!("{task}: {what} ({count:?})")))
    });
    let sum = |of: fn(&Count) -> u64| tasks.values().map(of).sum::<u64>();
    let (received, late) = (sum(|c| c.received), sum(|c| c.late));
    let (fired, open) = (
        sum(|c| c.fired),
        sum(|c| c.open.unwrap_or((c.entered + c.before).saturating_sub(c.fired))),
    );
    let lost = run.finished().then(|| lost(run, args, received)).flatten();
    let summary = match run.finished() {
        true => format!("in {received} = windowed {fired} + open {open} + late {late}"),
        // Where a run was cut off says nothing about behaviour.
        false => format!("in = windowed + open + late {late}"),
    };
    Outcome::saw(received, summary)
        .measured("in", received as f64)
        .measured("windowed", fired as f64)
        .measured("open", open as f64)
        .measured("late", late as f64)
        .broken_by(wrong)
        .broken_by(lost)
}

fn count(run: &Evidence<'_>) -> BTreeMap<Execution, Count> {
    let mut tasks = BTreeMap::<Execution, Count>::new();
    for fact in run.facts() {
        match fact {
            Fact::BatchReceived { task, rows, .. } => {
                tasks.entry(*task).or_default().received += u64::from(*rows);
            }
            Fact::RecordWindowed { task, .. } => tasks.entry(*task).or_default().entered += 1,
            Fact::WindowFired { task, records, .. } => {
                tasks.entry(*task).or_default().fired += records;
            }
            Fact::RecordLate { task, rows, .. } => {
                tasks.entry(*task).or_default().late += u64::from(*rows);
            }
            Fact::WindowsOpen { task, records, .. } => {
                *tasks.entry(*task).or_default().open.get_or_insert(0) += records;
            }
            Fact::TaskCounted { task, records_in, .. } => {
                tasks.entry(*task).or_default().counted = Some(*records_in);
            }
            _ => {}
        }
    }
    let logs = Logs::of(run);
    let entered: Vec<(Execution, u64)> = tasks.iter().map(|(t, c)| (*t, c.entered)).collect();
    let restored = run.restored();
    for (task, count) in tasks.iter_mut() {
        let is_older = |older: &Execution| {
            let age = |task: &Execution| (task.epoch, task.attempt);
            older.job == task.job && older.subtask == task.subtask && age(older) < age(task)
        };
        if restored.contains(&(task.job, task.attempt)) {
            let older = entered.iter().filter(|(older, _)| is_older(older));
            count.before = older.map(|(_, entered)| entered).sum();
        }
        // Of the job that its savepoint was taken of any subtask may have let them in.
        let ancestors: Vec<JobId> = logs.ancestors(task.job).collect();
        let inherited = entered.iter().filter(|(older, _)| ancestors.contains(&older.job));
        count.before += inherited.map(|(_, entered)| entered).sum::<u64>();
    }
    tasks
}

/// What does not add up in one task. One that did not finish may have records in hand.
fn wrong(count: Count, whole: bool) -> Option<&'static str> {
    let Count { received, entered, before, fired, open, late, counted } = count;
    if entered + late > received {
        return Some("more records were windowed or late than came in");
    }
    if fired + open.unwrap_or(0) > entered + before {
        return Some("more records are in fired and open windows than entered one");
    }
    if !whole {
        return None;
    }
    if counted.is_some_and(|counted| counted != received) {
        return Some("the task counted other records than it took from its channels");
    }
    if entered + late != received {
        return Some("a record that came in is neither windowed nor late");
    }
    (fired + open.unwrap_or(0) < entered)
        .then_some("a record that entered a window is in no fired and in no open one")
}

/// Whether the windows of a job that finished saw all that its source emitted.
fn lost(run: &Evidence<'_>, args: &Args, received: u64) -> Option<Broken> {
    let newest = run.newest();
    let emitted: u64 = run
        .facts()
        .filter_map(|fact| match fact {
            Fact::SourceEmitted { task, rows, .. }
                if newest.get(&task.job) == Some(&(task.epoch, task.attempt)) =>
            {
                Some(u64::from(*rows))
            }
            _ => None,
        })
        .sum();
    // What a checkpoint had let pass before it was taken is not sent again.
    let (restored, logs) = (run.restored(), Logs::of(run));
    if newest.keys().any(|job| logs.line(*job).origin.is_some()) {
        return None;
    }
    if newest.iter().any(|(job, (_, attempt))| restored.contains(&(*job, *attempt))) {
        return None;
    }
    // 0: the source's records do not reach the windows one by one.
    let per_record = args.number("per_record", 1.0) as u64;
    let wanted = emitted * per_record;
    (per_record > 0 && wanted != received).then(|| {
        Broken::somewhere(format!("sources sent {wanted} records, windows received {received}"))
    })
}
