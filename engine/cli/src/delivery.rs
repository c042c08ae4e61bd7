//! A job that comes in a binary of its own: what the binary says of itself, and the verbs with which it
//! says so and becomes a worker process. Never runs its tasks here: the binary is asked for its graph,
//! sent once, and run by task managers. How it is kept and fetched is `slackwater-runtime`'s `artifact`.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde::{Deserialize, Serialize};
use slackwater_core::graph::JobGraph;
use slackwater_core::program::Program;
use slackwater_dataflow::task::Programs;
use slackwater_runtime::artifact::{ARTIFACT_MAX, hash};
use slackwater_runtime::client::Client;
use slackwater_runtime::host::process::{how, why};
use slackwater_runtime::host::real::{self, RealHost};
use slackwater_runtime::host::{Host, LocalFuture, within};
use slackwater_runtime::wire::handshake::PROTOCOL;
use slackwater_runtime::worker::process::{Calling, serve};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::exit::{Exit, Failure, nearest};
use crate::remote::{At, Terminal};
use crate::run::RunArgs;

/// How long a binary may take to say what it is.
const DESCRIBE_WITHIN: Duration = Duration::from_secs(20);
/// How much it may say, in bytes.
const DESCRIPTION_MAX: u64 = 16 << 20;
/// How much of what it says beside that is told, in bytes.
const WORDS_MAX: u64 = 2_000;

/// The arguments of the verb that a client types into a binary.
#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// The program whose graph is wanted, as JSON; without it, the names of all
    #[arg(long)]
    pub program: Option<String>,
}

/// What a binary says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// Its protocol version, under a name that shows whose answer it is.
    slackwater: u32,
    /// The names of its jobs.
    #[serde(default)]
    pub jobs: Vec<String>,
    /// The graph of the program that was asked for.
    #[serde(default)]
    pub graph: Option<Box<JobGraph>>,
    /// Why there is none.
    #[serde(default)]
    pub refused: Option<String>,
}

/// Asks binaries what they are.
pub trait Delivers {
    /// The bytes of a binary.
    ///
    /// # Errors
    /// [`Exit::BadInput`] if it cannot be a job of this machine.
    fn read(&self, path: &str) -> Result<Bytes, Failure>;

    /// What it says of itself, and of a program.
    ///
    /// # Errors
    /// [`Exit::BadInput`] if it says nothing that is understood.
    fn describe(
        &self,
        host: Arc<dyn Host>,
        path: &str,
        program: Option<&Program>,
    ) -> LocalFuture<Result<Described, Failure>>;

    /// Tells a person that something was sent, beside the answer.
    fn sent(&self, words: &str);
}

impl Described {
    /// What a binary with these programs says.
    pub fn of(programs: &dyn Programs, program: Option<&Program>) -> Self {
        let (graph, refused) = match program.map(|program| programs.plan(program)) {
            None => (None, None),
            Some(Ok(plan)) => (Some(Box::new(plan.graph)), None),
            Some(Err(error)) => (None, Some(Failure::from(error).message)),
        };
        Self { slackwater: PROTOCOL, jobs: programs.names(), graph, refused }
    }
}

/// A job in a binary, ready to be sent.
pub(crate) struct Delivery {
    pub binary: Bytes,
    pub programs: Vec<(Program, JobGraph)>,
}

/// Whether a person means a binary with this, and not a job that every node knows.
pub(crate) fn is_binary(job: &str, programs: &dyn Programs) -> bool {
    let name = job.split('@').next().unwrap_or(job);
    job.contains('/')
        || (!programs.names().iter().any(|known| known == name) && Path::new(job).is_file())
}

/// Reads a binary and asks it for the graphs of its jobs: those that are named, or the only one.
///
/// # Errors
/// [`Exit::BadInput`] if it is no job; [`Exit::Usage`] if it does not know what is asked of it.
pub(crate) async fn prepare(
    (delivers, host): (&dyn Delivers, &Arc<dyn Host>),
    path: &str,
    names: &[String],
    described: impl FnOnce(&[String]) -> Result<Vec<Program>, Failure>,
) -> Result<Delivery, Failure> {
    let binary = delivers.read(path)?;
    let known = delivers.describe(Arc::clone(host), path, None).await?.jobs;
    let usage = |words: String| Failure::new(Exit::Usage, words);
    let names = match (names, known.as_slice()) {
        ([], [only]) => vec![only.clone()],
        ([], []) => return Err(Failure::new(Exit::BadInput, format!("{path} has no job"))),
        ([], many) => {
            let words = format!("{path} has several jobs: say which of {}", many.join(", "));
            return Err(usage(words));
        }
        (named, _) => named.to_vec(),
    };
    for name in &names {
        let bare = name.split('@').next().unwrap_or(name);
        if !known.iter().any(|known| known == bare) {
            let near = nearest(bare, known.iter().map(String::as_str));
            let hint = near.map_or(known.join(", "), |near| format!("did you mean {near:?}?"));
            return Err(usage(format!("{path} has no job {bare:?}: {hint}")));
        }
    }
    let (name, mut programs) = (hash(&binary), Vec::new());
    for program in described(&names)? {
        let said = delivers.describe(Arc::clone(host), path, Some(&program)).await?;
        let graph = said.graph.ok_or_else(|| {
            usage(said.refused.unwrap_or_else(|| format!("{path} plans nothing for {program}")))
        })?;
        programs.push((program.delivered(&name), *graph));
    }
    Ok(Delivery { binary, programs })
}

impl Terminal<'_> {
    /// What is to run: programs that every node knows, or those of a binary, which is sent if the
    /// cluster does not have it, each with its graph.
    pub(crate) async fn wanted(
        &mut self,
        at: &At,
        args: &RunArgs,
    ) -> Result<Vec<(Program, Option<JobGraph>)>, Failure> {
        let Some(path) = args.jobs.first().filter(|job| is_binary(job, self.programs)) else {
            return Ok(args.programs()?.into_iter().map(|program| (program, None)).collect());
        };
        let delivers = self.delivers.ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{path}: no binary can be sent from here"))
        })?;
        let described = |names: &[String]| args.programs_of(names);
        let prepared = prepare((delivers, self.host), path, &args.jobs[1..], described);
        let Delivery { binary, programs } = prepared.await?;
        let host = &**self.host;
        let sends = async |client: &mut Client| client.deliver(host, &binary).await;
        if self.patiently(at, sends).await? {
            let mib = binary.len().div_ceil(1 << 20);
            delivers.sent(&format!("sent {path}: {mib} MiB"));
        }
        Ok(programs.into_iter().map(|(program, graph)| (program, Some(graph))).collect())
    }
}

/// Binaries of this machine.
pub(crate) struct FromHere;

#[expect(
    clippy::disallowed_methods,
    reason = "a person's file, on the machine where the person types"
)]
impl Delivers for FromHere {
    fn sent(&self, words: &str) {
        eprintln!("{words}");
    }

    fn read(&self, path: &str) -> Result<Bytes, Failure> {
        let bad = |why: String| Failure::new(Exit::BadInput, why);
        let cannot = |error: io::Error| bad(format!("cannot read {path}: {error}"));
        let file = fs::metadata(path).map_err(cannot)?;
        if !file.is_file() {
            return Err(bad(format!("{path} is not a file")));
        }
        if file.len() > ARTIFACT_MAX {
            let (mib, most) = (file.len() >> 20, ARTIFACT_MAX >> 20);
            return Err(bad(format!(
                "{path} has {mib} MiB: {most} are taken at most; strip it, or build it with --release"
            )));
        }
        let bytes = fs::read(path).map_err(cannot)?;
        is_program(path, &bytes).map_err(bad)?;
        if file.permissions().mode() & 0o111 == 0 {
            return Err(bad(format!("{path} may not be executed: chmod +x {path}")));
        }
        Ok(bytes.into())
    }

    fn describe(
        &self,
        host: Arc<dyn Host>,
        path: &str,
        program: Option<&Program>,
    ) -> LocalFuture<Result<Described, Failure>> {
        let place = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let mut command = Command::new(&place);
        command.arg("describe");
        if let Some(program) = program.and_then(|program| serde_json::to_string(program).ok()) {
            command.args(["--program", &program]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.kill_on_drop(true).spawn();
        let path = path.to_owned();
        Box::pin(async move {
            let bad = |why: String| Failure::new(Exit::BadInput, why);
            let mut child = child.map_err(|error| bad(why(&place, &error)))?;
            let (mut out, mut words) = (Vec::new(), Vec::new());
            let (Some(said), Some(beside)) = (child.stdout.take(), child.stderr.take()) else {
                return Err(bad(format!("{path} cannot be heard")));
            };
            let heard = within(&*host, DESCRIBE_WITHIN, async {
                let (mut said, mut beside) = (said.take(DESCRIPTION_MAX), beside.take(WORDS_MAX));
                let both = (said.read_to_end(&mut out), beside.read_to_end(&mut words));
                let (said, beside) = futures::join!(both.0, both.1);
                said.and(beside)?;
                child.wait().await
            });
            let expected = "no job: a job's main is slackwater::main!(..)";
            let Some(ended) = heard.await else {
                let span = DESCRIBE_WITHIN.as_secs();
                return Err(bad(format!(
                    "{path} does not say within {span} s what it is: {expected}"
                )));
            };
            let ended = ended.map_err(|error| bad(format!("{path}: {error}")))?;
            let Ok(said) = serde_json::from_slice::<Described>(&out) else {
                let words = String::from_utf8_lossy(&words);
                let first = words.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
                return Err(bad(format!(
                    "{path} is {expected}; it {}, and said: {first}",
                    how(ended)
                )));
            };
            if said.slackwater != PROTOCOL {
                let theirs = said.slackwater;
                let words = format!(
                    "{path} speaks protocol version {theirs}, and this command {PROTOCOL}: build both with the same release"
                );
                return Err(Failure::new(Exit::OtherVersion, words));
            }
            Ok(said)
        })
    }
}

/// Whether the bytes can be a program of this machine.
///
/// # Errors
/// What they are instead.
fn is_program(path: &str, bytes: &[u8]) -> Result<(), String> {
    /// As ELF numbers architectures.
    const MACHINES: [(u16, &str); 6] = [
        (3, "x86"),
        (40, "arm"),
        (62, "x86_64"),
        (183, "aarch64"),
        (243, "riscv64"),
        (22, "s390x"),
    ];
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    if bytes.starts_with(b"#!") {
        return Err(format!("{path} is a script, and no job: build a binary"));
    }
    let is_elf = bytes.starts_with(b"\x7fELF") && bytes.len() >= 20;
    if !is_elf {
        return Err(format!("{path} is no program of this system"));
    }
    // Byte 5 says in which order the others stand.
    let pair = [bytes[18], bytes[19]];
    let number = if bytes[5] == 2 { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
    let known = MACHINES.iter().find(|(machine, _)| *machine == number).map(|(_, name)| *name);
    let here = std::env::consts::ARCH;
    match known {
        Some(name) if name == here => Ok(()),
        // An architecture that is not in the table: the system will say.
        None if !MACHINES.iter().any(|(_, name)| *name == here) => Ok(()),
        found => {
            let found = found.map_or_else(|| format!("machine {number}"), str::to_owned);
            Err(format!(
                "{path} is built for {found}, and this machine is {here}: build it for {here}"
            ))
        }
    }
}

/// The verb `describe`: what this binary is, as JSON.
///
/// # Errors
/// [`Exit::Usage`] for a program that cannot be read; [`Exit::Environment`] if nobody listens.
pub(crate) fn describe(args: &DescribeArgs, programs: &dyn Programs) -> Result<(), Failure> {
    let program = args.program.as_deref().map(serde_json::from_str::<Program>).transpose();
    let program = program.map_err(|error| Failure::new(Exit::Usage, error))?;
    let said = Described::of(programs, program.as_ref());
    let environment = |error: &dyn std::fmt::Display| Failure::new(Exit::Environment, error);
    let json = serde_json::to_string(&said).map_err(|error| environment(&error))?;
    writeln!(io::stdout(), "{json}").map_err(|error| environment(&error))
}

/// The verb `worker`: runs tasks for the task manager that started this process, which says on the
/// standard input where it waits.
///
/// # Errors
/// [`Exit::Usage`] for a person who types it; [`Exit::Unreachable`] if the task manager is lost.
pub(crate) fn worker(programs: Arc<dyn Programs>) -> Result<(), Failure> {
    let mut told = Vec::new();
    let read = io::stdin().take(1 << 16).read_to_end(&mut told);
    read.map_err(|error| Failure::new(Exit::Environment, error))?;
    let calling: Calling = slackwater_core::codec::decode_message(&told).map_err(|_| {
        let words = "this verb is typed by a task manager: see slackwater taskmanager";
        Failure::new(Exit::Usage, words)
    })?;
    let environment = |error: io::Error| Failure::new(Exit::Environment, error);
    let host = RealHost::named(&calling.task_manager).map_err(environment)?;
    let host = host.with_neighbours(crate::network::demo());
    let host = match calling.bind {
        Some(bind) => host.bound_to(bind),
        None => host,
    };
    let served = real::run(host, |host| serve(host, calling, programs));
    let lost = |words| Failure::new(Exit::Unreachable, words);
    served.map_err(environment)?.map_err(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_of_this_machine_is_told_by_what_it_is() {
        let elf = |machine: u16| {
            let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
            bytes.resize(18, 0);
            bytes.extend(machine.to_le_bytes());
            bytes
        };
        let said = |bytes: &[u8]| is_program("it", bytes).err().unwrap_or_default();
        let own = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
        assert_eq!(said(&elf(own)), "");
        assert!(said(&elf(243)).starts_with("it is built for riscv64, and this machine is "));
        assert!(said(&elf(9_999)).starts_with("it is built for machine 9999"));
        assert_eq!(said(b"#!/bin/sh\n"), "it is a script, and no job: build a binary");
        assert_eq!(said(b"text"), "it is no program of this system");
        assert_eq!(said(b""), "it is no program of this system");
    }
}
