//! What a world can wait for: jobs that end, a watermark that arrives, a fact that is told.
//! A watch only reads facts; it never changes the world, and sees each fact once, in order.
//! Given to [`super::World::until`].

use std::collections::{BTreeMap, BTreeSet};

use slackwater_core::fact::{Fact, TaskStatus};
use slackwater_core::id::{Execution, JobId};
use slackwater_core::time::EventTime;

use super::{Cue, Stop, Watch, World};

impl World {
    /// Ends the world once `jobs` jobs have reached a final state, or were refused.
    #[must_use]
    pub fn until_jobs_are_final(self, jobs: usize) -> Self {
        self.until(Stop::JobsFinal, jobs_final(jobs))
    }

    /// Ends the world once every task behind a gate has reached the watermark `time`, in the
    /// newest attempt of every job that was submitted.
    #[must_use]
    pub fn until_watermark(self, time: EventTime) -> Self {
        self.until(Stop::Watermark, watermark(time))
    }

    /// Ends the world at the `nth` fact (from 1) with this probe name.
    #[must_use]
    pub fn until_seen(self, probe: &'static str, nth: u64) -> Self {
        let mut seen = 0;
        let watch = move |entry: &crate::journal::Entry| {
            seen += u64::from(entry.fact.probe() == probe);
            seen == nth
        };
        self.until(Stop::Seen, Box::new(watch))
    }
}

/// A cue at the `nth` fact (from 1) with this probe name that shows these fields.
pub fn fact(probe: &str, fields: &[(String, String)], nth: u64) -> Cue {
    let probe = probe.to_owned();
    // Text stands in quotes, and is asked for without.
    let shown: Vec<[String; 2]> = fields
        .iter()
        .map(|(key, value)| [format!(" {key}={value}"), format!(" {key}={value:?}")])
        .collect();
    let mut seen = 0;
    Cue::Fact(Box::new(move |entry| {
        if entry.fact.probe() != probe {
            return false;
        }
        let text = if shown.is_empty() { String::new() } else { entry.fact.to_string() };
        let shows = |field: &String| {
            let mut at = text.match_indices(field.as_str());
            at.any(|(at, _)| text[at + field.len()..].chars().next().is_none_or(|next| next == ' '))
        };
        seen += u64::from(shown.iter().all(|either| either.iter().any(shows)));
        seen == nth
    }))
}

fn jobs_final(jobs: usize) -> Watch {
    let mut ended = BTreeSet::new();
    Box::new(move |entry| {
        match &entry.fact {
            Fact::JobStatusChanged { job, to, .. } if to.is_final() => ended.insert(*job),
            Fact::JobRefused { job, .. } => ended.insert(*job),
            _ => return false,
        };
        ended.len() >= jobs
    })
}

/// Where the tasks of the newest attempt of one job are.
#[derive(Default)]
struct Progress {
    tasks: BTreeMap<Execution, EventTime>,
}

impl Progress {
    fn note(&mut self, task: Execution, watermark: EventTime) {
        // A newer attempt begins its own count; an older one has nothing more to say.
        let newest = self.tasks.keys().next_back().map(|known| (known.epoch, known.attempt));
        if newest.is_some_and(|newest| newest > (task.epoch, task.attempt)) {
            return;
        }
        if newest.is_some_and(|newest| newest < (task.epoch, task.attempt)) {
            self.tasks.clear();
        }
        let known = self.tasks.entry(task).or_insert(watermark);
        *known = watermark.max(*known);
    }

    fn has_reached(&self, time: EventTime) -> bool {
        !self.tasks.is_empty() && self.tasks.values().all(|known| *known >= time)
    }
}

fn watermark(time: EventTime) -> Watch {
    let mut jobs: BTreeMap<JobId, Progress> = BTreeMap::new();
    Box::new(move |entry| {
        let (task, watermark) = match &entry.fact {
            Fact::JobSubmitted { job, .. } => {
                jobs.entry(*job).or_default();
                return false;
            }
            Fact::GateOpened { task, .. } => (*task, EventTime::MIN),
            Fact::WatermarkAdvanced { task, watermark } => (*task, *watermark),
            Fact::TaskStatusChanged { task, to: TaskStatus::Finished, .. } => {
                (*task, EventTime::MAX)
            }
            _ => return false,
        };
        jobs.entry(task.job).or_default().note(task, watermark);
        watermark >= time && jobs.values().all(|job| job.has_reached(time))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use slackwater_core::id::{Attempt, JobEpoch, Subtask, VertexId};

    use super::*;
    use crate::journal::{Entry, NodeIndex};

    fn task(attempt: u32, index: u32) -> Execution {
        let subtask = Subtask { vertex: VertexId(1), index };
        Execution { job: JobId(1), epoch: JobEpoch(1), attempt: Attempt(attempt), subtask }
    }

    fn opened(attempt: u32, index: u32) -> Fact {
        Fact::GateOpened { task: task(attempt, index), channels: 1 }
    }

    fn advanced(attempt: u32, index: u32, millis: i64) -> Fact {
        let watermark = EventTime::from_millis(millis);
        Fact::WatermarkAdvanced { task: task(attempt, index), watermark }
    }

    /// At which of these facts the watch for a watermark of 10 ms says yes, from 1.
    fn check(facts: impl IntoIterator<Item = Fact>, expected: Option<usize>) {
        let mut watch = watermark(EventTime::from_millis(10));
        let submitted = Fact::JobSubmitted { job: JobId(1), name: "x".into(), slots: 1 };
        let said = [submitted]
            .into_iter()
            .chain(facts)
            .position(|fact| watch(&Entry { time: Duration::ZERO, node: NodeIndex(0), fact }));
        assert_eq!(said, expected);
    }

    #[test]
    fn the_slowest_task_of_the_newest_attempt_decides() {
        let both = [opened(1, 0), opened(1, 1)];
        check(both.clone(), None);
        check(both.clone().into_iter().chain([advanced(1, 0, 12)]), None);
        let all = both.into_iter().chain([advanced(1, 0, 12), advanced(1, 1, 10)]);
        check(all, Some(4));
        check([opened(1, 0), advanced(1, 0, 9), opened(2, 0), advanced(1, 0, 99)], None);
        check([opened(1, 0), opened(2, 0), advanced(2, 0, 10)], Some(3));
    }

    #[test]
    fn a_finished_task_holds_nobody_back() {
        let (task, to, cause) = (task(1, 0), TaskStatus::Finished, String::new());
        let finished = Fact::TaskStatusChanged { task, to, cause };
        check([opened(1, 0), opened(1, 1), finished, advanced(1, 1, 11)], Some(4));
    }
}
