//! The work by the whole engine: a job from the catalogue, on a cluster in this process: job
//! manager, task manager, one worker a thread, the exchange between workers over loopback TCP.
//! Timed from the first record that a source is asked for to the last flush of a sink: how a job
//! starts is another measure.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use slackwater::prelude::*;
use slackwater_core::element::Batch;
use slackwater_core::fact::JobStatus;
use slackwater_core::time::ProcessingTime;
use slackwater_dataflow::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Position, Pulled, Sink, SinkContract,
    SinkWriter, Source, SourceReader, Splits,
};
use slackwater_runtime::client::{Client, new_job_id};
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::{self, RealHost};
use slackwater_runtime::jobmanager::JobManagerConfig;
use slackwater_runtime::local::LocalCluster;
use slackwater_runtime::taskmanager::TaskManagerConfig;
use slackwater_runtime::wire::handshake::Handshake;

use super::operators::fill;
use super::workload::{DISORDER_MS, Event, Generator, Total, WINDOW_MS};

/// What the job found, and when it began and ended.
#[derive(Clone, Debug, Default)]
struct Found {
    total: Total,
    began: Option<Instant>,
    ended: Option<Instant>,
}

type Board = Arc<Mutex<Found>>;

fn note(board: &Board, write: impl FnOnce(&mut Found)) {
    write(&mut board.lock().unwrap_or_else(PoisonError::into_inner));
}

/// The events, a split for each subtask.
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
        Ok(Reader { split: index, made: 0, generator, board: Arc::clone(&self.board) })
    }
}

struct Reader {
    split: u32,
    made: u64,
    generator: Generator,
    board: Board,
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
        if self.made == 0 {
            note(&self.board, |found| {
                found.began.get_or_insert_with(crate::contestants::now);
            });
        }
        let rows = (self.generator.left() as usize).min(max_rows);
        if rows == 0 {
            return Poll::Ready(Ok(Pulled::End));
        }
        fill(&mut self.generator, rows, out);
        let (split, offset) = (self.split, self.made);
        self.made += rows as u64;
        Poll::Ready(Ok(Pulled::Records { split, offset }))
    }

    fn positions(&self) -> Vec<Position> {
        vec![Position { split: self.split, offset: self.made, note: Vec::new(), ended: false }]
    }

    fn seek(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        let Some(to) = positions.iter().find(|position| position.split == self.split) else {
            return Ok(());
        };
        while self.made < to.offset {
            let rows = (to.offset - self.made).min(1 << 16);
            fill(&mut self.generator, rows as usize, &mut Batch::default());
            self.made += rows;
        }
        Ok(())
    }
}

/// Adds everything up.
struct Adder(Board);

/// Adds up what one subtask sends.
struct AdderWriter {
    total: Total,
    board: Board,
}

impl Sink for Adder {
    type Item = Pane<u64, (f64, u64)>;
    type Writer = AdderWriter;

    fn contract(&self) -> SinkContract {
        SinkContract::AtLeastOnce
    }

    fn open(&self, _: Opening) -> Result<AdderWriter, ConnectorError> {
        Ok(AdderWriter { total: Total::default(), board: Arc::clone(&self.0) })
    }
}

impl SinkWriter for AdderWriter {
    type Item = Pane<u64, (f64, u64)>;

    fn write(&mut self, batch: Batch<Self::Item>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        batch.values.iter().for_each(|pane| self.total.add(pane.value.0, pane.value.1));
        Box::pin(std::future::ready(Ok(())))
    }

    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        let Total { panes, records, sum } = std::mem::take(&mut self.total);
        note(&self.board, |found| {
            found.total.panes += panes;
            found.total.records += records;
            found.total.sum += sum;
            found.ended = Some(crate::contestants::now());
        });
        Box::pin(std::future::ready(Ok(flush.confirmed(panes))))
    }
}

fn catalog(parallelism: u32, (keys, events): (u64, u64), board: &Board) -> Catalog {
    let board = Arc::clone(board);
    Catalog::new().job("window", "v1", move |env, _| {
        env.parallelism(parallelism).batch_rows(2_048);
        let (splits, board) = (parallelism, Arc::clone(&board));
        let events = Events { keys, events, splits, board: Arc::clone(&board) };
        let watermarks = Watermarks::bounded(ms(DISORDER_MS as u64));
        let keyed = env.source("events", events, watermarks).key_by(|event: &Event| event.key);
        let sums = keyed.window(tumbling(ms(WINDOW_MS as u64))).fold(
            "sums",
            (0.0, 0),
            |sum: &mut (f64, u64), event| {
                sum.0 += event.value;
                sum.1 += 1;
            },
        );
        sums.late.discard();
        sums.results.sink("adder", Adder(board));
        Ok(())
    })
}

async fn drive(host: Arc<dyn Host>, parallelism: u32, catalog: Catalog) {
    let task_manager =
        TaskManagerConfig { slots: parallelism, workers: parallelism, ..Default::default() };
    let job_manager = JobManagerConfig { port: 0, ..Default::default() };
    let cluster = LocalCluster::start(&host, job_manager, task_manager, Arc::new(catalog)).await;
    let cluster = cluster.expect("a free port is found");
    let client = Client::connect(host.as_ref(), &cluster.address, Handshake::default()).await;
    let mut client = client.expect("the job manager answers");
    let id = new_job_id(&host);
    client.submit(host.as_ref(), id, Program::named("window")).await.expect("the job is taken");
    let ended = client.wait(host.as_ref(), id).await.expect("the job is known");
    assert_eq!(ended.status, JobStatus::Finished, "{}", ended.cause);
    cluster.stop();
}

fn run(parallelism: u32, keys: u64, events: u64) -> (Total, Duration) {
    let board = Board::default();
    let catalog = catalog(parallelism, (keys, events), &board);
    let host = RealHost::named("bench").expect("the system gives randomness");
    real::run(host, |host| drive(host, parallelism, catalog)).expect("a runtime starts");
    let found = board.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (began, ended) = (found.began.expect("it began"), found.ended.expect("it ended"));
    (found.total, ended.duration_since(began))
}

/// One subtask of each vertex, on one worker.
pub fn one(keys: u64, events: u64) -> (Total, Duration) {
    run(1, keys, events)
}

/// Two subtasks of each vertex, on two workers.
pub fn two(keys: u64, events: u64) -> (Total, Duration) {
    run(2, keys, events)
}
