//! The oracles: each reads the facts of a run and says what it saw, and whether a promise broke.
//! Import only facts, keys and codec, with window code of their own: what judges the engine shares
//! nothing with it. Named in scenarios by the catalogue [`CHECKS`]; evidence is in [`Evidence`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::journal::{Entry, NodeIndex};
use crate::scenario::values::Arg;
use slackwater_core::time::parse_span;

mod amplified;
mod archive;
mod calm_output;
mod census;
mod claim;
mod conservation;
mod cut;
mod damage;
mod evidence;
mod exactly_once;
mod exchange;
mod fence;
mod gaps;
mod gathered;
mod idle;
mod ids;
mod key_groups;
mod late;
mod latency;
mod ledger;
mod lineage;
mod live;
mod model;
mod no_loss;
mod order;
mod recovery;
mod resumes;
mod same_output;
mod sawtooth;
mod sections;
mod since;
mod states;
mod steps;
mod store;
mod subtasks;
mod tick_windows;
mod used;
mod watermark;
mod wave;
mod window_sums;

pub(crate) use steps::submitted;

pub use evidence::{Evidence, LedgerEntry, Reading, Visible};
pub(crate) use evidence::{float, rows};
pub use exchange::{Crossed, crossed};
pub use latency::worse;
pub use order::{Arrival, arrivals};
pub use resumes::Resumed;
pub use same_output::{Table, differ, table};
pub(crate) use since::{Since, is_called};
pub use subtasks::per_subtask;
pub use used::{Used, used};

/// A check by its name in scenarios.
#[derive(Debug)]
pub struct Check {
    /// The name.
    pub name: &'static str,
    /// What it holds against what, in a sentence.
    pub about: &'static str,
    /// The keys that it has beside `check` and `must`.
    pub keys: &'static [(&'static str, Kind)],
    /// What it measures: an expectation may bound each.
    pub measures: &'static [&'static str],
    /// What else it needs to be shown.
    pub needs: Needs,
    /// Judges one run.
    pub judge: fn(&Evidence<'_>, &Args) -> Outcome,
}

/// What a check is shown beside the run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Run,
    /// The same seed without faults.
    Calm,
    /// That, and the same story cut in two: the second half has nothing but the store.
    Resumed,
    /// The other cells of the matrix.
    Cells,
}

/// What a key of a check holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A span such as `"1s"`.
    Span,
    /// A number.
    Number,
    /// A moment such as `{ healed = "kill" }`.
    Since,
    /// A wave such as `{ period = 10 }`.
    Period,
    /// The name of a step.
    Step,
    /// The names of steps, or of jobs that steps submit.
    Steps,
}

impl Kind {
    /// Reads a value of this kind.
    ///
    /// # Errors
    /// What is expected.
    pub(crate) fn read(self, arg: &Arg) -> Result<Value, String> {
        match (self, arg) {
            (Self::Text | Self::Step, Arg::Text(text)) => Ok(Value::Text(text.clone())),
            (Self::Span, Arg::Text(text)) => parse_span(text).map(Value::Span),
            (Self::Number, Arg::Number(number)) => Ok(Value::Number(*number)),
            (Self::Since, arg) => Since::read(arg).map(Value::Since),
            (Self::Period, Arg::Table(table)) => match (table.len(), table.get("period")) {
                (1, Some(Arg::Number(period))) if *period >= 1.0 => Ok(Value::Number(*period)),
                _ => Err("{ period = STEPS }".into()),
            },
            (Self::Steps, Arg::List(list)) => {
                let names = list.iter().map(|item| match item {
                    Arg::Text(name) => Ok(name.clone()),
                    _ => Err("a list of the names of steps".into()),
                });
                names.collect::<Result<_, _>>().map(Value::Steps)
            }
            (Self::Step, _) => Err("the name of a step".into()),
            (Self::Period, _) => Err("{ period = STEPS }".into()),
            (Self::Steps, _) => Err("a list of the names of steps".into()),
            (Self::Text, _) => Err("text".into()),
            (Self::Span, _) => Err("a span such as \"1s\"".into()),
            (Self::Number, _) => Err("a number".into()),
        }
    }
}

/// A value of a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Span(Duration),
    Number(f64),
    Since(Since),
    Steps(Vec<String>),
}

/// The keys of an expectation, each of its kind.
#[derive(Clone, Debug, Default)]
pub struct Args(BTreeMap<&'static str, Value>);

impl Args {
    pub(crate) fn new(args: BTreeMap<&'static str, Value>) -> Self {
        Self(args)
    }

    /// The same with one more text: for callers that have no scenario file.
    #[must_use]
    pub fn with_text(mut self, key: &'static str, text: &str) -> Self {
        self.0.insert(key, Value::Text(text.to_owned()));
        self
    }

    /// The same with one more number: for callers that have no scenario file.
    #[must_use]
    pub fn with_number(mut self, key: &'static str, number: f64) -> Self {
        self.0.insert(key, Value::Number(number));
        self
    }

    /// The same with one more span: for callers that have no scenario file.
    #[must_use]
    pub fn with_span(mut self, key: &'static str, span: Duration) -> Self {
        self.0.insert(key, Value::Span(span));
        self
    }

    /// The same, with the names of steps more.
    #[must_use]
    pub fn with_names(mut self, key: &'static str, names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.0.insert(key, Value::Steps(names));
        self
    }

    pub(crate) fn text<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        match self.0.get(key) {
            Some(Value::Text(text)) => text,
            _ => default,
        }
    }

    fn since(&self, key: &str) -> Since {
        match self.0.get(key) {
            Some(Value::Since(since)) => since.clone(),
            _ => Since::Fault,
        }
    }

    /// The names of steps; none unless they are given.
    fn steps(&self, key: &str) -> &[String] {
        match self.0.get(key) {
            Some(Value::Steps(steps)) => steps,
            _ => &[],
        }
    }

    fn number(&self, key: &str, default: f64) -> f64 {
        match self.0.get(key) {
            Some(Value::Number(number)) => *number,
            _ => default,
        }
    }

    fn span(&self, key: &str, default: Duration) -> Duration {
        match self.0.get(key) {
            Some(Value::Span(span)) => *span,
            _ => default,
        }
    }
}

/// Between what a measure must lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The measure.
    pub measure: &'static str,
    /// From here.
    pub at_least: Option<f64>,
    /// Up to and with here.
    pub at_most: Option<f64>,
}

impl Bound {
    /// Whether a measure lies between the bounds.
    pub fn holds(&self, measured: f64) -> bool {
        self.at_least.is_none_or(|least| measured >= least)
            && self.at_most.is_none_or(|most| measured <= most)
    }
}

/// Which fact showed that something was wrong: what kind, and who told it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its probe name.
    pub probe: &'static str,
    /// Who told it.
    pub node: NodeIndex,
}

impl Place {
    /// The place of this fact.
    pub fn of(entry: &Entry) -> Self {
        Self { probe: entry.fact.probe(), node: entry.node }
    }

    /// Whether this fact is of the place.
    pub fn is(&self, entry: &Entry) -> bool {
        *self == Self::of(entry)
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// How many things it looked at; a check that saw nothing is an error of the harness.
    pub saw: u64,
    /// What it saw, in words that change only when behaviour does.
    pub summary: String,
    /// Numbers that an expectation may bound.
    pub measures: BTreeMap<&'static str, f64>,
    /// The first thing that was wrong.
    pub broken: Option<Broken>,
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Virtual time at which it showed, if it did at a time.
    pub at: Option<Duration>,
    /// The fact at which it showed, if it did at one.
    pub place: Option<Place>,
    /// What, in the words of the domain.
    pub what: String,
}

impl Outcome {
    /// What was seen, in which words.
    fn saw(saw: u64, summary: impl Into<String>) -> Self {
        Self { saw, summary: summary.into(), ..Self::default() }
    }

    /// The same with a measure.
    fn measured(mut self, measure: &'static str, value: f64) -> Self {
        self.measures.insert(measure, value);
        self
    }

    /// The same, broken if something was wrong.
    fn broken_by(mut self, broken: Option<Broken>) -> Self {
        self.broken = self.broken.or(broken);
        self
    }
}

impl Broken {
    /// At a time.
    fn at(at: Duration, what: impl Into<String>) -> Self {
        Self { at: Some(at), place: None, what: what.into() }
    }

    /// At the time and place of a fact.
    fn by(entry: &Entry, what: impl Into<String>) -> Self {
        Self { place: Some(Place::of(entry)), ..Self::at(entry.time, what) }
    }

    /// Nowhere: something that should be there is not.
    fn somewhere(what: impl Into<String>) -> Self {
        Self { at: None, place: None, what: what.into() }
    }
}

/// Every check there is.
pub const CHECKS: &[Check] = &[
    amplified::CHECK,
    calm_output::CHECK,
    census::BEHIND,
    census::CHECK,
    claim::CHECK,
    conservation::CHECK,
    cut::CHECK,
    damage::CHECK,
    exactly_once::CHECK,
    exchange::CHECK,
    fence::CHECK,
    gathered::CHECK,
    idle::CHECK,
    ids::CHECK,
    key_groups::CHECK,
    late::CHECK,
    latency::CHECK,
    ledger::CHECK,
    live::CHECK,
    model::CHECK,
    no_loss::CHECK,
    order::CHECK,
    recovery::CHECK,
    resumes::CHECK,
    same_output::CHECK,
    sawtooth::CHECK,
    states::CHECK,
    store::CHECK,
    subtasks::CHECK,
    used::CHECK,
    watermark::CHECK,
    wave::CHECK,
    window_sums::EXPECTED,
    window_sums::ZERO,
];

/// The check of this name.
pub fn find(name: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.name == name)
}
