//! The kinds of nodes, as scenario files name them; some of which only the run can tell who plays them.
//! Names only: which nodes there are is the cluster's part of a file. Resolved in [`super::befall`] and,
//! while a world runs, by [`super::director`].

use schemars::JsonSchema;
use serde::Deserialize;

/// A kind of node.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `tm-1`, `tm-2`, …
    TaskManager,
    /// `jm`, `jm-2`, …
    JobManager,
    /// `db`; also called `sink`.
    #[serde(alias = "sink")]
    SeriesDatabase,
    /// `log`.
    Log,
    /// `control`.
    Control,
    /// Any job manager or task manager.
    Any,
    /// The job manager that leads at that time.
    Leader,
    /// A job manager that does not.
    Standby,
    /// Who sent the message that set a fault off.
    Sender,
    /// To whom it was sent.
    Receiver,
}

impl Role {
    /// Whether only the run can tell who plays it.
    pub fn is_told_by_the_run(self) -> bool {
        matches!(self, Self::Leader | Self::Standby | Self::Sender | Self::Receiver)
    }
}
