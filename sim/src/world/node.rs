//! A simulated node: its life, its clock, its disk, and the tasks of its process.
//! Nothing here is random but the gate's draws, and nothing decides when a node dies.
//! Tasks pass through [`super::gate`]; whoever kills and starts is [`super::stage`].

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use slackwater_core::random::RandomStream;
use tokio::io::DuplexStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use super::disk::Disk;
use crate::journal::NodeIndex;

/// How far a node's clocks are from the true one.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Milliseconds by which its wall clock is ahead.
    pub offset_ms: i64,
    /// Parts per million by which all its clocks run fast (negative: slow).
    pub drift_ppm: i32,
}

impl Clocks {
    /// What this node measures while `span` goes by in truth.
    pub(super) fn measured(self, span: Duration) -> Duration {
        self.scaled(span, MILLION + i128::from(self.drift_ppm), MILLION)
    }

    /// How long it truly takes until this node has measured `span`.
    pub(super) fn truth(self, span: Duration) -> Duration {
        self.scaled(span, MILLION, MILLION + i128::from(self.drift_ppm))
    }

    fn scaled(self, span: Duration, by: i128, over: i128) -> Duration {
        if self.drift_ppm == 0 {
            return span;
        }
        let nanos = (span.as_nanos() as i128 * by + over - 1) / over;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

const MILLION: i128 = 1_000_000;

/// Whether a node's process runs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// No process; its machine refuses connections.
    Down,
    /// No machine: connections to it hang.
    Dark,
    /// Running.
    Up,
    /// Stopped by SIGSTOP: the kernel answers for it, it does nothing.
    Paused,
}

/// What the gate says to a task that wants to go on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Go on.
    Pass,
    /// Back to the end of the queue: another task first.
    Requeue,
    /// The process is stopped; the waker is kept until it resumes.
    Parked,
    /// The process is gone.
    Dead,
}

/// One node of the world.
pub(super) struct Node {
    pub(super) index: NodeIndex,
    pub(super) name: String,
    pub(super) disk: Disk,
    /// Rings for the supervisor: a call has come, or the last task has left.
    pub(super) bell: Notify,
    state: Mutex<State>,
}

struct State {
    clocks: Clocks,
    /// When the drift last changed, in truth and as this node has measured it.
    since: (Duration, Duration),
    life: Life,
    incarnation: u32,
    tasks: BTreeMap<u64, Task>,
    next_task: u64,
    parked: Vec<Waker>,
    ports: BTreeMap<u16, mpsc::UnboundedSender<DuplexStream>>,
    shuffle: Shuffle,
}

/// The gate's chance to put a task back in the queue, and its draws.
pub(super) struct Shuffle {
    pub(super) chance: f64,
    pub(super) draws: RandomStream,
}

impl Shuffle {
    /// The stream of a node's gate.
    pub(super) fn stream(seed: u64, node: &str) -> RandomStream {
        RandomStream::named(seed, &format!("gate/{node}"))
    }

    fn draw(&mut self) -> bool {
        self.chance > 0.0 && self.draws.chance(self.chance)
    }
}

struct Task {
    scope: u64,
    abort: Option<AbortHandle>,
}

impl State {
    fn measured(&self, now: Duration) -> Duration {
        let (since, measured) = self.since;
        measured + self.clocks.measured(now.saturating_sub(since))
    }

    fn look(&mut self, incarnation: u32, waker: &Waker) -> Admission {
        if self.incarnation != incarnation {
            return Admission::Dead;
        }
        match self.life {
            Life::Down | Life::Dark => Admission::Dead,
            Life::Paused => {
                self.parked.push(waker.clone());
                Admission::Parked
            }
            Life::Up => Admission::Pass,
        }
    }
}

impl Node {
    pub(super) fn new(index: u16, name: &str, clocks: Clocks, shuffle: Shuffle) -> Self {
        let state = State {
            clocks,
            since: (Duration::ZERO, Duration::ZERO),
            life: Life::Down,
            incarnation: 0,
            tasks: BTreeMap::new(),
            next_task: 1,
            parked: Vec::new(),
            ports: BTreeMap::new(),
            shuffle,
        };
        let index = NodeIndex(index);
        let (disk, bell, state) = (Disk::default(), Notify::new(), Mutex::new(state));
        Self { index, name: name.into(), disk, bell, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the stream of its gate anew.
    pub(super) fn reseed(&self, seed: u64) {
        self.state().shuffle.draws = Shuffle::stream(seed, &self.name);
    }

    /// What this node has measured since the world began, at the true time `now`.
    pub(super) fn measured(&self, now: Duration) -> Duration {
        self.state().measured(now)
    }

    /// How far ahead its wall clock is, in milliseconds.
    pub(super) fn offset_ms(&self) -> i64 {
        self.state().clocks.offset_ms
    }

    /// How long it truly takes until this node has measured `span`.
    pub(super) fn truth(&self, span: Duration) -> Duration {
        self.state().clocks.truth(span)
    }

    /// Sets its wall clock this much ahead of what it showed, or back.
    pub(super) fn step_clock(&self, by_ms: i64) {
        let mut state = self.state();
        state.clocks.offset_ms = state.clocks.offset_ms.saturating_add(by_ms);
    }

    /// Lets its clocks run at another speed from `now` on; no clock jumps.
    pub(super) fn set_drift(&self, now: Duration, ppm: i32) {
        let mut state = self.state();
        state.since = (now, state.measured(now));
        state.clocks.drift_ppm = ppm;
    }

    pub(super) fn life(&self) -> Life {
        self.state().life
    }

    pub(super) fn incarnation(&self) -> u32 {
        self.state().incarnation
    }

    /// Begins the next incarnation.
    pub(super) fn begin(&self) -> u32 {
        let mut state = self.state();
        assert!(matches!(state.life, Life::Down | Life::Dark), "{} runs already", self.name);
        state.life = Life::Up;
        state.incarnation += 1;
        state.incarnation
    }

    /// Ends the process: none of its tasks takes another step, and its sockets close as they drop.
    pub(super) fn end(&self, life: Life) {
        let mut state = self.state();
        state.life = life;
        state.ports.clear();
        // Parked tasks wake up to find that they are dead.
        let parked = std::mem::take(&mut state.parked);
        let aborts: Vec<_> = state.tasks.values().filter_map(|task| task.abort.clone()).collect();
        drop(state);
        parked.into_iter().for_each(Waker::wake);
        aborts.iter().for_each(AbortHandle::abort);
    }

    pub(super) fn pause(&self) {
        self.state().life = Life::Paused;
    }

    pub(super) fn resume(&self) {
        let mut state = self.state();
        state.life = Life::Up;
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        parked.into_iter().for_each(Waker::wake);
    }

    /// Decides about one poll of a task of `incarnation`.
    pub(super) fn admit(&self, incarnation: u32, waker: &Waker) -> Admission {
        let state = &mut *self.state();
        match state.look(incarnation, waker) {
            Admission::Pass if state.shuffle.draw() => Admission::Requeue,
            admission => admission,
        }
    }

    /// As [`Node::admit`], without a draw.
    pub(super) fn look(&self, incarnation: u32, waker: &Waker) -> Admission {
        self.state().look(incarnation, waker)
    }

    /// Enters a task before it is spawned; `scope` is 0 for the process, else a worker.
    pub(super) fn enter(&self, scope: u64) -> u64 {
        let mut state = self.state();
        let id = state.next_task;
        state.next_task += 1;
        state.tasks.insert(id, Task { scope, abort: None });
        id
    }

    /// Adds the handle of a task that was spawned; a task that has ended is not entered again.
    pub(super) fn entered(&self, id: u64, abort: AbortHandle) {
        if let Some(task) = self.state().tasks.get_mut(&id) {
            task.abort = Some(abort);
        }
    }

    pub(super) fn leave(&self, id: u64) {
        let mut state = self.state();
        state.tasks.remove(&id);
        if state.tasks.is_empty() {
            self.bell.notify_one();
        }
    }

    /// Aborts a task and, if it is a worker, everything that was spawned within it.
    pub(super) fn abort(&self, id: u64) {
        let state = self.state();
        let hit = state.tasks.iter().filter(|(task, entry)| **task == id || entry.scope == id);
        let aborts: Vec<_> = hit.filter_map(|(_, entry)| entry.abort.clone()).collect();
        drop(state);
        aborts.iter().for_each(AbortHandle::abort);
    }

    /// How many tasks of the process are alive.
    pub(super) fn tasks(&self) -> usize {
        self.state().tasks.len()
    }

    /// Notes an open port, with the way in for the node's own connections.
    pub(super) fn open(&self, port: u16, within: mpsc::UnboundedSender<DuplexStream>) {
        self.state().ports.insert(port, within);
    }

    /// Notes that a listener of `incarnation` is gone.
    pub(super) fn close(&self, port: u16, incarnation: u32) {
        let mut state = self.state();
        if state.incarnation == incarnation {
            state.ports.remove(&port);
        }
    }

    /// The way in to a listener of this node; `None` if the port is not open.
    pub(super) fn door(&self, port: u16) -> Option<mpsc::UnboundedSender<DuplexStream>> {
        self.state().ports.get(&port).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_measures_more_and_wakes_earlier() {
        let fast = Clocks { offset_ms: 0, drift_ppm: 500 };
        assert_eq!(fast.measured(Duration::from_secs(1_000)), Duration::from_millis(1_000_500));
        assert_eq!(fast.truth(Duration::from_millis(1_000_500)), Duration::from_secs(1_000));
        assert_eq!(Clocks::default().truth(Duration::from_secs(7)), Duration::from_secs(7));
    }
}
