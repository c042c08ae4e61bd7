//! Carries points to an InfluxDB: does what a [`Delivery`] says until everything is kept.
//! Decides nothing itself: what comes next is the delivery's, what an answer means [`answer`]'s.
//! Which sink uses it: `series::courier`.

use std::sync::Arc;

use slackwater_core::point::Point;
use slackwater_core::random::RandomStream;
use slackwater_dataflow::connector::ConnectorError;
use slackwater_runtime::host::Host;

use super::answer::{self, Verdict};
use super::client::{Ask, Client};
use super::delivery::{Delivery, Next};
use super::{Target, line};

/// Carries the points of one subtask.
pub(crate) struct Post {
    host: Arc<dyn Host>,
    database: String,
    client: Client,
    delivery: Delivery,
    random: RandomStream,
}

impl Post {
    /// To this database, as `name`; connects when it is first driven.
    pub(crate) fn to(target: Target, host: Arc<dyn Host>, name: &str) -> Self {
        let client = Client::new(host.clone(), &target.address, name);
        let random = host.random(&format!("influx retry of {name}"));
        let database = target.database.clone();
        Self { host, database, client, delivery: Delivery::to(target), random }
    }

    /// Takes points in; nothing is sent yet.
    ///
    /// # Errors
    /// If InfluxDB cannot keep one of them as it is; fatal.
    pub(crate) fn add(&mut self, points: &[Point]) -> Result<(), ConnectorError> {
        self.delivery.add(line::lines(points).map_err(ConnectorError::fatal)?);
        Ok(())
    }

    /// Sends until the database is there and has everything.
    ///
    /// # Errors
    /// As the delivery's: a refusal, or trouble that has lasted too long.
    ///
    /// # Cancel safety
    /// What was not confirmed is sent again by the next call.
    pub(crate) async fn settle(&mut self) -> Result<(), ConnectorError> {
        loop {
            let verdict = match self.delivery.next(self.host.elapsed()) {
                Next::Nothing => return Ok(()),
                Next::Pause(span) => {
                    self.host.sleep(span).await;
                    continue;
                }
                Next::Create => {
                    let create = format!("CREATE DATABASE \"{}\"", self.database);
                    let answered = self.client.ask(Ask::query(&create, &[])).await;
                    answered.map(|said| answer::to_create(said.status, &said.body))
                }
                Next::Write(lines) => {
                    let write = Ask::write(&self.database, lines.text.clone());
                    let answered = self.client.ask(write).await;
                    answered.map(|said| answer::to_write(said.status, &said.body, &lines))
                }
            };
            let verdict = verdict.unwrap_or_else(Verdict::Again);
            self.delivery.became(verdict, self.host.elapsed(), &mut self.random)?;
        }
    }

    /// The points that were confirmed since the last call.
    pub(crate) fn take_confirmed(&mut self) -> u64 {
        self.delivery.take_confirmed()
    }

    /// Drops what waits.
    pub(crate) fn forget(&mut self) {
        self.delivery.forget();
    }
}
