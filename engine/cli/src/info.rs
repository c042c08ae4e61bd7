//! The verb `info`: all that is known of a job of a cluster, or the plan of a program.
//! Changes nothing, and asks once: what it tells is of one moment. Jobs in lines are told by
//! [`crate::jobs`], plans by [`crate::plan`].

use clap::Args;
use serde::Serialize;
use slackwater_control::view::{
    CheckpointState, CheckpointView, CheckpointsView, FailureView, JobDetail, TaskView,
};
use slackwater_core::time::ProcessingTime;
use slackwater_runtime::client::{Client, ClientError, named};
use slackwater_runtime::wire::message::{ClockReading, Refused};

use crate::exit::Failure;
use crate::jobs::JobTold;
use crate::plan::PlanArgs;
use crate::remote::{At, Terminal};
use crate::run::setting;
use crate::told::{columns, many, moment};

/// The arguments of `info`.
#[derive(Clone, Debug, Args)]
pub struct InfoArgs {
    /// A program, such as `oscon`; or a job of a cluster, by the first digits of its id
    #[arg(value_name = "PROGRAM|JOB")]
    pub what: String,
    /// Of a program: a parameter, as for `run`
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// Of a program: how many subtasks the job's operators have
    #[arg(short = 'p', long, value_name = "N")]
    pub parallelism: Option<u32>,
    /// Where the cluster is.
    #[command(flatten)]
    pub at: At,
    /// Tell it as JSON
    #[arg(long)]
    pub json: bool,
}

impl Terminal<'_> {
    /// Prints a plan or a job.
    pub(crate) async fn info(&mut self, args: &InfoArgs) -> Result<(), Failure> {
        let InfoArgs { what, set, parallelism, at, json } = args;
        // An id is hex digits; a program that looks like one is found by its version.
        if is_id(what) {
            return self.info_of(what, at, *json).await;
        }
        let plan = PlanArgs {
            job: what.clone(),
            set: set.clone(),
            parallelism: *parallelism,
            against: None,
            allow_non_restored_state: false,
            reset_watermarks: false,
            json: *json,
        };
        self.plan(&plan).await
    }

    /// Prints all that is known of a job.
    pub(crate) async fn info_of(
        &mut self,
        prefix: &str,
        at: &At,
        as_json: bool,
    ) -> Result<(), Failure> {
        let host = &**self.host;
        let asks = async |client: &mut Client| {
            let jobs = client.overview(host).await?.jobs;
            let job = named(prefix, jobs.iter().map(|job| job.id));
            let job = job.map_err(|why| ClientError::Refused(Refused::BadJob(why)))?;
            let (clock, detail) = client.job(host, job).await?;
            Ok((clock, detail.ok_or(ClientError::Forgotten(job))?))
        };
        let (clock, detail) = self.patiently(at, asks).await?;
        self.tell(&InfoTold::new(clock, &detail), as_json, InfoTold::text)
    }
}

fn is_id(what: &str) -> bool {
    what.chars().all(|digit| digit.is_ascii_hexdigit())
}

/// Moments are UTC, spans milliseconds.
#[derive(Debug, Serialize)]
struct InfoTold {
    #[serde(flatten)]
    job: JobTold,
    settings: std::collections::BTreeMap<String, String>,
    tasks: Vec<TaskTold>,
    /// `null`: it takes none.
    checkpoints: Option<CheckpointsTold>,
    /// Oldest first, as many as are kept.
    failures: Vec<FailureTold>,
    /// How many older ones are not kept.
    failures_forgotten: u32,
}

#[derive(Debug, Serialize)]
struct TaskTold {
    task: String,
    /// What it runs, head first.
    operators: String,
    status: String,
    task_manager: String,
}

#[derive(Debug, Serialize)]
struct CheckpointsTold {
    completed: u64,
    failed: u64,
    restored: u64,
    /// Newest first, as many as are kept.
    history: Vec<CheckpointTold>,
}

#[derive(Debug, Serialize)]
struct CheckpointTold {
    id: u64,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    state: &'static str,
    savepoint: bool,
    attempt: u32,
    triggered: String,
    /// `null` while it is under way.
    took_ms: Option<u64>,
    bytes: u64,
    /// How many tasks have said their part, and how many there are.
    parts: (usize, u32),
    /// Where a savepoint lies; why one was given up; whether newer ones have taken its place.
    note: String,
}

#[derive(Debug, Serialize)]
struct FailureTold {
    at: String,
    attempt: u32,
    /// `null`: it was not a task's failure.
    task: Option<String>,
    task_manager: Option<String>,
    cause: String,
}

impl InfoTold {
    fn new(clock: ClockReading, detail: &JobDetail) -> Self {
        Self {
            job: JobTold::new(&detail.summary, clock.now),
            settings: detail.settings.iter().cloned().collect(),
            tasks: detail.tasks.iter().map(|task| TaskTold::new(task, detail)).collect(),
            checkpoints: detail.checkpoints.as_ref().map(|own| CheckpointsTold::new(clock, own)),
            failures: detail.failures.iter().map(|own| FailureTold::new(clock, own)).collect(),
            failures_forgotten: detail.failures_forgotten,
        }
    }

    fn text(&self) -> Vec<String> {
        let mut lines = vec![self.job.line()];
        if !self.settings.is_empty() {
            let settings = self.settings.iter().map(|(name, value)| format!("{name}={value}"));
            lines.push(format!("settings: {}", settings.collect::<Vec<_>>().join(" ")));
        }
        lines.push(many(self.tasks.len() as u64, "task"));
        let row = |task: &TaskTold| {
            let TaskTold { task, operators, status, task_manager } = task;
            [task, status, task_manager, operators].map(String::clone).to_vec()
        };
        lines.extend(indented(columns(&self.tasks.iter().map(row).collect::<Vec<_>>(), &[])));
        match &self.checkpoints {
            None => lines.push("it takes no checkpoints".into()),
            Some(own) => lines.extend(own.text()),
        }
        let known = u64::from(self.failures_forgotten) + self.failures.len() as u64;
        lines.push(many(known, "failure"));
        let row = |own: &FailureTold| {
            let task = own.task.clone().unwrap_or_default();
            let on = own.task_manager.clone().unwrap_or_default();
            vec![own.at.clone(), format!("attempt {}", own.attempt), task, on, own.cause.clone()]
        };
        lines.extend(indented(columns(&self.failures.iter().map(row).collect::<Vec<_>>(), &[])));
        lines
    }
}

fn indented(lines: Vec<String>) -> impl Iterator<Item = String> {
    lines.into_iter().map(|line| format!("  {line}"))
}

/// A moment of the job manager's clock, in UTC.
fn utc(clock: ClockReading, at: std::time::Duration) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    moment(ProcessingTime::from_millis(clock.zero.as_millis().saturating_add(millis)))
}

impl TaskTold {
    fn new(task: &TaskView, detail: &JobDetail) -> Self {
        let mut vertices = detail.graph.vertices.iter();
        let vertex = vertices.find(|vertex| vertex.id == task.subtask.vertex);
        let names = vertex.map(|own| own.operators.iter().map(|o| o.name.clone()).collect());
        let names: Vec<String> = names.unwrap_or_default();
        Self {
            task: task.subtask.to_string(),
            operators: names.join(" -> "),
            status: task.status.to_string(),
            task_manager: task.task_manager.clone(),
        }
    }
}

impl CheckpointsTold {
    fn new(clock: ClockReading, own: &CheckpointsView) -> Self {
        Self {
            completed: own.completed,
            failed: own.failed,
            restored: own.restored,
            history: own.history.iter().map(|one| CheckpointTold::new(clock, one)).collect(),
        }
    }

    fn text(&self) -> Vec<String> {
        let Self { completed, failed, restored, history } = self;
        let head = many(*completed, "complete checkpoint");
        let mut lines = vec![format!("{head}, {failed} given up, {restored} started with")];
        let row = |own: &CheckpointTold| {
            let took = own.took_ms.map_or(String::new(), |millis| format!("{millis} ms"));
            let (done, all) = own.parts;
            vec![
                own.id.to_string(),
                own.state.to_owned(),
                own.triggered.clone(),
                took,
                format!("{} bytes", own.bytes),
                format!("{done}/{all}"),
                format!("attempt {}", own.attempt),
                own.note.clone(),
            ]
        };
        let rows: Vec<_> = history.iter().map(row).collect();
        lines.extend(indented(columns(&rows, &[0, 3, 4, 5])));
        lines
    }
}

impl CheckpointTold {
    fn new(clock: ClockReading, own: &CheckpointView) -> Self {
        let took = own.ended.map(|ended| ended.saturating_sub(own.triggered));
        let savepoint = own.savepoint.is_some();
        let notes = [
            if savepoint { format!("savepoint {}", own.path) } else { String::new() },
            own.cause.clone(),
            if own.discarded { "discarded".into() } else { String::new() },
        ];
        let notes = notes.iter().map(|note| note.trim()).filter(|note| !note.is_empty());
        Self {
            id: own.id.0,
            state: match own.state {
                CheckpointState::InProgress => "IN_PROGRESS",
                CheckpointState::Completed => "COMPLETED",
                CheckpointState::Failed => "FAILED",
            },
            savepoint,
            attempt: own.attempt.0,
            triggered: utc(clock, own.triggered),
            took_ms: took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            bytes: own.times.bytes,
            parts: (own.parts.len(), own.subtasks),
            note: notes.collect::<Vec<_>>().join(", "),
        }
    }
}

impl FailureTold {
    fn new(clock: ClockReading, own: &FailureView) -> Self {
        let (task, on) = own.task.clone().unzip();
        Self {
            at: utc(clock, own.at),
            attempt: own.attempt.0,
            task: task.map(|task| task.to_string()),
            task_manager: on,
            cause: own.cause.clone(),
        }
    }
}
