//! What a task has measured, under Flink's names: what it read and wrote, how it spent its time, its
//! watermarks, its operators, what its program counts, its latencies.
//! Never a name without a value: what was not measured is left out. Many tasks: [`crate::metrics`].

use std::fmt;

use serde_json::{Value, json};
use slackwater_control::metrics::Measured;
use slackwater_core::graph::{JobGraph, OperatorInfo, Vertex};
use slackwater_core::measure::{DeclaredKind, Latencies, OperatorMeasures};
use slackwater_core::time::span_millis;

use crate::operators::operator_id;

/// What a metric stands at.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Reading {
    /// A number of things, or milliseconds.
    Whole(i64),
    /// A rate, or a mean.
    Real(f64),
    /// Whether.
    Flag(bool),
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            // As Java prints it: with a point.
            Self::Real(number) => write!(f, "{number:?}"),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}

impl Reading {
    /// As a number, if it is one.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(number as f64),
            Self::Real(number) => Some(number),
            Self::Flag(_) => None,
        }
    }
}

/// Metrics by name.
pub(crate) type Named = Vec<(String, Reading)>;

fn whole(number: u64) -> Reading {
    Reading::Whole(i64::try_from(number).unwrap_or(i64::MAX))
}

/// All of a task.
pub(crate) fn of_task(graph: &JobGraph, vertex: &Vertex, task: &Measured) -> Named {
    let told = &task.newest;
    let [records_in, records_out, bytes_in, bytes_out] = task.rates();
    let shares = task.shares();
    let millis = |span| Reading::Whole(span_millis(span));
    let nanos = u64::try_from(told.alignment.as_nanos()).unwrap_or(u64::MAX);
    let own = [
        ("numRecordsIn", whole(read(graph, vertex, task))),
        ("numRecordsInPerSecond", Reading::Real(records_in)),
        ("numRecordsOut", whole(told.records_out)),
        ("numRecordsOutPerSecond", Reading::Real(records_out)),
        ("numBytesIn", whole(told.bytes_in)),
        ("numBytesInPerSecond", Reading::Real(bytes_in)),
        ("numBytesOut", whole(told.bytes_out)),
        ("numBytesOutPerSecond", Reading::Real(bytes_out)),
        ("busyTimeMsPerSecond", Reading::Real(f64::from(shares.busy))),
        ("backPressuredTimeMsPerSecond", Reading::Real(f64::from(shares.backpressured))),
        ("idleTimeMsPerSecond", Reading::Real(f64::from(shares.idle))),
        ("accumulateBusyTimeMs", millis(told.busy())),
        ("accumulateBackPressuredTimeMs", millis(told.backpressured)),
        ("accumulateIdleTimeMs", millis(told.idle)),
        ("isBackPressured", Reading::Flag(shares.backpressured > 0)),
        ("checkpointAlignmentTime", whole(nanos)),
        ("currentInputWatermark", Reading::Whole(told.watermark.as_millis())),
    ];
    let mut named: Named = own.map(|(name, reading)| (name.to_owned(), reading)).into();
    for (number, (info, own)) in vertex.operators.iter().zip(&told.operators).enumerate() {
        of_operator(task, (number, info, own), &mut named);
        for latencies in &own.latencies {
            let source = operator_id(graph.vertex(latencies.source), 0);
            let (operator, index) = (operator_id(vertex, number), told.task.subtask.index);
            let scope = format!(
                "latency.source_id.{source}.operator_id.{operator}.operator_subtask_index.{index}."
            );
            of_latencies(&scope, latencies, &mut named);
        }
    }
    named
}

/// What a task has read from others: a source reads from none.
fn read(graph: &JobGraph, vertex: &Vertex, task: &Measured) -> u64 {
    let is_fed = graph.inputs(vertex.id).next().is_some();
    if is_fed { task.newest.records_in } else { 0 }
}

fn of_operator(
    task: &Measured,
    (number, info, own): (usize, &OperatorInfo, &OperatorMeasures),
    named: &mut Named,
) {
    let scope = scope(&info.name);
    let [records_in, records_out, _] = task.operator_rates(number);
    let known = [
        ("numRecordsIn", whole(own.records_in)),
        ("numRecordsInPerSecond", Reading::Real(records_in)),
        ("numRecordsOut", whole(own.records_out)),
        ("numRecordsOutPerSecond", Reading::Real(records_out)),
        ("numLateRecords", whole(own.late)),
        ("numLateRecordsDropped", whole(own.dropped)),
        ("currentInputWatermark", Reading::Whole(own.input_watermark.as_millis())),
        ("currentOutputWatermark", Reading::Whole(own.output_watermark.as_millis())),
    ];
    named.extend(known.map(|(name, reading)| (format!("{scope}.{name}"), reading)));
    for (place, declared) in own.declared.iter().enumerate() {
        let reading = match declared.kind {
            DeclaredKind::Counter => whole(declared.count),
            DeclaredKind::Meter => Reading::Real(task.declared_rate(number, place)),
        };
        named.push((format!("{scope}.{}", self::scope(&declared.name)), reading));
    }
}

/// A name as Flink puts it into the name of a metric.
fn scope(name: &str) -> String {
    name.replace([' ', '.', ':', ','], "_")
}

fn of_latencies(scope: &str, told: &Latencies, named: &mut Named) {
    let recent = &told.recent;
    let millis = |micros: u64| Reading::Real(micros as f64 / 1000.0);
    let mut put = |name: &str, reading| named.push((format!("{scope}latency_{name}"), reading));
    put("min", whole(recent.min.into()));
    put("max", whole(recent.max.into()));
    put("mean", millis(recent.mean_micros));
    put("stddev", millis(recent.deviation_micros));
    let names = ["median", "p75", "p90", "p95", "p98", "p99", "p999"];
    names.iter().zip(recent.parts_micros).for_each(|(name, part)| put(name, millis(part)));
}

/// Linear between the two neighbours at part * (n + 1), as Flink's statistics estimate it; of sorted
/// numbers, at least one.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = (part * (sorted.len() + 1) as f64).clamp(1.0, sorted.len() as f64);
    let (below, share) = (place.floor() as usize, place.fract());
    let (low, high) = (sorted[below - 1], sorted[below.min(sorted.len() - 1)]);
    low + share * (high - low)
}

/// What Flink's overviews tell of a task, or of many.
#[derive(Copy, Clone, Default)]
pub(crate) struct Io {
    read_bytes: u64,
    write_bytes: u64,
    read_records: u64,
    write_records: u64,
    backpressured: i64,
    idle: i64,
    busy: i64,
    /// Whether every task has said what it had to say.
    complete: bool,
}

impl Io {
    /// Of these subtasks; `None`: one that has not said anything yet. Beside each, whether it has said
    /// all that it had to say.
    pub fn of(graph: &JobGraph, vertex: &Vertex, tasks: &[Option<(&Measured, bool)>]) -> Self {
        let empty = Self { complete: !tasks.is_empty(), ..Self::default() };
        tasks.iter().fold(empty, |io, task| {
            let Some((task, whole)) = task else { return Self { complete: false, ..io } };
            let told = &task.newest;
            Self {
                read_bytes: io.read_bytes + told.bytes_in,
                write_bytes: io.write_bytes + told.bytes_out,
                read_records: io.read_records + read(graph, vertex, task),
                write_records: io.write_records + told.records_out,
                backpressured: io.backpressured + span_millis(told.backpressured),
                idle: io.idle + span_millis(told.idle),
                busy: io.busy + span_millis(told.busy()),
                complete: io.complete && *whole,
            }
        })
    }

    pub fn value(&self) -> Value {
        json!({
            "read-bytes": self.read_bytes,
            "read-bytes-complete": self.complete,
            "write-bytes": self.write_bytes,
            "write-bytes-complete": self.complete,
            "read-records": self.read_records,
            "read-records-complete": self.complete,
            "write-records": self.write_records,
            "write-records-complete": self.complete,
            "accumulated-backpressured-time": self.backpressured,
            "accumulated-idle-time": self.idle,
            "accumulated-busy-time": self.busy as f64,
        })
    }

    fn numbers(&self) -> [(&'static str, f64); 7] {
        [
            ("read-bytes", self.read_bytes as f64),
            ("write-bytes", self.write_bytes as f64),
            ("read-records", self.read_records as f64),
            ("write-records", self.write_records as f64),
            ("accumulated-backpressured-time", self.backpressured as f64),
            ("accumulated-idle-time", self.idle as f64),
            ("accumulated-busy-time", self.busy as f64),
        ]
    }
}

/// Each number of several subtasks in short.
pub(crate) fn aggregated(all: &[Io]) -> Value {
    let mut told = serde_json::Map::new();
    for number in 0..if all.is_empty() { 0 } else { 7 } {
        let name = all[0].numbers()[number].0;
        let mut numbers: Vec<f64> = all.iter().map(|io| io.numbers()[number].1).collect();
        numbers.sort_unstable_by(f64::total_cmp);
        let sum: f64 = numbers.iter().sum();
        let part = |part| quantile(&numbers, part) as i64;
        let short = json!({
            "min": numbers[0] as i64,
            "max": numbers[numbers.len() - 1] as i64,
            "avg": (sum / numbers.len() as f64) as i64,
            "sum": sum as i64,
            "median": part(0.5),
            "p25": part(0.25),
            "p75": part(0.75),
            "p95": part(0.95),
        });
        told.insert(name.to_owned(), short);
    }
    Value::Object(told)
}
