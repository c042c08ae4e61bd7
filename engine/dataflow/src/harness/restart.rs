//! Whether a restart shows: the same steps once in peace and once for each place of a restart.
//! Draws nothing and samples nothing: every place is tried, because a run takes microseconds. Steps
//! for it come from a test, by hand or from proptest; one place is [`Harness::snapshot_and_restore`].

use std::fmt::Debug;

use slackwater_core::Data;

use super::{Harness, Outlets};
use crate::stream::Stream;

/// Something that is given to operators.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<I> {
    /// An element, stamped with milliseconds of event time.
    Element(i64, I),
    /// A watermark. They never go back.
    Watermark(i64),
    /// The clock of processing time reaches so many milliseconds. It never goes back.
    ProcessingTime(i64),
}

impl<I: Data, O: Data, L: Data> Harness<I, O, L> {
    /// Gives one step.
    ///
    /// # Panics
    /// If an operator fails: the message is its error.
    pub fn step(&mut self, step: &Step<I>) -> &mut Self {
        match step {
            Step::Element(at, value) => self.element(*at, value.clone()),
            Step::Watermark(at) => self.watermark(*at),
            Step::ProcessingTime(at) => self.processing_time(*at),
        }
    }
}

/// Holds that nobody can tell where operators were restarted: after each of the steps in turn all of
/// them are ended and started anew with a snapshot, and what comes out is the same, in order.
///
/// ```
/// use slackwater_dataflow::harness::{Step, restart_anywhere};
/// let numbers = [1, 2, 3].map(|n| Step::Element(n, n));
/// restart_anywhere(|n| n.scan("sum", 0, |sum: &mut i64, n: i64| { *sum += n; *sum }), &numbers);
/// ```
///
/// # Panics
/// If it does not hold, with the step after which a restart shows and what comes out then; if state
/// is refused.
pub fn restart_anywhere<I, R>(build: impl Fn(Stream<I>) -> R + Clone + 'static, steps: &[Step<I>])
where
    I: Data + Debug,
    R: Outlets,
    R::Main: PartialEq + Debug,
    R::Late: PartialEq + Debug,
{
    let play = |restart: Option<usize>| {
        let mut h = Harness::new(build.clone());
        for (index, step) in steps.iter().enumerate() {
            h.step(step);
            if restart == Some(index) {
                h.snapshot_and_restore();
            }
        }
        h.end();
        (h.take_records(), h.late())
    };
    let peace = play(None);
    for (index, step) in steps.iter().enumerate() {
        let restarted = play(Some(index));
        assert!(
            restarted == peace,
            "a restart after step {} ({step:?}) shows:\n  without: {peace:?}\n  with:    {restarted:?}",
            index + 1,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_keeps_its_state_passes() {
        let steps = [Step::Element(1, 3), Step::Watermark(5), Step::Element(9, 4)];
        let sum = |sum: &mut i64, n: i64| {
            *sum += n;
            *sum
        };
        restart_anywhere(move |numbers| numbers.scan("sum", 0, sum), &steps);
    }

    #[test]
    #[should_panic(expected = "a restart after step 1 (Element(1, 3)) shows")]
    fn what_hides_state_in_a_closure_is_found() {
        let steps = [Step::Element(1, 3), Step::Element(2, 4)];
        let count = |numbers: Stream<i64>| {
            let mut hidden = 0;
            numbers.map(move |n| {
                hidden += n;
                Cell::new(hidden).get()
            })
        };
        restart_anywhere(count, &steps);
    }
}
