//! The sink of the series database. Buffers up to 2,000 points or 100 ms, as the demo's does; unlike
//! the demo's it lets no barrier pass before every point has been acknowledged (walkthrough T6).
//! Idempotent: a replayed point has the same row key and takes its own place. Server: [`super::serve`].

use std::fmt;
use std::sync::Arc;

use slackwater_core::element::Batch;
use slackwater_core::point::Point;
use slackwater_dataflow::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Sink, SinkContract, SinkWriter,
};
use slackwater_runtime::host::of;

use super::courier::{Courier, POINTS_MAX, REQUESTS_MAX};
use super::server::Request;
use super::{NaiveSeries, TransactionalSeries};

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
    /// Another address than [`super::ADDRESS`]: of a series database, or of a database of an InfluxDB,
    /// such as `http://127.0.0.1:8086/oscon`, which is created if it is not there.
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

    /// The same points in transactions: seen once the checkpoint that holds them has completed.
    pub fn two_phase(self) -> TransactionalSeries<T> {
        TransactionalSeries::of(self)
    }

    /// The same points as the demo's own sink writes them, which loses some: see [`NaiveSeries`].
    pub fn naive(self) -> NaiveSeries<T> {
        NaiveSeries::of(self)
    }

    /// A connection to the database, not yet open, for the subtask of an opening.
    pub(super) fn courier(&self, opening: &Opening) -> Result<Courier, ConnectorError> {
        let name = format!("{} {}", opening.uid, opening.task);
        Courier::new(of(&opening.outside), self.address.clone(), name)
    }

    /// How it makes points.
    pub(super) fn mapping(&self) -> Mapping<T> {
        Mapping { tag: self.tag.clone(), point: Arc::clone(&self.point) }
    }
}

/// Turns records into points of tagged series.
pub(super) struct Mapping<T> {
    tag: String,
    point: Arc<ToPoint<T>>,
}

impl<T> Mapping<T> {
    pub(super) fn points<'a>(&'a self, batch: &'a Batch<T>) -> impl Iterator<Item = Point> + 'a {
        batch.values.iter().map(|value| {
            let mut point = (self.point)(value);
            point.series.push_str(&self.tag);
            point
        })
    }
}

impl<T: 'static> Sink for SeriesSink<T> {
    type Item = T;
    type Writer = SeriesWriter<T>;

    fn contract(&self) -> SinkContract {
        SinkContract::Idempotent
    }

    fn open(&self, opening: Opening) -> Result<SeriesWriter<T>, ConnectorError> {
        let (courier, mapping) = (self.courier(&opening)?, self.mapping());
        Ok(SeriesWriter { courier, mapping, buffer: Vec::new() })
    }
}

/// Writes the points of one subtask.
pub struct SeriesWriter<T> {
    courier: Courier,
    mapping: Mapping<T>,
    buffer: Vec<Point>,
}

impl<T> SinkWriter for SeriesWriter<T> {
    type Item = T;

    fn write(&mut self, batch: Batch<T>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        self.buffer.extend(self.mapping.points(&batch));
        Box::pin(async move {
            while self.buffer.len() >= POINTS_MAX {
                self.courier.settle(REQUESTS_MAX - 1).await?;
                let rest = self.buffer.split_off(POINTS_MAX);
                let full = std::mem::replace(&mut self.buffer, rest);
                self.courier.post(&Request::Write(full)).await?;
            }
            Ok(())
        })
    }

    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(async move {
            if !self.buffer.is_empty() {
                let points = std::mem::take(&mut self.buffer);
                self.courier.post(&Request::Write(points)).await?;
            }
            self.courier.settle(0).await?;
            Ok(flush.confirmed(self.courier.take_confirmed()))
        })
    }
}
