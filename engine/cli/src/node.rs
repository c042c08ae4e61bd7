//! The verbs `jobmanager` and `taskmanager`: one node of a cluster in this process.
//! Each runs until Ctrl-C or SIGTERM; a task manager that its job manager does not want ends at once
//! and says why. What the nodes do is in `slackwater-runtime`.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use slackwater_core::time::parse_span;
use slackwater_dataflow::task::Programs;
use slackwater_runtime::host::Host;
use slackwater_runtime::host::process::Binaries;
use slackwater_runtime::host::real::{self, RealHost};
use slackwater_runtime::jobmanager::{self, JobManager, JobManagerConfig, JobManagerError};
use slackwater_runtime::taskmanager::process::Launching;
use slackwater_runtime::taskmanager::{self, TaskManagerConfig, TaskManagerError};
use slackwater_runtime::wire::handshake::{Handshake, PROTOCOL};

use crate::cluster::{TaskManagerVerb, state_folder};
use crate::exit::{Exit, Failure};
use crate::network::{Network, demo};
use crate::rehearsal::RehearsalArgs;
use crate::remote::{default_address, from_here};
use crate::rest;

/// The arguments of `jobmanager`.
#[derive(Clone, Debug, Args)]
pub struct JobManagerArgs {
    /// The port to listen on; 0 takes any
    #[arg(long, value_name = "PORT", default_value_t = jobmanager::PORT)]
    pub port: u16,
    /// The name under which others know it
    #[arg(long, value_name = "NAME", default_value = "jm")]
    pub name: String,
    /// Where to keep what outlives this process, such as `file:///srv/slackwater` or a folder.
    /// Several job managers over one store are one leader and its standbys. Without a store, jobs
    /// end with this process
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The folder that savepoints are put in, unless whoever asks for one says where. Without it they
    /// stay in the memory of this process, and are lost with it
    #[arg(long, value_name = "URL")]
    pub savepoints: Option<String>,
    /// The port that REST is served on, in the shape of Flink's: 8081 unless it is taken; 0 serves none
    #[arg(long, value_name = "PORT")]
    pub rest_port: Option<u16>,
    /// Where it is reached from.
    #[command(flatten)]
    pub network: Network,
    /// With a store: how long the leader may be silent before a standby takes over
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = parse_span)]
    pub lease_timeout: Duration,
    /// The part that it has in a rehearsal.
    #[command(flatten)]
    pub rehearsal: RehearsalArgs,
}

/// The arguments of `taskmanager`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TaskManagerArgs {
    /// What to do with one of the background, instead of running one here
    #[command(subcommand)]
    pub act: Option<TaskManagerVerb>,
    /// The name to register under; unique in its cluster
    #[arg(long, value_name = "NAME", default_value = "tm-1")]
    pub name: String,
    /// Where the job manager listens; several, parted by commas, if there are standbys
    #[arg(long, value_name = "HOST:PORT", default_value_t = default_address())]
    pub job_manager: String,
    /// How many slots to offer, each with a thread of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub slots: u32,
    /// The folder for binaries that jobs come in; unless given, slackwater/binaries/NAME in
    /// $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "DIR")]
    pub binaries: Option<PathBuf>,
    /// Where it is reached from.
    #[command(flatten)]
    pub network: Network,
    /// The protocol version to speak: another one rehearses an upgrade that went half-way
    #[arg(long, hide = true, default_value_t = PROTOCOL)]
    pub protocol: u32,
    /// The part that it has in a rehearsal.
    #[command(flatten)]
    pub rehearsal: RehearsalArgs,
}

/// Runs a job manager until it is told to stop.
///
/// # Errors
/// [`Exit::Environment`] if its port is taken.
pub fn job_manager(args: &JobManagerArgs, programs: Arc<dyn Programs>) -> Result<(), Failure> {
    // Task managers and clients are told of them, and stand in folders of their own.
    let (mut store, mut savepoints) = (args.store.clone(), args.savepoints.clone());
    store.iter_mut().chain(&mut savepoints).try_for_each(from_here)?;
    let rest = rest::config(args, (store.as_deref(), savepoints.as_deref()))?;
    let config = JobManagerConfig {
        port: args.port,
        store,
        savepoints,
        lease_timeout: args.lease_timeout,
        handshake: args.network.handshake()?,
        advertise: args.network.advertised().and_then(|own| advertised(&args.rehearsal, own)),
        ..Default::default()
    };
    let host = host(&args.name, &args.rehearsal, &args.network)?.with_neighbours(demo());
    let serving = real::run(host, |host: Arc<dyn Host>| async move {
        let stopped = stop_asked()?;
        let rest_host = Arc::clone(&host);
        let bound = JobManager::bind(host, config, programs).await.map_err(Failure::from)?;
        println!("the job manager listens on port {}", bound.port());
        let serving = rest::serve(rest_host, rest, bound.port()).await?;
        tokio::select! {
            biased;
            () = stopped => Ok(()),
            ended = bound.serve() => ended.map_err(Failure::from),
            ended = serving => ended,
        }
    });
    serving.map_err(environment)?
}

/// Where a task manager keeps the binaries that it runs.
fn binaries(args: &TaskManagerArgs) -> PathBuf {
    let own =
        || state_folder().unwrap_or_else(std::env::temp_dir).join("binaries").join(&args.name);
    args.binaries.clone().unwrap_or_else(own)
}

/// Runs a task manager until it is told to stop. A job manager that does not answer is tried again.
///
/// # Errors
/// [`Exit::OtherVersion`] if the job manager speaks another version, [`Exit::Unreachable`] if it
/// refuses for another reason, [`Exit::JobFailed`] if a worker ends.
pub fn task_manager(args: &TaskManagerArgs, programs: Arc<dyn Programs>) -> Result<(), Failure> {
    let handshake = Handshake { protocol: args.protocol, ..args.network.handshake()? };
    let mut config = TaskManagerConfig {
        job_manager: args.job_manager.clone(),
        slots: args.slots,
        workers: args.slots,
        handshake,
        launching: Launching(Some(Arc::new(Binaries::in_folder(binaries(args))))),
        advertise: advertised(&args.rehearsal, args.network.must_be_found()?),
        bind: args.network.is_exposed().then_some(args.network.bind),
        ..Default::default()
    };
    config.worker.exchange.token = handshake.token;
    if let Some(part) = args.rehearsal.part()? {
        config.workers = part.workers.unwrap_or(config.workers);
        let credits = &mut config.worker.exchange.credits;
        *credits = part.credits.unwrap_or(*credits);
    }
    let host = host(&args.name, &args.rehearsal, &args.network)?.with_neighbours(demo());
    let running = real::run(host, |host: Arc<dyn Host>| async move {
        let stopped = stop_asked()?;
        println!("task manager {} joins {}", host.name(), config.job_manager);
        tokio::select! {
            biased;
            () = stopped => Ok(()),
            ended = taskmanager::run(host, config, programs) => ended.map_err(Failure::from),
        }
    });
    running.map_err(environment)?
}

impl From<JobManagerError> for Failure {
    fn from(error: JobManagerError) -> Self {
        let words = match &error {
            JobManagerError::Port { .. } => format!("{error}: choose another --port"),
            JobManagerError::Store(_) => format!("{error}: choose another --store"),
        };
        Self::new(Exit::Environment, words)
    }
}

impl From<TaskManagerError> for Failure {
    fn from(error: TaskManagerError) -> Self {
        let exit = match &error {
            TaskManagerError::OtherVersion(_) => Exit::OtherVersion,
            TaskManagerError::Refused(_) => Exit::Unreachable,
            TaskManagerError::WorkerLost(_) => Exit::JobFailed,
        };
        Self::new(exit, error)
    }
}

/// The host of a node: a rehearsal says itself where each one listens.
fn host(name: &str, part: &RehearsalArgs, network: &Network) -> Result<RealHost, Failure> {
    let host = part.host(name)?;
    Ok(if part.rehearsal.is_some() { host } else { host.bound_to(network.bind) })
}

/// Under what others find it; in a rehearsal, by its name.
fn advertised(part: &RehearsalArgs, own: String) -> Option<String> {
    part.rehearsal.is_none().then_some(own)
}

fn environment(error: io::Error) -> Failure {
    Failure::new(Exit::Environment, error)
}

/// Completes when a person asks the process to stop, by Ctrl-C or SIGTERM.
pub(crate) fn stop_asked() -> Result<Pin<Box<dyn Future<Output = ()>>>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(environment);
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(Box::pin(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }))
}
