//! What is told of the cluster: the overview, task managers, settings.
//! Never invents a number: what is not measured is `-1`. Jobs are told in [`crate::jobs`].
//! Where it comes from: `slackwater_control::view`.

use hyper::StatusCode;
use serde_json::{Value, json};
use slackwater_control::view::{JobSummary, TaskManagerView};
use slackwater_core::fact::JobStatus;
use slackwater_runtime::wire::message::Overview;

use crate::api::RestConfig;
use crate::clock::Times;
use crate::reply::Trouble;

/// What we call ourselves where Flink says its version.
const VERSION: &str = concat!("slackwater ", env!("CARGO_PKG_VERSION"));

/// What was not measured.
const UNKNOWN: i64 = -1;

/// `/config`.
pub(crate) fn config() -> Value {
    json!({
        "refresh-interval": 3000,
        "timezone-name": "Coordinated Universal Time",
        "timezone-offset": 0,
        "flink-version": VERSION,
        "flink-revision": "unknown",
        "features": {
            "web-submit": false,
            "web-cancel": true,
            "web-rescale": false,
            "web-history": false,
        },
    })
}

/// `/jobmanager/config`.
pub(crate) fn settings(config: &RestConfig) -> Value {
    let entry = |(key, value): &(String, String)| json!({ "key": key, "value": value });
    config.settings.iter().map(entry).collect()
}

/// `/overview`.
pub(crate) fn overview(told: &Overview) -> Value {
    let count = |is: fn(JobStatus) -> bool| {
        told.jobs.iter().filter(|job: &&JobSummary| is(job.status)).count()
    };
    let slots = |of: fn(&TaskManagerView) -> u32| told.task_managers.iter().map(of).sum::<u32>();
    json!({
        "taskmanagers": told.task_managers.len(),
        "slots-total": slots(|task_manager| task_manager.slots),
        "slots-available": slots(|task_manager| task_manager.free),
        "jobs-running": count(|status| !status.is_final()),
        "jobs-finished": count(|status| status == JobStatus::Finished),
        "jobs-cancelled": count(|status| status == JobStatus::Canceled),
        "jobs-failed": count(|status| status == JobStatus::Failed),
        "flink-version": VERSION,
        "flink-commit": "unknown",
    })
}

/// `/taskmanagers`.
pub(crate) fn task_managers(told: &Overview) -> Value {
    let all: Vec<Value> =
        told.task_managers.iter().map(|own| line(Times(told.clock), own)).collect();
    json!({ "taskmanagers": all })
}

/// `/taskmanagers/:name`.
pub(crate) fn task_manager(told: &Overview, name: &str) -> Option<Value> {
    let found = told.task_managers.iter().find(|task_manager| task_manager.name == name)?;
    let mut value = line(Times(told.clock), found);
    let mut jobs = found.holders.clone();
    jobs.dedup();
    let held = jobs.iter().map(|job| {
        let tasks = found.tasks.iter().find(|(holder, _)| holder == job);
        json!({
            "jobId": job.to_string(),
            "resource": resource(),
            "assignedTasks": tasks.map_or(0, |(_, tasks)| *tasks),
        })
    });
    value["allocatedSlots"] = held.collect();
    value["metrics"] = memory();
    Some(value)
}

/// No task manager has this name.
pub(crate) fn unknown(name: &str) -> Trouble {
    let class = "org.apache.flink.runtime.resourcemanager.exceptions.UnknownTaskExecutorException";
    let why = format!("{class}: No TaskExecutor registered under {name}.");
    // As Flink answers this one.
    let errors =
        vec!["Internal server error.".into(), format!("<Exception on server side:\n{why}")];
    Trouble(StatusCode::INTERNAL_SERVER_ERROR, errors)
}

fn line(times: Times, told: &TaskManagerView) -> Value {
    let address = told.workers.first().map_or("", String::as_str);
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    json!({
        "id": told.name,
        "path": address,
        "dataPort": port.unwrap_or(UNKNOWN),
        "jmxPort": UNKNOWN,
        // A moment, for all its name.
        "timeSinceLastHeartbeat": told.heard.map_or(UNKNOWN, |heard| times.at(heard)),
        "slotsNumber": told.slots,
        "freeSlots": told.free,
        "assignedTasks": told.tasks.iter().map(|(_, tasks)| tasks).sum::<u32>(),
        "totalResource": resource(),
        "freeResource": resource(),
        "hardware": {
            "cpuCores": UNKNOWN,
            "physicalMemory": UNKNOWN,
            "freeMemory": UNKNOWN,
            "managedMemory": UNKNOWN,
        },
        "memoryConfiguration": {
            "frameworkHeap": UNKNOWN,
            "taskHeap": UNKNOWN,
            "frameworkOffHeap": UNKNOWN,
            "taskOffHeap": UNKNOWN,
            "networkMemory": UNKNOWN,
            "managedMemory": UNKNOWN,
            "jvmMetaspace": UNKNOWN,
            "jvmOverhead": UNKNOWN,
            "totalFlinkMemory": UNKNOWN,
            "totalProcessMemory": UNKNOWN,
        },
    })
}

/// What a Java virtual machine would say of itself.
fn memory() -> Value {
    let names = [
        "heapUsed",
        "heapCommitted",
        "heapMax",
        "nonHeapUsed",
        "nonHeapCommitted",
        "nonHeapMax",
        "directCount",
        "directUsed",
        "directMax",
        "mappedCount",
        "mappedUsed",
        "mappedMax",
        "nettyShuffleMemorySegmentsAvailable",
        "nettyShuffleMemorySegmentsUsed",
        "nettyShuffleMemorySegmentsTotal",
        "nettyShuffleMemoryAvailable",
        "nettyShuffleMemoryUsed",
        "nettyShuffleMemoryTotal",
    ];
    let unknown = |name: &&str| ((*name).to_owned(), json!(UNKNOWN));
    let mut told: serde_json::Map<_, _> = names.iter().map(unknown).collect();
    told.insert("garbageCollectors".into(), json!([]));
    Value::Object(told)
}

fn resource() -> Value {
    json!({
        "cpuCores": -1.0,
        "taskHeapMemory": UNKNOWN,
        "taskOffHeapMemory": UNKNOWN,
        "managedMemory": UNKNOWN,
        "networkMemory": UNKNOWN,
        "extendedResources": {},
    })
}
