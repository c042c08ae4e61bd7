//! Work on every core at once, with results in the order of the work.
//! Knows nothing of what is done; only which piece is ready first differs from run to run, and no
//! result tells. Used by [`super::play_all`] and [`super::fuzz`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Lets as many threads as there are cores do the same, at most `most`, and waits for all.
#[expect(
    clippy::disallowed_methods,
    reason = "outside of every world: only which is first differs"
)]
pub(super) fn on_every_core(most: usize, does: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..cores().min(most) {
            scope.spawn(&does);
        }
    });
}

/// How many cores there are.
#[expect(clippy::disallowed_methods, reason = "outside of every world: only the time differs")]
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Does the same with each of `work` on every core at once; results in the order of the work.
pub(crate) fn on_all_cores<W: Sync, R: Send>(work: &[W], does: impl Fn(&W) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<R>>> = Mutex::new(work.iter().map(|_| None).collect());
    on_every_core(work.len(), || {
        while let Some((place, piece)) = take(&next, work) {
            let result = does(piece);
            done.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(result);
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_iter().flatten().collect()
}

fn take<'a, W>(next: &AtomicUsize, work: &'a [W]) -> Option<(usize, &'a W)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    work.get(place).map(|piece| (place, piece))
}
