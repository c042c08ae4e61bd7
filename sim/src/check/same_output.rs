//! Metamorphic: what becomes visible is the same in every cell of a matrix.
//! Needs no model and no golden file: parallelism, chaining or delays must not show. Each cell's
//! table is kept by the player and compared here; whether it is right, others say.

use std::collections::BTreeMap;

use slackwater_core::fact::Fact;

use super::{Args, Broken, Check, Evidence, Needs, Outcome};
use crate::journal::Journal;

pub(super) const CHECK: Check = Check {
    name: "same_output",
    about: "the visible rows are the same in every cell of the matrix",
    keys: &[],
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

/// Sees only that there is something to compare; the player compares cells by [`differ`].
fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let rows = table(run.journal).len();
    Outcome::saw(rows as u64, format!("{rows} visible rows")).measured("rows", rows as f64)
}

/// The first row in which two cells differ.
pub fn differ((name, table): (&str, &Table), (other, others): (&str, &Table)) -> Option<Broken> {
    let mut keys = table.keys().chain(others.keys());
    let key = keys.find(|key| table.get(*key) != others.get(*key))?;
    let none = "nothing".to_owned();
    let (left, right) = (table.get(key).unwrap_or(&none), others.get(key).unwrap_or(&none));
    Some(Broken::somewhere(format!("{name} has {left}, {other} has {right}")))
}
