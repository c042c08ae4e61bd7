//! A small run with checkpoints as facts made by hand: it crashes, comes back, and ends; and what
//! can be wrong with it. The bytes in its store are sealed here, by the codec alone, so that the
//! oracles are tried on files that no engine has written. Who tries them is `main`.
#![expect(clippy::ptr_arg, reason = "what is done to a run has one shape, whatever it does")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use slackwater_core::checkpoint::{
    CheckpointKind, CheckpointMetadata, Contents, METADATA_FORMAT, SplitPosition, StateFile,
    StateHandle, VertexState,
};
use slackwater_core::codec::{Kind, encode_batch, seal};
use slackwater_core::element::{Batch, LatencyMarker};
use slackwater_core::fact::{Down, Fact, JobStatus, Records, TaskStatus};
use slackwater_core::graph::Uid;
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, VertexId};
use slackwater_core::joblog::LogEvent;
use slackwater_core::key::Key;
use slackwater_core::point::Point;
use slackwater_core::program::Program;
use slackwater_core::schema::Fingerprint;
use slackwater_core::time::ProcessingTime;
use slackwater_sim::check::LedgerEntry;
use xxhash_rust::xxh3::xxh3_64;

use super::runs::{JOB, account, at, entry, first, status, submitted};

/// What is wrong with a checkpoint's bytes, so that everything else still fits them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Twist {
    Nothing,
    RecordBehindTheBarrier,
    WindowLeftOut,
    WatermarkAhead,
    OffsetAhead,
    AnotherOffsetTold,
    TransactionForgotten,
}

fn task(attempt: u32, vertex: u32) -> Execution {
    let subtask = Subtask { vertex: VertexId(vertex), index: 0 };
    Execution { job: JOB, epoch: JobEpoch(1), attempt: Attempt(attempt), subtask }
}

pub fn put(path: String, content: Vec<u8>) -> Fact {
    let (bytes, content) = (content.len() as u64, Records(content));
    Fact::StorePut { path, bytes, created: true, content }
}

fn named<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("plain data")
}

fn log(number: u64, epoch: u64, event: LogEvent) -> Fact {
    log_of(JOB, (number, epoch), event)
}

/// An entry of a job's log: which one, of which leader.
pub fn log_of(job: JobId, (number, epoch): (u64, u64), event: LogEvent) -> Fact {
    #[derive(Serialize)]
    struct Entry {
        job: JobId,
        number: u64,
        epoch: JobEpoch,
        event: LogEvent,
    }
    let entry = Entry { job, number, epoch: JobEpoch(epoch), event };
    let bytes = seal(Kind::LogEntry, 1, Fingerprint(0), &named(&entry));
    put(format!("jobs/{job}/log/{number:012}"), bytes)
}

fn deployed(number: u64, attempt: u32) -> Fact {
    let (task_managers, ids_below) = (Vec::new(), CheckpointId(11));
    let attempt = Attempt(attempt);
    log(number, 1, LogEvent::Deployed { attempt, task_managers, failures: 0, ids_below })
}

/// Which part of a state.
#[derive(Copy, Clone, Serialize)]
enum Share {
    Group(u16),
    Item(u32),
}

/// A section as it lies in a file.
fn section(uid: &str, state: &str, share: Share, entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Header<'a> {
        uid: &'a str,
        state: &'a str,
        share: Share,
        max_parallelism: u16,
        schema: &'a str,
        entries: u64,
    }
    #[derive(Serialize)]
    struct Outer<'a> {
        uid: &'a str,
        state: &'a str,
        share: Share,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    }
    let max_parallelism = if matches!(share, Share::Group(_)) { 2 } else { 0 };
    let count = entries.len() as u64;
    let header = Header { uid, state, share, max_parallelism, schema: "", entries: count };
    let mut payload = Vec::new();
    let mut add = |bytes: &[u8]| {
        payload.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        payload.extend_from_slice(bytes);
    };
    add(&named(&header));
    for (key, value) in entries {
        add(key);
        add(value);
    }
    let bytes = seal(Kind::State, 1, Fingerprint(0), &payload);
    postcard::to_stdvec(&Outer { uid, state, share, bytes }).expect("plain data")
}

fn key<K: Key>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode(&mut bytes);
    bytes
}

/// How far the only split was read: what its state holds, and what the metadata tells of it.
#[derive(Clone, Copy)]
struct Read {
    offset: u64,
    greatest: i64,
    told: u64,
}

impl Read {
    fn to(offset: u64, greatest: i64) -> Self {
        Self { offset, greatest, told: offset }
    }

    fn contents(self) -> Contents {
        let Self { greatest, told: offset, .. } = self;
        let (uid, greatest) = (Uid::from("entries"), Some(at(greatest)));
        let positions = vec![SplitPosition { uid, split: 0, offset, greatest }];
        Contents { positions, ..Contents::default() }
    }
}

/// The state of the source: how far its split was read.
fn source_state(Read { offset, greatest, .. }: Read) -> Vec<u8> {
    #[derive(Serialize)]
    struct Position {
        split: u32,
        offset: u64,
        note: Vec<u8>,
        ended: bool,
    }
    let position = Position { split: 0, offset, note: Vec::new(), ended: false };
    let one = |state, value| section("entries", state, Share::Item(0), &[(Vec::new(), value)]);
    [one("position", named(&position)), one("greatest", named(&at(greatest)))].concat()
}

/// What a window holds of an account.
#[derive(Clone, Copy, Serialize)]
struct Tally {
    count: i64,
    sum: i64,
    xor: u64,
}

/// The state of the windows, and the transactions of the sink behind them.
fn window_state(
    open: &[(u64, i64, Tally)],
    watermark: i64,
    transactions: &[(&str, u64, u64)],
) -> Vec<u8> {
    #[derive(Serialize)]
    struct Transaction {
        id: String,
        checkpoint: CheckpointId,
        rows: u64,
    }
    let mut bytes = Vec::new();
    for group in 0..2u16 {
        let mine = open.iter().filter(|(of, ..)| *of == u64::from(group));
        let (mut windows, mut waiting) = (Vec::new(), BTreeMap::<Vec<u8>, u64>::new());
        for (group, start, tally) in mine {
            let bounds = (*start, start + 1_000);
            windows.push((key(&(bounds, account(*group))), named(tally)));
            *waiting.entry(key(&bounds)).or_default() += tally.count as u64;
        }
        let waiting: Vec<_> = waiting.into_iter().map(|(key, n)| (key, named(&n))).collect();
        let share = Share::Group(group);
        for (state, entries) in [("windows", windows), ("waiting", waiting)] {
            if !entries.is_empty() {
                bytes.extend(section("seconds", state, share, &entries));
            }
        }
        let seen = [(Vec::new(), named(&at(watermark)))];
        bytes.extend(section("seconds", "watermark", share, &seen));
    }
    let listed: Vec<_> = transactions
        .iter()
        .map(|(id, checkpoint, rows)| Transaction {
            id: (*id).to_owned(),
            checkpoint: CheckpointId(*checkpoint),
            rows: *rows,
        })
        .collect();
    let listed = [(Vec::new(), named(&listed))];
    bytes.extend(section("ledger-sink", "transactions", Share::Item(0), &listed));
    bytes
}

/// The facts of a checkpoint of two tasks, from its trigger to its notification.
fn checkpoint(id: u64, attempt: u32, number: u64, held: (Read, Vec<u8>)) -> Vec<Fact> {
    let (checkpoint, short) = (CheckpointId(id), Attempt(attempt));
    let mut facts =
        vec![Fact::CheckpointTriggered { job: JOB, attempt: short, checkpoint, last: false }];
    let (sink, took) = (task(attempt, 1), Duration::from_millis(3));
    facts.push(Fact::BarrierInjected { task: task(attempt, 0), checkpoint });
    for channel in 0..2 {
        facts.push(Fact::BarrierReceived { task: sink, channel, checkpoint });
    }
    facts.push(Fact::BarrierAligned { task: sink, checkpoint, channels: 2, held: 4, took });
    let mut vertices = Vec::new();
    let (read, windows) = held;
    let states = [(source_state(read), read.contents()), (windows, Contents::default())];
    for (vertex, (sections, contents)) in (0..).zip(states) {
        let execution = task(attempt, vertex);
        let head = seal(Kind::StateFile, 1, Fingerprint(0), &named(&(checkpoint, execution)));
        let bytes = [head, sections].concat();
        let path = format!("jobs/{JOB}/chk-{id}/{vertex}-0-a{attempt}");
        let (length, checksum) = (bytes.len() as u64, xxh3_64(&bytes));
        let file = StateFile { path: path.clone(), length, checksum };
        facts.push(Fact::SnapshotTaken { task: execution, checkpoint, stall: Duration::ZERO });
        facts.push(put(path, bytes));
        facts.push(Fact::StateWritten { task: execution, checkpoint, bytes: length });
        facts.push(Fact::CheckpointAckSent { task: execution, checkpoint });
        facts.push(Fact::CheckpointAckReceived {
            job: JOB,
            attempt: short,
            checkpoint,
            task: execution,
            bytes: length,
        });
        let uids = if vertex == 0 { vec!["entries"] } else { vec!["seconds", "ledger-sink"] };
        let uids = uids.into_iter().map(Uid::from).collect();
        let subtasks = vec![StateHandle::File(file)];
        vertices.push(VertexState {
            vertex: VertexId(vertex),
            uids,
            parallelism: 1,
            subtasks,
            contents,
        });
    }
    let metadata = metadata(checkpoint, short, vertices).seal().expect("plain data");
    facts.push(put(format!("jobs/{JOB}/chk-{id}/_metadata-e1a{attempt}"), metadata));
    let ids_below = CheckpointId(11);
    facts.push(log(number, 1, LogEvent::Completed { checkpoint, attempt: short, ids_below }));
    let (job, attempt) = (JOB, short);
    let duration = Duration::from_millis(9);
    facts.push(Fact::CheckpointCompleted { job, attempt, checkpoint, duration, bytes: 1 });
    facts.push(Fact::CheckpointNotified { job, attempt, checkpoint, last: false });
    facts
}

pub fn metadata(
    checkpoint: CheckpointId,
    attempt: Attempt,
    vertices: Vec<VertexState>,
) -> CheckpointMetadata {
    CheckpointMetadata {
        format: METADATA_FORMAT,
        job: JOB,
        checkpoint,
        kind: CheckpointKind::Checkpoint,
        epoch: JobEpoch(1),
        attempt,
        program: Program::named("ledger"),
        triggered: ProcessingTime::from_millis(0),
        completed: ProcessingTime::from_millis(9),
        max_parallelism: 2,
        vertices,
        finished: Vec::new(),
        last: false,
        ending: None,
    }
}

fn emitted(attempt: u32, offset: u64, entries: &[LedgerEntry]) -> Fact {
    let mut batch = Batch::default();
    entries.iter().for_each(|entry| batch.push(entry.at, entry.clone()));
    let records = Records(encode_batch(&batch).expect("plain data"));
    let (uid, rows) = (Uid::from("entries"), entries.len() as u32);
    Fact::SourceEmitted { task: task(attempt, 0), uid, split: 0, offset, rows, records }
}

/// The row of an account's second; the third is written first.
fn point(group: u64, second: i64, (count, sum, xor): (i64, i64, i64)) -> Point {
    let fields = [("count", count.into()), ("sum", sum.into()), ("xor", xor.into())];
    Point::new("ledger", account(group).to_string(), at(second * 1_000), fields)
}

fn name(attempt: u32, number: u64) -> String {
    format!("{JOB}/ledger-sink/0/e1a{attempt}/{number}")
}

fn writer(attempt: u32) -> String {
    format!("ledger-sink {}", task(attempt, 1))
}

fn prepared(attempt: u32, number: u64, checkpoint: u64, rows: u64) -> [Fact; 2] {
    let (id, writer) = (name(attempt, number), writer(attempt));
    let checkpoint = CheckpointId(checkpoint);
    [
        Fact::TransactionStaged { id: id.clone(), writer: writer.clone(), rows },
        Fact::TransactionPrepared { id, writer, checkpoint, rows },
    ]
}

fn committed(attempt: u32, number: u64, checkpoint: u64, points: &[Point]) -> Vec<Fact> {
    let (id, writer) = (name(attempt, number), writer(attempt));
    let (rows, checkpoint) = (points.len() as u64, CheckpointId(checkpoint));
    let of = id.clone();
    let mut facts = vec![Fact::TransactionCommitted {
        id,
        writer: writer.clone(),
        checkpoint,
        rows,
        again: false,
    }];
    facts.extend(points.iter().map(|point| Fact::PointWritten {
        point: point.clone(),
        writer: writer.clone(),
        overwrote: false,
        differs: false,
        transaction: of.clone(),
    }));
    facts
}

fn tasks(attempt: u32, to: TaskStatus) -> [Fact; 2] {
    let cause = String::new;
    [0, 1].map(|vertex| Fact::TaskStatusChanged { task: task(attempt, vertex), to, cause: cause() })
}

fn deploys(attempt: u32, number: u64) -> Vec<Fact> {
    use JobStatus::{Deploying, Running, Scheduling};
    let mut facts = vec![status(Scheduling, Deploying, attempt), deployed(number, attempt)];
    facts.extend(tasks(attempt, TaskStatus::Deploying));
    facts.extend(tasks(attempt, TaskStatus::Running));
    facts.push(status(Deploying, Running, attempt));
    facts
}

fn slot(freed: bool) -> Fact {
    let task_manager = slackwater_core::id::TaskManagerId("tm-1".into());
    match freed {
        true => Fact::SlotFreed { job: JOB, task_manager, slot: 0 },
        false => Fact::SlotAllocated { job: JOB, task_manager, slot: 0 },
    }
}

fn advanced(attempt: u32, watermark: i64) -> Fact {
    Fact::WatermarkAdvanced { task: task(attempt, 1), watermark: at(watermark) }
}

/// Three entries; a checkpoint after the first two, a crash, a restore, and a last checkpoint.
pub fn lasting() -> Vec<Fact> {
    twisted(Twist::Nothing)
}

fn twisted(twist: Twist) -> Vec<Fact> {
    let mut facts = vec![Fact::JobManagerStarted { epoch: JobEpoch(1) }, submitted()];
    facts.push(log(
        1,
        1,
        LogEvent::Submitted { program: Program::named("ledger"), from: None, graph: None },
    ));
    facts.push(status(JobStatus::Created, JobStatus::Scheduling, 0));
    facts.push(slot(false));
    facts.extend(deploys(1, 2));
    facts.extend(first_life(twist));
    facts.push(Fact::NodeDown { node: "tm-1".into(), how: Down::Kill });
    facts.push(status(JobStatus::Running, JobStatus::Failing, 1));
    facts.extend(tasks(1, TaskStatus::Failed));
    facts.push(Fact::RestartCounted { job: JOB, attempt: Attempt(1), restarts: 1 });
    facts.push(status(JobStatus::Failing, JobStatus::Restarting, 1));
    facts.push(Fact::NodeStarted { node: "tm-1".into(), incarnation: 2 });
    facts.push(status(JobStatus::Restarting, JobStatus::Scheduling, 1));
    facts.extend(deploys(2, 4));
    facts.extend(second_life());
    facts.extend(tasks(2, TaskStatus::Finished));
    facts.push(slot(true));
    facts.push(status(JobStatus::Running, JobStatus::Finished, 2));
    facts.extend(deletes(2, 2));
    facts.push(Fact::StoreListed { folder: "jobs".into(), objects: 6 });
    facts
}

/// Entries of the accounts 0 and 1 in one second, and a checkpoint with both in an open window.
fn first_life(twist: Twist) -> Vec<Fact> {
    let mut facts = vec![
        emitted(1, 0, &[entry(21, 0, 5, 1_500), entry(22, 1, -5, 1_200)]),
        emitted(1, 2, &[entry(23, 0, 7, 2_600)]),
        advanced(1, 999),
    ];
    facts.extend(prepared(1, 1, 1, 1));
    let held = Tally { count: 1, sum: 5, xor: 21 };
    let mut open = vec![(0, 1_000, held), (1, 1_000, Tally { count: 1, sum: -5, xor: 22 })];
    match twist {
        Twist::RecordBehindTheBarrier => {
            open.push((0, 2_000, Tally { count: 1, sum: 7, xor: 23 }));
        }
        Twist::WindowLeftOut => drop(open.pop()),
        _ => {}
    }
    let id = name(1, 1);
    let listed = [(id.as_str(), 1, 1)];
    let listed = if twist == Twist::TransactionForgotten { &[] } else { &listed[..] };
    let watermark = if twist == Twist::WatermarkAhead { 1_300 } else { 999 };
    let read = match twist {
        Twist::OffsetAhead => Read::to(4, 2_600),
        Twist::AnotherOffsetTold => Read { told: 3, ..Read::to(2, 1_500) },
        _ => Read::to(2, 1_500),
    };
    facts.extend(checkpoint(1, 1, 3, (read, window_state(&open, watermark, listed))));
    facts.extend(committed(1, 1, 1, &[point(1, 0, (1, 9, 20))]));
    facts
}

/// From the checkpoint on: the third entry fires the second of the first two, and stays open.
fn second_life() -> Vec<Fact> {
    let checkpoint_id = CheckpointId(1);
    let restored = |vertex| Fact::StateRestored {
        task: task(2, vertex),
        checkpoint: checkpoint_id,
        bytes: 512,
    };
    let mut facts =
        vec![Fact::JobRestored { job: JOB, attempt: Attempt(2), checkpoint: checkpoint_id }];
    facts.extend([restored(0), restored(1)]);
    facts.extend([emitted(2, 2, &[entry(23, 0, 7, 2_600)]), advanced(2, 2_099)]);
    facts.extend(prepared(2, 1, 2, 2));
    let open = [(0, 2_000, Tally { count: 1, sum: 7, xor: 23 })];
    let id = name(2, 1);
    let listed = [(id.as_str(), 2, 2)];
    let held = (Read::to(3, 2_600), window_state(&open, 2_099, &listed));
    facts.extend(checkpoint(2, 2, 5, held));
    let (job, attempt) = (JOB, Attempt(2));
    facts.push(Fact::CheckpointSubsumed { job, attempt, checkpoint: checkpoint_id });
    facts.extend(deletes(1, 1));
    let rows = [point(0, 1, (1, 5, 21)), point(1, 1, (1, -5, 22))];
    facts.extend(committed(2, 1, 2, &rows));
    facts
}

fn deletes(id: u64, attempt: u32) -> Vec<Fact> {
    let files = ["0-0-a", "1-0-a", "_metadata-e1a"];
    let path = |file| format!("jobs/{JOB}/chk-{id}/{file}{attempt}");
    files.into_iter().map(|file| Fact::StoreDeleted { path: path(file) }).collect()
}

/// The snapshot of a window counts a record that came behind the barrier.
pub fn a_record_behind_the_barrier(facts: &mut Vec<Fact>) {
    *facts = twisted(Twist::RecordBehindTheBarrier);
}

/// An open window is in no file.
pub fn a_window_that_is_left_out(facts: &mut Vec<Fact>) {
    *facts = twisted(Twist::WindowLeftOut);
}

/// Event time has come further than the records before the barrier can tell.
pub fn a_watermark_ahead_of_its_records(facts: &mut Vec<Fact>) {
    *facts = twisted(Twist::WatermarkAhead);
}

/// The source's offset is behind what it has emitted.
pub fn an_offset_that_nobody_has_read(facts: &mut Vec<Fact>) {
    *facts = twisted(Twist::OffsetAhead);
}

/// Whoever asks what the checkpoint holds is told of another offset than it holds.
pub fn an_offset_that_is_told_wrongly(facts: &mut Vec<Fact>) {
    *facts = twisted(Twist::AnotherOffsetTold);
}

/// What is prepared is in no snapshot: nobody will commit it.
pub fn a_transaction_that_is_forgotten(facts: &mut Vec<Fact>) {
    *facts = twisted(Twist::TransactionForgotten);
}

fn place(facts: &[Fact], is: impl Fn(&Fact) -> bool) -> usize {
    facts.iter().position(is).expect("it is in the run")
}

/// A sink did not wait for its checkpoint.
pub fn a_commit_before_its_checkpoint(facts: &mut Vec<Fact>) {
    let commit = place(facts, |fact| matches!(fact, Fact::TransactionCommitted { .. }));
    let early = facts.remove(commit);
    let ack = place(facts, |fact| matches!(fact, Fact::CheckpointAckSent { .. }));
    facts.insert(ack, early);
}

/// The same rows twice.
pub fn a_transaction_that_commits_twice(facts: &mut Vec<Fact>) {
    let commit = place(facts, |fact| matches!(fact, Fact::TransactionCommitted { .. }));
    let again = facts[commit].clone();
    facts.insert(commit + 2, again);
}

/// Its checkpoint is complete, and nobody sees it.
pub fn a_transaction_that_never_commits(facts: &mut Vec<Fact>) {
    let of = name(2, 1);
    facts.retain(|fact| match fact {
        Fact::TransactionCommitted { id, .. } => *id != of,
        Fact::PointWritten { transaction, .. } => *transaction != of,
        _ => true,
    });
}

/// A replay wrote something else.
pub fn an_overwrite_with_another_value(facts: &mut Vec<Fact>) {
    if let Fact::PointWritten { differs, overwrote, .. } =
        first(facts, |fact| matches!(fact, Fact::PointWritten { .. }))
    {
        (*differs, *overwrote) = (true, true);
    }
}

/// A late part of the first attempt counts for the second.
pub fn an_ack_of_a_dead_attempt(facts: &mut Vec<Fact>) {
    let of_second =
        |fact: &Fact| matches!(fact, Fact::CheckpointAckReceived { attempt, .. } if attempt.0 == 2);
    if let Fact::CheckpointAckReceived { task: of, .. } = first(facts, of_second) {
        *of = task(1, 0);
    }
}

/// The first leader's entry stands behind a claim of the second.
pub fn an_old_leader_that_goes_on(facts: &mut Vec<Fact>) {
    let entry = place(facts, |fact| *fact == deployed(4, 2));
    facts.insert(entry, log(4, 2, LogEvent::Claimed));
    facts[entry + 1] = deployed(5, 2);
}

/// The second checkpoint was told complete, and a third attempt starts with the first.
pub fn a_restore_behind_what_was_told(facts: &mut Vec<Fact>) {
    let commit = place(facts, |fact| matches!(fact, Fact::CheckpointSubsumed { .. }));
    let (job, checkpoint) = (JOB, CheckpointId(1));
    facts.insert(commit, Fact::JobRestored { job, attempt: Attempt(3), checkpoint });
}

/// A dead attempt stages rows behind its successor.
pub fn a_zombie_that_writes(facts: &mut Vec<Fact>) {
    let commit = place(facts, |fact| matches!(fact, Fact::CheckpointSubsumed { .. }));
    let [staged, _] = prepared(1, 2, 2, 1);
    facts.insert(commit, staged);
}

/// A state file goes while its checkpoint is the newest.
pub fn a_named_file_that_is_deleted(facts: &mut Vec<Fact>) {
    let down = place(facts, |fact| matches!(fact, Fact::NodeDown { .. }));
    facts.insert(down, deletes(1, 1).remove(1));
}

/// Half of a state file was written, and the checkpoint completed all the same.
pub fn a_torn_file_that_is_named(facts: &mut Vec<Fact>) {
    let is_state =
        |fact: &Fact| matches!(fact, Fact::StorePut { path, .. } if path.ends_with("1-0-a1"));
    if let Fact::StorePut { bytes, content, .. } = first(facts, is_state) {
        content.0.truncate(content.0.len() / 2);
        *bytes = content.0.len() as u64;
    }
}

/// Nobody deletes the last checkpoint's state.
pub fn a_file_that_is_left_behind(facts: &mut Vec<Fact>) {
    let last = deletes(2, 2).remove(0);
    facts.retain(|fact| *fact != last);
}

/// A slot of a job that is over.
pub fn a_slot_that_is_kept(facts: &mut Vec<Fact>) {
    facts.retain(|fact| *fact != slot(true));
}

/// After the restore ids begin anew.
pub fn an_id_that_is_used_twice(facts: &mut Vec<Fact>) {
    for fact in facts.iter_mut() {
        if let Fact::CheckpointTriggered { checkpoint, .. } = fact {
            *checkpoint = CheckpointId(1);
        }
    }
}

/// Aborted, and complete all the same.
pub fn a_checkpoint_that_rises_again(facts: &mut Vec<Fact>) {
    let done = place(facts, |fact| matches!(fact, Fact::CheckpointCompleted { .. }));
    let (job, attempt, checkpoint) = (JOB, Attempt(1), CheckpointId(1));
    let cause = "too slow".to_owned();
    facts.insert(done, Fact::CheckpointAborted { job, attempt, checkpoint, cause });
}

/// From RESTARTING to RUNNING, with nothing between.
pub fn a_job_that_leaps(facts: &mut Vec<Fact>) {
    let is = |fact: &Fact| *fact == status(JobStatus::Restarting, JobStatus::Scheduling, 1);
    *first(facts, is) = status(JobStatus::Restarting, JobStatus::Running, 1);
}

/// A row became visible in two transactions.
pub fn a_row_that_is_written_twice(facts: &mut Vec<Fact>) {
    let row = place(facts, |fact| matches!(fact, Fact::PointWritten { .. }));
    let again = facts[row].clone();
    facts.insert(row, again);
}

/// A row of the last transaction is not there.
pub fn a_row_that_never_came(facts: &mut Vec<Fact>) {
    let row = facts.iter().rposition(|fact| matches!(fact, Fact::PointWritten { .. }));
    facts.remove(row.expect("there are rows"));
}

/// Every barrier found everything aligned already.
pub fn nothing_waits_behind_a_barrier(facts: &mut Vec<Fact>) {
    for fact in facts.iter_mut() {
        if let Fact::BarrierAligned { held, .. } = fact {
            *held = 0;
        }
    }
}

/// A node comes back, and everything goes on.
pub fn reviving() -> Vec<Fact> {
    let checkpoint = CheckpointId(1);
    let (job, attempt) = (JOB, Attempt(1));
    let mut facts = vec![submitted(), Fact::NodeStarted { node: "tm-1".into(), incarnation: 2 }];
    facts.push(Fact::CheckpointTriggered { job, attempt, checkpoint, last: false });
    facts.push(advanced(1, 999));
    let duration = Duration::from_millis(2);
    facts.push(Fact::CheckpointCompleted { job, attempt, checkpoint, duration, bytes: 1 });
    facts.extend((0..30).map(|second| advanced(1, 1_000 + second)));
    facts
}

/// Watermarks go on, and no checkpoint ever completes.
pub fn a_checkpoint_that_stays_pending(facts: &mut Vec<Fact>) {
    facts.retain(|fact| !matches!(fact, Fact::CheckpointCompleted { .. }));
}

/// Latency markers of a hundred records.
pub fn markers() -> Vec<Fact> {
    let source = Subtask { vertex: VertexId(0), index: 0 };
    let marker = |sent| LatencyMarker { source, sent: ProcessingTime::from_millis(sent) };
    let measured = |at: i64| Fact::LatencyMeasured {
        task: task(1, 1),
        marker: marker(at),
        millis: 20 + at % 10,
    };
    (0..100).map(measured).collect()
}

/// Barriers hold some records up.
pub fn records_that_wait(facts: &mut Vec<Fact>) {
    for fact in facts.iter_mut().step_by(20) {
        if let Fact::LatencyMeasured { millis, .. } = fact {
            *millis += 50;
        }
    }
}

/// The readings of two periods of the sawtooth.
pub fn sawtooth() -> Vec<Fact> {
    let reading = |tick: i64| {
        let value = (tick % 10) as f64 / 10.0;
        let point = Point::new("sensors", "temp", at(tick * 100), [("value", value.into())]);
        let (writer, transaction) = (String::new(), String::new());
        Fact::PointWritten { point, writer, overwrote: false, differs: false, transaction }
    };
    (0..20).map(reading).collect()
}

/// After the fourteenth tick it begins at step 0.
pub fn a_wave_that_begins_anew(facts: &mut Vec<Fact>) {
    let begun = sawtooth();
    for (tick, fact) in facts.iter_mut().enumerate().skip(14) {
        if let (Fact::PointWritten { point, .. }, Fact::PointWritten { point: from, .. }) =
            (fact, &begun[tick - 14])
        {
            point.fields = from.fields.clone();
        }
    }
}

/// The state of the windows is damaged when the job comes back, and the job fails for it.
pub fn damaged() -> Vec<Fact> {
    let mut facts = lasting();
    let down = place(&facts, |fact| matches!(fact, Fact::NodeDown { .. }));
    let path = format!("jobs/{JOB}/chk-1/1-0-a1");
    facts.insert(down, Fact::StoreDamaged { path: path.clone(), how: "bit 7 flipped".into() });
    let again = place(&facts, |fact| matches!(fact, Fact::JobRestored { .. }));
    facts.truncate(again);
    let (job, attempt, checkpoint) = (JOB, Attempt(2), CheckpointId(1));
    let cause = format!("{path}: the checksum does not match");
    facts.retain(
        |fact| !matches!(fact, Fact::TaskStatusChanged { task, .. } if task.attempt.0 == 2),
    );
    facts.push(Fact::CheckpointUnreadable { job, attempt, checkpoint, cause });
    facts
}

/// It is said that something was wrong, and not with what.
pub fn a_damaged_file_that_nobody_names(facts: &mut Vec<Fact>) {
    if let Some(Fact::CheckpointUnreadable { cause, .. }) = facts.last_mut() {
        *cause = "a file is damaged".to_owned();
    }
}

/// The second attempt begins as if there had been no first.
pub fn a_job_that_starts_from_nothing(facts: &mut Vec<Fact>) {
    facts.extend(tasks(2, TaskStatus::Running));
}

/// A window that had fired fires again, in a later transaction.
pub fn a_row_that_is_committed_again(facts: &mut Vec<Fact>) {
    let is_written = |fact: &Fact| matches!(fact, Fact::PointWritten { .. });
    let before = first(facts, is_written).clone();
    let last = facts.iter().rposition(is_written).expect("there are rows");
    if let (Fact::PointWritten { point, overwrote, .. }, Fact::PointWritten { point: stood, .. }) =
        (&mut facts[last], before)
    {
        (*point, *overwrote) = (stood, true);
    }
}
