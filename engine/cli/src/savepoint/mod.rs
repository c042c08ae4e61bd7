//! The verbs `savepoint` and `stop`: a savepoint of a job of a cluster, and perhaps its end.
//! Never takes two for one command, however often it has to ask: the request has an id of its own.
//! How a cluster is asked is [`crate::remote`]; what a start from one asks is [`crate::run`]; what is
//! done with savepoints that are there, [`look`].

pub mod compared;
pub mod look;
pub mod shown;

use clap::{Args, Subcommand};
use serde::Serialize;
use slackwater_core::id::JobId;
use slackwater_core::id::TriggerId;
use slackwater_core::savepoint::{Ending, SavepointStatus};
use slackwater_runtime::client::{Client, Wanted};

use crate::exit::{Exit, Failure};
use crate::remote::{At, Terminal};

/// The arguments of `savepoint`. Ids of jobs are hex digits, and no verb is one: `savepoint JOB` and
/// `savepoint VERB` cannot be taken for each other.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct SavepointArgs {
    /// What is done with savepoints that are there, if that was asked
    #[command(subcommand)]
    pub look: Option<look::Look>,
    /// The job's id, or as many digits of it as only it has
    #[arg(value_name = "JOB", required = true)]
    pub job: Option<String>,
    /// The folder to make the savepoint's folder in, such as `/savepoints` or `file:///savepoints`;
    /// unless given, where the cluster keeps them
    #[arg(value_name = "DIR")]
    pub folder: Option<String>,
    /// Where the cluster is.
    #[command(flatten)]
    pub at: At,
    /// Tell it as JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `stop`.
#[derive(Clone, Debug, Args)]
pub struct StopArgs {
    /// The job's id, or as many digits of it as only it has
    #[arg(value_name = "JOB")]
    pub job: String,
    /// The folder to make the savepoint's folder in; unless given, where the cluster keeps them
    #[arg(short = 'p', long, value_name = "DIR")]
    pub savepoint_path: Option<String>,
    /// Bring event time to its end first, so that every window fires: what is left is nothing to go
    /// on with
    #[arg(short, long)]
    pub drain: bool,
    /// Where the cluster is.
    #[command(flatten)]
    pub at: At,
    /// Tell it as JSON
    #[arg(long)]
    pub json: bool,
}

/// A savepoint that was taken, as JSON tells it.
#[derive(Debug, Serialize)]
struct Taken {
    /// Whose it is.
    job: String,
    /// How the job ends with it, `stop` or `drain`, if it does.
    ending: Option<Ending>,
    /// Its folder.
    path: String,
    /// What a person has to know of the place; empty if nothing.
    warning: String,
}

impl Taken {
    /// What a command is for stands on its last line.
    fn text(&self) -> Vec<String> {
        let Self { job, ending, path, warning } = self;
        let mut lines = vec![match ending {
            None => format!("savepoint of job {job}:"),
            Some(Ending::Stop) => format!("job {job} stops with the savepoint:"),
            Some(Ending::Drain) => format!("job {job} is drained, with the savepoint:"),
        }];
        if !warning.is_empty() {
            lines.push(format!("warning: {warning}"));
        }
        lines.push(path.clone());
        lines
    }
}

/// What a verb that takes one was given.
struct Order<'a> {
    at: &'a At,
    job: &'a str,
    target: Option<String>,
    ending: Option<Ending>,
    as_json: bool,
}

impl Terminal<'_> {
    /// Takes a savepoint of a job, which goes on; or does what was asked with those that are there.
    pub(crate) async fn savepoint(&mut self, args: &SavepointArgs) -> Result<(), Failure> {
        let SavepointArgs { look, job, folder, at, json: as_json } = args;
        match (look, job) {
            (Some(look), _) => self.look(look).await,
            (None, Some(job)) => {
                no_verb(job)?;
                let (target, as_json) = (folder.clone(), *as_json);
                self.take(Order { at, job, target, ending: None, as_json }).await
            }
            (None, None) => Err(Failure::new(Exit::Usage, "which job? `list` names them")),
        }
    }

    /// Ends a job with a savepoint.
    pub(crate) async fn stop(&mut self, args: &StopArgs) -> Result<(), Failure> {
        let StopArgs { job, savepoint_path, drain, at, json } = args;
        let ending = Some(if *drain { Ending::Drain } else { Ending::Stop });
        let (target, as_json) = (savepoint_path.clone(), *json);
        self.take(Order { at, job, target, ending, as_json }).await
    }

    async fn take(&mut self, order: Order<'_>) -> Result<(), Failure> {
        let Order { at, job, target, ending, as_json } = order;
        // Drawn before it is sent: a request that is sent twice is one savepoint.
        let trigger = TriggerId(self.ids.next_u128());
        let wanted = Wanted { trigger, target, ending };
        let host = &**self.host;
        let asks = async |client: &mut Client| client.await_savepoint(host, job, &wanted).await;
        let (job, status) = self.patiently(at, asks).await?;
        match status {
            SavepointStatus::Completed { path, warning } => {
                let job = job.to_string();
                self.tell(&Taken { job, ending, path, warning }, as_json, Taken::text)
            }
            SavepointStatus::Failed { cause } => Err(none_of(job, &cause)),
            SavepointStatus::InProgress => Err(none_of(job, "it is still under way")),
        }
    }
}

fn none_of(job: JobId, why: &str) -> Failure {
    Failure::new(Exit::SavepointFailed, format!("no savepoint of job {job}: {why}"))
}

/// A verb that is misspelt is not asked of a cluster as the id of a job.
fn no_verb(job: &str) -> Result<(), Failure> {
    let is_id = job.chars().all(|digit| digit.is_ascii_hexdigit());
    let verbs = look::Look::augment_subcommands(clap::Command::new("savepoint"));
    let verbs = verbs.get_subcommands().map(clap::Command::get_name);
    match crate::exit::nearest(job, verbs).filter(|_| !is_id) {
        None => Ok(()),
        Some(verb) => {
            let words = format!("{job:?} is no id of a job: did you mean `savepoint {verb}`?");
            Err(Failure::new(Exit::Usage, words))
        }
    }
}
