//! The verbs `list` and `cancel`: the jobs of a cluster, what each is waiting for, and the end of one.
//! Never guesses which job is meant: digits that several ids begin with are refused, with those ids.
//! How a cluster is asked is [`crate::remote`]; all that is known of one job is told by [`crate::info`].

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use slackwater_control::view::JobSummary;
use slackwater_core::fact::JobStatus;
use slackwater_core::id::JobId;
use slackwater_runtime::client::Client;
use slackwater_runtime::host::within;
use slackwater_runtime::wire::message::Overview;

use crate::exit::{Exit, Failure};
use crate::remote::{At, Terminal};

/// How long a job may take from its cancellation until it is CANCELED: longer than a task manager
/// that is lost meanwhile is waited for.
const CANCELED_WITHIN: Duration = Duration::from_secs(60);

/// The arguments of `list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// One job, by the first digits of its id: all that is known of it, as `info` tells it
    #[arg(value_name = "JOB", conflicts_with_all = ["running", "scheduled", "all"])]
    pub job: Option<String>,
    /// The jobs that run, or are on their way to
    #[arg(short, long)]
    pub running: bool,
    /// The jobs that wait for slots
    #[arg(short, long)]
    pub scheduled: bool,
    /// Also the jobs that have ended
    #[arg(short, long)]
    pub all: bool,
    /// Where the cluster is.
    #[command(flatten)]
    pub at: At,
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
    /// Do not wait until it is CANCELED
    #[arg(long)]
    pub no_wait: bool,
    /// Where the cluster is.
    #[command(flatten)]
    pub at: At,
    /// Tell it as JSON
    #[arg(long)]
    pub json: bool,
}

impl Terminal<'_> {
    /// Prints the jobs of a cluster.
    pub(crate) async fn list(&mut self, args: &ListArgs) -> Result<(), Failure> {
        if let Some(job) = &args.job {
            return self.info_of(job, &args.at, args.json).await;
        }
        let host = &**self.host;
        let asks = async |client: &mut Client| client.overview(host).await;
        let Overview { clock, mut jobs, .. } = self.patiently(&args.at, asks).await?;
        jobs.retain(|job| args.wants(job.status));
        let told: Vec<_> = jobs.iter().map(|job| JobTold::new(job, clock.now)).collect();
        self.tell(&told, args.json, |told| match told.as_slice() {
            [] => vec![args.none().to_owned()],
            told => told.iter().map(JobTold::line).collect(),
        })
    }

    /// Cancels a job of a cluster, whose checkpoints are deleted, and waits for its end.
    pub(crate) async fn cancel(&mut self, args: &CancelArgs) -> Result<(), Failure> {
        let host = &**self.host;
        let asks = async |client: &mut Client| client.cancel(host, &args.job).await;
        let job = self.patiently(&args.at, asks).await?;
        if !args.json {
            self.print(&format!("cancelling job {job}"))?;
        }
        let status = match args.no_wait {
            true => JobStatus::Cancelling,
            false => self.ended(job, &args.at).await?,
        };
        if args.json || !args.no_wait {
            let told = CancelTold { id: job.to_string(), status: status.to_string() };
            self.tell(&told, args.json, |told| {
                vec![format!("job {} is {}", told.id, told.status)]
            })?;
        }
        Ok(())
    }

    /// The state in which a job ends.
    async fn ended(&self, job: JobId, at: &At) -> Result<JobStatus, Failure> {
        let host = &**self.host;
        let waits = async |client: &mut Client| client.wait(host, job).await;
        match within(host, CANCELED_WITHIN, self.patiently(at, waits)).await {
            Some(line) => Ok(line?.status),
            None => {
                let words = format!(
                    "job {job} is not CANCELED after {} s: it will be, `list -a` says when",
                    CANCELED_WITHIN.as_secs()
                );
                Err(Failure::new(Exit::Environment, words))
            }
        }
    }
}

impl ListArgs {
    fn wants(&self, status: JobStatus) -> bool {
        let waits = matches!(status, JobStatus::Created | JobStatus::Scheduling);
        match (self.all, self.running, self.scheduled) {
            (true, ..) => true,
            (_, true, false) => !status.is_final() && !waits,
            (_, false, true) => waits,
            _ => !status.is_final(),
        }
    }

    /// What is said if there are none.
    fn none(&self) -> &'static str {
        match (self.all, self.running, self.scheduled) {
            (true, ..) => "no jobs",
            (_, false, true) => "no jobs wait for slots; all that there were: list -a",
            _ => "no jobs run; all that there were: list -a",
        }
    }
}

/// The end of a cancelled job, as JSON tells it.
#[derive(Debug, Serialize)]
struct CancelTold {
    id: String,
    /// `CANCELED`; `CANCELLING` if it was not waited for.
    status: String,
}

/// A job as JSON tells it.
#[derive(Debug, Serialize)]
pub(crate) struct JobTold {
    id: String,
    name: String,
    /// Such as `RUNNING`.
    status: String,
    /// From 1; 0 before the first deployment.
    attempt: u32,
    /// How often it started again after a failure, under this job manager.
    restarts: u32,
    /// For how long the job manager has known it.
    age_ms: u64,
    /// RESTARTING: in which time it starts again; else `null`.
    tries_again_in_ms: Option<u64>,
    /// SCHEDULING: how many slots it waits for; else `null`.
    waits_for_slots: Option<u32>,
    /// Why it failed last; empty if it never did.
    cause: String,
}

impl JobTold {
    /// As it is at this moment of the job manager's clock.
    pub(crate) fn new(job: &JobSummary, now: Duration) -> Self {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let scheduling = job.status == JobStatus::Scheduling;
        Self {
            id: job.id.to_string(),
            name: job.name.clone(),
            status: job.status.to_string(),
            attempt: job.attempt.0,
            restarts: job.restarts,
            age_ms: millis(now.saturating_sub(job.submitted)),
            tries_again_in_ms: job.tries_again.map(|at| millis(at.saturating_sub(now))),
            waits_for_slots: scheduling.then_some(job.slots),
            cause: job.cause.clone(),
        }
    }

    /// As a line for a person.
    pub(crate) fn line(&self) -> String {
        let Self { id, name, status, attempt, age_ms, cause, .. } = self;
        let next = match (self.tries_again_in_ms, self.waits_for_slots) {
            (Some(millis), _) => {
                format!(", attempt {} begins in {:.1} s", attempt + 1, millis as f64 / 1000.0)
            }
            (_, Some(1)) => ", waits for a slot".to_owned(),
            (_, Some(slots)) => format!(", waits for {slots} slots"),
            _ => String::new(),
        };
        let why = if cause.is_empty() { String::new() } else { format!(", last failure: {cause}") };
        format!("{id}  {status:<10}  {name}  attempt {attempt}, {} s{next}{why}", age_ms / 1000)
    }
}

#[cfg(test)]
mod tests {
    use slackwater_core::id::Attempt;

    use super::*;

    fn job(status: JobStatus) -> JobSummary {
        JobSummary {
            id: JobId(0x5f3c << 112),
            name: "oscon".into(),
            status,
            attempt: Attempt(3),
            submitted: Duration::from_secs(2),
            since: Default::default(),
            tasks: Default::default(),
            total: 4,
            slots: 2,
            restarts: 2,
            tries_again: (status == JobStatus::Restarting).then(|| Duration::from_millis(62_700)),
            cause: if status == JobStatus::Running { "" } else { "tm-1 is lost" }.into(),
        }
    }

    #[test]
    fn a_line_says_what_a_job_does_and_what_it_waits_for() {
        let line = |status| JobTold::new(&job(status), Duration::from_secs(62)).line();
        let id = job(JobStatus::Running).id;
        assert_eq!(line(JobStatus::Running), format!("{id}  RUNNING     oscon  attempt 3, 60 s"));
        assert_eq!(
            line(JobStatus::Restarting),
            format!(
                "{id}  RESTARTING  oscon  attempt 3, 60 s, attempt 4 begins in 0.7 s, \
                 last failure: tm-1 is lost"
            )
        );
        assert!(line(JobStatus::Scheduling).contains(", waits for 2 slots, last failure"));
    }

    #[test]
    fn running_scheduled_and_all_choose_as_flinks_do() {
        use JobStatus::{Canceled, Created, Restarting, Running, Scheduling};
        let chosen = |line: &str| {
            let Ok(crate::Verb::List(args)) = crate::typed(line) else { panic!("{line}") };
            let all = [Created, Scheduling, Running, Restarting, Canceled];
            all.into_iter().filter(|status| args.wants(*status)).collect::<Vec<_>>()
        };
        assert_eq!(chosen("list"), [Created, Scheduling, Running, Restarting]);
        assert_eq!(chosen("list -r -s"), chosen("list"));
        assert_eq!(chosen("list -r"), [Running, Restarting]);
        assert_eq!(chosen("list -s"), [Created, Scheduling]);
        assert_eq!(chosen("list -a").len(), 5);
        let refused = crate::typed("list -a 5f3c").expect_err("one of them");
        assert!(refused.message.contains("cannot be used with"), "{refused}");
    }
}
