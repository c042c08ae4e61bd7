//! Who decides while a world runs: sees every fact at its very step, and says what is to be done.
//! A director is plain code: facts, steps and timers in, orders out; it draws only from what it was
//! given before the world began. Given to [`super::World::directed_by`]; the story of a scenario is
//! directed by `scenario`'s.

use std::time::Duration;

use super::Action;
use crate::journal::Entry;

/// Actions, each so long after what set it off.
pub type Orders = Vec<(Duration, Action)>;

/// Decides while a world runs.
pub trait Director: Send {
    /// What is to be done, counted from the beginning of the world; `cast` names its nodes by index.
    fn begin(&mut self, cast: &[String]) -> Orders {
        let _ = cast;
        Orders::new()
    }

    /// A fact is told. A kill or a pause without delay is done at this very step.
    fn on_fact(&mut self, entry: &Entry) -> Orders;

    /// The next step before which [`Director::on_step`] is to be asked; `u64::MAX` if none.
    fn next_step(&self) -> u64 {
        u64::MAX
    }

    /// The world is about to take the step of this number, from 1.
    fn on_step(&mut self, step: u64) -> Orders {
        let _ = step;
        Orders::new()
    }

    /// The time of an [`Action::Timer`] that it ordered has come.
    fn on_timer(&mut self, timer: u64) -> Orders {
        let _ = timer;
        Orders::new()
    }
}
