//! How a task learns that it cannot go on because of something that happened beside it.
//! Only the first cause counts; ringing again changes nothing. Rung by connections, heard by
//! [`crate::task`], which fails with the cause.

use std::cell::RefCell;
use std::fmt;

use tokio::sync::Notify;

/// The alarm of one task.
#[derive(Default)]
pub struct Alarm {
    cause: RefCell<Option<String>>,
    wake: Notify,
}

impl Alarm {
    /// Fails the task with this cause, unless another came first.
    pub fn ring(&self, cause: impl Into<String>) {
        self.cause.borrow_mut().get_or_insert_with(|| cause.into());
        self.wake.notify_one();
    }

    /// Waits for the cause. One task listens. Cancel safe.
    pub async fn rung(&self) -> String {
        loop {
            if let Some(cause) = self.cause.borrow().clone() {
                return cause;
            }
            self.wake.notified().await;
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alarm({:?})", self.cause.borrow())
    }
}
