//! When the next checkpoint of an attempt is due, and which ids it may use.
//! Never lets an id be used that a later leader could take for unused: the log says so first.
//! What happens when it is due: [`super::Coordinator`].

use std::collections::BTreeSet;
use std::time::Duration;

use slackwater_core::graph::JobGraph;
use slackwater_core::id::{Attempt, CheckpointId, Subtask};

use crate::tasks::Tasks;

/// How long the last checkpoint of a job waits to be tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How many ids one entry of the log allows ahead.
const AHEAD: u64 = 10;

/// The ids of a job's checkpoints: they grow, also over its job managers' deaths.
#[derive(Debug)]
pub struct Ids {
    next: CheckpointId,
    /// The log says that ids below this one may be used.
    below: CheckpointId,
    waiting: bool,
    asked: bool,
}

impl From<CheckpointId> for Ids {
    /// None may be used until the log says so.
    fn from(first: CheckpointId) -> Self {
        Self { next: first, below: first, waiting: false, asked: false }
    }
}

impl Ids {
    /// The id that is used next.
    pub fn next(&self) -> CheckpointId {
        self.next
    }

    /// Uses an id; `None`: more have to be allowed first.
    pub fn take(&mut self) -> Option<CheckpointId> {
        self.waiting = self.next >= self.below;
        let id = (!self.waiting).then_some(self.next)?;
        self.next = id.next();
        Some(id)
    }

    /// Whether nothing can be triggered until more are allowed.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// How far the log must allow ids, if more are needed and were not asked for yet.
    pub fn ask(&mut self) -> Option<CheckpointId> {
        let asks = self.waiting && !self.asked;
        self.asked |= asks;
        asks.then(|| self.reach())
    }

    /// How far an entry that is written now allows ids.
    pub fn reach(&self) -> CheckpointId {
        CheckpointId(self.next.0 + AHEAD)
    }

    /// How far the entry that completes this checkpoint, the last one used, allows ids.
    pub fn reach_after(checkpoint: CheckpointId) -> CheckpointId {
        CheckpointId(checkpoint.next().0 + AHEAD)
    }

    /// Ids below this one are allowed: it is durable.
    pub fn allow(&mut self, below: CheckpointId) {
        self.below = self.below.max(below);
        if self.next < self.below {
            (self.waiting, self.asked) = (false, false);
        }
    }
}

/// A checkpoint that is to be triggered.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Not before this.
    pub at: Duration,
    /// Whether every source is at its end.
    pub last: bool,
}

/// One attempt, as far as its checkpoints are concerned.
#[derive(Debug)]
pub struct Round {
    attempt: Attempt,
    /// Whether every task has been RUNNING.
    runs: bool,
    /// When the next one is due by the interval; `None`: never.
    next: Option<Duration>,
    /// The last one is not tried before this.
    retry: Duration,
    ended: BTreeSet<Subtask>,
    /// Whether the last one is complete: none follows.
    closed: bool,
    completed: u64,
    due: Option<Due>,
}

impl Round {
    /// An attempt that is about to be deployed.
    pub fn new(attempt: Attempt) -> Self {
        Self {
            attempt,
            runs: false,
            next: None,
            retry: Duration::ZERO,
            ended: BTreeSet::new(),
            closed: false,
            completed: 0,
            due: None,
        }
    }

    /// Which attempt.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Every task runs; the first checkpoint by the interval is due at `first`.
    pub fn run(&mut self, first: Option<Duration>) {
        (self.runs, self.next) = (true, first);
    }

    /// A source has read everything.
    pub fn source_ended(&mut self, subtask: Subtask) {
        self.ended.insert(subtask);
    }

    /// One was triggered.
    pub fn triggered(&mut self, now: Duration, interval: Option<Duration>) {
        self.next = interval.map(|interval| now + interval);
        self.due = None;
    }

    /// One was aborted.
    pub fn aborted(&mut self, min_pause: Duration, now: Duration) {
        self.pause(min_pause, now);
        self.retry = now + min_pause.max(RETRY);
    }

    /// One completed.
    pub fn completed(&mut self, min_pause: Duration, now: Duration, last: bool) {
        self.pause(min_pause, now);
        self.closed |= last;
        self.completed += 1;
    }

    /// A savepoint completed; `ends`: the job with it.
    pub fn saved(&mut self, min_pause: Duration, now: Duration, ends: bool) {
        self.pause(min_pause, now);
        self.closed |= ends;
    }

    /// Whether nothing is left to be read, or no checkpoint follows.
    pub fn is_over(&self, graph: &JobGraph, tasks: &Tasks) -> bool {
        self.closed || self.has_ended(graph, tasks)
    }

    /// Whether exactly one has completed.
    pub fn is_first_completion(&self) -> bool {
        self.completed == 1
    }

    /// Looks what is due, with or without one pending.
    pub fn look(&mut self, pending: bool, graph: &JobGraph, tasks: &Tasks) -> Option<Due> {
        self.due = self.next_due(pending, graph, tasks);
        self.due
    }

    /// What was due when one looked last.
    pub fn due(&self) -> Option<Due> {
        self.due
    }

    fn pause(&mut self, min_pause: Duration, now: Duration) {
        self.next = self.next.map(|next| next.max(now + min_pause));
    }

    fn next_due(&self, pending: bool, graph: &JobGraph, tasks: &Tasks) -> Option<Due> {
        if pending || self.closed || !self.runs {
            return None;
        }
        // Without a live source nobody starts a barrier.
        live_sources(graph, tasks).next()?;
        if self.has_ended(graph, tasks) {
            return Some(Due { at: self.retry, last: true });
        }
        self.next.map(|at| Due { at, last: false })
    }

    /// Whether every source that lives is at its end.
    fn has_ended(&self, graph: &JobGraph, tasks: &Tasks) -> bool {
        live_sources(graph, tasks).all(|source| self.ended.contains(&source))
    }
}

fn live_sources(graph: &JobGraph, tasks: &Tasks) -> impl Iterator<Item = Subtask> {
    let is_source = |subtask: &Subtask| graph.inputs(subtask.vertex).next().is_none();
    tasks.live().map(|(subtask, _)| subtask).filter(is_source)
}
