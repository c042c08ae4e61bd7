//! Between workers of one process: batches by pointer from one thread to another, no frames.
//! Never reaches another process, and obeys the same credits, attempts and ends as a connection;
//! only the bytes are left out. Between processes there are [`super::Link`]s over TCP.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slackwater_core::id::WorkerId;
use slackwater_dataflow::packet::AnyBatch;
use tokio::sync::{mpsc, oneshot};

use super::head::{Granted, Head, Opening};

/// The workers of one process, by id. Give the same one to each of them; two processes, also two
/// simulated ones, never share one.
#[derive(Clone, Default)]
pub struct Neighbours(Arc<Mutex<BTreeMap<WorkerId, mpsc::UnboundedSender<Visit>>>>);

/// A neighbour at the door, with what it would say in a greeting.
pub(super) struct Visit {
    pub from: WorkerId,
    pub opening: Opening,
    pub answer: oneshot::Sender<Result<(Granted, Pipe), String>>,
}

/// One end of a pipe. The other end sees the end of this one when it is dropped.
pub(super) struct Pipe {
    pub sender: mpsc::UnboundedSender<Parcel>,
    pub receiver: mpsc::UnboundedReceiver<Parcel>,
}

/// What a frame would hold. There are never more on their way than there are credits.
pub(super) struct Parcel {
    pub head: Head,
    /// Only behind [`Head::Batch`].
    pub batch: Option<AnyBatch>,
}

impl Neighbours {
    /// Visits of this worker arrive here from now on.
    pub(super) fn move_in(&self, id: WorkerId) -> mpsc::UnboundedReceiver<Visit> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.doors().insert(id, sender);
        receiver
    }

    pub(super) fn door(&self, id: &WorkerId) -> Option<mpsc::UnboundedSender<Visit>> {
        self.doors().get(id).cloned()
    }

    /// Held for one look only: a worker that panicked meanwhile has left the map whole.
    fn doors(&self) -> MutexGuard<'_, BTreeMap<WorkerId, mpsc::UnboundedSender<Visit>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.doors().keys().map(ToString::to_string)).finish()
    }
}

/// Both ends of a new pipe.
pub(super) fn pipe() -> (Pipe, Pipe) {
    let (there, from_here) = mpsc::unbounded_channel();
    let (here, from_there) = mpsc::unbounded_channel();
    let left = Pipe { sender: there, receiver: from_there };
    (left, Pipe { sender: here, receiver: from_here })
}
