//! The verbs `savepoint` and `stop`: a savepoint of a job of a cluster, and perhaps its end.
//! Never takes two for one command, however often it has to ask: the request has an id of its own.
//! How a cluster is asked is [`crate::remote`]; what a start from one asks is [`crate::run`].

use clap::Args;
use slackwater_core::id::TriggerId;
use slackwater_core::savepoint::{Ending, SavepointStatus};
use slackwater_runtime::client::{Client, Wanted};

use crate::exit::{Exit, Failure};
use crate::remote::{Terminal, default_address, patiently};

/// The arguments of `savepoint`.
#[derive(Clone, Debug, Args)]
pub struct SavepointArgs {
    /// The job's id, or as many digits of it as only it has
    #[arg(value_name = "JOB")]
    pub job: String,
    /// The folder to make the savepoint's folder in, such as `/savepoints` or `file:///savepoints`;
    /// unless given, where the cluster keeps them
    #[arg(value_name = "DIR")]
    pub folder: Option<String>,
    /// Where the job managers listen, parted by commas
    #[arg(long, value_name = "HOST:PORT", default_value_t = default_address())]
    pub job_manager: String,
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
    /// Where the job managers listen, parted by commas
    #[arg(long, value_name = "HOST:PORT", default_value_t = default_address())]
    pub job_manager: String,
}

impl Terminal<'_> {
    /// Takes a savepoint of a job, which goes on.
    pub(crate) async fn savepoint(&mut self, args: &SavepointArgs) -> Result<(), Failure> {
        let SavepointArgs { job, folder, job_manager } = args;
        self.take_savepoint(job_manager, job, (folder.clone(), None)).await
    }

    /// Ends a job with a savepoint.
    pub(crate) async fn stop(&mut self, args: &StopArgs) -> Result<(), Failure> {
        let StopArgs { job, savepoint_path, drain, job_manager } = args;
        let ending = if *drain { Ending::Drain } else { Ending::Stop };
        self.take_savepoint(job_manager, job, (savepoint_path.clone(), Some(ending))).await
    }

    async fn take_savepoint(
        &mut self,
        addresses: &str,
        job: &str,
        (target, ending): (Option<String>, Option<Ending>),
    ) -> Result<(), Failure> {
        // Drawn before it is sent: a request that is sent twice is one savepoint.
        let trigger = TriggerId(self.ids.next_u128());
        let wanted = Wanted { trigger, target, ending };
        let asks =
            async |client: &mut Client| client.await_savepoint(self.host, job, &wanted).await;
        let (job, status) = patiently(self.host, addresses, asks).await?;
        match status {
            SavepointStatus::Completed { path, warning } => {
                let what = match ending {
                    None => format!("savepoint of job {job}:"),
                    Some(Ending::Stop) => format!("job {job} stops with the savepoint:"),
                    Some(Ending::Drain) => format!("job {job} is drained, with the savepoint:"),
                };
                self.print(&what)?;
                if !warning.is_empty() {
                    self.print(&format!("warning: {warning}"))?;
                }
                self.print(&path)
            }
            SavepointStatus::Failed { cause } => {
                let words = format!("no savepoint of job {job}: {cause}");
                Err(Failure::new(Exit::SavepointFailed, words))
            }
            SavepointStatus::InProgress => {
                let words = format!("no savepoint of job {job}: it is still under way");
                Err(Failure::new(Exit::SavepointFailed, words))
            }
        }
    }
}
