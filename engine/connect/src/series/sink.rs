//! The sink of the series database. Buffers up to 2,000 points or 100 ms, as the demo's does; unlike
//! the demo's it lets no barrier pass before every point has been acknowledged (walkthrough T6).
//! Idempotent: a replayed point has the same row key and takes its own place. Server: [`super::serve`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::element::Batch;
use slackwater_core::point::Point;
use slackwater_dataflow::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Sink, SinkContract, SinkWriter,
};
use slackwater_runtime::host::{Host, of};
use slackwater_runtime::wire::handshake::Role;

use super::server::{Reply, Request};
use crate::request::Line;

/// How many points one request carries at most.
const POINTS_MAX: usize = 2_000;
/// How much longer than usual an answer may take: a disk that syncs for several writers is slow.
const ACK_PATIENCE: Duration = Duration::from_secs(10);
/// How many requests may be unanswered.
const REQUESTS_MAX: u64 = 8;

/// Turns a record into a point.
type ToPoint<T> = dyn Fn(&T) -> Point + Send + Sync;

/// Writes records as points.
pub struct SeriesSink<T> {
    address: String,
    tag: String,
    point: Arc<ToPoint<T>>,
}

impl<T> fmt::Debug for SeriesSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeriesSink({})", self.address)
    }
}

/// A sink to the series database at [`super::ADDRESS`]; `point` makes the point of a record.
///
/// ```
/// use slackwater_connect::series;
/// use slackwater_core::{point::Point, time::EventTime};
/// let sink = series::sink(|(key, at, value): &(String, EventTime, f64)| {
///     Point::new("sensors", key, *at, [("value", (*value).into())])
/// });
/// ```
pub fn sink<T>(point: impl Fn(&T) -> Point + Send + Sync + 'static) -> SeriesSink<T> {
    SeriesSink { address: super::ADDRESS.into(), tag: String::new(), point: Arc::new(point) }
}

impl<T> SeriesSink<T> {
    /// Another address than [`super::ADDRESS`].
    #[must_use]
    pub fn at(self, address: impl Into<String>) -> Self {
        Self { address: address.into(), ..self }
    }

    /// Appends `tag` to the name of every series, so that two versions of a job can write side by
    /// side (walkthrough T8).
    #[must_use]
    pub fn tagged(self, tag: impl Into<String>) -> Self {
        Self { tag: tag.into(), ..self }
    }
}

impl<T: 'static> Sink for SeriesSink<T> {
    type Item = T;
    type Writer = SeriesWriter<T>;

    fn contract(&self) -> SinkContract {
        SinkContract::Idempotent
    }

    fn open(&self, opening: Opening) -> Result<SeriesWriter<T>, ConnectorError> {
        Ok(SeriesWriter {
            host: of(&opening.outside),
            address: self.address.clone(),
            tag: self.tag.clone(),
            name: format!("{} {}", opening.uid, opening.task),
            line: None,
            buffer: Vec::new(),
            confirmed: 0,
            point: Arc::clone(&self.point),
        })
    }
}

/// Writes the points of one subtask.
pub struct SeriesWriter<T> {
    host: Arc<dyn Host>,
    address: String,
    tag: String,
    name: String,
    line: Option<Line<Request, Reply>>,
    buffer: Vec<Point>,
    confirmed: u64,
    point: Arc<ToPoint<T>>,
}

impl<T> SeriesWriter<T> {
    async fn post(&mut self, points: Vec<Point>) -> Result<(), ConnectorError> {
        let line = match &mut self.line {
            Some(line) => line,
            none => {
                let host = self.host.clone();
                let line = Line::open(host, Role::Series, &self.address, &self.name).await?;
                none.insert(line)
            }
        };
        line.post(&Request::Write(points)).await
    }

    /// Waits until at most `open` requests have no answer.
    async fn settle(&mut self, open: u64) -> Result<(), ConnectorError> {
        let Some(line) = &mut self.line else { return Ok(()) };
        while line.open_requests() > open {
            match line.reply(ACK_PATIENCE).await? {
                Reply::Written(points) => self.confirmed += points,
                Reply::Rows(_) => return Err(ConnectorError::passing("rows nobody asked for")),
            }
        }
        Ok(())
    }
}

impl<T> SinkWriter for SeriesWriter<T> {
    type Item = T;

    fn write(&mut self, batch: Batch<T>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        let (tag, to_point) = (&self.tag, &self.point);
        self.buffer.extend(batch.values.iter().map(|value| {
            let mut point = to_point(value);
            point.series.push_str(tag);
            point
        }));
        Box::pin(async move {
            while self.buffer.len() >= POINTS_MAX {
                self.settle(REQUESTS_MAX - 1).await?;
                let rest = self.buffer.split_off(POINTS_MAX);
                let full = std::mem::replace(&mut self.buffer, rest);
                self.post(full).await?;
            }
            Ok(())
        })
    }

    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(async move {
            if !self.buffer.is_empty() {
                let points = std::mem::take(&mut self.buffer);
                self.post(points).await?;
            }
            self.settle(0).await?;
            Ok(flush.confirmed(std::mem::take(&mut self.confirmed)))
        })
    }
}
