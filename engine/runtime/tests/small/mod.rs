//! Small connectors for the tests of this crate: a source that counts and a sink that collects.
//! Never sleeps and never touches the network. Used by `workers.rs` and `cluster.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use slackwater_core::element::Batch;
use slackwater_core::time::{EventTime, ProcessingTime};
use slackwater_dataflow::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Position, Pulled, Sink, SinkContract,
    SinkWriter, Source, SourceReader, Splits,
};
use tokio::sync::Notify;

/// Counts from 0; ends there, or falls silent for ever.
#[derive(Clone)]
pub struct Count {
    pub to: u64,
    pub is_bounded: bool,
}

pub struct Counter {
    next: u64,
    of: Count,
}

impl Source for Count {
    type Item = u64;
    type Reader = Counter;
    fn splits(&self) -> Splits {
        Splits::One
    }
    fn is_bounded(&self) -> bool {
        self.is_bounded
    }
    fn open(&self, _: Opening) -> Result<Counter, ConnectorError> {
        Ok(Counter { next: 0, of: self.clone() })
    }
}

impl SourceReader for Counter {
    type Item = u64;
    fn poll_next(
        &mut self,
        _: &mut std::task::Context<'_>,
        _: ProcessingTime,
        max_rows: usize,
        out: &mut Batch<u64>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        let offset = self.next;
        let until = self.of.to.min(offset + max_rows as u64);
        (offset..until).for_each(|n| out.push(EventTime::from_millis(n as i64), n));
        self.next = until;
        match until {
            until if until > offset => Poll::Ready(Ok(Pulled::Records { split: 0, offset })),
            _ if self.of.is_bounded => Poll::Ready(Ok(Pulled::End)),
            _ => Poll::Pending,
        }
    }
    fn positions(&self) -> Vec<Position> {
        vec![Position { split: 0, offset: self.next, note: Vec::new(), ended: false }]
    }
    fn seek(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        positions.iter().for_each(|position| self.next = position.offset);
        Ok(())
    }
}

/// Collects what it is given, unless it is shut.
#[derive(Clone, Default)]
pub struct Collect {
    pub seen: Arc<Mutex<Vec<u64>>>,
    pub is_shut: Arc<AtomicBool>,
    opens: Arc<Notify>,
}

impl Collect {
    pub fn sorted(&self) -> Vec<u64> {
        let mut seen = self.seen.lock().expect("whole").clone();
        seen.sort_unstable();
        seen
    }

    pub fn open_up(&self) {
        self.is_shut.store(false, Ordering::SeqCst);
        self.opens.notify_waiters();
    }
}

impl Sink for Collect {
    type Item = u64;
    type Writer = Collector;
    fn contract(&self) -> SinkContract {
        SinkContract::AtLeastOnce
    }
    fn open(&self, _: Opening) -> Result<Collector, ConnectorError> {
        Ok(Collector { sink: self.clone(), buffer: Vec::new() })
    }
}

pub struct Collector {
    sink: Collect,
    buffer: Vec<u64>,
}

impl SinkWriter for Collector {
    type Item = u64;
    fn write(&mut self, batch: Batch<u64>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async move {
            loop {
                let opened = self.sink.opens.notified();
                if !self.sink.is_shut.load(Ordering::SeqCst) {
                    break;
                }
                opened.await;
            }
            self.buffer.extend(batch.values);
            Ok(())
        })
    }
    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(async move {
            let rows = self.buffer.len() as u64;
            self.sink.seen.lock().expect("whole").append(&mut self.buffer);
            Ok(flush.confirmed(rows))
        })
    }
}
