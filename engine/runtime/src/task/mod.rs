//! The mailbox loop of one task: timers, then one batch through the chain, then its outputs out.
//! One task, one loop, no locks: nothing new is taken in before what came out has found room.
//! Channels are [`crate::exchange`]'s, operators `slackwater-dataflow`'s; who starts and cancels
//! tasks is [`crate::worker`].

mod chamber;
mod intake;
mod mailbox;
mod outlet;
mod snapshot;
mod target;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::id::Execution;
use slackwater_dataflow::operator::Counts;
use slackwater_dataflow::task::{Instance, TaskError};

use crate::exchange::{Inbox, Outbound};
use crate::host::Host;
use chamber::Chamber;
use outlet::Outlet;

pub use mailbox::{Mailbox, Order};
pub use snapshot::{INLINE_MAX, Say, Snapshots};
pub use target::{Storage, Targets};

/// The measures of a task.
#[derive(Copy, Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TaskConfig {
    /// How often a source sends a latency marker; `None`: never.
    pub latency_every: Option<Duration>,
    /// From how many pending packets on a stage that can stop half-way should.
    pub pending_max: usize,
    /// How many batches a task handles before it lets the worker's other tasks go on.
    pub batches_per_turn: u32,
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self { latency_every: None, pending_max: 16, batches_per_turn: 8 }
    }
}

/// What ties a task to its surroundings.
#[derive(Debug)]
pub struct Wires {
    /// What comes in: the channels and the logical input of each. `None` for a source.
    pub inputs: Option<(Rc<Inbox>, Vec<u32>)>,
    /// What goes out: by edge, the channels in the order of their receivers.
    pub outputs: BTreeMap<u32, Vec<Outbound>>,
    /// What the task counts; whoever runs it tells them when it has ended, in whatever way.
    pub counts: Arc<Counts>,
    /// What the task is told while it runs.
    pub orders: Rc<Mailbox>,
    /// How it takes part in checkpoints. `None`: there are none, and a source that has read
    /// everything ends at once.
    pub snapshots: Option<Snapshots>,
    /// Whether the job has been stopped already: nothing is read, nothing fires, and the task ends
    /// with the word that it may.
    pub halted: bool,
}

/// Why a task could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For a person.
    pub cause: String,
    /// Whether a restart would meet the same again.
    pub is_fatal: bool,
}

impl From<TaskError> for Failure {
    fn from(error: TaskError) -> Self {
        Self { cause: error.to_string(), is_fatal: error.is_fatal() }
    }
}

/// Runs a task until its input has ended, its sinks have confirmed every row and its receivers
/// have the end of every channel. May be dropped at any await point: that is how it is cancelled.
///
/// # Errors
/// A [`Failure`] of user code or of a connector.
pub async fn run(
    host: Arc<dyn Host>,
    execution: Execution,
    instance: Instance,
    wires: Wires,
    config: TaskConfig,
) -> Result<(), Failure> {
    let Wires { inputs, outputs, counts, orders, snapshots, halted } = wires;
    let Instance { source, chain, ports, declared, .. } = instance;
    counts.declare(declared);
    counts.time.begin(host.elapsed());
    let outlet = Outlet::new((&host, execution, &counts), (ports, outputs), source.is_some())?;
    let seat = (host, execution, counts);
    let mut chamber = Chamber::new(seat, chain, outlet, (orders, snapshots), config);
    if halted {
        chamber.halt_for_good();
    }
    match (source, inputs) {
        (Some(source), None) => intake::from_source(chamber, source).await,
        (None, Some((inbox, inputs))) => intake::from_channels(chamber, inbox, inputs).await,
        (source, _) => Err(Failure {
            cause: match source {
                Some(source) => format!("source {} has input channels", source.uid()),
                None => "the vertex has neither a source nor input channels".to_owned(),
            },
            is_fatal: true,
        }),
    }
}
