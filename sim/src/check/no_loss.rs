//! The same seed without faults is the oracle: no row of the calm run may be missing.
//! Looks at which rows stand, and at their values only where both runs have finished; sums are held
//! against closed forms in [`super::window_sums`], cells against each other in [`super::same_output`].

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::point::Point;
use slackwater_core::time::EventTime;

use super::gaps::Gaps;
use super::{Args, Broken, Check, Evidence, Needs, Outcome};
use crate::journal::Journal;

pub(super) const CHECK: Check = Check {
    name: "no_loss",
    about: "every row that the same seed has without faults stands there, with the same value",
    keys: &[],
    measures: &["rows", "missing", "seconds"],
    needs: Needs::Calm,
    judge,
};

type Key = (String, String, EventTime);

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let Some(calm) = run.calm else {
        return Outcome::saw(0, "there is no calm run to compare with");
    };
    let (calm_rows, rows) = (rows(calm), rows(run.journal));
    let both_finished = run.finished() && Evidence::of(calm).finished();
    // Of runs that were stopped, only what both had the time to write.
    let horizon = match both_finished {
        true => BTreeMap::new(),
        false => last_times(&rows),
    };
    let gaps = Gaps::of(run.journal);
    let due = |key: &Key| {
        if gaps.hold((&key.0, &key.1, key.2)) {
            return false;
        }
        if both_finished {
            return true;
        }
        let last = horizon.get(&(key.0.as_str(), key.1.as_str()));
        last.is_some_and(|last| key.2 <= *last)
    };
    let missing: Vec<&Key> =
        calm_rows.keys().filter(|key| due(key) && !rows.contains_key(*key)).collect();
    let other = calm_rows.iter().filter(|_| both_finished).find_map(|(key, (_, calm))| {
        let (at, point) = rows.get(key)?;
        (point.fields != calm.fields)
            .then(|| Broken::at(*at, format!("{point} stands where the calm run has {calm}")))
    });
    let span = match (missing.iter().map(|k| k.2).min(), missing.iter().map(|k| k.2).max()) {
        (Some(first), Some(last)) => last.millis_since(first) as f64 / 1_000.0,
        _ => 0.0,
    };
    let first = missing.first().map(|(series, key, time)| {
        let many = format!("{} of {} rows are missing", missing.len(), calm_rows.len());
        Broken::somewhere(format!("{many}, the first of them {series},key={key} at {time}"))
    });
    let summary = match (both_finished, missing.is_empty()) {
        (true, true) => format!("all {} rows stand as without faults", calm_rows.len()),
        (_, true) => "every row stands as without faults".to_owned(),
        (_, false) => format!("rows over {span:.1} s are missing"),
    };
    Outcome::saw(calm_rows.len() as u64, summary)
        .measured("rows", calm_rows.len() as f64)
        .measured("missing", missing.len() as f64)
        .measured("seconds", span)
        .broken_by(first)
        .broken_by(other)
}

fn rows(journal: &Journal) -> BTreeMap<Key, (Duration, &Point)> {
    let mut rows = BTreeMap::new();
    for entry in journal.entries() {
        if let Fact::PointWritten { point, .. } = &entry.fact {
            let key = (point.series.clone(), point.key.clone(), point.time);
            rows.insert(key, (entry.time, point));
        }
    }
    rows
}

/// By series and key: the last time that stands there. Of keys each may be written by another task,
/// and a run that is stopped stops none of them at the same row.
fn last_times<'a>(
    rows: &'a BTreeMap<Key, (Duration, &Point)>,
) -> BTreeMap<(&'a str, &'a str), EventTime> {
    // In order, so that the last one stays.
    rows.keys().map(|(series, key, time)| ((series.as_str(), key.as_str()), *time)).collect()
}
