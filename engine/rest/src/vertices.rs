//! The vertices of a job and their subtasks: states, times, task managers.
//! Never tells of an attempt but the current one: nothing is kept of those before it.
//! The job as a whole is in [`crate::detail`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use slackwater_control::metrics::Measured;
use slackwater_control::view::TaskView;
use slackwater_core::fact::TaskStatus;
use slackwater_core::graph::Vertex;
use slackwater_core::id::{TriggerId, VertexId};
use slackwater_core::time::span_millis;

use crate::api::Asked;
use crate::ask::Job;
use crate::clock::NEVER;
use crate::jobs::{TASK_STATES, task_state};
use crate::readings::{Io, aggregated};
use crate::reply::Trouble;

/// A vertex's id as 32 hex digits, as Flink's are: its number, from 1, in the first eight.
pub(crate) fn vertex_id(vertex: VertexId) -> String {
    format!("{:08x}{:024x}", vertex.0 + 1, 0)
}

/// The vertex that the path names.
pub(crate) fn find<'a>(job: &'a Job, asked: &Asked<'_>) -> Result<&'a Vertex, Trouble> {
    // 32 hex digits, whatever they name.
    let TriggerId(id) = asked.parameter("vertexid")?;
    let found = job
        .detail
        .graph
        .vertices
        .iter()
        .find(|vertex| vertex_id(vertex.id) == format!("{id:032x}"));
    found.ok_or_else(|| Trouble::not_found(&format!("JobVertex {id:032x}")))
}

/// The same as a job's list of vertices shows it.
pub(crate) fn line(job: &Job, vertex: &Vertex) -> Value {
    let tasks = tasks(job, vertex);
    let counts = counts(job, &tasks);
    let (start, end, duration) = span(job, &tasks);
    json!({
        "id": vertex_id(vertex.id),
        // One slot takes a subtask of every vertex: all share one group.
        "slotSharingGroupId": format!("{:032x}", job.detail.summary.id.0),
        "name": vertex.name,
        "maxParallelism": job.detail.graph.max_parallelism,
        "parallelism": vertex.parallelism,
        "status": whole(&counts),
        "start-time": start,
        "end-time": end,
        "duration": duration,
        "tasks": counts,
        "metrics": io(job, vertex, &tasks).value(),
    })
}

/// `/jobs/:id/vertices/:vertex`.
pub(crate) fn vertex(job: &Job, vertex: &Vertex) -> Value {
    let tasks = tasks(job, vertex);
    let subtasks: Vec<Value> =
        tasks.iter().map(|(index, task)| subtask(job, vertex, *index, *task)).collect();
    let each: Vec<Io> = tasks.iter().map(|task| io(job, vertex, &[*task])).collect();
    json!({
        "id": vertex_id(vertex.id),
        "name": vertex.name,
        "parallelism": vertex.parallelism,
        "maxParallelism": job.detail.graph.max_parallelism,
        "now": job.times.now(),
        "subtasks": subtasks,
        "aggregated": { "metrics": aggregated(&each), "status-duration": {} },
    })
}

/// `/jobs/:id/vertices/:vertex/subtasks/:index`.
pub(crate) fn one_subtask(job: &Job, vertex: &Vertex, asked: &Asked<'_>) -> Result<Value, Trouble> {
    let index = subtask_index(vertex, asked)?;
    let found = tasks(job, vertex).into_iter().find(|(number, _)| *number == index);
    Ok(subtask(job, vertex, index, found.and_then(|(_, task)| task)))
}

/// The subtask that the path names.
pub(crate) fn subtask_index(vertex: &Vertex, asked: &Asked<'_>) -> Result<u32, Trouble> {
    let index: u32 = asked.parameter("subtaskindex")?;
    let is_there = index < vertex.parallelism;
    let why = format!("subtask {index} of vertex {}", vertex_id(vertex.id));
    is_there.then_some(index).ok_or_else(|| Trouble::not_found(&why))
}

/// `/jobs/:id/vertices/:vertex/subtasktimes`.
pub(crate) fn subtask_times(job: &Job, vertex: &Vertex) -> Value {
    let line = |(index, task): &(u32, Option<&TaskView>)| {
        let mut stamps: BTreeMap<_, i64> =
            TASK_STATES.into_iter().map(|state| (state, 0)).collect();
        for (status, at) in task.iter().flat_map(|task| &task.since) {
            stamps.insert(task_state(job.detail.summary.status, Some(*status)), job.times.at(*at));
        }
        let (_, _, duration) = span(job, &[(*index, *task)]);
        json!({
            "subtask": index,
            "endpoint": task.map(|task| &task.address),
            "duration": duration,
            "timestamps": stamps,
        })
    };
    json!({
        "id": vertex_id(vertex.id),
        "name": vertex.name,
        "now": job.times.now(),
        "subtasks": tasks(job, vertex).iter().map(line).collect::<Vec<_>>(),
    })
}

/// `/jobs/:id/vertices/:vertex/taskmanagers`.
pub(crate) fn task_managers(job: &Job, vertex: &Vertex) -> Value {
    let mut by_name = BTreeMap::<&str, Vec<(u32, Option<&TaskView>)>>::new();
    for (index, task) in tasks(job, vertex) {
        if let Some(task) = task {
            by_name.entry(&task.task_manager).or_default().push((index, Some(task)));
        }
    }
    let line = |(name, tasks): (&&str, &Vec<(u32, Option<&TaskView>)>)| {
        let counts = counts(job, tasks);
        let (start, end, duration) = span(job, tasks);
        let address = tasks.iter().find_map(|(_, task)| task.map(|task| &task.address));
        let each: Vec<Io> = tasks.iter().map(|task| io(job, vertex, &[*task])).collect();
        json!({
            "endpoint": address,
            "status": whole(&counts),
            "start-time": start,
            "end-time": end,
            "duration": duration,
            "metrics": io(job, vertex, tasks).value(),
            "status-counts": counts,
            "taskmanager-id": name,
            "aggregated": { "metrics": aggregated(&each), "status-duration": {} },
        })
    };
    json!({
        "id": vertex_id(vertex.id),
        "name": vertex.name,
        "now": job.times.now(),
        "taskmanagers": by_name.iter().map(line).collect::<Vec<_>>(),
    })
}

/// Every subtask of a vertex, and its task, if it has one.
fn tasks<'a>(job: &'a Job, vertex: &Vertex) -> Vec<(u32, Option<&'a TaskView>)> {
    let of = |index| {
        let is = |task: &&TaskView| task.subtask.vertex == vertex.id && task.subtask.index == index;
        (index, job.detail.tasks.iter().find(is))
    };
    (0..vertex.parallelism).map(of).collect()
}

/// What is known of how the tasks of a vertex fare, by subtask; those that have not said anything are
/// left out.
pub(crate) fn measured<'a>(job: &'a Job, vertex: &Vertex) -> Vec<&'a Measured> {
    of_subtasks(job, vertex).into_iter().filter_map(|(_, task)| task).collect()
}

/// The same with the number of each subtask, and `None` for one that has not said anything.
pub(crate) fn of_subtasks<'a>(job: &'a Job, vertex: &Vertex) -> Vec<(u32, Option<&'a Measured>)> {
    let measured = |task: Option<&'a TaskView>| task.and_then(|task| task.measured.as_deref());
    tasks(job, vertex).into_iter().map(|(index, task)| (index, measured(task))).collect()
}

fn io(job: &Job, vertex: &Vertex, tasks: &[(u32, Option<&TaskView>)]) -> Io {
    let measured = |task: &TaskView| {
        // The last words of a task that has ended may still be on their way.
        task.measured.as_deref().is_some_and(|told| told.newest.ended || over(task).is_none())
    };
    let told = tasks.iter().map(|(_, task)| {
        let task = (*task)?;
        task.measured.as_deref().map(|told| (told, measured(task)))
    });
    let told: Vec<_> = told.collect();
    Io::of(&job.detail.graph, vertex, &told)
}

fn counts(job: &Job, tasks: &[(u32, Option<&TaskView>)]) -> BTreeMap<&'static str, u32> {
    let mut counts: BTreeMap<_, u32> = TASK_STATES.into_iter().map(|state| (state, 0)).collect();
    for (_, task) in tasks {
        let state = task_state(job.detail.summary.status, task.map(|task| task.status));
        *counts.entry(state).or_default() += 1;
    }
    counts
}

/// The state of many tasks together, as Flink adds them up.
fn whole(counts: &BTreeMap<&'static str, u32>) -> &'static str {
    let any = |state: &&str| counts.get(*state).is_some_and(|count| *count > 0);
    let first = ["FAILED", "CANCELING", "CANCELED", "RUNNING", "DEPLOYING", "SCHEDULED", "CREATED"];
    first.into_iter().find(any).unwrap_or("FINISHED")
}

/// From the first deployment to the last end, if all are over.
fn span(job: &Job, tasks: &[(u32, Option<&TaskView>)]) -> (i64, i64, i64) {
    let begun = tasks.iter().filter_map(|(_, task)| begun((*task)?)).min();
    let Some(begun) = begun else { return (NEVER, NEVER, NEVER) };
    let over: Option<Vec<Duration>> = tasks.iter().map(|(_, task)| over((*task)?)).collect();
    job.times.span(begun, over.and_then(|over| over.into_iter().max()))
}

fn begun(task: &TaskView) -> Option<Duration> {
    task.since.get(&TaskStatus::Deploying).copied()
}

fn over(task: &TaskView) -> Option<Duration> {
    let is_over =
        matches!(task.status, TaskStatus::Finished | TaskStatus::Canceled | TaskStatus::Failed);
    task.since.get(&task.status).copied().filter(|_| is_over)
}

fn subtask(job: &Job, vertex: &Vertex, index: u32, task: Option<&TaskView>) -> Value {
    let (start, end, duration) = span(job, &[(index, task)]);
    let now = job.times.0.now;
    let mut lasted = BTreeMap::new();
    let mut until = task.and_then(over).unwrap_or(now);
    // Each state lasts until the next begins; the ends last no time.
    for (status, at) in task.iter().flat_map(|task| task.since.iter().rev()) {
        let status_lasted = span_millis(until.saturating_sub(*at));
        lasted.insert(task_state(job.detail.summary.status, Some(*status)), status_lasted);
        until = *at;
    }
    json!({
        "subtask": index,
        "status": task_state(job.detail.summary.status, task.map(|task| task.status)),
        "attempt": job.detail.summary.attempt.0.saturating_sub(1),
        "endpoint": task.map(|task| &task.address),
        "start-time": start,
        "end-time": end,
        "duration": duration,
        "metrics": io(job, vertex, &[(index, task)]).value(),
        "taskmanager-id": task.map(|task| &task.task_manager),
        "status-duration": lasted,
        "start_time": start,
    })
}
