//! What a script does with savepoints: takes them, stops jobs with them, and starts from them another
//! parallelism, other settings, another version.
//! Looks into none: what a program makes of one is the engine's to say. Plain submitting and waiting
//! is in [`super::script`].

use std::collections::BTreeSet;
use std::fmt;

use slackwater_cli::remote::{Terminal, perform};
use slackwater_core::checkpoint::{CheckpointMetadata, DEFAULT_STORAGE};
use slackwater_core::id::{JobId, TriggerId};
use slackwater_core::random::RandomStream;
use slackwater_core::savepoint::{Ending, SavepointStatus, StartFrom};
use slackwater_dataflow::stream::{Env, Settings};
use slackwater_dataflow::task::PlanError;
use slackwater_runtime::client::Wanted;
use slackwater_runtime::host::Host;
use slackwater_runtime::store::savepoint::{find, load};
use slackwater_runtime::store::{Store, StoreError, layout};

use super::script::{ScriptError, Sim};
use crate::world::cluster::{JOB_MANAGERS_MAX, STORE, addresses};

/// The folder in which a script's savepoints are made unless it names one: of the store that every
/// node of a world reaches.
const FOLDER: &str = "file:///savepoints";

/// A savepoint, or a checkpoint that was kept: what a job can start from.
///
/// ```
/// use slackwater_sim::prelude::*;
/// let moved = Savepoint::at("file:///elsewhere/savepoint-5f3c1a-0123456789ab");
/// let without_the_past = moved.allow_non_restored_state().reset_watermarks();
/// assert_eq!(without_the_past.path(), "file:///elsewhere/savepoint-5f3c1a-0123456789ab");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Savepoint {
    from: StartFrom,
    warning: String,
}

impl Savepoint {
    /// What lies there: a savepoint, a checkpoint that was kept, or a tag.
    pub fn at(path: impl Into<String>) -> Self {
        let from =
            StartFrom { path: path.into(), allow_non_restored: false, reset_watermarks: false };
        Self { from, warning: String::new() }
    }

    /// Where it lies.
    pub fn path(&self) -> &str {
        &self.from.path
    }

    /// What whoever took it was told of the place; empty if nothing.
    pub fn warning(&self) -> &str {
        &self.warning
    }

    /// The same, for a start that leaves state behind which no operator takes up: `run -s PATH -n`.
    #[must_use]
    pub fn allow_non_restored_state(mut self) -> Self {
        self.from.allow_non_restored = true;
        self
    }

    /// The same, for a start with which event time begins anew, as after a drain.
    #[must_use]
    pub fn reset_watermarks(mut self) -> Self {
        self.from.reset_watermarks = true;
        self
    }
}

impl fmt::Display for Savepoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.path())
    }
}

impl Sim {
    /// Takes a savepoint of a job, which goes on: `savepoint JOB`.
    ///
    /// # Errors
    /// If the job can give none now, or the savepoint failed.
    pub async fn savepoint(&self, job: JobId) -> Result<Savepoint, ScriptError> {
        self.take_savepoint(job, FOLDER, None).await
    }

    /// As [`Sim::savepoint`], in a folder of one's own, such as `jobmanager://savepoints`.
    ///
    /// # Errors
    /// As [`Sim::savepoint`].
    pub async fn savepoint_in(&self, job: JobId, folder: &str) -> Result<Savepoint, ScriptError> {
        self.take_savepoint(job, folder, None).await
    }

    /// Stops a job with a savepoint, from which it can go on: `stop JOB`. It is on its way to its end
    /// when this returns; no window fires for it.
    ///
    /// # Errors
    /// As [`Sim::savepoint`]; then the job goes on.
    pub async fn stop(&self, job: JobId) -> Result<Savepoint, ScriptError> {
        self.take_savepoint(job, FOLDER, Some(Ending::Stop)).await
    }

    /// Brings event time to its end, so that every window fires, and stops: `stop JOB --drain`. Only
    /// [`Savepoint::reset_watermarks`] lets a job start from it.
    ///
    /// # Errors
    /// As [`Sim::stop`].
    pub async fn drain(&self, job: JobId) -> Result<Savepoint, ScriptError> {
        self.take_savepoint(job, FOLDER, Some(Ending::Drain)).await
    }

    async fn take_savepoint(
        &self,
        job: JobId,
        folder: &str,
        ending: Option<Ending>,
    ) -> Result<Savepoint, ScriptError> {
        // Drawn before it is sent: a request that is sent twice is one savepoint.
        let trigger = TriggerId(self.draw("script/savepoint"));
        let wanted = Wanted { trigger, target: Some(folder.to_owned()), ending };
        let (host, job) = (&*self.host, job.to_string());
        let asked = self.ask(async |client| client.await_savepoint(host, &job, &wanted).await);
        match asked.await?.1 {
            SavepointStatus::Completed { path, warning } => {
                Ok(Savepoint { warning, ..Savepoint::at(path) })
            }
            SavepointStatus::Failed { cause } => {
                Err(ScriptError(format!("no savepoint of job {job}: {cause}")))
            }
            SavepointStatus::InProgress => {
                Err(ScriptError(format!("the savepoint of job {job} is still under way")))
            }
        }
    }

    /// Submits a job of the catalogue that starts with what a savepoint holds: `run JOB -s PATH`. Its
    /// settings may be others, such as `parallelism`, and so may its version.
    ///
    /// # Errors
    /// As [`Sim::submit`], and if there is no such savepoint or it does not fit the job.
    pub async fn submit_from<J, K, V>(
        &self,
        savepoint: &Savepoint,
        job: J,
        args: impl IntoIterator<Item = (K, V)>,
    ) -> Result<JobId, ScriptError>
    where
        J: Fn(&Env, &mut Settings) -> Result<(), PlanError> + Send + Sync + 'static,
        K: Into<String>,
        V: fmt::Display,
    {
        self.start(self.program(&job, args), Some(savepoint.from.clone())).await
    }

    /// Stops a job, once it runs, and starts it again from there with another `parallelism`: `stop
    /// JOB`, then `run JOB -s PATH -p N`. Gives the id of the job that goes on.
    ///
    /// # Errors
    /// As [`Sim::stop`] and [`Sim::submit_from`]; of a job that this script has not submitted.
    pub async fn rescale(&self, job: JobId, parallelism: u32) -> Result<JobId, ScriptError> {
        let program = self.program_of(job)?.set("parallelism", parallelism);
        self.wait_until_running(job).await?;
        let savepoint = self.stop(job).await?;
        self.wait(job).await?;
        self.start(program, Some(savepoint.from)).await
    }

    /// Stops a job, once it runs, and starts another version of it from there, with the settings that
    /// it had. Gives the id of the job that goes on.
    ///
    /// # Errors
    /// As [`Sim::rescale`]. If the savepoint does not fit the version, the old one has ended.
    pub async fn upgrade<J>(&self, job: JobId, version: J) -> Result<JobId, ScriptError>
    where
        J: Fn(&Env, &mut Settings) -> Result<(), PlanError> + Send + Sync + 'static,
    {
        let program = self.program(&version, self.program_of(job)?.settings);
        self.wait_until_running(job).await?;
        let savepoint = self.stop(job).await?;
        self.wait(job).await?;
        self.start(program, Some(savepoint.from)).await
    }

    /// The checkpoints of a job that lie in their folder now, oldest first: those that its `storage`
    /// keeps of a job that runs, or has failed. A job that runs deletes older ones.
    ///
    /// # Errors
    /// If the folder cannot be read; of a job that this script has not submitted.
    pub async fn kept_checkpoints(&self, job: JobId) -> Result<Vec<Savepoint>, ScriptError> {
        let program = self.program_of(job)?;
        let storage = program.settings.get("storage").map_or(DEFAULT_STORAGE, String::as_str);
        let failed = |error: StoreError| ScriptError(error.to_string());
        let Some(store) = Store::open_existing(&self.host, storage).map_err(failed)? else {
            return Ok(Vec::new());
        };
        let listed = store.list(&layout::job_folder(job)).await.map_err(failed)?;
        let is_metadata = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or(path);
            layout::attempt_of(name).is_some()
        };
        let whole = listed.iter().filter(|object| is_metadata(&object.path));
        let kept: BTreeSet<_> = whole.filter_map(|o| layout::checkpoint_of(&o.path)).collect();
        // Metadata is written before the log says that a checkpoint completed.
        let logs = Store::open_existing(&self.host, STORE).map_err(failed)?;
        let mut complete = Vec::new();
        for checkpoint in kept {
            let folder = format!("{storage}/{}", layout::checkpoint_folder(job, checkpoint));
            if load(&self.host, &folder, logs.as_ref()).await.is_ok() {
                complete.push(Savepoint::at(folder));
            }
        }
        Ok(complete)
    }

    /// What a savepoint, or a checkpoint that was kept, says of itself: its operators and their
    /// states, where its sources were, how far event time.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub async fn look_into(
        &self,
        savepoint: &Savepoint,
    ) -> Result<CheckpointMetadata, ScriptError> {
        let found = find(&self.host, savepoint.path()).await;
        found.map(|found| found.metadata).map_err(|error| ScriptError(error.to_string()))
    }

    /// Types a command of the engine at the client, such as `list -a`, and gives what is printed.
    ///
    /// # Errors
    /// What is printed of a failure.
    pub async fn type_in(&self, line: &str) -> Result<String, ScriptError> {
        let failed = |failure: slackwater_cli::exit::Failure| ScriptError(failure.to_string());
        let verb =
            slackwater_cli::typed_near(line, &addresses(JOB_MANAGERS_MAX)).map_err(failed)?;
        let (ids, mut out) = (self.typist(), Vec::new());
        let mut terminal = Terminal {
            host: &self.host,
            programs: &*self.catalogue,
            ids,
            delivers: None,
            out: &mut out,
        };
        perform(&mut terminal, &verb).await.map_err(failed)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// Where the ids of a command that is typed come from.
    fn typist(&self) -> RandomStream {
        let host: &dyn Host = &*self.host;
        host.random(&format!("script/typed/{}", self.draw("script/line")))
    }
}
