//! What a user's tests are made of: [`check`] plays a pipeline in a hundred worlds and judges each.
//! Adds nothing to what a scenario file can say but closures: every check is a document and a
//! catalogue of one program, played by [`crate::campaign`] like any other.
//! The parts: [`checking`](self) what a test says, `observed` what its claims look at, `faults`
//! what befalls a world, `play` what comes of it.

mod cast;
mod checking;
pub(crate) mod claim;
mod document;
mod during;
mod faults;
mod observed;
mod oracle;
mod play;
mod savepoints;
#[cfg(feature = "proptest")]
mod schedule;
pub(crate) mod script;
mod verdict;

use std::fmt;

use slackwater_dataflow::stream::{Env, Settings};
use slackwater_dataflow::task::PlanError;

pub use cast::{JobManagers, TaskManagers, jm, tm};
pub use checking::{ALL, Checking, DEFAULTS};
pub use during::{CHECKPOINT_PROTOCOL, During, during};
pub use faults::{Fault, Faults, Spans};
pub use observed::{JobSeen, Observed, Row, Table};
pub use oracle::Oracle;
pub use play::{Failure, Report};
pub use savepoints::Savepoint;
#[cfg(feature = "proptest")]
pub use schedule::faults;
pub use script::{JobLine, ScriptError, Sim};
pub use verdict::Verdict;

/// Checks a job with these settings: on a whole simulated cluster, once for each seed.
///
/// Of every run it is asked that nothing panics, fails or gets stuck, that states change legally,
/// that no watermark goes back, and that nothing is left behind when every job has ended; of a job
/// that takes checkpoints also that their numbers grow, that dead attempts change nothing, and that
/// what is kept of them is whole. What else must hold, the test says.
///
/// The world has a series database, an object store and, if asked for, a partitioned log; `generate`
/// and `ticks` give records of their own. Disks of nodes are empty at first and nobody else sees what
/// is written there, so a job over CSV files takes its source and sinks from a setting here.
///
/// ```
/// use slackwater_sim::prelude::*;
///
/// fn squares(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
///     let rows = settings.take("rows", 20)?;
///     env.checkpoint_every(ms(100)).restart(Restart::fixed(9, ms(100)));
///     let at = |n: u64| EventTime::from_millis(n as i64 * 100);
///     let numbers = generate::source(1, rows, move |_, n| (at(n), n)).every(ms(100));
///     env.source("numbers", numbers, Watermarks::ascending()).map(|n| (n, (n * n) as i64)).sink(
///         "squares-sink",
///         series::sink(move |(n, square): &(u64, i64)| {
///             Point::new("squares", "all", at(*n), [("value", (*square).into())])
///         }),
///     );
///     Ok(())
/// }
///
/// let report = slackwater_sim::check(squares, [("rows", 30)])
///     .seeds(0..2)
///     .faults(Fault::crash("tm-1").at(ms(500)..ms(2_000)).lasts(ms(300)))
///     .same_output_as_without_faults(ALL)
///     .always("a square is not negative", |o| o.table("squares").all(|row| row.value() >= 0.0))
///     .run();
/// assert_eq!(report.table("squares").len(), 30);
/// ```
pub fn check<J, K, V>(job: J, args: impl IntoIterator<Item = (K, V)>) -> Checking
where
    J: Fn(&Env, &mut Settings) -> Result<(), PlanError> + Send + Sync + 'static,
    K: Into<String>,
    V: fmt::Display,
{
    Checking::of(job, args)
}
