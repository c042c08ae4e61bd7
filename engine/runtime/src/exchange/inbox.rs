//! The receiving end of a task: one bounded queue per channel, taken in turn.
//! Never reorders within a channel and never lets a full channel keep another waiting. Filled by
//! [`super::Outbound`] on the same worker and by [`super::Entrance`] for other workers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slackwater_dataflow::packet::Packet;

use super::connection::Returns;
use super::outbound::Lane;

/// The channels of one task, by their number within the task.
pub struct Inbox {
    credits: u32,
    inner: RefCell<Inner>,
}

struct Inner {
    channels: Vec<Channel>,
    /// Channels that hold something, each once, the one to be taken next first.
    ready: VecDeque<u32>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Channel {
    queue: VecDeque<Packet>,
    /// Taken, and not yet given back to the sender as credit.
    taken: u32,
    /// Whether what waits here must not be taken now.
    is_held: bool,
    giver: Giver,
}

/// Where the credits of a channel go back to.
#[derive(Default)]
pub(super) enum Giver {
    /// Nobody is connected yet.
    #[default]
    Nobody,
    /// A sender on this worker.
    Local(Rc<Lane>),
    /// A sender behind a connection.
    Remote(Rc<Returns>, slackwater_core::id::ChannelId),
}

impl Inbox {
    /// An inbox of so many channels, each with `credits` places.
    pub fn new(channels: usize, credits: u32) -> Rc<Self> {
        let channels = (0..channels).map(|_| Channel::default()).collect();
        let inner = Inner { channels, ready: VecDeque::new(), waker: None };
        Rc::new(Self { credits: credits.max(1), inner: RefCell::new(inner) })
    }

    /// How many packets a channel may hold.
    pub fn credits(&self) -> u32 {
        self.credits
    }

    /// Says where the credits of a channel go.
    pub(super) fn connect(&self, channel: u32, giver: Giver) {
        self.inner.borrow_mut().channels[channel as usize].giver = giver;
    }

    /// Puts a packet into a channel's queue. False if the sender had no credit for it.
    pub(super) fn deliver(&self, channel: u32, packet: Packet) -> bool {
        let inner = &mut *self.inner.borrow_mut();
        let Channel { queue, is_held, .. } = &mut inner.channels[channel as usize];
        if queue.len() >= self.credits as usize {
            return false;
        }
        if queue.is_empty() && !*is_held {
            inner.ready.push_back(channel);
        }
        queue.push_back(packet);
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
        true
    }

    /// The next packet and its channel, if there is one: channels take turns.
    pub fn take(&self) -> Option<(u32, Packet)> {
        let inner = &mut *self.inner.borrow_mut();
        let index = inner.ready.pop_front()?;
        let channel = &mut inner.channels[index as usize];
        let packet = channel.queue.pop_front().expect("a ready channel holds something");
        if !channel.queue.is_empty() {
            inner.ready.push_back(index);
        }
        channel.taken += 1;
        // Half a window at a time: a sender that waits wakes for several batches, not for each.
        if channel.taken >= self.credits.div_ceil(2) {
            channel.giver.give(std::mem::take(&mut channel.taken));
        }
        Some((index, packet))
    }

    /// Takes nothing more from a channel until [`Inbox::release`]. What it has waits, and the
    /// sender gets no credit for it.
    pub fn hold(&self, channel: u32) {
        let inner = &mut *self.inner.borrow_mut();
        inner.channels[channel as usize].is_held = true;
        inner.ready.retain(|&ready| ready != channel);
    }

    /// Lets every channel that is held go on, in the order of their numbers.
    pub fn release(&self) {
        let Inner { channels, ready, .. } = &mut *self.inner.borrow_mut();
        for (index, channel) in (0u32..).zip(channels) {
            if std::mem::take(&mut channel.is_held) && !channel.queue.is_empty() {
                ready.push_back(index);
            }
        }
    }

    /// How many packets wait on channels that are held.
    pub fn held(&self) -> u64 {
        let inner = self.inner.borrow();
        let held = inner.channels.iter().filter(|channel| channel.is_held);
        held.map(|channel| channel.queue.len() as u64).sum()
    }

    /// The next packet and its channel. One task listens.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<(u32, Packet)> {
        if let Some(taken) = self.take() {
            return Poll::Ready(taken);
        }
        self.inner.borrow_mut().waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Giver {
    fn give(&self, credits: u32) {
        match self {
            Self::Nobody => {}
            Self::Local(lane) => lane.grant(credits),
            Self::Remote(returns, channel) => returns.credit(*channel, credits),
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.borrow();
        write!(f, "Inbox({} channels, {} ready)", inner.channels.len(), inner.ready.len())
    }
}
