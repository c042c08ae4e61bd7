//! The middle of a task: the chain with its clock, its outputs and its timers.
//! Gives the chain no new element before the last one is done with and its outputs have left.
//! What comes in is [`super::intake`]'s, what goes out [`super::outlet`]'s.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use slackwater_core::checkpoint::CheckpointTimes;
use slackwater_core::element::{Barrier, BarrierKind, LatencyMarker, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{CheckpointId, Execution};
use slackwater_core::time::ProcessingTime;
use slackwater_dataflow::metric::Wait;
use slackwater_dataflow::operator::{Context, Counts, OperatorError, Outputs, Progress, Step};
use slackwater_dataflow::packet::Packet;
use slackwater_dataflow::task::{AnySource, Chain, Sourced, TaskError};

use super::mailbox::Mailbox;
use super::outlet::Outlet;
use super::snapshot::{Kept, Snapshots};
use super::{Failure, TaskConfig};
use crate::host::Host;

/// A chain at work.
pub(super) struct Chamber {
    host: Arc<dyn Host>,
    execution: Execution,
    counts: Arc<Counts>,
    chain: Box<dyn Chain>,
    outlet: Outlet,
    outputs: Outputs,
    orders: Rc<Mailbox>,
    /// `None`: there are no checkpoints.
    snapshots: Option<Snapshots>,
    config: TaskConfig,
    detail: Detail,
    /// The greatest time that this task has seen (semantics rule 8).
    now: ProcessingTime,
    /// When the next latency marker leaves, by the host's monotone clock.
    next_marker: Option<Duration>,
    /// Batches left in this turn.
    turn: u32,
    /// Whether the job has been stopped.
    halt: Halt,
}

/// Whether a task does nothing more of its own: no reading, no timers, no markers.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Halt {
    No,
    /// Since the barrier of this savepoint has passed, with which the job is to end.
    At(Barrier),
    /// The job has been stopped in an earlier attempt.
    ForGood,
}

impl Chamber {
    pub(super) fn new(
        (host, execution, counts): (Arc<dyn Host>, Execution, Arc<Counts>),
        chain: Box<dyn Chain>,
        outlet: Outlet,
        (orders, snapshots): (Rc<Mailbox>, Option<Snapshots>),
        config: TaskConfig,
    ) -> Self {
        Self {
            detail: host.detail(),
            now: host.wall(),
            next_marker: config.latency_every.map(|every| host.elapsed() + every),
            outputs: Outputs { limit: config.pending_max.max(1), ..Outputs::default() },
            turn: config.batches_per_turn,
            halt: Halt::No,
            host,
            execution,
            counts,
            chain,
            outlet,
            orders,
            snapshots,
            config,
        }
    }

    pub(super) fn orders(&self) -> &Mailbox {
        &self.orders
    }

    /// How the task takes part in checkpoints, if there are any.
    pub(super) fn snapshots(&self) -> Option<&Snapshots> {
        self.snapshots.as_ref()
    }

    /// The job has been stopped in an earlier attempt.
    pub(super) fn halt_for_good(&mut self) {
        self.halt = Halt::ForGood;
    }

    /// Whether the task does nothing more of its own.
    pub(super) fn is_halted(&self) -> bool {
        self.halt != Halt::No
    }

    /// Whether it has done nothing of its own, ever.
    pub(super) fn is_halted_for_good(&self) -> bool {
        self.halt == Halt::ForGood
    }

    /// A checkpoint will never complete: if the job was to end with it, the task goes on. Gives the
    /// barrier that halted it.
    pub(super) fn go_on(&mut self, aborted: CheckpointId) -> Option<Barrier> {
        match self.halt {
            Halt::At(barrier) if barrier.checkpoint <= aborted => {
                self.halt = Halt::No;
                Some(barrier)
            }
            _ => None,
        }
    }

    pub(super) fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// What the task counts.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The task waits for input from now on.
    pub(super) fn is_idle(&self) {
        self.counts.time.wait(Wait::Idle, self.host.elapsed());
    }

    /// The task goes on.
    pub(super) fn works(&self) {
        self.counts.time.resume(self.host.elapsed());
    }

    pub(super) fn task(&self) -> Execution {
        self.execution
    }

    pub(super) fn wants(&self, detail: Detail) -> bool {
        self.detail >= detail
    }

    pub(super) fn tell(&self, fact: Fact) {
        self.host.tell(fact);
    }

    /// Calls into the chain, with the time at which the call begins.
    fn enter<R>(&mut self, call: impl FnOnce(&mut dyn Chain, &mut Context<'_>) -> R) -> R {
        let Self { host, chain, outputs, counts, .. } = self;
        self.now = self.now.max(host.wall());
        let tell = |fact| host.tell(fact);
        let listener: (Detail, &dyn Fn(Fact)) = (self.detail, &tell);
        let mut cx = Context::new(self.execution, self.now, listener, outputs, counts);
        call(&mut **chain, &mut cx)
    }

    /// Gives the chain a packet, and sends out everything that comes of it.
    pub(super) async fn push(&mut self, input: u32, packet: Packet) -> Result<(), Failure> {
        let pushed: Step = self.enter(|chain, cx| match packet {
            Packet::Batch(batch) => chain.batch(input, batch, cx),
            Packet::Signal(signal) => chain.signal(signal, cx),
        });
        self.settle(pushed).await
    }

    /// Polls a source into the chain; what comes of it waits for [`Chamber::settle`].
    pub(super) fn poll_source(
        &mut self,
        waker: &mut std::task::Context<'_>,
        source: &mut dyn AnySource,
    ) -> Poll<Result<Sourced, TaskError>> {
        self.enter(|chain, cx| source.poll(waker, chain, cx))
    }

    /// Lets a barrier pass: the chain keeps its state as `enter` gives it the barrier, everything
    /// before the barrier leaves, sinks flush, the barrier leaves, and what was kept goes to be
    /// written.
    pub(super) async fn barrier(
        &mut self,
        crossing: Crossing,
        enter: impl FnOnce(&mut dyn Chain, &mut Context<'_>) -> Result<(), TaskError>,
    ) -> Result<(), Failure> {
        let Crossing { barrier, mut times, ended } = crossing;
        let checkpoint = barrier.checkpoint;
        let (began, task) = (self.host.elapsed(), self.execution);
        self.enter(enter)?;
        times.sync = self.host.elapsed().saturating_sub(began);
        self.tell(Fact::SnapshotTaken { task, checkpoint, stall: times.sync });
        self.settle(Ok(())).await?;
        let mut forks = std::mem::take(&mut self.outputs.kept);
        forks.append(&mut self.outlet.take_kept());
        if let Some(snapshots) = &self.snapshots {
            let kept = Kept { barrier, forks, times, ended };
            self.orders.write(checkpoint, || snapshots.write(&self.host, task, kept));
        }
        let stops = matches!(barrier.kind, BarrierKind::StopWithSavepoint { .. });
        if stops && self.halt == Halt::No {
            self.halt = Halt::At(barrier);
        }
        Ok(())
    }

    /// A checkpoint is complete: sinks commit what they hold for it.
    pub(super) async fn completed(&mut self, checkpoint: CheckpointId) -> Result<(), Failure> {
        self.outlet.completed(checkpoint).await
    }

    /// Lets a source end its stream.
    pub(super) async fn finish_source(
        &mut self,
        source: &mut dyn AnySource,
    ) -> Result<(), Failure> {
        self.enter(|chain, cx| source.finish(chain, cx))?;
        self.settle(Ok(())).await
    }

    /// Sends out what a call into the chain left behind, and lets it finish what it cut short.
    pub(super) async fn settle(&mut self, called: Step) -> Result<(), Failure> {
        called.map_err(failed)?;
        loop {
            self.outlet.send(&mut self.outputs.pending).await?;
            let progress = self.enter(|chain, cx| chain.resume(cx)).map_err(failed)?;
            if progress == Progress::Done && self.outputs.pending.is_empty() {
                return Ok(());
            }
        }
    }

    /// Does what the clock asks for: timers of the chain, flushes of sinks, latency markers.
    pub(super) async fn on_time(&mut self) -> Result<(), Failure> {
        if self.is_halted() {
            return self.outlet.flush_due().await;
        }
        if let Some(timer) = self.chain.next_timer() {
            self.now = self.now.max(self.host().wall());
            if timer <= self.now {
                let fired = self.enter(|chain, cx| chain.on_timers(cx));
                self.settle(fired).await?;
            }
        }
        self.outlet.flush_due().await?;
        if self.outlet.is_source && self.next_marker.is_some_and(|at| at <= self.host().elapsed()) {
            let every = self.config.latency_every.unwrap_or(Duration::MAX);
            self.next_marker = Some(self.host().elapsed().saturating_add(every));
            let marker = LatencyMarker { source: self.task().subtask, sent: self.host().wall() };
            self.push(0, Packet::Signal(Signal::Latency(marker))).await?;
        }
        Ok(())
    }

    /// How long a task that has nothing to do may sleep; `None`: until it is woken.
    pub(super) fn leisure(&self, source: Option<&dyn AnySource>) -> Option<Duration> {
        if self.is_halted() {
            let flush = self.outlet.next_flush();
            return flush.map(|at| at.saturating_sub(self.host().elapsed()));
        }
        let wall = self.host().wall();
        let until = |timer: ProcessingTime| {
            // A due timer has been seen to already: at least one tick must go by before the next.
            Duration::from_millis(timer.millis_since(wall).max(1) as u64)
        };
        let timers = [self.chain.next_timer(), source.and_then(AnySource::next_timer)];
        let timers = timers.into_iter().flatten().map(until);
        let marker = self.next_marker.filter(|_| self.outlet.is_source);
        let alarms = [marker, self.outlet.next_flush()].into_iter().flatten();
        let elapsed = self.host().elapsed();
        timers.chain(alarms.map(|at| at.saturating_sub(elapsed))).min()
    }

    /// Waits for `event` as long as the clock asks for nothing; `None` if it does.
    pub(super) async fn wait<T>(
        &self,
        leisure: Option<Duration>,
        event: impl Future<Output = T>,
    ) -> Option<T> {
        match leisure {
            None => Some(event.await),
            Some(span) => tokio::select! {
                biased;
                () = self.host().sleep(span) => None,
                output = event => Some(output),
            },
        }
    }

    /// Lets the worker's other tasks go on, if this one has had its turn.
    pub(super) async fn take_turns(&mut self) {
        self.turn = self.turn.saturating_sub(1);
        if self.turn == 0 {
            self.turn = self.config.batches_per_turn;
            tokio::task::yield_now().await;
        }
    }

    /// Ends the task in good order: sinks have confirmed, receivers have the end.
    pub(super) async fn finish(mut self) -> Result<(), Failure> {
        self.outlet.finish().await
    }
}

/// A barrier on its way through a task.
pub(super) struct Crossing {
    pub barrier: Barrier,
    pub times: CheckpointTimes,
    /// Whether the task is a source at its end.
    pub ended: bool,
}

fn failed(error: OperatorError) -> Failure {
    TaskError::from(error).into()
}
