//! The walkthrough on processes of this machine: killed, stopped and continued, their store deleted.
//! Whole stories are the files beside this one, which the simulator plays as well: the same
//! oracles judge both. What no story can say (a folder that is gone) is typed.

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

#[path = "../processes/mod.rs"]
mod processes;

use std::path::{Path, PathBuf};

use processes::{Desk, Node, free_port};

/// How often is looked for a checkpoint, and the jobs are listed.
const TRIES: u32 = 500;

/// Plays a story in the simulator and on processes: what both have judged.
fn plays_in_both_worlds(story: &str) {
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: every process needs an address of its own, as Linux has them");
    }
    let desk = Desk::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_processes").join(story);
    let check = |world: &str| {
        let said = desk.types(&format!("check --no-shrink --world {world} {}", file.display()));
        assert_eq!(said.code, Some(0), "{world}: {}{}", said.out, said.err);
        let held = said.out.lines().filter(|line| line.contains("  held: "));
        held.map(|line| line.split("  held").next().expect("a name").trim().to_owned()).collect()
    };
    let (simulated, real): (Vec<String>, Vec<String>) = (check("simulated"), check("real"));
    let judged = |name: &&String| real.contains(name) || *name == "resumes_from_store";
    assert_eq!(simulated.iter().filter(judged).count(), simulated.len(), "{simulated:?} {real:?}");
    assert!(real.len() >= 8, "{real:?}");
}

#[test]
fn a_killed_task_manager_costs_no_data_in_either_world() {
    plays_in_both_worlds("killed.toml");
}

#[test]
fn a_spare_task_manager_takes_over_in_either_world() {
    plays_in_both_worlds("spare.toml");
}

#[test]
fn a_stopped_task_manager_that_goes_on_changes_nothing_in_either_world() {
    plays_in_both_worlds("stopped.toml");
}

#[test]
fn a_restarted_job_manager_resumes_its_job_in_either_world() {
    plays_in_both_worlds("job-manager.toml");
}

#[test]
fn what_no_machine_can_do_is_left_out_by_name() {
    let desk = Desk::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/slow-store.toml");
    let said = desk.types(&format!("check --world real {}", file.display()));
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.out.contains("left  slow-store: nobody can do this to processes"), "{said:?}");
    assert!(said.err.contains("none of these files"), "{said:?}");
}

/// A database, a job manager over a store, a task manager, and the demo with checkpoints.
struct Demo {
    desk: Desk,
    database: Node,
    _job_manager: Node,
    task_manager: Option<Node>,
    at: String,
}

impl Demo {
    fn start(desk: Desk, store: &str) -> Self {
        let port = free_port();
        let local = format!("run oscon --local --data db --db-port {port} --port {}", free_port());
        let (database, _) = desk.node(&local, "oscon RUNNING");
        let (job_manager, at) = desk.job_manager(&format!("--rest-port 0 --store {store}"));
        let (task_manager, _) = desk.node(&format!("taskmanager {at}"), "joins");
        let settings = format!("--set checkpoint=200ms --set tag=-x --set db=localhost:{port}");
        desk.good(&format!("run -d oscon {at} {settings}"));
        let task_manager = Some(task_manager);
        Self { desk, database, _job_manager: job_manager, task_manager, at }
    }

    /// Waits until the folder of a checkpoint is there that is none of these; gives all there are.
    fn checkpoints(&self, store: &str, before: &[PathBuf]) -> Vec<PathBuf> {
        let list = format!("list -a {}", self.at);
        for _ in 0..TRIES {
            let now = complete(&self.desk.at(store).join("jobs"));
            if now.iter().any(|folder| !before.contains(folder)) {
                return now;
            }
            // Also what takes a moment, so that the number of tries is one of seconds.
            let _asked = self.desk.types(&list);
        }
        panic!("no checkpoint but {before:?}: {}", self.desk.types(&list).out)
    }

    fn kills_its_task_manager(&mut self) {
        self.task_manager.take().expect("it runs").kill();
    }

    fn starts_a_task_manager(&mut self) {
        let line = format!("taskmanager --name tm-2 {}", self.at);
        self.task_manager = Some(self.desk.node(&line, "joins").0);
    }

    /// Ends everything and looks at what was written: no reading is missing, every sum is zero.
    fn has_lost_nothing(mut self) {
        self.desk.until(&format!("list {}", self.at), "RUNNING");
        self.task_manager.take().expect("it runs").interrupt();
        self.database.interrupt();
        let sensors = self.desk.series("db", "sensors-x");
        let temp: Vec<_> = sensors.iter().filter(|((key, _), _)| key == "temp").collect();
        let ((_, start), _) = temp.first().expect("readings");
        for (tick, ((_, time), phase)) in temp.iter().enumerate() {
            let expected = (tick as i64 * 100, (tick % 10) as f64 / 10.0);
            assert_eq!((*time - start, **phase), expected, "of {} ticks", temp.len());
        }
        let sums = self.desk.series("db", "summedSensors-x");
        let pressure = sums.iter().filter(|((key, _), _)| key == "pressure");
        for (second, ((_, time), sum)) in pressure.enumerate() {
            assert_eq!(*time - start, second as i64 * 1_000);
            assert!(sum.abs() < 1e-9, "{time}: {sum}");
        }
    }
}

/// The folders of the checkpoints that have their metadata.
fn complete(jobs: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let read = std::fs::read_dir(folder).into_iter().flatten();
        read.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let named = |path: &PathBuf, start: &str| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
    };
    let folders = entries(jobs).into_iter().flat_map(|job| entries(&job));
    let checkpoints = folders.filter(|folder| named(folder, "chk-"));
    let whole = |folder: &PathBuf| entries(folder).iter().any(|file| named(file, "_metadata"));
    checkpoints.filter(whole).collect()
}

#[test]
fn a_deleted_checkpoint_folder_costs_nothing_once_the_next_checkpoint_is_there() {
    let mut demo = Demo::start(Desk::new(), "cluster");
    let before = demo.checkpoints("cluster", &[]);
    // Somebody may write while it is deleted.
    while std::fs::remove_dir_all(demo.desk.at("cluster")).is_err() {}
    demo.checkpoints("cluster", &before);
    demo.kills_its_task_manager();
    demo.starts_a_task_manager();
    let now = complete(&demo.desk.at("cluster/jobs"));
    demo.checkpoints("cluster", &now);
    demo.has_lost_nothing();
}

#[test]
fn a_checkpoint_that_is_deleted_while_nobody_runs_the_job_fails_it_by_name() {
    let mut demo = Demo::start(Desk::new(), "cluster");
    demo.checkpoints("cluster", &[]);
    demo.kills_its_task_manager();
    demo.desk.until(&format!("list {}", demo.at), "was lost");
    for folder in complete(&demo.desk.at("cluster/jobs")) {
        std::fs::remove_dir_all(folder).expect("there");
    }
    demo.starts_a_task_manager();
    let told = demo.desk.until(&format!("list -a {}", demo.at), "FAILED");
    assert!(told.contains("is missing from the store"), "{told}");
}
