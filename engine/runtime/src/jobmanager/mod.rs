//! The job manager: takes task managers and clients in, feeds `slackwater-control`, and executes
//! its commands in order. No decision is made here, and nothing here is decided by a client.
//! The desk that serves them all is `desk`; the decisions are in `slackwater_control::cluster`.

mod desk;
mod door;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::id::JobEpoch;
use slackwater_dataflow::task::Programs;
use tokio::sync::mpsc;

use crate::host::{Host, Listener, TaskHandle};
use crate::wire::handshake::Handshake;
use crate::wire::session::Heartbeat;

/// The port that a job manager listens on by default.
pub const PORT: u16 = 6123;

/// The measures of a job manager.
#[derive(Clone, Debug)]
pub struct JobManagerConfig {
    /// Where it listens; 0 for any.
    pub port: u16,
    /// Its leadership term.
    pub epoch: JobEpoch,
    /// How it tells a lost task manager from a quiet one.
    pub heartbeat: Heartbeat,
    /// How much longer than the heartbeat timeout it waits before it starts the tasks of a silent
    /// task manager elsewhere: clock drift, and the time it takes to stop (semantics rule 24).
    pub fence_margin: Duration,
    /// How it shakes hands.
    pub handshake: Handshake,
}

impl Default for JobManagerConfig {
    fn default() -> Self {
        Self {
            port: PORT,
            epoch: JobEpoch(1),
            heartbeat: Heartbeat::default(),
            fence_margin: Duration::from_secs(1),
            handshake: Handshake::default(),
        }
    }
}

/// Why a job manager could not start or go on.
#[derive(Debug)]
pub struct JobManagerError {
    /// The port it wanted.
    pub port: u16,
    /// What the host said.
    pub error: std::io::Error,
}

impl fmt::Display for JobManagerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the job manager cannot listen on port {}: {}", self.port, self.error)
    }
}

impl std::error::Error for JobManagerError {}

/// A job manager that has bound its port.
pub struct JobManager {
    host: Arc<dyn Host>,
    config: JobManagerConfig,
    programs: Arc<dyn Programs>,
    listener: Box<dyn Listener>,
}

impl fmt::Debug for JobManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobManager(port {})", self.port())
    }
}

impl JobManager {
    /// Binds the port.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn bind(
        host: Arc<dyn Host>,
        config: JobManagerConfig,
        programs: Arc<dyn Programs>,
    ) -> Result<Self, JobManagerError> {
        let port = config.port;
        let listener = host.listen(port).await.map_err(|error| JobManagerError { port, error })?;
        Ok(Self { host, config, programs, listener })
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
        let Self { host, config, programs, mut listener } = self;
        host.tell(Fact::JobManagerStarted { epoch: config.epoch });
        let (events, received) = mpsc::unbounded_channel();
        let desk = desk::Desk::new(Arc::clone(&host), &config, programs);
        let _served = Kept(host.spawn("job manager desk", Box::pin(desk.run(received))));
        let mut callers = 0u64;
        let error = loop {
            match listener.accept().await {
                Ok((conn, peer)) => {
                    callers += 1;
                    let door = door::Door {
                        host: Arc::clone(&host),
                        config: config.clone(),
                        events: events.clone(),
                        caller: callers,
                    };
                    host.spawn("job manager door", Box::pin(door.open(conn, peer)));
                }
                Err(error) => break error,
            }
        };
        Err(JobManagerError { port: config.port, error })
    }
}

/// Ends a task with its owner. Without a desk every door closes by itself.
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
