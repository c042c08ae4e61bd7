//! The demo's wave over a savepoint as facts made by hand: ten steps, cut in the middle of a window,
//! then twenty; and what can be wrong with it. No engine has written these facts, as in `lasting`,
//! whose bytes they share. Who tries them is `main`.
#![expect(clippy::ptr_arg, reason = "what is done to a run has one shape, whatever it does")]

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use slackwater_core::checkpoint::{
    CheckpointKind, CheckpointMetadata, Contents, SplitPosition, StateFile, StateHandle,
    VertexState,
};
use slackwater_core::codec::encode_batch;
use slackwater_core::element::Batch;
use slackwater_core::fact::{Fact, JobStatus, Records};
use slackwater_core::graph::Uid;
use slackwater_core::id::{
    Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, TriggerId, VertexId,
};
use slackwater_core::joblog::{LogEvent, Start};
use slackwater_core::point::Point;
use slackwater_core::program::Program;
use slackwater_core::time::EventTime;
use xxhash_rust::xxh3::xxh3_64;

use super::lasting::{log_of, metadata, put};
use super::runs::{JOB, at, first};

/// The job that goes on from the savepoint.
const LATER: JobId = JobId(8);
/// Ticks before the savepoint: two whole windows, and half of a third.
const BEFORE: u64 = 25;
/// All of them.
const TICKS: u64 = 60;
/// The id of the savepoint.
const SAVED: CheckpointId = CheckpointId(3);
const FOLDER: &str = "savepoint-000000-0000000000ab";
/// What stands behind the names of the fork's series.
const TAG: &str = "-fork";

/// A wave of so many steps, which begins at this tick with this step.
#[derive(Clone, Copy)]
struct Wave {
    steps: u64,
    from: u64,
    step: u64,
}

const OLD: Wave = Wave { steps: 10, from: 0, step: 0 };
const NEW: Wave = Wave { steps: 20, from: BEFORE, step: BEFORE % 10 };

impl Wave {
    fn phase(self, tick: u64) -> f64 {
        ((self.step + tick - self.from) % self.steps) as f64 / self.steps as f64
    }
}

/// The phase at a tick: of the old wave before the savepoint, of the new one after it.
fn phase(tick: u64) -> f64 {
    if tick < BEFORE { OLD.phase(tick) } else { NEW.phase(tick) }
}

fn time(tick: u64) -> EventTime {
    at(i64::try_from(tick).expect("small") * 100)
}

fn address() -> String {
    format!("file:///savepoints/{FOLDER}")
}

fn program(settings: &[(&str, &str)]) -> Program {
    let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Program { settings: settings.collect::<BTreeMap<_, _>>(), ..Program::named("oscon") }
}

fn written(series: &str, key: &str, (tick, value): (u64, f64)) -> Fact {
    Fact::PointWritten {
        point: Point::new(series, key.to_owned(), time(tick), [("value", value.into())]),
        writer: "sink".into(),
        overwrote: false,
        differs: false,
        transaction: String::new(),
    }
}

/// The ticks of a source, and the readings that come of them.
fn emitted(job: JobId, tag: &str, ticks: std::ops::Range<u64>) -> Vec<Fact> {
    let mut batch = Batch::default();
    ticks.clone().for_each(|tick| batch.push(time(tick), time(tick)));
    let records = Records(encode_batch(&batch).expect("plain data"));
    let subtask = Subtask { vertex: VertexId(0), index: 0 };
    let task = Execution { job, epoch: JobEpoch(1), attempt: Attempt(1), subtask };
    let (uid, rows) = (Uid::from("ticks"), batch.values.len() as u32);
    let mut facts =
        vec![Fact::SourceEmitted { task, uid, split: 0, offset: ticks.start, rows, records }];
    let series = format!("sensors{tag}");
    facts.extend(ticks.map(|tick| written(&series, "temp", (tick, phase(tick)))));
    facts
}

/// The sums of these windows.
fn summed(tag: &str, windows: std::ops::Range<u64>) -> impl Iterator<Item = Fact> {
    let series = format!("summedSensors{tag}");
    windows.flat_map(move |window| {
        let ticks = window * 10..window * 10 + 10;
        let sum = |value: fn(f64) -> f64| ticks.clone().map(|tick| value(phase(tick))).sum();
        let door = |phase: f64| f64::from(u8::from(phase > 0.4));
        let sums: [(&str, f64); 3] = [
            ("temp", sum(|phase| phase)),
            ("pressure", sum(|phase| (phase * TAU).sin())),
            ("door", sum(door)),
        ];
        sums.map(|(key, sum)| written(&series, key, (window * 10, sum)))
    })
}

fn state() -> Vec<u8> {
    b"the state of a source".to_vec()
}

fn saved() -> CheckpointMetadata {
    let bytes = state();
    let (length, checksum) = (bytes.len() as u64, xxh3_64(&bytes));
    let file = StateFile { path: "0-0-a1".into(), length, checksum };
    let greatest = Some(time(BEFORE - 1));
    let position = SplitPosition { uid: Uid::from("ticks"), split: 0, offset: BEFORE, greatest };
    let vertex = VertexState {
        vertex: VertexId(0),
        uids: vec![Uid::from("ticks")],
        parallelism: 1,
        subtasks: vec![StateHandle::File(file)],
        contents: Contents { positions: vec![position], ..Contents::default() },
    };
    let program = program(&[("wave", "10")]);
    let kind = CheckpointKind::Savepoint;
    CheckpointMetadata { kind, program, ..metadata(SAVED, Attempt(1), vec![vertex]) }
}

fn typed(step: &str, line: &str, said: String) -> [Fact; 2] {
    let (step, line) = (step.to_owned(), line.to_owned());
    [Fact::StepBegan { step: step.clone(), line }, Fact::StepDone { step, code: 0, said }]
}

/// What the savepoint becomes, from its trigger to its answer.
fn saving() -> Vec<Fact> {
    let (job, attempt, checkpoint) = (JOB, Attempt(1), SAVED);
    let trigger = TriggerId(0xab);
    let event = LogEvent::Saved {
        trigger,
        path: address(),
        metadata: Box::new(saved()),
        ids_below: CheckpointId(11),
    };
    let folder = format!("savepoints/{FOLDER}");
    let mut facts =
        vec![Fact::SavepointTriggered { job, attempt, checkpoint, trigger, ending: None }];
    facts.push(put(format!("{folder}/0-0-a1"), state()));
    facts.push(log_of(JOB, (2, 1), event));
    facts.push(put(format!("{folder}/_metadata"), saved().seal().expect("plain data")));
    let (path, bytes) = (address(), state().len() as u64);
    facts.push(Fact::SavepointCompleted { job, attempt, checkpoint, path, bytes });
    facts.extend(typed("save", "savepoint $job", format!("{}\n", address())));
    facts
}

/// A job that begins with the savepoint, and what it writes.
fn resumed(job: JobId, step: &str, tag: &str) -> Vec<Fact> {
    let from = Start { folder: address(), metadata: Box::new(saved()), reset_watermarks: false };
    let program = program(&[("wave", "20"), ("tag", tag)]);
    let event = LogEvent::Submitted { program, from: Some(from), graph: None };
    let said = format!("submitted oscon as job {job}\n");
    let mut facts = typed(step, "run -d -s $save oscon", said).to_vec();
    facts.push(log_of(job, (1, 1), event));
    facts.push(Fact::JobSubmitted { job, name: "oscon".into(), slots: 1 });
    facts.extend(emitted(job, tag, BEFORE..TICKS));
    facts.extend(summed(tag, BEFORE / 10..TICKS / 10));
    facts.push(ended(job, JobStatus::Finished));
    facts
}

fn ended(job: JobId, to: JobStatus) -> Fact {
    let (attempt, from) = (Attempt(1), JobStatus::Running);
    Fact::JobStatusChanged { job, attempt, from, to, cause: String::new() }
}

/// A wave of ten steps, a savepoint in the middle of a window, and a wave of twenty from there on;
/// and, under a name of its own, once more.
pub fn waves() -> Vec<Fact> {
    let mut facts = vec![Fact::JobSubmitted { job: JOB, name: "oscon".into(), slots: 1 }];
    let event =
        LogEvent::Submitted { program: program(&[("wave", "10")]), from: None, graph: None };
    facts.push(log_of(JOB, (1, 1), event));
    facts.extend(emitted(JOB, "", 0..BEFORE));
    facts.extend(summed("", 0..BEFORE / 10));
    facts.extend(saving());
    facts.push(ended(JOB, JobStatus::Canceled));
    facts.extend(resumed(LATER, "resume", ""));
    facts.extend(resumed(JobId(9), "again", TAG));
    facts
}

/// The wave begins anew where it should go on.
pub fn a_wave_that_jumps(facts: &mut Vec<Fact>) {
    let begins = written("sensors", "temp", (BEFORE, phase(BEFORE)));
    *first(facts, |fact| *fact == begins) = written("sensors", "temp", (BEFORE, 0.0));
}

/// The window that was open at the savepoint lacks what had fallen into it before.
pub fn a_window_that_forgets_what_was_saved(facts: &mut Vec<Fact>) {
    let ticks = BEFORE / 10 * 10..BEFORE;
    let lost: f64 = ticks.map(phase).sum();
    let open = |fact: &Fact| {
        matches!(fact, Fact::PointWritten { point, .. }
            if point.series == "summedSensors" && point.key == "temp" && point.time == time(20))
    };
    let whole: f64 = (20..30).map(phase).sum();
    *first(facts, open) = written("summedSensors", "temp", (20, whole - lost));
}

/// A row of the fork is another than the same row of the job beside it.
pub fn a_fork_that_goes_its_own_way(facts: &mut Vec<Fact>) {
    let of_fork = |fact: &Fact| matches!(fact, Fact::PointWritten { point, .. } if point.series.ends_with(TAG));
    *first(facts, of_fork) = written(&format!("sensors{TAG}"), "temp", (BEFORE, 0.0));
}

/// The engine tidies up a savepoint as if it were its own.
pub fn a_savepoint_that_is_swept(facts: &mut Vec<Fact>) {
    facts.push(Fact::StoreDeleted { path: format!("savepoints/{FOLDER}/0-0-a1") });
}

/// The folder says that it holds a savepoint before the log does.
pub fn a_savepoint_that_is_seen_too_early(facts: &mut Vec<Fact>) {
    let is_metadata =
        |fact: &Fact| matches!(fact, Fact::StorePut { path, .. } if path.ends_with("_metadata"));
    let published = facts.iter().position(is_metadata).expect("the savepoint is published");
    facts.swap(published - 1, published);
}

/// A person is told of a savepoint that lies nowhere.
pub fn a_savepoint_that_is_not_there(facts: &mut Vec<Fact>) {
    let is_metadata =
        |fact: &Fact| matches!(fact, Fact::StorePut { path, .. } if path.ends_with("_metadata"));
    facts.retain(|fact| !is_metadata(fact));
}
