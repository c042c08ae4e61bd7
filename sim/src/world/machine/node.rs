//! A node of a machine: a process of its own, or a part of this one for what is no role of the engine.
//! Decides nothing: it is started, killed, stopped and read by [`super::Floor`], and ends with it.
//! What a process tells is on its tape, one for each of its incarnations.
#![expect(clippy::disallowed_methods, reason = "the machine's own processes, threads and files")]

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use slackwater_cli::rehearsal::Part;
use slackwater_core::fact::Fact;
use slackwater_runtime::host::real::{self, Telling, since_epoch};
use slackwater_runtime::host::tape::TapeReader;
use tokio::sync::watch;

use super::{DETAIL, Machine};
use crate::journal::NodeIndex;
use crate::world::Main;

/// A fact: its time since 1970 on the clock of the story, who told it, what it is.
pub(super) type Told = (Duration, NodeIndex, Fact);

/// Whether a node runs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Up,
    Paused,
    Down,
}

/// What a node is.
pub(super) enum Role {
    /// A process.
    Process {
        program: PathBuf,
        folder: PathBuf,
        line: Vec<String>,
        running: Option<(Child, TapeReader)>,
    },
    /// A part of this process.
    Within {
        main: Option<Main>,
        seed: u64,
        hearing: Sender<Told>,
        running: Vec<(watch::Sender<bool>, JoinHandle<()>)>,
    },
}

impl Role {
    pub(super) fn process(machine: &Machine, line: &[String]) -> Self {
        let (program, folder) = (machine.program.clone(), machine.folder.clone());
        Self::Process { program, folder, line: line.to_vec(), running: None }
    }

    pub(super) fn within(main: Option<Main>, seed: u64, hearing: Sender<Told>) -> Self {
        Self::Within { main, seed, hearing, running: Vec::new() }
    }
}

/// A node.
pub(super) struct Node {
    pub(super) index: NodeIndex,
    pub(super) name: String,
    part: Part,
    role: Role,
    life: Life,
    incarnation: u32,
}

impl Node {
    pub(super) fn new(index: NodeIndex, name: String, part: Part, role: Role) -> Self {
        Self { index, name, part, role, life: Life::Down, incarnation: 0 }
    }

    pub(super) fn life(&self) -> Life {
        self.life
    }

    /// The number of its next incarnation, from 1.
    pub(super) fn next(&self) -> u32 {
        self.incarnation + 1
    }

    /// Begins its next incarnation.
    pub(super) fn start(&mut self) -> io::Result<()> {
        self.incarnation += 1;
        self.life = Life::Up;
        let named = format!("{}.{}", self.name, self.incarnation);
        match &mut self.role {
            Role::Process { program, folder, line, running } => {
                let (part, tape) = (format!("{named}.json"), folder.join(format!("{named}.tape")));
                File::create_new(&tape)?;
                let own = Part { tape: Some(tape.clone()), ..self.part.clone() };
                let text = serde_json::to_vec(&own).map_err(io::Error::other)?;
                fs::write(folder.join(&part), text)?;
                let said = File::create_new(folder.join(format!("{named}.out")))?;
                let child = Command::new(program)
                    .current_dir(&*folder)
                    .args(&*line)
                    .args(["--rehearsal", &part])
                    .stdin(Stdio::null())
                    .stdout(said.try_clone()?)
                    .stderr(said)
                    .spawn()?;
                *running = Some((child, TapeReader::open(&tape)?));
                Ok(())
            }
            Role::Within { main, .. } => match main.clone() {
                Some(main) => {
                    self.run_beside(main);
                    Ok(())
                }
                None => Ok(()),
            },
        }
    }

    /// Runs something on a node within this process; on one that is down, nothing is.
    pub(super) fn run_beside(&mut self, main: Main) {
        let Role::Within { seed, hearing, running, .. } = &mut self.role else { return };
        if self.life != Life::Up {
            return;
        }
        let (hearing, index, ahead) = (hearing.clone(), self.index, self.part.ahead);
        let telling: Telling = Arc::new(move |fact| {
            // Nobody listens any more when the story is over.
            let _over = hearing.send((since_epoch(ahead), index, fact));
        });
        let host = self.part.host(&self.name).map(|host| host.telling(DETAIL, telling));
        let host = host.map(|host| host.seeded(*seed));
        let (stop, mut stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name(self.name.clone());
        let work = move || {
            let Ok(host) = host else { return };
            let ran = real::run(host, |host| async move {
                tokio::select! {
                    biased;
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                    () = main(host) => {}
                }
            });
            ran.unwrap_or_default();
        };
        if let Ok(thread) = thread.spawn(work) {
            running.push((stop, thread));
        }
    }

    /// Ends it at once; it is gone when this returns.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.life = Life::Down;
        match &mut self.role {
            Role::Process { running, .. } => {
                let Some((child, _)) = running else { return Ok(()) };
                child.kill()?;
                child.wait().map(drop)
            }
            Role::Within { running, .. } => {
                for (stop, thread) in running.drain(..) {
                    stop.send_replace(true);
                    // A panic of its own is told by its host.
                    let _ended = thread.join();
                }
                Ok(())
            }
        }
    }

    /// Stops or continues its process.
    pub(super) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        let Role::Process { running: Some((child, _)), .. } = &self.role else {
            return Err(io::Error::other(format!("{} is no process of its own", self.name)));
        };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or_else(|| io::Error::other("no process"))?, signal)?;
        self.life = if signal == Signal::STOP { Life::Paused } else { Life::Up };
        Ok(())
    }

    /// What its process has told since the last call.
    pub(super) fn read(&mut self) -> io::Result<Vec<Told>> {
        let Role::Process { running: Some((_, tape)), .. } = &mut self.role else {
            return Ok(Vec::new());
        };
        let told = tape.read()?.into_iter();
        Ok(told.map(|(at, fact)| (at, self.index, fact)).collect())
    }

    /// If its process has ended by itself since the last call: what it said, unless it ended well.
    pub(super) fn ended(&mut self) -> io::Result<Option<String>> {
        let named = format!("{}.{}.out", self.name, self.incarnation);
        let Role::Process { folder, running: Some((child, _)), .. } = &mut self.role else {
            return Ok(None);
        };
        if self.life == Life::Down {
            return Ok(None);
        }
        let Some(status) = child.try_wait()? else { return Ok(None) };
        self.life = Life::Down;
        let said = fs::read_to_string(folder.join(named))?;
        let words = format!("it ended with {status}: {}", said.trim());
        Ok(Some(if status.success() { String::new() } else { words }))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.kill();
    }
}
