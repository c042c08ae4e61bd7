//! All of one job: its vertices, its plan, its settings, its failures, its end.
//! Never invents what is not measured: sums that lack a task are marked incomplete, as Flink's are.
//! A vertex alone is in [`crate::vertices`], checkpoints in [`crate::checkpoints`].

use std::collections::BTreeMap;

use serde_json::{Value, json};
use slackwater_control::view::{FailureView, JobDetail};
use slackwater_core::fact::JobStatus;
use slackwater_core::graph::{Partition, Restart, Vertex};
use slackwater_core::time::span_millis;

use crate::ask::Job;
use crate::clock::{NEVER, Times};
use crate::jobs::{ended, state, task_counts, timestamps};
use crate::vertices::{self, vertex_id};

/// How many failures are told if nobody says.
const EXCEPTIONS: usize = 16;

/// `/jobs/:id`.
pub(crate) fn job(job: &Job) -> Value {
    let Job { times, detail } = job;
    let summary = &detail.summary;
    let (start, end, duration) = times.span(summary.submitted, ended(summary));
    let vertices: Vec<Value> =
        detail.graph.vertices.iter().map(|vertex| vertices::line(job, vertex)).collect();
    json!({
        "jid": summary.id.to_string(),
        "application-id": summary.id.to_string(),
        "name": summary.name,
        "isStoppable": false,
        "state": state(summary),
        "job-type": "STREAMING",
        "schedulerType": "Default",
        "start-time": start,
        "end-time": end,
        "duration": duration,
        "maxParallelism": detail.graph.max_parallelism,
        "now": times.now(),
        "timestamps": timestamps(summary, *times),
        "vertices": vertices,
        "status-counts": task_counts(summary),
        "plan": plan(detail),
        "pending-operators": 0,
    })
}

/// `/jobs/:id/plan`.
pub(crate) fn plan(detail: &JobDetail) -> Value {
    let graph = &detail.graph;
    let node = |vertex: &Vertex| {
        let inputs: Vec<Value> = (0u32..)
            .zip(graph.inputs(vertex.id))
            .map(|(number, (_, edge))| {
                json!({
                    "id": vertex_id(edge.from),
                    "num": number,
                    "exchange": "pipelined_bounded",
                    "ship_strategy": strategy(edge.partition),
                })
            })
            .collect();
        let mut node = json!({
            "id": vertex_id(vertex.id),
            "operator": "",
            "parallelism": vertex.parallelism,
            "operator_strategy": "",
            "description": format!("{}<br/>", vertex.name),
            "optimizer_properties": {},
        });
        if !inputs.is_empty() {
            node["inputs"] = json!(inputs);
        }
        node
    };
    // As Flink: sinks first.
    json!({
        "jid": detail.summary.id.to_string(),
        "name": detail.summary.name,
        "type": "STREAMING",
        "nodes": graph.vertices.iter().rev().map(node).collect::<Vec<_>>(),
    })
}

fn strategy(partition: Partition) -> &'static str {
    match partition {
        Partition::Forward => "FORWARD",
        Partition::Hash => "HASH",
        Partition::Rebalance => "REBALANCE",
        Partition::Broadcast => "BROADCAST",
    }
}

/// `/jobs/:id/config`.
pub(crate) fn config(detail: &JobDetail) -> Value {
    let settings: BTreeMap<_, _> = detail.settings.iter().cloned().collect();
    json!({
        "jid": detail.summary.id.to_string(),
        "name": detail.summary.name,
        "execution-config": {
            "restart-strategy": restart(detail.graph.restart),
            "job-parallelism": detail.graph.slots(),
            "object-reuse-mode": false,
            "user-config": settings,
        },
    })
}

fn restart(restart: Restart) -> String {
    match restart {
        Restart::None => "Restart deactivated.".into(),
        Restart::FixedDelay { attempts, delay } => {
            format!("Restart with fixed delay ({delay:?}). #{attempts} restart attempts.")
        }
        Restart::Exponential { initial, max, factor_permille, .. } => {
            let factor = f64::from(factor_permille) / 1000.0;
            format!("Restart with exponential delay (from {initial:?} to {max:?}, times {factor}).")
        }
        Restart::FailureRate { failures, window, delay } => {
            format!("Restart with {failures} failures in {window:?} allowed, after {delay:?}.")
        }
    }
}

/// `/jobs/:id/exceptions`.
pub(crate) fn exceptions(job: &Job, max: Option<&str>) -> Value {
    let max = max.and_then(|max| max.parse().ok()).unwrap_or(EXCEPTIONS);
    let failures = &job.detail.failures;
    let entries = failures.iter().rev().take(max).map(|failure| exception(job, failure));
    let truncated = failures.len() > max || job.detail.failures_forgotten > 0;
    json!({
        "exceptionHistory": { "entries": entries.collect::<Vec<_>>(), "truncated": truncated },
    })
}

fn exception(job: &Job, failure: &FailureView) -> Value {
    let name = failure.task.as_ref().map(|(subtask, _)| {
        let vertex = job.detail.graph.vertex(subtask.vertex);
        let (number, all) = (subtask.index + 1, vertex.parallelism);
        format!("{} ({number}/{all}) - execution #{}", vertex.name, failure.attempt)
    });
    let task_manager = failure.task.as_ref().map(|(_, task_manager)| task_manager);
    let address = job.detail.tasks.iter().find(|task| Some(&task.task_manager) == task_manager);
    json!({
        "exceptionName": "slackwater.JobFailure",
        "stacktrace": failure.cause,
        "timestamp": job.times.at(failure.at),
        "failureLabels": {},
        "taskName": name,
        "endpoint": address.map(|task| &task.address),
        "taskManagerId": task_manager,
        "concurrentExceptions": [],
    })
}

/// `/jobs/:id/execution-result`.
pub(crate) fn execution_result(job: &Job) -> Value {
    let Job { times, detail } = job;
    let summary = &detail.summary;
    let Some(end) = ended(summary) else {
        return json!({ "status": { "id": "IN_PROGRESS" } });
    };
    let (start, end, lasted) = Times::span(*times, summary.submitted, Some(end));
    let application = match summary.status {
        JobStatus::Finished => "SUCCEEDED",
        JobStatus::Canceled => "CANCELED",
        _ => "FAILED",
    };
    let mut result = json!({
        "id": summary.id.to_string(),
        "name": summary.name,
        "application-status": application,
        "accumulator-results": {},
        "net-runtime": lasted,
        "application-id": summary.id.to_string(),
        "start-time": start,
        "end-time": end,
    });
    if summary.status == JobStatus::Failed {
        let class = "org.apache.flink.runtime.client.JobExecutionException";
        result["failure-cause"] = crate::throwable::told(class, &summary.cause);
    }
    json!({ "status": { "id": "COMPLETED" }, "job-execution-result": result })
}

/// `/jobs/:id/accumulators`: there are none.
pub(crate) fn accumulators() -> Value {
    json!({
        "job-accumulators": [],
        "user-task-accumulators": [],
        "serialized-user-task-accumulators": {},
    })
}

/// A span in milliseconds; -1: none is set.
pub(crate) fn millis(span: Option<std::time::Duration>) -> i64 {
    span.map_or(NEVER, span_millis)
}
