//! Channels between tasks: bounded by credits, by pointer within a process, by frames between two.
//! Never holds more than the credits it granted, and never takes the end of a connection for the
//! end of a stream. Who is connected to whom is derived in [`crate::worker`]; the loop that reads
//! and writes channels is [`crate::task`].

mod alarm;
mod connection;
mod entrance;
mod head;
mod inbox;
mod link;
mod outbound;
mod pipe;
#[cfg(test)]
mod tests;

pub use alarm::Alarm;
pub use entrance::{Entrance, Inbound};
pub use inbox::Inbox;
pub use link::{Link, Route};
pub use outbound::Outbound;
pub use pipe::Neighbours;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId, Subtask};

use crate::wire::token::Token;

/// The measures of the exchange.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeConfig {
    /// How many batches may be on their way or waiting on one channel, at least 1.
    pub credits: u32,
    /// How often a side of a connection that has nothing to say says so.
    pub heartbeat_every: Duration,
    /// After how long a silent connection is taken for lost.
    pub heartbeat_timeout: Duration,
    /// How long one try to connect may take.
    pub connect_within: Duration,
    /// How long to wait between two tries; at least half a second, so that a dead peer's machine
    /// is not flooded.
    pub connect_backoff: Duration,
    /// How long a peer may take to deploy its side of an attempt.
    pub deploy_within: Duration,
    /// What workers want to hear from each other.
    pub token: Option<Token>,
}

impl Default for ExchangeConfig {
    fn default() -> Self {
        Self {
            credits: 8,
            heartbeat_every: Duration::from_secs(2),
            heartbeat_timeout: Duration::from_secs(10),
            connect_within: Duration::from_secs(2),
            connect_backoff: Duration::from_millis(500),
            deploy_within: Duration::from_secs(10),
            token: None,
        }
    }
}

/// One attempt of one job: what every connection of the exchange belongs to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct AttemptKey {
    /// The job.
    pub job: JobId,
    /// The leadership term.
    pub epoch: JobEpoch,
    /// The attempt.
    pub attempt: Attempt,
}

impl AttemptKey {
    /// The execution of one of its subtasks.
    pub fn execution(&self, subtask: Subtask) -> Execution {
        let Self { job, epoch, attempt } = *self;
        Execution { job, epoch, attempt, subtask }
    }
}
