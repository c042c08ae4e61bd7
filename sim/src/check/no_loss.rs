//! The same seed without faults is the oracle: no row of the calm run may be missing.
//! Looks at which rows stand, and at their values only where both runs have finished; sums are held
//! against closed forms in [`super::window_sums`], cells against each other in [`super::same_output`].

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::point::Point;
use slackwater_core::time::{EventTime, span_millis};

use super::gaps::Gaps;
use super::steps::Step;
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};
use crate::journal::Journal;
use crate::world::EPOCH;

pub(super) const CHECK: Check = Check {
    name: "no_loss",
    about: "every row that the same seed has without faults stands there, with the same value; and \
            `across` these steps every series goes on without a hole",
    keys: &[("across", Kind::Steps)],
    measures: &["rows", "missing", "seconds", "holes"],
    needs: Needs::Calm,
    judge,
};

type Key = (String, String, EventTime);

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let holes = match Hole::across(run, args.steps("across")) {
        Ok(holes) => holes,
        Err(why) => return Outcome::saw(0, why),
    };
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
        .measured("holes", holes.len() as f64)
        .broken_by(first)
        .broken_by(other)
        .broken_by(holes.first().map(|hole| Broken::somewhere(hole.to_string())))
}

/// A stretch of a series in which rows are missing.
struct Hole {
    series: String,
    key: String,
    from: EventTime,
    to: Option<EventTime>,
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, key, from, to } = self;
        match to {
            Some(to) => write!(f, "nothing stands in {series},key={key} between {from} and {to}"),
            None => write!(f, "{series},key={key} ends at {from}, and should have gone on"),
        }
    }
}

impl Hole {
    /// The holes of every series with a row at each turn of a clock, from before the first of these
    /// steps to behind the last one.
    fn across(run: &Evidence<'_>, steps: &[String]) -> Result<Vec<Self>, String> {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
            return Ok(Vec::new());
        };
        let step = |name: &String| {
            Step::of(run, name).ok_or_else(|| format!("nobody answered step {name:?}"))
        };
        let time = |at: Duration| EPOCH.as_millis() + span_millis(at);
        let (begin, end) = (time(step(first)?.began), time(step(last)?.ended));
        let mut times = BTreeMap::<(String, String), Vec<i64>>::new();
        for (series, key, at) in rows(run.journal).into_keys() {
            times.entry((series, key)).or_default().push(at.as_millis());
        }
        let (mut holes, mut seen) = (Vec::new(), 0u64);
        for ((series, key), times) in times {
            let before = times.partition_point(|at| *at < begin);
            let Some(turn) = turn(&times[..before]) else { continue };
            seen += 1;
            let around = times.windows(2).skip(before.saturating_sub(MANY));
            let mut pairs = around.take_while(|pair| pair[0] <= end);
            let hole = pairs.find(|pair| pair[1] - pair[0] > turn);
            let ends = times.last().filter(|last| **last < end - 2 * turn);
            let hole = hole.map(|pair| (pair[0], Some(pair[1]))).or(ends.map(|last| (*last, None)));
            holes.extend(hole.map(|(from, to)| Self {
                series,
                key,
                from: EventTime::from_millis(from),
                to: to.map(EventTime::from_millis),
            }));
        }
        match seen {
            0 => Err(format!("no series has a row at every turn of a clock before {first:?}")),
            _ => Ok(holes),
        }
    }
}

/// How many rows tell the turn of a clock.
const MANY: usize = 8;

/// From one row to the next, if that is always the same.
fn turn(times: &[i64]) -> Option<i64> {
    let latest = times.get(times.len().checked_sub(MANY)?..)?;
    let mut turns = latest.windows(2).map(|pair| pair[1] - pair[0]);
    let turn = turns.next()?;
    turns.all(|other| other == turn).then_some(turn)
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
