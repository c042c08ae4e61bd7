//! How a cluster of other processes is asked, and the submission of jobs: over any host and into any
//! writer, so that a person of a simulated world types what one at a terminal does.
//! Starts nothing and never decides: one connection to the job manager that leads, a few questions.
//! What runs in this process is [`crate::local`]; the nodes of a cluster are [`crate::node`].

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use slackwater_core::fact::JobStatus;
use slackwater_core::id::JobId;
use slackwater_core::random::RandomStream;
use slackwater_core::time::parse_span;
use slackwater_dataflow::task::Programs;
use slackwater_runtime::client::{Client, ClientError};
use slackwater_runtime::host::real::{self, RealHost};
use slackwater_runtime::host::{Files, Host};
use slackwater_runtime::jobmanager;
use slackwater_runtime::wire::handshake::Handshake;
use slackwater_runtime::wire::message::JobLine;
use slackwater_runtime::wire::token::{TOKEN_MAX, Token};

use crate::Verb;
use crate::cluster::surroundings;
use crate::delivery::{Delivers, FromHere};
use crate::exit::{Exit, Failure};
use crate::info::InfoArgs;
use crate::jobs::{CancelArgs, ListArgs};
use crate::run::RunArgs;
use crate::savepoint::{SavepointArgs, StopArgs};

/// How long nobody may lead before a command gives up: longer than a standby takes.
const NOBODY_LEADS: Duration = Duration::from_secs(30);
/// How long a person waits for one job manager that does not listen.
const NOBODY_LISTENS: Duration = Duration::from_secs(3);
/// How long to wait before asking again who leads.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The address of a cluster's job manager, unless it is told: what the shell says, or this machine.
pub(crate) fn default_address() -> String {
    let told = surroundings("SLACKWATER_JOB_MANAGER").and_then(|told| told.into_string().ok());
    told.unwrap_or_else(|| format!("localhost:{}", jobmanager::PORT))
}

/// Where a cluster is, and what it wants to hear.
#[derive(Clone, Debug, Args)]
pub struct At {
    /// Where the job managers listen, parted by commas
    #[arg(long, value_name = "HOST:PORT", default_value_t = default_address())]
    pub job_manager: String,
    /// How the cluster takes a stranger in.
    #[command(flatten)]
    pub access: Access,
}

/// What whoever asks a cluster brings along.
#[derive(Clone, Debug, Default, Args)]
pub struct Access {
    /// A file with the token of the cluster, if it wants one
    #[arg(long, value_name = "FILE", env = "SLACKWATER_TOKEN_FILE")]
    pub token_file: Option<String>,
    /// How long nobody may answer: 3s for one job manager, 30s for several or while one takes over
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub wait: Option<Duration>,
}

/// Where a command is typed: a host, what new jobs are called, and where the answer is printed.
pub struct Terminal<'a> {
    /// The host that asks.
    pub host: &'a Arc<dyn Host>,
    /// The catalogue of whoever types: what `plan` knows.
    pub programs: &'a dyn Programs,
    /// Ids of the jobs that are submitted here.
    pub ids: RandomStream,
    /// Who asks binaries what they are; `None`: none can be sent from there.
    pub delivers: Option<&'a dyn Delivers>,
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
        Verb::Info(args) => terminal.info(args).await,
        Verb::Run(args) => match args.cluster() {
            Some(at) => terminal.submit(&at, args).await,
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
        let delivers: Option<&dyn Delivers> = Some(&FromHere);
        let mut terminal = Terminal { host: &host, programs, ids, delivers, out };
        perform(&mut terminal, &verb).await
    });
    performed.map_err(environment)?.map_err(|failure: Failure| match failure.exit {
        Exit::Unreachable => {
            let hint = "`slackwater cluster start` starts one, --job-manager says where it is";
            Failure::new(Exit::Unreachable, format!("{failure}: {hint}"))
        }
        _ => failure,
    })
}

/// The verb with folders as the cluster's nodes find them: a path that is typed here is meant from
/// here.
fn here(mut verb: Verb) -> Result<Verb, Failure> {
    match &mut verb {
        Verb::List(ListArgs { at, .. })
        | Verb::Cancel(CancelArgs { at, .. })
        | Verb::Info(InfoArgs { at, .. })
        | Verb::Savepoint(SavepointArgs { at, .. })
        | Verb::Stop(StopArgs { at, .. }) => at.hurried(),
        Verb::Run(args) => args.access.wait = args.access.wait.or(Some(NOBODY_LISTENS)),
        _ => {}
    }
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
    async fn submit(&mut self, at: &At, args: &RunArgs) -> Result<(), Failure> {
        let (mut ids, from, host) = (Vec::new(), args.start(), &**self.host);
        for (program, graph) in self.wanted(at, args).await? {
            // Drawn before it is sent: a submission that is sent twice is one job.
            let (id, name) = (JobId(self.ids.next_u128()), program.name.clone());
            self.patiently(at, async |client: &mut Client| match &graph {
                None => client.submit_from(host, id, program.clone(), from.clone()).await,
                Some(graph) => {
                    let delivered = (program.clone(), graph.clone());
                    client.submit_delivered(host, id, delivered, from.clone()).await
                }
            })
            .await?;
            self.print(&format!("submitted {name}: job {id}"))?;
            ids.push(id);
        }
        for id in ids.into_iter().filter(|_| !args.detached) {
            let waits = async |client: &mut Client| client.wait(host, id).await;
            let line = self.patiently(at, waits).await?;
            self.print(&shown(&line))?;
            if line.status == JobStatus::Failed {
                return Err(Failure::new(Exit::JobFailed, line.cause));
            }
        }
        Ok(())
    }

    /// Asks whoever leads, and again for a while if nobody does: a standby may be about to take over.
    pub(crate) async fn patiently<T>(
        &self,
        at: &At,
        ask: impl AsyncFn(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, Failure> {
        let host = &**self.host;
        let handshake = at.access.handshake(host)?;
        let mut since = host.elapsed();
        loop {
            let asked = match Client::connect(host, &at.job_manager, handshake).await {
                Ok(mut client) => {
                    since = host.elapsed();
                    ask(&mut client).await
                }
                Err(error) => Err(error),
            };
            let gone = host.elapsed().saturating_sub(since);
            match asked {
                Err(ClientError::Unreachable { standby, .. }) if gone < at.patience(standby) => {
                    host.sleep(TRY_AGAIN_AFTER).await;
                }
                answered => return Ok(answered?),
            }
        }
    }
}

impl At {
    /// How long nobody may lead.
    fn patience(&self, standby: bool) -> Duration {
        match self.access.wait {
            Some(wait) if !standby => wait,
            _ => NOBODY_LEADS,
        }
    }

    /// As a person at a terminal means it: one job manager that does not even listen is not there.
    fn hurried(&mut self) {
        if !self.job_manager.contains(',') {
            self.access.wait.get_or_insert(NOBODY_LISTENS);
        }
    }
}

impl Access {
    /// How hands are shaken with such a cluster.
    ///
    /// # Errors
    /// [`Exit::BadInput`] if the token cannot be read.
    pub(crate) fn handshake(&self, host: &dyn Host) -> Result<Handshake, Failure> {
        let token = self.token_file.as_deref().map(|file| token(host.files(), file)).transpose()?;
        Ok(Handshake { token, ..Handshake::default() })
    }
}

/// The token in a file.
///
/// # Errors
/// [`Exit::BadInput`] if there is none.
pub(crate) fn token(files: &dyn Files, file: &str) -> Result<Token, Failure> {
    let bad = |why: String| Failure::new(Exit::BadInput, format!("the token in {file}: {why}"));
    let bytes = files.read_at(file, 0, TOKEN_MAX * 2);
    let bytes = bytes.map_err(|error| bad(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| bad("it is no text".into()))?;
    Token::new(&text).map_err(bad)
}

fn shown(line: &JobLine) -> String {
    let JobLine { id, name, status, attempt, age, cause } = line;
    let why = if cause.is_empty() { String::new() } else { format!(", last failure: {cause}") };
    format!("{id}  {status:<10}  {name}  attempt {attempt}, {} s{why}", age.as_secs())
}
