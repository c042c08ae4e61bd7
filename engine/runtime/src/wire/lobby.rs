//! Those who have connected to a port and not greeted yet: bounded, so that nobody who says nothing
//! keeps others out. Never touches a connection whose handshake is over.
//! How long one of them may stay is the handshake's affair: [`super::handshake`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::host::TaskHandle;

/// So many wait at once; one more, and whoever waits longest is shown out.
pub const WAITING_MAX: usize = 256;

/// Connections that have not greeted yet, by their number.
#[derive(Clone, Debug, Default)]
pub struct Lobby(Rc<RefCell<BTreeMap<u64, TaskHandle>>>);

/// One of them; it is none any more once this is dropped.
#[derive(Debug)]
pub struct Waiting(Lobby, u64);

impl Lobby {
    /// Makes room for one more. The task of the connection is for [`Lobby::by`].
    pub fn enter(&self, number: u64) -> Waiting {
        let mut waiting = self.0.borrow_mut();
        let longest = (waiting.len() >= WAITING_MAX).then(|| waiting.pop_first()).flatten();
        // Its end asks for the list.
        drop(waiting);
        if let Some((_, longest)) = longest {
            longest.abort();
        }
        Waiting(self.clone(), number)
    }

    /// Which task a number's connection is: called before the task first runs.
    pub fn by(&self, number: u64, task: TaskHandle) {
        self.0.borrow_mut().insert(number, task);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Whoever is shown out has been taken off the list.
        self.0.0.borrow_mut().remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn who_waits_longest_is_shown_out_and_who_has_greeted_is_not() {
        let (lobby, out) = (Lobby::default(), Arc::new(AtomicU64::new(0)));
        let mut waiting = Vec::new();
        let mut enter = |number: u64| {
            let (entered, out) = (lobby.enter(number), Arc::clone(&out));
            lobby.by(number, TaskHandle::new(move || out.store(number, Ordering::SeqCst)));
            waiting.push(entered);
        };
        let most = WAITING_MAX as u64;
        (1..=most).for_each(&mut enter);
        assert_eq!((lobby.len(), out.load(Ordering::SeqCst)), (WAITING_MAX, 0));
        enter(most + 1);
        assert_eq!((lobby.len(), out.load(Ordering::SeqCst)), (WAITING_MAX, 1));
        // The second has greeted: the third waits longest now.
        waiting.remove(1);
        assert_eq!(lobby.len(), WAITING_MAX - 1);
        waiting.clear();
        assert!(lobby.is_empty());
    }
}
