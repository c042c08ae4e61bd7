//! What came of an expectation, and of a whole run: verdicts, troubles, and their classes.
//! Nothing is looked at here: outcomes come from [`crate::check`], runs from [`super::player`].
//! Exit codes of the command line are the classes' numbers.

use std::fmt;
use std::time::Duration;

use crate::check::{Broken, Outcome, Place};
use crate::journal::Entry;

use super::format::Must;
use super::resolve::Expectation;

/// Why a scenario did not pass.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// An expectation was not met.
    Broken = 10,
    /// The limit of virtual time was reached.
    Stuck = 11,
    /// A process panicked.
    Panicked = 12,
    /// The same seed gave two histories.
    NonDeterministic = 13,
    /// The harness itself is at fault: a check that saw nothing, a fault that never fired.
    Harness = 14,
    /// What had to happen in some runs happened in too few.
    Unmet = 15,
}

impl Class {
    /// The class with this exit code.
    pub fn of_code(code: u8) -> Option<Self> {
        use Class::*;
        let all = [Broken, Stuck, Panicked, NonDeterministic, Harness, Unmet];
        all.into_iter().find(|class| *class as u8 == code)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Broken => "BROKE",
            Self::Stuck => "STUCK",
            Self::Panicked => "PANIC",
            Self::NonDeterministic => "DIVERGED",
            Self::Harness => "HARNESS",
            Self::Unmet => "UNMET",
        })
    }
}

/// Something that is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which kind.
    pub class: Class,
    /// What, for a person; more than one line for a divergence.
    pub what: String,
    /// The check that says so, if one does.
    pub check: Option<&'static str>,
    /// Virtual time at which it showed, if it did at a time.
    pub at: Option<Duration>,
    /// The fact at which it showed, if it did at one.
    pub place: Option<Place>,
}

impl Trouble {
    /// A trouble of this class.
    pub fn new(class: Class, what: impl Into<String>) -> Self {
        Self { class, what: what.into(), check: None, at: None, place: None }
    }

    /// The same, shown by a fact.
    #[must_use]
    pub fn shown_by(self, entry: &Entry) -> Self {
        Self { at: Some(entry.time), place: Some(Place::of(entry)), ..self }
    }

    /// The same, told by a check.
    #[must_use]
    fn told_by(self, check: &'static str) -> Self {
        Self { check: Some(check), ..self }
    }
}

/// What came of one expectation in one run.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The check's name.
    pub check: &'static str,
    /// What was asked.
    pub must: Must,
    /// What was seen.
    pub outcome: Outcome,
    /// What is wrong, if anything is.
    pub trouble: Option<Trouble>,
}

impl Judged {
    /// Holds an outcome against what was expected.
    pub fn new(expectation: &Expectation, outcome: Outcome) -> Self {
        Self::at(expectation, outcome, false)
    }

    /// As [`Judged::new`]; of the instants of a sweep not every one has to break.
    pub(super) fn at(expectation: &Expectation, outcome: Outcome, is_instant: bool) -> Self {
        let must = match expectation.must {
            Must::Break if is_instant => Must::Either,
            must => must,
        };
        let bound = Expectation { must, ..expectation.clone() };
        let trouble = trouble(&bound, &outcome);
        Self { check: expectation.check.name, must, outcome, trouble }
    }

    /// `held`, `broke, as it must`, … : one or a few words.
    pub fn word(&self) -> &'static str {
        match (&self.trouble, self.must, &self.outcome.broken) {
            (Some(_), ..) => "FAILED",
            (None, Must::Hold | Must::IfSeen, _) => "held",
            (None, Must::Break, _) => "broke, as it must",
            (None, Must::Either, None) => "held, may break",
            (None, Must::Either, Some(_)) => "broke, as it may",
        }
    }
}

fn trouble(expectation: &Expectation, outcome: &Outcome) -> Option<Trouble> {
    let name = expectation.check.name;
    if outcome.saw == 0 && expectation.must == Must::IfSeen {
        return None;
    }
    if outcome.saw == 0 {
        let summary = &outcome.summary;
        let what = format!("{name} saw nothing: {summary}");
        return Some(Trouble::new(Class::Harness, what).told_by(name));
    }
    let broke = |what: String| Some(Trouble::new(Class::Broken, what).told_by(name));
    match (expectation.must, &outcome.broken) {
        (Must::Hold | Must::IfSeen, Some(broken)) => {
            let told = broke(format!("{name}: {}", shown(broken)));
            return told.map(|told| Trouble { at: broken.at, place: broken.place, ..told });
        }
        (Must::Break, None) => return broke(format!("{name} held, and must break")),
        _ => {}
    }
    for bound in &expectation.bounds {
        let measured = outcome.measures.get(bound.measure).copied().unwrap_or(f64::NAN);
        if !bound.holds(measured) {
            let side = |word: &str, bound: Option<f64>| {
                bound.map_or_else(String::new, |bound| format!(" {word} {bound}"))
            };
            let (least, most) = (side("at least", bound.at_least), side("at most", bound.at_most));
            let measure = bound.measure;
            return broke(format!("{name}: {measure} is {measured:.4}, want{least}{most}"));
        }
    }
    None
}

/// What broke, and when if that is known.
fn shown(broken: &Broken) -> String {
    match broken.at {
        Some(at) => format!("at {:.3} s: {}", at.as_secs_f64(), broken.what),
        None => broken.what.clone(),
    }
}
