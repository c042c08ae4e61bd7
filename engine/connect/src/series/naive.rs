//! The walkthrough's own sink (T6), wrong on purpose: it confirms points that it has only buffered.
//! Nothing should be built on it: it is here for the scenario that shows it losing data.
//! The sinks that keep what they confirm are [`super::sink`] and [`super::transactional`].

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::element::Batch;
use slackwater_core::point::Point;
use slackwater_dataflow::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Sink, SinkContract, SinkWriter,
};
use slackwater_runtime::host::{Host, of};

use super::SeriesSink;
use super::courier::{Courier, POINTS_MAX};
use super::server::Request;
use super::sink::Mapping;

/// How long a point may lie in the buffer.
const BATCH_EVERY: Duration = Duration::from_millis(100);

/// Writes records as the demo does, with `InfluxDB.enableBatch(2000, 100 ms)`: points go into a
/// buffer that a task of its own empties every 100 ms, and a flush *says that they have arrived*.
///
/// That is a lie. [`Flushed`] proves that everything written so far is outside; it cannot be made
/// without a flush, but a flush can still say so too early, as this one does. A barrier then passes
/// points that are in nobody's hands: the checkpoint completes, the source's position in it lies
/// behind them, and a process that is killed within the next 100 ms takes them with it. No restart
/// brings them back. Walkthrough T6 reckons that 1.4 % of kills lose something. An error of the
/// database is nobody's either: the task has long gone on.
///
/// What to write instead is in [`SeriesSink`]: its flush waits for the database's answer.
pub struct NaiveSeries<T>(SeriesSink<T>);

impl<T> NaiveSeries<T> {
    pub(super) fn of(sink: SeriesSink<T>) -> Self {
        Self(sink)
    }
}

impl<T> fmt::Debug for NaiveSeries<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.naive()", self.0)
    }
}

impl<T: 'static> Sink for NaiveSeries<T> {
    type Item = T;
    type Writer = NaiveWriter<T>;

    /// What the demo believes of it.
    fn contract(&self) -> SinkContract {
        SinkContract::Idempotent
    }

    fn open(&self, opening: Opening) -> Result<NaiveWriter<T>, ConnectorError> {
        let host = of(&opening.outside);
        let buffer = Rc::new(RefCell::new(Vec::new()));
        let batching = batch(host.clone(), self.0.courier(&opening)?, Rc::clone(&buffer));
        // As the demo's thread, it outlives a task that fails, and ends with its process.
        let _ended_by_its_writer = host.spawn("batch", Box::pin(batching));
        Ok(NaiveWriter { mapping: self.0.mapping(), buffer, unconfirmed: 0 })
    }
}

/// Points on their way, if nothing happens to the process.
type Buffer = Rc<RefCell<Vec<Point>>>;

/// Sends what is buffered, again and again, until the writer is gone.
async fn batch(host: Arc<dyn Host>, mut courier: Courier, buffer: Buffer) {
    loop {
        host.sleep(BATCH_EVERY).await;
        let is_last = Rc::strong_count(&buffer) == 1;
        let points = std::mem::take(&mut *buffer.borrow_mut());
        for points in points.chunks(POINTS_MAX) {
            let sent = courier.post(&Request::Write(points.to_vec())).await;
            if sent.is_err() || courier.settle(0).await.is_err() {
                // The demo's batch processor logs this and drops the points.
                courier.hang_up();
            }
        }
        if is_last {
            return;
        }
    }
}

/// Writes the points of one subtask.
pub struct NaiveWriter<T> {
    mapping: Mapping<T>,
    buffer: Buffer,
    unconfirmed: u64,
}

impl<T> SinkWriter for NaiveWriter<T> {
    type Item = T;

    fn write(&mut self, batch: Batch<T>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        self.unconfirmed += batch.values.len() as u64;
        self.buffer.borrow_mut().extend(self.mapping.points(&batch));
        Box::pin(std::future::ready(Ok(())))
    }

    /// Confirms what has only been buffered: the mistake.
    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        let confirmed = std::mem::take(&mut self.unconfirmed);
        Box::pin(std::future::ready(Ok(flush.confirmed(confirmed))))
    }
}
