//! A sink's writer with its type hidden: what a vertex hands batches to at its edge.
//! Buffers nothing and promises nothing: the writer does both, and says so in its contract.
//! When batches are written and flushed is decided in `runtime::task`.

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::element::Barrier;
use slackwater_core::graph::{StateInfo, Uid};
use slackwater_core::id::CheckpointId;

use crate::connector::{
    self, ConnectorError, Flush, Flushed, LocalFuture, Recovery, SinkContract, SinkWriter,
    Transaction, TwoPhaseWriter,
};
use crate::packet::AnyBatch;
use crate::state::{
    Restored, Section, SectionReader, SectionWriter, StateError, StateName, declared,
};
use crate::task::{AnySink, Ended, Passed};

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
        connector::flush(&mut self.writer)
    }

    fn flush_after(&self) -> Duration {
        self.writer.flush_after()
    }

    fn barrier(&mut self, _: Barrier) -> LocalFuture<'_, Result<Passed, ConnectorError>> {
        Box::pin(async {
            let flushed = connector::flush(&mut self.writer).await?;
            Ok(Passed { flushed, kept: None })
        })
    }

    fn completed(&mut self, _: CheckpointId) -> LocalFuture<'_, Result<u32, ConnectorError>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn end(&mut self) -> LocalFuture<'_, Result<Ended, ConnectorError>> {
        Box::pin(async {
            let flushed = connector::flush(&mut self.writer).await?;
            Ok(Ended { flushed, committed: 0 })
        })
    }

    fn restore<'a>(&'a mut self, _: &'a Restored) -> LocalFuture<'a, Result<u32, ConnectorError>> {
        Box::pin(std::future::ready(Ok(0)))
    }
}

/// The name of the state of a two-phase sink: part of the savepoint format.
const TRANSACTIONS: &str = "transactions";

/// What a two-phase sink holds, as a graph says it.
pub(crate) fn states() -> Vec<StateInfo> {
    vec![declared::<(), Vec<Transaction>>(TRANSACTIONS, false)]
}

/// The end of a job without checkpoints, which is later than any of them.
const END: CheckpointId = CheckpointId(u64::MAX);

/// A two-phase writer, its name, and the transactions that wait for their checkpoint.
pub struct TwoPhaseTask<W> {
    uid: Uid,
    /// The subtask's index, and how many there are.
    place: (u32, u32),
    writer: W,
    /// By the checkpoint whose barrier ended them.
    pending: BTreeMap<CheckpointId, Transaction>,
}

impl<W: TwoPhaseWriter> TwoPhaseTask<W> {
    /// Hides the type of the writer of subtask `index` of `parallelism`.
    pub fn new(uid: Uid, (index, parallelism): (u32, u32), writer: W) -> Self {
        Self { uid, place: (index, parallelism), writer, pending: BTreeMap::new() }
    }

    fn name(&self) -> StateName {
        StateName::new(&self.uid.0, TRANSACTIONS)
    }

    /// Everything that is prepared and not known to be committed.
    fn section(&self) -> Result<Section, ConnectorError> {
        let pending: Vec<_> = self.pending.values().cloned().collect();
        let writer = SectionWriter::<_, Vec<Transaction>>::list(self.name());
        let section = writer.and_then(|writer| writer.write_item(self.place.0, &pending));
        section.map_err(ConnectorError::fatal)
    }

    /// What a checkpoint lists for this subtask: after a change of parallelism, the transactions of
    /// subtask i of the checkpoint are those of subtask i mod p.
    fn listed(&self, restored: &Restored) -> Result<Vec<Transaction>, StateError> {
        let (index, parallelism) = self.place;
        let reader = SectionReader::<_, Vec<Transaction>>::list(self.name())?;
        let read = reader.read_items(&restored.sections, |item| item % parallelism == index)?;
        Ok(read.into_values().flatten().collect())
    }
}

impl<W: TwoPhaseWriter> AnySink for TwoPhaseTask<W>
where
    W::Item: 'static,
{
    fn uid(&self) -> &Uid {
        &self.uid
    }

    fn contract(&self) -> SinkContract {
        SinkContract::TwoPhase
    }

    fn write(&mut self, batch: AnyBatch) -> LocalFuture<'_, Result<(), ConnectorError>> {
        if batch.rows() == 0 {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.writer.write(*batch.downcast())
    }

    /// Nothing becomes visible before a checkpoint has completed: there is nothing to hurry.
    fn flush(&mut self) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(std::future::ready(Ok(Flush::given().confirmed(0))))
    }

    fn flush_after(&self) -> Duration {
        Duration::from_secs(u32::MAX.into())
    }

    fn barrier(&mut self, barrier: Barrier) -> LocalFuture<'_, Result<Passed, ConnectorError>> {
        Box::pin(async move {
            let prepared = self.writer.prepare(barrier.checkpoint).await?;
            let rows = prepared.as_ref().map_or(0, |transaction| transaction.rows);
            self.pending.extend(prepared.map(|prepared| (barrier.checkpoint, prepared)));
            let sections = vec![self.section()?];
            Ok(Passed {
                flushed: Flush::given().confirmed(rows),
                kept: Some(Box::new(sections.into_iter())),
            })
        })
    }

    fn completed(
        &mut self,
        checkpoint: CheckpointId,
    ) -> LocalFuture<'_, Result<u32, ConnectorError>> {
        Box::pin(async move {
            // The transactions of an aborted checkpoint hold rows that no other one does: the next
            // that completes lists them too, and commits them.
            let due: Vec<_> =
                self.pending.range(..=checkpoint).map(|(_, due)| due.clone()).collect();
            if !due.is_empty() {
                self.writer.commit(&due).await?;
            }
            self.pending.retain(|prepared, _| *prepared > checkpoint);
            Ok(with_rows(&due))
        })
    }

    /// With checkpoints, the end comes when the last of them has completed: nothing is open, and
    /// what is pending is its. Without (no job manager runs such a job, an operator harness may), all
    /// that was ever written is open, and becomes visible now.
    fn end(&mut self) -> LocalFuture<'_, Result<Ended, ConnectorError>> {
        Box::pin(async {
            let prepared = self.writer.prepare(END).await?;
            let rows = prepared.as_ref().map_or(0, |transaction| transaction.rows);
            self.pending.extend(prepared.map(|prepared| (END, prepared)));
            let committed = self.completed(END).await?;
            Ok(Ended { flushed: Flush::given().confirmed(rows), committed })
        })
    }

    fn restore<'a>(
        &'a mut self,
        restored: &'a Restored,
    ) -> LocalFuture<'a, Result<u32, ConnectorError>> {
        Box::pin(async move {
            let listed = self.listed(restored).map_err(ConnectorError::fatal)?;
            let recovery = Recovery { listed: &listed, spared: &restored.spared };
            self.writer.recover(recovery).await?;
            if !listed.is_empty() {
                self.writer.commit(&listed).await?;
            }
            Ok(with_rows(&listed))
        })
    }
}

/// How many transactions show anything; the others only say where a writer stood.
fn with_rows(transactions: &[Transaction]) -> u32 {
    transactions.iter().filter(|transaction| transaction.rows > 0).count() as u32
}

#[cfg(test)]
mod tests;
