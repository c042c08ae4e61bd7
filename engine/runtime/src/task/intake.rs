//! The two ways into a task: from a source, or from channels through the gate.
//! Never takes in more than one batch at a time; channels take turns, and a task gives the others
//! of its worker theirs. What the gate makes of channels, and which of them wait for a barrier, is
//! in `slackwater-dataflow`'s `gate`.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use slackwater_core::checkpoint::CheckpointTimes;
use slackwater_core::element::{Barrier, BarrierKind, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::CheckpointId;
use slackwater_dataflow::gate::Gate;
use slackwater_dataflow::packet::Packet;
use slackwater_dataflow::task::{AnySource, Sourced, TaskError};

use super::Failure;
use super::chamber::{Chamber, Crossing};
use super::mailbox::Order;
use crate::exchange::Inbox;
use crate::wire::message::ToJobManager;

/// Runs a source until it has read everything and, with checkpoints, the last one is complete; or
/// until the savepoint is with which the job stops.
pub(super) async fn from_source(
    mut chamber: Chamber,
    mut source: Box<dyn AnySource>,
) -> Result<(), Failure> {
    let mut ended = false;
    if chamber.is_halted() {
        say_ended(&chamber);
    }
    loop {
        chamber.on_time().await?;
        if obey_at_source(&mut chamber, &mut *source, ended).await? {
            break;
        }
        let silent = ended || chamber.is_halted();
        let Some(sourced) = next_of_source(&mut chamber, &mut *source, silent).await else {
            continue;
        };
        let sourced = sourced?;
        chamber.settle(Ok(())).await?;
        match sourced {
            Sourced::End if chamber.snapshots().is_none() => break,
            Sourced::End => {
                ended = true;
                say_ended(&chamber);
            }
            Sourced::Batch | Sourced::Nothing => chamber.take_turns().await,
        }
    }
    chamber.finish_source(&mut *source).await?;
    chamber.finish().await
}

/// A source that reads nothing more waits for the last checkpoint.
fn say_ended(chamber: &Chamber) {
    if let Some(snapshots) = chamber.snapshots() {
        (snapshots.say)(ToJobManager::SourceEnded { task: chamber.task() });
    }
}

/// Polls a source unless it is silent; `None` if the clock or an order asks for something first.
async fn next_of_source(
    chamber: &mut Chamber,
    source: &mut dyn AnySource,
    silent: bool,
) -> Option<Result<Sourced, TaskError>> {
    if !silent {
        // A source that has something is polled without a timer around it.
        let first = poll_fn(|cx| Poll::Ready(chamber.poll_source(cx, source))).await;
        if let Poll::Ready(sourced) = first {
            return Some(sourced);
        }
    }
    let sleep = chamber.leisure(Some(source)).map(|span| chamber.host().sleep(span));
    let poll = poll_fn(|cx| {
        // What is read now is work, though it began as a wait.
        chamber.works();
        let polled = match chamber.orders().poll_ready(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending if silent => Poll::Pending,
            Poll::Pending => chamber.poll_source(cx, source).map(Some),
        };
        if polled.is_pending() {
            chamber.is_idle();
        }
        polled
    });
    let polled = match sleep {
        None => poll.await,
        Some(sleep) => tokio::select! {
            biased;
            () = sleep => None,
            sourced = poll => sourced,
        },
    };
    chamber.works();
    polled
}

/// Does what the source has been told; whether the last checkpoint is complete.
async fn obey_at_source(
    chamber: &mut Chamber,
    source: &mut dyn AnySource,
    ended: bool,
) -> Result<bool, Failure> {
    while let Some(order) = chamber.orders().take() {
        match order {
            Order::Trigger(barrier) => {
                let (task, checkpoint) = (chamber.task(), barrier.checkpoint);
                chamber.tell(Fact::BarrierInjected { task, checkpoint });
                let ended = ended || chamber.is_halted_for_good();
                let crossing = Crossing { barrier, times: CheckpointTimes::default(), ended };
                chamber.barrier(crossing, |chain, cx| source.barrier(barrier, chain, cx)).await?;
            }
            Order::Completed { checkpoint, last } => {
                chamber.completed(checkpoint).await?;
                if last {
                    return Ok(true);
                }
            }
            // What was being written has been given up already; a source waits for nobody.
            Order::Aborted(checkpoint) => {
                let halted = chamber.go_on(checkpoint).filter(|_| !ended);
                if let Some(Barrier { checkpoint, kind }) = halted
                    && kind == (BarrierKind::StopWithSavepoint { drain: true })
                {
                    return Err(drained(checkpoint));
                }
            }
        }
    }
    Ok(false)
}

/// Why a source cannot go on: its event time has come to its end.
fn drained(savepoint: CheckpointId) -> Failure {
    let cause = format!(
        "savepoint {savepoint} was given up after every window had fired for it: the job goes on \
         from its last checkpoint"
    );
    Failure { cause, is_fatal: false }
}

/// Runs a task until all of its channels have ended.
pub(super) async fn from_channels(
    chamber: Chamber,
    inbox: Rc<Inbox>,
    inputs: Vec<u32>,
) -> Result<(), Failure> {
    let mut gate = Gate::new(inputs.len());
    if chamber.is_halted() {
        gate.halt();
    }
    chamber.tell(Fact::GateOpened { task: chamber.task(), channels: inputs.len() as u32 });
    let (merged, since) = (Vec::new(), Duration::ZERO);
    let mut intake = Intake { chamber, inbox, inputs, gate, since, merged };
    while !intake.gate.is_finished() {
        intake.turn().await?;
    }
    intake.chamber.finish().await
}

/// A task that is fed by channels.
struct Intake {
    chamber: Chamber,
    inbox: Rc<Inbox>,
    /// The logical input of each channel.
    inputs: Vec<u32>,
    gate: Gate,
    /// When the first channel delivered the barrier that aligns now.
    since: Duration,
    /// What the gate passes on of one packet.
    merged: Vec<Packet>,
}

impl Intake {
    /// Does what is due, and handles the next packet if nothing else comes first.
    async fn turn(&mut self) -> Result<(), Failure> {
        self.chamber.on_time().await?;
        while let Some(order) = self.chamber.orders().take() {
            self.obey(order).await?;
        }
        let taken = match self.inbox.take() {
            Some(taken) => Some(taken),
            None => {
                let leisure = self.chamber.leisure(None);
                let next = poll_fn(|cx| match self.chamber.orders().poll_ready(cx) {
                    Poll::Ready(()) => Poll::Ready(None),
                    Poll::Pending => self.inbox.poll_take(cx).map(Some),
                });
                self.chamber.is_idle();
                let waited = self.chamber.wait(leisure, next).await;
                self.chamber.works();
                waited.flatten()
            }
        };
        let Some((channel, packet)) = taken else { return Ok(()) };
        let held = self.accept(channel, packet);
        for packet in self.merged.drain(..) {
            match packet {
                Packet::Signal(Signal::Barrier(barrier)) => {
                    let alignment = self.chamber.host().elapsed().saturating_sub(self.since);
                    let times = CheckpointTimes { alignment, held, ..CheckpointTimes::default() };
                    let channels = self.inputs.len() as u32;
                    pass_barrier(&mut self.chamber, barrier, channels, times).await?;
                }
                packet => self.chamber.push(self.inputs[channel as usize], packet).await?,
            }
        }
        self.chamber.take_turns().await;
        Ok(())
    }

    async fn obey(&mut self, order: Order) -> Result<(), Failure> {
        match order {
            Order::Completed { checkpoint, .. } => self.chamber.completed(checkpoint).await,
            Order::Aborted(checkpoint) => {
                if self.gate.abort(checkpoint) {
                    self.inbox.release();
                }
                // A source that cannot go on says so.
                self.chamber.go_on(checkpoint);
                Ok(())
            }
            Order::Trigger(barrier) => {
                let message = format!("trigger of checkpoint {}", barrier.checkpoint);
                let cause = format!("{} is no source", self.chamber.task());
                self.chamber.tell(Fact::MessageFenced { message, cause });
                Ok(())
            }
        }
    }

    /// Passes a packet through the gate, and holds its channel or releases the others as the gate
    /// says. How many packets had to wait, if the barrier has passed with this one.
    fn accept(&mut self, channel: u32, packet: Packet) -> u64 {
        let before = self.gate.aligning();
        if let Packet::Signal(Signal::Barrier(barrier)) = packet {
            if before.is_none_or(|before| before.checkpoint < barrier.checkpoint) {
                self.since = self.chamber.host().elapsed();
            }
            if self.chamber.wants(Detail::Flow) {
                let (task, checkpoint) = (self.chamber.task(), barrier.checkpoint);
                self.chamber.tell(Fact::BarrierReceived { task, channel, checkpoint });
            }
        }
        accept(&self.chamber, &mut self.gate, (channel, packet), &mut self.merged);
        self.chamber.counts().watermark.set(self.gate.watermark());
        let held = if before.is_some() { self.inbox.held() } else { 0 };
        if before.is_some() && self.gate.aligning() != before {
            self.inbox.release();
        }
        if self.gate.is_held(channel as usize) {
            self.inbox.hold(channel);
        }
        held
    }
}

/// Lets a barrier that every channel has delivered through the chain.
async fn pass_barrier(
    chamber: &mut Chamber,
    barrier: Barrier,
    channels: u32,
    times: CheckpointTimes,
) -> Result<(), Failure> {
    let (task, checkpoint) = (chamber.task(), barrier.checkpoint);
    let CheckpointTimes { alignment: took, held, .. } = times;
    chamber.counts().aligned(took);
    chamber.tell(Fact::BarrierAligned { task, checkpoint, channels, held, took });
    let crossing = Crossing { barrier, times, ended: false };
    let passing = chamber.barrier(crossing, |chain, cx| {
        chain.signal(Signal::Barrier(barrier), cx)?;
        Ok(())
    });
    passing.await
}

/// Passes a packet through the gate, and tells what that changed.
fn accept(
    chamber: &Chamber,
    gate: &mut Gate,
    (channel, packet): (u32, Packet),
    merged: &mut Vec<Packet>,
) {
    if !chamber.wants(Detail::Flow) {
        return gate.accept(channel as usize, packet, merged);
    }
    let task = chamber.task();
    if let Packet::Batch(batch) = &packet {
        chamber.tell(Fact::BatchReceived { task, channel, rows: batch.rows() as u32 });
    }
    let of_channel = |gate: &Gate| {
        let index = channel as usize;
        (gate.channel_watermark(index), gate.is_silent(index))
    };
    let state = |gate: &Gate| (of_channel(gate), gate.watermark(), gate.is_idle());
    let before = state(gate);
    gate.accept(channel as usize, packet, merged);
    let ((of_channel, silent), watermark, idle) = state(gate);
    if of_channel != before.0.0 {
        chamber.tell(Fact::ChannelWatermark { task, channel, watermark: of_channel });
    }
    if silent != before.0.1 {
        chamber.tell(Fact::ChannelSilent { task, channel, silent });
    }
    if watermark != before.1 {
        chamber.tell(Fact::WatermarkAdvanced { task, watermark });
    }
    if idle != before.2 {
        chamber.tell(Fact::GateIdle { task, idle });
    }
}
