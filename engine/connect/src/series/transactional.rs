//! The two-phase sink of the series database: points are staged as they come, prepared at the
//! barrier, and seen once the checkpoint that holds them has completed, exactly once.
//! Never decides when: the task does. The database's side of it is [`super::transaction`].

use std::fmt;

use slackwater_core::element::Batch;
use slackwater_core::id::CheckpointId;
use slackwater_core::point::Point;
use slackwater_dataflow::connector::{
    ConnectorError, LocalFuture, Opening, Recovery, Transaction, TwoPhaseSink, TwoPhaseWriter,
};

use super::SeriesSink;
use super::courier::{Courier, POINTS_MAX, REQUESTS_MAX};
use super::server::Request;
use super::sink::Mapping;
use super::transaction::{Party, Step};

/// Writes records as points, in transactions; made by [`SeriesSink::two_phase`].
pub struct TransactionalSeries<T>(SeriesSink<T>);

impl<T> TransactionalSeries<T> {
    pub(super) fn of(sink: SeriesSink<T>) -> Self {
        Self(sink)
    }
}

impl<T> fmt::Debug for TransactionalSeries<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.two_phase()", self.0)
    }
}

impl<T: 'static> TwoPhaseSink for TransactionalSeries<T> {
    type Item = T;
    type Writer = TransactionalWriter<T>;

    fn open(&self, opening: Opening) -> Result<TransactionalWriter<T>, ConnectorError> {
        let (courier, mapping) = (self.0.courier(&opening)?, self.0.mapping());
        let Opening { uid, task, parallelism, .. } = opening;
        let party = Party { uid, task, parallelism };
        Ok(TransactionalWriter { courier, mapping, party, number: 1, rows: 0, buffer: Vec::new() })
    }
}

/// Writes the points of one subtask.
pub struct TransactionalWriter<T> {
    courier: Courier,
    mapping: Mapping<T>,
    party: Party,
    /// Which of its transactions is open.
    number: u64,
    /// How many points of it were sent.
    rows: u64,
    buffer: Vec<Point>,
}

impl<T> TransactionalWriter<T> {
    async fn post(&mut self, step: Step) -> Result<(), ConnectorError> {
        self.courier.post(&Request::Transact(self.party.clone(), step)).await
    }

    async fn stage(&mut self, points: Vec<Point>) -> Result<(), ConnectorError> {
        self.rows += points.len() as u64;
        let id = self.party.transaction(self.number);
        self.post(Step::Stage { id, points }).await
    }

    /// Makes a step that must have happened when this returns.
    async fn ask(&mut self, step: Step) -> Result<(), ConnectorError> {
        self.post(step).await?;
        self.courier.settle(0).await
    }
}

fn names(transactions: &[Transaction]) -> Vec<String> {
    transactions.iter().map(|transaction| transaction.id.clone()).collect()
}

impl<T> TwoPhaseWriter for TransactionalWriter<T> {
    type Item = T;

    fn write(&mut self, batch: Batch<T>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        self.buffer.extend(self.mapping.points(&batch));
        Box::pin(async move {
            while self.buffer.len() >= POINTS_MAX {
                self.courier.settle(REQUESTS_MAX - 1).await?;
                let rest = self.buffer.split_off(POINTS_MAX);
                let full = std::mem::replace(&mut self.buffer, rest);
                self.stage(full).await?;
            }
            Ok(())
        })
    }

    fn prepare(
        &mut self,
        checkpoint: CheckpointId,
    ) -> LocalFuture<'_, Result<Option<Transaction>, ConnectorError>> {
        Box::pin(async move {
            if !self.buffer.is_empty() {
                let points = std::mem::take(&mut self.buffer);
                self.stage(points).await?;
            }
            let rows = std::mem::take(&mut self.rows);
            if rows == 0 {
                return Ok(None);
            }
            let id = self.party.transaction(self.number);
            self.ask(Step::Prepare { id: id.clone(), checkpoint }).await?;
            self.number += 1;
            Ok(Some(Transaction { id, checkpoint, rows }))
        })
    }

    fn commit<'a>(
        &'a mut self,
        transactions: &'a [Transaction],
    ) -> LocalFuture<'a, Result<(), ConnectorError>> {
        Box::pin(self.ask(Step::Commit(names(transactions))))
    }

    fn recover<'a>(
        &'a mut self,
        Recovery { listed, spared }: Recovery<'a>,
    ) -> LocalFuture<'a, Result<(), ConnectorError>> {
        let (listed, spared) = (names(listed), spared.to_vec());
        Box::pin(self.ask(Step::Recover { listed, spared }))
    }
}
