//! The sending end of a channel: waits for credit, then hands the packet on.
//! Never sends without credit, and encodes a batch once, only for another worker. Within a worker
//! packets go straight into the receiver's [`Inbox`]; otherwise into a [`Link`].

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use slackwater_core::codec::CodecError;
use slackwater_core::element::Signal;
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{ChannelId, Execution};
use slackwater_dataflow::packet::{ElementCodec, Packet};

use super::head::Head;
use super::inbox::{Giver, Inbox};
use super::link::Link;
use crate::host::Host;

/// The sender's account of a channel.
#[derive(Debug, Default)]
pub(super) struct Lane {
    credits: Cell<u32>,
    /// Whether the receiver has ever granted anything: before, waiting is not exhaustion.
    is_open: Cell<bool>,
    has_ended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Lane {
    pub(super) fn grant(&self, credits: u32) {
        self.credits.set(self.credits.get() + credits);
        self.is_open.set(true);
        self.wake();
    }

    /// The receiver has the end of the channel.
    pub(super) fn end(&self) {
        self.has_ended.set(true);
        self.wake();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn wait(&self, until: impl Fn(&Self) -> bool) {
        poll_fn(|cx| {
            if until(self) {
                return Poll::Ready(());
            }
            self.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// The sending end of one channel.
#[derive(Debug)]
pub struct Outbound {
    task: Execution,
    channel: ChannelId,
    lane: Rc<Lane>,
    target: Target,
}

enum Target {
    Local { inbox: Rc<Inbox>, index: u32 },
    Remote { link: Rc<Link>, codec: Arc<dyn ElementCodec> },
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local { index, .. } => write!(f, "Local({index})"),
            Self::Remote { link, .. } => write!(f, "Remote({link:?})"),
        }
    }
}

impl Outbound {
    /// A channel to a task of the same worker: `index` is its number within the receiver.
    pub fn local(task: Execution, channel: ChannelId, inbox: Rc<Inbox>, index: u32) -> Self {
        let lane = Rc::new(Lane::default());
        lane.grant(inbox.credits());
        inbox.connect(index, Giver::Local(Rc::clone(&lane)));
        Self { task, channel, lane, target: Target::Local { inbox, index } }
    }

    pub(super) fn remote(
        task: Execution,
        channel: ChannelId,
        lane: Rc<Lane>,
        (link, codec): (Rc<Link>, Arc<dyn ElementCodec>),
    ) -> Self {
        Self { task, channel, lane, target: Target::Remote { link, codec } }
    }

    /// Whose output it is.
    pub fn task(&self) -> Execution {
        self.task
    }

    /// Which channel.
    pub fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Whether a packet could leave at once.
    pub fn has_room(&self) -> bool {
        self.lane.credits.get() > 0
    }

    /// Whether a sender that waits is held up by its receiver, not by a connection yet to open.
    pub fn is_exhausted(&self) -> bool {
        self.lane.is_open.get() && !self.has_room()
    }

    /// Waits for credit and sends; gives how many bytes that took, none without a frame.
    ///
    /// Cancel safe in that a packet is sent whole or not at all; one that was not is lost.
    ///
    /// # Errors
    /// If a value refuses to be serialized.
    pub async fn send(&self, host: &dyn Host, packet: Packet) -> Result<usize, CodecError> {
        if !self.has_room() {
            if self.is_exhausted() && host.detail() >= Detail::Flow {
                host.tell(Fact::CreditExhausted { task: self.task, channel: self.channel });
            }
            self.lane.wait(|lane| lane.credits.get() > 0).await;
        }
        self.lane.credits.set(self.lane.credits.get() - 1);
        match &self.target {
            Target::Local { inbox, index } => {
                if matches!(packet, Packet::Signal(Signal::EndOfInput)) {
                    self.lane.end();
                }
                let delivered = inbox.deliver(*index, packet);
                assert!(delivered, "a credit is a place in the receiver's queue");
                Ok(0)
            }
            Target::Remote { link, codec } => self.frame(host, link, &**codec, packet),
        }
    }

    fn frame(
        &self,
        host: &dyn Host,
        link: &Link,
        codec: &dyn ElementCodec,
        packet: Packet,
    ) -> Result<usize, CodecError> {
        let (epoch, attempt, channel) = (self.task.epoch, self.task.attempt, self.channel);
        let (head, body, rows) = match packet {
            Packet::Batch(batch) => {
                let rows = batch.rows() as u32;
                let head = Head::Batch { epoch, attempt, channel, rows };
                let Some((head, batch)) = link.hand_over(head, batch) else { return Ok(0) };
                (head, codec.encode(&batch)?, rows)
            }
            Packet::Signal(signal) => {
                let head = Head::Signal { epoch, attempt, channel, signal };
                if link.hand_over_signal(&head) {
                    return Ok(0);
                }
                (head, Vec::new(), 0)
            }
        };
        let head = head.encode();
        let bytes = head.len() + body.len();
        if host.detail() >= Detail::Flow {
            let bytes = bytes as u32;
            host.tell(Fact::FrameSent { task: self.task, channel, rows, bytes });
        }
        link.stage(head, body);
        Ok(bytes)
    }

    /// Waits until the end of the channel, which must have been sent, has arrived: only then is
    /// the sender free to go. Cancel safe.
    pub async fn ended(&self) {
        self.lane.wait(Lane::has_ended).await;
    }
}
