//! A checkpoint that is not complete: who must still acknowledge it, and what the others said.
//! Counts nothing: acknowledgements are a set of subtasks, so that one said twice is one.
//! What is decided when the set is full: [`super::Coordinator`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slackwater_core::checkpoint::{
    CheckpointKind, CheckpointMetadata, CheckpointTimes, Contents, METADATA_FORMAT, StateHandle,
    VertexState,
};
use slackwater_core::graph::Vertex;
use slackwater_core::id::{Attempt, CheckpointId, Subtask};
use slackwater_core::time::ProcessingTime;

use super::Plan;
use super::savepoints::Asked;
use crate::tasks::Tasks;
use crate::view::{CheckpointState, CheckpointView, PartView};

/// How many subtasks a cause names before it only counts the others.
const NAMED: usize = 5;

/// A checkpoint between its trigger and its completion.
#[derive(Debug)]
pub struct Pending {
    /// Its id.
    pub checkpoint: CheckpointId,
    /// The attempt whose tasks take part.
    pub attempt: Attempt,
    /// When it was triggered.
    pub triggered: Duration,
    /// Whether every source was at its end.
    pub last: bool,
    /// Who asked for it, if it is a savepoint.
    pub savepoint: Option<Asked>,
    /// Whether every part is in, and its metadata is being written: no longer ours to abort.
    pub writing: bool,
    /// What all its parts took: the longest of each.
    pub times: CheckpointTimes,
    waiting: BTreeSet<Subtask>,
    parts: BTreeMap<Subtask, (StateHandle, Contents)>,
    finished: Vec<Subtask>,
    /// The parts that are in, for whoever asks.
    told: Vec<PartView>,
}

impl Pending {
    /// One that every live task must acknowledge. Those that have finished are written down.
    pub fn new(
        checkpoint: CheckpointId,
        triggered: Duration,
        (last, savepoint): (bool, Option<Asked>),
        tasks: &Tasks,
    ) -> Self {
        Self {
            checkpoint,
            attempt: tasks.attempt,
            triggered,
            last,
            savepoint,
            writing: false,
            times: CheckpointTimes::default(),
            waiting: tasks.live().map(|(subtask, _)| subtask).collect(),
            parts: BTreeMap::new(),
            finished: tasks.finished().collect(),
            told: Vec::new(),
        }
    }

    /// Takes the part of a subtask; why not, if it is not waited for.
    ///
    /// # Errors
    /// If the subtask's part is in already, or was never asked for.
    pub fn take(
        &mut self,
        subtask: Subtask,
        (state, contents): (StateHandle, Contents),
        (now, times): (Duration, &CheckpointTimes),
    ) -> Result<(), &'static str> {
        if !self.waiting.remove(&subtask) {
            let known = self.parts.contains_key(&subtask);
            return Err(if known { "its part is in already" } else { "it has no part in it" });
        }
        self.times.alignment = self.times.alignment.max(times.alignment);
        self.times.sync = self.times.sync.max(times.sync);
        self.times.write = self.times.write.max(times.write);
        self.times.bytes += state.bytes();
        self.times.held += times.held;
        let times = CheckpointTimes { bytes: state.bytes(), ..*times };
        self.told.push(PartView { subtask, at: now, times });
        self.parts.insert(subtask, (state, contents));
        Ok(())
    }

    /// The same as others see it.
    pub fn view(&self) -> CheckpointView {
        CheckpointView {
            id: self.checkpoint,
            attempt: self.attempt,
            state: CheckpointState::InProgress,
            savepoint: self.savepoint.as_ref().map(|asked| asked.trigger),
            ending: self.savepoint.as_ref().and_then(|asked| asked.ending),
            triggered: self.triggered,
            ended: None,
            path: String::new(),
            cause: String::new(),
            discarded: false,
            subtasks: (self.waiting.len() + self.parts.len()) as u32,
            times: self.times,
            parts: self.told.clone(),
        }
    }

    /// Whether this subtask's part is missing.
    pub fn waits_for(&self, subtask: Subtask) -> bool {
        self.waiting.contains(&subtask)
    }

    /// Whether every part is in.
    pub fn is_full(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Which parts are missing, for a person.
    pub fn missing(&self) -> String {
        let named = self.waiting.iter().take(NAMED).map(Subtask::to_string);
        let mut text = named.collect::<Vec<_>>().join(" ");
        if self.waiting.len() > NAMED {
            text = format!("{text} and {} more", self.waiting.len() - NAMED);
        }
        text
    }

    /// The metadata of the complete checkpoint; its two times are left for the executor to stamp.
    ///
    /// # Panics
    /// Unless every part is in.
    pub fn metadata(&self, plan: &Plan) -> CheckpointMetadata {
        assert!(self.is_full(), "metadata is made of every part");
        let part = |vertex: &Vertex, index| {
            let subtask = Subtask { vertex: vertex.id, index };
            self.parts.get(&subtask).cloned().unwrap_or_default()
        };
        let whole = |vertex: &Vertex| {
            let parts = (0..vertex.parallelism).map(|index| part(vertex, index));
            let (subtasks, held): (_, Vec<Contents>) = parts.unzip();
            let mut contents = Contents::default();
            held.iter().for_each(|part| contents.add(part));
            let uids = vertex.operators.iter().filter_map(|operator| operator.uid.clone());
            let (vertex, uids, parallelism) = (vertex.id, uids.collect(), vertex.parallelism);
            VertexState { vertex, uids, parallelism, subtasks, contents }
        };
        let kind = match &self.savepoint {
            None => CheckpointKind::Checkpoint,
            Some(_) => CheckpointKind::Savepoint,
        };
        CheckpointMetadata {
            format: METADATA_FORMAT,
            job: plan.job,
            checkpoint: self.checkpoint,
            kind,
            epoch: plan.epoch,
            attempt: self.attempt,
            program: plan.program.clone(),
            triggered: ProcessingTime::from_millis(0),
            completed: ProcessingTime::from_millis(0),
            max_parallelism: plan.graph.max_parallelism,
            vertices: plan.graph.vertices.iter().map(whole).collect(),
            finished: self.finished.clone(),
            last: self.last,
            ending: self.savepoint.as_ref().and_then(|asked| asked.ending),
        }
    }
}
