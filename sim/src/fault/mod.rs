//! What can befall a world: the verbs of faults. Each is the deed of an instant.
//! Nothing here is drawn: when and on whom is chosen by the scenario, before the world begins.
//! Carried out by [`crate::world`] at the beginning of a tick; told as facts of the node concerned.

mod store;

use std::fmt;
use std::time::Duration;

use crate::world::Delay;

pub use store::{Object, StoreFault};

/// A deed done to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9: the process is gone; its machine, files and page cache stay, and peers see the
    /// connections end.
    Kill {
        /// The node.
        node: String,
    },
    /// The machine loses power: its connections fall silent, and connecting to it hangs.
    PowerLoss {
        /// The node.
        node: String,
    },
    /// SIGSTOP: alive and silent.
    Pause {
        /// The node.
        node: String,
    },
    /// SIGCONT: it goes on with old ideas.
    Resume {
        /// The node.
        node: String,
    },
    /// Starts the process again, in its next incarnation.
    Start {
        /// The node.
        node: String,
    },
    /// Changes how long segments take between two nodes.
    Delay {
        /// The two nodes.
        between: (String, String),
        /// From now on.
        delay: Delay,
    },
    /// From now on nothing arrives that one node sends the other; it arrives in order after
    /// [`Fault::Release`]. Held both ways, it is a partition that heals: calls hang meanwhile.
    Hold {
        /// Who is not heard.
        from: String,
        /// Who does not hear.
        to: String,
    },
    /// What was held between two nodes arrives.
    Release {
        /// The two nodes.
        between: (String, String),
    },
    /// Every connection between two nodes ends with a reset; what a reader still gets of the data
    /// under way is a piece of it: a frame is cut.
    Reset {
        /// The two nodes.
        between: (String, String),
    },
    /// Every connection between two nodes is gone for one of them, and the other does not know: it
    /// hears nothing, and what it writes vanishes. New connections are whole.
    HalfOpen {
        /// For whom they are gone.
        gone: String,
        /// Who does not know.
        unaware: String,
    },
    /// Everything that leaves or reaches a node takes this much longer; zero: no longer.
    Slow {
        /// The node.
        node: String,
        /// By how much.
        by: Duration,
    },
    /// The wall clock of a node jumps.
    ClockStep {
        /// The node.
        node: String,
        /// Forward, or back if negative.
        by_ms: i64,
    },
    /// All clocks of a node run at another speed from now on.
    ClockDrift {
        /// The node.
        node: String,
        /// Parts per million by which they are too fast, or too slow if negative.
        ppm: i32,
    },
    /// A deed done to the object store.
    Store(StoreFault),
    /// A person at the client types what is called so: [`crate::world::World::line`].
    Type {
        /// The step or the fault.
        step: String,
        /// What is typed.
        line: String,
    },
    /// Whatever is wrong is mended: links, clocks, the store, nodes that are paused or down. Nothing
    /// befalls the world any more.
    Calm {
        /// The nodes that are dead from now on, for good.
        dead: Vec<String>,
    },
    /// Nothing is done: it is told that a fault of this name begins.
    Began {
        /// As the scenario calls it.
        name: String,
    },
    /// Nothing is done: it is told that a fault of this name is over.
    Ended {
        /// As the scenario calls it.
        name: String,
    },
}

impl Fault {
    /// The names of all nodes that it is done to.
    pub fn nodes_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Kill { node }
            | Self::PowerLoss { node }
            | Self::Pause { node }
            | Self::Resume { node }
            | Self::Start { node }
            | Self::Slow { node, .. }
            | Self::ClockStep { node, .. }
            | Self::ClockDrift { node, .. } => vec![node],
            Self::Delay { between, .. } | Self::Release { between } | Self::Reset { between } => {
                vec![&mut between.0, &mut between.1]
            }
            Self::Hold { from, to } => vec![from, to],
            Self::HalfOpen { gone, unaware } => vec![gone, unaware],
            Self::Store(StoreFault::Refuse { node }) => node.iter_mut().collect(),
            Self::Store(StoreFault::Tear { node }) => vec![node],
            Self::Store(_)
            | Self::Type { .. }
            | Self::Calm { .. }
            | Self::Began { .. }
            | Self::Ended { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for Fault {
    /// `verb node`, as a fact tells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { node } => write!(f, "kill {node}"),
            Self::PowerLoss { node } => write!(f, "power_loss {node}"),
            Self::Pause { node } => write!(f, "pause {node}"),
            Self::Resume { node } => write!(f, "resume {node}"),
            Self::Start { node } => write!(f, "start {node}"),
            Self::Delay { between: (a, b), .. } => write!(f, "delay {a} {b}"),
            Self::Hold { from, to } => write!(f, "hold {from} {to}"),
            Self::Release { between: (a, b) } => write!(f, "release {a} {b}"),
            Self::Reset { between: (a, b) } => write!(f, "reset {a} {b}"),
            Self::HalfOpen { gone, unaware } => write!(f, "half_open {gone} {unaware}"),
            Self::Slow { node, by } => write!(f, "slow {node} {}ms", by.as_millis()),
            Self::ClockStep { node, by_ms } => write!(f, "clock_step {node} {by_ms}ms"),
            Self::ClockDrift { node, ppm } => write!(f, "clock_drift {node} {ppm}ppm"),
            Self::Store(fault) => write!(f, "store {fault}"),
            Self::Type { line, .. } => write!(f, "type {line:?}"),
            Self::Calm { dead } if dead.is_empty() => f.write_str("calm"),
            Self::Calm { dead } => write!(f, "calm without {}", dead.join(" ")),
            Self::Began { name } => write!(f, "began {name}"),
            Self::Ended { name } => write!(f, "ended {name}"),
        }
    }
}
