//! The verbs `cluster start`, `stop` and `status`, and `taskmanager start` and `stop`: a cluster of
//! this machine as processes of their own, which outlive the terminal. Each can be typed again: what
//! runs is left alone, what is missing is started. What the nodes do is [`crate::node`]'s; how a
//! process is started, found and stopped is [`process`]'s.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use slackwater_runtime::client::Client;
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::{self, RealHost};
use slackwater_runtime::jobmanager;

use crate::exit::{Exit, Failure};
use crate::network::Network;

mod kept;
mod process;
mod workers;

use kept::Kept;
use process::Process;
pub use workers::Workers;

/// The job manager's name, which is also that of its files.
const JOB_MANAGER: &str = "jm";
/// How long the nodes may take until all of them are up.
const UP_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What can be done with a cluster of this machine.
#[derive(Clone, Debug, Subcommand)]
pub enum ClusterVerb {
    /// Start a job manager and task managers in the background, or what of them is missing
    Start(StartArgs),
    /// Stop them all; jobs go on with the next start
    Stop(Folder),
    /// Say which of them run, and where
    Status(Folder),
}

/// What can be done with one task manager of the cluster.
#[derive(Clone, Debug, Subcommand)]
pub enum TaskManagerVerb {
    /// Start one more in the background, or the one that is missing
    Start(OneMore),
    /// Stop one
    Stop(Which),
}

/// Where a cluster keeps its files.
#[derive(Clone, Debug, Args)]
pub struct Folder {
    /// The folder of the cluster: process ids, logs, checkpoints, savepoints. Unless given, it is
    /// $SLACKWATER_DIR, or slackwater in $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The arguments of `cluster start`.
#[derive(Clone, Debug, Args)]
pub struct StartArgs {
    /// Where it keeps its files.
    #[command(flatten)]
    pub folder: Folder,
    /// How many task managers; or their names, parted by commas; or a file with a name on each line
    #[arg(long, value_name = "N|NAMES|FILE", default_value = "1")]
    pub workers: Workers,
    /// How many slots each of them offers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub slots: u32,
    /// The job manager's port
    #[arg(long, value_name = "PORT", env = "SLACKWATER_PORT", default_value_t = jobmanager::PORT)]
    pub port: u16,
    /// The port of REST and the dashboard
    #[arg(long, value_name = "PORT", env = "SLACKWATER_REST_PORT", default_value_t = slackwater_rest::PORT)]
    pub rest_port: u16,
    /// Where to keep what outlives the job manager; unless given, the folder store of the cluster
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The folder that savepoints are put in; unless given, savepoints of the cluster
    #[arg(long, value_name = "URL")]
    pub savepoints: Option<String>,
    /// Where its nodes are reached from.
    #[command(flatten)]
    pub network: Network,
}

/// The arguments of `taskmanager start`.
#[derive(Clone, Debug, Args)]
pub struct OneMore {
    /// Where the cluster keeps its files.
    #[command(flatten)]
    pub folder: Folder,
    /// Its name; unless given, the first of tm-1, tm-2, … that does not run
    #[arg(long, value_name = "NAME", value_parser = workers::name)]
    pub name: Option<String>,
    /// How many slots it offers; unless given, as many as those that were started with the cluster
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub slots: Option<u32>,
}

/// The arguments of `taskmanager stop`.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// Where the cluster keeps its files.
    #[command(flatten)]
    pub folder: Folder,
    /// Its name
    #[arg(value_name = "NAME", value_parser = workers::name)]
    pub name: String,
}

/// Does what was asked of a cluster.
///
/// # Errors
/// [`Exit::Environment`] if a process cannot be started or does not come up: with the last lines of
/// its log.
pub fn execute(verb: &ClusterVerb) -> Result<(), Failure> {
    match verb {
        ClusterVerb::Start(args) => attended(|host| start(host, args.clone())),
        ClusterVerb::Stop(folder) => attended(|host| stop(host, folder.clone())),
        ClusterVerb::Status(folder) => status(&folder.place()?),
    }
}

/// Does what was asked of a task manager.
///
/// # Errors
/// As [`execute`]; [`Exit::Usage`] if the cluster was never started.
pub fn one(verb: &TaskManagerVerb) -> Result<(), Failure> {
    match verb {
        TaskManagerVerb::Start(args) => attended(|host| one_more(host, args.clone())),
        TaskManagerVerb::Stop(which) => attended(|host| stop_one(host, which.clone())),
    }
}

/// Runs on the host of this terminal.
fn attended<F: Future<Output = Result<(), Failure>>>(
    act: impl FnOnce(Arc<dyn Host>) -> F,
) -> Result<(), Failure> {
    let host = RealHost::named("client").map_err(environment)?;
    real::run(host, act).map_err(environment)?
}

fn environment(error: std::io::Error) -> Failure {
    Failure::new(Exit::Environment, error)
}

async fn start(host: Arc<dyn Host>, args: StartArgs) -> Result<(), Failure> {
    let dir = args.folder.place()?;
    let names = args.workers.names()?;
    let job_manager = Process::named(&dir, JOB_MANAGER);
    let kept = match job_manager.running() {
        // Whoever joins it has to find it where it is.
        Some(_) => Kept::read(&dir)?,
        None => Kept::of(&args, &dir)?,
    };
    let mut processes = vec![job_manager];
    kept.job_manager(&processes[0])?;
    kept.write(&dir)?;
    for name in &names {
        let process = Process::named(&dir, name);
        kept.task_manager(&process, args.slots)?;
        processes.push(process);
    }
    up(&*host, &kept, &processes).await?;
    println!("the job manager is at {}", kept.address());
    println!("REST and the dashboard are at {}", kept.rest());
    println!("logs are in {}", dir.join("log").display());
    Ok(())
}

async fn one_more(host: Arc<dyn Host>, args: OneMore) -> Result<(), Failure> {
    let dir = args.folder.place()?;
    let kept = Kept::read(&dir)?;
    let named = |name: &str| Process::named(&dir, name);
    let process = match &args.name {
        Some(name) => named(name),
        None => {
            let mut numbered = (1..).map(|number| named(&format!("tm-{number}")));
            let missing = numbered.find(|process| process.running().is_none());
            missing.ok_or_else(|| Failure::new(Exit::Environment, "there are too many"))?
        }
    };
    kept.task_manager(&process, args.slots.unwrap_or(kept.slots))?;
    up(&*host, &kept, &[process]).await
}

async fn stop(host: Arc<dyn Host>, folder: Folder) -> Result<(), Failure> {
    let dir = folder.place()?;
    let mut processes = Process::all(&dir)?;
    // Those that work before the one that would notice.
    processes.sort_by_key(|process| process.name() == JOB_MANAGER);
    if processes.iter().all(|process| process.running().is_none()) {
        println!("nothing runs");
    }
    for process in &processes {
        if let Some(ended) = process.stop(&*host).await? {
            println!("{} {ended}", process.title());
        }
    }
    Ok(())
}

async fn stop_one(host: Arc<dyn Host>, which: Which) -> Result<(), Failure> {
    let process = Process::named(&which.folder.place()?, &which.name);
    match process.stop(&*host).await? {
        Some(ended) => println!("{} {ended}", process.title()),
        None => println!("{} does not run", process.title()),
    }
    Ok(())
}

fn status(dir: &Path) -> Result<(), Failure> {
    let processes = Process::all(dir)?;
    for process in &processes {
        match process.running() {
            Some(pid) => println!("{} runs, process {pid}", process.title()),
            None => println!(
                "{} does not run: its last words are in {}",
                process.title(),
                process.log().display()
            ),
        }
    }
    if processes.is_empty() {
        println!("there is no cluster in {}: slackwater cluster start", dir.display());
        return Ok(());
    }
    let kept = Kept::read(dir)?;
    println!("the job manager is at {}", kept.address());
    println!("REST and the dashboard are at {}", kept.rest());
    Ok(())
}

/// Waits until the job manager answers and has taken every task manager of these in.
async fn up(host: &dyn Host, kept: &Kept, processes: &[Process]) -> Result<(), Failure> {
    let (began, handshake) = (host.elapsed(), kept.access().handshake(host)?);
    let task_managers = || processes.iter().filter(|process| process.name() != JOB_MANAGER);
    loop {
        if let Some(ended) = processes.iter().find(|process| process.running().is_none()) {
            let words = format!("{} has ended\n{}", ended.title(), ended.last_words());
            return Err(Failure::new(Exit::Environment, words));
        }
        let answered = match Client::connect(host, &kept.address(), handshake).await {
            Ok(mut client) => client.overview(host).await,
            Err(error) => Err(error),
        };
        let why = match answered {
            Ok(overview) => {
                let is_in = |process: &&Process| {
                    overview.task_managers.iter().any(|known| known.name == process.name())
                };
                match task_managers().find(|process| !is_in(process)) {
                    None => return Ok(()),
                    Some(missing) => format!("{} has not registered", missing.title()),
                }
            }
            Err(error) => error.to_string(),
        };
        if host.elapsed().saturating_sub(began) > UP_WITHIN {
            let within = UP_WITHIN.as_secs();
            let last: String = processes.iter().map(Process::last_words).collect();
            let words = format!("the cluster is not up within {within} s: {why}\n{last}");
            return Err(Failure::new(Exit::Environment, words));
        }
        host.sleep(LOOK_EVERY).await;
    }
}

impl Folder {
    /// The folder, absolute: typed here, it is meant from here.
    fn place(&self) -> Result<PathBuf, Failure> {
        let told = || surroundings("SLACKWATER_DIR").map(PathBuf::from);
        let dir = self.dir.clone().or_else(told).or_else(state_folder).ok_or_else(|| {
            Failure::new(Exit::Usage, "there is no home folder: say where with --dir")
        })?;
        std::path::absolute(dir).map_err(|error| Failure::new(Exit::Usage, error))
    }
}

/// Where this person's programs keep what should outlive a restart, as XDG has it.
pub(crate) fn state_folder() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(surroundings("HOME")?).join(".local/state"));
    let state = surroundings("XDG_STATE_HOME").map(PathBuf::from).or_else(home)?;
    Some(state.join("slackwater"))
}

/// A variable of the shell's: where a person keeps state, and no job sees it.
pub(crate) fn surroundings(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
