//! The valve of a task: many input channels merged into one, watermarks, idleness and the end.
//! Never drops a record, never reorders within a channel, never reads a clock: it only answers
//! "how far has event time come?". Lateness is judged by [`crate::window`]; channels, credits and
//! who is read next are in `runtime::exchange`.

use slackwater_core::element::Signal;
use slackwater_core::time::EventTime;

use crate::packet::{AnyBatch, Packet};

/// Merges the channels of one task (semantics rule 4).
///
/// The watermark is the least over the channels that speak: idle ones are left out, finished ones
/// count as absent. If nobody speaks it is held, until all have finished. It never goes back.
///
/// ```
/// use slackwater_core::element::Signal;
/// use slackwater_core::time::EventTime;
/// use slackwater_dataflow::gate::Gate;
/// use slackwater_dataflow::packet::{AnyBatch, Packet};
///
/// let watermark = |w| Packet::Batch(AnyBatch::of_watermark(EventTime::from_millis(w)));
/// let mut gate = Gate::new(2);
/// let mut merged = Vec::new();
/// gate.accept(0, watermark(10), &mut merged);
/// assert_eq!(gate.watermark(), EventTime::MIN); // Channel 1 has said nothing yet.
/// gate.accept(1, watermark(4), &mut merged);
/// assert_eq!(gate.watermark(), EventTime::from_millis(4));
/// gate.accept(1, Packet::Signal(Signal::Idle), &mut merged);
/// assert_eq!(gate.watermark(), EventTime::from_millis(10));
/// ```
#[derive(Debug)]
pub struct Gate {
    channels: Vec<Channel>,
    watermark: EventTime,
    idle: bool,
}

#[derive(Copy, Clone, Debug)]
struct Channel {
    watermark: EventTime,
    state: ChannelState,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum ChannelState {
    Active,
    Idle,
    Finished,
}

impl Gate {
    /// A gate over this many channels, all of which are waited for.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(channels: usize) -> Self {
        assert!(channels > 0, "a gate has at least one channel");
        let channel = Channel { watermark: EventTime::MIN, state: ChannelState::Active };
        Self { channels: vec![channel; channels], watermark: EventTime::MIN, idle: false }
    }

    /// How many channels it merges.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// The merged watermark.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// The watermark of one channel.
    pub fn channel_watermark(&self, channel: usize) -> EventTime {
        self.channels[channel].watermark
    }

    /// Whether one channel is left out of the minimum: idle or finished.
    pub fn is_silent(&self, channel: usize) -> bool {
        self.channels[channel].state != ChannelState::Active
    }

    /// Whether every channel is idle or finished, and not all are finished.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// Whether every channel is finished.
    pub fn is_finished(&self) -> bool {
        self.channels.iter().all(|channel| channel.state == ChannelState::Finished)
    }

    /// Takes a packet of a channel, and appends what goes on to the chain: none, or up to three
    /// packets. Barriers are not merged here: a gate that aligns them must hold channels.
    ///
    /// # Panics
    /// If there is no such channel, or it has finished.
    pub fn accept(&mut self, channel: usize, packet: Packet, out: &mut Vec<Packet>) {
        let state = self.channels[channel].state;
        assert!(state != ChannelState::Finished, "nothing follows the end of a channel");
        match packet {
            Packet::Batch(batch) => {
                self.activate(channel, out);
                self.batch(channel, batch, out);
            }
            Packet::Signal(Signal::Active) => self.activate(channel, out),
            Packet::Signal(Signal::Idle) => self.silence(channel, ChannelState::Idle, out),
            Packet::Signal(Signal::EndOfInput) => {
                self.silence(channel, ChannelState::Finished, out);
                if self.is_finished() {
                    self.idle = false;
                    out.push(Packet::Signal(Signal::EndOfInput));
                }
            }
            passing @ Packet::Signal(Signal::Latency(_) | Signal::Barrier(_)) => out.push(passing),
        }
    }

    /// Rewrites the marks of a batch to the merged watermark, each behind the row that allows it.
    fn batch(&mut self, channel: usize, mut batch: AnyBatch, out: &mut Vec<Packet>) {
        batch.marks_mut().retain_mut(|mark| match self.advance(channel, mark.watermark) {
            Some(merged) => {
                mark.watermark = merged;
                true
            }
            None => false,
        });
        if batch.rows() > 0 || !batch.marks_mut().is_empty() {
            out.push(Packet::Batch(batch));
        }
    }

    /// A channel has come so far; gives the merged watermark if that advances it.
    fn advance(&mut self, channel: usize, watermark: EventTime) -> Option<EventTime> {
        let channel = &mut self.channels[channel];
        channel.watermark = channel.watermark.max(watermark);
        self.advance_merged()
    }

    fn advance_merged(&mut self) -> Option<EventTime> {
        let merged = self.least().filter(|&least| least > self.watermark)?;
        self.watermark = merged;
        Some(merged)
    }

    fn pass_merged(&mut self, out: &mut Vec<Packet>) {
        if let Some(merged) = self.advance_merged() {
            out.push(Packet::Batch(AnyBatch::of_watermark(merged)));
        }
    }

    /// The least watermark over the channels that speak; `None` if nobody does.
    fn least(&self) -> Option<EventTime> {
        let speaking = self.channels.iter().filter(|c| c.state == ChannelState::Active);
        match speaking.map(|channel| channel.watermark).min() {
            // A channel at MAX has nothing more to say. Alone it may not end event time for those
            // that are idle: they can come back.
            Some(EventTime::MAX) => {
                let ended = self.channels.iter().all(|channel| {
                    channel.state == ChannelState::Finished || channel.watermark == EventTime::MAX
                });
                ended.then_some(EventTime::MAX)
            }
            least => least,
        }
    }

    /// A channel speaks again. If it had come further than the watermark that was held while
    /// nobody spoke, that counts now.
    fn activate(&mut self, channel: usize, out: &mut Vec<Packet>) {
        if self.channels[channel].state == ChannelState::Active {
            return;
        }
        self.channels[channel].state = ChannelState::Active;
        if std::mem::replace(&mut self.idle, false) {
            out.push(Packet::Signal(Signal::Active));
        }
        self.pass_merged(out);
    }

    /// A channel falls silent: those that still speak may now be further, or nobody speaks.
    fn silence(&mut self, channel: usize, state: ChannelState, out: &mut Vec<Packet>) {
        self.channels[channel].state = state;
        self.pass_merged(out);
        let silent = !self.channels.iter().any(|c| c.state == ChannelState::Active);
        if silent && !self.idle && !self.is_finished() {
            self.idle = true;
            out.push(Packet::Signal(Signal::Idle));
        }
    }
}

#[cfg(test)]
mod tests;
