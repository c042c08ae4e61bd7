//! The receiving side of one connection: checks every packet and puts it into its inbox.
//! Never takes the end of the connection for the end of a channel, and lets nothing of another
//! attempt through. Connections are admitted by [`super::Entrance`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use slackwater_core::element::Signal;
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::ChannelId;
use slackwater_dataflow::packet::{AnyBatch, Packet};
use tokio::sync::{Notify, mpsc};

use super::head::{Granted, Head};
use super::inbox::Giver;
use super::link::next_frame;
use super::pipe::{Parcel, Pipe};
use super::{AttemptKey, ExchangeConfig, Inbound};
use crate::host::{Host, within};
use crate::wire::frame::{FrameReader, FrameWriter};
use crate::wire::handshake::Caller;

/// What goes back to a sender: credits, and word that an end has arrived.
#[derive(Default)]
pub(super) struct Returns {
    credits: RefCell<BTreeMap<ChannelId, u32>>,
    ended: RefCell<Vec<ChannelId>>,
    wake: Notify,
}

impl Returns {
    pub(super) fn credit(&self, channel: ChannelId, credits: u32) {
        *self.credits.borrow_mut().entry(channel).or_default() += credits;
        self.wake.notify_one();
    }

    fn end(&self, channel: ChannelId) {
        self.ended.borrow_mut().push(channel);
        self.wake.notify_one();
    }

    fn take(&self) -> Vec<Head> {
        let credits = self.credits.take().into_iter();
        let credits = credits.map(|(channel, credits)| Head::Credit { channel, credits });
        let ended = self.ended.take().into_iter().map(|channel| Head::Ended { channel });
        credits.chain(ended).collect()
    }
}

/// The receiving side of one connection.
pub(super) struct Connection {
    host: Arc<dyn Host>,
    config: ExchangeConfig,
    key: AttemptKey,
    peer: String,
    returns: Rc<Returns>,
    /// Each with whether its end has arrived.
    lanes: BTreeMap<ChannelId, (Inbound, Cell<bool>)>,
}

/// Who is at the other end.
pub(super) enum Peer {
    /// A worker of another process, yet to be welcomed with its credits.
    Caller(Box<Caller>, Granted),
    /// A worker of this process.
    Neighbour(Pipe),
}

impl Connection {
    pub(super) fn new(
        (host, config): (&Arc<dyn Host>, ExchangeConfig),
        key: AttemptKey,
        peer: String,
        lanes: BTreeMap<ChannelId, Inbound>,
    ) -> Self {
        let lanes = lanes.into_iter().map(|(id, lane)| (id, (lane, Cell::new(false)))).collect();
        let (host, returns) = (Arc::clone(host), Rc::new(Returns::default()));
        Self { host, config, key, peer, returns, lanes }
    }

    /// Carries what comes until the end; a loss rings the alarm of every task whose channel has
    /// not ended.
    pub(super) async fn run(self, from: Peer) {
        if let Err(cause) = self.carry(from).await {
            for (channel, (lane, has_ended)) in &self.lanes {
                if !has_ended.get() {
                    let peer = &self.peer;
                    lane.alarm.ring(format!("channel {channel} from worker {peer}: {cause}"));
                }
            }
        }
    }

    /// Carries what comes until the peer closes: a good end only if every channel had said its own.
    async fn carry(&self, peer: Peer) -> Result<(), String> {
        for (channel, (lane, _)) in &self.lanes {
            lane.inbox.connect(lane.index, Giver::Remote(Rc::clone(&self.returns), *channel));
        }
        match peer {
            Peer::Caller(caller, granted) => {
                let welcomed = caller.welcome(&*self.host, &granted).await;
                let (mut reader, mut writer) = welcomed.map_err(|error| error.to_string())?;
                tokio::select! {
                    biased;
                    read = self.read(&mut reader) => read?,
                    written = self.write(&mut writer) => written?,
                }
            }
            Peer::Neighbour(Pipe { sender, mut receiver }) => tokio::select! {
                biased;
                read = self.read_pipe(&mut receiver) => read?,
                () = self.write_pipe(&sender) => {}
            },
        }
        let all_ended = self.lanes.values().all(|(_, has_ended)| has_ended.get());
        let lost = || "the connection was lost before the end of the stream".to_owned();
        all_ended.then_some(()).ok_or_else(lost)
    }

    async fn read(&self, reader: &mut FrameReader) -> Result<(), String> {
        while let Some(frame) = next_frame(&*self.host, &self.config, reader).await? {
            let (head, body) = Head::decode(&frame).map_err(|error| error.to_string())?;
            let rows = self.on_head(head, |channel, lane| {
                lane.counts.bytes_in.add(frame.len() as u64);
                let decoded = lane.codec.decode(body);
                decoded.map_err(|error| format!("channel {channel}: {error}"))
            })?;
            if let Some((channel, rows)) = rows
                && self.host.detail() >= Detail::Flow
            {
                let bytes = frame.len() as u32;
                self.host.tell(Fact::FrameReceived { channel, rows, bytes });
            }
        }
        Ok(())
    }

    async fn read_pipe(
        &self,
        receiver: &mut mpsc::UnboundedReceiver<Parcel>,
    ) -> Result<(), String> {
        while let Some(Parcel { head, batch }) = receiver.recv().await {
            let missing = |channel| format!("channel {channel}: a batch came without its columns");
            self.on_head(head, |channel, _| batch.ok_or_else(|| missing(channel)))?;
        }
        Ok(())
    }

    /// Judges a packet and puts it into its inbox; gives its channel and how many rows it has.
    fn on_head(
        &self,
        head: Head,
        batch: impl FnOnce(ChannelId, &Inbound) -> Result<AnyBatch, String>,
    ) -> Result<Option<(ChannelId, u32)>, String> {
        let (epoch, attempt, channel) = match head {
            Head::Batch { epoch, attempt, channel, .. } => (epoch, attempt, channel),
            Head::Signal { epoch, attempt, channel, .. } => (epoch, attempt, channel),
            Head::Heartbeat => return Ok(None),
            other => return Err(format!("the sender sent what only a receiver says: {other:?}")),
        };
        if (epoch, attempt) != (self.key.epoch, self.key.attempt) {
            let message = format!("frame of attempt {attempt}, epoch {epoch} on channel {channel}");
            let cause = format!("attempt {} is running", self.key.attempt);
            self.host.tell(Fact::MessageFenced { message, cause });
            return Ok(None);
        }
        let Some((lane, has_ended)) = self.lanes.get(&channel) else {
            let message = format!("frame on channel {channel}");
            let cause = "the connection does not carry it".to_owned();
            self.host.tell(Fact::MessageFenced { message, cause: cause.clone() });
            return Err(format!("a frame came on channel {channel}: {cause}"));
        };
        if has_ended.get() {
            return Err(format!("a frame came on channel {channel} behind its end"));
        }
        let packet = match head {
            Head::Signal { signal, .. } => Packet::Signal(signal),
            _ => Packet::Batch(batch(channel, lane)?),
        };
        let rows = match &packet {
            Packet::Batch(batch) => batch.rows() as u32,
            Packet::Signal(_) => 0,
        };
        if matches!(packet, Packet::Signal(Signal::EndOfInput)) {
            has_ended.set(true);
            self.returns.end(channel);
        }
        let delivered = lane.inbox.deliver(lane.index, packet);
        let overran = || format!("channel {channel} overran its credit");
        delivered.then_some(Some((channel, rows))).ok_or_else(overran)
    }

    async fn write(&self, writer: &mut FrameWriter) -> Result<(), String> {
        loop {
            let woken = self.returns.wake.notified();
            let woken = within(&*self.host, self.config.heartbeat_every, woken).await;
            let mut heads = self.returns.take();
            if woken.is_none() {
                heads.push(Head::Heartbeat);
            }
            for head in heads {
                writer.push(&[&head.encode()]).map_err(|error| error.to_string())?;
            }
            writer.flush().await.map_err(|error| error.to_string())?;
        }
    }

    async fn write_pipe(&self, sender: &mpsc::UnboundedSender<Parcel>) {
        loop {
            self.returns.wake.notified().await;
            for head in self.returns.take() {
                // A sender that has gone closes the other direction as well.
                let _ = sender.send(Parcel { head, batch: None });
            }
        }
    }
}
