//! The engine's verbs as a library: `run`, `plan`, `list`, `info`, `cancel`, `savepoint`, `stop`,
//! `series`, `cluster`, `jobmanager`, `taskmanager`. Each takes its arguments and the catalogue
//! of programs, and ends in success or in a [`exit::Failure`] with a number of its own.
//! Decides nothing about jobs: it asks job managers. A binary of one's own is [`main`] and a
//! catalogue; the binary `slackwater`, with the harness's verbs beside these, is the root package's.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser, Subcommand};
use slackwater_dataflow::task::Programs;

pub mod cluster;
pub mod delivery;
pub mod exit;
pub mod info;
pub mod jobs;
pub mod local;
pub mod network;
pub mod node;
mod panels;
pub mod picture;
pub mod plan;
pub mod rehearsal;
pub mod remote;
mod rest;
pub mod run;
pub mod savepoint;
pub mod series;
pub mod tally;
pub mod told;
pub mod watch;

use exit::{Exit, Failure};

/// What the engine can be told.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Run a job: `run oscon --local`, `run flights --local --input FILE --out DIR`
    Run(run::RunArgs),
    /// List the jobs of a cluster
    List(jobs::ListArgs),
    /// Tell all that is known of a job, or the plan of a program: `info 5f3c`, `info oscon`
    Info(info::InfoArgs),
    /// Cancel a job of a cluster, delete its checkpoints, and wait until it is CANCELED
    Cancel(jobs::CancelArgs),
    /// Print a job's graph; with --against, what it makes of a savepoint: 9 if it cannot go on from it
    Plan(plan::PlanArgs),
    /// Take a savepoint of a job of a cluster, which goes on; or look after those that are there
    Savepoint(savepoint::SavepointArgs),
    /// End a job of a cluster with a savepoint to go on from
    Stop(savepoint::StopArgs),
    /// Start or stop a cluster of this machine in the background: `cluster start --workers 2`
    #[command(subcommand)]
    Cluster(cluster::ClusterVerb),
    /// Run a job manager in this process until Ctrl-C
    #[command(name = "jobmanager")]
    JobManager(node::JobManagerArgs),
    /// Run a task manager in this process until Ctrl-C; start or stop one of `cluster start`
    #[command(name = "taskmanager")]
    TaskManager(node::TaskManagerArgs),
    /// Say what this binary is, to a command that is about to send it
    #[command(hide = true)]
    Describe(delivery::DescribeArgs),
    /// Run tasks for the task manager that has started this process
    #[command(hide = true)]
    Worker,
    /// Read back what a local run has stored; serve a database for others
    #[command(subcommand)]
    Series(series::SeriesVerb),
    /// Print what a shell needs to complete these commands: `completions bash`
    Completions(CompletionsArgs),
}

/// The arguments of `completions`.
#[derive(Clone, Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

impl Verb {
    /// Whether it asks a cluster that is there, and runs nothing here.
    pub fn asks_a_cluster(&self) -> bool {
        match self {
            Self::Run(args) => !args.local,
            Self::Savepoint(args) => args.look.is_none(),
            Self::List(_) | Self::Info(_) | Self::Cancel(_) | Self::Stop(_) => true,
            Self::Plan(_)
            | Self::Cluster(_)
            | Self::JobManager(_)
            | Self::TaskManager(_)
            | Self::Describe(_)
            | Self::Worker
            | Self::Series(_)
            | Self::Completions(_) => false,
        }
    }

    /// Whether [`remote::perform`] does it: on any host, into any writer.
    pub fn runs_nothing_here(&self) -> bool {
        self.asks_a_cluster() || matches!(self, Self::Plan(_) | Self::Savepoint(_))
    }
}

/// Does what was told.
///
/// # Errors
/// A [`Failure`]: its number is the exit code, its message is for stderr.
pub fn execute(verb: Verb, programs: Arc<dyn Programs>) -> Result<(), Failure> {
    match &verb {
        Verb::Run(args) if args.cluster().is_none() => run::run(args, programs),
        Verb::Describe(args) => delivery::describe(args, &*programs),
        Verb::Worker => delivery::worker(programs),
        Verb::Cluster(verb) => cluster::execute(verb),
        Verb::JobManager(args) => node::job_manager(args, programs),
        Verb::TaskManager(args) => match &args.act {
            Some(verb) => cluster::one(verb),
            None => node::task_manager(args, programs),
        },
        Verb::Series(verb) => series::execute(verb),
        Verb::Completions(args) => completions(Command::command(), args),
        asks => remote::at_this_terminal(asks, &*programs),
    }
}

/// Prints what a shell needs to complete the commands of a binary.
///
/// # Errors
/// [`Exit::Environment`] if it cannot be printed.
pub fn completions(mut command: clap::Command, args: &CompletionsArgs) -> Result<(), Failure> {
    let (name, mut script) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    let printed = std::io::stdout().write_all(&script);
    printed.map_err(|error| Failure::new(Exit::Environment, error))
}

/// The command line of a binary that has these verbs alone.
#[derive(Parser)]
#[command(name = "slackwater", arg_required_else_help = true, after_help = exit::CODES)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

/// Reads what a person types behind the name of the binary, such as `cancel 5f3c`: quotes part words
/// as in a shell.
///
/// # Errors
/// [`Exit::Usage`] with what a terminal would show.
pub fn typed(line: &str) -> Result<Verb, Failure> {
    let usage = |words: String| Failure::new(Exit::Usage, words.trim_end());
    let words = shlex::split(line).ok_or_else(|| usage(format!("a quote is left open: {line}")))?;
    let line = std::iter::once("slackwater".to_owned()).chain(words);
    Command::try_parse_from(line)
        .map(|command| command.verb)
        .map_err(|error| usage(error.to_string()))
}

/// The same in a place where the cluster is known, if it asks one: `--job-manager` need not be typed.
///
/// # Errors
/// As [`typed`].
pub fn typed_near(line: &str, job_managers: &str) -> Result<Verb, Failure> {
    match typed(line) {
        Ok(verb) if verb.asks_a_cluster() && !line.contains("--job-manager") => {
            typed(&format!("{line} --job-manager {job_managers}"))
        }
        other => other,
    }
}

/// The `main` of a job's own binary: does what its command line says, tells a failure on stderr and
/// gives the code to exit with.
pub fn main(programs: impl Programs + 'static) -> ExitCode {
    ended(execute(Command::parse().verb, Arc::new(programs)))
}

/// The same for a binary that does something when nothing is typed: `line`, such as
/// `run oscon --local`.
pub fn main_or(programs: impl Programs + 'static, line: &str) -> ExitCode {
    match std::env::args_os().len() {
        0 | 1 => ended(typed(line).and_then(|verb| execute(verb, Arc::new(programs)))),
        _ => main(programs),
    }
}

/// The code to exit with; a failure is told on stderr.
pub fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
