//! The real host: sockets, clocks, threads and files of this machine, on loopback unless told.
//! The one file that may read a clock, ask the system for randomness or start a thread; nothing of
//! the engine's behaviour is decided here. Its files are in [`super::disk`].
#![expect(
    clippy::disallowed_methods,
    reason = "the real host is where clock, network, threads and tasks come from"
)]

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use rustix::io::Errno;
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::random::RandomStream;
use slackwater_core::time::ProcessingTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::disk::Disk;
use super::tape::Tape;
use super::told::Told;
use super::{
    Accepted, Conn, Files, Host, Listener, LocalFuture, Objects, TaskHandle, WorkerMain, objects,
};
use crate::store::StoreError;

/// What is told of facts.
pub type Telling = Arc<dyn Fn(Fact) + Send + Sync>;

/// Knows where a node is: an explicit `host:port` for `name:port`, or `None` for whom the system knows.
pub type Resolving = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A node on this machine.
///
/// ```
/// use slackwater_runtime::host::Host;
/// use slackwater_runtime::host::real::{RealHost, run};
/// let host = RealHost::named("jm").expect("the system has randomness");
/// let name = run(host, |host| async move { host.name().to_owned() }).expect("a runtime");
/// assert_eq!(name, "jm");
/// ```
#[derive(Clone)]
pub struct RealHost {
    name: String,
    seed: u64,
    started: Instant,
    bind: IpAddr,
    /// How far its wall clock is ahead of the machine's, in ms.
    ahead: i64,
    detail: Detail,
    telling: Telling,
    resolving: Resolving,
    /// The folder that stands for the root of every object store, if there is one, and the address
    /// that means it.
    root: Option<(PathBuf, String)>,
    neighbours: Arc<BTreeSet<String>>,
}

impl RealHost {
    /// A node of this name on loopback, to whose facts nobody listens.
    ///
    /// # Errors
    /// If the operating system gives no randomness.
    pub fn named(name: impl Into<String>) -> io::Result<Self> {
        Ok(Self {
            name: name.into(),
            seed: getrandom::u64().map_err(io::Error::other)?,
            started: Instant::now(),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ahead: 0,
            detail: Detail::Off,
            telling: Arc::new(drop),
            resolving: Arc::new(|_| None),
            root: None,
            neighbours: Arc::default(),
        })
    }

    /// The same, telling facts up to this level to `telling`, which must not block.
    #[must_use]
    pub fn telling(self, detail: Detail, telling: Telling) -> Self {
        Self { detail, telling, ..self }
    }

    /// The same, drawing from this seed.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same, with a wall clock that is this many milliseconds ahead of the machine's, or behind
    /// it if negative.
    #[must_use]
    pub fn ahead_by(self, millis: i64) -> Self {
        Self { ahead: millis, ..self }
    }

    /// The same, keeping its facts up to this level on a tape, each with the time of its wall clock.
    #[must_use]
    pub fn taped(self, detail: Detail, tape: Tape) -> Self {
        let ahead = self.ahead;
        self.telling(detail, Arc::new(move |fact| tape.keep(|| since_epoch(ahead), fact)))
    }

    /// The same, listening on this address of the machine.
    #[must_use]
    pub fn bound_to(self, bind: IpAddr) -> Self {
        Self { bind, ..self }
    }

    /// The same, with one folder of this machine for all object stores: `own`, such as
    /// `file:///slackwater`, and every address that is no absolute one lead to the folder itself,
    /// `file:///a` to `a` within it. What is changed there is told. `memory://` and what is no address
    /// of a store are as ever.
    #[must_use]
    pub fn rooted(self, folder: PathBuf, own: impl Into<String>) -> Self {
        Self { root: Some((folder, own.into())), ..self }
    }

    /// The same, asking `resolving` where a node is before anybody else.
    #[must_use]
    pub fn resolving(self, resolving: Resolving) -> Self {
        Self { resolving, ..self }
    }

    /// The folder in which all stores lie, if they do, and the place of this one in it.
    fn place(&self, url: &str) -> Option<(&Path, String)> {
        let (root, own) = self.root.as_ref()?;
        if !url.starts_with("file://") && url.contains("://") {
            return None;
        }
        let path = url.strip_prefix("file://").filter(|path| path.starts_with('/'));
        let own = own.trim_start_matches("file://");
        let within = match path.and_then(|path| path.strip_prefix(own)) {
            Some(inside) if inside.is_empty() || inside.starts_with('/') => inside,
            _ => path.unwrap_or_default(),
        };
        Some((root, within.trim_matches('/').to_owned()))
    }

    /// The same, finding these names on this machine, as it finds its own and `localhost`.
    #[must_use]
    pub fn with_neighbours<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let neighbours = Arc::new(names.into_iter().map(str::to_owned).collect());
        Self { neighbours, ..self }
    }

    /// What to ask the system for `name:port`: what the hook says; this machine for its own name and
    /// its neighbours'; else what was asked for, an IP address or a name of the network.
    fn resolve(&self, address: &str) -> io::Result<String> {
        if let Some(explicit) = (self.resolving)(address) {
            return Ok(explicit);
        }
        if address.parse::<SocketAddr>().is_ok() {
            return Ok(address.to_owned());
        }
        let parts = address.rsplit_once(':').filter(|(name, _)| !name.is_empty());
        let Some((name, port)) = parts.and_then(|(n, port)| Some((n, port.parse::<u16>().ok()?)))
        else {
            let message = format!("expected an address such as \"jm:6123\", found {address:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let here = match name {
            "localhost" => loopback,
            _ if name == self.name && !self.bind.is_unspecified() => self.bind,
            _ if name == self.name || self.neighbours.contains(name) => loopback,
            _ => return Ok(address.to_owned()),
        };
        Ok(SocketAddr::new(here, port).to_string())
    }
}

/// The time since 1970 on a clock that is so many milliseconds ahead of the machine's. Clocks of two
/// processes of one machine agree.
pub fn since_epoch(ahead: i64) -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let span = Duration::from_millis(ahead.unsigned_abs());
    if ahead < 0 { since.saturating_sub(span) } else { since + span }
}

impl fmt::Debug for RealHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RealHost({})", self.name)
    }
}

/// Runs a node's main future on this thread until it ends, with the host that it runs on.
///
/// # Errors
/// If the operating system refuses what a runtime needs.
pub fn run<F: Future>(
    host: RealHost,
    main: impl FnOnce(Arc<dyn Host>) -> F,
) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    Ok(local.block_on(&runtime, async move { main(Arc::new(host)).await }))
}

impl Host for RealHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall(&self) -> ProcessingTime {
        let since = since_epoch(self.ahead);
        ProcessingTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep(&self, span: Duration) -> LocalFuture<()> {
        Box::pin(tokio::time::sleep(span))
    }

    fn connect(&self, address: &str, within: Duration) -> LocalFuture<io::Result<Conn>> {
        let (named, resolved) = (address.to_owned(), self.resolve(address));
        Box::pin(async move {
            let connecting = tokio::time::timeout(within, TcpStream::connect(resolved?));
            let connected = connecting.await.unwrap_or_else(|_| {
                let message = format!("no answer within {within:?}");
                Err(io::Error::new(io::ErrorKind::TimedOut, message))
            });
            let stream = connected
                .map_err(|error| io::Error::new(error.kind(), format!("{named}: {error}")))?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Conn)
        })
    }

    fn listen(&self, port: u16) -> LocalFuture<io::Result<Box<dyn Listener>>> {
        let address = SocketAddr::new(self.bind, port);
        Box::pin(async move {
            let bound = TcpListener::bind(address).await.map_err(|error| {
                let message = format!("cannot listen on {address}: {error}");
                io::Error::new(error.kind(), message)
            })?;
            let port = bound.local_addr()?.port();
            Ok(Box::new(Bound { bound, port }) as Box<dyn Listener>)
        })
    }

    fn random(&self, stream: &str) -> RandomStream {
        RandomStream::named(self.seed, stream)
    }

    fn store(&self, url: &str) -> Result<Objects, StoreError> {
        let Some((root, within)) = self.place(url) else { return objects::open(url) };
        let store = objects::open(&root.display().to_string())?;
        Ok(Arc::new(Told::new(store, &within, Arc::clone(&self.telling))))
    }

    fn has_store(&self, url: &str) -> bool {
        // Within one store every place is there, though there may be nothing.
        self.place(url).is_some() || objects::is_there(url)
    }

    fn files(&self) -> &dyn Files {
        &Disk
    }

    fn spawn(&self, name: &str, task: LocalFuture<()>) -> TaskHandle {
        let guarded = guarded(self.clone(), name.to_owned(), task);
        let abort = tokio::task::spawn_local(guarded).abort_handle();
        TaskHandle::new(move || abort.abort())
    }

    fn spawn_worker(&self, name: &str, make: WorkerMain) -> TaskHandle {
        let (stop, stopped) = watch::channel(false);
        let (host, named) = (self.clone(), name.to_owned());
        let thread = std::thread::Builder::new().name(name.to_owned());
        let started = thread.spawn(move || work(&host, &named, make, stopped));
        if let Err(error) = started {
            let message = format!("no thread for the worker: {error}");
            self.tell(Fact::Panicked { task: name.to_owned(), message });
        }
        TaskHandle::new(move || {
            stop.send_replace(true);
        })
    }

    fn tell(&self, fact: Fact) {
        if self.detail > Detail::Off {
            (self.telling)(fact);
        }
    }

    fn detail(&self) -> Detail {
        self.detail
    }

    fn arc(&self) -> Arc<dyn Host> {
        Arc::new(self.clone())
    }
}

/// The thread of a worker. Dropping its local set drops every task that it spawned.
fn work(host: &RealHost, name: &str, make: WorkerMain, mut stopped: watch::Receiver<bool>) {
    let guard = |host: RealHost, name: String| {
        move |on: Arc<dyn Host>| async move {
            // The worker's main is made inside the guard: a panic while making it is told as well.
            let main = Box::pin(async move { make(on).await });
            tokio::select! {
                biased;
                Ok(_) = stopped.wait_for(|stopped| *stopped) => {}
                () = guarded(host, name, main) => {}
            }
        }
    };
    if let Err(error) = run(host.clone(), guard(host.clone(), name.to_owned())) {
        let message = format!("no runtime for the worker: {error}");
        host.tell(Fact::Panicked { task: name.to_owned(), message });
    }
}

/// Runs a task, and tells its panic instead of passing it on.
async fn guarded(host: RealHost, task: String, future: LocalFuture<()>) {
    if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
        host.tell(Fact::Panicked { task, message: super::panic_message(&*panic) });
    }
}

struct Bound {
    bound: TcpListener,
    port: u16,
}

/// How long to wait for file handles, if there are none left.
const HANDLES_BACK_AFTER: Duration = Duration::from_millis(50);

/// Whether a listener goes on after this: a peer that gave up while it waited, or no handles left.
fn passes(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    let passing = [Errno::CONNABORTED, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    code.is_some_and(|code| passing.contains(&code))
}

impl Listener for Bound {
    fn port(&self) -> u16 {
        self.port
    }

    fn accept(&mut self) -> Accepted<'_> {
        Box::pin(async move {
            let (stream, peer) = loop {
                match self.bound.accept().await {
                    Err(error) if passes(&error) => tokio::time::sleep(HANDLES_BACK_AFTER).await,
                    accepted => break accepted?,
                }
            };
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Conn, peer.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc;

    use super::*;

    fn told() -> (RealHost, Arc<Mutex<Vec<Fact>>>) {
        let facts = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&facts);
        let telling: Telling = Arc::new(move |fact| heard.lock().expect("whole").push(fact));
        let host = RealHost::named("here").expect("randomness");
        (host.telling(Detail::Control, telling), facts)
    }

    #[test]
    fn a_host_knows_its_own_name_and_its_neighbours_and_asks_the_system_for_all_others() {
        let host = RealHost::named("jm").expect("randomness").with_neighbours(["db"]);
        let found = |address| host.resolve(address).ok();
        for (asked, there) in [
            ("jm:80", Some("127.0.0.1:80")),
            ("db:80", Some("127.0.0.1:80")),
            ("localhost:80", Some("127.0.0.1:80")),
            ("10.0.0.1:80", Some("10.0.0.1:80")),
            ("[::1]:80", Some("[::1]:80")),
            ("influx.example.org:80", Some("influx.example.org:80")),
            ("tm-1", None),
            (":80", None),
            ("jm:port", None),
        ] {
            assert_eq!(found(asked).as_deref(), there, "{asked}");
        }
        let told = host.clone().resolving(Arc::new(|_| Some("example.org:1".into())));
        assert_eq!(told.resolve("jm:80").ok().as_deref(), Some("example.org:1"));
        let elsewhere = host.clone().bound_to("10.0.0.1".parse().expect("an address"));
        assert_eq!(elsewhere.resolve("jm:80").ok().as_deref(), Some("10.0.0.1:80"));
        let everywhere = host.bound_to("0.0.0.0".parse().expect("an address"));
        assert_eq!(everywhere.resolve("jm:80").ok().as_deref(), Some("127.0.0.1:80"));
    }

    #[test]
    fn a_name_that_nobody_knows_is_an_error_by_name_and_never_this_machine() {
        let said = run(RealHost::named("jm").expect("randomness"), |host| async move {
            let listener = host.listen(0).await.expect("a port");
            // No name of any network ends so (RFC 6761).
            let asked = format!("db.invalid:{}", listener.port());
            let refused = host.connect(&asked, Duration::from_secs(20)).await;
            (asked, refused.err().map(|error| error.to_string()))
        });
        let (asked, said) = said.expect("a runtime");
        assert!(said.expect("no such name").starts_with(&format!("{asked}: ")));
    }

    #[test]
    fn all_stores_lie_in_one_folder_for_who_is_rooted_and_what_changes_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (host, facts) = told();
        let host = host.rooted(folder.path().join("root"), "file:///own");
        let ran = run(host, async |host| {
            for (url, file) in [("file:///own", "a"), ("file:///kept/x", "b"), ("./data", "c")] {
                assert!(host.has_store(url), "{url}");
                let store = crate::store::Store::open(host.arc(), url).expect("a store");
                store.put(file, vec![b"1".to_vec().into()]).await.expect("room");
            }
            assert!(host.store("ftp://x").is_err());
        });
        ran.expect("a runtime");
        for file in ["a", "kept/x/b", "c"] {
            assert!(folder.path().join("root").join(file).is_file(), "{file}");
        }
        let facts = facts.lock().expect("whole");
        let paths = facts.iter().map(|fact| match fact {
            Fact::StorePut { path, .. } => path.as_str(),
            other => panic!("{other}"),
        });
        assert_eq!(paths.collect::<Vec<_>>(), ["a", "kept/x/b", "c"]);
    }

    #[test]
    fn a_worker_answers_from_its_own_thread_until_it_is_aborted() {
        let host = RealHost::named("tm").expect("randomness");
        let pong = run(host, |host| async move {
            let (port, mut ports) = mpsc::unbounded_channel();
            let make: WorkerMain = Box::new(move |host| {
                Box::pin(async move {
                    let mut listener = host.listen(0).await.expect("a port");
                    port.send(listener.port()).expect("listened to");
                    let (mut conn, _) = listener.accept().await.expect("a peer");
                    conn.write_all(b"pong").await.expect("a reader");
                    std::future::pending().await
                })
            });
            let worker = host.spawn_worker("tm/0", make);
            let at = format!("tm:{}", ports.recv().await.expect("a worker"));
            let mut conn = host.connect(&at, Duration::from_secs(5)).await.expect("an answer");
            let mut pong = [0; 4];
            conn.read_exact(&mut pong).await.expect("an answer");
            worker.abort();
            // The worker lives on in its pending future: only the abort ends the connection.
            assert_eq!(conn.read(&mut [0]).await.expect("a clean end"), 0);
            pong
        });
        assert_eq!(&pong.expect("a runtime"), b"pong");
    }

    #[test]
    fn a_panic_is_told_and_ends_its_task_alone() {
        let (host, facts) = told();
        let done = run(host, |host| async move {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            host.spawn("bad", Box::pin(async { panic!("said {}", "so") }));
            host.spawn("good", Box::pin(async move { sender.send(7).expect("heard") }));
            receiver.recv().await
        });
        assert_eq!(done.expect("a runtime"), Some(7));
        let bad = Fact::Panicked { task: "bad".into(), message: "said so".into() };
        assert_eq!(*facts.lock().expect("whole"), [bad]);
    }

    #[test]
    fn a_port_in_use_is_named() {
        let said = run(RealHost::named("jm").expect("randomness"), |host| async move {
            let first = host.listen(0).await.expect("a port");
            let again = host.listen(first.port()).await.err().expect("taken").to_string();
            (first.port(), again)
        });
        let (port, said) = said.expect("a runtime");
        assert!(said.starts_with(&format!("cannot listen on 127.0.0.1:{port}")), "{said}");
    }
}
