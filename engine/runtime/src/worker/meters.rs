//! What the tasks of one process count, where the task manager reads it without asking them.
//! Never keeps a task waiting: looked into once a report, touched when a task begins or has ended.
//! What is counted: `slackwater_dataflow::metric`; where it goes: [`crate::wire::session`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slackwater_core::id::Execution;
use slackwater_core::measure::{REPORT_BYTES, TaskMeasures};
use slackwater_dataflow::operator::Counts;

/// The counts of every task of a process. Its clones are the same.
#[derive(Clone, Default)]
pub struct Meters(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    tasks: BTreeMap<Execution, Counted>,
    /// Whose turn it is, if one report does not hold all.
    next: Option<Execution>,
}

enum Counted {
    /// In this process.
    Here(Arc<Counts>),
    /// In another, which said this last.
    There(Box<TaskMeasures>),
}

impl Meters {
    /// A task counts here from now on.
    pub fn begin(&self, task: Execution, counts: Arc<Counts>) {
        self.inner().tasks.insert(task, Counted::Here(counts));
    }

    /// Takes what another process has reported of its tasks.
    pub fn absorb(&self, told: Vec<TaskMeasures>) {
        let mut inner = self.inner();
        for told in told {
            inner.tasks.insert(told.task, Counted::There(Box::new(told)));
        }
    }

    /// Forgets tasks whose process is gone: their last words will not come.
    pub fn forget(&self, is_gone: impl Fn(&Execution) -> bool) {
        self.inner().tasks.retain(|task, _| !is_gone(task));
    }

    /// What the tasks have measured by now, on the clock of the host they run on: as many as one report
    /// holds, the others next time. A task that has ended is told once.
    pub fn report(&self, now: Duration) -> Vec<TaskMeasures> {
        let inner = &mut *self.inner();
        let next = inner.next.take();
        let (before, from): (Vec<_>, Vec<_>) =
            inner.tasks.iter().partition(|(task, _)| next.is_some_and(|next| **task < next));
        let mut due = from.into_iter().chain(before);
        let (mut told, mut weight) = (Vec::new(), 0);
        let left = loop {
            let Some((task, counted)) = due.next() else { break None };
            if weight >= REPORT_BYTES {
                break Some(*task);
            }
            let measures = match counted {
                Counted::Here(counts) => counts.read(*task, now),
                Counted::There(told) => (**told).clone(),
            };
            weight += measures.weight();
            told.push(measures);
        };
        inner.next = left;
        for told in told.iter().filter(|told| told.ended) {
            inner.tasks.remove(&told.task);
        }
        told
    }

    /// Held for one look only: whoever panicked meanwhile has left the map whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Meters({} tasks)", self.inner().tasks.len())
    }
}

#[cfg(test)]
mod tests {
    use slackwater_core::id::{Attempt, JobEpoch, JobId, Subtask, VertexId};

    use super::*;

    #[test]
    fn a_report_is_bounded_the_others_have_their_turn_and_the_ended_are_told_once() {
        let meters = Meters::default();
        let task = |index| {
            let subtask = Subtask { vertex: VertexId(0), index };
            Execution { job: JobId(1), epoch: JobEpoch(1), attempt: Attempt(1), subtask }
        };
        // A task without operators weighs 128 bytes.
        let (fits, all) = (REPORT_BYTES / 128, REPORT_BYTES as u32 / 128 + 3);
        let counts: Vec<_> = (0..all).map(|_| Arc::new(Counts::default())).collect();
        (0..all).for_each(|n| meters.begin(task(n), Arc::clone(&counts[n as usize])));
        counts[0].time.end(Duration::ZERO);
        let first = |told: Vec<TaskMeasures>| (told.len(), told[0].task.subtask.index);
        assert_eq!(first(meters.report(Duration::ZERO)), (fits, 0));
        assert_eq!(first(meters.report(Duration::ZERO)), (fits, fits as u32));
        let told = meters.report(Duration::ZERO);
        assert!(told.iter().all(|told| told.task != task(0)), "it had said its last words");
        meters.forget(|task| task.subtask.index > 1);
        assert_eq!(first(meters.report(Duration::ZERO)), (1, 1));
    }
}
