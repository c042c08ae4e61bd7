//! A source of lines over TCP: connects to whoever listens, and tries again for ever if nobody does.
//! Never fails the job for what a stranger sends or leaves out: a line that cannot be read is counted
//! and told. A line is not kept anywhere: what a crash finds unread is gone. Other end: [`server`].

use std::fmt;
use std::mem::replace;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use slackwater_core::element::Batch;
use slackwater_core::fact::Fact;
use slackwater_core::graph::Uid;
use slackwater_core::id::Execution;
use slackwater_core::time::{EventTime, ProcessingTime};
use slackwater_dataflow::connector::{
    ConnectorError, Opening, Position, Pulled, Source, SourceReader, Splits,
};
use slackwater_dataflow::metric::Counter;
use slackwater_runtime::host::{Conn, Host, LocalFuture, of};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::codec::{Decoder, LinesCodec, LinesCodecError};

pub mod server;

#[cfg(test)]
mod tests;

/// The longest line that is read, in bytes.
pub const LINE_MAX: usize = 64 * 1024;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The wait after the first failure; it doubles with each that follows.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What a reader counts for people: lines that it could not read, and tries that reached nobody.
const MALFORMED: &str = "malformedLines";
const FAILED: &str = "failedConnections";
/// How much is read at once.
const CHUNK: usize = 8 * 1024;

type Parse<T> = dyn Fn(&str) -> Result<T, String> + Send + Sync;

/// Reads lines from a socket: one reader, whatever the parallelism.
///
/// A record is stamped with the host's clock when it is read, never earlier than the one before it.
/// A line that is not UTF-8, is longer than 64 KiB, is cut off by the end of the connection, or that
/// `parse` refuses, is skipped, counted as `malformedLines` of the operator, and told as
/// [`Fact::RecordSkipped`]; an empty one is nothing. `failedConnections` counts how often nobody was there.
///
/// A socket cannot be read again. What was read before the barrier of a completed checkpoint has
/// gone into its state; of what was read after it, a failure before the next one loses all, and so
/// does whatever arrives while nobody reads, unless the sender says it again. Nothing is read twice.
///
/// Whoever reads other streams beside it gives it [`Watermarks::idle_after`], so that nobody's event
/// time waits for the next line.
///
/// [`Watermarks::idle_after`]: slackwater_dataflow::watermark::Watermarks::idle_after
pub struct SocketSource<T> {
    address: String,
    parse: Arc<Parse<T>>,
}

impl<T> fmt::Debug for SocketSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketSource({})", self.address)
    }
}

/// Lines from the server at `address`, such as `localhost:9999`; `parse` makes a record of each, or
/// says why it cannot.
///
/// ```
/// use slackwater_connect::socket;
/// let lines = socket::lines("localhost:9999", |line| {
///     line.parse::<f64>().map_err(|error| error.to_string())
/// });
/// assert_eq!(format!("{lines:?}"), "SocketSource(localhost:9999)");
/// ```
pub fn lines<T>(
    address: impl Into<String>,
    parse: impl Fn(&str) -> Result<T, String> + Send + Sync + 'static,
) -> SocketSource<T> {
    SocketSource { address: address.into(), parse: Arc::new(parse) }
}

impl<T: 'static> Source for SocketSource<T> {
    type Item = T;
    type Reader = LineReader<T>;

    fn splits(&self) -> Splits {
        Splits::One
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn open(&self, opening: Opening) -> Result<LineReader<T>, ConnectorError> {
        Ok(LineReader {
            host: of(&opening.outside),
            reads: (opening.task, opening.uid.clone()),
            address: self.address.clone(),
            parse: Arc::clone(&self.parse),
            link: Link::Waiting(None),
            tries: 0,
            lines: LinesCodec::new_with_max_length(LINE_MAX),
            unread: BytesMut::new(),
            offset: 0,
            latest: EventTime::MIN,
            skipped: None,
            told: false,
            counters: [MALFORMED, FAILED].map(|name| opening.metrics.counter(name)),
        })
    }
}

/// How the reader stands with the server.
enum Link {
    /// Not connected; until the wait is over, if there is one.
    Waiting(Option<LocalFuture<()>>),
    Connecting(LocalFuture<std::io::Result<Conn>>),
    Up(Conn),
}

/// Reads the lines.
pub struct LineReader<T> {
    host: Arc<dyn Host>,
    reads: (Execution, Uid),
    address: String,
    parse: Arc<Parse<T>>,
    link: Link,
    /// How often in a row there was nothing to read from.
    tries: u32,
    lines: LinesCodec,
    unread: BytesMut,
    /// How many records have been read since the job began.
    offset: u64,
    latest: EventTime,
    /// How many lines were skipped since that was last told, and why the first of them.
    skipped: Option<(u64, String)>,
    /// Whether it has been said that there is nothing to read.
    told: bool,
    /// Lines that could not be read, and tries that reached nobody.
    counters: [Counter; 2],
}

impl<T> LineReader<T> {
    /// Makes records of the lines that are here.
    fn take_lines(&mut self, now: ProcessingTime, max_rows: usize, out: &mut Batch<T>) {
        while out.rows() < max_rows {
            match self.lines.decode(&mut self.unread) {
                Ok(None) => return,
                Ok(Some(line)) if line.trim().is_empty() => {}
                Ok(Some(line)) => match (self.parse)(line.trim()) {
                    Ok(value) => {
                        self.latest = self.latest.max(EventTime::from_millis(now.as_millis()));
                        out.push(self.latest, value);
                        self.offset += 1;
                    }
                    Err(why) => self.skip(format!("{:?}: {why}", shortened(line.trim()))),
                },
                Err(LinesCodecError::MaxLineLengthExceeded) => {
                    self.skip(format!("a line is longer than {LINE_MAX} bytes"));
                }
                Err(LinesCodecError::Io(error)) => self.skip(format!("a line is no text: {error}")),
            }
        }
    }

    fn skip(&mut self, why: String) {
        self.skipped.get_or_insert((0, why)).0 += 1;
        self.counters[0].inc();
    }

    /// Waits, connects or reads, whichever is next. Ready if that has got further.
    fn poll_link(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.link {
            Link::Waiting(wait) => {
                if let Some(wait) = wait {
                    ready!(wait.as_mut().poll(cx));
                }
                self.link = Link::Connecting(self.host.connect(&self.address, PATIENCE));
            }
            Link::Connecting(connecting) => match ready!(connecting.as_mut().poll(cx)) {
                Ok(conn) => {
                    self.link = Link::Up(conn);
                    let ((task, uid), address) = (self.reads.clone(), self.address.clone());
                    self.host.tell(Fact::SourceConnected { task, uid, address });
                }
                Err(error) => self.lose(error.to_string()),
            },
            Link::Up(conn) => {
                let mut chunk = [0; CHUNK];
                let mut chunk = ReadBuf::new(&mut chunk);
                match ready!(Pin::new(conn).poll_read(cx, &mut chunk)) {
                    Ok(()) if chunk.filled().is_empty() => {
                        self.lose(format!("{} has ended the connection", self.address));
                    }
                    Ok(()) => {
                        self.tries = 0;
                        self.unread.extend_from_slice(chunk.filled());
                    }
                    Err(error) => self.lose(error.to_string()),
                }
            }
        }
        Poll::Ready(())
    }

    /// There is nobody to read from: tries again after a while.
    fn lose(&mut self, cause: String) {
        let whole = LinesCodec::new_with_max_length(LINE_MAX);
        self.lines = whole;
        // Of a line that is too long, and so counted already, nothing is kept.
        let rest = self.unread.split();
        if !rest.is_empty() {
            self.skip(format!("the connection ended within a line, after {} bytes", rest.len()));
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.tries.min(16)).min(LONGEST_WAIT);
        self.tries = self.tries.saturating_add(1);
        self.counters[1].inc();
        self.link = Link::Waiting(Some(self.host.sleep(wait)));
        let ((task, uid), tries) = (self.reads.clone(), self.tries);
        self.host.tell(Fact::SourceDisconnected { task, uid, tries, cause });
    }
}

/// As much of a line as a message can bear.
fn shortened(line: &str) -> String {
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

impl<T> SourceReader for LineReader<T> {
    type Item = T;

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        now: ProcessingTime,
        max_rows: usize,
        out: &mut Batch<T>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        let offset = self.offset;
        loop {
            self.take_lines(now, max_rows, out);
            if out.rows() > 0 {
                self.told = false;
                return Poll::Ready(Ok(Pulled::Records { split: 0, offset }));
            }
            // Whoever sends nothing but rubbish does not keep the task from its other duties.
            if self.skipped.is_some() {
                self.told = true;
                return Poll::Ready(Ok(Pulled::Nothing));
            }
            if self.poll_link(cx).is_pending() {
                return match replace(&mut self.told, true) {
                    true => Poll::Pending,
                    false => Poll::Ready(Ok(Pulled::Nothing)),
                };
            }
        }
    }

    fn positions(&self) -> Vec<Position> {
        vec![Position { split: 0, offset: self.offset, note: Vec::new(), ended: false }]
    }

    /// Nothing can be read again: only the count goes on.
    fn seek(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        if let Some(to) = positions.iter().find(|position| position.split == 0) {
            self.offset = to.offset;
        }
        Ok(())
    }

    fn take_skipped(&mut self) -> Option<(u64, String)> {
        self.skipped.take()
    }
}
