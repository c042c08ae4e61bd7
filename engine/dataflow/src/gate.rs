//! The valve of a task: many input channels merged into one, watermarks, idleness, barriers, the end.
//! Never drops a record, never reorders within a channel, never reads a clock: it only answers
//! "how far has event time come?" and "who must wait for a barrier?". Lateness is judged by
//! [`crate::window`]; channels, credits and who is read next are in `runtime::exchange`.

use slackwater_core::element::{Barrier, BarrierKind, Signal};
use slackwater_core::id::CheckpointId;
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
    /// The barrier that some channels have delivered and others not yet.
    aligning: Option<Barrier>,
    /// The newest checkpoint that is over: its barrier has passed, or it was aborted.
    over: Option<CheckpointId>,
    /// The savepoint with which the job stops, if its barrier has passed: what it holds is what there
    /// is, and no window may fire because a channel ends.
    halted: Option<CheckpointId>,
}

#[derive(Copy, Clone, Debug)]
struct Channel {
    watermark: EventTime,
    state: ChannelState,
    /// Whether it has delivered the barrier that others have not.
    held: bool,
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
        let watermark = EventTime::MIN;
        let channel = Channel { watermark, state: ChannelState::Active, held: false };
        let channels = vec![channel; channels];
        Self { channels, watermark, idle: false, aligning: None, over: None, halted: None }
    }

    /// The job has been stopped with a savepoint, in an earlier attempt: a channel that ends has not
    /// come to the end of its event time, and stays in the minimum. As behind the barrier of such a
    /// savepoint, but for good.
    pub fn halt(&mut self) {
        self.halted = Some(CheckpointId(u64::MAX));
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

    /// The barrier that some channels have delivered and others not yet.
    pub fn aligning(&self) -> Option<Barrier> {
        self.aligning
    }

    /// Whether one channel must not be read: it has delivered the barrier that others have not, and
    /// what follows on it belongs behind the barrier. Its packets stay where they are.
    pub fn is_held(&self, channel: usize) -> bool {
        self.channels[channel].held
    }

    /// How many channels are held.
    pub fn held(&self) -> usize {
        self.channels.iter().filter(|channel| channel.held).count()
    }

    /// A checkpoint will not complete: channels that were held for it, or for an older one, are
    /// released, and its barriers, if they still come, are swallowed. Whether any was held.
    pub fn abort(&mut self, checkpoint: CheckpointId) -> bool {
        self.over = self.over.max(Some(checkpoint));
        self.halted.take_if(|halted| *halted <= checkpoint);
        let aligning = self.aligning.filter(|barrier| barrier.checkpoint <= checkpoint);
        if aligning.is_some() {
            self.release();
        }
        aligning.is_some()
    }

    /// Takes a packet of a channel, and appends what goes on to the chain: none, or up to four
    /// packets. A barrier goes on once every channel that has not finished has delivered it; until
    /// then those that have are held. A newer barrier aborts the older one.
    ///
    /// # Panics
    /// If there is no such channel, or it has finished, or it is held.
    pub fn accept(&mut self, channel: usize, packet: Packet, out: &mut Vec<Packet>) {
        let state = self.channels[channel].state;
        assert!(state != ChannelState::Finished, "nothing follows the end of a channel");
        assert!(!self.channels[channel].held, "a held channel is not read");
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
                self.pass_aligned(out);
            }
            Packet::Signal(Signal::Barrier(barrier)) => {
                self.align(channel, barrier);
                self.pass_aligned(out);
            }
            passing @ Packet::Signal(Signal::Latency(_)) => out.push(passing),
        }
    }

    /// A channel has delivered a barrier. One of a checkpoint that is over is swallowed.
    fn align(&mut self, channel: usize, barrier: Barrier) {
        if self.over >= Some(barrier.checkpoint) {
            return;
        }
        match self.aligning.map(|aligning| aligning.checkpoint) {
            Some(aligning) if barrier.checkpoint < aligning => return,
            Some(aligning) if barrier.checkpoint > aligning => {
                self.over = Some(aligning);
                self.release();
            }
            Some(_) | None => {}
        }
        self.aligning = Some(barrier);
        self.channels[channel].held = true;
    }

    /// Lets the barrier pass if no channel is waited for any more.
    fn pass_aligned(&mut self, out: &mut Vec<Packet>) {
        let Some(barrier) = self.aligning else { return };
        let waits = |channel: &Channel| !channel.held && channel.state != ChannelState::Finished;
        if self.channels.iter().any(waits) {
            return;
        }
        assert!(self.over < Some(barrier.checkpoint), "barriers pass in order");
        self.over = Some(barrier.checkpoint);
        self.release();
        let stops = barrier.kind == BarrierKind::StopWithSavepoint { drain: false };
        self.halted = stops.then_some(barrier.checkpoint).or(self.halted);
        out.push(Packet::Signal(Signal::Barrier(barrier)));
    }

    fn release(&mut self) {
        self.aligning = None;
        self.channels.iter_mut().for_each(|channel| channel.held = false);
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
        if state == ChannelState::Idle || self.halted.is_none() {
            self.pass_merged(out);
        }
        let silent = !self.channels.iter().any(|c| c.state == ChannelState::Active);
        if silent && !self.idle && !self.is_finished() {
            self.idle = true;
            out.push(Packet::Signal(Signal::Idle));
        }
    }
}

#[cfg(test)]
mod tests;
