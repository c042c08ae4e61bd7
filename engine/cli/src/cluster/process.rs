//! One node of a cluster as a process of its own: started in the background with a log and a file that
//! holds its process id, found again later, and stopped. Never touches a process that is another's:
//! a process id that the system has given away since is recognised. Which nodes there are: [`super`].

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use slackwater_runtime::host::Host;

use super::{JOB_MANAGER, LOOK_EVERY};
use crate::exit::{Exit, Failure};

/// How long a process may take to end before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How many logs of earlier processes are kept of each node.
const LOGS_MAX: u32 = 5;
/// How much of a log is read for its last lines, in bytes, and how many lines are told.
const TAIL_MAX: usize = 4_096;
const LINES_MAX: usize = 10;

/// A node, whether it runs or not.
#[derive(Clone, Debug)]
pub(super) struct Process {
    name: String,
    dir: PathBuf,
}

#[expect(
    clippy::disallowed_methods,
    reason = "processes, their files and their logs are what this room is for: no host"
)]
impl Process {
    /// The node of this name, of the cluster in this folder.
    pub(super) fn named(dir: &Path, name: &str) -> Self {
        Self { name: name.to_owned(), dir: dir.to_owned() }
    }

    /// Every node of a cluster that was ever started and not stopped, by name.
    pub(super) fn all(dir: &Path) -> Result<Vec<Self>, Failure> {
        let entries = match fs::read_dir(dir.join("run")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(dir, &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| failed(dir, &error))?.file_name();
            names.extend(name.to_string_lossy().strip_suffix(".pid").map(str::to_owned));
        }
        names.sort();
        Ok(names.into_iter().map(|name| Self::named(dir, &name)).collect())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// As a person calls it.
    pub(super) fn title(&self) -> String {
        match self.name.as_str() {
            JOB_MANAGER => format!("job manager {JOB_MANAGER}"),
            name => format!("task manager {name}"),
        }
    }

    fn verb(&self) -> &'static str {
        if self.name == JOB_MANAGER { "jobmanager" } else { "taskmanager" }
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join("run").join(format!("{}.pid", self.name))
    }

    /// A folder of the cluster's, for this node.
    pub(super) fn folder(&self, name: &str) -> String {
        self.dir.join(name).join(&self.name).display().to_string()
    }

    /// Where its output goes.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log").join(format!("{}.log", self.name))
    }

    /// Its process id, if it runs.
    pub(super) fn running(&self) -> Option<i32> {
        let text = fs::read_to_string(self.pid_file()).ok()?;
        let pid: i32 = text.trim().parse().ok()?;
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        if words.is_empty() {
            // It has just begun and has no words yet, or it has ended and nobody has asked how.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let state = stat.rsplit_once(") ")?.1;
            return (!state.starts_with(['Z', 'X'])).then_some(pid);
        }
        // An id that is another's by now has other words.
        let mut words = words.split(|byte| *byte == 0);
        let is_ours = words.any(|word| word == self.verb().as_bytes())
            && words.any(|word| word == self.name.as_bytes());
        is_ours.then_some(pid)
    }

    /// Starts it with these flags, unless it runs; says so either way.
    ///
    /// # Errors
    /// [`Exit::Environment`] if its files cannot be written or the system starts no process.
    pub(super) fn start(&self, flags: &[(&str, String)]) -> Result<(), Failure> {
        if let Some(pid) = self.running() {
            println!("{} runs already, process {pid}", self.title());
            return Ok(());
        }
        let no = |error: &std::io::Error| failed(&self.dir, error);
        for folder in ["run", "log"] {
            fs::create_dir_all(self.dir.join(folder)).map_err(|error| no(&error))?;
        }
        let log = self.fresh_log().map_err(|error| no(&error))?;
        let binary = std::env::current_exe().map_err(|error| no(&error))?;
        let mut command = Command::new(binary);
        command.arg0("slackwater").arg(self.verb());
        for (flag, value) in flags {
            command.args([*flag, value]);
        }
        let both = log.try_clone().map_err(|error| no(&error))?;
        // Folders are told as they are found from anywhere; a folder of the terminal is not held.
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(log).stderr(both);
        // A Ctrl-C in the terminal is meant for what stands in front of it.
        let child = command.process_group(0).spawn().map_err(|error| no(&error))?;
        fs::write(self.pid_file(), format!("{}\n", child.id())).map_err(|error| no(&error))?;
        println!("{} starts, process {}", self.title(), child.id());
        Ok(())
    }

    /// Makes room for a log: earlier ones are kept, the oldest is dropped.
    fn fresh_log(&self) -> std::io::Result<File> {
        let log = self.log();
        let numbered = |number: u32| log.with_extension(format!("log.{number}"));
        for number in (1..LOGS_MAX).rev() {
            if numbered(number).exists() {
                fs::rename(numbered(number), numbered(number + 1))?;
            }
        }
        if log.exists() {
            fs::rename(&log, numbered(1))?;
        }
        File::create(log)
    }

    /// The last lines of its log, each indented, with the name of the file above.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text =
            String::from_utf8_lossy(&text[text.len().saturating_sub(TAIL_MAX)..]).into_owned();
        let lines: Vec<_> = text.lines().collect();
        let told = lines[lines.len().saturating_sub(LINES_MAX)..].iter();
        let told: String = told.map(|line| format!("  {line}\n")).collect();
        format!("{}:\n{told}", self.log().display())
    }

    /// Asks it to end, waits, kills it if it does not; says how it ended, or `None` if it did not run.
    ///
    /// # Errors
    /// [`Exit::Environment`] if the system refuses the signal.
    pub(super) async fn stop(&self, host: &dyn Host) -> Result<Option<&'static str>, Failure> {
        let Some(pid) = self.running() else {
            // Of a process that is gone; there may be none.
            let _ = fs::remove_file(self.pid_file());
            return Ok(None);
        };
        self.signal(pid, Signal::TERM)?;
        let mut ended = "has stopped";
        let began = host.elapsed();
        while self.running() == Some(pid) {
            if ended == "has stopped" && host.elapsed().saturating_sub(began) > STOP_WITHIN {
                self.signal(pid, Signal::KILL)?;
                ended = "did not stop, and was killed";
            }
            host.sleep(LOOK_EVERY).await;
        }
        fs::remove_file(self.pid_file()).map_err(|error| failed(&self.dir, &error))?;
        Ok(Some(ended))
    }

    fn signal(&self, pid: i32, signal: Signal) -> Result<(), Failure> {
        let Some(process) = Pid::from_raw(pid) else { return Ok(()) };
        match kill_process(process, signal) {
            // Gone meanwhile: what was wanted.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => {
                let words = format!("{}, process {pid}, cannot be stopped: {error}", self.title());
                Err(Failure::new(Exit::Environment, words))
            }
        }
    }
}

fn failed(dir: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Environment, format!("the cluster in {}: {error}", dir.display()))
}
