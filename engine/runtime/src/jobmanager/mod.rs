//! The job manager: takes task managers and clients in, feeds `slackwater-control`, and executes
//! its commands in order. No decision is made here, and nothing here is decided by a client.
//! Who leads is in `leader`; the desk that serves a term is `desk`; the decisions are in
//! `slackwater_control::cluster`.

mod desk;
mod door;
mod lane;
mod leader;
mod orders;
mod places;
mod recovery;
mod savepoints;
mod submissions;
mod told;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::id::JobEpoch;
use slackwater_dataflow::task::Programs;
use tokio::sync::watch;

use self::door::{Door, Standing};
use self::leader::Leader;
use crate::artifact::Artifacts;
use crate::host::{Host, Listener, TaskHandle};
use crate::store::{Store, StoreError};
use crate::wire::handshake::Handshake;
use crate::wire::lobby::Lobby;
use crate::wire::session::Heartbeat;

pub use self::savepoints::fits;

/// The port that a job manager listens on by default.
pub const PORT: u16 = 6123;

/// The measures of a job manager.
#[derive(Clone, Debug)]
pub struct JobManagerConfig {
    /// Where it listens; 0 for any.
    pub port: u16,
    /// Where it keeps what outlives it: the lease of its leadership and the log of every job. Several
    /// job managers over one store are one leader and its standbys. `None`: in memory, for as long
    /// as the process lives, and it leads alone.
    pub store: Option<String>,
    /// Where the checkpoints of jobs lie that do not say so. `None`: in the store, or, without one,
    /// where jobs put them by default.
    pub storage: Option<String>,
    /// The folder that savepoints are put in, unless whoever asks for one says where. `None`: they
    /// stay in the memory of the job manager, and are lost with it.
    pub savepoints: Option<String>,
    /// Without a store, its leadership term; with one, the store knows.
    pub epoch: JobEpoch,
    /// How long a lease holds that is not renewed. It is renewed four times in this time.
    pub lease_timeout: Duration,
    /// How it tells a lost task manager from a quiet one.
    pub heartbeat: Heartbeat,
    /// How much longer than the heartbeat timeout it waits before it starts the tasks of a silent
    /// task manager elsewhere: clock drift, and the time it takes to stop (semantics rule 24).
    pub fence_margin: Duration,
    /// How it shakes hands.
    pub handshake: Handshake,
    /// Under which name or address others reach it; `None`: under the host's name.
    pub advertise: Option<String>,
}

impl Default for JobManagerConfig {
    fn default() -> Self {
        Self {
            port: PORT,
            store: None,
            storage: None,
            savepoints: None,
            epoch: JobEpoch(1),
            lease_timeout: Duration::from_secs(5),
            heartbeat: Heartbeat::default(),
            fence_margin: Duration::from_secs(1),
            handshake: Handshake::default(),
            advertise: None,
        }
    }
}

/// How much faster another node's clock may run, in thousandths.
const DRIFT_PERMILLE: u32 = 10;

/// A span that has gone by on every clock once `span` has on ours: longer by the drift.
fn longer(span: Duration) -> Duration {
    span + span * DRIFT_PERMILLE / 1000
}

/// A span that is over on our clock before `span` is on any other: shorter by the drift.
fn shorter(span: Duration) -> Duration {
    span.saturating_sub(span * DRIFT_PERMILLE / 1000)
}

/// Why a job manager could not start or go on.
#[derive(Debug)]
pub enum JobManagerError {
    /// It cannot listen.
    Port {
        /// On this port.
        port: u16,
        /// What the host said.
        error: io::Error,
    },
    /// Its store cannot be opened.
    Store(StoreError),
}

impl fmt::Display for JobManagerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { port, error } => {
                write!(f, "the job manager cannot listen on port {port}: {error}")
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JobManagerError {}

/// A job manager that has bound its port.
pub struct JobManager {
    host: Arc<dyn Host>,
    config: JobManagerConfig,
    programs: Arc<dyn Programs>,
    store: Option<Store>,
    listener: Box<dyn Listener>,
}

impl fmt::Debug for JobManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobManager(port {})", self.port())
    }
}

impl JobManager {
    /// Opens the store and binds the port.
    ///
    /// # Errors
    /// If there is no such store, or the port is taken.
    pub async fn bind(
        host: Arc<dyn Host>,
        config: JobManagerConfig,
        programs: Arc<dyn Programs>,
    ) -> Result<Self, JobManagerError> {
        let opened = config.store.as_ref().map(|url| Store::open(Arc::clone(&host), url));
        let store = opened.transpose().map_err(JobManagerError::Store)?;
        let port = config.port;
        let bound = host.listen(port).await;
        let listener = bound.map_err(|error| JobManagerError::Port { port, error })?;
        Ok(Self { host, config, programs, store, listener })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Serves until it is dropped; its connections end with it.
    ///
    /// # Errors
    /// If the listener fails for good.
    pub async fn serve(self) -> Result<(), JobManagerError> {
        let Self { host, config, programs, store, mut listener } = self;
        let (port, handshake, heartbeat) = (config.port, config.handshake, config.heartbeat);
        let own = config.advertise.as_deref().unwrap_or(host.name());
        let address = format!("{own}:{}", listener.port());
        let (standing, stands) = watch::channel(Standing::Standby { leader: None });
        let artifacts = Artifacts::of(store.clone());
        let leading = Arc::clone(&host);
        let leader = Leader { host: leading, config, programs, store, address, standing };
        let _led = Kept(host.spawn("job manager desk", Box::pin(leader.run())));
        let (mut callers, lobby) = (0u64, Lobby::default());
        let error = loop {
            match listener.accept().await {
                Ok((conn, peer)) => {
                    callers += 1;
                    let (host, standing) = (Arc::clone(&host), stands.clone());
                    let (caller, artifacts) = (callers, artifacts.clone());
                    let (at, waiting) = (Arc::clone(&host), lobby.enter(caller));
                    let door = Door { host: at, handshake, heartbeat, standing, artifacts, caller };
                    let open = Box::pin(door.open(conn, peer, waiting));
                    lobby.by(caller, host.spawn("job manager door", open));
                }
                Err(error) => break error,
            }
        };
        Err(JobManagerError::Port { port, error })
    }
}

/// Ends a task with its owner. Without a leader every door closes by itself.
struct Kept(TaskHandle);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a job manager on a host: [`JobManager::bind`], then [`JobManager::serve`].
///
/// # Errors
/// As theirs.
pub async fn run(
    host: Arc<dyn Host>,
    config: JobManagerConfig,
    programs: Arc<dyn Programs>,
) -> Result<(), JobManagerError> {
    JobManager::bind(host, config, programs).await?.serve().await
}
