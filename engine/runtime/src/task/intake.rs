//! The two ways into a task: from a source, or from channels through the gate.
//! Never takes in more than one batch at a time; channels take turns, and a task gives the others
//! of its worker theirs. What the gate makes of channels is in `slackwater-dataflow`'s `gate`.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use slackwater_core::element::Signal;
use slackwater_core::fact::{Detail, Fact};
use slackwater_dataflow::gate::Gate;
use slackwater_dataflow::packet::Packet;
use slackwater_dataflow::task::{AnySource, Sourced};

use super::Failure;
use super::chamber::Chamber;
use crate::exchange::Inbox;

/// Runs a source until it has read everything.
pub(super) async fn from_source(
    mut chamber: Chamber,
    mut source: Box<dyn AnySource>,
) -> Result<(), Failure> {
    loop {
        chamber.on_time().await?;
        // A source that has something is polled without a timer around it.
        let first = poll_fn(|cx| Poll::Ready(chamber.poll_source(cx, &mut *source))).await;
        let sourced = match first {
            Poll::Ready(sourced) => Some(sourced),
            Poll::Pending => {
                let sleep = chamber.leisure(Some(&*source)).map(|span| chamber.host().sleep(span));
                let poll = poll_fn(|cx| chamber.poll_source(cx, &mut *source));
                match sleep {
                    None => Some(poll.await),
                    Some(sleep) => tokio::select! {
                        biased;
                        () = sleep => None,
                        sourced = poll => Some(sourced),
                    },
                }
            }
        };
        let Some(sourced) = sourced else { continue };
        let sourced = sourced?;
        chamber.settle(Ok(())).await?;
        match sourced {
            Sourced::End => {
                chamber.finish_source(&mut *source).await?;
                return chamber.finish().await;
            }
            Sourced::Batch | Sourced::Nothing => chamber.take_turns().await,
        }
    }
}

/// Runs a task until all of its channels have ended.
pub(super) async fn from_channels(
    mut chamber: Chamber,
    inbox: Rc<Inbox>,
    inputs: Vec<u32>,
) -> Result<(), Failure> {
    let mut gate = Gate::new(inputs.len());
    chamber.tell(Fact::GateOpened { task: chamber.task(), channels: inputs.len() as u32 });
    let mut merged = Vec::new();
    loop {
        chamber.on_time().await?;
        let taken = match inbox.take() {
            Some(taken) => Some(taken),
            None => {
                let leisure = chamber.leisure(None);
                chamber.wait(leisure, poll_fn(|cx| inbox.poll_take(cx))).await
            }
        };
        let Some((channel, packet)) = taken else { continue };
        accept(&chamber, &mut gate, (channel, packet), &mut merged);
        for packet in merged.drain(..) {
            let is_end = matches!(packet, Packet::Signal(Signal::EndOfInput));
            chamber.push(inputs[channel as usize], packet).await?;
            if is_end {
                return chamber.finish().await;
            }
        }
        chamber.take_turns().await;
    }
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
