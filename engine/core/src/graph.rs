//! The job graph: vertices (chains of operators), edges, parallelism, operator uids.
//! The shape, not the code: serializable, no closures, nothing that only one process knows.
//! Built by `slackwater-dataflow`'s `stream`; scheduled by `slackwater-control`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checkpoint::CheckpointConfig;
use crate::id::VertexId;
use crate::schema::Fingerprint;

/// The name that a person gave an operator, for ever: state is found by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(pub String);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What an operator does, for a reader of the graph.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorKind {
    /// Reads from outside.
    Source,
    /// Computes; may hold state.
    Operator,
    /// Writes to the outside.
    Sink,
}

/// The note of a two-phase sink: what it writes is seen once a checkpoint has completed.
pub const TWO_PHASE: &str = "two-phase";

/// A state that an operator holds, as its program declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateInfo {
    /// Its name within the operator.
    pub name: String,
    /// The type of its entries, as [`crate::schema::Schema::text`] writes it; empty if it has no
    /// fixed shape.
    pub schema: String,
    /// Whether it is held by key; else by item.
    pub keyed: bool,
    /// The types of entries that it can be made of besides.
    pub migrates: Vec<String>,
}

/// One operator of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorInfo {
    /// What it does.
    pub kind: OperatorKind,
    /// Its display name.
    pub name: String,
    /// Its uid; `None` only for operators that hold no state and do no I/O.
    pub uid: Option<Uid>,
    /// A sink's contract or a source's splits, in words; empty otherwise.
    pub note: String,
    /// What it holds.
    pub states: Vec<StateInfo>,
    /// What it was called before: state that is filed there is its.
    pub formerly: Vec<Uid>,
}

/// How records choose the subtask that receives them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partition {
    /// Subtask i sends to subtask i.
    Forward,
    /// By key group.
    Hash,
    /// Batch by batch, round robin: how parallelism changes without a key.
    Rebalance,
    /// Every record to every subtask.
    Broadcast,
}

/// A chain of operators that runs as one task per subtask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vertex {
    /// Equals its index in [`JobGraph::vertices`].
    pub id: VertexId,
    /// The operators' names, head first, joined by ` -> `.
    pub name: String,
    /// How many subtasks.
    pub parallelism: u32,
    /// Head first; a fan-out lists its branches one after the other.
    pub operators: Vec<OperatorInfo>,
}

/// A stream between two vertices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The sending vertex.
    pub from: VertexId,
    /// Which output port of the sender, counted per vertex from 0.
    pub port: u32,
    /// The receiving vertex.
    pub to: VertexId,
    /// Which logical input of the receiver: 0, or 1 for the right side of a two-input operator.
    pub input: u32,
    /// How records find their subtask.
    pub partition: Partition,
    /// The type that travels.
    pub schema: Fingerprint,
}

/// When and how often a failed job starts again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Never: the first failure fails the job.
    None,
    /// Up to `attempts` times, `delay` after the failure.
    FixedDelay {
        /// How many restarts are allowed; a wait for slots is not one.
        attempts: u32,
        /// From the failure to the next deployment.
        delay: Duration,
    },
    /// As often as needed, each time later than the time before.
    Exponential {
        /// From the first failure to the next deployment.
        initial: Duration,
        /// No wait is longer.
        max: Duration,
        /// By how much each wait is longer than the one before, in thousandths; 2,000 doubles it.
        factor_permille: u32,
        /// A job that ran this long without a failure begins again with `initial`.
        reset_after: Duration,
    },
    /// As long as there are at most `failures` in any span of `window`.
    FailureRate {
        /// How many failures a window may hold.
        failures: u32,
        /// How long a failure counts.
        window: Duration,
        /// From a failure to the next deployment.
        delay: Duration,
    },
}

impl Restart {
    /// Up to `attempts` restarts, each `delay` after the failure.
    pub const fn fixed(attempts: u32, delay: Duration) -> Self {
        Self::FixedDelay { attempts, delay }
    }
}

/// A job as the job manager sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobGraph {
    /// Display name.
    pub name: String,
    /// The number of key groups; fixed for the life of the state.
    pub max_parallelism: u16,
    /// What to do after a failure.
    pub restart: Restart,
    /// Whether checkpoints are taken, and how; `None`: never.
    pub checkpoints: Option<CheckpointConfig>,
    /// How often each source subtask sends a latency marker; `None`: as its worker is set.
    pub latency_every: Option<Duration>,
    /// In topological order: an edge leads from a lower to a higher index.
    pub vertices: Vec<Vertex>,
    /// In a fixed order; an edge's index names its channels.
    pub edges: Vec<Edge>,
}

impl JobGraph {
    /// Whether it is one: what comes from outside is looked at before it is believed.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.vertices.is_empty() {
            return Err("it has no vertex".into());
        }
        for (index, vertex) in (0u32..).zip(&self.vertices) {
            let most = u32::from(self.max_parallelism);
            if vertex.id != VertexId(index) {
                return Err(format!("vertex {} stands in the place of vertex {index}", vertex.id));
            }
            if vertex.parallelism == 0 || vertex.parallelism > most {
                let found = vertex.parallelism;
                return Err(format!("vertex {index} has parallelism {found}, not 1 to {most}"));
            }
        }
        let parallelism = |id: VertexId| {
            let vertex = self.vertices.get(id.0 as usize).map(|vertex| vertex.parallelism);
            vertex.ok_or_else(|| format!("an edge names vertex {id}, which is not there"))
        };
        for edge in &self.edges {
            let (from, to) = (parallelism(edge.from)?, parallelism(edge.to)?);
            if edge.from >= edge.to {
                return Err(format!("an edge leads back from vertex {} to {}", edge.from, edge.to));
            }
            if edge.partition == Partition::Forward && from != to {
                return Err(format!("an edge leads forward from {from} subtasks to {to}"));
            }
        }
        Ok(())
    }

    /// The edges that lead into `vertex`, each with its index.
    pub fn inputs(&self, vertex: VertexId) -> impl Iterator<Item = (u32, &Edge)> {
        (0u32..).zip(&self.edges).filter(move |(_, edge)| edge.to == vertex)
    }

    /// The edges that leave `vertex`, each with its index, in the order of their ports.
    pub fn outputs(&self, vertex: VertexId) -> impl Iterator<Item = (u32, &Edge)> {
        (0u32..).zip(&self.edges).filter(move |(_, edge)| edge.from == vertex)
    }

    /// The vertex.
    ///
    /// # Panics
    /// If the graph has no such vertex.
    pub fn vertex(&self, id: VertexId) -> &Vertex {
        &self.vertices[id.0 as usize]
    }

    /// How many slots the job needs: with slot sharing, its greatest parallelism (walkthrough W27).
    pub fn slots(&self) -> u32 {
        self.vertices.iter().map(|vertex| vertex.parallelism).max().unwrap_or(0)
    }

    /// Whether what is seen outside was committed by a checkpoint: then no older one may be used.
    pub fn has_two_phase_sink(&self) -> bool {
        let operators = self.vertices.iter().flat_map(|vertex| &vertex.operators);
        operators.into_iter().any(|operator| operator.note == TWO_PHASE)
    }

    /// The vertices that nothing feeds: where barriers start.
    pub fn sources(&self) -> impl Iterator<Item = &Vertex> {
        self.vertices.iter().filter(|vertex| self.inputs(vertex.id).next().is_none())
    }

    /// The indices of the senders that feed subtask `to` of an edge's receiver.
    pub fn senders(&self, edge: &Edge, to: u32) -> Vec<u32> {
        match edge.partition {
            Partition::Forward => vec![to],
            _ => (0..self.vertex(edge.from).parallelism).collect(),
        }
    }

    /// The indices of the receivers that subtask `from` of an edge's sender feeds.
    pub fn receivers(&self, edge: &Edge, from: u32) -> Vec<u32> {
        match edge.partition {
            Partition::Forward => vec![from],
            _ => (0..self.vertex(edge.to).parallelism).collect(),
        }
    }
}
