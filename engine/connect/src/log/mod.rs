//! The partitioned log: topics with partitions, append, fetch by offset; its source and its sink.
//! A record, once visible, keeps its offset for ever. Appends are idempotent by producer and
//! sequence; nothing here groups consumers or keeps their offsets: checkpoints do. In memory only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::Data;
use slackwater_core::codec::encode_message;
use slackwater_core::time::ProcessingTime;
use tokio::sync::Notify;

mod server;
mod sink;
mod source;

pub use server::{LogServer, serve};
pub use sink::{LogSink, LogWriter, sink};
pub use source::{LogReader, LogSource, source};

/// Where the log is reached unless a setting says otherwise.
pub const ADDRESS: &str = "log:9092";
/// The port of [`ADDRESS`].
pub const PORT: u16 = 9092;

/// A record on its way into the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// The record, encoded.
    pub payload: Vec<u8>,
    /// How much later than its arrival the record becomes visible. Records with other delays
    /// overtake it: that is how disorder comes into a topic.
    pub delay: Duration,
}

/// What a fetch brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// Records from the asked offset on.
    pub payloads: Vec<Vec<u8>>,
    /// Whether nothing will ever follow them.
    pub ended: bool,
}

/// A log in memory. Clones share their content, so that it can outlive the node that serves it,
/// and be filled before it is served.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    topics: Arc<Mutex<BTreeMap<(String, u32), Partition>>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Partition {
    records: Vec<Vec<u8>>,
    /// Accepted, not yet visible: by the time at which they will be, then by arrival.
    delayed: BTreeMap<(ProcessingTime, u64), Vec<u8>>,
    accepted: u64,
    closed: bool,
    /// By producer: the next sequence number.
    producers: BTreeMap<String, u64>,
}

impl Partition {
    /// Makes visible what is due at `now`.
    fn release(&mut self, now: ProcessingTime) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                break;
            }
            self.records.push(first.remove());
        }
    }

    fn fetch(&self, offset: u64, max: usize) -> Fetched {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.records.len());
        let to = from.saturating_add(max).min(self.records.len());
        let ended = self.closed && self.delayed.is_empty() && to == self.records.len();
        Fetched { payloads: self.records[from..to].to_vec(), ended }
    }
}

impl MemoryLog {
    /// Appends a record at once, as a harness does that fills a topic before anything runs.
    ///
    /// # Panics
    /// If the record refuses to be serialized.
    pub fn push<T: Data>(&self, topic: &str, partition: u32, record: &T) {
        let payload = encode_message(record).expect("a record of a log can be serialized");
        self.with(topic, partition, |kept| {
            kept.accepted += 1;
            kept.records.push(payload);
        });
        self.changed.notify_waiters();
    }

    /// Ends a partition: readers finish once they have read what it holds.
    pub fn close(&self, topic: &str, partition: u32) {
        self.with(topic, partition, |kept| kept.closed = true);
        self.changed.notify_waiters();
    }

    /// The visible records of a partition, encoded.
    pub fn records(&self, topic: &str, partition: u32) -> Vec<Vec<u8>> {
        self.with(topic, partition, |kept| kept.records.clone())
    }

    /// Takes the records of one request, of which the producer's numbers begin at `sequence`; those
    /// that it has taken before are left out. Gives the range of offsets that became visible.
    fn append(
        &self,
        (topic, partition): (&str, u32),
        (producer, sequence): (&str, u64),
        records: Vec<Append>,
        now: ProcessingTime,
    ) -> Result<std::ops::Range<u64>, String> {
        let visible = self.with(topic, partition, |kept| {
            if kept.closed {
                return Err(format!("partition {partition} of topic {topic:?} has ended"));
            }
            let before = kept.records.len() as u64;
            let expected = kept.producers.get(producer).copied().unwrap_or(0);
            if sequence > expected {
                let words = format!("{producer:?} left out records {expected}..{sequence}");
                return Err(words);
            }
            let known = usize::try_from(expected - sequence).unwrap_or(usize::MAX);
            for record in records.into_iter().skip(known) {
                let due = now.plus(record.delay);
                kept.delayed.insert((due, kept.accepted), record.payload);
                kept.accepted += 1;
                *kept.producers.entry(producer.to_owned()).or_insert(0) += 1;
            }
            kept.release(now);
            Ok(before..kept.records.len() as u64)
        })?;
        self.changed.notify_waiters();
        Ok(visible)
    }

    /// Makes visible what is due, and says which offsets that were and when the next one is due.
    fn release(
        &self,
        (topic, partition): (&str, u32),
        now: ProcessingTime,
    ) -> (std::ops::Range<u64>, Option<ProcessingTime>) {
        self.with(topic, partition, |kept| {
            let before = kept.records.len() as u64;
            kept.release(now);
            let next = kept.delayed.first_key_value().map(|((due, _), _)| *due);
            (before..kept.records.len() as u64, next)
        })
    }

    /// Refuses an offset behind the end: whoever read so far read another log, for this one keeps
    /// every record.
    fn check(&self, (topic, partition): (&str, u32), offset: u64) -> Result<(), String> {
        let records = self.with(topic, partition, |kept| kept.records.len() as u64);
        if offset <= records {
            return Ok(());
        }
        Err(format!(
            "partition {partition} of topic {topic:?} has {records} records, and {offset} had been \
             read of it: it is another log"
        ))
    }

    fn fetch(&self, (topic, partition): (&str, u32), offset: u64, max: usize) -> Fetched {
        self.with(topic, partition, |kept| kept.fetch(offset, max))
    }

    fn with<R>(&self, topic: &str, partition: u32, f: impl FnOnce(&mut Partition) -> R) -> R {
        let mut topics: MutexGuard<'_, _> =
            self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        f(topics.entry((topic.to_owned(), partition)).or_default())
    }
}

#[cfg(test)]
mod tests;
