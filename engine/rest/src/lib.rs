//! REST in the shape of Flink's monitoring API: what Flink's command line and its habits expect.
//! Decides nothing and keeps nothing of a cluster: it asks the job manager as any client does, and
//! says what it was told; what nobody measures is told as Flink tells the unknown, never invented.
//! Connections are [`server`]'s, paths [`route`]'s; what is asked is `slackwater_runtime::client`.

pub mod api;
mod ask;
mod attempts;
mod calls;
mod checkpoints;
mod clock;
mod cluster;
mod dashboard;
mod detail;
mod disposal;
mod jobs;
mod metrics;
mod operators;
pub mod panels;
mod prometheus;
mod readings;
mod reply;
mod route;
mod savepoints;
pub mod server;
mod throwable;
mod vertices;

pub use api::RestConfig;
pub use panels::Panels;
pub use server::Rest;

/// The port that REST is served on by default, as Flink's.
pub const PORT: u16 = 8081;
