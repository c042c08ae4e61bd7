//! Reads a series back over the network: one question, one answer, one connection.
//! Never writes and never tries again. Who answers: [`super::server`], or an InfluxDB, whose half is
//! [`crate::influx`]'s `reading`.

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::point::Point;
use slackwater_core::time::EventTime;
use slackwater_runtime::host::Host;
use slackwater_runtime::wire::handshake::Role;

use super::server::{Reply, Request};
use crate::influx::{Target, reading};
use crate::request::Line;

/// The visible rows of a series from `since` on, in the database at `address`: ours at `host:port`, or
/// an InfluxDB such as `http://127.0.0.1:8086/oscon`. `name` is who asks.
///
/// # Errors
/// In words: there is no such database, it does not answer in time, or it refuses.
///
/// # Cancel safety
/// Dropping the future ends the connection.
pub async fn rows(
    host: Arc<dyn Host>,
    (address, name): (&str, &str),
    series: &str,
    since: EventTime,
) -> Result<Vec<Point>, String> {
    if let Some(target) = Target::read(address).transpose()? {
        return reading::rows(host, (&target, name), series, since).await;
    }
    let opened = Line::<Request, Reply>::open(host, Role::Series, address, name).await;
    let mut line = opened.map_err(|error| error.to_string())?;
    let asked = line.post(&Request::Rows(series.to_owned(), since)).await;
    asked.map_err(|error| error.to_string())?;
    match line.reply(Duration::ZERO).await.map_err(|error| error.to_string())? {
        Reply::Rows(rows) => Ok(rows),
        _ => Err(format!("{address}: an answer to what nobody asked")),
    }
}
