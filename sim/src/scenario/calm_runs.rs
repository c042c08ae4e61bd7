//! Runs without faults, played once and shared: the cells of a matrix that differ in their faults
//! alone have the same one under the same seed.
//! Keeps only the latest few, since each holds a whole journal; who is given which never changes
//! what is in it. Asked by [`super::player`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use slackwater_dataflow::task::Programs;

use super::drawn::Drawn;
use super::resolve::Cell;
use super::schedule;
use crate::world::{Run, Stop};

/// How many are kept: neighbours in the order of the work are what can share one.
const KEPT: usize = 16;

/// The latest runs without faults.
#[derive(Debug, Default)]
pub struct CalmRuns(Mutex<VecDeque<(String, Shared)>>);

type Shared = Arc<OnceLock<Arc<Run>>>;

impl CalmRuns {
    /// The run of this cell under this seed, and whether it was played for this call: who asks first
    /// plays it, and others wait for it.
    pub(super) fn of(
        &self,
        cell: &Cell,
        seed: u64,
        play: impl FnOnce() -> Run,
    ) -> (Arc<Run>, bool) {
        let key = key(cell, seed);
        let slot = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = kept.iter().find(|(known, _)| *known == key);
            match known.map(|(_, slot)| Arc::clone(slot)) {
                Some(slot) => slot,
                None => {
                    let slot = Shared::default();
                    kept.push_back((key, Arc::clone(&slot)));
                    if kept.len() > KEPT {
                        kept.pop_front();
                    }
                    slot
                }
            }
        };
        let mut played = false;
        let run = slot.get_or_init(|| {
            played = true;
            Arc::new(play())
        });
        (Arc::clone(run), played)
    }
}

/// When every job runs, and the steps of a cell as they come without faults. Where there are none,
/// nothing is played, and a calm run tells when.
pub(super) fn steps(
    cell: &Cell,
    seed: u64,
    programs: &Arc<dyn Programs>,
) -> (Option<Duration>, Vec<Drawn>) {
    if cell.document.step.is_empty() {
        return (None, Vec::new());
    }
    let jobs = cell.programs.len();
    let world = |faults: &[Drawn]| schedule::world(cell, seed, faults, programs);
    // Only so far as to see them run.
    let begin = || world(&[]).until(Stop::Seen, super::answer::all_run(jobs)).run();
    let running = match jobs {
        0 => Some(Duration::ZERO),
        _ => super::player::all_running(&begin().journal, jobs),
    };
    let mut steps = super::step::draw(&cell.document, seed, running.unwrap_or_default());
    super::inside::settle(cell, &mut steps, world);
    (running, steps)
}

/// Everything of a cell on which its world depends, but for faults.
fn key(cell: &Cell, seed: u64) -> String {
    let document = &cell.document;
    let (cluster, sweep, programs) = (&document.cluster, &document.sweep, &cell.programs);
    let (stop, limit, rest) = (&document.run.stop, &document.run.limit, &document.run.rest);
    let steps = &document.step;
    format!("{seed} {cluster:?} {programs:?} {steps:?} {stop:?} {limit:?} {rest:?} {sweep:?}")
}
