//! The verb `run`: a job from its name, its settings and a few flags, on a cluster in this process
//! or on one that is there. Checks what can be checked before anything starts, so that a typo costs
//! nothing. The local cluster is put together in [`crate::local`]; others are asked by [`crate::remote`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use slackwater_core::graph::{JobGraph, OperatorKind, TWO_PHASE};
use slackwater_core::program::Program;
use slackwater_core::savepoint::StartFrom;
use slackwater_core::time::parse_span;
use slackwater_dataflow::task::Programs;

use crate::delivery::is_binary;
use crate::exit::{Exit, Failure};
use crate::local::{self, LocalRun};
use crate::remote;

/// The arguments of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The job, such as `oscon`, or several on one cluster; `NAME@VERSION` picks a version. Or the
    /// path of a binary that brings jobs along, and which of them, if there are several
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    /// Run job manager, task manager and series database in this process
    #[arg(long)]
    pub local: bool,
    /// With --local: serve the dashboard for as long as it runs, on port 8081 unless that is taken
    #[arg(long, value_name = "PORT", requires = "local")]
    pub ui: Option<Option<u16>>,
    /// Submit to the cluster whose job managers listen here, parted by commas
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "local")]
    pub job_manager: Option<String>,
    /// How the cluster takes a stranger in.
    #[command(flatten)]
    pub access: remote::Access,
    /// Submit to the cluster of --job-manager, this machine's unless given, and do not wait for the end
    #[arg(short, long, conflicts_with = "local")]
    pub detached: bool,
    /// Start from this savepoint, or from a checkpoint that was kept: its folder, or a tag
    #[arg(short = 's', long, value_name = "PATH")]
    pub from_savepoint: Option<String>,
    /// Leave state behind that no operator of the job takes up
    #[arg(short = 'n', long, requires = "from_savepoint")]
    pub allow_non_restored_state: bool,
    /// Let event time begin anew: what the savepoint of a drained job needs
    #[arg(long, requires = "from_savepoint")]
    pub reset_watermarks: bool,
    /// How many subtasks the job's operators have, as far as they can be parted (sets `parallelism`)
    #[arg(short = 'p', long, value_name = "N")]
    pub parallelism: Option<u32>,
    /// A parameter, such as `wave=100` or, of one job among several, `oscon.wave=100`; may be
    /// repeated. Every job knows `checkpoint` (a span such as `1s`, or `off`, the default), `storage`
    /// (their folder), `restarts`, `restart_delay` and `latency` (how often it is measured); those
    /// that write series know `sink` (`idempotent`, `two_phase` or `naive`)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// With --local: the folder for the series database, for savepoints, and for checkpoints. Those
    /// outlive a failed task and not this process: a cluster whose jobs do is `jobmanager --store`
    #[arg(long, value_name = "DIR", default_value = "slackwater-data")]
    pub data: PathBuf,
    /// Stop by itself after this time, such as `5s`
    #[arg(long = "for", value_name = "SPAN", value_parser = parse_span)]
    pub span: Option<Duration>,
    /// The job manager's port; 0 takes any
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// The series database's port; 0 takes any
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub db_port: u16,
    /// The file that the job reads (sets `input`)
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// How late records may come, such as `60m` (sets `bound`)
    #[arg(long, value_name = "SPAN")]
    pub bound: Option<String>,
    /// The folder that the job writes to (sets `out`)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What to do with a record that cannot be read: `fail` or `skip` (sets `on_bad_record`)
    #[arg(long, value_name = "fail|skip")]
    pub on_bad_record: Option<String>,
}

/// Reads `NAME=VALUE`.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, found {text:?}"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What is said to a `run` of which it does not say where.
pub(crate) const WHERE: &str = "where is it to run? add --local, or --job-manager HOST:PORT";

impl RunArgs {
    /// Where the job managers of the cluster listen that it is submitted to, if it is to one.
    pub(crate) fn cluster(&self) -> Option<remote::At> {
        let default = || self.detached.then(remote::default_address);
        let job_manager = self.job_manager.clone().or_else(default)?;
        Some(remote::At { job_manager, access: self.access.clone() })
    }

    /// With what the jobs start, if not with nothing.
    pub fn start(&self) -> Option<StartFrom> {
        let (allow_non_restored, reset_watermarks) =
            (self.allow_non_restored_state, self.reset_watermarks);
        let path = self.from_savepoint.clone()?;
        Some(StartFrom { path, allow_non_restored, reset_watermarks })
    }

    /// The programs that the arguments describe.
    ///
    /// # Errors
    /// [`Exit::Usage`] if a setting is for a job that is not run.
    pub fn programs(&self) -> Result<Vec<Program>, Failure> {
        self.programs_of(&self.jobs)
    }

    /// The same, of these jobs instead of those that are named.
    pub(crate) fn programs_of(&self, jobs: &[String]) -> Result<Vec<Program>, Failure> {
        let path = |path: &PathBuf| path.display().to_string();
        let flags = [
            ("parallelism", self.parallelism.map(|parallelism| parallelism.to_string())),
            ("input", self.input.as_ref().map(path)),
            ("bound", self.bound.clone()),
            ("out", self.out.as_ref().map(path)),
            ("on_bad_record", self.on_bad_record.clone()),
        ];
        let flags = flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        described(jobs, self.set.iter().cloned().chain(flags))
    }
}

/// The programs of these jobs, each with the settings that are meant for it.
///
/// # Errors
/// [`Exit::Usage`] if a setting is for none of them.
pub(crate) fn described(
    jobs: &[String],
    settings: impl Iterator<Item = (String, String)>,
) -> Result<Vec<Program>, Failure> {
    let named = |job: &String| {
        let (name, version) = job.split_once('@').unwrap_or((job, "v1"));
        Program { version: version.to_owned(), ..Program::named(name) }
    };
    let mut programs: Vec<_> = jobs.iter().map(named).collect();
    for (name, value) in settings {
        let (job, name) = name.split_once('.').map_or((None, &*name), |(job, n)| (Some(job), n));
        let mut meant = false;
        for program in programs.iter_mut().filter(|p| job.is_none_or(|job| p.name == job)) {
            program.settings.insert(name.to_owned(), value.clone());
            meant = true;
        }
        if !meant {
            let job = job.unwrap_or_default();
            let words = format!("--set {job}.{name}: no job {job:?} is run here");
            return Err(Failure::new(Exit::Usage, words));
        }
    }
    Ok(programs)
}

/// Runs jobs in this process to their end, to Ctrl-C, or for as long as was asked.
///
/// # Errors
/// A [`Failure`] of any kind.
pub(crate) fn run(args: &RunArgs, programs: Arc<dyn Programs>) -> Result<(), Failure> {
    if !args.local {
        return Err(Failure::new(Exit::Usage, WHERE));
    }
    if let Some(path) = args.jobs.first().filter(|job| is_binary(job, &*programs)) {
        let words = format!("{path} has a command line of its own: {path} run JOB --local");
        return Err(Failure::new(Exit::Usage, words));
    }
    let jobs = args.programs()?;
    let plans = jobs.iter().map(|program| programs.plan(program).map_err(Failure::from));
    let graphs = plans.map(|plan| Ok(plan?.graph)).collect::<Result<Vec<JobGraph>, Failure>>()?;
    if let Some(input) = &args.input {
        check_input(input)?;
    }
    let mut from = args.start();
    from.iter_mut().try_for_each(|from| remote::from_here(&mut from.path))?;
    local::run(LocalRun {
        jobs,
        slots: graphs.iter().map(JobGraph::slots).sum(),
        programs,
        data: graphs.iter().any(writes_series).then(|| args.data.clone()),
        from,
        checkpoints: args.data.join("checkpoints"),
        savepoints: args.data.join("savepoints"),
        span: args.span,
        ports: (args.port, args.db_port),
        ui: args.ui,
    })
}

/// Whether the job may need the series database: its sinks are idempotent or two-phase.
fn writes_series(graph: &JobGraph) -> bool {
    let operators = graph.vertices.iter().flat_map(|vertex| &vertex.operators);
    operators
        .filter(|o| o.kind == OperatorKind::Sink)
        .any(|sink| sink.note == "idempotent" || sink.note == TWO_PHASE)
}

/// Looks at the file before a cluster is started for it.
fn check_input(input: &PathBuf) -> Result<(), Failure> {
    let path = input.display();
    let words = match std::fs::metadata(input) {
        Ok(file) if file.is_file() => return Ok(()),
        Ok(_) => format!("{path} is not a file"),
        Err(error) => format!("cannot read {path}: {error}"),
    };
    Err(Failure::new(Exit::BadInput, words))
}
