//! The source of the log: every partition is a split with an offset of its own and a connection of
//! its own, so that a silent partition holds up no other. Says that a partition has nothing only
//! after it has asked for it; never infers it from a clock. Server: [`super::serve`].

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use slackwater_core::Data;
use slackwater_core::codec::decode_message;
use slackwater_core::element::Batch;
use slackwater_core::time::{EventTime, ProcessingTime};
use slackwater_dataflow::connector::{
    ConnectorError, Opening, Position, Pulled, Source, SourceReader, Splits,
};
use slackwater_runtime::host::{Host, of};
use slackwater_runtime::wire::handshake::Role;

use super::Fetched;
use super::server::{Reply, Request};
use crate::request::Line;

/// How long a fetch waits at the log for a first record.
const WAIT: Duration = Duration::from_millis(200);

type Timestamps<T> = dyn Fn(&T) -> EventTime + Send + Sync;

/// Reads a topic.
pub struct LogSource<T> {
    address: String,
    topic: String,
    partitions: u32,
    timestamps: Arc<Timestamps<T>>,
}

impl<T> fmt::Debug for LogSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogSource({} of {} partitions)", self.topic, self.partitions)
    }
}

/// A source of the records of a topic at [`super::ADDRESS`], from the start of each partition;
/// `timestamps` reads the event time of a record. Ends once every partition has ended.
pub fn source<T: Data>(
    topic: impl Into<String>,
    partitions: u32,
    timestamps: impl Fn(&T) -> EventTime + Send + Sync + 'static,
) -> LogSource<T> {
    LogSource {
        address: super::ADDRESS.into(),
        topic: topic.into(),
        partitions,
        timestamps: Arc::new(timestamps),
    }
}

impl<T> LogSource<T> {
    /// Another address than [`super::ADDRESS`].
    #[must_use]
    pub fn at(self, address: impl Into<String>) -> Self {
        Self { address: address.into(), ..self }
    }
}

impl<T: Data> Source for LogSource<T> {
    type Item = T;
    type Reader = LogReader<T>;

    fn splits(&self) -> Splits {
        Splits::Fixed(self.partitions)
    }

    fn is_bounded(&self) -> bool {
        // A partition ends when its writer says so, if ever.
        false
    }

    fn open(&self, opening: Opening) -> Result<LogReader<T>, ConnectorError> {
        let mine =
            (opening.task.subtask.index..self.partitions).step_by(opening.parallelism as usize);
        let splits = mine.map(|partition| Split {
            partition,
            offset: 0,
            fetched: VecDeque::new(),
            ended: false,
            told: false,
            fetch: None,
            line: None,
        });
        Ok(LogReader {
            host: of(&opening.outside),
            address: self.address.clone(),
            topic: self.topic.clone(),
            name: format!("{} {}", opening.uid, opening.task),
            timestamps: Arc::clone(&self.timestamps),
            splits: splits.collect(),
            turn: 0,
        })
    }
}

/// A request under way; gives the connection back with what it brought.
type Fetch = Pin<Box<dyn Future<Output = Result<(Asking, Fetched), ConnectorError>>>>;
type Asking = Line<Request, Reply>;

struct Split {
    partition: u32,
    /// The offset of the first record in `fetched`, or of the next one to fetch.
    offset: u64,
    fetched: VecDeque<Vec<u8>>,
    ended: bool,
    /// Whether its end has been told.
    told: bool,
    fetch: Option<Fetch>,
    line: Option<Asking>,
}

/// Reads the partitions of one subtask.
pub struct LogReader<T> {
    host: Arc<dyn Host>,
    address: String,
    topic: String,
    name: String,
    timestamps: Arc<Timestamps<T>>,
    splits: Vec<Split>,
    turn: usize,
}

impl<T: Data> LogReader<T> {
    /// Asks the log for the records of a split from its offset on.
    fn ask(&mut self, at: usize, max_rows: usize) -> Fetch {
        let split = &mut self.splits[at];
        let line = split.line.take();
        let (host, address, name) = (self.host.clone(), self.address.clone(), self.name.clone());
        let request = Request::Fetch {
            topic: self.topic.clone(),
            partition: split.partition,
            offset: split.offset,
            max: u32::try_from(max_rows).unwrap_or(u32::MAX),
            wait: WAIT,
        };
        Box::pin(async move {
            let mut line = match line {
                Some(line) => line,
                None => Line::open(host, Role::Log, &address, &name).await?,
            };
            line.post(&request).await?;
            match line.reply(WAIT).await? {
                Reply::Fetched(fetched) => Ok((line, fetched)),
                Reply::Appended => {
                    Err(ConnectorError::passing("the log answered an append that nobody made"))
                }
            }
        })
    }

    /// Polls the request of a split that has nothing to hand out, making one if there is none.
    /// Whether an answer came.
    fn poll_split(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
        max_rows: usize,
    ) -> Result<bool, ConnectorError> {
        let mut fetch = match self.splits[at].fetch.take() {
            Some(fetch) => fetch,
            None => self.ask(at, max_rows),
        };
        let polled = fetch.as_mut().poll(cx);
        let split = &mut self.splits[at];
        let Poll::Ready(answer) = polled else {
            split.fetch = Some(fetch);
            return Ok(false);
        };
        let (line, fetched) = answer?;
        split.line = Some(line);
        split.fetched = fetched.payloads.into();
        split.ended = fetched.ended;
        Ok(true)
    }

    /// What a split has to say: records, nothing, its end; `None` while it is being asked.
    fn poll_pulled(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
        (max_rows, out): (usize, &mut Batch<T>),
    ) -> Result<Option<Pulled>, ConnectorError> {
        let idle = |split: &Split| split.fetched.is_empty() && !split.ended;
        if idle(&self.splits[at]) && !self.poll_split(cx, at, max_rows)? {
            return Ok(None);
        }
        let split = &mut self.splits[at];
        if !split.fetched.is_empty() {
            return self.drain(at, max_rows, out).map(Some);
        }
        let partition = split.partition;
        if !split.ended {
            return Ok(Some(Pulled::NothingIn { split: partition }));
        }
        if std::mem::replace(&mut split.told, true) {
            return Ok(None);
        }
        Ok(Some(Pulled::EndOf { split: partition }))
    }

    /// Hands out what a split has fetched.
    fn drain(
        &mut self,
        at: usize,
        max_rows: usize,
        out: &mut Batch<T>,
    ) -> Result<Pulled, ConnectorError> {
        let (topic, split) = (&self.topic, &mut self.splits[at]);
        let offset = split.offset;
        let rows = split.fetched.len().min(max_rows);
        for payload in split.fetched.drain(..rows) {
            let value: T = decode_message(&payload).map_err(|error| {
                let (partition, at) = (split.partition, split.offset);
                let place = format!("topic {topic:?}, partition {partition}, offset {at}");
                ConnectorError::fatal(format!("{place}: not a record of this type: {error}"))
            })?;
            out.push((self.timestamps)(&value), value);
            split.offset += 1;
        }
        Ok(Pulled::Records { split: split.partition, offset })
    }
}

impl<T: Data> SourceReader for LogReader<T> {
    type Item = T;

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _now: ProcessingTime,
        max_rows: usize,
        out: &mut Batch<T>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        let is_read = |split: &Split| split.ended && split.fetched.is_empty();
        let count = self.splits.len();
        for step in 0..count {
            if self.splits.iter().all(is_read) {
                break;
            }
            let at = (self.turn + step) % count;
            match self.poll_pulled(cx, at, (max_rows, out)) {
                Ok(None) => {}
                Ok(Some(pulled)) => {
                    self.turn = (at + 1) % count;
                    return Poll::Ready(Ok(pulled));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        match self.splits.iter().all(is_read) {
            true => Poll::Ready(Ok(Pulled::End)),
            false => Poll::Pending,
        }
    }

    fn positions(&self) -> Vec<Position> {
        let position = |split: &Split| Position {
            split: split.partition,
            offset: split.offset,
            note: Vec::new(),
            ended: split.ended && split.fetched.is_empty(),
        };
        self.splits.iter().map(position).collect()
    }

    fn seek(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        for split in &mut self.splits {
            let Some(to) = positions.iter().find(|to| to.split == split.partition) else {
                continue;
            };
            (split.offset, split.ended) = (to.offset, to.ended);
        }
        Ok(())
    }
}
