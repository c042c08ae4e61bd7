//! The promise that a cluster runs code it has never seen: a binary is sent once, runs in processes of its
//! own, and takes nothing with it when it dies. Two builds of one job run side by side, and the new one
//! goes on where a savepoint of the old one ends (walkthrough W40).

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

mod processes;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use processes::{Desk, Node, free_port};

/// An example of this project, as new as the binary beside it.
fn example(name: &str) -> String {
    // `cargo test` builds every example; `cargo test --test code_delivery` does not.
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "oscon", "--example", "oscon_100"]);
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(built.success(), "cargo build --examples");
    });
    let bin = Path::new(env!("CARGO_BIN_EXE_slackwater"));
    bin.with_file_name("examples").join(name).display().to_string()
}

/// A database, a job manager, and as many task managers; how they are asked, and where it is.
struct Cluster {
    desk: Desk,
    database: Option<Node>,
    _job_manager: Node,
    task_managers: Vec<Node>,
    at: String,
    db: u16,
}

impl Cluster {
    fn new(task_managers: usize) -> Self {
        let (desk, db) = (Desk::new(), free_port());
        let local = format!("run oscon --local --data db --db-port {db}");
        let (database, _) = desk.node(&local, "oscon RUNNING");
        let (job_manager, at) = desk.job_manager("--store cluster --savepoints sp");
        let mut cluster = Self {
            desk,
            database: Some(database),
            _job_manager: job_manager,
            task_managers: Vec::new(),
            at,
            db,
        };
        (0..task_managers).for_each(|_| cluster.one_more());
        cluster
    }

    fn one_more(&mut self) {
        let name = format!("tm-{}", self.task_managers.len() + 1);
        let line = format!("taskmanager --name {name} --binaries bin/{name} {}", self.at);
        self.task_managers.push(self.desk.node(&line, "joins").0);
    }

    /// Sends a binary and starts its job; gives its id and what was said.
    fn run(&self, binary: &str, more: &str) -> (String, String) {
        let Self { at, db, .. } = self;
        let line =
            format!("run -d {binary} {at} --set checkpoint=500ms --set db=localhost:{db} {more}");
        let typed = self.desk.types(&line);
        assert_eq!(typed.code, Some(0), "{typed:?}");
        let said = format!("{}{}", typed.err, typed.out);
        (said.trim().rsplit(' ').next().expect("an id").to_owned(), said)
    }

    fn is(&self, job: &str, state: &str) {
        for _ in 0..2_000 {
            let listed = self.desk.good(&format!("list -a {}", self.at));
            let line = listed.lines().find(|line| line.starts_with(job)).expect("it is listed");
            if line.contains(state) {
                return;
            }
            assert!(!line.contains("FAILED"), "{line}");
        }
        panic!("job {job} never is {state:?}: {}", self.desk.good(&format!("list -a {}", self.at)));
    }

    /// Waits for the next savepoint of a job; gives how many ticks it holds.
    fn ticks(&self, job: &str, folder: &str) -> usize {
        let said = self.desk.until(&format!("savepoint {job} {folder} {}", self.at), "savepoint-");
        let path = said.lines().last().and_then(|line| line.rsplit_once("DESK/"));
        let shown = self.desk.good(&format!("savepoint show --json {}", path.expect("a path").1));
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        shown["operators"][0]["splits"][0]["offset"].as_u64().expect("a source") as usize
    }

    /// Waits until a job can go on from a checkpoint of its own.
    fn has_checkpoint(&self, job: &str) {
        let folder = self.desk.at(&format!("cluster/jobs/{job}"));
        let is_there = || {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let mut names = entries.map(|entry| entry.file_name().display().to_string());
            names.any(|name| name.starts_with("chk-") && name != "chk-1")
        };
        // The second is written once the first is complete.
        while !is_there() {
            std::thread::yield_now();
        }
    }

    /// The phases of a wave, as they were written: by tick, without a gap. Ends the database.
    fn phases(&mut self, series: &str) -> Vec<f64> {
        if let Some(database) = self.database.take() {
            database.interrupt();
        }
        let rows: BTreeMap<i64, f64> = self
            .desk
            .series("db", series)
            .into_iter()
            .filter(|((key, _), _)| key == "temp")
            .map(|((_, time), value)| (time, value))
            .collect();
        let start = *rows.keys().next().expect("a first row");
        for (tick, time) in rows.keys().enumerate() {
            assert_eq!(
                *time,
                start + tick as i64 * 100,
                "{series}: a gap behind tick {tick} of {}",
                rows.len()
            );
        }
        rows.into_values().collect()
    }
}

/// The worker processes whose parent is this one.
fn children(of: u32) -> Vec<String> {
    let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &of.to_string()]).output();
    let listed = String::from_utf8(listed.expect("ps runs").stdout).expect("text");
    listed.split_whitespace().map(str::to_owned).collect()
}

fn is_alive(pid: &str) -> bool {
    // One that has ended and was not reaped has no words.
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty())
}

#[test]
fn two_builds_run_side_by_side_and_the_new_one_goes_on_where_the_old_one_was_saved() {
    let mut cluster = Cluster::new(2);
    let (desk, at) = (&cluster.desk, &cluster.at);
    let (old, said) = cluster.run(&example("oscon"), "--set tag=-ab");
    assert!(said.starts_with("sent "), "{said}");
    cluster.is(&old, "RUNNING");
    let cut = cluster.ticks(&old, "sp/cut");
    let folder = fs::read_dir(desk.at("sp/cut")).expect("there").next().expect("one").expect("one");
    let savepoint = format!("sp/cut/{}", folder.file_name().display());

    let (copy, said) = cluster.run(&example("oscon"), "--set tag=-copy");
    assert!(said.starts_with("submitted oscon"), "it was sent before: {said}");
    cluster.is(&copy, "RUNNING");
    desk.good(&format!("cancel {old} {at}"));
    cluster.is(&old, "CANCELED");
    let more = format!("--set tag=-ab -s {savepoint}");
    let (new, said) = cluster.run(&example("oscon_100"), &more);
    assert!(said.starts_with("sent "), "another build is another binary: {said}");
    cluster.is(&new, "RUNNING");
    while cluster.ticks(&new, "sp/later") < cut + 20 {}
    let old_wave = cluster.ticks(&copy, "sp/copy");
    desk.good(&format!("cancel {new} {at}"));
    desk.good(&format!("cancel {copy} {at}"));
    cluster.is(&new, "CANCELED");
    cluster.is(&copy, "CANCELED");

    let phases = cluster.phases("sensors-ab");
    assert!(phases.len() >= cut + 20);
    for (tick, phase) in phases.into_iter().enumerate() {
        let expected = match tick < cut {
            true => (tick % 10) as f64 / 10.0,
            false => ((cut % 10 + tick - cut) % 100) as f64 / 100.0,
        };
        assert_eq!(phase, expected, "tick {tick} of the new build from {cut} on");
    }
    let copy = cluster.phases("sensors-copy");
    assert!(copy.len() >= old_wave);
    for (tick, phase) in copy.into_iter().enumerate() {
        assert_eq!(phase, (tick % 10) as f64 / 10.0, "tick {tick} of the old build");
    }
}

#[test]
fn a_worker_process_that_dies_fails_its_job_alone_and_none_outlives_its_task_manager() {
    let mut cluster = Cluster::new(1);
    let (job, _) = cluster.run(&example("oscon"), "--set tag=-k");
    cluster.is(&job, "RUNNING");
    cluster.has_checkpoint(&job);
    let before = cluster.ticks(&job, "sp/before");
    let process = children(cluster.task_managers[0].id());
    let [worker] = process.as_slice() else { panic!("one worker process, not {process:?}") };
    assert!(Command::new("kill").args(["-9", worker]).status().expect("kill runs").success());
    cluster.is(&job, "attempt 2");
    cluster.is(&job, "the worker process was killed by signal 9");
    cluster.is(&job, "RUNNING");
    while cluster.ticks(&job, "sp/after") < before + 15 {}

    let process = children(cluster.task_managers[0].id());
    let [worker] = process.as_slice() else { panic!("one worker process, not {process:?}") };
    let worker = worker.clone();
    cluster.task_managers.remove(0).kill();
    while is_alive(&worker) {
        std::thread::yield_now();
    }
    cluster.one_more();
    cluster.is(&job, "attempt 3");
    cluster.is(&job, "RUNNING");
    let end = cluster.ticks(&job, "sp/again");
    cluster.desk.good(&format!("cancel {job} {}", cluster.at));
    cluster.is(&job, "CANCELED");
    assert_eq!(children(cluster.task_managers[0].id()), [""; 0], "it has ended with its job");
    let phases = cluster.phases("sensors-k");
    assert!(phases.len() >= end);
    for (tick, phase) in phases.into_iter().enumerate() {
        assert_eq!(phase, (tick % 10) as f64 / 10.0, "tick {tick}");
    }
}

#[test]
fn what_is_no_job_is_refused_by_what_it_is() {
    let desk = Desk::new();
    let oscon = example("oscon");
    fs::copy(&oscon, desk.at("unmarked")).expect("room");
    fs::set_permissions(desk.at("unmarked"), fs::Permissions::from_mode(0o600)).expect("ours");
    let mut foreign = fs::read(&oscon).expect("built");
    foreign[18..20].copy_from_slice(&243u16.to_le_bytes());
    fs::write(desk.at("foreign"), foreign).expect("room");
    fs::set_permissions(desk.at("foreign"), fs::Permissions::from_mode(0o700)).expect("ours");
    desk.write("script", "#!/bin/sh\nexit 0\n");
    let cases = [
        ("./unmarked", 3, "./unmarked may not be executed: chmod +x ./unmarked"),
        ("./foreign", 3, "./foreign is built for riscv64, and this machine is "),
        ("./script", 3, "./script is a script, and no job"),
        ("/bin/true", 3, "/bin/true is no job: a job's main is slackwater::main!(..)"),
        ("./nowhere", 3, "cannot read ./nowhere"),
        (".//", 3, ".// is not a file"),
        (&format!("{oscon} osocn"), 2, "has no job \"osocn\": did you mean \"oscon\"?"),
        (
            &format!("{oscon} --set wvae=3"),
            2,
            "parameter \"wvae\": unknown, did you mean \"wave\"?",
        ),
    ];
    for (typed, code, words) in cases {
        let said = desk.refused(&format!("run -d {typed} --job-manager localhost:1"), code);
        assert!(said.contains(words), "{typed}: {said}");
    }
    let said = desk.refused(&format!("run {oscon} --local"), 2);
    assert!(said.contains("has a command line of its own"), "{said}");
}
