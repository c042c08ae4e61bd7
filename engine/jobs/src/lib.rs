//! The demo jobs and the catalogue that holds them, written exactly as a user would write theirs.
//! Imports `slackwater` alone: what cannot be said through the public API is missing there, and is
//! never reached around here. Run them with `slackwater run NAME`.

use slackwater::prelude::*;

pub mod amplifier;
pub mod flights;
pub mod ledger;
pub mod oscon;
mod survival;

/// Every job of this crate, by name and version.
pub fn catalog() -> Catalog {
    Catalog::new()
        .job("oscon", "v1", oscon::oscon)
        .job("oscon", "v2", oscon::oscon_v2)
        .job("sensor-simulator", "v1", oscon::sensor_simulator)
        .job("oscon-log", "v1", oscon::oscon_log)
        .job("ledger", "v1", ledger::ledger)
        .job("ledger", "v2", ledger::ledger_v2)
        .job("flights", "v1", flights::flights)
}

#[cfg(test)]
mod tests;
