//! The two ends of a harness: a source that is never polled and sinks that are never written.
//! Nothing moves here: the harness pushes into the chain of the one and takes what leaves for the
//! others. Everything between them is the plan that a cluster would run, see [`super::cluster`].

use std::marker::PhantomData;
use std::task::{Context, Poll};

use slackwater_core::Data;
use slackwater_core::element::Batch;
use slackwater_core::key::Key;
use slackwater_core::time::ProcessingTime;

use crate::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Position, Pulled, Sink, SinkContract,
    SinkWriter, Source, SourceReader, Splits,
};
use crate::stream::{Stream, WindowOut};
use crate::window::Pane;

/// The uid of the input.
pub(super) const INPUT: &str = "input";
/// The uid of the output.
pub(super) const OUTPUT: &str = "output";
/// The uid of the late output.
pub(super) const LATE: &str = "late";

/// What a harness can look at: a stream, or a window operator's results and late records.
pub trait Outlets {
    /// The records of the output.
    type Main: Data;
    /// The late records; `()` if there are none.
    type Late: Data;

    /// Ends the streams where the harness sees them.
    fn attach(self);
}

impl<T: Data> Outlets for Stream<T> {
    type Main = T;
    type Late = ();

    fn attach(self) {
        self.sink(OUTPUT, Tap(PhantomData)).parallelism(1);
    }
}

impl<K: Key, A: Data, T: Data> Outlets for WindowOut<K, A, T> {
    type Main = Pane<K, A>;
    type Late = T;

    fn attach(self) {
        self.results.sink(OUTPUT, Tap(PhantomData)).parallelism(1);
        self.late.sink(LATE, Tap(PhantomData)).parallelism(1);
    }
}

/// Never polled.
pub(super) struct InputOnly<T>(PhantomData<fn() -> T>);

impl<T> Default for InputOnly<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: 'static> Source for InputOnly<T> {
    type Item = T;
    type Reader = Self;

    fn splits(&self) -> Splits {
        Splits::One
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn open(&self, _: Opening) -> Result<Self, ConnectorError> {
        Ok(Self(PhantomData))
    }
}

impl<T> SourceReader for InputOnly<T> {
    type Item = T;

    fn poll_next(
        &mut self,
        _: &mut Context<'_>,
        _: ProcessingTime,
        _: usize,
        _: &mut Batch<T>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        Poll::Pending
    }

    fn positions(&self) -> Vec<Position> {
        Vec::new()
    }

    fn seek(&mut self, _: &[Position]) -> Result<(), ConnectorError> {
        Ok(())
    }
}

/// Never written.
struct Tap<T>(PhantomData<fn() -> T>);

impl<T: 'static> Sink for Tap<T> {
    type Item = T;
    type Writer = Self;

    fn contract(&self) -> SinkContract {
        SinkContract::AtLeastOnce
    }

    fn open(&self, _: Opening) -> Result<Self, ConnectorError> {
        Ok(Self(PhantomData))
    }
}

impl<T> SinkWriter for Tap<T> {
    type Item = T;

    fn write(&mut self, _: Batch<T>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(std::future::ready(Ok(flush.confirmed(0))))
    }
}
