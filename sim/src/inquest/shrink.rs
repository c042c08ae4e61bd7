//! Makes a failing run smaller, as long as it fails alike: fewer faults, steps and nodes, a shorter
//! run over less data, plainer values.
//! Works on the settled document, so that what comes out is a scenario file; plays through
//! [`super::trial`] alone. What is tried to get there is [`super::smaller`]'s and [`super::plain`]'s.

use std::sync::atomic::Ordering;

use toml::{Table, Value};

use super::ddmin::ddmin;
use super::document::{elements, only};
use super::trial::Trial;
use super::{plain, smaller};
use crate::scenario::format::Simplify;

/// What is tried in which order, unless a file says something else.
pub(super) const ORDER: [Simplify; 6] = [
    Simplify::DropFaults,
    Simplify::DropSteps,
    Simplify::FewerNodes,
    Simplify::ShorterRun,
    Simplify::SmallerWorkload,
    Simplify::PlainerValues,
];

/// The smallest document that was found to fail alike, and whether nothing was left to try.
pub(super) fn shrink(trial: &Trial<'_>, order: &[Simplify], document: Table) -> (Table, bool) {
    let mut small = document;
    loop {
        let before = small.clone();
        for way in order {
            small = match way {
                Simplify::DropFaults => {
                    let fewer = fewer(trial, small, "fault");
                    // Without any fault left it is not the faults that do it.
                    let any = !elements(&fewer, "fault").is_empty();
                    trial.needs_faults.store(any, Ordering::Relaxed);
                    fewer
                }
                Simplify::DropSteps => fewer(trial, small, "step"),
                Simplify::FewerNodes => descend(trial, small, smaller::nodes),
                Simplify::ShorterRun => {
                    let is_of_the_end = trial.kind.is_of_the_end();
                    descend(trial, small, |document| smaller::run(document, is_of_the_end))
                }
                Simplify::SmallerWorkload => descend(trial, small, smaller::workload),
                Simplify::PlainerValues => plainer(trial, small),
            };
        }
        // One way may open another: a fault may be needed only while there are three nodes.
        if trial.is_over() || small == before {
            return (small, !trial.is_over());
        }
    }
}

/// Leaves out every element of an array of tables that the failure does not need.
fn fewer(trial: &Trial<'_>, document: Table, key: &str) -> Table {
    let all = elements(&document, key).len();
    let kept = ddmin(all, |choices| {
        let candidates: Vec<_> = choices.iter().map(|kept| only(&document, key, kept)).collect();
        trial.first_alike(&candidates)
    });
    if kept.len() == all { document } else { only(&document, key, &kept) }
}

/// Takes the first smaller document that fails alike, and goes on from there.
fn descend(
    trial: &Trial<'_>,
    mut document: Table,
    smaller: impl Fn(&Table) -> Vec<Table>,
) -> Table {
    loop {
        let candidates = smaller(&document);
        match trial.first_alike(&candidates) {
            Some(place) => document = candidates[place].clone(),
            None => return document,
        }
    }
}

/// Makes values plainer: as many at once as can be.
fn plainer(trial: &Trial<'_>, document: Table) -> Table {
    let mut document = document;
    for round in 0..plain::ROUNDS {
        let edits = plain::edits(&document, round);
        let done = |kept: &[usize]| {
            let edits = edits.iter().enumerate().filter(|(place, _)| !kept.contains(place));
            edits.fold(document.clone(), |document, (_, edit)| edit.done(document))
        };
        // What is kept here is what stays as it is.
        let kept = ddmin(edits.len(), |choices| {
            let candidates: Vec<_> = choices.iter().map(|kept| done(kept)).collect();
            trial.first_alike(&candidates)
        });
        document = if kept.len() == edits.len() { document } else { done(&kept) };
    }
    document
}

/// The document as the shrinker takes it: what is of the report and of other runs is gone.
pub(super) fn prepared(mut document: Table) -> Table {
    for key in ["report", "shrink", "swarm", "sometimes", "matrix", "found"] {
        document.remove(key);
    }
    if let Some(run) = document.get_mut("run").and_then(Value::as_table_mut) {
        run.remove("determinism");
        run.remove("pinned");
        run.remove("budget");
    }
    document
}
