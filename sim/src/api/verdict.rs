//! What a user's claim came to: how much it saw, and what was wrong first.
//! Plain data; made by the questions of [`super::observed`] or from a truth, and taken over into an
//! [`Outcome`] by [`super::claim`].

use std::time::Duration;

use crate::check::{Broken, Outcome};

/// Whether a claim holds, and how much was looked at: a claim that saw nothing proves nothing.
///
/// A `bool` or a `Result<(), String>` becomes one, too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a verdict that nobody reads judges nothing"]
pub struct Verdict {
    saw: u64,
    broken: Option<(Option<Duration>, String)>,
}

impl Verdict {
    /// It holds of so many things.
    pub fn saw(things: u64) -> Self {
        Self { saw: things, broken: None }
    }

    /// The same, broken; of several reasons the first stays.
    pub fn broken(mut self, why: impl Into<String>) -> Self {
        self.broken.get_or_insert((None, why.into()));
        self
    }

    /// The same, broken at a virtual time.
    pub fn broken_at(mut self, at: Duration, why: impl Into<String>) -> Self {
        self.broken.get_or_insert((Some(at), why.into()));
        self
    }

    /// Both hold.
    pub fn and(mut self, other: impl Into<Self>) -> Self {
        let other = other.into();
        self.saw += other.saw;
        self.broken = self.broken.or(other.broken);
        self
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.broken.is_none()
    }

    /// Why it does not hold.
    ///
    /// # Errors
    /// The words of the first thing that was wrong.
    pub fn into_result(self) -> Result<(), String> {
        self.broken.map_or(Ok(()), |(_, why)| Err(why))
    }

    /// As an oracle would say it; without a time of its own it broke at `now`.
    pub(super) fn outcome(self, summary: &str, now: Option<Duration>) -> Outcome {
        let broken = self.broken.map(|(at, what)| {
            let what = format!("{summary}: {what}");
            Broken { at: at.or(now), place: None, what }
        });
        Outcome { saw: self.saw, summary: summary.to_owned(), broken, ..Outcome::default() }
    }
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        match holds {
            true => Self::saw(1),
            false => Self::saw(1).broken("it does not hold"),
        }
    }
}

impl From<Result<(), String>> for Verdict {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::saw(1),
            Err(why) => Self::saw(1).broken(why),
        }
    }
}
