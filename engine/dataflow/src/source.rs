//! A source's reader with its type hidden, and the watermark generators of its splits.
//! Reads one batch a poll and never blocks; idleness comes only from a reader that found nothing.
//! Polled by `runtime::task`; the generators are in [`crate::watermark`].

use std::collections::BTreeSet;
use std::task::{Context as Waker, Poll};

use slackwater_core::Data;
use slackwater_core::codec::encode_batch;
use slackwater_core::element::{Barrier, BarrierKind, Batch, Signal};
use slackwater_core::fact::{Detail, Fact, Records};
use slackwater_core::graph::{StateInfo, Uid};
use slackwater_core::time::{EventTime, ProcessingTime};

use crate::connector::{ConnectorError, Position, Pulled, SourceReader};
use crate::operator::{Context, OperatorError, Step};
use crate::packet::AnyBatch;
use crate::state::{
    Restored, Section, SectionReader, SectionWriter, StateError, StateName, declared,
};
use crate::task::{AnySource, Chain, Sourced, TaskError};
use crate::watermark::{Generators, Quantum, Watermarks};

/// What a source subtask is told when it is opened.
#[derive(Clone, Debug)]
pub struct SourceTaskSettings {
    /// The source's uid.
    pub uid: Uid,
    /// The splits that this subtask reads.
    pub splits: Vec<u32>,
    /// The most records of a batch.
    pub batch_rows: usize,
    /// Which watermarks anything downstream can tell apart.
    pub quantum: Quantum,
}

/// A reader, its generators, and the batch that is being read.
pub struct SourceTask<R: SourceReader> {
    uid: Uid,
    reader: R,
    generators: Generators<R::Item>,
    batch: Batch<R::Item>,
    batch_rows: usize,
    /// How many rows the last batch had: room for the next.
    usual_rows: usize,
    /// Whether everything has been read, here or before a restore.
    ended: bool,
}

/// The names of the two states of a source: part of the savepoint format.
pub(crate) const POSITION: &str = "position";
pub(crate) const GREATEST: &str = "greatest";

/// What a source holds, as a graph says it.
pub(crate) fn states() -> Vec<StateInfo> {
    vec![declared::<(), Position>(POSITION, false), declared::<(), EventTime>(GREATEST, false)]
}

impl<R> SourceTask<R>
where
    R: SourceReader,
    R::Item: Data,
{
    /// Puts generators behind a reader.
    pub fn new(settings: SourceTaskSettings, reader: R, watermarks: Watermarks<R::Item>) -> Self {
        let SourceTaskSettings { uid, splits, batch_rows, quantum } = settings;
        let generators = Generators::new(&watermarks, &splits, quantum);
        let batch = Batch::default();
        Self { uid, reader, generators, batch, batch_rows, usual_rows: 0, ended: false }
    }

    /// Marks what was read and pushes it into the chain.
    fn on_records(
        &mut self,
        (split, offset): (u32, u64),
        chain: &mut dyn Chain,
        cx: &mut Context<'_>,
    ) -> Result<(), TaskError> {
        let Some(was_idle) = self.generators.on_records(split, &mut self.batch) else {
            let message = format!("the reader brought records of split {split}, which is not its");
            return Err(self.failed(ConnectorError::fatal(message)));
        };
        if was_idle {
            self.activate(chain, cx)?;
        }
        self.usual_rows = self.batch.rows();
        let next = Batch::with_capacity(self.usual_rows);
        let batch = std::mem::replace(&mut self.batch, next);
        if cx.wants(Detail::Flow) {
            cx.tell(self.emitted((split, offset), &batch, cx)?);
        }
        chain.batch(0, AnyBatch::new(batch), cx)?;
        Ok(())
    }

    fn emitted(
        &self,
        (split, offset): (u32, u64),
        batch: &Batch<R::Item>,
        cx: &Context<'_>,
    ) -> Result<Fact, TaskError> {
        let encode = || encode_batch(batch).map_err(|e| self.failed(ConnectorError::fatal(e)));
        let records = if cx.wants(Detail::Records) { encode()? } else { Vec::new() };
        Ok(Fact::SourceEmitted {
            task: cx.task(),
            uid: self.uid.clone(),
            split,
            offset,
            rows: batch.rows() as u32,
            records: Records(records),
        })
    }

    /// Declares idle what is due. Whether anything was pushed.
    fn settle(
        &mut self,
        chain: &mut dyn Chain,
        cx: &mut Context<'_>,
    ) -> Result<bool, OperatorError> {
        let settled = self.generators.settle(cx.processing_time());
        if let Some(watermark) = settled.watermark {
            chain.batch(0, AnyBatch::of_watermark(watermark), cx)?;
        }
        if settled.became_idle {
            cx.tell(Fact::SourceIdle { task: cx.task(), uid: self.uid.clone() });
            chain.signal(Signal::Idle, cx)?;
        }
        Ok(settled.watermark.is_some() || settled.became_idle)
    }

    /// The last watermark is MAX: everything that is open fires (semantics rule 7).
    fn on_end(&mut self, chain: &mut dyn Chain, cx: &mut Context<'_>) -> Step {
        if self.generators.is_idle() {
            self.activate(chain, cx)?;
        }
        self.ended = true;
        chain.batch(0, AnyBatch::of_watermark(EventTime::MAX), cx)
    }

    /// What must not stay behind a barrier: an advance that made no difference yet or, if the job
    /// drains, the end of event time. The splits have not ended with it.
    fn settle_for(
        &mut self,
        kind: BarrierKind,
        chain: &mut dyn Chain,
        cx: &mut Context<'_>,
    ) -> Step {
        if self.ended {
            return Ok(());
        }
        if let Some(watermark) = self.generators.take_pending() {
            chain.batch(0, AnyBatch::of_watermark(watermark), cx)?;
        }
        if kind != (BarrierKind::StopWithSavepoint { drain: true }) {
            return Ok(());
        }
        if self.generators.is_idle() {
            self.activate(chain, cx)?;
        }
        chain.batch(0, AnyBatch::of_watermark(EventTime::MAX), cx)
    }

    /// Where the splits stand and how far their generators have come, a section each.
    fn sections(&self) -> Result<Vec<Section>, StateError> {
        let writer = SectionWriter::list(self.name(POSITION))?;
        let mut sections = Vec::new();
        for mut position in self.reader.positions() {
            position.ended |= self.ended || self.generators.has_ended(position.split);
            sections.push(writer.write_item(position.split, &position)?);
        }
        let writer = SectionWriter::list(self.name(GREATEST))?;
        for (split, greatest) in self.generators.greatest() {
            sections.push(writer.write_item(split, &greatest)?);
        }
        Ok(sections)
    }

    /// Takes up this subtask's splits where they were left.
    fn take_up(&mut self, restored: &Restored) -> Result<(), TaskError> {
        let sections = restored.sections.as_slice();
        let refused = |error: StateError| TaskError::Operator(error.into());
        let mine: BTreeSet<u32> = self.generators.splits().collect();
        let wanted = |split| mine.contains(&split);
        let reader = SectionReader::<_, Position>::list(self.name(POSITION)).map_err(refused)?;
        let positions = reader.read_items(sections, wanted).map_err(refused)?;
        let reader = SectionReader::<_, EventTime>::list(self.name(GREATEST)).map_err(refused)?;
        let greatest = reader.read_items(sections, wanted).map_err(refused)?;
        for (split, greatest) in greatest.into_iter().filter(|_| !restored.reset_watermarks) {
            self.generators.resume(split, greatest);
        }
        let positions: Vec<_> = positions.into_values().collect();
        let ended = positions.iter().filter(|position| position.ended);
        ended.for_each(|position| self.generators.on_end(position.split));
        self.ended = mine.iter().all(|split| self.generators.has_ended(*split));
        self.reader.seek(&positions).map_err(|error| self.failed(error))
    }

    fn name(&self, state: &str) -> StateName {
        StateName::new(&self.uid.0, state)
    }

    fn activate(&self, chain: &mut dyn Chain, cx: &mut Context<'_>) -> Step {
        cx.tell(Fact::SourceActive { task: cx.task(), uid: self.uid.clone() });
        chain.signal(Signal::Active, cx)
    }

    fn failed(&self, error: ConnectorError) -> TaskError {
        TaskError::Connector { uid: self.uid.clone(), error }
    }
}

impl<R> AnySource for SourceTask<R>
where
    R: SourceReader,
    R::Item: Data,
{
    fn uid(&self) -> &Uid {
        &self.uid
    }

    fn poll(
        &mut self,
        waker: &mut Waker<'_>,
        chain: &mut dyn Chain,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sourced, TaskError>> {
        if self.ended {
            return Poll::Ready(self.on_pulled(Pulled::End, chain, cx));
        }
        let now = cx.processing_time();
        let polled = self.reader.poll_next(waker, now, self.batch_rows, &mut self.batch);
        if let Some((rows, cause)) = self.reader.take_skipped() {
            cx.tell(Fact::RecordSkipped { task: cx.task(), uid: self.uid.clone(), rows, cause });
        }
        let pulled = match polled {
            Poll::Pending => {
                return match self.settle(chain, cx) {
                    Ok(true) => Poll::Ready(Ok(Sourced::Nothing)),
                    Ok(false) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error.into())),
                };
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(self.failed(error))),
            Poll::Ready(Ok(pulled)) => pulled,
        };
        Poll::Ready(self.on_pulled(pulled, chain, cx))
    }

    fn barrier(
        &mut self,
        barrier: Barrier,
        chain: &mut dyn Chain,
        cx: &mut Context<'_>,
    ) -> Result<(), TaskError> {
        self.settle_for(barrier.kind, chain, cx)?;
        let sections = self.sections().map_err(OperatorError::from)?;
        cx.keep(Box::new(sections.into_iter()));
        chain.signal(Signal::Barrier(barrier), cx)?;
        Ok(())
    }

    fn restore(&mut self, restored: &Restored) -> Result<(), TaskError> {
        self.take_up(restored)
    }

    fn finish(&mut self, chain: &mut dyn Chain, cx: &mut Context<'_>) -> Result<(), TaskError> {
        if self.ended {
            cx.tell(Fact::SourceFinished { task: cx.task(), uid: self.uid.clone() });
        }
        chain.signal(Signal::EndOfInput, cx)?;
        Ok(())
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        self.generators.next_idle().filter(|_| !self.ended)
    }
}

impl<R> SourceTask<R>
where
    R: SourceReader,
    R::Item: Data,
{
    fn on_pulled(
        &mut self,
        pulled: Pulled,
        chain: &mut dyn Chain,
        cx: &mut Context<'_>,
    ) -> Result<Sourced, TaskError> {
        match pulled {
            Pulled::Records { split, offset } => {
                self.on_records((split, offset), chain, cx)?;
                return Ok(Sourced::Batch);
            }
            Pulled::End => {
                self.on_end(chain, cx)?;
                return Ok(Sourced::End);
            }
            Pulled::Nothing => self.generators.on_nothing(None, cx.processing_time()),
            Pulled::NothingIn { split } => {
                self.generators.on_nothing(Some(split), cx.processing_time());
            }
            Pulled::EndOf { split } => self.generators.on_end(split),
        }
        self.settle(chain, cx)?;
        Ok(Sourced::Nothing)
    }
}

#[cfg(test)]
mod tests;
