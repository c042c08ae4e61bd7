//! What a job says of itself: how it came to where it is, why it failed, what its tasks do.
//! Never decides: it is written down as it happens, and copied for whoever asks.
//! What the copies look like is [`crate::view`]; who decides is [`super`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use slackwater_core::fact::{JobStatus, TaskStatus};
use slackwater_core::id::{Subtask, TaskManagerId};

use super::Job;
use crate::checkpoint::Coordinator;
use crate::tasks::{Tasks, is_over};
use crate::view::{FailureView, JobDetail, JobSummary, JobView, TaskView};

/// How many failures are kept.
const FAILURES_KEPT: usize = 16;

/// How a job came to where it is.
#[derive(Debug)]
pub(super) struct Life {
    since: BTreeMap<JobStatus, Duration>,
    failures: VecDeque<FailureView>,
    forgotten: u32,
    /// The task whose failure is about to be the job's.
    blamed: Option<Subtask>,
}

impl Life {
    /// One that begins now.
    pub fn from(now: Duration) -> Self {
        let since = [(JobStatus::Created, now)].into();
        Self { since, failures: VecDeque::new(), forgotten: 0, blamed: None }
    }

    /// The job has come to a state.
    pub fn reached(&mut self, now: Duration, status: JobStatus) {
        self.since.insert(status, now);
    }

    /// What fails next does so because of this task.
    pub fn blame(&mut self, subtask: Subtask) {
        self.blamed = Some(subtask);
    }

    /// The job has failed.
    pub fn failed(&mut self, now: Duration, tasks: &Tasks, cause: &str) {
        let host = |blamed: Subtask| {
            let task = tasks.iter().find(|(subtask, _)| *subtask == blamed)?.1;
            Some((blamed, task.task_manager.0.clone()))
        };
        let task = self.blamed.take().and_then(host);
        let (attempt, cause) = (tasks.attempt, cause.to_owned());
        self.failures.push_back(FailureView { at: now, attempt, cause, task });
        if self.failures.len() > FAILURES_KEPT {
            self.failures.pop_front();
            self.forgotten += 1;
        }
    }
}

impl Job {
    /// The job as `list` shows it.
    pub fn view(&self) -> JobView {
        let coordinator = self.coordinator.as_ref();
        JobView {
            id: self.plan.job,
            name: self.plan.graph.name.clone(),
            status: self.status,
            attempt: self.tasks.attempt,
            submitted: self.submitted,
            cause: self.cause.clone(),
            restarts: self.restarts,
            last_completed: coordinator.and_then(Coordinator::last_completed),
            pending: coordinator.and_then(Coordinator::pending),
            checkpoints: coordinator.map(Coordinator::statistics).unwrap_or_default(),
        }
    }

    /// The job as an overview shows it.
    pub fn summary(&self) -> JobSummary {
        let mut tasks = BTreeMap::<TaskStatus, u32>::new();
        self.tasks.iter().for_each(|(_, task)| *tasks.entry(task.status).or_default() += 1);
        JobSummary {
            id: self.plan.job,
            name: self.plan.graph.name.clone(),
            status: self.status,
            attempt: self.tasks.attempt,
            submitted: self.submitted,
            since: self.life.since.clone(),
            tasks,
            total: self.plan.graph.vertices.iter().map(|vertex| vertex.parallelism).sum(),
            slots: self.plan.graph.slots(),
            restarts: self.restarts,
            tries_again: (self.status == JobStatus::Restarting).then_some(self.not_before),
            cause: self.cause.clone(),
        }
    }

    /// All that is known of it.
    pub fn detail(&self) -> JobDetail {
        let task = |(subtask, task): (Subtask, &crate::tasks::Task)| TaskView {
            subtask,
            status: task.status,
            task_manager: task.task_manager.0.clone(),
            address: task.address.clone(),
            since: task.since.clone(),
            measured: None,
        };
        // As the end of a job sweeps them: a failed one keeps its checkpoints.
        let swept = self.status.is_final() && self.status != JobStatus::Failed;
        let settings = &self.plan.program.settings;
        JobDetail {
            summary: self.summary(),
            graph: self.plan.graph.clone(),
            settings: settings.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            tasks: self.tasks.iter().map(task).collect(),
            failures: self.life.failures.iter().cloned().collect(),
            failures_forgotten: self.life.forgotten,
            checkpoints: self.coordinator.as_ref().map(|own| own.view(swept)),
        }
    }

    /// How many of its tasks run on a task manager.
    pub fn live_tasks(&self, on: &TaskManagerId) -> u32 {
        let lives = |task: &crate::tasks::Task| task.task_manager == *on && !is_over(task.status);
        self.tasks.iter().filter(|(_, task)| lives(task)).count() as u32
    }
}
