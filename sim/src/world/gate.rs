//! The gate before every task of a simulated process: each poll asks its node first.
//! A gate never delays in time and never reorders what a task does: it stops it, kills it, or lets
//! another task go before it. The answer comes from [`super::node`], panics go to the journal.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use slackwater_core::fact::Fact;
use slackwater_runtime::host::LocalFuture;

use super::node::{Admission, Node};
use super::pulse::Alarm;
use super::realm::Realm;
use super::stage::thread_cpu;

/// A task behind its gate.
pub(super) struct Gate {
    pub(super) inner: Option<LocalFuture<()>>,
    pub(super) name: String,
    pub(super) realm: Arc<Realm>,
    pub(super) node: Arc<Node>,
    pub(super) incarnation: u32,
    pub(super) id: u64,
    pub(super) alarm: Arc<Alarm>,
    /// The alarm, as the task knows it.
    pub(super) waker: Waker,
}

impl Future for Gate {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.answer(cx.waker());
        let waker = self.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        match self.node.admit(self.incarnation, cx.waker()) {
            Admission::Pass => {
                // A cue may kill or stop the process before this very step.
                let cued = self.realm.count_step();
                match cued.then(|| self.node.look(self.incarnation, cx.waker())) {
                    None | Some(Admission::Pass | Admission::Requeue) => self.step(cx),
                    Some(Admission::Parked) => Poll::Pending,
                    Some(Admission::Dead) => self.die(),
                }
            }
            Admission::Parked => Poll::Pending,
            Admission::Requeue => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Admission::Dead => self.die(),
        }
    }
}

impl Gate {
    fn die(&mut self) -> Poll<()> {
        self.inner = None;
        Poll::Ready(())
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(()) };
        let began = self.realm.engine.as_ref().map(|_| thread_cpu());
        let polled = catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(cx)));
        if let (Some(engine), Some(began)) = (&self.realm.engine, began) {
            let took = u64::try_from(thread_cpu().saturating_sub(began).as_nanos());
            engine.fetch_add(took.unwrap_or(0), Ordering::Relaxed);
        }
        match polled {
            Ok(polled) => polled,
            Err(payload) => {
                let (task, message) = (self.name.clone(), message(payload.as_ref()));
                self.realm.tell(self.node.index, Fact::Panicked { task, message });
                self.inner = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // What the task owns goes first, so that whoever counts tasks counts no half-dead one.
        self.inner = None;
        self.alarm.end();
        self.node.leave(self.id);
    }
}

/// What a panic said, as far as it was text.
pub(super) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}
