//! A client of the job manager: submit, cancel, list, wait. What the command line is made of.
//! Never retries by itself: the caller knows whether a second try makes sense, and a submission
//! keeps its job id, so that it has one effect. The other end is `jobmanager::door`.

mod delivery;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use slackwater_control::view::JobDetail;
use slackwater_core::codec::{decode_message, encode_message};
use slackwater_core::id::{JobId, TriggerId};
use slackwater_core::program::Program;
use slackwater_core::savepoint::{Ending, SavepointStatus, StartFrom};

use crate::host::{Host, within};
use crate::wire::frame::{FrameReader, FrameWriter};
use crate::wire::handshake::{Handshake, HandshakeError, Hello, Role};
use crate::wire::message::{
    Admission, Answer, ClockReading, JobLine, Overview, Refused, Request, TaskManagerLine,
};

/// How long a client waits for a connection or an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How often [`Client::wait`] asks.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// So many jobs are named to whoever says too few digits.
const NAMED_MAX: usize = 5;

/// Why a request had no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// No job manager answers at this address.
    Unreachable {
        /// The address.
        address: String,
        /// What happened.
        cause: String,
        /// Whether one listens there that does not lead.
        standby: bool,
    },
    /// The job manager speaks another protocol version.
    OtherVersion(String),
    /// The job manager refused the request.
    Refused(Refused),
    /// The job manager does not know the job any more.
    Forgotten(JobId),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { address, cause, .. } => {
                write!(f, "no job manager answers at {address}: {cause}")
            }
            Self::OtherVersion(cause) => f.write_str(cause),
            Self::Refused(
                Refused::BadProgram(why)
                | Refused::BadJob(why)
                | Refused::BadStart(why)
                | Refused::Incompatible(why)
                | Refused::Malformed(why),
            ) => f.write_str(why),
            Self::Refused(Refused::UnknownTrigger(trigger)) => {
                write!(f, "the job manager knows of no savepoint request {trigger}")
            }
            Self::Forgotten(job) => write!(f, "the job manager does not know job {job}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// A connection to a job manager.
#[derive(Debug)]
pub struct Client {
    address: String,
    reader: FrameReader,
    writer: FrameWriter,
}

impl Client {
    /// Connects to the job manager that leads. `addresses`: one `name:port`, or several parted by
    /// commas, which are asked in turn; a standby sends its caller on.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] if none of them leads, for the reason of the last;
    /// [`ClientError::OtherVersion`].
    pub async fn connect(
        host: &dyn Host,
        addresses: &str,
        handshake: Handshake,
    ) -> Result<Self, ClientError> {
        let (address, cause) = (addresses.into(), "it is no address".into());
        let mut last = ClientError::Unreachable { address, cause, standby: false };
        for address in addresses.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            match Self::connect_one(host, address, handshake).await {
                Err(error @ ClientError::Unreachable { .. }) => last = error,
                connected => return connected,
            }
        }
        Err(last)
    }

    async fn connect_one(
        host: &dyn Host,
        address: &str,
        handshake: Handshake,
    ) -> Result<Self, ClientError> {
        let unreachable =
            |cause, standby| ClientError::Unreachable { address: address.into(), cause, standby };
        let conn =
            host.connect(address, PATIENCE).await.map_err(|e| unreachable(e.to_string(), false))?;
        let hello = Hello::new(Role::Client, host.name(), &());
        match handshake.offer::<Admission>(host, conn, address, &hello).await {
            Ok((_, reader, writer)) => Ok(Self { address: address.into(), reader, writer }),
            Err(error @ HandshakeError::OtherVersion { .. }) => {
                Err(ClientError::OtherVersion(error.to_string()))
            }
            Err(error) => {
                let standby = matches!(error, HandshakeError::Standby { .. });
                Err(unreachable(error.to_string(), standby))
            }
        }
    }

    /// Submits a program under an id that the caller drew (`host.random("job-id")`). The same
    /// submission again has no second effect.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the program is unknown or refuses its parameters.
    pub async fn submit(
        &mut self,
        host: &dyn Host,
        job: JobId,
        program: Program,
    ) -> Result<JobId, ClientError> {
        self.submit_from(host, job, program, None).await
    }

    /// As [`Client::submit`], starting from a savepoint or a checkpoint that was kept, if one is
    /// named.
    ///
    /// # Errors
    /// As [`Client::submit`], and [`Refused::BadStart`] if it is none, cannot be read, or does not
    /// fit the program.
    pub async fn submit_from(
        &mut self,
        host: &dyn Host,
        job: JobId,
        program: Program,
        from: Option<StartFrom>,
    ) -> Result<JobId, ClientError> {
        match self.ask(host, &Request::Submit { job, program, from }).await? {
            Answer::Submitted(job) => Ok(job),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Asks for a savepoint of the job whose id begins with `job`, under an id that the caller drew
    /// ([`new_trigger_id`]): the same request again has no second effect. `target`: the folder to
    /// make the savepoint's in; `None`: where the cluster keeps them.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if no job or several answer to it, or it can give none now.
    pub async fn savepoint(
        &mut self,
        host: &dyn Host,
        job: &str,
        wanted: &Wanted,
    ) -> Result<(JobId, SavepointStatus), ClientError> {
        let Wanted { trigger, target, ending } = wanted.clone();
        let job = job.to_owned();
        match self.ask(host, &Request::Savepoint { trigger, job, target, ending }).await? {
            Answer::Savepoint(job, status) => Ok((job, status)),
            other => Err(self.unexpected(&other)),
        }
    }

    /// How far a savepoint is.
    ///
    /// # Errors
    /// [`Refused::UnknownTrigger`] if this job manager was never asked for it: to ask for it again
    /// under the same id is safe.
    pub async fn savepoint_status(
        &mut self,
        host: &dyn Host,
        trigger: TriggerId,
    ) -> Result<(JobId, SavepointStatus), ClientError> {
        match self.ask(host, &Request::SavepointStatus { trigger }).await? {
            Answer::Savepoint(job, status) => Ok((job, status)),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Asks for a savepoint, and then how far it is, until it is there or has failed; asks for it
    /// again if the job manager has changed meanwhile. Cancel safe between two questions.
    ///
    /// # Errors
    /// As [`Client::savepoint`].
    pub async fn await_savepoint(
        &mut self,
        host: &dyn Host,
        job: &str,
        wanted: &Wanted,
    ) -> Result<(JobId, SavepointStatus), ClientError> {
        let mut answer = self.savepoint(host, job, wanted).await?;
        while answer.1 == SavepointStatus::InProgress {
            host.sleep(ASK_EVERY).await;
            answer = match self.savepoint_status(host, wanted.trigger).await {
                Err(ClientError::Refused(Refused::UnknownTrigger(_))) => {
                    self.savepoint(host, job, wanted).await?
                }
                answered => answered?,
            };
        }
        Ok(answer)
    }

    /// Cancels the job whose id begins with `job`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if no job or several answer to it, or it has ended.
    pub async fn cancel(&mut self, host: &dyn Host, job: &str) -> Result<JobId, ClientError> {
        match self.ask(host, &Request::Cancel { job: job.to_owned() }).await? {
            Answer::Cancelling(job) => Ok(job),
            other => Err(self.unexpected(&other)),
        }
    }

    /// All jobs, in the order of submission.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub async fn jobs(&mut self, host: &dyn Host) -> Result<Vec<JobLine>, ClientError> {
        match self.ask(host, &Request::Jobs).await? {
            Answer::Jobs(jobs) => Ok(jobs),
            other => Err(self.unexpected(&other)),
        }
    }

    /// All task managers, by name.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub async fn task_managers(
        &mut self,
        host: &dyn Host,
    ) -> Result<Vec<TaskManagerLine>, ClientError> {
        match self.ask(host, &Request::TaskManagers).await? {
            Answer::TaskManagers(lines) => Ok(lines),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Jobs and task managers, with what they do.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub async fn overview(&mut self, host: &dyn Host) -> Result<Overview, ClientError> {
        match self.ask(host, &Request::Overview).await? {
            Answer::Overview(overview) => Ok(*overview),
            other => Err(self.unexpected(&other)),
        }
    }

    /// All that is known of a job, and the clock by which it is told; `None`: the job is not known.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub async fn job(
        &mut self,
        host: &dyn Host,
        job: JobId,
    ) -> Result<(ClockReading, Option<JobDetail>), ClientError> {
        match self.ask(host, &Request::Job { job }).await? {
            Answer::Job(clock, detail) => Ok((clock, detail.map(|detail| *detail))),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Waits until the job has ended for good. Cancel safe between two questions.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Forgotten`].
    pub async fn wait(&mut self, host: &dyn Host, job: JobId) -> Result<JobLine, ClientError> {
        loop {
            let jobs = self.jobs(host).await?;
            let line = jobs.into_iter().find(|line| line.id == job);
            match line.ok_or(ClientError::Forgotten(job))? {
                line if line.status.is_final() => return Ok(line),
                _ => host.sleep(ASK_EVERY).await,
            }
        }
    }

    async fn ask(&mut self, host: &dyn Host, request: &Request) -> Result<Answer, ClientError> {
        let address = self.address.clone();
        let lost = |cause: String| {
            let (address, standby) = (address.clone(), false);
            ClientError::Unreachable { address, cause, standby }
        };
        let bytes = encode_message(request).map_err(|error| lost(error.to_string()))?;
        let asked = async {
            self.writer.send(&bytes).await.map_err(|error| error.to_string())?;
            let frame = self.reader.read().await.map_err(|error| error.to_string())?;
            let frame = frame.ok_or("it closed the connection")?;
            decode_message::<Answer>(&frame).map_err(|error| error.to_string())
        };
        let answer = within(host, PATIENCE, asked).await;
        let late = || Err(format!("no answer within {PATIENCE:?}"));
        match answer.unwrap_or_else(late).map_err(lost)? {
            Answer::Refused(refused) => Err(ClientError::Refused(refused)),
            answer => Ok(answer),
        }
    }

    fn unexpected(&self, answer: &Answer) -> ClientError {
        let cause = format!("it answered another question: {answer:?}");
        ClientError::Unreachable { address: self.address.clone(), cause, standby: false }
    }
}

/// The one job of these that a person names by the first digits of its id.
///
/// # Errors
/// In words, if none has such an id, or several have: with theirs.
pub fn named(prefix: &str, ids: impl Iterator<Item = JobId>) -> Result<JobId, String> {
    let matching: Vec<JobId> =
        ids.filter(|id| !prefix.is_empty() && id.to_string().starts_with(prefix)).collect();
    match matching[..] {
        [id] => Ok(id),
        [] => Err(format!("no job has an id that begins with {prefix:?}")),
        _ => {
            let most: Vec<_> = matching.iter().take(NAMED_MAX).map(JobId::to_string).collect();
            let more = if matching.len() > NAMED_MAX { ", …" } else { "" };
            Err(format!(
                "{} jobs have ids that begin with {prefix:?}: say more digits of {}{more}",
                matching.len(),
                most.join(", ")
            ))
        }
    }
}

/// A savepoint as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Names the request.
    pub trigger: TriggerId,
    /// The folder to make its folder in; `None`: where the cluster keeps them.
    pub target: Option<String>,
    /// Whether and how the job ends with it.
    pub ending: Option<Ending>,
}

/// Draws the id of a new request for a savepoint from the host's stream for it.
pub fn new_trigger_id(host: &Arc<dyn Host>) -> TriggerId {
    TriggerId(host.random("trigger-id").next_u128())
}

/// Draws the id of a new job from the host's stream for it.
pub fn new_job_id(host: &Arc<dyn Host>) -> JobId {
    JobId(host.random("job-id").next_u128())
}
