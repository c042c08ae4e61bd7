//! The plainest statement of fault tolerance: what is committed, sorted by row key, is byte for byte
//! what the same seed commits without faults. Needs no model and knows no job.
//! Of runs that were stopped, as far as both have come; cells of a matrix are held against each
//! other in [`super::same_output`].

use std::collections::BTreeMap;

use slackwater_core::fact::Fact;
use slackwater_core::time::EventTime;

use super::exactly_once::Horizon;
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};
use crate::journal::Journal;

pub(super) const CHECK: Check = Check {
    name: "same_output_as_without_faults",
    about: "the committed output, sorted by row key, equals that of the same seed without faults, \
            byte for byte; of one `series`, if it names one",
    keys: &[("series", Kind::Text)],
    measures: &["rows"],
    needs: Needs::Calm,
    judge,
};

type Lines<'a> = BTreeMap<(&'a str, &'a str, EventTime), String>;

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    match run.calm {
        Some(calm) => compare(calm, run.journal, args.text("series", "")),
        None => Outcome::saw(0, "there is no calm run to compare with"),
    }
}

/// Holds what a run commits against what the calm one does; `series` of it, or all if it is empty.
pub(super) fn compare(calm: &Journal, run: &Journal, series: &str) -> Outcome {
    let (mut wanted, mut found) = (lines(calm), lines(run));
    let is_asked = |key: &(&str, &str, EventTime)| series.is_empty() || key.0 == series;
    wanted.retain(|key, _| is_asked(key));
    found.retain(|key, _| is_asked(key));
    let whole = Evidence::of(run).finished() && Evidence::of(calm).finished();
    if !whole {
        let due = [&wanted, &found].map(|of| Horizon::over(of.keys().copied(), false));
        let both = |key: &(&str, &str, EventTime)| due.iter().all(|due| due.holds(key));
        wanted.retain(|key, _| both(key));
        found.retain(|key, _| both(key));
    }
    let rows = found.len();
    let text =
        |lines: &Lines<'_>| lines.values().map(String::as_str).collect::<Vec<_>>().join("\n");
    let same = text(&wanted) == text(&found);
    let summary = match (same, whole) {
        (true, true) => format!("{rows} rows, byte for byte as without faults"),
        (true, false) => "byte for byte as without faults".to_owned(),
        (false, _) => "other output than without faults".to_owned(),
    };
    Outcome::saw(rows as u64, summary)
        .measured("rows", rows as f64)
        .broken_by((!same).then(|| first(&wanted, &found)))
}

/// The visible rows, one line each, by row key.
fn lines(journal: &Journal) -> Lines<'_> {
    let points = journal.entries().iter().filter_map(|entry| match &entry.fact {
        Fact::PointWritten { point, .. } => Some(point),
        _ => None,
    });
    points.map(|point| ((&*point.series, &*point.key, point.time), point.to_string())).collect()
}

fn first(wanted: &Lines<'_>, found: &Lines<'_>) -> Broken {
    let mut keys = wanted.keys().chain(found.keys());
    let key = keys.find(|key| wanted.get(*key) != found.get(*key));
    let shown = |lines: &Lines<'_>| {
        key.and_then(|key| lines.get(key)).map_or("nothing", String::as_str).to_owned()
    };
    Broken::somewhere(format!("{} stands where the calm run has {}", shown(found), shown(wanted)))
}
