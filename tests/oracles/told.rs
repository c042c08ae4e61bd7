//! The demo's control stream as facts made by hand: an amplitude before a checkpoint, one behind it
//! that a crash takes away, one that is told after the restart; and what can be wrong with it. No
//! engine has written these facts. Who tries them is `main`.
#![expect(clippy::ptr_arg, reason = "what is done to a run has one shape, whatever it does")]

use std::ops::Range;

use serde::{Deserialize, Serialize};
use slackwater_core::codec::encode_batch;
use slackwater_core::element::Batch;
use slackwater_core::fact::{Fact, Records};
use slackwater_core::graph::Uid;
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, Subtask, VertexId};
use slackwater_core::point::Point;
use slackwater_core::time::EventTime;

use super::runs::{JOB, at, submitted};

/// A line as the control source has read it.
#[derive(Clone, Serialize, Deserialize)]
struct Control {
    key: String,
    amplitude: f64,
}

fn task(vertex: u32, attempt: u32) -> Execution {
    let subtask = Subtask { vertex: VertexId(vertex), index: 0 };
    Execution { job: JOB, epoch: JobEpoch(1), attempt: Attempt(attempt), subtask }
}

fn time(tick: u64) -> EventTime {
    at(i64::try_from(tick).expect("small") * 100)
}

/// A line of the control socket, read by an attempt.
fn told(attempt: u32, (offset, amplitude): (u64, f64)) -> Fact {
    let mut batch = Batch::default();
    batch.push(time(offset), Control { key: "pressure".to_owned(), amplitude });
    let records = Records(encode_batch(&batch).expect("plain data"));
    let uid = Uid::from("control");
    Fact::SourceEmitted { task: task(1, attempt), uid, split: 0, offset, rows: 1, records }
}

fn written(series: &str, tick: u64, value: f64) -> Fact {
    let fields = [("value", value.into())];
    Fact::PointWritten {
        point: Point::new(series, "pressure".to_owned(), time(tick), fields),
        writer: "sink".into(),
        overwrote: false,
        differs: false,
        transaction: String::new(),
    }
}

/// Ticks of an attempt, each a reading of a half, amplified so.
fn ticks(attempt: u32, ticks: Range<u64>, amplitude: f64) -> Vec<Fact> {
    let mut batch = Batch::default();
    ticks.clone().for_each(|tick| batch.push(time(tick), time(tick)));
    let (rows, uid) = (batch.values.len() as u32, Uid::from("ticks"));
    let records = Records(encode_batch(&batch).expect("plain data"));
    let task = task(0, attempt);
    let mut facts =
        vec![Fact::SourceEmitted { task, uid, split: 0, offset: ticks.start, rows, records }];
    for tick in ticks {
        facts.push(written("sensors", tick, 0.5));
        facts.push(written("amplifiedSensors", tick, 0.5 * amplitude));
    }
    facts
}

/// The first checkpoint lies between the ticks 5 and 6; the crash after tick 9.
pub fn amplified() -> Vec<Fact> {
    let checkpoint = CheckpointId(1);
    let barrier = |vertex| Fact::BarrierInjected { task: task(vertex, 1), checkpoint };
    let mut facts = vec![submitted()];
    facts.extend(ticks(1, 0..3, 0.0));
    facts.push(told(1, (0, 2.0)));
    facts.extend(ticks(1, 3..6, 2.0));
    facts.extend([barrier(1), told(1, (1, 4.0)), barrier(0)]);
    facts.extend(ticks(1, 6..10, 4.0));
    facts.push(Fact::JobRestored { job: JOB, attempt: Attempt(2), checkpoint });
    facts.extend(ticks(2, 6..14, 2.0));
    facts.push(told(2, (1, 3.0)));
    facts.extend(ticks(2, 14..24, 3.0));
    facts
}

/// Changes what was written last of some ticks.
fn rewrite(facts: &mut Vec<Fact>, ticks: Range<u64>, amplitude: f64) {
    for tick in ticks {
        let is = |fact: &Fact| match fact {
            Fact::PointWritten { point, .. } => {
                point.series == "amplifiedSensors" && point.time == time(tick)
            }
            _ => false,
        };
        let place = facts.iter().rposition(is).expect("every tick is amplified");
        facts[place] = written("amplifiedSensors", tick, 0.5 * amplitude);
    }
}

pub fn an_amplitude_that_a_restart_forgets(facts: &mut Vec<Fact>) {
    rewrite(facts, 6..14, 0.0);
}

pub fn an_amplitude_that_no_checkpoint_held(facts: &mut Vec<Fact>) {
    rewrite(facts, 6..14, 4.0);
}

pub fn a_last_word_that_nobody_hears(facts: &mut Vec<Fact>) {
    rewrite(facts, 14..24, 2.0);
}

pub fn a_reading_that_is_not_amplified(facts: &mut Vec<Fact>) {
    facts.retain(|fact| match fact {
        Fact::PointWritten { point, .. } => {
            point.series != "amplifiedSensors" || point.time != time(12)
        }
        _ => true,
    });
}
