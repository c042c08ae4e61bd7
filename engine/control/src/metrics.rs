//! What tasks have measured, as task managers report it: the newest of each, and one from some seconds
//! ago to see how fast it moves. Never asked for by a decision: what is lost here only fades a picture.
//! Where it is shown: [`crate::view`]; what is measured: `slackwater_core::measure`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId, Subtask};
use slackwater_core::measure::TaskMeasures;

/// How far back a rate looks.
pub const RATE_SPAN: Duration = Duration::from_secs(5);
/// What was not heard of for so long stands still, as far as anybody knows.
const SILENCE: Duration = Duration::from_secs(10);
/// Of so many jobs measures are kept: those that were heard of last.
const JOBS_MAX: usize = 256;
/// So many reports of a task are kept for its rates.
const HISTORY: usize = 12;

/// What is known of how the tasks of all jobs fare.
#[derive(Debug, Default)]
pub struct Board {
    jobs: BTreeMap<JobId, Progress>,
    /// When each task manager was last heard of.
    heard: BTreeMap<String, Duration>,
}

/// One attempt of a job.
#[derive(Debug, Default)]
struct Progress {
    of: (JobEpoch, Attempt),
    heard: Duration,
    tasks: BTreeMap<Subtask, Track>,
}

#[derive(Debug)]
struct Track {
    newest: TaskMeasures,
    heard: Duration,
    /// Older ones, oldest first.
    history: VecDeque<Sample>,
}

/// What a task had measured some time ago, as far as a rate needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// How long the task had run.
    pub age: Duration,
    /// How long of it it had been idle.
    pub idle: Duration,
    /// How long of it it had been backpressured.
    pub backpressured: Duration,
    /// Records and bytes of the task: in, out, in, out.
    pub totals: [u64; 4],
    /// Of each operator the records in, out, and late.
    pub operators: Vec<[u64; 3]>,
    /// Of each operator what its program counts, in its order.
    pub declared: Vec<Vec<u64>>,
}

/// A task as it was last heard of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// When, on the clock of the job manager.
    pub heard: Duration,
    /// Whether nothing of it moves any more: it has ended, or was not heard of for long.
    pub still: bool,
    /// What it said.
    pub newest: TaskMeasures,
    /// What it had measured some seconds before: all zero for a task that is younger.
    pub before: Sample,
}

impl Board {
    /// Takes a report of a task manager. What is of an older attempt than is known, or ended long ago,
    /// is passed over.
    pub fn take(&mut self, now: Duration, task_manager: &str, report: Vec<TaskMeasures>) {
        self.heard.insert(task_manager.to_owned(), now);
        for told in report {
            self.note(now, told);
        }
    }

    fn note(&mut self, now: Duration, told: TaskMeasures) {
        let Execution { job, epoch, attempt, subtask } = told.task;
        if self.jobs.len() >= JOBS_MAX && !self.jobs.contains_key(&job) {
            let oldest = self.jobs.iter().min_by_key(|(_, progress)| progress.heard);
            let oldest = oldest.map(|(job, _)| *job);
            oldest.map(|oldest| self.jobs.remove(&oldest));
        }
        let progress = self.jobs.entry(job).or_default();
        if progress.of > (epoch, attempt) {
            return;
        }
        if progress.of < (epoch, attempt) {
            *progress = Progress { of: (epoch, attempt), ..Progress::default() };
        }
        progress.heard = now;
        match progress.tasks.get_mut(&subtask) {
            Some(track) => track.note(now, told),
            None => {
                let history = VecDeque::from([Sample::default()]);
                progress.tasks.insert(subtask, Track { newest: told, heard: now, history });
            }
        }
    }

    /// A task manager is gone: nobody waits for a word of it.
    pub fn forget(&mut self, task_manager: &str) {
        self.heard.remove(task_manager);
    }

    /// When a task manager was last heard of.
    pub fn heard(&self, task_manager: &str) -> Option<Duration> {
        self.heard.get(task_manager).copied()
    }

    /// How a task of this attempt of a job was last heard of.
    pub fn measured(
        &self,
        now: Duration,
        (job, attempt): (JobId, Attempt),
        subtask: Subtask,
    ) -> Option<Measured> {
        let progress = self.jobs.get(&job).filter(|progress| progress.of.1 == attempt)?;
        let Track { newest, heard, history } = progress.tasks.get(&subtask)?;
        let before = history.front().cloned().unwrap_or_default();
        let still = newest.ended || now.saturating_sub(*heard) > SILENCE;
        Some(Measured { heard: *heard, still, newest: newest.clone(), before })
    }
}

impl Track {
    fn note(&mut self, now: Duration, told: TaskMeasures) {
        // A connection that broke may bring what is older than what the next one brought.
        if told.age < self.newest.age {
            return;
        }
        self.history.push_back(Sample::of(&self.newest));
        self.newest = told;
        self.heard = now;
        let span = |sample: &Sample| self.newest.age.saturating_sub(sample.age);
        // The first is what rates are measured from: the newest that is old enough.
        while self.history.len() > HISTORY
            || self.history.get(1).is_some_and(|second| span(second) >= RATE_SPAN)
        {
            self.history.pop_front();
        }
    }
}

impl Sample {
    fn of(told: &TaskMeasures) -> Self {
        let operators = told.operators.iter();
        Self {
            age: told.age,
            idle: told.idle,
            backpressured: told.backpressured,
            totals: totals(told),
            operators: operators.clone().map(|o| [o.records_in, o.records_out, o.late]).collect(),
            declared: operators.map(|o| o.declared.iter().map(|d| d.count).collect()).collect(),
        }
    }
}

fn totals(told: &TaskMeasures) -> [u64; 4] {
    [told.records_in, told.records_out, told.bytes_in, told.bytes_out]
}

/// How much of a span was spent how, in thousandths.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Working.
    pub busy: u32,
    /// Waiting for whoever reads the output.
    pub backpressured: u32,
    /// Waiting for input.
    pub idle: u32,
}

impl Measured {
    /// How the task spent the last seconds: milliseconds of each second. A task that has ended does
    /// nothing any more.
    pub fn shares(&self) -> Shares {
        let span = self.span();
        if span.is_zero() || self.still {
            return Shares::default();
        }
        let share = |newest: Duration, before: Duration| {
            let spent = newest.saturating_sub(before).as_nanos();
            (spent.saturating_mul(1000) / span.as_nanos()).min(1000) as u32
        };
        let idle = share(self.newest.idle, self.before.idle);
        let backpressured = share(self.newest.backpressured, self.before.backpressured);
        let backpressured = backpressured.min(1000 - idle);
        Shares { busy: 1000 - idle - backpressured, backpressured, idle }
    }

    /// How many by the second, in the last seconds: records in and out, bytes in and out.
    pub fn rates(&self) -> [f64; 4] {
        let newest = totals(&self.newest);
        [0, 1, 2, 3].map(|n| self.rate(newest[n], Some(self.before.totals[n])))
    }

    /// How many records by the second came into, left, and were late for the n-th operator.
    pub fn operator_rates(&self, number: usize) -> [f64; 3] {
        let Some(newest) = self.newest.operators.get(number) else { return [0.0; 3] };
        let before = self.before.operators.get(number);
        let newest = [newest.records_in, newest.records_out, newest.late];
        [0, 1, 2].map(|n| self.rate(newest[n], before.map(|before| before[n])))
    }

    /// How fast the n-th thing moves that the program of an operator counts.
    pub fn declared_rate(&self, operator: usize, number: usize) -> f64 {
        let newest = self.newest.operators.get(operator);
        let newest = newest.and_then(|operator| operator.declared.get(number));
        let before = self.before.declared.get(operator);
        let before = before.and_then(|counts| counts.get(number)).copied();
        newest.map_or(0.0, |newest| self.rate(newest.count, before))
    }

    fn span(&self) -> Duration {
        self.newest.age.saturating_sub(self.before.age)
    }

    fn rate(&self, newest: u64, before: Option<u64>) -> f64 {
        let span = self.span();
        if span.is_zero() || self.still {
            return 0.0;
        }
        newest.saturating_sub(before.unwrap_or(0)) as f64 / span.as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
