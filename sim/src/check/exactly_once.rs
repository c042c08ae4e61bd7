//! Exactly once, said where: in the state, in what a sink wrote, or in what a user sees.
//! `at = "state"` asks every checkpoint; `"sink.raw"` the append-only log of writes; `"sink.visible"`
//! the table. The last two are held against the same seed without faults. A sink that overwrites
//! keeps the third promise and not the second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::point::Point;
use slackwater_core::time::EventTime;

use super::gaps::Gaps;
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome, cut};
use crate::journal::Journal;

pub(super) const CHECK: Check = Check {
    name: "exactly_once",
    about: "every record counts once: at = \"state\", \"sink.raw\" (as written) or \"sink.visible\"",
    keys: &[("at", Kind::Text), ("series", Kind::Text)],
    measures: &["rows", "missing", "doubled", "other"],
    needs: Needs::Calm,
    judge,
};

/// The writes of one row.
struct Row<'a> {
    writes: u64,
    last: &'a Point,
    at: Duration,
    /// How many jobs had been cancelled then: a job that comes after one may write its rows again.
    behind: usize,
}

type Key<'a> = (&'a str, &'a str, EventTime);
type Rows<'a> = BTreeMap<Key<'a>, Row<'a>>;

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let at = args.text("at", "sink.visible");
    let raw = match at {
        "state" => {
            let (looked, wrong) = cut::cuts(run);
            return Outcome::saw(looked.checkpoints, "in the state of every checkpoint")
                .measured("rows", looked.checkpoints as f64)
                .broken_by(wrong);
        }
        "sink.raw" => true,
        "sink.visible" => false,
        other => {
            return Outcome::saw(
                0,
                format!("at = {other:?} is no place: state, sink.raw, sink.visible"),
            );
        }
    };
    let Some(calm) = run.calm else {
        return Outcome::saw(0, "there is no calm run to compare with");
    };
    let series = args.text("series", "");
    let (wanted, found) = (rows(calm, series), rows(run.journal, series));
    let whole = run.finished() && Evidence::of(calm).finished();
    let gaps = [Gaps::of(run.journal), Gaps::of(calm)];
    let compared = Compared::of((&wanted, &found), &gaps, whole, raw);
    let place = if raw { "as written" } else { "as seen" };
    let summary = match (compared.missing, compared.doubled, compared.other) {
        (0, 0, 0) => format!("every row once, {place}"),
        (0, 0, _) => format!("rows of another value, {place}"),
        (0, ..) => format!("rows more than once, {place}"),
        _ => format!("rows are missing, {place}"),
    };
    Outcome::saw(found.len() as u64, summary)
        .measured("rows", found.len() as f64)
        .measured("missing", compared.missing as f64)
        .measured("doubled", compared.doubled as f64)
        .measured("other", compared.other as f64)
        .broken_by(compared.first)
}

/// In what a run differs from the calm one.
#[derive(Default)]
struct Compared {
    missing: u64,
    doubled: u64,
    other: u64,
    first: Option<Broken>,
}

impl Compared {
    fn of(
        (wanted, found): (&Rows<'_>, &Rows<'_>),
        gaps: &[Gaps<'_>],
        whole: bool,
        raw: bool,
    ) -> Self {
        let mut compared = Self::default();
        let promised = |key: &&Key<'_>| !gaps.iter().any(|gaps| gaps.hold(**key));
        let (due, known) = (Horizon::of(found, whole), Horizon::of(wanted, whole));
        for (key, row) in wanted.iter().filter(|(key, _)| promised(key)) {
            if !found.contains_key(key) && due.holds(key) {
                compared.missing += 1;
                let what = format!("{} is missing", row.last);
                compared.first.get_or_insert(Broken::somewhere(what));
            }
        }
        for (key, row) in found.iter().filter(|(key, _)| promised(key)) {
            let wanted = wanted.get(key);
            if raw && row.writes > 1 {
                compared.doubled += 1;
                let what = format!("{} was written {} times", row.last, row.writes);
                compared.first.get_or_insert(Broken::at(row.at, what));
            }
            let differs = match wanted {
                Some(wanted) => wanted.last.fields != row.last.fields,
                // Where the calm run had no time to come, nothing is known.
                None => known.holds(key),
            };
            if differs {
                compared.other += 1;
                let want = wanted.map_or("nothing".to_owned(), |wanted| wanted.last.to_string());
                let what = format!("{} stands there, want {want}", row.last);
                compared.first.get_or_insert(Broken::at(row.at, what));
            }
        }
        compared
    }
}

/// How much later than its turn a row may be written.
const DISORDER: Duration = Duration::from_secs(2);

/// How far the rows of a run reach: of one that was stopped, a row behind is not due yet.
pub(super) struct Horizon<'a> {
    whole: bool,
    /// By series and key; and by series, for keys that it has not at all.
    keys: BTreeMap<(&'a str, &'a str), EventTime>,
    series: BTreeMap<&'a str, EventTime>,
}

impl<'a> Horizon<'a> {
    fn of(rows: &Rows<'a>, whole: bool) -> Self {
        let keys = rows.keys().copied();
        Self::over(keys, whole)
    }

    /// The horizon of rows with these keys.
    pub(super) fn over(rows: impl Iterator<Item = Key<'a>>, whole: bool) -> Self {
        let (mut keys, mut all) = (BTreeMap::new(), BTreeMap::new());
        for (series, key, time) in rows {
            let known = keys.entry((series, key)).or_insert(time);
            *known = time.max(*known);
            let known = all.entry(series).or_insert(time);
            *known = time.max(*known);
        }
        Self { whole, keys, series: all }
    }

    /// Whether a row was due: of its key one stands there that is later by more than records come
    /// out of order, or of its series one that is later by some windows.
    pub(super) fn holds(&self, (series, key, time): &Key<'_>) -> bool {
        let of_key =
            self.keys.get(&(*series, *key)).is_some_and(|last| *time <= last.minus(DISORDER));
        let lag = Duration::from_secs(5);
        let of_series = self.series.get(series).is_some_and(|last| *time <= last.minus(lag));
        self.whole || of_key || of_series
    }
}

fn rows<'a>(journal: &'a Journal, series: &str) -> Rows<'a> {
    let (mut rows, mut cancelled) = (Rows::new(), BTreeSet::new());
    for entry in journal.entries() {
        if let Fact::JobStatusChanged { job, to: JobStatus::Canceled, .. } = &entry.fact {
            cancelled.insert(*job);
        }
        let Fact::PointWritten { point, .. } = &entry.fact else { continue };
        if !series.is_empty() && point.series != series {
            continue;
        }
        let key = (point.series.as_str(), point.key.as_str(), point.time);
        let behind = cancelled.len();
        let row = rows.entry(key).or_insert(Row { writes: 0, last: point, at: entry.time, behind });
        if row.behind < behind {
            (row.writes, row.behind) = (0, behind);
        }
        (row.writes, row.last, row.at) = (row.writes + 1, point, entry.time);
    }
    rows
}
