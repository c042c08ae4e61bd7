//! Processes of this machine for the suites that need them: a folder, the binary typed in it, nodes
//! that run until they are told to stop, and signals. Nothing is waited for by the clock: a line is
//! typed again until it is answered, and a node's own words say when it is up. Judges nothing.
#![allow(dead_code, reason = "each suite uses some of it")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

/// How often a line is typed again before it counts as never answered.
const TRIES: u32 = 2_000;

/// A folder of its own for each test, and the binary in it.
pub struct Desk(TempDir);

/// How a command ended: its words, with the desk's own folder called `DESK`.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file or folder in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).expect("room");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).expect(name)
    }

    /// The binary with the words of a line, in the folder.
    pub fn command(&self, line: &str) -> Command {
        self.program(env!("CARGO_BIN_EXE_slackwater"), line)
    }

    /// Another program, in the folder.
    pub fn program(&self, program: impl AsRef<OsStr>, line: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).args(line.split_whitespace());
        command
    }

    /// Types a line and waits for its end.
    pub fn types(&self, line: &str) -> Said {
        let output = self.command(line).output().expect("the binary runs");
        let own = fs::canonicalize(self.path()).expect("there").display().to_string();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text").replace(&own, "DESK");
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What a line prints that ends well.
    pub fn good(&self, line: &str) -> String {
        let said = self.types(line);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{line}: {said:?}");
        said.out
    }

    /// What a line is refused with.
    pub fn refused(&self, line: &str, code: i32) -> String {
        let said = self.types(line);
        assert_eq!(said.code, Some(code), "{line}: {said:?}");
        said.err
    }

    /// Types a line until its answer is a good one that holds these words.
    pub fn until(&self, line: &str, words: &str) -> String {
        for _ in 0..TRIES {
            let said = self.types(line);
            if said.code == Some(0) && said.out.contains(words) {
                return said.out;
            }
        }
        panic!("{line} is never answered with {words:?}: {:?}", self.types(line))
    }

    /// Starts a node, and waits for the line of its output that holds these words.
    pub fn node(&self, line: &str, words: &str) -> (Node, String) {
        Node::start(self.command(line), words)
    }

    /// A job manager on a port of its own, and how a command asks it.
    pub fn job_manager(&self, more: &str) -> (Node, String) {
        // Nobody asks it over REST, unless the test says so.
        let rest = if more.contains("--rest-port") { "" } else { "--rest-port 0" };
        let line = format!("jobmanager --port 0 {rest} {more}");
        let (node, said) = self.node(&line, "listens on port");
        let port = said.trim().rsplit(' ').next().expect("a port");
        (node, format!("--job-manager localhost:{port}"))
    }

    /// The values of a series that a local run has stored in the folder `data`, by key and time.
    pub fn series(&self, data: &str, name: &str) -> BTreeMap<(String, i64), f64> {
        let told = self.good(&format!("series export --data {data} --series {name}"));
        let mut lines = told.lines();
        assert_eq!(lines.next(), Some("series,key,time_ms,value"));
        let row = |line: &str| {
            let [_, key, time, value] = line.split(',').collect::<Vec<_>>()[..] else {
                panic!("four columns: {line}");
            };
            let time = time.parse().expect("a time");
            ((key.to_owned(), time), value.parse().expect("a value"))
        };
        lines.map(row).collect()
    }
}

/// A process that ends with the test.
pub struct Node(Child);

impl Node {
    /// Starts a process, and waits for the line of its output that holds these words.
    pub fn start(mut command: Command, words: &str) -> (Self, String) {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program runs");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        // Ended also if it does not say what was expected.
        let node = Self(child);
        let mut said = String::new();
        while !said.contains(words) {
            said.clear();
            assert_ne!(out.read_line(&mut said).expect("text"), 0, "{command:?} ended by itself");
        }
        // Its output is read to its end: who is not read from stands still one day.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        (node, said)
    }

    /// Starts a process that says nothing.
    pub fn silent(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the program runs"))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "kill {signal}");
    }

    /// Asks it to end, as Ctrl-C does, and waits for it.
    pub fn interrupt(mut self) -> ExitStatus {
        self.signal("-INT");
        self.0.wait().expect("it ends")
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.0.kill().expect("a child can be killed");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    taken.local_addr().expect("bound").port()
}

/// Where a program of this machine is, if it is installed.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(program));
    places.find(|place| place.is_file())
}
