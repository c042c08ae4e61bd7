//! What the tests of this crate share: a host whose clock jumps to the end of every sleep, and an
//! opening of a connector on any host. Never waits. The real host's own tests are in `runtime`.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slackwater_core::element::Batch;
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId, Subtask, VertexId};
use slackwater_core::random::RandomStream;
use slackwater_core::time::{EventTime, ProcessingTime};
use slackwater_dataflow::connector::{ConnectorError, Opening, Pulled, SourceReader};
use slackwater_runtime::host::{
    Conn, Files, Host, Listener, LocalFuture, Objects, TaskHandle, WorkerMain, outside,
};
use slackwater_runtime::store::StoreError;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// A host with a clock and randomness, and peers that follow a script.
#[derive(Clone)]
pub(crate) struct Clockwork {
    started_ms: i64,
    gone_ms: Arc<AtomicU64>,
    seed: u64,
    peers: Arc<Mutex<VecDeque<Peer>>>,
    told: Arc<Mutex<Vec<(Duration, Fact)>>>,
}

/// Whom a connection reaches.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// Nobody.
    Refuses(io::ErrorKind),
    /// One that says this, and then stays, or ends the connection.
    Says(Vec<u8>, bool),
}

impl Peer {
    async fn answer(self) -> io::Result<Conn> {
        match self {
            Self::Refuses(kind) => Err(kind.into()),
            Self::Says(bytes, true) => {
                let said = io::Cursor::new(bytes).chain(Silent);
                Ok(Box::new(tokio::io::join(said, tokio::io::sink())))
            }
            Self::Says(bytes, false) => {
                Ok(Box::new(tokio::io::join(io::Cursor::new(bytes), tokio::io::sink())))
            }
        }
    }
}

/// Says nothing and does not go.
struct Silent;

impl AsyncRead for Silent {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Clockwork {
    pub(crate) fn at(started_ms: i64, seed: u64) -> Arc<dyn Host> {
        Self::with(started_ms, seed, [])
    }

    /// With these peers, one for each connection; who connects once more waits for ever.
    pub(crate) fn with(
        started_ms: i64,
        seed: u64,
        peers: impl IntoIterator<Item = Peer>,
    ) -> Arc<Self> {
        let peers = Arc::new(Mutex::new(peers.into_iter().collect()));
        Arc::new(Self { started_ms, gone_ms: Arc::default(), seed, peers, told: Arc::default() })
    }

    /// What was told, each with the time since the start.
    pub(crate) fn told(&self) -> Vec<(Duration, Fact)> {
        self.told.lock().expect("whole").clone()
    }
}

impl Host for Clockwork {
    fn name(&self) -> &str {
        "clockwork"
    }
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.gone_ms.load(Ordering::Relaxed))
    }
    fn wall(&self) -> ProcessingTime {
        ProcessingTime::from_millis(self.started_ms).plus(self.elapsed())
    }
    fn sleep(&self, span: Duration) -> LocalFuture<()> {
        let gone = Arc::clone(&self.gone_ms);
        Box::pin(async move {
            gone.fetch_add(span.as_millis() as u64, Ordering::Relaxed);
        })
    }
    fn random(&self, stream: &str) -> RandomStream {
        RandomStream::named(self.seed, stream)
    }
    fn connect(&self, _: &str, _: Duration) -> LocalFuture<io::Result<Conn>> {
        match self.peers.lock().expect("whole").pop_front() {
            Some(peer) => Box::pin(peer.answer()),
            None => Box::pin(std::future::pending()),
        }
    }
    fn listen(&self, _: u16) -> LocalFuture<io::Result<Box<dyn Listener>>> {
        unreachable!("a clockwork has no network")
    }
    fn store(&self, url: &str) -> Result<Objects, StoreError> {
        unreachable!("a clockwork has no store {url}")
    }

    fn files(&self) -> &dyn Files {
        unreachable!("a clockwork has no files")
    }
    fn spawn(&self, _: &str, _: LocalFuture<()>) -> TaskHandle {
        unreachable!("a clockwork has no tasks")
    }
    fn spawn_worker(&self, _: &str, _: WorkerMain) -> TaskHandle {
        unreachable!("a clockwork has no workers")
    }
    fn tell(&self, fact: Fact) {
        self.told.lock().expect("whole").push((self.elapsed(), fact));
    }
    fn detail(&self) -> Detail {
        Detail::Off
    }
    fn arc(&self) -> Arc<dyn Host> {
        Arc::new(self.clone())
    }
}

/// Opens a connector as subtask `index` of `parallelism`.
pub(crate) fn opening(host: &Arc<dyn Host>, index: u32, parallelism: u32) -> Opening {
    let subtask = Subtask { vertex: VertexId(0), index };
    let task = Execution { job: JobId(1), epoch: JobEpoch(1), attempt: Attempt(1), subtask };
    Opening {
        uid: "tried".into(),
        task,
        parallelism,
        outside: outside(host.clone()),
        metrics: Rc::default(),
    }
}

/// Polls a reader that never waits, until it has read `rows` or ends; each record with the clock
/// at which it came.
pub(crate) fn read<R: SourceReader>(
    host: &Arc<dyn Host>,
    reader: &mut R,
    rows: usize,
) -> Result<Vec<(i64, EventTime, R::Item)>, ConnectorError> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut seen = Vec::new();
    while seen.len() < rows {
        let mut batch = Batch::default();
        let Poll::Ready(pulled) = reader.poll_next(&mut cx, host.wall(), 16, &mut batch) else {
            continue;
        };
        if pulled? == Pulled::End {
            break;
        }
        let now = host.wall().as_millis();
        seen.extend(batch.times.into_iter().zip(batch.values).map(|(at, value)| (now, at, value)));
    }
    Ok(seen)
}
