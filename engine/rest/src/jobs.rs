//! Jobs as the lists show them, in Flink's words for states of jobs and tasks.
//! Never shows a state that a job is not in: where Flink has no word, the nearest that it lists alike.
//! All of one job is in [`crate::detail`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use slackwater_control::view::JobSummary;
use slackwater_core::fact::{JobStatus, TaskStatus};
use slackwater_core::id::Attempt;
use slackwater_runtime::wire::message::Overview;

use crate::clock::Times;

/// Flink's states of a task, in the order in which a job has to worry about them.
pub(crate) const TASK_STATES: [&str; 10] = [
    "CREATED",
    "SCHEDULED",
    "DEPLOYING",
    "INITIALIZING",
    "RUNNING",
    "FINISHED",
    "CANCELING",
    "CANCELED",
    "FAILED",
    "RECONCILING",
];

/// A job's state in Flink's words. A job that waits for slots is CREATED before its first attempt,
/// RESTARTING after it; one that is being deployed is RUNNING there.
pub(crate) fn state(job: &JobSummary) -> &'static str {
    flink(job.status, job.attempt)
}

fn flink(status: JobStatus, attempt: Attempt) -> &'static str {
    match status {
        JobStatus::Created => "INITIALIZING",
        JobStatus::Scheduling if attempt == Attempt(0) => "CREATED",
        JobStatus::Scheduling | JobStatus::Restarting => "RESTARTING",
        JobStatus::Deploying | JobStatus::Running => "RUNNING",
        JobStatus::Failing => "FAILING",
        JobStatus::Cancelling => "CANCELLING",
        JobStatus::Canceled => "CANCELED",
        JobStatus::Failed => "FAILED",
        JobStatus::Finished => "FINISHED",
    }
}

/// A task's state in Flink's words; `None`: it is not deployed in the attempt that is to come.
pub(crate) fn task_state(job: JobStatus, task: Option<TaskStatus>) -> &'static str {
    let stops = matches!(job, JobStatus::Cancelling | JobStatus::Failing);
    match (job, task) {
        (JobStatus::Scheduling, _) => "SCHEDULED",
        (_, None) => "CREATED",
        (_, Some(TaskStatus::Deploying | TaskStatus::Running)) if stops => "CANCELING",
        (_, Some(TaskStatus::Deploying)) => "DEPLOYING",
        (_, Some(TaskStatus::Running)) => "RUNNING",
        (_, Some(TaskStatus::Finished)) => "FINISHED",
        (_, Some(TaskStatus::Canceled)) => "CANCELED",
        (_, Some(TaskStatus::Failed)) => "FAILED",
    }
}

/// How many of a job's tasks are in each of Flink's states.
pub(crate) fn task_counts(job: &JobSummary) -> BTreeMap<&'static str, u32> {
    let mut counts: BTreeMap<_, u32> = TASK_STATES.into_iter().map(|state| (state, 0)).collect();
    let known: u32 = job.tasks.values().sum();
    for (status, count) in &job.tasks {
        *counts.entry(task_state(job.status, Some(*status))).or_default() += count;
    }
    *counts.entry(task_state(job.status, None)).or_default() += job.total.saturating_sub(known);
    counts
}

/// When a job came to its end, if it has.
pub(crate) fn ended(job: &JobSummary) -> Option<Duration> {
    job.since.get(&job.status).copied().filter(|_| job.status.is_final())
}

/// When a job was last seen in each of Flink's states; 0: never.
pub(crate) fn timestamps(job: &JobSummary, times: Times) -> BTreeMap<&'static str, i64> {
    let states = [
        "INITIALIZING",
        "CREATED",
        "RUNNING",
        "FAILING",
        "FAILED",
        "CANCELLING",
        "CANCELED",
        "FINISHED",
        "RESTARTING",
        "SUSPENDED",
        "RECONCILING",
    ];
    let mut stamps: BTreeMap<_, i64> = states.into_iter().map(|state| (state, 0)).collect();
    // Running is left out: to Flink, a job that is being deployed runs.
    for (status, at) in job.since.iter().filter(|(status, _)| **status != JobStatus::Running) {
        stamps.insert(flink(*status, Attempt(0)), times.at(*at));
    }
    stamps
}

/// `/jobs`.
pub(crate) fn ids(told: &Overview) -> Value {
    let line = |job: &JobSummary| json!({ "id": job.id.to_string(), "status": state(job) });
    // As Flink: the newest first.
    json!({ "jobs": told.jobs.iter().rev().map(line).collect::<Vec<_>>() })
}

/// `/jobs/overview`.
pub(crate) fn overview(told: &Overview) -> Value {
    let line = |job: &JobSummary| line(job, Times(told.clock));
    json!({ "jobs": told.jobs.iter().rev().map(line).collect::<Vec<_>>() })
}

/// `/applications/overview`: every job is one of its own.
pub(crate) fn applications(told: &Overview) -> Value {
    let line = |job: &JobSummary| {
        let (start, end, duration) = Times(told.clock).span(job.submitted, ended(job));
        json!({
            "id": job.id.to_string(),
            "name": format!("SingleJobApplication({})", job.name),
            "start-time": start,
            "end-time": end,
            "duration": duration,
            "status": if job.status.is_final() { state(job) } else { "RUNNING" },
            "jobs": { state(job): 1 },
        })
    };
    json!({ "applications": told.jobs.iter().rev().map(line).collect::<Vec<_>>() })
}

fn line(job: &JobSummary, times: Times) -> Value {
    let (start, end, duration) = times.span(job.submitted, ended(job));
    let mut tasks: serde_json::Map<String, Value> = task_counts(job)
        .iter()
        .map(|(state, count)| (state.to_lowercase(), json!(count)))
        .collect();
    tasks.insert("total".into(), json!(job.total));
    let changed = job.since.values().max().copied().unwrap_or(job.submitted);
    json!({
        "jid": job.id.to_string(),
        "name": job.name,
        "jobType": "STREAMING",
        "schedulerType": "Default",
        "start-time": start,
        "end-time": end,
        "duration": duration,
        "state": state(job),
        "last-modification": times.at(changed),
        "tasks": tasks,
        "pending-operators": 0,
    })
}
