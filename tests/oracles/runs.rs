//! Small runs as facts made by hand, and what can be wrong with them, one thing each.
//! Nothing here is measured or drawn. The oracles that must tell the two apart are in `main`.
#![expect(clippy::ptr_arg, reason = "what is done to a run has one shape, whatever it does")]

use std::f64::consts::TAU;

use slackwater_core::codec::encode_batch;
use slackwater_core::element::Batch;
use slackwater_core::fact::{Down, Fact, JobStatus, Records, TaskStatus};
use slackwater_core::graph::Uid;
use slackwater_core::id::{
    Attempt, ChannelId, Execution, JobEpoch, JobId, Subtask, TaskManagerId, VertexId,
};
use slackwater_core::key::Key;
use slackwater_core::point::Point;
use slackwater_core::time::EventTime;
use slackwater_sim::check::LedgerEntry;

pub const JOB: JobId = JobId(7);

fn task(vertex: u32, index: u32) -> Execution {
    let subtask = Subtask { vertex: VertexId(vertex), index };
    Execution { job: JOB, epoch: JobEpoch(1), attempt: Attempt(1), subtask }
}

pub fn at(millis: i64) -> EventTime {
    EventTime::from_millis(millis)
}

/// An account in this one of two key groups.
pub fn account(group: u64) -> u32 {
    (0u32..).find(|account| account.hash64() % 2 == group).expect("half of them are")
}

pub fn entry(id: u64, group: u64, amount: i64, millis: i64) -> LedgerEntry {
    LedgerEntry { id, transaction: 1, account: account(group), amount, at: at(millis) }
}

pub fn submitted() -> Fact {
    Fact::JobSubmitted { job: JOB, name: "job".into(), slots: 1 }
}

pub fn status(from: JobStatus, to: JobStatus, attempt: u32) -> Fact {
    let attempt = Attempt(attempt);
    Fact::JobStatusChanged { job: JOB, attempt, from, to, cause: String::new() }
}

fn task_is(task: Execution, to: TaskStatus) -> Fact {
    Fact::TaskStatusChanged { task, to, cause: String::new() }
}

fn emitted(entries: &[LedgerEntry]) -> Fact {
    let mut batch = Batch::default();
    entries.iter().for_each(|entry| batch.push(entry.at, entry.clone()));
    let records = Records(encode_batch(&batch).expect("plain data"));
    let (uid, rows) = (Uid::from("entries"), entries.len() as u32);
    Fact::SourceEmitted { task: task(0, 0), uid, split: 0, offset: 0, rows, records }
}

fn row(group: u64, (count, sum, xor): (i64, i64, i64)) -> Fact {
    let fields = [("count", count.into()), ("sum", sum.into()), ("xor", xor.into())];
    let point = Point::new("ledger", account(group).to_string(), at(1_000), fields);
    let writer = format!("ledger-sink {}", task(1, group as u32));
    Fact::PointWritten {
        point,
        writer,
        overwrote: false,
        differs: false,
        transaction: String::new(),
    }
}

fn windowed(index: u32, millis: i64) -> Fact {
    let (task, uid) = (task(1, index), Uid::from("seconds"));
    Fact::RecordWindowed { task, uid, time: at(millis), start: at(1_000), end: at(2_000) }
}

/// What a gate over two channels tells as both reach a watermark.
fn reaches(index: u32, watermark: EventTime) -> [Fact; 3] {
    let task = task(1, index);
    let channel = |channel| Fact::ChannelWatermark { task, channel, watermark };
    [channel(0), channel(1), Fact::WatermarkAdvanced { task, watermark }]
}

/// Three entries of two accounts: one in time, one out of order, one too late.
pub fn ledger() -> Vec<Fact> {
    let entries = [entry(21, 0, 5, 1_500), entry(22, 1, -5, 1_200), entry(23, 0, 7, 300)];
    let mut facts = vec![submitted(), task_is(task(0, 0), TaskStatus::Running)];
    for index in 0..2 {
        facts.push(task_is(task(1, index), TaskStatus::Running));
        facts.push(Fact::GateOpened { task: task(1, index), channels: 2 });
    }
    facts.push(emitted(&entries));
    let channel = ChannelId { edge: 0, from: 0, to: 1 };
    facts.push(Fact::CreditExhausted { task: task(0, 0), channel });
    facts.push(Fact::FrameSent { task: task(0, 0), channel, rows: 1, bytes: 40 });
    facts.push(Fact::FrameReceived { channel, rows: 1, bytes: 40 });
    for (index, rows, millis) in [(0, 2, 1_500), (1, 1, 1_200)] {
        facts.push(Fact::BatchReceived { task: task(1, index), channel: 0, rows });
        facts.extend(reaches(index, at(1_499)));
        facts.push(windowed(index, millis));
    }
    let uid = || Uid::from("seconds");
    facts.push(Fact::RecordLate { task: task(1, 0), uid: uid(), rows: 1, watermark: at(1_499) });
    for index in 0..2 {
        facts.extend(reaches(index, EventTime::MAX));
        let (task, start, end) = (task(1, index), at(1_000), at(2_000));
        facts.push(Fact::WindowFired { task, uid: uid(), start, end, rows: 1, records: 1 });
        facts.push(Fact::WindowsOpen { task, uid: uid(), records: 0 });
    }
    facts.push(row(0, (1, 5, 21)));
    facts.push(row(1, (1, -5, 22)));
    let late = Point::new("ledger-late", "23", at(300), [("id", 23i64.into())]);
    facts.push(Fact::PointWritten {
        point: late,
        writer: "late".into(),
        overwrote: false,
        differs: false,
        transaction: String::new(),
    });
    for (index, records_in, late) in [(0, 2, 1), (1, 1, 0)] {
        let task = task(1, index);
        facts.push(Fact::TaskCounted { task, records_in, records_out: 1, late });
        facts.push(task_is(task, TaskStatus::Finished));
    }
    facts.push(status(JobStatus::Running, JobStatus::Finished, 1));
    facts
}

/// The first fact that this is said of.
pub fn first(facts: &mut [Fact], is: impl Fn(&Fact) -> bool) -> &mut Fact {
    facts.iter_mut().find(|fact| is(fact)).expect("it is in the run")
}

/// Another record of the same account, window and amount stands for the one that was emitted.
pub fn another_id_of_the_same_amount(facts: &mut Vec<Fact>) {
    *first(facts, |fact| *fact == row(1, (1, -5, 22))) = row(1, (1, -5, 24));
}

/// It came in, and is neither windowed nor late.
pub fn a_record_that_enters_no_window(facts: &mut Vec<Fact>) {
    facts.retain(|fact| *fact != windowed(1, 1_200));
}

/// Counted, and in no stream.
pub fn a_late_record_that_is_nowhere(facts: &mut Vec<Fact>) {
    facts.retain(
        |fact| !matches!(fact, Fact::PointWritten { point, .. } if point.series == "ledger-late"),
    );
}

/// The second channel has promised nothing, and the gate goes on without it.
pub fn a_watermark_ahead_of_a_channel(facts: &mut Vec<Fact>) {
    facts.retain(|fact| !matches!(fact, Fact::ChannelWatermark { channel: 1, .. }));
}

/// All records went to the other one.
pub fn a_subtask_without_records(facts: &mut Vec<Fact>) {
    let task = task(1, 1);
    facts.retain(|fact| !matches!(fact, Fact::BatchReceived { task: own, .. } if *own == task));
}

/// Everything ran in one process.
pub fn no_frame_between_workers(facts: &mut Vec<Fact>) {
    facts.retain(|fact| !matches!(fact, Fact::FrameReceived { .. } | Fact::FrameSent { .. }));
}

/// A subtask wrote the row of a key that is not its own.
pub fn a_row_of_another_owner(facts: &mut Vec<Fact>) {
    if let Fact::PointWritten { writer, .. } = first(facts, |fact| *fact == row(1, (1, -5, 22))) {
        *writer = format!("ledger-sink {}", task(1, 0));
    }
}

/// Nobody was overtaken.
pub fn records_in_order(facts: &mut Vec<Fact>) {
    let sorted = [entry(23, 0, 7, 300), entry(22, 1, -5, 1_200), entry(21, 0, 5, 1_500)];
    *first(facts, |fact| matches!(fact, Fact::SourceEmitted { .. })) = emitted(&sorted);
}

/// One account's second never became visible.
pub fn a_row_that_is_missing(facts: &mut Vec<Fact>) {
    facts.retain(|fact| *fact != row(1, (1, -5, 22)));
}

/// One of two channels falls silent and the other goes on.
pub fn idle() -> Vec<Fact> {
    let channels = 2;
    let mut facts = vec![submitted(), Fact::GateOpened { task: task(1, 0), channels }];
    facts.push(Fact::SourceIdle { task: task(0, 1), uid: Uid::from("entries") });
    facts.push(Fact::ChannelSilent { task: task(1, 0), channel: 1, silent: true });
    let watermark = at(10);
    facts.push(Fact::ChannelWatermark { task: task(1, 0), channel: 0, watermark });
    facts.push(Fact::WatermarkAdvanced { task: task(1, 0), watermark });
    facts.push(Fact::SourceActive { task: task(0, 1), uid: Uid::from("entries") });
    facts
}

/// The gate waits for a channel that has nothing to say.
pub fn a_watermark_that_waits_for_the_idle(facts: &mut Vec<Fact>) {
    facts.retain(|fact| !matches!(fact, Fact::WatermarkAdvanced { .. }));
}

/// A task manager is killed, comes back, and the job runs again.
pub fn crash() -> Vec<Fact> {
    let node = || "tm-1".to_owned();
    vec![
        submitted(),
        status(JobStatus::Deploying, JobStatus::Running, 1),
        Fact::NodeDown { node: node(), how: Down::Kill },
        status(JobStatus::Running, JobStatus::Restarting, 1),
        Fact::NodeStarted { node: node(), incarnation: 2 },
        status(JobStatus::Deploying, JobStatus::Running, 2),
    ]
}

/// It restarts for ever.
pub fn a_job_that_stays_down(facts: &mut Vec<Fact>) {
    facts.pop();
}

/// A job manager starts again and both task managers come to it.
pub fn new_leader() -> Vec<Fact> {
    let started = || Fact::JobManagerStarted { epoch: JobEpoch(1) };
    let name = |number| TaskManagerId(format!("tm-{number}"));
    let registered = |number| Fact::TaskManagerRegistered { task_manager: name(number), slots: 1 };
    let lost = |number| {
        let cause = "the connection ended".to_owned();
        Fact::JobManagerLost { task_manager: name(number), cause }
    };
    vec![
        started(),
        registered(1),
        registered(2),
        lost(1),
        lost(2),
        started(),
        registered(2),
        registered(1),
    ]
}

/// One of them waits for the old one for ever.
pub fn a_task_manager_that_stays_away(facts: &mut Vec<Fact>) {
    facts.pop();
}

fn summed(key: &str, second: i64, value: f64) -> Fact {
    let point = Point::new("summedSensors", key, at(second * 1_000), [("value", value.into())]);
    Fact::PointWritten {
        point,
        writer: "sink".into(),
        overwrote: false,
        differs: false,
        transaction: String::new(),
    }
}

/// Three seconds of the demo's wave, summed.
pub fn waves() -> Vec<Fact> {
    let mut ticks = Batch::default();
    (0..30).for_each(|tick| ticks.push(at(tick * 100), at(tick * 100)));
    let records = Records(encode_batch(&ticks).expect("plain data"));
    let (uid, rows) = (Uid::from("ticks"), 30);
    let emitted = Fact::SourceEmitted { task: task(0, 0), uid, split: 0, offset: 0, rows, records };
    let mut facts = vec![submitted(), emitted];
    for second in 0..3 {
        facts.push(summed("temp", second, 4.5));
        facts.push(summed("pressure", second, 0.0));
        facts.push(summed("door", second, 5.0));
    }
    facts.push(status(JobStatus::Running, JobStatus::Finished, 1));
    facts
}

/// The last reading of the first second counts for the second one: the sum of both is right.
pub fn a_reading_in_the_next_window(facts: &mut Vec<Fact>) {
    let last = 0.9;
    *first(facts, |fact| *fact == summed("temp", 0, 4.5)) = summed("temp", 0, 4.5 - last);
    *first(facts, |fact| *fact == summed("temp", 1, 4.5)) = summed("temp", 1, 4.5 + last);
}

/// A reading is missing in the middle.
pub fn a_sum_that_is_not_zero(facts: &mut Vec<Fact>) {
    let missing = -(0.9 * TAU).sin();
    *first(facts, |fact| *fact == summed("pressure", 1, 0.0)) = summed("pressure", 1, missing);
}
