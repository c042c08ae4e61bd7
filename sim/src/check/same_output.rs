//! Metamorphic: what becomes visible is the same in every cell of a matrix, or of every job.
//! Needs no model and no golden file: parallelism, chaining or delays must not show. Each cell's
//! table is kept by the player and compared here; so are jobs of one run, told apart by the tags of
//! their series. Whether what they have in common is right, others say.

use std::collections::{BTreeMap, BTreeSet};

use slackwater_core::fact::Fact;
use slackwater_core::id::JobId;
use slackwater_core::point::Point;
use slackwater_core::time::EventTime;

use super::steps::{Logs, job_called};
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};
use crate::journal::Journal;

pub(super) const CHECK: Check = Check {
    name: "same_output",
    about: "the visible rows are the same in every cell of the matrix, or of all these `jobs`",
    keys: &[("jobs", Kind::Steps)],
    measures: &["rows"],
    needs: Needs::Cells,
    judge,
};

/// The visible rows of a run: what stands at each row key, as text.
pub type Table = BTreeMap<String, String>;

/// The visible rows at the end of a run.
pub fn table(journal: &Journal) -> Table {
    let points = journal.entries().iter().filter_map(|entry| match &entry.fact {
        Fact::PointWritten { point, .. } => Some(point),
        _ => None,
    });
    let row = |point: &slackwater_core::point::Point| {
        let key = format!("{},key={} {}", point.series, point.key, point.time);
        (key, format!("{point}"))
    };
    points.map(row).collect()
}

/// Compares jobs if some are named; else sees only that there is something to compare, and the player
/// compares cells by [`differ`].
fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    match args.steps("jobs") {
        [] => {
            let rows = table(run.journal).len();
            Outcome::saw(rows as u64, format!("{rows} visible rows")).measured("rows", rows as f64)
        }
        names => compare(run, names).unwrap_or_else(|why| Outcome::saw(0, why)),
    }
}

/// The rows of a job by series without tag, key and time.
type Rows<'a> = BTreeMap<(&'a str, &'a str, EventTime), &'a Point>;

fn compare(run: &Evidence<'_>, names: &[String]) -> Result<Outcome, String> {
    let logs = Logs::of(run);
    let jobs = names.iter().map(|name| job_called(run, name));
    let jobs: Vec<JobId> = jobs.collect::<Result<_, _>>()?;
    let tags: Vec<String> = jobs.iter().map(|job| logs.line(*job).tag).collect();
    if tags.iter().collect::<BTreeSet<_>>().len() < tags.len() {
        return Err(format!("{} write the same series: give each a tag", names.join(", ")));
    }
    let all: Vec<Rows<'_>> =
        jobs.iter().zip(&tags).map(|(job, tag)| rows_of(run, *job, (tag, &tags))).collect();
    let (mut rows, mut wrong) = (0, None);
    for (name, other) in names.iter().zip(&all).skip(1) {
        let first = (names[0].as_str(), &all[0]);
        let (compared, broken) = common(first, (name, other));
        rows += compared;
        wrong = wrong.or(broken);
    }
    let summary = format!("the rows of {} are the same", names.join(" and "));
    Ok(Outcome::saw(rows, summary).measured("rows", rows as f64).broken_by(wrong))
}

/// What a job has written since it was submitted.
fn rows_of<'a>(run: &Evidence<'a>, job: JobId, (tag, tags): (&str, &[String])) -> Rows<'a> {
    let (mut rows, mut runs) = (Rows::new(), false);
    for fact in run.facts() {
        match fact {
            Fact::JobSubmitted { job: submitted, .. } => runs |= *submitted == job,
            Fact::PointWritten { point, .. } if runs => {
                let longer = |other: &&String| other.len() > tag.len();
                let mut others = tags.iter().filter(longer);
                let is_anothers = others.any(|other| point.series.ends_with(other.as_str()));
                if let Some(base) = point.series.strip_suffix(tag).filter(|_| !is_anothers) {
                    rows.insert((base, &point.key, point.time), point);
                }
            }
            _ => {}
        }
    }
    rows
}

/// How many rows two jobs have both had the time to write, and the first in which they differ.
fn common<'a>(
    (name, rows): (&str, &Rows<'a>),
    (other, others): (&str, &Rows<'a>),
) -> (u64, Option<Broken>) {
    let begins = |rows: &Rows<'a>| {
        let mut first = BTreeMap::<&str, EventTime>::new();
        for (series, _, time) in rows.keys() {
            let known = first.entry(series).or_insert(*time);
            *known = (*known).min(*time);
        }
        first
    };
    let ends = |rows: &Rows<'a>| -> BTreeMap<(&'a str, &'a str), EventTime> {
        // In order, so that the last one stays.
        rows.keys().map(|(series, key, time)| ((*series, *key), *time)).collect()
    };
    let (begins, ends) = ([begins(rows), begins(others)], [ends(rows), ends(others)]);
    let is_common = |(series, key, time): &(&'a str, &'a str, EventTime)| {
        begins.iter().all(|first| first.get(series).is_some_and(|first| first <= time))
            && ends.iter().all(|last| last.get(&(*series, *key)).is_some_and(|last| time <= last))
    };
    let keys: BTreeSet<_> = rows.keys().chain(others.keys()).filter(|key| is_common(key)).collect();
    let fields = |rows: &Rows<'a>, key| rows.get(key).map(|point| point.fields.clone());
    let differs = keys.iter().find(|key| fields(rows, **key) != fields(others, **key));
    let shown = |rows: &Rows<'a>, key| {
        rows.get(key).map_or_else(|| "nothing".to_owned(), |point: &&Point| point.to_string())
    };
    let broken = differs.map(|key| {
        let (left, right) = (shown(rows, key), shown(others, key));
        Broken::somewhere(format!("{name} has {left}, {other} has {right}"))
    });
    (keys.len() as u64, broken)
}

/// The first row in which two cells differ.
pub fn differ((name, table): (&str, &Table), (other, others): (&str, &Table)) -> Option<Broken> {
    let mut keys = table.keys().chain(others.keys());
    let key = keys.find(|key| table.get(*key) != others.get(*key))?;
    let none = "nothing".to_owned();
    let (left, right) = (table.get(key).unwrap_or(&none), others.get(key).unwrap_or(&none));
    Some(Broken::somewhere(format!("{name} has {left}, {other} has {right}")))
}
