//! The seam: clock, network, randomness, files, spawning, telling. The only door to the world.
//! The engine holds an `Arc<dyn Host>` and never a generic or a `cfg`: real and simulated hosts
//! live in one binary and are chosen at run time. The real one is [`real`]; the simulated one is
//! in `slackwater-sim`'s `world`. Every call here is per connection, frame or batch, never per record.

pub mod disk;
mod objects;
pub mod process;
pub mod real;
pub mod tape;
mod told;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::random::RandomStream;
use slackwater_core::time::ProcessingTime;
use slackwater_dataflow::connector::Outside;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::store::StoreError;

/// A future that stays on the thread where it was made.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// The next peer of a listener: its connection, and its name for messages.
pub type Accepted<'a> = Pin<Box<dyn Future<Output = io::Result<(Conn, String)>> + 'a>>;

/// An object store, shared.
pub type Objects = Arc<dyn ObjectStore>;

/// A byte stream to a peer.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection.
pub type Conn = Box<dyn Stream>;

/// A bound port.
pub trait Listener {
    /// The port it is bound to.
    fn port(&self) -> u16;
    /// Waits for the next peer; gives the connection and the peer's name for messages.
    /// Cancel safe: a peer is either returned or still waiting.
    fn accept(&mut self) -> Accepted<'_>;
}

/// The world as one node sees it.
///
/// Times: [`Host::elapsed`] is monotone and may drift against other hosts; [`Host::wall`] may be
/// offset and may step. All futures are local: a host's tasks share one thread.
pub trait Host: Send + Sync + 'static {
    /// The node's name, such as `jm` or `tm-1`; other hosts reach it as `name:port`.
    fn name(&self) -> &str;

    /// Time since the host started; never goes back.
    fn elapsed(&self) -> Duration;

    /// The wall clock of this host.
    fn wall(&self) -> ProcessingTime;

    /// Completes once `span` has gone by on this host's clock. Cancel safe.
    fn sleep(&self, span: Duration) -> LocalFuture<()>;

    /// Connects to `name:port`, or fails within `within`.
    fn connect(&self, address: &str, within: Duration) -> LocalFuture<io::Result<Conn>>;

    /// Binds a port (0: any), on loopback unless the host was told otherwise.
    fn listen(&self, port: u16) -> LocalFuture<io::Result<Box<dyn Listener>>>;

    /// The random stream of this name, fresh at its start for each incarnation of the host.
    fn random(&self, stream: &str) -> RandomStream;

    /// The files of this node.
    fn files(&self) -> &dyn Files;

    /// Opens the object store at `url`, which outlives this host. What has been put is durable when
    /// the put returns; every call reaches the same objects. A real host knows `file:///folder`, a
    /// path, and `memory://name` (of this process); a simulated one has one store for all.
    ///
    /// # Errors
    /// If there is no such store: an unknown scheme, a path that is not a folder.
    fn store(&self, url: &str) -> Result<Objects, StoreError>;

    /// Whether the store at `url` is there already: [`Host::store`] makes a folder that is not.
    fn has_store(&self, url: &str) -> bool {
        self.store(url).is_ok()
    }

    /// Starts a task on this thread. It ends with the returned handle's `abort`, never by drop.
    /// A panic in it is told as [`Fact::Panicked`] and ends the task, not the host.
    fn spawn(&self, name: &str, task: LocalFuture<()>) -> TaskHandle;

    /// Starts a worker: its own thread and runtime on a real host, a task here in a simulated one.
    /// `make` runs on the worker's thread.
    fn spawn_worker(&self, name: &str, make: WorkerMain) -> TaskHandle;

    /// States a fact to whoever listens. Never blocks.
    fn tell(&self, fact: Fact);

    /// How much the listener wants to be told.
    fn detail(&self) -> Detail;

    /// This host, to hand on.
    fn arc(&self) -> Arc<dyn Host>;
}

/// What a worker runs, given its host.
pub type WorkerMain = Box<dyn FnOnce(Arc<dyn Host>) -> LocalFuture<()> + Send>;

/// A running task.
pub struct TaskHandle(Box<dyn Fn() + Send + Sync>);

impl TaskHandle {
    /// `abort` must be callable more than once, and from any thread.
    pub fn new(abort: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Box::new(abort))
    }

    /// Drops the task at its next await point; harmless if it has ended.
    pub fn abort(&self) {
        (self.0)();
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskHandle")
    }
}

/// The files of a node: small, whole-file verbs. Paths are `/`-separated.
///
/// A name that has been written is durable when `write` returns (file and folder synced).
pub trait Files: Send + Sync {
    /// Reads at most `limit` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// As the operating system's.
    fn read_at(&self, path: &str, offset: u64, limit: usize) -> io::Result<Vec<u8>>;
    /// Creates or replaces a file, whole or not at all.
    ///
    /// # Errors
    /// As the operating system's.
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()>;
    /// Appends to a file, creating it (and its folder) if need be.
    ///
    /// # Errors
    /// As the operating system's.
    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()>;
    /// The names in a folder, sorted; an absent folder is empty.
    ///
    /// # Errors
    /// As the operating system's.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
}

/// The future's output, or `None` once `span` has gone by on this host's clock. The future goes
/// first: one that is ready at the deadline wins. Cancel safe if the future is.
pub async fn within<F: Future>(host: &dyn Host, span: Duration, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = host.sleep(span) => None,
    }
}

/// What a caught panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".into())
}

/// Carries a host through the dataflow, which cannot look inside.
pub fn outside(host: Arc<dyn Host>) -> Outside {
    Outside(Arc::new(host) as Arc<dyn Any + Send + Sync>)
}

/// The host that a connector was opened on.
///
/// # Panics
/// If the handle was not made by [`outside`].
pub fn of(outside: &Outside) -> Arc<dyn Host> {
    let host = outside.0.downcast_ref::<Arc<dyn Host>>();
    Arc::clone(host.expect("the runtime makes every Outside from a host"))
}
