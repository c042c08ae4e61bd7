//! A sink's writer with its type hidden: what a vertex hands batches to at its edge.
//! Buffers nothing and promises nothing: the writer does both, and says so in its contract.
//! When batches are written and flushed is decided in `runtime::task`.

use std::time::Duration;

use slackwater_core::graph::Uid;

use crate::connector::{ConnectorError, Flushed, LocalFuture, SinkContract, SinkWriter};
use crate::packet::AnyBatch;
use crate::task::AnySink;

/// A writer and its name.
pub struct SinkTask<W> {
    uid: Uid,
    contract: SinkContract,
    writer: W,
}

impl<W: SinkWriter> SinkTask<W> {
    /// Hides the type of a writer.
    pub fn new(uid: Uid, contract: SinkContract, writer: W) -> Self {
        Self { uid, contract, writer }
    }
}

impl<W: SinkWriter> AnySink for SinkTask<W>
where
    W::Item: 'static,
{
    fn uid(&self) -> &Uid {
        &self.uid
    }

    fn contract(&self) -> SinkContract {
        self.contract
    }

    fn write(&mut self, batch: AnyBatch) -> LocalFuture<'_, Result<(), ConnectorError>> {
        if batch.rows() == 0 {
            // A watermark means nothing outside.
            return Box::pin(std::future::ready(Ok(())));
        }
        self.writer.write(*batch.downcast())
    }

    fn flush(&mut self) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        self.writer.flush()
    }

    fn flush_after(&self) -> Duration {
        self.writer.flush_after()
    }
}
