//! The writing side's connection to the series database: opened when first needed, with several
//! requests under way. Never mends a lost connection: the task fails, and its successor opens one.
//! What is sent, the sinks decide: [`super::sink`], [`super::transactional`], [`super::naive`].

use std::sync::Arc;
use std::time::Duration;

use slackwater_dataflow::connector::ConnectorError;
use slackwater_runtime::host::Host;
use slackwater_runtime::wire::handshake::Role;

use super::server::{Reply, Request};
use crate::request::Line;

/// How many points one request carries at most.
pub(super) const POINTS_MAX: usize = 2_000;
/// How many requests may be unanswered.
pub(super) const REQUESTS_MAX: u64 = 8;
/// How much longer than usual an answer may take: a disk that syncs for several writers is slow.
const ACK_PATIENCE: Duration = Duration::from_secs(10);

/// Carries requests of one subtask.
pub(super) struct Courier {
    host: Arc<dyn Host>,
    address: String,
    name: String,
    line: Option<Line<Request, Reply>>,
    confirmed: u64,
}

impl Courier {
    /// One that calls itself `name`; connects with the first request.
    pub(super) fn new(host: Arc<dyn Host>, address: String, name: String) -> Self {
        Self { host, address, name, line: None, confirmed: 0 }
    }

    /// Sends a request without waiting for its answer.
    pub(super) async fn post(&mut self, request: &Request) -> Result<(), ConnectorError> {
        let line = match &mut self.line {
            Some(line) => line,
            none => {
                let host = self.host.clone();
                let line = Line::open(host, Role::Series, &self.address, &self.name).await?;
                none.insert(line)
            }
        };
        line.post(request).await
    }

    /// Waits until at most `open` requests have no answer.
    pub(super) async fn settle(&mut self, open: u64) -> Result<(), ConnectorError> {
        let Some(line) = &mut self.line else { return Ok(()) };
        while line.open_requests() > open {
            match line.reply(ACK_PATIENCE).await? {
                Reply::Written(points) => self.confirmed += points,
                Reply::Stepped => {}
                Reply::Lost(words) => {
                    return Err(ConnectorError::fatal(format!("{}: {words}", self.address)));
                }
                Reply::Rows(_) | Reply::Open(_) => {
                    return Err(ConnectorError::passing("an answer to what nobody asked"));
                }
            }
        }
        Ok(())
    }

    /// Ends the connection; the next request opens another.
    pub(super) fn hang_up(&mut self) {
        self.line = None;
    }

    /// The points that were confirmed since the last call.
    pub(super) fn take_confirmed(&mut self) -> u64 {
        std::mem::take(&mut self.confirmed)
    }
}
