//! The verb `run`: a job from its name, its settings and a few flags, on a cluster in this process.
//! Checks what can be checked before anything starts, so that a typo costs nothing. The cluster is
//! put together in [`crate::local`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use slackwater_core::graph::{JobGraph, OperatorKind};
use slackwater_core::program::Program;
use slackwater_core::time::parse_span;
use slackwater_dataflow::task::Programs;

use crate::exit::{Exit, Failure};
use crate::local::{self, LocalRun};

/// The arguments of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The job, such as `oscon`; `NAME@VERSION` picks a version
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Run job manager, task manager and series database in this process
    #[arg(long)]
    pub local: bool,
    /// A parameter of the job, such as `wave=100` or `time=processing`; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// The folder for the series database
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

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, found {text:?}"))?;
    Ok((name.to_owned(), value.to_owned()))
}

impl RunArgs {
    /// The program that the arguments describe.
    fn program(&self) -> Program {
        let (name, version) = self.job.split_once('@').unwrap_or((&self.job, "v1"));
        let mut program = Program::named(name);
        program.version = version.to_owned();
        for (name, value) in &self.set {
            program = program.set(name, value);
        }
        let path = |path: &PathBuf| path.display().to_string();
        let flags = [
            ("input", self.input.as_ref().map(path)),
            ("bound", self.bound.clone()),
            ("out", self.out.as_ref().map(path)),
            ("on_bad_record", self.on_bad_record.clone()),
        ];
        for (name, value) in flags {
            if let Some(value) = value {
                program = program.set(name, value);
            }
        }
        program
    }
}

/// Runs a job to its end, to Ctrl-C, or for as long as was asked.
///
/// # Errors
/// A [`Failure`] of any kind.
pub fn run(args: &RunArgs, programs: Arc<dyn Programs>) -> Result<(), Failure> {
    if !args.local {
        let message = "only local runs are possible so far: add --local";
        return Err(Failure::new(Exit::Usage, message));
    }
    let program = args.program();
    let plan = programs.plan(&program)?;
    if let Some(input) = &args.input {
        check_input(input)?;
    }
    local::run(LocalRun {
        program,
        slots: plan.graph.slots(),
        programs,
        data: writes_series(&plan.graph).then(|| args.data.clone()),
        span: args.span,
        ports: (args.port, args.db_port),
    })
}

/// Whether the job needs the series database: its sink is the one that is idempotent.
fn writes_series(graph: &JobGraph) -> bool {
    let operators = graph.vertices.iter().flat_map(|vertex| &vertex.operators);
    operators.filter(|o| o.kind == OperatorKind::Sink).any(|sink| sink.note == "idempotent")
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
