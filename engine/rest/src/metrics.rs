//! Metrics by name, of jobs, vertices, subtasks, task managers and the job manager, as Flink lists and
//! adds them up: names if none is asked for, else those that there are of what is asked.
//! Never an error for a name that nobody knows: it is left out, as there. One task: [`crate::readings`].

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde_json::{Value, json};
use slackwater_control::metrics::Measured;
use slackwater_core::fact::JobStatus;
use slackwater_core::graph::Vertex;
use slackwater_core::id::JobId;
use slackwater_core::time::{EventTime, span_millis};
use slackwater_runtime::wire::message::Overview;

use crate::api::{Api, Asked};
use crate::ask::{self, Job};
use crate::clock::{NEVER, Times};
use crate::readings::{Named, Reading, of_task};
use crate::reply::{Called, Trouble, ok};
use crate::vertices::{self, of_subtasks};

/// Of at most so many jobs metrics are added up.
const JOBS_MAX: usize = 100;

/// What is asked for: `get`, names parted by commas.
fn wanted(asked: &Asked<'_>) -> Option<Vec<String>> {
    asked.query("get").map(|names| names.split(',').map(str::to_owned).collect())
}

/// Names, or the values of those that are asked for.
fn listed(named: Named, asked: &Asked<'_>) -> Value {
    let Some(wanted) = wanted(asked) else {
        return named.iter().map(|(name, _)| json!({ "id": name })).collect();
    };
    let is_wanted = |(name, _): &&(String, Reading)| wanted.contains(name);
    let line =
        |(name, reading): &(String, Reading)| json!({ "id": name, "value": reading.to_string() });
    named.iter().filter(is_wanted).map(line).collect()
}

/// The same of several things: names, or what is asked for added up.
fn added(all: &[Named], asked: &Asked<'_>) -> Result<Value, Trouble> {
    let Some(wanted) = wanted(asked) else {
        let names: BTreeMap<&String, ()> =
            all.iter().flatten().map(|(name, _)| (name, ())).collect();
        return Ok(names.keys().map(|name| json!({ "id": name })).collect());
    };
    let how = asked.query("agg").unwrap_or_else(|| "min,max,avg,sum,skew".into());
    let how: Vec<&str> = how.split(',').collect();
    let unknown = how.iter().find(|how| !["min", "max", "avg", "sum", "skew"].contains(how));
    if let Some(unknown) = unknown {
        return Err(Trouble::parameter("query", "agg", unknown));
    }
    let mut lines = Vec::new();
    for name in wanted {
        let of_name = all.iter().flatten().filter(|(own, _)| *own == name);
        let numbers: Vec<f64> = of_name.filter_map(|(_, reading)| reading.number()).collect();
        if !numbers.is_empty() {
            lines.push(line(&name, &numbers, &how));
        }
    }
    Ok(Value::Array(lines))
}

fn line(name: &str, numbers: &[f64], how: &[&str]) -> Value {
    let (sum, count) = (numbers.iter().sum::<f64>(), numbers.len() as f64);
    let avg = sum / count;
    let mut line = json!({ "id": name });
    for how in how {
        line[*how] = json!(match *how {
            "min" => numbers.iter().copied().fold(f64::INFINITY, f64::min),
            "max" => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            "avg" => avg,
            "sum" => sum,
            // How far they lie apart, in hundredths of their mean.
            _ if avg == 0.0 => 0.0,
            _ => numbers.iter().map(|n| (n - avg).abs()).sum::<f64>() / count / avg * 100.0,
        });
    }
    line
}

/// `/jobs/:id/vertices/:vertex/metrics`: of every subtask, its number before the name.
pub(crate) fn of_vertex(job: &Job, vertex: &Vertex, asked: &Asked<'_>) -> Value {
    let tasks = of_subtasks(job, vertex).into_iter();
    let named = tasks.filter_map(|(index, task)| Some((index, task?))).flat_map(|(index, task)| {
        let named = of_task(&job.detail.graph, vertex, task);
        named.into_iter().map(move |(name, reading)| (format!("{index}.{name}"), reading))
    });
    listed(named.collect(), asked)
}

/// `/jobs/:id/vertices/:vertex/watermarks`.
pub(crate) fn watermarks(job: &Job, vertex: &Vertex) -> Value {
    let known = |(index, task): (u32, Option<&Measured>)| {
        let watermark = task?.newest.watermark;
        let value = watermark.as_millis().to_string();
        let line = json!({ "id": format!("{index}.currentInputWatermark"), "value": value });
        (watermark != EventTime::MIN).then_some(line)
    };
    of_subtasks(job, vertex).into_iter().filter_map(known).collect()
}

/// `/jobs/:id/vertices/:vertex/subtasks/metrics`: of all subtasks together, or of those asked for.
pub(crate) fn of_all_subtasks(
    job: &Job,
    vertex: &Vertex,
    asked: &Asked<'_>,
) -> Result<Value, Trouble> {
    let chosen = asked.query("subtasks").map(|text| ranges(&text)).transpose()?;
    let is_chosen = |index: &u32| {
        let within =
            |chosen: &Vec<(u32, u32)>| chosen.iter().any(|(a, b)| (a..=b).contains(&index));
        chosen.as_ref().is_none_or(within)
    };
    let tasks = of_subtasks(job, vertex).into_iter().filter(|(index, _)| is_chosen(index));
    let named = tasks.filter_map(|(_, task)| Some(of_task(&job.detail.graph, vertex, task?)));
    added(&named.collect::<Vec<_>>(), asked)
}

/// `1,3-5`.
fn ranges(text: &str) -> Result<Vec<(u32, u32)>, Trouble> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    ranges.ok_or_else(|| Trouble::parameter("query", "subtasks", text))
}

/// `/jobs/:id/vertices/:vertex/subtasks/:index/metrics`.
pub(crate) fn of_subtask(job: &Job, vertex: &Vertex, asked: &Asked<'_>) -> Result<Value, Trouble> {
    let index = vertices::subtask_index(vertex, asked)?;
    let found = of_subtasks(job, vertex).into_iter().find(|(number, _)| *number == index);
    let task = found.and_then(|(_, task)| task);
    let named = task.map(|task| of_task(&job.detail.graph, vertex, task));
    Ok(listed(named.unwrap_or_default(), asked))
}

/// `/jobs/:id/vertices/:vertex/backpressure`.
pub(crate) fn backpressure(job: &Job, vertex: &Vertex) -> Value {
    let tasks: Vec<_> =
        of_subtasks(job, vertex).into_iter().filter_map(|(n, task)| Some((n, task?))).collect();
    let Some(heard) = tasks.iter().map(|(_, task)| task.heard).max() else {
        return json!({ "status": "deprecated", "subtasks": [] });
    };
    let level = |share: u32| match share {
        0..=100 => "ok",
        101..=500 => "low",
        _ => "high",
    };
    let ratio = |share: u32| f64::from(share) / 1000.0;
    let subtask = |(index, task): &(u32, &Measured)| {
        let shares = task.shares();
        json!({
            "subtask": index,
            "backpressureLevel": level(shares.backpressured),
            "backpressure-level": level(shares.backpressured),
            "ratio": ratio(shares.backpressured),
            "idleRatio": ratio(shares.idle),
            "busyRatio": ratio(shares.busy),
        })
    };
    let worst = tasks.iter().map(|(_, task)| task.shares().backpressured).max();
    let worst = level(worst.unwrap_or(0));
    json!({
        "status": "ok",
        "backpressureLevel": worst,
        "backpressure-level": worst,
        "end-timestamp": job.times.at(heard),
        "subtasks": tasks.iter().map(subtask).collect::<Vec<_>>(),
    })
}

/// What is known of a job as a whole.
pub(crate) fn of_job(job: &Job) -> Named {
    let Job { times, detail } = job;
    let summary = &detail.summary;
    let runs = summary.status == JobStatus::Running;
    let since = |status| summary.since.get(&status).copied();
    let lasted = |status| match since(status).filter(|_| summary.status == status) {
        Some(begun) => span_millis(times.0.now.saturating_sub(begun)),
        None => 0,
    };
    let down = [JobStatus::Failing, JobStatus::Restarting, JobStatus::Scheduling];
    let uptime = if runs { lasted(JobStatus::Running) } else { NEVER };
    let mut named: Vec<(&str, i64)> = vec![
        ("numRestarts", i64::from(detail.summary.restarts)),
        ("uptime", uptime),
        ("runningTime", lasted(JobStatus::Running)),
        ("restartingTime", lasted(JobStatus::Restarting)),
        ("downtime", down.into_iter().map(lasted).sum()),
    ];
    if let Some(told) = &detail.checkpoints {
        named.extend(of_checkpoints(told, *times));
    }
    named.into_iter().map(|(name, value)| (name.to_owned(), Reading::Whole(value))).collect()
}

fn of_checkpoints(
    told: &slackwater_control::view::CheckpointsView,
    times: Times,
) -> Vec<(&'static str, i64)> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let pending = told.history.iter().filter(|view| view.ended.is_none()).count() as u64;
    let last = told.last_completed.as_ref();
    let of_last =
        |of: &dyn Fn(&slackwater_control::view::CheckpointView) -> i64| last.map_or(NEVER, of);
    let ended = |view: &slackwater_control::view::CheckpointView| view.ended.unwrap_or_default();
    let restored = told.last_restored.as_ref().map_or(NEVER, |restored| times.at(restored.at));
    vec![
        ("totalNumberOfCheckpoints", number(told.completed + told.failed + pending)),
        ("numberOfInProgressCheckpoints", number(pending)),
        ("numberOfCompletedCheckpoints", number(told.completed)),
        ("numberOfFailedCheckpoints", number(told.failed)),
        ("lastCompletedCheckpointId", of_last(&|view| number(view.id.0))),
        ("lastCheckpointSize", of_last(&|view| number(view.times.bytes))),
        ("lastCheckpointFullSize", of_last(&|view| number(view.times.bytes))),
        (
            "lastCheckpointDuration",
            of_last(&|view| span_millis(ended(view).saturating_sub(view.triggered))),
        ),
        ("lastCheckpointCompletedTimestamp", of_last(&|view| times.at(ended(view)))),
        ("lastCheckpointRestoreTimestamp", restored),
    ]
}

/// `/jobs/:id/metrics`.
pub(crate) fn job(job: &Job, asked: &Asked<'_>) -> Value {
    listed(of_job(job), asked)
}

/// `/jobs/metrics`: of all jobs together, or of those that `jobs` names.
pub(crate) async fn jobs(api: &Api, asked: &Asked<'_>) -> Called {
    let chosen: Option<Vec<JobId>> = match asked.query("jobs") {
        None => None,
        Some(text) => {
            let ids: Result<Vec<JobId>, _> = text.split(',').map(str::parse).collect();
            Some(ids.map_err(|_| Trouble::parameter("query", "jobs", &text))?)
        }
    };
    let told = ask::overview(api).await?;
    let ids = told.jobs.iter().rev().map(|job| job.id);
    let ids = ids.filter(|id| chosen.as_ref().is_none_or(|chosen| chosen.contains(id)));
    let mut all = Vec::new();
    for id in ids.take(JOBS_MAX) {
        all.extend(ask::find(api, id).await?.as_ref().map(of_job));
    }
    ok(&added(&all, asked)?)
}

/// `/jobmanager/metrics`.
pub(crate) fn job_manager(told: &Overview, asked: &Asked<'_>) -> Value {
    let slots = |of: fn(&slackwater_control::view::TaskManagerView) -> u32| {
        told.task_managers.iter().map(|own| i64::from(of(own))).sum::<i64>()
    };
    let running = told.jobs.iter().filter(|job| !job.status.is_final()).count() as i64;
    let named = [
        ("numRegisteredTaskManagers", told.task_managers.len() as i64),
        ("numRunningJobs", running),
        ("taskSlotsAvailable", slots(|own| own.free)),
        ("taskSlotsTotal", slots(|own| own.slots)),
    ];
    let named = named.map(|(name, value)| (name.to_owned(), Reading::Whole(value)));
    listed(named.into(), asked)
}

/// What is known of a task manager.
fn of_task_manager(told: &slackwater_control::view::TaskManagerView) -> Named {
    let tasks: u32 = told.tasks.iter().map(|(_, tasks)| tasks).sum();
    let named =
        [("taskSlotsTotal", told.slots), ("taskSlotsAvailable", told.free), ("numTasks", tasks)];
    named.map(|(name, value)| (name.to_owned(), Reading::Whole(i64::from(value)))).into()
}

/// `/taskmanagers/metrics`.
pub(crate) fn task_managers(told: &Overview, asked: &Asked<'_>) -> Result<Value, Trouble> {
    let chosen = asked.query("taskmanagers");
    let chosen: Option<Vec<&str>> = chosen.as_ref().map(|names| names.split(',').collect());
    let is_chosen = |name: &str| chosen.as_ref().is_none_or(|chosen| chosen.contains(&name));
    let own = told.task_managers.iter().filter(|own| is_chosen(&own.name));
    added(&own.map(of_task_manager).collect::<Vec<_>>(), asked)
}

/// `/taskmanagers/:name/metrics`.
pub(crate) fn task_manager(told: &Overview, asked: &Asked<'_>) -> Result<Value, Trouble> {
    let name = asked.path.get("taskmanagerid").map_or("", String::as_str);
    let found = told.task_managers.iter().find(|own| own.name == name);
    let class = "org.apache.flink.runtime.rest.handler.RestHandlerException";
    let why = format!("{class}: Task manager {name} not found.");
    let found = found.ok_or_else(|| Trouble(StatusCode::NOT_FOUND, vec![why]))?;
    Ok(listed(of_task_manager(found), asked))
}
