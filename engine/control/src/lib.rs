//! The control plane, pure: jobs, their states, checkpoints and restarts; slots and placement.
//! Messages in, commands out: no async, no I/O, no clock, no randomness; time is an argument.
//! `slackwater-runtime`'s `jobmanager` feeds [`cluster::Cluster`] and executes what it commands.

pub mod checkpoint;
pub mod cluster;
pub mod command;
pub mod job;
pub mod metrics;
pub mod recovery;
pub mod restart;
pub mod slots;
pub mod tasks;
pub mod view;
