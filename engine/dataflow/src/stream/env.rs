//! The environment of a job under construction: its settings, its operators, its mistakes so far.
//! Never fails half-way: mistakes are collected with their call sites, and told when the plan is made.
//! Streams are in [`super::flow`]; the plan is made by [`super::translate`].

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::Data;
use slackwater_core::checkpoint::CheckpointConfig;
use slackwater_core::element::BATCH_ROWS;
use slackwater_core::graph::{OperatorKind, Restart};
use slackwater_core::key::DEFAULT_MAX_PARALLELISM;
use slackwater_core::time::Clock;

use super::flow::Stream;
use super::node::{Code, Node, carried};
use super::translate::translate;
use crate::connector::{Source, Splits};
use crate::source::{SourceTask, SourceTaskSettings};
use crate::task::{Plan, PlanError};
use crate::watermark::{Quantum, Watermarks};

/// A job under construction. Cheap to clone; all clones build the same job.
///
/// ```
/// use slackwater_dataflow::stream::Env;
/// use slackwater_core::time::Clock;
/// let env = Env::new("empty");
/// env.clock(Clock::Event).parallelism(2).max_parallelism(8);
/// assert_eq!(env.plan().unwrap_err().to_string(), "job \"empty\" reads nothing: give it a source");
/// ```
#[derive(Clone)]
pub struct Env {
    draft: Rc<RefCell<Draft>>,
}

/// What has been declared so far.
pub(super) struct Draft {
    pub name: String,
    pub clock: Clock,
    pub restart: Restart,
    pub checkpoints: Option<CheckpointConfig>,
    pub latency_every: Option<Duration>,
    pub parallelism: u32,
    pub max_parallelism: u16,
    pub chaining: bool,
    pub batch_rows: usize,
    pub nodes: Vec<Node>,
    /// The uids of the sources that may never end.
    pub unbounded: Vec<String>,
    pub mistakes: Vec<String>,
}

impl Env {
    /// An empty job: event time, no restarts, parallelism 1, 128 key groups, chaining on.
    pub fn new(name: impl Into<String>) -> Self {
        let draft = Draft {
            name: name.into(),
            clock: Clock::Event,
            restart: Restart::None,
            checkpoints: None,
            latency_every: None,
            parallelism: 1,
            max_parallelism: DEFAULT_MAX_PARALLELISM,
            chaining: true,
            batch_rows: BATCH_ROWS,
            nodes: Vec::new(),
            unbounded: Vec::new(),
            mistakes: Vec::new(),
        };
        Self { draft: Rc::new(RefCell::new(draft)) }
    }

    /// The display name; by default the program's.
    pub fn name(&self, name: impl Into<String>) -> &Self {
        self.set(|draft| draft.name = name.into())
    }

    /// Which time windows follow: the one word that walkthrough §4 changes. Default: event time.
    pub fn clock(&self, clock: Clock) -> &Self {
        self.set(|draft| draft.clock = clock)
    }

    /// What happens after a failure. Default: the job fails.
    pub fn restart(&self, restart: Restart) -> &Self {
        self.set(|draft| draft.restart = restart)
    }

    /// Takes checkpoints, so that a failure costs nothing. Default: none are taken, and a restart
    /// begins from nothing.
    pub fn checkpoints(&self, config: CheckpointConfig) -> &Self {
        self.set(|draft| draft.checkpoints = Some(config))
    }

    /// Takes a checkpoint every `interval`, and leaves everything else as it was.
    pub fn checkpoint_every(&self, interval: Duration) -> &Self {
        self.set(|draft| {
            draft.checkpoints.get_or_insert_default().interval = Some(interval);
        })
    }

    /// Lets each source subtask send a marker every `interval`, and every sink tell how long it took
    /// (walkthrough W32). Markers overtake nothing and enter no window. Default: none are sent.
    pub fn latency_every(&self, interval: Duration) -> &Self {
        self.set(|draft| draft.latency_every = Some(interval))
    }

    /// How many subtasks an operator has unless it says otherwise. Default 1. A source without
    /// splits and an operator with one unkeyed state keep to one; a source never has more subtasks
    /// than splits.
    pub fn parallelism(&self, parallelism: u32) -> &Self {
        self.set(|draft| draft.parallelism = parallelism)
    }

    /// The number of key groups, fixed for the life of the state. Default 128.
    pub fn max_parallelism(&self, groups: u16) -> &Self {
        self.set(|draft| draft.max_parallelism = groups)
    }

    /// Whether operators that feed each other directly run as one task. Default: yes.
    pub fn chaining(&self, chaining: bool) -> &Self {
        self.set(|draft| draft.chaining = chaining)
    }

    /// The most records that a source reads at once. Default 1024. Changes no result.
    pub fn batch_rows(&self, rows: usize) -> &Self {
        self.set(|draft| draft.batch_rows = rows)
    }

    /// Reads from outside. The uid names the operator for ever: state is found by it.
    #[track_caller]
    pub fn source<S>(
        &self,
        uid: &str,
        source: S,
        watermarks: Watermarks<S::Item>,
    ) -> Stream<S::Item>
    where
        S: Source,
        S::Item: Data,
    {
        let splits = source.splits();
        if !source.is_bounded() {
            self.set(|draft| draft.unbounded.push(uid.to_owned()));
        }
        let uid_of_task = uid.into();
        let code = Code::Source(Arc::new(move |opening, site| {
            let settings = SourceTaskSettings {
                uid: Clone::clone(&uid_of_task),
                splits: split_ids(splits, opening.task.subtask.index, opening.parallelism),
                batch_rows: site.batch_rows,
                quantum: site.quantum,
            };
            let reader = source.open(opening)?;
            Ok(Box::new(SourceTask::new(settings, reader, watermarks.clone())))
        }));
        let (most, note, why) = match splits {
            Splits::One => (1, "one reader".to_owned(), "the source has no splits".to_owned()),
            Splits::Fixed(n) => (n, format!("{n} splits"), format!("the source has {n} splits")),
        };
        let node = self.add(Node {
            kind: OperatorKind::Source,
            name: uid.to_owned(),
            uid: Some(uid.into()),
            note,
            at: Location::caller(),
            parallelism: None,
            limit: Some((most, why)),
            inputs: Vec::new(),
            outputs: vec![carried::<S::Item>()],
            sees: Quantum::NOTHING,
            states: crate::source::states(),
            formerly: Vec::new(),
            rules: Vec::new(),
            code,
        });
        Stream::of_node(self, node, 0)
    }

    /// The job graph and the code behind it. Equal programs give equal graphs in every process.
    ///
    /// # Errors
    /// The first mistake that was made: a uid given twice, a parallelism that cannot be, a type
    /// without a fixed shape on an edge between tasks, a job without a source.
    pub fn plan(&self) -> Result<Plan, PlanError> {
        translate(&self.draft.borrow())
    }

    /// Adds an operator and gives its index.
    pub(super) fn add(&self, node: Node) -> usize {
        let mut draft = self.draft.borrow_mut();
        draft.nodes.push(node);
        draft.nodes.len() - 1
    }

    /// Changes the one operator behind `links`, or notes that there is none.
    #[track_caller]
    pub(super) fn amend(&self, nodes: &[usize], what: &str, change: impl FnOnce(&mut Node)) {
        let mut draft = self.draft.borrow_mut();
        match nodes {
            [node] => change(&mut draft.nodes[*node]),
            _ => {
                let at = Location::caller();
                draft.mistakes.push(format!(
                    "{what} at {at} is asked of a union: a union is no operator, ask it of the \
                     streams that it joins or of the operator that reads it"
                ));
            }
        }
    }

    /// Notes a mistake, to be told when the plan is made.
    pub(super) fn mistake(&self, message: String) {
        self.draft.borrow_mut().mistakes.push(message);
    }

    /// Whether both build the same job.
    pub(super) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.draft, &other.draft)
    }

    fn set(&self, change: impl FnOnce(&mut Draft)) -> &Self {
        change(&mut self.draft.borrow_mut());
        self
    }
}

/// The splits that subtask `index` of `parallelism` reads: those s with s mod parallelism = index.
fn split_ids(splits: Splits, index: u32, parallelism: u32) -> Vec<u32> {
    match splits {
        Splits::One => vec![0],
        Splits::Fixed(n) => (0..n).filter(|split| split % parallelism == index).collect(),
    }
}
