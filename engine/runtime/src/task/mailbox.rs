//! What a task is told while it runs: barriers to send, checkpoints that completed or never will.
//! Never drops an order and never reorders them; nothing here waits for the stream.
//! Filled by [`crate::worker`], emptied by the task's loop between two batches.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slackwater_core::element::Barrier;
use slackwater_core::id::CheckpointId;

use super::snapshot::Writing;

/// What a task is told.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A source: let this barrier pass.
    Trigger(Barrier),
    /// A checkpoint is complete; `last`: the job ends with it.
    Completed {
        /// Which one.
        checkpoint: CheckpointId,
        /// Whether the job ends with it.
        last: bool,
    },
    /// A checkpoint will never complete.
    Aborted(CheckpointId),
}

/// The mailbox of one task.
#[derive(Default)]
pub struct Mailbox {
    orders: RefCell<VecDeque<Order>>,
    waker: RefCell<Option<Waker>>,
    /// The newest checkpoint that will never complete.
    aborted: Cell<Option<CheckpointId>>,
    /// What is being written beside the stream: given up as soon as the order comes, also while
    /// the task waits for credit.
    writing: RefCell<Option<Writing>>,
}

impl Mailbox {
    /// An empty one.
    pub fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// Puts an order behind the others.
    pub fn post(&self, order: Order) {
        if let Order::Aborted(checkpoint) = order {
            self.aborted.set(self.aborted.get().max(Some(checkpoint)));
            self.writing.borrow_mut().take_if(|writing| writing.checkpoint <= checkpoint);
        }
        self.orders.borrow_mut().push_back(order);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The next order, if there is one.
    pub fn take(&self) -> Option<Order> {
        self.orders.borrow_mut().pop_front()
    }

    /// Whether there is an order. One task listens.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.orders.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Keeps what `write` begins to write, unless the checkpoint is aborted already. What was
    /// written before is given up: whoever starts a newer checkpoint has aborted it.
    pub(super) fn write(&self, checkpoint: CheckpointId, write: impl FnOnce() -> Writing) {
        if self.aborted.get() < Some(checkpoint) {
            let older = self.writing.take();
            drop(older);
            self.writing.replace(Some(write()));
        }
    }

    /// The task has ended: nothing of it is written any more.
    pub fn close(&self) {
        self.writing.take();
        self.orders.take();
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({} orders)", self.orders.borrow().len())
    }
}
