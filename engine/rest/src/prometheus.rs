//! `/metrics`: what is measured of the cluster and of jobs that are not over, as Prometheus reads it.
//! Never keeps anything between two scrapes, and never tells twice under the same labels. Counters
//! begin again with each attempt of a job, as `rate` expects it. As Flink names it: [`crate::metrics`].

mod page;

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::StatusCode;
use slackwater_control::metrics::Measured;
use slackwater_core::graph::Vertex;
use slackwater_core::measure::{LATENCY_BOUNDS, Latencies, OperatorMeasures};
use slackwater_core::time::EventTime;
use slackwater_runtime::wire::message::Overview;

use self::page::{Format, Kind, Labels, Page, Sample};
use crate::api::{Api, Asked};
use crate::ask::{self, Job};
use crate::jobs::state;
use crate::operators::operator_id;
use crate::reply::{Called, Reply, Trouble};
use crate::vertices::{of_subtasks, vertex_id};

/// Of at most so many jobs it is told, the newest first.
const JOBS_MAX: usize = 100;

/// `/metrics`.
pub(crate) async fn scrape(api: &Api, asked: &Asked<'_>) -> Called {
    let told = ask::overview(api).await?;
    let mut page = Page::default();
    of_cluster(&told, &mut page);
    let lives = told.jobs.iter().rev().filter(|job| !job.status.is_final());
    for summary in lives.take(JOBS_MAX) {
        if let Some(job) = ask::find(api, summary.id).await? {
            of_job(&job, &mut page);
        }
    }
    let format = Format::accepted(asked.accept);
    let text = page.text(format).map_err(|_| {
        Trouble(StatusCode::INTERNAL_SERVER_ERROR, vec!["the metrics have no text".into()])
    })?;
    let body = Bytes::from(text);
    Ok(Reply { status: StatusCode::OK, content_type: format.content_type(), body, last: false })
}

fn of_cluster(told: &Overview, page: &mut Page) {
    let slots = told.task_managers.iter().map(|own| own.slots).sum::<u32>();
    let free = told.task_managers.iter().map(|own| own.free).sum::<u32>();
    for (name, help, value) in [
        ("task_managers", "Task managers that are registered", told.task_managers.len() as f64),
        ("task_slots", "Slots of all task managers", f64::from(slots)),
        ("task_slots_available", "Slots that no job holds", f64::from(free)),
    ] {
        page.put((name, help, Kind::Gauge), Labels::default(), value);
    }
    let mut states = BTreeMap::<&str, u32>::new();
    told.jobs.iter().for_each(|job| *states.entry(state(job)).or_default() += 1);
    let family = ("jobs", "Jobs by their state", Kind::Gauge);
    for (state, count) in states {
        page.put(family, Labels::default().with("state", state), f64::from(count));
    }
}

fn of_job(job: &Job, page: &mut Page) {
    let detail = &job.detail;
    let own = Labels::default()
        .with("job_id", &detail.summary.id.to_string())
        .with("job_name", &detail.summary.name);
    let restarts = ("job_restarts", "Restarts of the job after a failure", Kind::Counter);
    page.put(restarts, own.clone(), f64::from(detail.summary.restarts));
    if let Some(told) = &detail.checkpoints {
        for (name, help, value) in [
            ("job_checkpoints_completed", "Checkpoints that completed", told.completed),
            ("job_checkpoints_failed", "Checkpoints that were given up", told.failed),
        ] {
            page.put((name, help, Kind::Counter), own.clone(), value as f64);
        }
        if let Some(last) = &told.last_completed {
            let took = last.ended.unwrap_or_default().saturating_sub(last.triggered);
            let (name, help) = ("job_last_checkpoint", "How long the last one took");
            page.put((name, help, Kind::Seconds), own.clone(), took.as_secs_f64());
            let (name, help) = ("job_last_checkpoint_state", "How much the last one holds");
            page.put((name, help, Kind::Bytes), own.clone(), last.times.bytes as f64);
        }
    }
    for vertex in &detail.graph.vertices {
        let own = own.with("vertex_id", &vertex_id(vertex.id)).with("vertex", &vertex.name);
        for (index, task) in of_subtasks(job, vertex) {
            if let Some(task) = task {
                of_task(job, vertex, task, (&own.with("subtask", &index.to_string()), page));
            }
        }
    }
}

fn of_task(job: &Job, vertex: &Vertex, task: &Measured, (own, page): (&Labels, &mut Page)) {
    let told = &task.newest;
    for (name, help, kind, value) in [
        ("task_records_in", "Records that came in", Kind::Counter, told.records_in as f64),
        ("task_records_out", "Records sent to other tasks", Kind::Counter, told.records_out as f64),
        ("task_received", "Bytes of frames that came in", Kind::ByteCounter, told.bytes_in as f64),
        ("task_sent", "Bytes of frames that went out", Kind::ByteCounter, told.bytes_out as f64),
        ("task_busy", "Time at work", Kind::SecondCounter, told.busy().as_secs_f64()),
        ("task_idle", "Time without input", Kind::SecondCounter, told.idle.as_secs_f64()),
        (
            "task_backpressured",
            "Time for which readers of the output had no room",
            Kind::SecondCounter,
            told.backpressured.as_secs_f64(),
        ),
        (
            "task_checkpoint_alignment",
            "How long the last barrier took to align",
            Kind::Seconds,
            told.alignment.as_secs_f64(),
        ),
    ] {
        page.put((name, help, kind), own.clone(), value);
    }
    let family = ("task_watermark", "Event time of all channels together", Kind::Seconds);
    of_watermark(family, told.watermark, (own, page));
    for (number, (info, measured)) in vertex.operators.iter().zip(&told.operators).enumerate() {
        let id = operator_id(vertex, number);
        let own = own.with("operator_id", &id).with("operator", &info.name);
        of_operator(measured, (&own, page));
        for latencies in &measured.latencies {
            let source = &job.detail.graph.vertex(latencies.source).name;
            let source_id = vertex_id(latencies.source);
            let own = own.with("source_id", &source_id).with("source", source);
            of_latencies(latencies, (own, page));
        }
    }
}

fn of_watermark(
    family: (&'static str, &'static str, Kind),
    at: EventTime,
    (own, page): (&Labels, &mut Page),
) {
    match at {
        EventTime::MIN => {}
        // The end of event time.
        EventTime::MAX => page.put(family, own.clone(), f64::INFINITY),
        at => page.put(family, own.clone(), at.as_millis() as f64 / 1000.0),
    }
}

fn of_operator(told: &OperatorMeasures, (own, page): (&Labels, &mut Page)) {
    for (name, help, value) in [
        ("operator_records_in", "Records that the operator was given", told.records_in),
        ("operator_records_out", "Records that it gave on", told.records_out),
        ("operator_late_records", "Records that came too late for their window", told.late),
        ("operator_dropped_records", "Late records that nobody reads", told.dropped),
    ] {
        page.put((name, help, Kind::Counter), own.clone(), value as f64);
    }
    let family = ("operator_input_watermark", "Event time that came in", Kind::Seconds);
    of_watermark(family, told.input_watermark, (own, page));
    let family = ("operator_output_watermark", "Event time that was given on", Kind::Seconds);
    of_watermark(family, told.output_watermark, (own, page));
    for declared in &told.declared {
        page.put_declared(&declared.name, own.clone(), declared.count as f64);
    }
}

fn of_latencies(told: &Latencies, (own, page): (Labels, &mut Page)) {
    let bounds = LATENCY_BOUNDS.iter().map(|millis| *millis as f64 / 1000.0).chain([f64::INFINITY]);
    let buckets = bounds.zip(told.buckets.iter().copied()).collect();
    let sample = Sample::Histogram { sum: told.sum as f64 / 1000.0, count: told.count, buckets };
    let help = "How long records take from a source to here, as markers measure it";
    page.put_sample(("operator_latency", help, Kind::Histogram), own, sample);
}
