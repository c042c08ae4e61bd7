//! The checkpoints and savepoints of a job: counts, history, settings, parts.
//! Never tells of a checkpoint that is not kept any more, and never of bytes that nobody counted.
//! What they are made of: `slackwater_control::view`.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use slackwater_control::view::{
    CheckpointState, CheckpointView, CheckpointsView, PartView, RestoredView,
};
use slackwater_core::graph::Vertex;
use slackwater_core::savepoint::Ending;
use slackwater_core::time::span_millis;

use crate::api::Asked;
use crate::ask::Job;
use crate::clock::{NEVER, Times};
use crate::detail::millis;
use crate::reply::Trouble;
use crate::vertices::vertex_id;

/// Where a checkpoint lies that no person asked for: in the engine's own keeping.
const NOT_ADDRESSABLE: &str = "<checkpoint-not-externally-addressable>";

fn of(job: &Job) -> Result<&CheckpointsView, Trouble> {
    let why = "Checkpointing has not been enabled.";
    let none = || Trouble::refused(StatusCode::NOT_FOUND, why);
    job.detail.checkpoints.as_ref().ok_or_else(none)
}

/// `/jobs/:id/checkpoints`.
pub(crate) fn all(job: &Job) -> Result<Value, Trouble> {
    let (times, told) = (job.times, of(job)?);
    let pending = told.history.iter().filter(|view| view.state == CheckpointState::InProgress);
    let pending = pending.count() as u64;
    let one = |view: &Option<CheckpointView>| view.as_ref().map(|view| line(times, view));
    let complete: Vec<&CheckpointView> =
        told.history.iter().filter(|view| view.state == CheckpointState::Completed).collect();
    let bytes = || complete.iter().map(|view| view.times.bytes as i64).collect();
    let took = complete.iter().map(|view| span_millis(lasted(times, view))).collect();
    Ok(json!({
        "counts": {
            "restored": told.restored,
            "total": told.completed + told.failed + pending,
            "in_progress": pending,
            "completed": told.completed,
            "failed": told.failed,
        },
        "summary": {
            "checkpointed_size": summary(bytes()),
            "state_size": summary(bytes()),
            "end_to_end_duration": summary(took),
            "alignment_buffered": summary(complete.iter().map(|_| 0).collect()),
            "processed_data": summary(Vec::new()),
            "persisted_data": summary(complete.iter().map(|_| 0).collect()),
        },
        "latest": {
            "completed": one(&told.last_completed),
            "savepoint": one(&told.last_savepoint),
            "failed": one(&told.last_failed),
            "restored": told.last_restored.as_ref().map(|restored| taken_up(times, restored)),
        },
        "history": told.history.iter().map(|view| line(times, view)).collect::<Vec<_>>(),
    }))
}

/// `/jobs/:id/checkpoints/config`.
pub(crate) fn config(job: &Job) -> Result<Value, Trouble> {
    of(job)?;
    let config = job.detail.graph.checkpoints.clone().unwrap_or_default();
    let storage = match config.is_inline() {
        true => "JobManagerCheckpointStorage",
        false => "FileSystemCheckpointStorage",
    };
    Ok(json!({
        "mode": "exactly_once",
        // Flink's word for "only when asked".
        "interval": config.interval.map_or(i64::MAX, span_millis),
        "timeout": span_millis(config.timeout),
        "min_pause": span_millis(config.min_pause),
        "max_concurrent": 1,
        "externalization": { "enabled": false, "delete_on_cancellation": true },
        "state_backend": "HashMapStateBackend",
        "checkpoint_storage": storage,
        "unaligned_checkpoints": false,
        "tolerable_failed_checkpoints": config.tolerated_failures,
        "aligned_checkpoint_timeout": 0,
        "checkpoints_after_tasks_finish": true,
        "state_changelog_enabled": false,
        "changelog_periodic_materialization_interval": millis(None),
        "changelog_storage": "none",
    }))
}

/// `/jobs/:id/checkpoints/details/:checkpoint`.
pub(crate) fn one(job: &Job, asked: &Asked<'_>) -> Result<Value, Trouble> {
    let view = find(job, asked)?;
    let mut value = line(job.times, view);
    let vertices = job.detail.graph.vertices.iter();
    let tasks: BTreeMap<String, Value> = vertices
        .filter(|vertex| parts(view, vertex).next().is_some())
        .map(|vertex| (vertex_id(vertex.id), of_vertex(job.times, view, vertex)))
        .collect();
    value["tasks"] = json!(tasks);
    Ok(value)
}

/// `/jobs/:id/checkpoints/details/:checkpoint/subtasks/:vertex`.
pub(crate) fn part(job: &Job, vertex: &Vertex, asked: &Asked<'_>) -> Result<Value, Trouble> {
    let view = find(job, asked)?;
    let (times, mut value) = (job.times, of_vertex(job.times, view, vertex));
    let all: Vec<&PartView> = parts(view, vertex).collect();
    let of = |told: fn(&PartView) -> Duration| {
        summary(all.iter().map(|part| span_millis(told(part))).collect())
    };
    let bytes = || summary(all.iter().map(|part| part.times.bytes as i64).collect());
    let took = all.iter().map(|part| span_millis(part.at.saturating_sub(view.triggered)));
    value["summary"] = json!({
        "checkpointed_size": bytes(),
        "state_size": bytes(),
        "end_to_end_duration": summary(took.collect()),
        "checkpoint_duration": {
            "sync": of(|part| part.times.sync),
            "async": of(|part| part.times.write),
        },
        "alignment": {
            "buffered": summary(all.iter().map(|_| 0).collect()),
            "processed": summary(Vec::new()),
            "persisted": summary(all.iter().map(|_| 0).collect()),
            "duration": of(|part| part.times.alignment),
        },
        "start_delay": summary(Vec::new()),
    });
    let subtask = |index| {
        let found = all.iter().find(|part| part.subtask.index == index);
        found.map_or_else(|| missing(index), |part| subtask(times, view, part))
    };
    value["subtasks"] = (0..vertex.parallelism).map(subtask).collect();
    Ok(value)
}

fn find<'a>(job: &'a Job, asked: &Asked<'_>) -> Result<&'a CheckpointView, Trouble> {
    let (told, id) = (of(job)?, asked.parameter::<u64>("checkpointid")?);
    let latest = [&told.last_completed, &told.last_savepoint, &told.last_failed];
    let mut known = told.history.iter().chain(latest.into_iter().flatten());
    known.find(|view| view.id.0 == id).ok_or_else(|| {
        let why = format!("Could not find checkpointing statistics for checkpoint {id}.");
        Trouble::refused(StatusCode::NOT_FOUND, &why)
    })
}

fn line(times: Times, view: &CheckpointView) -> Value {
    let (class, status) = match view.state {
        CheckpointState::InProgress => ("in_progress", "IN_PROGRESS"),
        CheckpointState::Completed => ("completed", "COMPLETED"),
        CheckpointState::Failed => ("failed", "FAILED"),
    };
    let kind = match (view.savepoint, view.ending) {
        (None, _) => "CHECKPOINT",
        (Some(_), None) => "SAVEPOINT",
        (Some(_), Some(Ending::Stop | Ending::Drain)) => "SYNC_SAVEPOINT",
    };
    let mut value = json!({
        "className": class,
        "id": view.id.0,
        "status": status,
        "is_savepoint": view.savepoint.is_some(),
        "savepointFormat": view.savepoint.map(|_| "CANONICAL"),
        "trigger_timestamp": times.at(view.triggered),
        "latest_ack_timestamp": latest(times, &mut view.parts.iter()),
        "checkpointed_size": view.times.bytes,
        "state_size": view.times.bytes,
        "end_to_end_duration": span_millis(lasted(times, view)),
        "alignment_buffered": 0,
        "processed_data": NEVER,
        "persisted_data": 0,
        "num_subtasks": view.subtasks,
        "num_acknowledged_subtasks": view.parts.len(),
        "checkpoint_type": kind,
        "tasks": {},
    });
    match view.state {
        CheckpointState::InProgress => {}
        CheckpointState::Completed => {
            let path = if view.path.is_empty() { NOT_ADDRESSABLE } else { &view.path };
            value["external_path"] = json!(path);
            value["discarded"] = json!(view.discarded);
        }
        CheckpointState::Failed => {
            value["failure_timestamp"] = json!(view.ended.map_or(NEVER, |at| times.at(at)));
            value["failure_message"] = json!(view.cause);
        }
    }
    value
}

fn taken_up(times: Times, restored: &RestoredView) -> Value {
    json!({
        "id": restored.id.0,
        "restore_timestamp": times.at(restored.at),
        "is_savepoint": restored.path.is_some(),
        "external_path": restored.path.as_deref().unwrap_or(NOT_ADDRESSABLE),
    })
}

fn of_vertex(times: Times, view: &CheckpointView, vertex: &Vertex) -> Value {
    let all: Vec<&PartView> = parts(view, vertex).collect();
    let bytes: u64 = all.iter().map(|part| part.times.bytes).sum();
    let status = match (view.state, all.len() as u32 == vertex.parallelism) {
        (_, true) | (CheckpointState::Completed, _) => "COMPLETED",
        (CheckpointState::InProgress, _) => "IN_PROGRESS",
        (CheckpointState::Failed, _) => "FAILED",
    };
    let last = all.iter().map(|part| part.at).max();
    let took = last.map(|last| last.saturating_sub(view.triggered));
    json!({
        "id": view.id.0,
        "status": status,
        "latest_ack_timestamp": latest(times, &mut all.iter().copied()),
        "checkpointed_size": bytes,
        "state_size": bytes,
        "end_to_end_duration": millis(took),
        "alignment_buffered": 0,
        "processed_data": NEVER,
        "persisted_data": 0,
        "num_subtasks": vertex.parallelism,
        "num_acknowledged_subtasks": all.len(),
    })
}

fn subtask(times: Times, view: &CheckpointView, part: &PartView) -> Value {
    json!({
        "className": "completed",
        "index": part.subtask.index,
        "ack_timestamp": times.at(part.at),
        "end_to_end_duration": span_millis(part.at.saturating_sub(view.triggered)),
        "checkpointed_size": part.times.bytes,
        "state_size": part.times.bytes,
        "checkpoint": {
            "sync": span_millis(part.times.sync),
            "async": span_millis(part.times.write),
        },
        "alignment": {
            "buffered": 0,
            "processed": NEVER,
            "persisted": 0,
            "duration": span_millis(part.times.alignment),
        },
        "start_delay": NEVER,
        "unaligned_checkpoint": false,
        "aborted": false,
        "status": "completed",
    })
}

fn missing(index: u32) -> Value {
    json!({ "className": "pending", "index": index, "status": "pending_or_failed" })
}

fn parts<'a>(
    view: &'a CheckpointView,
    vertex: &'a Vertex,
) -> impl Iterator<Item = &'a PartView> + use<'a> {
    view.parts.iter().filter(|part| part.subtask.vertex == vertex.id)
}

fn latest(times: Times, parts: &mut dyn Iterator<Item = &PartView>) -> i64 {
    parts.map(|part| part.at).max().map_or(NEVER, |at| times.at(at))
}

fn lasted(times: Times, view: &CheckpointView) -> Duration {
    view.ended.unwrap_or(times.0.now).saturating_sub(view.triggered)
}

/// Numbers in short: of none, what Flink says of none.
fn summary(mut numbers: Vec<i64>) -> Value {
    numbers.sort_unstable();
    let (Some(min), Some(max)) = (numbers.first(), numbers.last()) else {
        return json!({
            "min": 0, "max": 0, "avg": 0,
            "p50": "NaN", "p90": "NaN", "p95": "NaN", "p99": "NaN", "p999": "NaN",
        });
    };
    let avg = numbers.iter().sum::<i64>() / numbers.len() as i64;
    let sorted: Vec<f64> = numbers.iter().map(|number| *number as f64).collect();
    let quantile = |part| crate::readings::quantile(&sorted, part);
    json!({
        "min": min, "max": max, "avg": avg,
        "p50": quantile(0.5), "p90": quantile(0.9), "p95": quantile(0.95),
        "p99": quantile(0.99), "p999": quantile(0.999),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_short_are_those_that_flink_tells() {
        // Recorded: 13 checkpoints that took 13 to 39 ms.
        let took = vec![39, 36, 20, 19, 13, 20, 21, 22, 18, 17, 24, 19, 23];
        let told = summary(took);
        let expected = json!({ "min": 13, "max": 39, "avg": 22, "p50": 20.0, "p90": 37.8 });
        for (name, number) in expected.as_object().expect("an object") {
            let near = told[name].as_f64().expect("a number") - number.as_f64().expect("a number");
            assert!(near.abs() < 1e-9, "{name}: {told}");
        }
        assert_eq!(summary(Vec::new())["p50"], "NaN");
    }
}
