//! The operators of a job, also those that share a task: what each was given, gave on, and found late.
//! Never adds up what was not measured: a subtask that has not said anything yet counts nothing.
//! A call of our own, for a dashboard; what Flink tells of vertices is in [`crate::vertices`].

use std::collections::BTreeMap;

use serde_json::{Value, json};
use slackwater_control::metrics::Measured;
use slackwater_core::graph::{OperatorInfo, OperatorKind, Vertex};
use slackwater_core::id::VertexId;
use slackwater_core::measure::{Declared, DeclaredKind, OperatorMeasures, SPREAD_PARTS, Spread};
use slackwater_core::time::EventTime;

use crate::ask::Job;
use crate::vertices::{measured, vertex_id};

/// An operator's id as 32 hex digits: its vertex, and its number there; the first one's
/// is its vertex's.
pub(crate) fn operator_id(vertex: &Vertex, number: usize) -> String {
    format!("{:08x}{:08x}{:016x}", vertex.id.0 + 1, number, 0)
}

/// `/jobs/:id/operators`: in the order of the graph.
pub(crate) fn all(job: &Job) -> Value {
    let vertices = job.detail.graph.vertices.iter();
    let lines = vertices.flat_map(|vertex| {
        let tasks = measured(job, vertex);
        let numbered = vertex.operators.iter().enumerate();
        let line = |(number, told)| line(vertex, (number, told), &tasks);
        numbered.map(line).collect::<Vec<_>>()
    });
    Value::Array(lines.collect())
}

fn line(vertex: &Vertex, (number, told): (usize, &OperatorInfo), tasks: &[&Measured]) -> Value {
    let own: Vec<(&OperatorMeasures, [f64; 3])> = tasks
        .iter()
        .filter_map(|task| Some((task.newest.operators.get(number)?, task.operator_rates(number))))
        .collect();
    let sum = |of: fn(&OperatorMeasures) -> u64| own.iter().map(|(own, _)| of(own)).sum::<u64>();
    let rate = |n: usize| own.iter().map(|(_, rates)| rates[n]).sum::<f64>();
    // A sink gives no watermark on: how far it is, is what came in.
    let watermark = |own: &OperatorMeasures| match told.kind {
        OperatorKind::Sink => own.input_watermark,
        _ => own.output_watermark,
    };
    let watermark = own.iter().map(|(own, _)| watermark(own)).min();
    let share = |of: fn(&Measured) -> u32| tasks.iter().map(|task| of(task)).max();
    json!({
        "id": operator_id(vertex, number),
        "name": told.name,
        "uid": told.uid.as_ref().map(|uid| &uid.0),
        "kind": told.kind,
        "vertex": vertex_id(vertex.id),
        "parallelism": vertex.parallelism,
        "measured-subtasks": own.len(),
        "records-in": sum(|own| own.records_in),
        "records-in-per-second": rate(0),
        "records-out": sum(|own| own.records_out),
        "records-out-per-second": rate(1),
        "late-records": sum(|own| own.late),
        "late-records-per-second": rate(2),
        "late-records-dropped": sum(|own| own.dropped),
        "watermark": watermark.filter(|at| *at != EventTime::MIN).map(EventTime::as_millis),
        "busy": share(|task| task.shares().busy),
        "backpressured": share(|task| task.shares().backpressured),
        "idle": tasks.iter().map(|task| task.shares().idle).min(),
        "declared": declared(number, tasks),
        "latencies": latencies(number, tasks),
    })
}

/// What the program counts: in all, by the second, and of each subtask.
fn declared(number: usize, tasks: &[&Measured]) -> Value {
    let of = |task: &Measured| Some(task.newest.operators.get(number)?.declared.clone());
    let Some(first) = tasks.iter().find_map(|task| of(task)) else { return json!([]) };
    // Every subtask declares the same: one program opens them all.
    let line = |(place, known): (usize, &Declared)| {
        let own = tasks.iter().filter_map(|task| {
            let count = of(task)?.get(place)?.count;
            Some((task.newest.task.subtask.index, count, task.declared_rate(number, place)))
        });
        let own: Vec<(u32, u64, f64)> = own.collect();
        json!({
            "name": known.name,
            "kind": match known.kind {
                DeclaredKind::Counter => "counter",
                DeclaredKind::Meter => "meter",
            },
            "count": own.iter().map(|(_, count, _)| count).sum::<u64>(),
            "per-second": own.iter().map(|(_, _, rate)| rate).sum::<f64>(),
            "subtasks": own.iter().map(|(subtask, count, rate)| {
                json!({ "subtask": subtask, "count": count, "per-second": rate })
            }).collect::<Vec<_>>(),
        })
    };
    first.iter().enumerate().map(line).collect()
}

/// How long records take from each source to here, in milliseconds: at the subtask where it takes the
/// longest.
fn latencies(number: usize, tasks: &[&Measured]) -> Value {
    let mut by_source = BTreeMap::<VertexId, (u64, Spread)>::new();
    for own in tasks.iter().filter_map(|task| task.newest.operators.get(number)) {
        for told in &own.latencies {
            let (count, worst) = by_source.entry(told.source).or_default();
            *count += told.count;
            if told.recent.parts_micros >= worst.parts_micros {
                *worst = told.recent;
            }
        }
    }
    let line = |(source, (count, worst)): (VertexId, (u64, Spread))| {
        let part = |part| {
            let place = SPREAD_PARTS.iter().position(|own| *own == part);
            place.map(|place| worst.parts_micros[place] as f64 / 1000.0)
        };
        json!({
            "source": vertex_id(source),
            "count": count,
            "p50": part(500),
            "p95": part(950),
            "p99": part(990),
            "max": worst.max,
        })
    };
    by_source.into_iter().map(line).collect()
}
