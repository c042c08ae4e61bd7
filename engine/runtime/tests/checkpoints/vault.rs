//! Connectors for the tests of checkpoints: a source behind a tap, and a two-phase sink in memory.
//! Never sleeps and never touches the network. Used by `checkpoints.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use slackwater_core::element::Batch;
use slackwater_core::id::CheckpointId;
use slackwater_core::time::{EventTime, ProcessingTime};
use slackwater_dataflow::connector::{
    ConnectorError, LocalFuture, Opening, Position, Pulled, Recovery, Source, SourceReader, Splits,
    Transaction, TwoPhaseSink, TwoPhaseWriter,
};
use tokio::sync::Notify;

/// Counts from 0 as far as it is open, and ends where it is told to.
#[derive(Clone, Default)]
pub struct Tap {
    state: Arc<Mutex<TapState>>,
    drained: Arc<Notify>,
}

#[derive(Default)]
struct TapState {
    open_to: u64,
    is_end: bool,
    read: u64,
    reader: Option<Waker>,
}

impl Tap {
    pub fn open(&self, to: u64) {
        self.turn(to, false);
    }

    pub fn end_at(&self, to: u64) {
        self.turn(to, true);
    }

    fn turn(&self, to: u64, is_end: bool) {
        let mut state = self.state.lock().expect("whole");
        (state.open_to, state.is_end) = (to, is_end);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    fn is_drained(&self) -> bool {
        let state = self.state.lock().expect("whole");
        state.read >= state.open_to
    }

    /// Waits until everything has been read that it is open for.
    pub async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            if self.is_drained() {
                return;
            }
            drained.await;
        }
    }
}

pub struct TapReader {
    next: u64,
    tap: Tap,
}

impl Source for Tap {
    type Item = u64;
    type Reader = TapReader;
    fn splits(&self) -> Splits {
        Splits::One
    }
    fn is_bounded(&self) -> bool {
        false
    }
    fn open(&self, _: Opening) -> Result<TapReader, ConnectorError> {
        Ok(TapReader { next: 0, tap: self.clone() })
    }
}

impl SourceReader for TapReader {
    type Item = u64;
    fn poll_next(
        &mut self,
        cx: &mut std::task::Context<'_>,
        _: ProcessingTime,
        max_rows: usize,
        out: &mut Batch<u64>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        let mut state = self.tap.state.lock().expect("whole");
        let offset = self.next;
        let until = state.open_to.min(offset + max_rows as u64).max(offset);
        (offset..until).for_each(|n| out.push(EventTime::from_millis(n as i64), n));
        self.next = until;
        state.read = until;
        if until >= state.open_to {
            self.tap.drained.notify_waiters();
        }
        match until {
            until if until > offset => Poll::Ready(Ok(Pulled::Records { split: 0, offset })),
            _ if state.is_end => Poll::Ready(Ok(Pulled::End)),
            _ => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
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

/// Keeps what was prepared apart from what may be seen.
#[derive(Clone, Default)]
pub struct Vault(Arc<Mutex<Rooms>>);

#[derive(Default)]
struct Rooms {
    prepared: BTreeMap<String, Vec<u64>>,
    committed: BTreeMap<String, Vec<u64>>,
}

impl Vault {
    /// Every row that may be seen, sorted.
    pub fn visible(&self) -> Vec<u64> {
        let rooms = self.0.lock().expect("whole");
        let mut visible: Vec<_> = rooms.committed.values().flatten().copied().collect();
        visible.sort_unstable();
        visible
    }
}

impl Vault {
    /// Takes back what was seen, as whoever tries the same again does, but for these rows.
    pub fn forget_all_but(&self, kept: &[u64]) {
        let mut rooms = self.0.lock().expect("whole");
        rooms.committed.values_mut().for_each(|rows| rows.retain(|row| kept.contains(row)));
    }
}

pub struct VaultWriter {
    vault: Vault,
    opening: Opening,
    open: Vec<u64>,
}

impl VaultWriter {
    /// What the names of all transactions of this subtask begin with, whatever the attempt.
    fn prefix(&self) -> String {
        let Opening { uid, task, .. } = &self.opening;
        format!("{}/{uid}/{}/", task.job, task.subtask.index)
    }
}

impl TwoPhaseSink for Vault {
    type Item = u64;
    type Writer = VaultWriter;
    fn open(&self, opening: Opening) -> Result<VaultWriter, ConnectorError> {
        Ok(VaultWriter { vault: self.clone(), opening, open: Vec::new() })
    }
}

impl TwoPhaseWriter for VaultWriter {
    type Item = u64;

    fn write(&mut self, batch: Batch<u64>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        self.open.extend(batch.values);
        Box::pin(std::future::ready(Ok(())))
    }

    fn prepare(
        &mut self,
        checkpoint: CheckpointId,
    ) -> LocalFuture<'_, Result<Option<Transaction>, ConnectorError>> {
        let rows = std::mem::take(&mut self.open);
        let transaction = (!rows.is_empty()).then(|| {
            let id = format!("{}{}-{checkpoint}", self.prefix(), self.opening.task.attempt);
            let transaction = Transaction { id, checkpoint, rows: rows.len() as u64 };
            let mut rooms = self.vault.0.lock().expect("whole");
            rooms.prepared.insert(transaction.id.clone(), rows);
            transaction
        });
        Box::pin(std::future::ready(Ok(transaction)))
    }

    fn commit<'a>(
        &'a mut self,
        transactions: &'a [Transaction],
    ) -> LocalFuture<'a, Result<(), ConnectorError>> {
        let mut rooms = self.vault.0.lock().expect("whole");
        for Transaction { id, .. } in transactions {
            let prepared = rooms.prepared.remove(id);
            if let Some(rows) = prepared {
                rooms.committed.insert(id.clone(), rows);
            }
            assert!(rooms.committed.contains_key(id), "{id} was prepared or is committed");
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn recover<'a>(
        &'a mut self,
        recovery: Recovery<'a>,
    ) -> LocalFuture<'a, Result<(), ConnectorError>> {
        let prefix = self.prefix();
        let mut rooms = self.vault.0.lock().expect("whole");
        rooms.prepared.retain(|id, _| {
            let number = id.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
            let prepared = CheckpointId(number.expect("ends with its checkpoint"));
            let is_listed = recovery.listed.iter().any(|listed| listed.id == *id);
            !id.starts_with(&prefix) || is_listed || recovery.spares(prepared)
        });
        Box::pin(std::future::ready(Ok(())))
    }
}
