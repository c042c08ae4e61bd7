//! The control plane, pure: jobs, their states and restarts; slots and placement.
//! Messages in, commands out: no async, no I/O, no clock, no randomness; time is an argument.
//! `slackwater-runtime`'s `jobmanager` feeds [`cluster::Cluster`] and executes what it commands.

pub mod cluster;
pub mod job;
pub mod slots;
