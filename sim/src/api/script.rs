//! A person's part of a story, written in Rust: submits, waits, cancels, on the client node and
//! through the engine's own client over the simulated network.
//! Decides nothing about the cluster and sees nothing that a client would not. Like claims, scripts
//! are known by name for the whole process, so that a document can ask for them
//! ([`super::claim`] says why). Savepoints and other versions are in [`super::savepoints`].

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::JobId;
use slackwater_core::program::Program;
use slackwater_core::savepoint::StartFrom;
use slackwater_dataflow::stream::{Env, Settings};
use slackwater_dataflow::task::{PlanError, Programs};
use slackwater_runtime::client::{Client, ClientError};
use slackwater_runtime::host::Host;
use slackwater_runtime::wire::handshake::Handshake;
pub use slackwater_runtime::wire::message::JobLine;

use super::checking::program_of;
use crate::world::cluster::{CLIENT, JOB_MANAGERS_MAX, TRY_AGAIN_AFTER, addresses};
use crate::world::{Action, Main, Watch};

/// How long somebody waits before looking at the jobs again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

type Script = Arc<dyn Fn(Sim) -> LocalBoxFuture<'static, Result<(), ScriptError>> + Send + Sync>;

static SCRIPTS: Mutex<BTreeMap<String, Script>> = Mutex::new(BTreeMap::new());

/// By check and function: the program and the version that a function is there.
type Versions = BTreeMap<(String, &'static str), Program>;

static VERSIONS: Mutex<Versions> = Mutex::new(Versions::new());

fn versions() -> MutexGuard<'static, Versions> {
    VERSIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes known that a check has a function as a version of a program.
pub(super) fn make_version<J>(check: &str, program: Program) {
    versions().insert((check.to_owned(), type_name::<J>()), program);
}

fn scripts() -> MutexGuard<'static, BTreeMap<String, Script>> {
    SCRIPTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a script known under a name; a second one of that name takes its place.
pub(super) fn make<F, Done>(name: &str, script: F)
where
    F: Fn(Sim) -> Done + Send + Sync + 'static,
    Done: Future<Output = Result<(), ScriptError>> + 'static,
{
    scripts().insert(name.to_owned(), Arc::new(move |sim| Box::pin(script(sim))));
}

/// Why a script could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError(pub(super) String);

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScriptError {}

impl From<ClientError> for ScriptError {
    fn from(error: ClientError) -> Self {
        Self(error.to_string())
    }
}

impl From<&str> for ScriptError {
    fn from(words: &str) -> Self {
        Self(words.to_owned())
    }
}

impl From<String> for ScriptError {
    fn from(words: String) -> Self {
        Self(words)
    }
}

/// The client node, in the hands of a script. Every verb tries again until somebody answers, as a
/// person would.
#[derive(Clone)]
pub struct Sim {
    pub(super) host: Arc<dyn Host>,
    script: Rc<str>,
    /// How many jobs and savepoints have been asked for.
    drawn: Rc<Cell<u32>>,
    /// What runs as the jobs that were submitted here.
    programs: Rc<RefCell<BTreeMap<JobId, Program>>>,
    /// What can be run.
    pub(super) catalogue: Arc<dyn Programs>,
}

impl Sim {
    /// Submits a job of the catalogue (the one that is checked, or one that
    /// [`also`](super::Checking::also) or [`version`](super::Checking::version) adds) and gives its
    /// id.
    ///
    /// # Errors
    /// If the job is not in the catalogue, or refuses its settings.
    pub async fn submit<J, K, V>(
        &self,
        job: J,
        args: impl IntoIterator<Item = (K, V)>,
    ) -> Result<JobId, ScriptError>
    where
        J: Fn(&Env, &mut Settings) -> Result<(), PlanError> + Send + Sync + 'static,
        K: Into<String>,
        V: fmt::Display,
    {
        self.start(self.program(&job, args), None).await
    }

    /// A function of the catalogue as a program, with its version and these settings.
    pub(super) fn program<J, K, V>(
        &self,
        _job: &J,
        args: impl IntoIterator<Item = (K, V)>,
    ) -> Program
    where
        J: Fn(&Env, &mut Settings) -> Result<(), PlanError> + Send + Sync + 'static,
        K: Into<String>,
        V: fmt::Display,
    {
        let known = versions().get(&(self.script.to_string(), type_name::<J>())).cloned();
        let program = known.unwrap_or_else(|| Program::named(program_of::<J>()));
        args.into_iter().fold(program, |program, (name, value)| program.set(name, value))
    }

    /// Submits a program, to start with what is named or with nothing.
    pub(super) async fn start(
        &self,
        program: Program,
        from: Option<StartFrom>,
    ) -> Result<JobId, ScriptError> {
        // Drawn before it is sent: a submission that is sent twice is one job.
        let id = JobId(self.draw("script"));
        let job = self
            .ask(async |client| {
                client.submit_from(&*self.host, id, program.clone(), from.clone()).await
            })
            .await?;
        self.programs.borrow_mut().insert(job, program);
        Ok(job)
    }

    /// What runs as a job that was submitted here.
    pub(super) fn program_of(&self, job: JobId) -> Result<Program, ScriptError> {
        let known = self.programs.borrow().get(&job).cloned();
        known.ok_or_else(|| ScriptError(format!("job {job} was not submitted by this script")))
    }

    /// A number that nobody else draws, for the next request.
    pub(super) fn draw(&self, what: &str) -> u128 {
        let number = self.drawn.replace(self.drawn.get() + 1);
        self.host.random(&format!("{what}/{number}")).next_u128()
    }

    /// Cancels a job: it is on its way to its end when this returns.
    ///
    /// # Errors
    /// If it is unknown, or has ended.
    pub async fn cancel(&self, job: JobId) -> Result<(), ScriptError> {
        let id = job.to_string();
        self.ask(async |client| client.cancel(&*self.host, &id).await).await.map(|_| ())
    }

    /// All jobs, in the order of submission.
    ///
    /// # Errors
    /// If the job manager speaks another version.
    pub async fn list(&self) -> Result<Vec<JobLine>, ScriptError> {
        self.ask(async |client| client.jobs(&*self.host).await).await
    }

    /// Waits until a job has ended for good, and gives its last line.
    ///
    /// # Errors
    /// If the job is unknown.
    pub async fn wait(&self, job: JobId) -> Result<JobLine, ScriptError> {
        self.ask(async |client| client.wait(&*self.host, job).await).await
    }

    /// Waits until all tasks of a job run: only then does it give a savepoint.
    ///
    /// # Errors
    /// If the job is unknown, or ends before.
    pub async fn wait_until_running(&self, job: JobId) -> Result<(), ScriptError> {
        loop {
            let lines = self.list().await?;
            match lines.into_iter().find(|line| line.id == job) {
                None => return Err(ClientError::Forgotten(job).into()),
                Some(line) if line.status == JobStatus::Running => return Ok(()),
                Some(line) if line.status.is_final() => {
                    return Err(ScriptError(format!("job {job} is {} already", line.status)));
                }
                Some(_) => self.host.sleep(LOOK_AGAIN_AFTER).await,
            }
        }
    }

    /// Waits for so much virtual time.
    pub async fn sleep(&self, span: Duration) {
        self.host.sleep(span).await;
    }

    /// Virtual time since the script began.
    pub fn elapsed(&self) -> Duration {
        self.host.elapsed()
    }

    pub(super) async fn ask<T>(
        &self,
        verb: impl AsyncFn(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, ScriptError> {
        let addresses = addresses(JOB_MANAGERS_MAX);
        loop {
            let connected = Client::connect(&*self.host, &addresses, Handshake::default()).await;
            let answer = match connected {
                Ok(mut client) => verb(&mut client).await,
                Err(error) => Err(error),
            };
            match answer {
                Err(ClientError::Unreachable { .. }) => self.host.sleep(TRY_AGAIN_AFTER).await,
                answer => return answer.map_err(ScriptError::from),
            }
        }
    }
}

/// Runs the script of this name on the client node, which knows this catalogue.
pub(crate) fn action(name: &str, catalogue: &Arc<dyn Programs>) -> Action {
    let (name, catalogue) = (name.to_owned(), Arc::clone(catalogue));
    let main: Main = Arc::new(move |host| {
        let (name, script) = (name.clone(), scripts().get(&name).cloned());
        let catalogue = Arc::clone(&catalogue);
        Box::pin(async move {
            let sim = Sim {
                host: Arc::clone(&host),
                script: name.as_str().into(),
                drawn: Rc::default(),
                programs: Rc::default(),
                catalogue,
            };
            let ended = match script {
                Some(script) => script(sim).await,
                None => Err(ScriptError(format!(
                    "nobody has written the script {name:?}: play the file in its test"
                ))),
            };
            // A process that ends with an error says so as a panic does.
            if let Err(error) = ended {
                let (task, message) = ("script".to_owned(), error.to_string());
                host.tell(Fact::Panicked { task, message });
            }
            host.tell(Fact::ScriptEnded { script: name });
        })
    });
    Action::Run { node: CLIENT.to_owned(), main }
}

/// Whether the script has come to its end and no job that was submitted still runs.
pub(crate) fn is_over() -> Watch {
    let (mut ended, mut running) = (false, BTreeSet::new());
    Box::new(move |entry| {
        match &entry.fact {
            Fact::ScriptEnded { .. } => ended = true,
            Fact::JobSubmitted { job, .. } => _ = running.insert(*job),
            Fact::JobStatusChanged { job, to, .. } if to.is_final() => _ = running.remove(job),
            _ => return false,
        }
        ended && running.is_empty()
    })
}
