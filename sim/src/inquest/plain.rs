//! Plainer values: delays that do not vary, exact clocks, round times, knobs left alone.
//! Nothing here changes what a job does: its settings are its own. Each edit stands alone, so that
//! as many as can be are made at once by [`super::shrink`].

use std::time::Duration;

use toml::{Table, Value};

use super::document::{at, each, elements, shown, span, with, without};
use crate::scenario::values::Spans;

/// How many times is tried anew: what is not as plain as can be may be plainer than it was.
pub(super) const ROUNDS: u64 = 3;

/// One change of a document.
pub(super) struct Edit {
    kind: Change,
}

enum Change {
    /// Another value at a path.
    Set(String, Value),
    /// No value at a path.
    Drop(String),
    /// Another value for a key of the fault at a place; none: no such key.
    Fault(usize, &'static str, Option<Value>),
}

impl Edit {
    /// The document with this edit made.
    pub(super) fn done(&self, mut document: Table) -> Table {
        match &self.kind {
            Change::Set(path, value) => with(&document, path, value.clone()),
            Change::Drop(path) => without(&document, path).unwrap_or(document),
            Change::Fault(place, key, value) => {
                let mut at = 0;
                each(&mut document, "fault", |fault| {
                    if at == *place {
                        *fault = match value {
                            Some(value) => with(fault, key, value.clone()),
                            None => without(fault, key).unwrap_or_else(|| fault.clone()),
                        };
                    }
                    at += 1;
                });
                document
            }
        }
    }
}

/// Knobs of a cluster that are best left alone.
const KNOBS: [&str; 8] =
    ["credits", "buffers", "tick", "workers", "shuffle", "clock", "log", "net.shape"];

/// What could be plainer. In later rounds less is asked of each value.
pub(super) fn edits(document: &Table, round: u64) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut change = |kind| edits.push(Edit { kind });
    for knob in KNOBS {
        let path = format!("cluster.{knob}");
        if at(document, &path).is_some() && round == 0 {
            change(Change::Drop(path));
        }
    }
    for path in ["run.rest", "story"] {
        if at(document, path).is_some() && round == 0 {
            change(Change::Drop(path.to_owned()));
        }
    }
    let delay = at(document, "cluster.net.delay").and_then(Value::as_str);
    if let Some(Ok(Spans { low, high })) = delay.map(Spans::parse) {
        let fixed = match round {
            0 => Duration::from_millis(1),
            1 => round_to((low + high) / 2, 1),
            _ => high,
        };
        if low != high {
            change(Change::Set("cluster.net.delay".to_owned(), shown(fixed).into()));
        }
    }
    for (place, fault) in elements(document, "fault").into_iter().enumerate() {
        if fault.contains_key("must_fire") && round == 0 {
            change(Change::Fault(place, "must_fire", None));
        }
        if fault.contains_key("disk") && round == 0 {
            change(Change::Fault(place, "disk", None));
        }
        for key in ["when.at", "when.delay", "down", "for", "by"] {
            let Some(exact) = span(fault, key) else { continue };
            let round = round_to(exact, [1_000, 500, 100][round.min(2) as usize]);
            if round != exact {
                change(Change::Fault(place, key, Some(shown(round).into())));
            }
        }
    }
    edits
}

/// The nearest whole number of so many milliseconds.
fn round_to(span: Duration, unit: u128) -> Duration {
    let round = (span.as_millis() + unit / 2) / unit * unit;
    Duration::from_millis(u64::try_from(round).unwrap_or(u64::MAX))
}
