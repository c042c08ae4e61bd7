//! The verbs that ask a cluster of other processes: submit and wait, `list`, `cancel`; each over any
//! host and into any writer, so that a person of a simulated world types what one at a terminal does.
//! Starts nothing and never decides: one connection to the job manager that leads, a few questions.
//! What runs in this process is [`crate::local`]; the nodes of a cluster are [`crate::node`].

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use slackwater_core::fact::JobStatus;
use slackwater_core::id::JobId;
use slackwater_core::random::RandomStream;
use slackwater_dataflow::task::Programs;
use slackwater_runtime::client::{Client, ClientError};
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::{self, RealHost};
use slackwater_runtime::jobmanager;
use slackwater_runtime::wire::handshake::Handshake;
use slackwater_runtime::wire::message::JobLine;

use crate::Verb;
use crate::cluster::surroundings;
use crate::exit::{Exit, Failure};
use crate::run::RunArgs;

/// How long nobody may lead before a command gives up: longer than a standby takes.
const NOBODY_LEADS: Duration = Duration::from_secs(30);
/// How long to wait before asking again who leads.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The address of a cluster's job manager, unless it is told: what the shell says, or this machine.
pub(crate) fn default_address() -> String {
    let told = surroundings("SLACKWATER_JOB_MANAGER").and_then(|told| told.into_string().ok());
    told.unwrap_or_else(|| format!("localhost:{}", jobmanager::PORT))
}

/// Where the cluster is.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Also the jobs that have ended
    #[arg(short, long)]
    pub all: bool,
    /// Where the job managers listen, parted by commas
    #[arg(long, value_name = "HOST:PORT", default_value_t = default_address())]
    pub job_manager: String,
    /// Tell it as JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `cancel`.
#[derive(Clone, Debug, Args)]
pub struct CancelArgs {
    /// The job's id, or as many digits of it as only it has
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Where the job managers listen, parted by commas
    #[arg(long, value_name = "HOST:PORT", default_value_t = default_address())]
    pub job_manager: String,
}

/// Where a command is typed: a host, what new jobs are called, and where the answer is printed.
pub struct Terminal<'a> {
    /// The host that asks.
    pub host: &'a Arc<dyn Host>,
    /// The catalogue of whoever types: what `plan` knows.
    pub programs: &'a dyn Programs,
    /// Ids of the jobs that are submitted here.
    pub ids: RandomStream,
    /// Who reads the answer.
    pub out: &'a mut dyn io::Write,
}

/// Does what a verb asks of a cluster, or of a store.
///
/// # Errors
/// A [`Failure`] of any kind; [`Exit::Usage`] for a verb that runs something here.
pub async fn perform(terminal: &mut Terminal<'_>, verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => terminal.list(args).await,
        Verb::Cancel(args) => terminal.cancel(args).await,
        Verb::Savepoint(args) => terminal.savepoint(args).await,
        Verb::Stop(args) => terminal.stop(args).await,
        Verb::Plan(args) => terminal.plan(args).await,
        Verb::Run(args) => match args.cluster() {
            Some(addresses) => terminal.submit(&addresses, args).await,
            None => Err(Failure::new(Exit::Usage, crate::run::WHERE)),
        },
        _ => {
            let words = "this verb runs something here, and asks nothing of a cluster";
            Err(Failure::new(Exit::Usage, words))
        }
    }
}

/// The same at the terminal of this process.
pub(crate) fn at_this_terminal(verb: &Verb, programs: &dyn Programs) -> Result<(), Failure> {
    let environment = |error: io::Error| Failure::new(Exit::Environment, error);
    let host = RealHost::named("client").map_err(environment)?;
    let performed = real::run(host, |host: Arc<dyn Host>| async move {
        let (ids, out) = (host.random("job-id"), &mut io::stdout());
        let verb = here(verb.clone())?;
        perform(&mut Terminal { host: &host, programs, ids, out }, &verb).await
    });
    performed.map_err(environment)?
}

/// The verb with folders as the cluster's nodes find them: a path that is typed here is meant from
/// here.
fn here(mut verb: Verb) -> Result<Verb, Failure> {
    let paths: Vec<&mut String> = match &mut verb {
        Verb::Savepoint(args) => match &mut args.look {
            Some(look) => look.paths(),
            None => args.folder.iter_mut().collect(),
        },
        Verb::Stop(args) => args.savepoint_path.iter_mut().collect(),
        Verb::Run(args) => args.from_savepoint.iter_mut().collect(),
        Verb::Plan(args) => args.against.iter_mut().collect(),
        _ => Vec::new(),
    };
    paths.into_iter().try_for_each(from_here)?;
    Ok(verb)
}

/// A path that is typed here, as it is found from anywhere on this machine.
pub(crate) fn from_here(path: &mut String) -> Result<(), Failure> {
    if !path.contains("://") {
        let absolute = std::path::absolute(&*path);
        let absolute = absolute.map_err(|error| Failure::new(Exit::Usage, error))?;
        *path = format!("file://{}", plain(&absolute).display());
    }
    Ok(())
}

/// The same path without `..`, as a shell reads it: what lies around a folder has one name.
fn plain(absolute: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

impl Terminal<'_> {
    pub(crate) fn print(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(|error| Failure::new(Exit::Environment, error))
    }

    /// Submits the jobs; waits for their end unless `detached`.
    async fn submit(&mut self, addresses: &str, args: &RunArgs) -> Result<(), Failure> {
        let (mut ids, from, host) = (Vec::new(), args.start(), &**self.host);
        for program in args.programs()? {
            // Drawn before it is sent: a submission that is sent twice is one job.
            let (id, name) = (JobId(self.ids.next_u128()), program.name.clone());
            patiently(host, addresses, async |client| {
                client.submit_from(host, id, program.clone(), from.clone()).await
            })
            .await?;
            self.print(&format!("submitted {name}: job {id}"))?;
            ids.push(id);
        }
        for id in ids.into_iter().filter(|_| !args.detached) {
            let waits = async |client: &mut Client| client.wait(host, id).await;
            let line = patiently(host, addresses, waits).await?;
            self.print(&shown(&line))?;
            if line.status == JobStatus::Failed {
                return Err(Failure::new(Exit::JobFailed, line.cause));
            }
        }
        Ok(())
    }

    /// Prints the jobs of a cluster.
    async fn list(&mut self, args: &ListArgs) -> Result<(), Failure> {
        let host = &**self.host;
        let asks = async |client: &mut Client| client.jobs(host).await;
        let mut lines = patiently(host, &args.job_manager, asks).await?;
        lines.retain(|line| args.all || !line.status.is_final());
        if args.json {
            let told: Vec<_> = lines.iter().map(JobTold::from).collect();
            return self.tell(&told, true, |_| Vec::new());
        }
        match (lines.is_empty(), args.all) {
            (true, true) => self.print("no jobs"),
            (true, false) => self.print("no jobs run; all that there were: list -a"),
            _ => lines.iter().try_for_each(|line| self.print(&shown(line))),
        }
    }

    /// Cancels a job of a cluster; its checkpoints are deleted.
    async fn cancel(&mut self, args: &CancelArgs) -> Result<(), Failure> {
        let host = &**self.host;
        let asks = async |client: &mut Client| client.cancel(host, &args.job).await;
        let job = patiently(host, &args.job_manager, asks).await?;
        self.print(&format!("cancelling job {job}"))
    }
}

/// A job as JSON tells it.
#[derive(Debug, Serialize)]
struct JobTold {
    id: String,
    name: String,
    /// Such as `RUNNING`.
    status: String,
    /// From 1; 0 before the first deployment.
    attempt: u32,
    /// For how long the job manager has known it.
    age_ms: u64,
    /// Why it failed last; empty if it never did.
    cause: String,
}

impl From<&JobLine> for JobTold {
    fn from(line: &JobLine) -> Self {
        let JobLine { id, name, status, attempt, age, cause } = line;
        Self {
            id: id.to_string(),
            name: name.clone(),
            status: status.to_string(),
            attempt: attempt.0,
            age_ms: age.as_millis() as u64,
            cause: cause.clone(),
        }
    }
}

fn shown(line: &JobLine) -> String {
    let JobLine { id, name, status, attempt, age, cause } = line;
    let why = if cause.is_empty() { String::new() } else { format!(", last failure: {cause}") };
    format!("{id}  {status:<10}  {name}  attempt {attempt}, {} s{why}", age.as_secs())
}

/// Asks whoever leads, and again for a while if nobody does: a standby may be about to take over.
pub(crate) async fn patiently<T>(
    host: &dyn Host,
    addresses: &str,
    ask: impl AsyncFn(&mut Client) -> Result<T, ClientError>,
) -> Result<T, Failure> {
    let mut since = host.elapsed();
    loop {
        let asked = match Client::connect(host, addresses, Handshake::default()).await {
            Ok(mut client) => {
                since = host.elapsed();
                ask(&mut client).await
            }
            Err(error) => Err(error),
        };
        match asked {
            Err(ClientError::Unreachable { .. })
                if host.elapsed().saturating_sub(since) < NOBODY_LEADS =>
            {
                host.sleep(TRY_AGAIN_AFTER).await;
            }
            answered => return Ok(answered?),
        }
    }
}
