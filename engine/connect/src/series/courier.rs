//! The writing side's connection to a series database: to ours, with several requests under way and
//! never mended (the task fails, and its successor opens one), or to an InfluxDB, [`crate::influx`].
//! What is sent, the sinks decide: [`super::sink`], [`super::transactional`], [`super::naive`].

use std::sync::Arc;
use std::time::Duration;

use slackwater_dataflow::connector::ConnectorError;
use slackwater_runtime::host::Host;
use slackwater_runtime::wire::handshake::Role;

use super::server::{Reply, Request};
use crate::influx::Target;
use crate::influx::post::Post;
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
    influx: Option<Post>,
    confirmed: u64,
}

impl Courier {
    /// One that calls itself `name`; connects with the first request.
    ///
    /// # Errors
    /// If `address` is one of the web, and no database of an InfluxDB; fatal.
    pub(super) fn new(
        host: Arc<dyn Host>,
        address: String,
        name: String,
    ) -> Result<Self, ConnectorError> {
        let target = Target::read(&address).transpose().map_err(ConnectorError::fatal)?;
        let influx = target.map(|target| Post::to(target, host.clone(), &name));
        Ok(Self { host, address, name, line: None, influx, confirmed: 0 })
    }

    /// Sends a request; does not wait for the answer of a database of ours.
    pub(super) async fn post(&mut self, request: &Request) -> Result<(), ConnectorError> {
        if let Some(influx) = &mut self.influx {
            let Request::Write(points) = request else {
                let words = "InfluxDB keeps no transactions: write with sink=idempotent";
                return Err(ConnectorError::fatal(format!("{}: {words}", self.address)));
            };
            influx.add(points)?;
            // What waits is bounded by what was asked for once.
            return influx.settle().await;
        }
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
        if let Some(influx) = &mut self.influx {
            return influx.settle().await;
        }
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
        self.influx.iter_mut().for_each(Post::forget);
    }

    /// The points that were confirmed since the last call.
    pub(super) fn take_confirmed(&mut self) -> u64 {
        let confirmed = self.influx.as_mut().map_or(0, Post::take_confirmed);
        confirmed + std::mem::take(&mut self.confirmed)
    }
}
