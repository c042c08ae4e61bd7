//! A whole Slackwater cluster on one seed, and everything that judges it.
//! Nothing here is part of the engine, and nothing here imports the jobs: programs come as a catalogue.
//! Start with [`world`]; what happened there is in the [`journal`], what can befall it in [`fault`].

pub mod api;
pub mod campaign;
pub mod check;
pub mod fault;
pub mod inquest;
pub mod journal;
pub mod report;
pub mod scenario;
#[cfg(feature = "suite")]
pub mod suite;
pub mod verb;
pub mod world;

pub use api::check;

/// Everything that a test of a pipeline needs, for `use slackwater_sim::prelude::*`: what a job is
/// made of, and what it is checked with.
pub mod prelude {
    pub use slackwater::core::fact::JobStatus;
    pub use slackwater::dataflow::harness::{
        Element, Harness, Step, restart_anywhere, upgrade_anywhere,
    };
    pub use slackwater::prelude::*;

    pub use crate::api::*;
}
