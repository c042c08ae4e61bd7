//! What a world has to do now, and when its next timer is due: whether time may leap, and how far.
//! Nothing is decided here, and nothing is woken: tasks and timers say of themselves how they are.
//! Tasks are [`super::gate`]'s, timers [`super::host`]'s; whoever leaps is [`super::stage`].

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

/// How awake a world is.
#[derive(Default)]
pub(super) struct Pulse {
    /// Tasks that were woken and have not gone on since.
    awake: AtomicUsize,
    /// Whether something was done to a node from outside that no task was woken for.
    stirred: AtomicBool,
    /// How many timers are due at each millisecond of true time.
    timers: Mutex<BTreeMap<u64, u32>>,
}

impl Pulse {
    fn timers(&self) -> MutexGuard<'_, BTreeMap<u64, u32>> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was done to a node from outside: the next tick is not left out.
    pub(super) fn stir(&self) {
        self.stirred.store(true, Ordering::Relaxed);
    }

    /// A tick begins, in which whatever was stirred is seen.
    pub(super) fn begin_tick(&self) {
        self.stirred.store(false, Ordering::Relaxed);
    }

    /// Whether nothing happens until a timer, a segment or the script comes.
    pub(super) fn is_still(&self) -> bool {
        self.awake.load(Ordering::Relaxed) == 0 && !self.stirred.load(Ordering::Relaxed)
    }

    /// When the first timer is due that is not due at `now` already: that one has fired.
    pub(super) fn next_timer(&self, now: Duration) -> Option<Duration> {
        let after = millis(now).saturating_add(1);
        let timers = self.timers();
        timers.range(after..).next().map(|(due, _)| Duration::from_millis(*due))
    }

    /// Completes `span` after `now`, both in true time.
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulated host's own clock: turmoil pauses tokio's"
    )]
    pub(super) fn sleep(
        self: &Arc<Self>,
        now: Duration,
        span: Duration,
    ) -> impl Future<Output = ()> + use<> {
        let (pulse, due) = (Arc::clone(self), millis(now.saturating_add(span)));
        let sleep = tokio::time::sleep(span);
        async move {
            // Entered when it is first asked, as tokio enters it.
            let _entry = Entry::new(pulse, due);
            sleep.await;
        }
    }
}

/// Whole milliseconds, rounded up as timers are.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A timer that has not fired, or whose task has not looked since.
struct Entry {
    pulse: Arc<Pulse>,
    due: u64,
}

impl Entry {
    fn new(pulse: Arc<Pulse>, due: u64) -> Self {
        *pulse.timers().entry(due).or_default() += 1;
        Self { pulse, due }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut timers = self.pulse.timers();
        if let Some(number) = timers.get_mut(&self.due) {
            *number -= 1;
            if *number == 0 {
                timers.remove(&self.due);
            }
        }
    }
}

/// The waker of a gated task: passes the call on, and keeps count of who is awake.
pub(super) struct Alarm {
    pulse: Arc<Pulse>,
    rung: AtomicBool,
    task: OnceLock<Waker>,
}

impl Alarm {
    /// The alarm of a task that has yet to be polled for the first time, which is as good as rung.
    pub(super) fn new(pulse: &Arc<Pulse>) -> Arc<Self> {
        pulse.awake.fetch_add(1, Ordering::Relaxed);
        let (pulse, rung) = (Arc::clone(pulse), AtomicBool::new(true));
        Arc::new(Self { pulse, rung, task: OnceLock::new() })
    }

    /// The task goes on; `waker` is its own, and the same every time.
    pub(super) fn answer(&self, waker: &Waker) {
        self.task.get_or_init(|| waker.clone());
        if self.rung.swap(false, Ordering::Relaxed) {
            self.pulse.awake.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The task is gone: whoever wakes it from now on wakes nobody.
    pub(super) fn end(&self) {
        if self.rung.swap(true, Ordering::Relaxed) {
            self.pulse.awake.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::Relaxed) {
            self.pulse.awake.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_awake_from_its_waking_to_its_next_step_and_never_after_its_end() {
        let pulse = Arc::<Pulse>::default();
        let alarm = Alarm::new(&pulse);
        let waker = Waker::from(Arc::clone(&alarm));
        assert!(!pulse.is_still(), "a new task has yet to be polled");
        alarm.answer(Waker::noop());
        assert!(pulse.is_still());
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert!(!pulse.is_still());
        alarm.answer(Waker::noop());
        assert!(pulse.is_still(), "woken twice, it goes on once");
        alarm.end();
        waker.wake();
        assert!(pulse.is_still(), "the dead are not woken");
    }

    #[test]
    fn the_next_timer_is_the_first_that_has_not_fired() {
        let (pulse, ms) = (Arc::<Pulse>::default(), Duration::from_millis);
        let enter = |micros| Entry::new(Arc::clone(&pulse), millis(Duration::from_micros(micros)));
        let (fired, first, _same, _later) =
            (enter(10_000), enter(10_001), enter(11_000), enter(12_000));
        assert_eq!(pulse.next_timer(ms(10)), Some(ms(11)), "rounded up to whole milliseconds");
        drop((fired, first));
        assert_eq!(pulse.next_timer(ms(10)), Some(ms(11)));
        assert_eq!(pulse.next_timer(ms(12)), None);
    }
}
