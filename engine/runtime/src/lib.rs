//! Makes it happen: the host seam, the wire, the exchange, tasks, task manager, job manager.
//! The only floor that waits. It decides nothing: `slackwater-control` decides, this executes;
//! `slackwater-dataflow` computes, this feeds it. What users type is in `slackwater`.

pub mod artifact;
pub mod client;
pub mod deployment;
pub mod exchange;
pub mod host;
pub mod http;
pub mod jobmanager;
pub mod local;
pub mod store;
pub mod task;
pub mod taskmanager;
pub mod wire;
pub mod worker;
