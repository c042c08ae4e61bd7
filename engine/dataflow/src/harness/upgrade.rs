//! State of one version of some operators in the hands of another: kept, migrated, looked at, or
//! refused with the reason, as `run -s` does it.
//! Nothing is decided here: who keeps what is said by `slackwater_core::compat`, and state is made
//! into today's by [`crate::state::Upgrade`], as on a worker. What is declared is in [`crate::stream`].

use std::fmt::{self, Debug};

use slackwater_core::Data;
use slackwater_core::checkpoint::{
    CheckpointKind, CheckpointMetadata, METADATA_FORMAT, StateHandle, VertexState,
};
use slackwater_core::compat::{Comparison, compare};
use slackwater_core::graph::Uid;
use slackwater_core::id::{Attempt, CheckpointId, JobEpoch, JobId, VertexId};
use slackwater_core::program::Program;
use slackwater_core::savepoint::StartFrom;
use slackwater_core::time::ProcessingTime;

use super::{Harness, Outlets, Step};
use crate::state::{Section, Summary};
use crate::stream::Stream;

/// Why operators do not take up what another version of them has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(Vec<String>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Refused {}

impl<I: Data, O: Data, L: Data> Harness<I, O, L> {
    /// What would become of this state here: kept, migrated, changed, lost, and what is new. The same
    /// words as `plan --against` has for a savepoint.
    ///
    /// # Panics
    /// If the sections are not of a snapshot.
    pub fn compare(&self, left: &[Section]) -> Comparison {
        compare(&metadata(left, self.cluster.graph().max_parallelism), self.cluster.graph())
    }

    /// Starts the operators with what another version of them has left, at whatever parallelism each
    /// of both has: as `run -s` starts a job from a savepoint.
    ///
    /// ```
    /// use slackwater_dataflow::harness::Harness;
    /// # use serde::{Serialize, Deserialize};
    /// #[derive(Clone, Default, Serialize, Deserialize)]
    /// struct Balance { cents: i64, bookings: u32 }
    /// let mut v1 = Harness::new(|cents| cents.scan("sum", 0, |sum: &mut i64, c: i64| { *sum += c; *sum }));
    /// let mut v2 = Harness::new(|cents| {
    ///     let book = |sum: &mut Balance, c: i64| {
    ///         *sum = Balance { cents: sum.cents + c, bookings: sum.bookings + 1 };
    ///         (sum.cents, sum.bookings)
    ///     };
    ///     cents.scan("sum", Balance::default(), book)
    ///         .migrate(|cents: i64| Balance { cents, bookings: 0 })
    /// });
    /// v1.element(1, 5).element(2, 7);
    /// v2.upgrade(&v1.snapshot()).element(3, 30);
    /// assert_eq!(v2.output(), [(42, 1)]);
    /// ```
    ///
    /// # Panics
    /// If it is refused; the message says why. See [`Harness::try_upgrade`].
    pub fn upgrade(&mut self, left: &[Section]) -> &mut Self {
        if let Err(refused) = self.try_upgrade(left, false) {
            panic!("{refused}");
        }
        self
    }

    /// As [`Harness::upgrade`], for whoever asks what is refused. State that no operator takes up is
    /// left behind if `allow_non_restored` says so. After a refusal the operators begin with nothing.
    ///
    /// # Errors
    /// Every reason that `run -s` would give, or what a task says of the state that it restores.
    ///
    /// # Panics
    /// If the sections are not of a snapshot.
    pub fn try_upgrade(
        &mut self,
        left: &[Section],
        allow_non_restored: bool,
    ) -> Result<Comparison, Refused> {
        let comparison = self.compare(left);
        let path = "the snapshot".to_owned();
        let from = StartFrom { path, allow_non_restored, reset_watermarks: false };
        comparison.verdict(&from).map_err(Refused)?;
        self.cluster.restore(left).map_err(|refused| Refused(vec![refused]))?;
        Ok(comparison)
    }
}

/// Holds that nobody can tell when operators were replaced by another version of them that computes
/// the same: after each of the steps in turn `new` goes on with what `old` has left, and what comes
/// out of both is what comes out of `old` in peace, in order.
///
/// ```
/// use slackwater_dataflow::harness::{Step, upgrade_anywhere};
/// let numbers = [1, 2, 3].map(|n| Step::Element(n, n));
/// upgrade_anywhere(
///     |n| n.scan("sum", 0, |sum: &mut i64, n: i64| { *sum += n; *sum }),
///     |n| n.scan("total", 0, |sum: &mut i64, n: i64| { *sum += n; *sum }).was("sum"),
///     &numbers,
/// );
/// ```
///
/// # Panics
/// If it does not hold, with the step after which the upgrade shows; if the state is refused.
pub fn upgrade_anywhere<I, R, S>(
    old: impl Fn(Stream<I>) -> R + Clone + 'static,
    new: impl Fn(Stream<I>) -> S + Clone + 'static,
    steps: &[Step<I>],
) where
    I: Data + Debug,
    R: Outlets<Main: PartialEq + Debug, Late: PartialEq + Debug>,
    S: Outlets<Main = R::Main, Late = R::Late>,
{
    let play = |until: usize| {
        let mut h = Harness::new(old.clone());
        steps[..until].iter().for_each(|step| _ = h.step(step));
        h
    };
    let mut peace = play(steps.len());
    peace.end();
    let peace = (peace.take_records(), peace.late());
    for (index, step) in steps.iter().enumerate() {
        let mut before = play(index + 1);
        let mut after = Harness::new(new.clone());
        after.cluster.advance_clock(before.cluster.clock());
        after.upgrade(&before.snapshot());
        steps[index + 1..].iter().for_each(|step| _ = after.step(step));
        after.end();
        let mut upgraded = (before.take_records(), before.late());
        upgraded.0.extend(after.take_records());
        upgraded.1.extend(after.late());
        assert!(
            upgraded == peace,
            "an upgrade after step {} ({step:?}) shows:\n  without: {peace:?}\n  with:    {upgraded:?}",
            index + 1,
        );
    }
}

/// What a savepoint of these sections would say of them.
fn metadata(left: &[Section], max_parallelism: u16) -> CheckpointMetadata {
    let mut summary = Summary::default();
    for section in left {
        summary.add(section).unwrap_or_else(|refused| panic!("{refused}"));
    }
    let contents = summary.contents();
    let uids: Vec<Uid> = contents.states.iter().map(|state| state.uid.clone()).collect();
    let vertex = VertexState {
        vertex: VertexId(0),
        uids,
        parallelism: 1,
        subtasks: vec![StateHandle::Empty],
        contents,
    };
    CheckpointMetadata {
        format: METADATA_FORMAT,
        job: JobId(1),
        checkpoint: CheckpointId(1),
        kind: CheckpointKind::Savepoint,
        epoch: JobEpoch(1),
        attempt: Attempt(1),
        program: Program::named("harness"),
        triggered: ProcessingTime::from_millis(0),
        completed: ProcessingTime::from_millis(0),
        max_parallelism,
        vertices: vec![vertex],
        finished: Vec::new(),
        last: false,
        ending: None,
    }
}

#[cfg(test)]
mod tests;
