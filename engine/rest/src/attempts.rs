//! The attempts of a job: which one it is in, and why those before it failed.
//! A call of our own: Flink tells failures, but not in which attempt, nor when the next one begins.
//! What Flink tells of failures is in [`crate::detail`].

use serde_json::{Value, json};
use slackwater_control::view::FailureView;

use crate::ask::Job;
use crate::jobs::state;

/// `/jobs/:id/attempts`.
pub(crate) fn all(job: &Job) -> Value {
    let summary = &job.detail.summary;
    let failures: Vec<Value> =
        job.detail.failures.iter().rev().map(|failure| line(job, failure)).collect();
    json!({
        "attempt": summary.attempt.0,
        "state": state(summary),
        "restarts": summary.restarts,
        "cause": summary.cause,
        "tries-again": summary.tries_again.map(|at| job.times.at(at)),
        "slots": summary.slots,
        "failures": failures,
        "failures-forgotten": job.detail.failures_forgotten,
    })
}

fn line(job: &Job, failure: &FailureView) -> Value {
    let task = failure.task.as_ref().map(|(subtask, _)| {
        let vertex = job.detail.graph.vertex(subtask.vertex);
        format!("{} ({}/{})", vertex.name, subtask.index + 1, vertex.parallelism)
    });
    json!({
        "attempt": failure.attempt.0,
        "timestamp": job.times.at(failure.at),
        "cause": failure.cause,
        "task": task,
        "taskmanager": failure.task.as_ref().map(|(_, task_manager)| task_manager),
    })
}
