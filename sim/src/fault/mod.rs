//! What can befall a world: the verbs of faults. Each is the deed of an instant.
//! Nothing here is drawn: when and on whom is chosen by the scenario, before the world begins.
//! Carried out by [`crate::world`] at the beginning of a tick; told as facts of the node concerned.

mod store;

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
    /// A deed done to the object store.
    Store(StoreFault),
}
