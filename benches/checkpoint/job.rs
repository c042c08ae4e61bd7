//! One run: a job on workers of this process, a barrier every so often until its sources have ended.
//! Timed from the first record that a source is asked for to the last flush of a sink.
//! The driver decides nothing else and keeps no metadata: states are written, and acknowledged.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use slackwater::prelude::*;
use slackwater_core::checkpoint::CheckpointConfig;
use slackwater_core::element::{Barrier, BarrierKind, Batch};
use slackwater_core::fact::TaskStatus;
use slackwater_core::graph::OperatorKind;
use slackwater_core::id::{
    Attempt, CheckpointId, JobEpoch, JobId, Subtask, TaskManagerId, WorkerId,
};
use slackwater_core::time::{EventTime, ProcessingTime};
use slackwater_dataflow::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Position, Pulled, Sink, SinkContract,
    SinkWriter, Source, SourceReader, Splits,
};
use slackwater_dataflow::task::Plan;
use slackwater_runtime::deployment::{
    CheckpointOrder, Deployment, Placed, WorkerCommand, WorkerEvent,
};
use slackwater_runtime::exchange::Neighbours;
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::{self, RealHost};
use slackwater_runtime::wire::message::ToJobManager;
use slackwater_runtime::worker::{Seat, Worker, WorkerConfig, WorkerHandle};
use tokio::sync::mpsc;

use super::workload::{DISORDER_MS, Event, Generator, Total, WINDOW_MS};

/// What the job does.
#[derive(Copy, Clone, Debug)]
pub enum Work {
    /// Sum and count per key in windows of a second.
    Window,
    /// The sum of each key so far, said with every record.
    Sum,
}

/// What one run was.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// What came out.
    pub total: Total,
    /// From the first record to the last flush.
    pub took: Duration,
    /// The longest time from one batch of a source to the next.
    pub gap: Duration,
    /// How many checkpoints were acknowledged by every task.
    pub taken: u64,
    /// The bytes of all of them.
    pub bytes: u64,
    /// The longest time that the state of a task took to be written.
    pub write: Duration,
}

#[derive(Default)]
struct Found {
    total: Total,
    began: Option<Instant>,
    ended: Option<Instant>,
    gap: Duration,
}

type Board = Arc<Mutex<Found>>;

fn note(board: &Board, write: impl FnOnce(&mut Found)) {
    write(&mut board.lock().unwrap_or_else(PoisonError::into_inner));
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}

struct Events {
    keys: u64,
    events: u64,
    splits: u32,
    board: Board,
}

impl Source for Events {
    type Item = Event;
    type Reader = Reader;

    fn splits(&self) -> Splits {
        Splits::Fixed(self.splits)
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn open(&self, opening: Opening) -> Result<Reader, ConnectorError> {
        let (index, peers) = (opening.task.subtask.index, u64::from(self.splits));
        let generator = Generator::new((index.into(), peers), self.keys, self.events / peers);
        Ok(Reader { split: index, made: 0, generator, last: None, board: Arc::clone(&self.board) })
    }
}

struct Reader {
    split: u32,
    made: u64,
    generator: Generator,
    last: Option<Instant>,
    board: Board,
}

impl Reader {
    /// Notes how long the last batch was ago.
    fn tick(&mut self) {
        let now = now();
        let gap = self.last.replace(now).map(|last| now - last).unwrap_or_default();
        note(&self.board, |found| {
            found.began.get_or_insert(now);
            found.gap = found.gap.max(gap);
        });
    }
}

impl SourceReader for Reader {
    type Item = Event;

    fn poll_next(
        &mut self,
        _: &mut Context<'_>,
        _: ProcessingTime,
        max_rows: usize,
        out: &mut Batch<Event>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        let rows = (self.generator.left() as usize).min(max_rows);
        if rows == 0 {
            return Poll::Ready(Ok(Pulled::End));
        }
        self.tick();
        let first = out.rows();
        out.times.resize(first + rows, EventTime::MIN);
        out.values.resize(first + rows, Event::default());
        for (time, value) in out.times[first..].iter_mut().zip(&mut out.values[first..]) {
            let (at, event) = self.generator.next();
            (*time, *value) = (EventTime::from_millis(at), event);
        }
        let (split, offset) = (self.split, self.made);
        self.made += rows as u64;
        Poll::Ready(Ok(Pulled::Records { split, offset }))
    }

    fn positions(&self) -> Vec<Position> {
        vec![Position { split: self.split, offset: self.made, note: Vec::new(), ended: false }]
    }

    fn seek(&mut self, _: &[Position]) -> Result<(), ConnectorError> {
        Err(ConnectorError::fatal("a bench does not restore"))
    }
}

/// Adds up what comes out.
struct Adder(Board);

struct AdderWriter {
    total: Total,
    board: Board,
}

impl Sink for Adder {
    type Item = (f64, u64);
    type Writer = AdderWriter;

    fn contract(&self) -> SinkContract {
        SinkContract::AtLeastOnce
    }

    fn open(&self, _: Opening) -> Result<AdderWriter, ConnectorError> {
        Ok(AdderWriter { total: Total::default(), board: Arc::clone(&self.0) })
    }
}

impl SinkWriter for AdderWriter {
    type Item = (f64, u64);

    fn write(&mut self, batch: Batch<(f64, u64)>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        batch.values.iter().for_each(|(sum, count)| self.total.add(*sum, *count));
        Box::pin(std::future::ready(Ok(())))
    }

    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        let Total { panes, records, sum } = std::mem::take(&mut self.total);
        note(&self.board, |found| {
            found.total.panes += panes;
            found.total.records += records;
            found.total.sum += sum;
            found.ended = Some(now());
        });
        Box::pin(std::future::ready(Ok(flush.confirmed(panes))))
    }
}

fn catalog(work: Work, (keys, events): (u64, u64), parallelism: u32, board: &Board) -> Catalog {
    let board = Arc::clone(board);
    Catalog::new().job("bench", "v1", move |env, _| {
        env.parallelism(parallelism).batch_rows(2_048);
        let (splits, board) = (parallelism, Arc::clone(&board));
        let events = Events { keys, events, splits, board: Arc::clone(&board) };
        let watermarks = Watermarks::bounded(ms(DISORDER_MS as u64));
        let keyed = env.source("events", events, watermarks).key_by(|event: &Event| event.key);
        let add = |sum: &mut (f64, u64), event: Event| {
            sum.0 += event.value;
            sum.1 += 1;
        };
        let sums = match work {
            Work::Window => {
                let sums = keyed.window(tumbling(ms(WINDOW_MS as u64))).fold("sums", (0.0, 0), add);
                sums.late.discard();
                sums.results.map(|pane: Pane<u64, (f64, u64)>| pane.value)
            }
            Work::Sum => keyed.scan("sums", (0.0, 0), move |sum: &mut (f64, u64), event| {
                add(sum, event);
                *sum
            }),
        };
        sums.sink("adder", Adder(board));
        Ok(())
    })
}

/// The workers, and what their tasks say.
struct Driver {
    workers: Vec<(WorkerId, WorkerHandle, String)>,
    events: mpsc::UnboundedReceiver<WorkerEvent>,
    plan: Plan,
    run: Run,
    /// The checkpoint that is under way, and who has not acknowledged it.
    pending: (CheckpointId, BTreeSet<Subtask>),
    ended: usize,
}

const JOB: JobId = JobId(1);
const EPOCH: JobEpoch = JobEpoch(1);
const ATTEMPT: Attempt = Attempt(1);

impl Driver {
    async fn start(host: &dyn Host, workers: u32, catalog: Catalog) -> Self {
        let programs: Arc<dyn Programs> = Arc::new(catalog);
        let plan = programs.plan(&Program::named("bench")).expect("a plan");
        let neighbours = Neighbours::default();
        let (sender, mut events) = mpsc::unbounded_channel();
        let mut started = Vec::new();
        for index in 0..workers {
            let id = WorkerId { task_manager: TaskManagerId("bench".into()), index };
            let seat = Seat { neighbours: neighbours.clone(), ..Seat::from(id.clone()) };
            let (programs, config) = (Arc::clone(&programs), WorkerConfig::default());
            let worker = Worker::start(host, seat, programs, config, sender.clone());
            let Some(WorkerEvent::Ready { data_port }) = events.recv().await else {
                panic!("a worker starts by saying where it is");
            };
            started.push((id, worker, format!("bench:{data_port}")));
        }
        let (run, pending) = (Run::default(), Default::default());
        Self { workers: started, events, plan, run, pending, ended: 0 }
    }

    fn subtasks(&self, is_wanted: impl Fn(OperatorKind) -> bool) -> Vec<Subtask> {
        let vertices = self.plan.graph.vertices.iter();
        let wanted = vertices.filter(|vertex| is_wanted(vertex.operators[0].kind));
        let of =
            |(vertex, parallelism)| (0..parallelism).map(move |index| Subtask { vertex, index });
        wanted.flat_map(|vertex| of((vertex.id, vertex.parallelism))).collect()
    }

    fn deploy(&self, checkpoints: Option<CheckpointConfig>) {
        let placed = |subtask: Subtask| {
            let (worker, _, address) = &self.workers[subtask.index as usize % self.workers.len()];
            Placed { subtask, worker: worker.clone(), address: address.clone() }
        };
        let placement: Vec<_> = self.subtasks(|_| true).into_iter().map(placed).collect();
        for (id, handle, _) in &self.workers {
            let ours = placement.iter().filter(|placed| placed.worker == *id);
            handle.send(WorkerCommand::Deploy(Box::new(Deployment {
                job: JOB,
                epoch: EPOCH,
                attempt: ATTEMPT,
                program: Program::named("bench"),
                placement: placement.clone(),
                subtasks: ours.map(|placed| placed.subtask).collect(),
                checkpoints: checkpoints.clone(),
                restore: None,
                spared: Vec::new(),
            })));
        }
    }

    fn order(&self, order: &CheckpointOrder) {
        for (_, handle, _) in &self.workers {
            let (job, epoch, attempt, order) = (JOB, EPOCH, ATTEMPT, order.clone());
            handle.send(WorkerCommand::Checkpoint { job, epoch, attempt, order });
        }
    }

    /// Runs to the end, with a barrier every `every` unless the last is still under way.
    async fn drive(&mut self, host: &dyn Host, every: Option<Duration>) {
        let (tasks, sources) =
            (self.subtasks(|_| true).len(), self.subtasks(|kind| kind == OperatorKind::Source));
        let mut finished = 0;
        let pause = || host.sleep(every.unwrap_or(Duration::from_secs(3_600)));
        let mut tick = pause();
        while finished < tasks {
            tokio::select! {
                biased;
                event = self.events.recv() => {
                    finished += usize::from(self.hear(event.expect("workers live")));
                    if self.ended == sources.len() {
                        self.ended = 0;
                        let checkpoint = self.pending.0.next();
                        self.order(&CheckpointOrder::Completed { checkpoint, last: true });
                    }
                }
                () = &mut tick => {
                    tick = pause();
                    if self.pending.1.is_empty() {
                        self.trigger(&sources);
                    }
                }
            }
        }
    }

    fn trigger(&mut self, sources: &[Subtask]) {
        self.pending = (self.pending.0.next(), self.subtasks(|_| true).into_iter().collect());
        let barrier = Barrier { checkpoint: self.pending.0, kind: BarrierKind::Checkpoint };
        self.order(&CheckpointOrder::Trigger {
            barrier,
            subtasks: sources.to_vec(),
            savepoint: None,
        });
    }

    /// Whether a task has finished with this.
    fn hear(&mut self, event: WorkerEvent) -> bool {
        match event {
            WorkerEvent::Task(report) => {
                let is_good = matches!(report.status, TaskStatus::Running | TaskStatus::Finished);
                assert!(is_good, "{} {}", report.task, report.cause);
                return report.status == TaskStatus::Finished;
            }
            WorkerEvent::Said(ToJobManager::Acknowledged { task, state, times, .. }) => {
                self.pending.1.remove(&task.subtask);
                self.run.taken += u64::from(self.pending.1.is_empty());
                self.run.bytes += state.bytes();
                self.run.write = self.run.write.max(times.write);
            }
            WorkerEvent::Said(ToJobManager::SourceEnded { .. }) => self.ended += 1,
            other => panic!("unexpected: {other:?}"),
        }
        false
    }
}

/// Runs the work once, with a checkpoint every so often if asked for.
pub fn run(work: Work, size: (u64, u64), parallelism: u32, every: Option<Duration>) -> Run {
    let board = Board::default();
    let catalog = catalog(work, size, parallelism, &board);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let storage = folder.path().to_string_lossy().into_owned();
    let host = RealHost::named("bench").expect("the system gives randomness");
    let ran = real::run(host, |host| async move {
        let mut driver = Driver::start(&*host, parallelism, catalog).await;
        let config = CheckpointConfig { storage, ..CheckpointConfig::default() };
        driver.deploy(every.map(|_| config));
        driver.drive(&*host, every).await;
        for (_, handle, _) in &driver.workers {
            handle.send(WorkerCommand::Stop);
        }
        driver.run
    });
    let found = board.lock().unwrap_or_else(PoisonError::into_inner);
    let (began, ended) = (found.began.expect("it began"), found.ended.expect("it ended"));
    let run = ran.expect("a runtime starts");
    Run { total: found.total, took: ended - began, gap: found.gap, ..run }
}
