//! The tasks of a job's current attempt: where each runs, and how far it has come.
//! Decides nothing: it answers who lives, who has finished, and who is where.
//! What follows from that: [`crate::job`] and [`crate::checkpoint`].

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::TaskStatus;
use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId, Subtask, TaskManagerId};

use crate::command::Placement;

/// One task.
#[derive(Debug)]
pub struct Task {
    /// Where it runs.
    pub task_manager: TaskManagerId,
    /// The address of its worker.
    pub address: String,
    /// How far it has come, as last reported.
    pub status: TaskStatus,
    /// When it took each state, on the job manager's clock.
    pub since: BTreeMap<TaskStatus, Duration>,
}

impl Task {
    fn go(&mut self, now: Duration, status: TaskStatus) {
        self.status = status;
        self.since.entry(status).or_insert(now);
    }
}

/// All tasks of one attempt.
#[derive(Debug)]
pub struct Tasks {
    /// The job.
    pub job: JobId,
    /// The leadership term.
    pub epoch: JobEpoch,
    /// The attempt; 0 before the first.
    pub attempt: Attempt,
    by_subtask: BTreeMap<Subtask, Task>,
}

impl Tasks {
    /// No tasks yet: what stands before the attempt that follows `attempt`.
    pub fn none(job: JobId, epoch: JobEpoch, attempt: Attempt) -> Self {
        Self { job, epoch, attempt, by_subtask: BTreeMap::new() }
    }

    /// Begins the next attempt with these tasks, all DEPLOYING.
    pub fn begin(&mut self, now: Duration, placement: &[Placement]) {
        let status = TaskStatus::Deploying;
        let task = |place: &Placement| {
            let (task_manager, address) =
                (place.worker.task_manager.clone(), place.address.clone());
            (place.subtask, Task { task_manager, address, status, since: [(status, now)].into() })
        };
        self.by_subtask = placement.iter().map(task).collect();
        self.attempt = self.attempt.next();
    }

    /// Takes a task's new status; `false` if it is none of these, or over already.
    pub fn take(&mut self, now: Duration, subtask: Subtask, status: TaskStatus) -> bool {
        match self.by_subtask.get_mut(&subtask) {
            Some(task) if !is_over(task.status) => {
                task.go(now, status);
                true
            }
            _ => false,
        }
    }

    /// Ends the tasks that live on this task manager, or on any for `None`; whether there was one.
    pub fn end(&mut self, now: Duration, on: Option<&TaskManagerId>, status: TaskStatus) -> bool {
        let mut any = false;
        for task in self.by_subtask.values_mut() {
            if on.is_none_or(|on| task.task_manager == *on) && !is_over(task.status) {
                task.go(now, status);
                any = true;
            }
        }
        any
    }

    /// Whether every task's status answers.
    pub fn all(&self, answers: fn(TaskStatus) -> bool) -> bool {
        self.by_subtask.values().all(|task| answers(task.status))
    }

    /// All of them, by subtask.
    pub fn iter(&self) -> impl Iterator<Item = (Subtask, &Task)> {
        self.by_subtask.iter().map(|(subtask, task)| (*subtask, task))
    }

    /// The tasks that are not over.
    pub fn live(&self) -> impl Iterator<Item = (Subtask, &TaskManagerId)> {
        let live = self.by_subtask.iter().filter(|(_, task)| !is_over(task.status));
        live.map(|(subtask, task)| (*subtask, &task.task_manager))
    }

    /// The tasks that have finished.
    pub fn finished(&self) -> impl Iterator<Item = Subtask> {
        let finished =
            self.by_subtask.iter().filter(|(_, task)| task.status == TaskStatus::Finished);
        finished.map(|(subtask, _)| *subtask)
    }

    /// The task managers that run tasks which are not over, with those tasks.
    pub fn live_by_host(&self) -> BTreeMap<TaskManagerId, Vec<Subtask>> {
        let mut hosts = BTreeMap::<_, Vec<_>>::new();
        for (subtask, on) in self.live() {
            hosts.entry(on.clone()).or_default().push(subtask);
        }
        hosts
    }

    /// The task managers of all tasks, over or not.
    pub fn hosts(&self) -> Vec<TaskManagerId> {
        let mut hosts: Vec<_> =
            self.by_subtask.values().map(|task| task.task_manager.clone()).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// A subtask's full name in this attempt.
    pub fn execution(&self, subtask: Subtask) -> Execution {
        Execution { job: self.job, epoch: self.epoch, attempt: self.attempt, subtask }
    }
}

/// Whether nothing follows this status.
pub fn is_over(status: TaskStatus) -> bool {
    matches!(status, TaskStatus::Finished | TaskStatus::Canceled | TaskStatus::Failed)
}
