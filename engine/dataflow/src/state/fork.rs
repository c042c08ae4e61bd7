//! How state leaves a task and comes back: a fork that is written beside the stream, and what a
//! restore hands to every stage. A fork is the state as it was when the barrier passed, whatever
//! the stream does meanwhile. Where sections are stored is the runtime's business.

use slackwater_core::graph::Uid;
use slackwater_core::id::CheckpointId;

use super::{Section, StateError};

/// State as it was when a barrier passed. Made cheaply between two batches, read in slices later, on
/// the worker of the task that made it. Dropping it early costs nothing and harms nobody.
pub trait Fork {
    /// Does a slice of work, a millisecond at most or so, and gives a section if one has become
    /// whole by it; `None` once there are no more. Equal state gives equal sections in equal order.
    fn next_section(&mut self) -> Option<Result<Option<Section>, StateError>>;
}

/// Sections that exist already: what is small needs no slices.
impl Fork for std::vec::IntoIter<Section> {
    fn next_section(&mut self) -> Option<Result<Option<Section>, StateError>> {
        self.next().map(|section| Ok(Some(section)))
    }
}

/// Reads a fork to its end at once.
///
/// # Errors
/// The first that the fork gives.
pub fn sections(fork: &mut dyn Fork) -> Result<Vec<Section>, StateError> {
    let slices = std::iter::from_fn(|| fork.next_section());
    slices.filter_map(Result::transpose).collect()
}

/// What a subtask takes up again: every section of its vertex that a checkpoint holds, its own and
/// those of other subtasks. Each stage takes those of its uid and its share.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Which checkpoint it was.
    pub checkpoint: Option<CheckpointId>,
    /// Its sections.
    pub sections: Vec<Section>,
    /// Savepoints of the job that are complete: what sinks prepared for them stays.
    pub spared: Vec<CheckpointId>,
    /// Whether event time begins anew: no watermark and no greatest timestamp is taken up.
    pub reset_watermarks: bool,
}

impl Restored {
    /// The sections of one operator.
    pub fn of<'a>(&'a self, uid: &'a Uid) -> impl Iterator<Item = &'a Section> {
        self.sections.iter().filter(move |section| section.uid == *uid)
    }
}
