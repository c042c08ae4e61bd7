//! The sink of the log: appends records to the partition that the partitioner names.
//! At least once: a replay after a restart appends again, under another producer's name. Disorder
//! may be asked for; it is drawn from the host's stream `disorder` and happens in the log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::Data;
use slackwater_core::codec::encode_message;
use slackwater_core::element::Batch;
use slackwater_core::random::RandomStream;
use slackwater_core::time::span_millis;
use slackwater_dataflow::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Sink, SinkContract, SinkWriter,
};
use slackwater_runtime::host::{Host, of};
use slackwater_runtime::wire::handshake::Role;

use super::Append;
use super::server::{Reply, Request};
use crate::request::Line;

type Partitioner<T> = dyn Fn(&T) -> u64 + Send + Sync;

/// Writes records to a topic.
pub struct LogSink<T> {
    address: String,
    topic: String,
    partitions: u32,
    partitioner: Arc<Partitioner<T>>,
    disorder: Duration,
}

impl<T> fmt::Debug for LogSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogSink({} of {} partitions)", self.topic, self.partitions)
    }
}

/// A sink to a topic of `partitions` partitions at [`super::ADDRESS`]; a record goes to the
/// partition `partitioner` modulo their number.
///
/// # Panics
/// If there are no partitions.
pub fn sink<T>(
    topic: impl Into<String>,
    partitions: u32,
    partitioner: impl Fn(&T) -> u64 + Send + Sync + 'static,
) -> LogSink<T> {
    assert!(partitions > 0, "a topic has a partition");
    LogSink {
        address: super::ADDRESS.into(),
        topic: topic.into(),
        partitions,
        partitioner: Arc::new(partitioner),
        disorder: Duration::ZERO,
    }
}

impl<T> LogSink<T> {
    /// Another address than [`super::ADDRESS`].
    #[must_use]
    pub fn at(self, address: impl Into<String>) -> Self {
        Self { address: address.into(), ..self }
    }

    /// Delays each record by its own draw from 0..=`span`, so that records become visible out of
    /// order, within that bound.
    #[must_use]
    pub fn disorder(self, span: Duration) -> Self {
        Self { disorder: span, ..self }
    }
}

impl<T: Data> Sink for LogSink<T> {
    type Item = T;
    type Writer = LogWriter<T>;

    fn contract(&self) -> SinkContract {
        SinkContract::AtLeastOnce
    }

    fn open(&self, opening: Opening) -> Result<LogWriter<T>, ConnectorError> {
        let host = of(&opening.outside);
        Ok(LogWriter {
            random: host.random("disorder"),
            host,
            address: self.address.clone(),
            topic: self.topic.clone(),
            partitions: self.partitions,
            partitioner: Arc::clone(&self.partitioner),
            disorder_ms: span_millis(self.disorder),
            // The job and epoch too: a producer's sequence starts at 0 in each execution.
            name: format!("{:?} {}", opening.task, opening.uid),
            line: None,
            confirmed: 0,
            buffer: BTreeMap::new(),
            sequences: BTreeMap::new(),
        })
    }
}

/// Writes the records of one subtask.
pub struct LogWriter<T> {
    random: RandomStream,
    host: Arc<dyn Host>,
    address: String,
    topic: String,
    partitions: u32,
    partitioner: Arc<Partitioner<T>>,
    disorder_ms: i64,
    name: String,
    line: Option<Line<Request, Reply>>,
    /// Rows sent and answered since the last flush.
    confirmed: u64,
    /// Unsent records by partition.
    buffer: BTreeMap<u32, Vec<Append>>,
    /// By partition: the number of records sent.
    sequences: BTreeMap<u32, u64>,
}

/// From this many unsent records of a partition on, a write sends them.
const RECORDS_MAX: usize = 1_000;

impl<T: Data> LogWriter<T> {
    /// Sends all that is buffered and waits for the answers; gives the number of records.
    async fn send(&mut self) -> Result<u64, ConnectorError> {
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            return Ok(0);
        }
        let line = match &mut self.line {
            Some(line) => line,
            none => {
                let host = self.host.clone();
                none.insert(Line::open(host, Role::Log, &self.address, &self.name).await?)
            }
        };
        let mut rows = 0;
        for (partition, records) in buffer {
            let sequence = self.sequences.entry(partition).or_insert(0);
            let sent = records.len() as u64;
            let topic = self.topic.clone();
            line.post(&Request::Append { topic, partition, sequence: *sequence, records }).await?;
            *sequence += sent;
            rows += sent;
        }
        while line.open_requests() > 0 {
            let Reply::Appended = line.reply(Duration::ZERO).await? else {
                return Err(ConnectorError::passing("the log answered a fetch that nobody made"));
            };
        }
        Ok(rows)
    }

    fn buffer_batch(&mut self, batch: Batch<T>) -> Result<bool, ConnectorError> {
        let mut full = false;
        for value in batch.values {
            let payload = encode_message(&value).map_err(ConnectorError::fatal)?;
            let delay = Duration::from_millis(self.random.between(0, self.disorder_ms) as u64);
            let partition = (self.partitioner)(&value) % u64::from(self.partitions);
            let unsent = self.buffer.entry(partition as u32).or_default();
            unsent.push(Append { payload, delay });
            full |= unsent.len() >= RECORDS_MAX;
        }
        Ok(full)
    }
}

impl<T: Data> SinkWriter for LogWriter<T> {
    type Item = T;

    fn write(&mut self, batch: Batch<T>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async move {
            if self.buffer_batch(batch)? {
                self.confirmed += self.send().await?;
            }
            Ok(())
        })
    }

    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(async move {
            let rows = self.send().await? + std::mem::take(&mut self.confirmed);
            Ok(flush.confirmed(rows))
        })
    }

    /// Short: a record's way into the log should take little beside its disorder.
    fn flush_after(&self) -> Duration {
        Duration::from_millis(10)
    }
}
