//! The output ports of a task: channels to other tasks, and sinks.
//! Packets leave in the order in which the chain emitted them; a channel without credit or a slow
//! sink makes the whole task wait, and nothing piles up. Credits are [`crate::exchange`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::element::{Barrier, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{CheckpointId, Execution};
use slackwater_dataflow::connector::{ConnectorError, SinkContract};
use slackwater_dataflow::metric::Wait;
use slackwater_dataflow::operator::{Counts, Outgoing};
use slackwater_dataflow::packet::{AnyBatch, Packet};
use slackwater_dataflow::state::Fork;
use slackwater_dataflow::task::{AnySink, Passed, Port, TaskError};

use super::Failure;
use crate::exchange::Outbound;
use crate::host::Host;

/// Everything that leaves a task.
pub(super) struct Outlet {
    host: Arc<dyn Host>,
    task: Execution,
    counts: Arc<Counts>,
    exits: Vec<Exit>,
    /// What sinks keep as a barrier passes them.
    kept: Vec<Box<dyn Fork>>,
    /// Whether the task is a source, which is then blocked itself.
    pub(super) is_source: bool,
}

/// Where a port leads.
enum Exit {
    Channels(Vec<Outbound>),
    Sink(SinkExit),
}

struct SinkExit {
    sink: Box<dyn AnySink>,
    /// When the first row that is not confirmed was written, by the host's monotone clock.
    unflushed_since: Option<Duration>,
    /// The last barrier that passed; 0 before the first.
    passed: CheckpointId,
}

impl Outlet {
    pub(super) fn new(
        (host, task, counts): (&Arc<dyn Host>, Execution, &Arc<Counts>),
        (ports, mut outputs): (Vec<Port>, BTreeMap<u32, Vec<Outbound>>),
        is_source: bool,
    ) -> Result<Self, Failure> {
        let exit = |port| match port {
            Port::Sink(sink) => Ok(Exit::Sink(SinkExit {
                sink,
                unflushed_since: None,
                passed: CheckpointId::default(),
            })),
            Port::Edge(edge) => outputs.remove(&edge).map(Exit::Channels).ok_or_else(|| Failure {
                cause: format!("the graph has no edge {edge} that leaves {}", task.subtask),
                is_fatal: true,
            }),
        };
        let exits = ports.into_iter().map(exit).collect::<Result<_, _>>()?;
        let (host, counts) = (Arc::clone(host), Arc::clone(counts));
        Ok(Self { host, task, counts, exits, kept: Vec::new(), is_source })
    }

    /// Sends everything out, in order; empties `pending` and keeps its memory.
    pub(super) async fn send(&mut self, pending: &mut Vec<Outgoing>) -> Result<(), Failure> {
        let Self { host, task, counts, exits, kept, is_source } = self;
        let way = Way { host: &**host, counts, is_source: *is_source };
        for Outgoing { port, channel, packet } in pending.drain(..) {
            match &mut exits[port as usize] {
                Exit::Sink(exit) => match packet {
                    Packet::Batch(batch) => exit.write(&**host, batch).await?,
                    Packet::Signal(Signal::Latency(marker)) => {
                        let now = host.wall();
                        let own = counts.of_uid(exit.sink.uid());
                        own.inspect(|own| own.measure(marker, now));
                        let millis = now.millis_since(marker.sent);
                        host.tell(Fact::LatencyMeasured { task: *task, marker, millis });
                    }
                    Packet::Signal(Signal::Barrier(barrier)) => {
                        kept.extend(exit.barrier(&**host, *task, barrier).await?);
                    }
                    Packet::Signal(_) => {}
                },
                Exit::Channels(channels) => match (channel, packet) {
                    (None, Packet::Signal(signal)) => {
                        for outbound in channels {
                            way.send(outbound, Packet::Signal(signal)).await?;
                        }
                    }
                    (channel, packet) => {
                        let outbound = &channels[channel.unwrap_or(0) as usize];
                        let is_whole = channel.is_some() || channels.len() == 1;
                        assert!(is_whole, "a batch names its channel where there are several");
                        way.send(outbound, packet).await?;
                    }
                },
            }
        }
        Ok(())
    }

    /// When the next sink wants to be flushed, by the host's monotone clock.
    pub(super) fn next_flush(&self) -> Option<Duration> {
        let sinks = self.exits.iter().filter_map(|exit| match exit {
            Exit::Sink(exit) => exit.flush_at(),
            Exit::Channels(_) => None,
        });
        sinks.min()
    }

    /// Flushes the sinks whose rows have waited long enough.
    pub(super) async fn flush_due(&mut self) -> Result<(), Failure> {
        if self.next_flush().is_none() {
            return Ok(());
        }
        let elapsed = self.host.elapsed();
        for exit in &mut self.exits {
            if let Exit::Sink(exit) = exit
                && exit.flush_at().is_some_and(|due| due <= elapsed)
            {
                exit.flush(&*self.host, self.task).await?;
            }
        }
        Ok(())
    }

    /// What the sinks kept for the barrier that has just passed.
    pub(super) fn take_kept(&mut self) -> Vec<Box<dyn Fork>> {
        std::mem::take(&mut self.kept)
    }

    /// A checkpoint is complete: lets the sinks commit.
    pub(super) async fn completed(&mut self, checkpoint: CheckpointId) -> Result<(), Failure> {
        for exit in &mut self.exits {
            if let Exit::Sink(exit) = exit {
                let committed = exit.sink.completed(checkpoint).await;
                let transactions = committed.map_err(|error| exit.failed(error))?;
                exit.tell_committed(&*self.host, self.task, checkpoint, transactions);
            }
        }
        Ok(())
    }

    /// Ends every sink, and waits until every receiver has the end of its channel.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        for exit in &mut self.exits {
            if let Exit::Sink(exit) = exit {
                exit.end(&*self.host, self.task).await?;
            }
        }
        for exit in &self.exits {
            if let Exit::Channels(channels) = exit {
                for outbound in channels {
                    outbound.ended().await;
                }
            }
        }
        Ok(())
    }
}

impl SinkExit {
    async fn write(&mut self, host: &dyn Host, batch: AnyBatch) -> Result<(), Failure> {
        if batch.rows() == 0 {
            return Ok(());
        }
        self.unflushed_since.get_or_insert_with(|| host.elapsed());
        let written = self.sink.write(batch).await;
        written.map_err(|error| self.failed(error))
    }

    async fn flush(&mut self, host: &dyn Host, task: Execution) -> Result<(), Failure> {
        if self.unflushed_since.take().is_none() {
            return Ok(());
        }
        let flushed = self.sink.flush().await;
        let flushed = flushed.map_err(|error| self.failed(error))?;
        self.tell_flushed(host, task, flushed.rows());
        Ok(())
    }

    async fn end(&mut self, host: &dyn Host, task: Execution) -> Result<(), Failure> {
        let ended = self.sink.end().await.map_err(|error| self.failed(error))?;
        if self.unflushed_since.take().is_some() {
            self.tell_flushed(host, task, ended.flushed.rows());
        }
        self.tell_committed(host, task, self.passed, ended.committed);
        Ok(())
    }

    fn tell_committed(
        &self,
        host: &dyn Host,
        task: Execution,
        checkpoint: CheckpointId,
        transactions: u32,
    ) {
        if transactions > 0 {
            let uid = self.sink.uid().clone();
            host.tell(Fact::SinkCommitted { task, uid, checkpoint, transactions });
        }
    }

    fn tell_flushed(&self, host: &dyn Host, task: Execution, rows: u64) {
        if host.detail() >= Detail::Flow {
            let uid = self.sink.uid().clone();
            host.tell(Fact::SinkFlushed { task, uid, rows: rows as u32 });
        }
    }

    /// When it wants to be flushed, by the host's monotone clock.
    fn flush_at(&self) -> Option<Duration> {
        self.unflushed_since.map(|since| since.saturating_add(self.sink.flush_after()))
    }

    /// Lets a barrier pass, and gives what the checkpoint is to hold of it.
    async fn barrier(
        &mut self,
        host: &dyn Host,
        task: Execution,
        barrier: Barrier,
    ) -> Result<Option<Box<dyn Fork>>, Failure> {
        let passed = self.sink.barrier(barrier).await;
        let Passed { flushed, kept } = passed.map_err(|error| self.failed(error))?;
        self.passed = barrier.checkpoint;
        let had_rows = self.unflushed_since.take().is_some();
        let (uid, rows) = (self.sink.uid().clone(), flushed.rows());
        if self.sink.contract() == SinkContract::TwoPhase {
            if rows > 0 {
                host.tell(Fact::SinkPrepared { task, uid, checkpoint: barrier.checkpoint, rows });
            }
        } else if had_rows {
            self.tell_flushed(host, task, rows);
        }
        Ok(kept)
    }

    fn failed(&self, error: ConnectorError) -> Failure {
        TaskError::Connector { uid: self.sink.uid().clone(), error }.into()
    }
}

/// What every packet to another task passes.
struct Way<'a> {
    host: &'a dyn Host,
    counts: &'a Counts,
    is_source: bool,
}

impl Way<'_> {
    async fn send(&self, outbound: &Outbound, packet: Packet) -> Result<(), Failure> {
        let Self { host, counts, is_source } = *self;
        if is_source && outbound.is_exhausted() && host.detail() >= Detail::Flow {
            let (task, channel) = (outbound.task(), outbound.channel());
            host.tell(Fact::SourceBlocked { task, channel });
        }
        if let Packet::Batch(batch) = &packet {
            counts.sent.add(batch.rows() as u64);
        }
        let waits = !outbound.has_room();
        if waits {
            counts.time.wait(Wait::Backpressured, host.elapsed());
        }
        let sent = outbound.send(host, packet).await;
        if waits {
            counts.time.resume(host.elapsed());
        }
        let bytes = sent.map_err(|error| Failure {
            cause: format!("channel {}: {error}", outbound.channel()),
            is_fatal: true,
        })?;
        counts.bytes_out.add(bytes as u64);
        Ok(())
    }
}
