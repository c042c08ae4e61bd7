//! Worker processes of this machine: binaries in a folder by their hash, started with what they have to
//! know on their standard input. Never runs anything else, and leaves no process behind. What such a
//! process does is [`crate::worker::process`]'s; when one is started, [`crate::taskmanager::process`]'s.
#![expect(clippy::disallowed_methods, reason = "this is where processes of this machine come from")]

use std::fs;
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use tokio::process::{Child, Command};

use super::Host;
use crate::artifact;
use crate::taskmanager::process::{Launched, Launcher};
use crate::worker::process::Calling;

/// The verb of a job's own binary that makes it a worker process.
pub const VERB: &str = "worker";

/// Starts binaries that lie in a folder.
#[derive(Debug)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Those in this folder, which is made when there is something to put into it.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.folder.join(hash)
    }

    fn write(&self, hash: &str, binary: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Nobody else reads what a person has written, and nobody runs it half written.
        let half = self.folder.join(format!("{hash}.{}", std::process::id()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o700)
            .open(&half)?;
        file.write_all(binary)?;
        file.sync_all()?;
        drop(file);
        fs::set_permissions(&half, fs::Permissions::from_mode(0o700))?;
        fs::rename(&half, self.path(hash))
    }
}

impl Launcher for Binaries {
    fn has(&self, hash: &str) -> bool {
        // Looked at whole each time: a folder that others can write to is no proof.
        fs::read(self.path(hash)).is_ok_and(|binary| artifact::hash(&binary) == hash)
    }

    fn keep(&self, hash: &str, binary: &[u8]) -> Result<(), String> {
        let folder = self.folder.display();
        self.write(hash, binary)
            .map_err(|error| format!("cannot keep a binary in {folder}: {error}"))
    }

    fn launch(
        &self,
        _host: &Arc<dyn Host>,
        hash: &str,
        calling: &Calling,
    ) -> Result<Box<dyn Launched>, String> {
        let path = self.path(hash);
        let words = postcard::to_stdvec(calling).map_err(|error| error.to_string())?;
        let mut child = spawn(&path).map_err(|error| why(&path, &error))?;
        let input = child.stdin.take().and_then(|input| input.into_owned_fd().ok());
        let input = input.ok_or_else(|| format!("{} has no input", path.display()))?;
        // So little fits into the pipe: nobody waits.
        let written = fs::File::from(input).write_all(&words);
        written.map_err(|error| format!("{} does not listen: {error}", path.display()))?;
        Ok(Box::new(Running(child)))
    }
}

fn spawn(path: &Path) -> io::Result<Child> {
    let mut command = Command::new(path);
    command.arg0(format!("slackwater {VERB}")).arg(VERB);
    command.stdin(Stdio::piped()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    // A Ctrl-C in the terminal is meant for the task manager, which ends its processes.
    command.process_group(0).kill_on_drop(true).spawn()
}

/// Why a binary cannot be started, and what to do.
pub fn why(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.raw_os_error() {
        // ENOEXEC
        Some(8) => format!("{path} is no program of this machine: build it for this architecture"),
        // EACCES
        Some(13) => format!("{path} may not be executed: chmod +x, in a folder that allows it"),
        _ => format!("{path} cannot be started: {error}"),
    }
}

struct Running(Child);

impl Launched for Running {
    fn ended(&mut self) -> Pin<Box<dyn Future<Output = String> + '_>> {
        Box::pin(async move {
            match self.0.wait().await {
                Ok(status) => how(status),
                Err(error) => format!("cannot be waited for: {error}"),
            }
        })
    }
}

/// How a process ended, in words.
pub fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
