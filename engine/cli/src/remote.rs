//! The verbs that ask a cluster of other processes: submit and wait, `list`, `cancel`.
//! Starts nothing and never decides: one connection to the job manager that leads, a few questions.
//! What runs in this process is [`crate::local`]; the nodes of a cluster are [`crate::node`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use slackwater_core::fact::JobStatus;
use slackwater_core::id::JobId;
use slackwater_core::program::Program;
use slackwater_runtime::client::{Client, ClientError, new_job_id};
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::{self, RealHost};
use slackwater_runtime::jobmanager;
use slackwater_runtime::wire::handshake::Handshake;
use slackwater_runtime::wire::message::JobLine;

use crate::exit::{Exit, Failure};

/// How long nobody may lead before a command gives up: longer than a standby takes.
const NOBODY_LEADS: Duration = Duration::from_secs(30);
/// How long to wait before asking again who leads.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Where the cluster is.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Where the job managers listen, parted by commas
    #[arg(long, value_name = "HOST:PORT", default_value_t = format!("jm:{}", jobmanager::PORT))]
    pub job_manager: String,
}

/// The arguments of `cancel`.
#[derive(Clone, Debug, Args)]
pub struct CancelArgs {
    /// The job's id, or as many digits of it as only it has
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Where the job managers listen, parted by commas
    #[arg(long, value_name = "HOST:PORT", default_value_t = format!("jm:{}", jobmanager::PORT))]
    pub job_manager: String,
}

/// Submits the jobs; waits for their end unless `detached`.
///
/// # Errors
/// [`Exit::Usage`] if a job is refused, [`Exit::Unreachable`] if nobody leads, [`Exit::JobFailed`].
pub fn submit(addresses: &str, jobs: Vec<Program>, detached: bool) -> Result<(), Failure> {
    on_host(|host| async move {
        let mut ids = Vec::new();
        for (number, program) in jobs.into_iter().enumerate() {
            // The host's stream begins anew at each call.
            let id = JobId(new_job_id(&host).0 ^ number as u128);
            let name = program.name.clone();
            // The id is drawn before: a submission that is sent twice is one job.
            patiently(&host, addresses, async |client| {
                client.submit(&*host, id, program.clone()).await
            })
            .await?;
            println!("submitted {name}: job {id}");
            ids.push(id);
        }
        for id in ids.into_iter().filter(|_| !detached) {
            let line =
                patiently(&host, addresses, async |client| client.wait(&*host, id).await).await?;
            println!("{}", shown(&line));
            if line.status == JobStatus::Failed {
                return Err(Failure::new(Exit::JobFailed, line.cause));
            }
        }
        Ok(())
    })
}

/// Prints the jobs of a cluster.
///
/// # Errors
/// [`Exit::Unreachable`] if nobody leads.
pub fn list(args: &ListArgs) -> Result<(), Failure> {
    on_host(|host| async move {
        let lines =
            patiently(&host, &args.job_manager, async |client| client.jobs(&*host).await).await?;
        lines.iter().for_each(|line| println!("{}", shown(line)));
        if lines.is_empty() {
            println!("no jobs");
        }
        Ok(())
    })
}

/// Cancels a job of a cluster; its checkpoints are deleted.
///
/// # Errors
/// [`Exit::Usage`] if no job or several answer to the id, [`Exit::Unreachable`] if nobody leads.
pub fn cancel(args: &CancelArgs) -> Result<(), Failure> {
    on_host(|host| async move {
        let cancelled = patiently(&host, &args.job_manager, async |client| {
            client.cancel(&*host, &args.job).await
        });
        println!("cancelling job {}", cancelled.await?);
        Ok(())
    })
}

fn shown(line: &JobLine) -> String {
    let JobLine { id, name, status, attempt, age, cause } = line;
    let why = if cause.is_empty() { String::new() } else { format!(", last failure: {cause}") };
    format!("{id}  {status:<10}  {name}  attempt {attempt}, {} s{why}", age.as_secs())
}

fn on_host<F: Future<Output = Result<(), Failure>>>(
    main: impl FnOnce(Arc<dyn Host>) -> F,
) -> Result<(), Failure> {
    let environment = |error: io::Error| Failure::new(Exit::Environment, error);
    let host = RealHost::named("client").map_err(environment)?;
    real::run(host, main).map_err(environment)?
}

/// Asks whoever leads, and again for a while if nobody does: a standby may be about to take over.
async fn patiently<T>(
    host: &Arc<dyn Host>,
    addresses: &str,
    ask: impl AsyncFn(&mut Client) -> Result<T, ClientError>,
) -> Result<T, Failure> {
    let mut since = host.elapsed();
    loop {
        let asked = match Client::connect(&**host, addresses, Handshake::default()).await {
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
