//! The promise that what a released version has written can be taken up by this one: checkpoints and
//! savepoints of every format lie in `tests/golden`, and each is gone on from, to the very rows that a
//! run without a break writes. `SLACKWATER_GOLDEN=DIR cargo test --test golden` writes today's format
//! into a folder, for a release to keep.
#![expect(
    clippy::disallowed_methods,
    reason = "goldens are files of the repository, not of a node"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slackwater_core::checkpoint::{CheckpointMetadata, METADATA_FORMAT};
use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::point::Point;
use slackwater_core::program::Program;
use slackwater_core::time::{ms, secs};
use slackwater_sim::world::cluster::{CLIENT, Cluster, submit};
use slackwater_sim::world::person::{Line, Memory, types_at_once};
use slackwater_sim::world::{Action, Run, World};

/// Files by name.
type Folder = BTreeMap<String, Vec<u8>>;

/// The jobs whose goldens are kept: open windows, offsets of two splits, a state without key.
fn programs() -> [Program; 2] {
    let ledger = [("parallelism", "2"), ("partitions", "2"), ("rows", "400"), ("every", "10ms")];
    let ledger = ledger.into_iter().chain([("accounts", "24"), ("checkpoint", "1s")]);
    let demo = [("wave", "25"), ("parallelism", "2"), ("until", "8s"), ("checkpoint", "1s")];
    let of = |program: Program, (name, value): (&str, &str)| program.set(name, value);
    [ledger.fold(Program::named("ledger"), of), demo.into_iter().fold(Program::named("oscon"), of)]
}

/// A run of a cluster whose store holds a folder, in which somebody types these lines; and the rows
/// that are seen then.
fn played(script: Vec<(u64, Action)>, folder: &Folder) -> (Run, BTreeSet<String>) {
    let cluster = Cluster::new(Arc::new(slackwater_jobs::catalog()));
    let cluster = cluster.task_managers(2, 4).job_managers(1);
    let table = cluster.store.clone();
    let at = |(name, bytes): (&String, &Vec<u8>)| (format!("golden/{name}"), bytes.clone());
    let world = World::new(11).limit(secs(60)).store(folder.iter().map(at).collect());
    let act = |world: World, (at, action)| world.at(ms(at), action);
    let world = script.into_iter().fold(cluster.on(world), act);
    let run = world.until_jobs_are_final(1).run();
    let rows = table.table().iter().map(Point::to_string).collect();
    (run, rows)
}

/// What somebody types at the client.
fn typed(lines: &[String]) -> Action {
    let line = |text: &String| Line {
        step: "golden".into(),
        text: text.clone(),
        to_control: false,
        with: None,
        keep: Some("it".into()),
        job: "job".into(),
    };
    let words = BTreeMap::from([("job".to_owned(), "job".to_owned())]);
    let memory = Memory::new(words, 1, Arc::new(slackwater_jobs::catalog()));
    let main = types_at_once(lines.iter().map(line).collect(), &memory);
    Action::Run { node: CLIENT.to_owned(), main }
}

/// The command that starts the program of a checkpoint from the folder in which it lies.
fn resume(program: &Program) -> String {
    let settings = program.settings.iter().map(|(name, value)| format!(" --set {name}={value}"));
    let settings = settings.collect::<String>();
    format!("run -d -s file:///golden {}@{}{settings}", program.name, program.version)
}

fn finished(run: &Run) -> bool {
    run.journal
        .entries()
        .iter()
        .any(|entry| matches!(entry.fact, Fact::JobStatusChanged { to: JobStatus::Finished, .. }))
}

/// What of a run's store lies in the folder of the checkpoint with this number, or of a savepoint.
fn folder_of(run: &Run, within: &str) -> Folder {
    let put = |fact: &Fact| match fact {
        Fact::StorePut { path, content, .. } if path.contains(within) => {
            let name = path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name);
            Some((name.to_owned(), content.0.clone()))
        }
        _ => None,
    };
    run.journal.entries().iter().filter_map(|entry| put(&entry.fact)).collect()
}

fn metadata_of(folder: &Folder) -> CheckpointMetadata {
    let file = folder.iter().find(|(name, _)| name.starts_with("_metadata"));
    CheckpointMetadata::open(file.expect("metadata").1).expect("whole")
}

/// Goes on from a folder; every row that follows is that of a run without a break.
fn goes_on(name: &str, folder: &Folder) {
    let program = metadata_of(folder).program;
    let (_, whole) = played(vec![(200, submit("job", program.clone()))], &Folder::new());
    let (run, rows) = played(vec![(200, typed(&[resume(&program)]))], folder);
    let said: Vec<_> = run
        .journal
        .entries()
        .iter()
        .filter_map(|entry| match &entry.fact {
            Fact::StepDone { said, .. } => Some(said.clone()),
            _ => None,
        })
        .collect();
    assert!(finished(&run), "{name}: {said:?}");
    let others: Vec<_> = rows.difference(&whole).collect();
    assert!(
        others.is_empty(),
        "{name}: rows that a run without a break does not write: {others:?}"
    );
    // It was taken in the middle: something had been written before it, and something follows.
    let (before, after) = (whole.len() - rows.len(), rows.len());
    assert!(before > 10 && after > 10, "{name}: {before} rows before it, {after} behind it");
    // No gap: of every key, what is not written again is older than what is.
    for row in whole.difference(&rows) {
        let (key, at) = place(row);
        let older = |other: &String| place(other).0 != key || at < place(other).1;
        assert!(rows.iter().all(older), "{name}: {row} is missing");
    }
}

/// The series and key of a row, and its time.
fn place(row: &str) -> (&str, i64) {
    let (key, rest) = row.split_once(' ').expect("a key");
    let (_, at) = rest.rsplit_once(' ').expect("a time");
    (key, at.parse().expect("milliseconds"))
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn what_any_version_has_written_is_gone_on_from() {
    let mut formats = BTreeSet::new();
    for format in names(&golden()) {
        for job in names(&golden().join(&format)) {
            let path = golden().join(&format).join(&job);
            let read = |name: &String| (name.clone(), fs::read(path.join(name)).expect("a file"));
            let folder: Folder = names(&path).iter().map(read).collect();
            let written = metadata_of(&folder).format;
            assert!(format.starts_with(&format!("format-{written}")), "{format} holds {written}");
            formats.insert(written);
            goes_on(&format!("{format}/{job}"), &folder);
        }
    }
    let every: BTreeSet<u16> = (1..=METADATA_FORMAT).collect();
    assert_eq!(formats, every, "a golden of every format: see the head of this file");
}

#[test]
fn what_this_version_writes_is_gone_on_from() {
    for program in programs() {
        let name = program.name.clone();
        let save = typed(&["savepoint $job file:///written".to_owned()]);
        let script = vec![(200, submit("job", program.clone())), (3_300, save)];
        let (run, _) = played(script, &Folder::new());
        goes_on(&format!("a checkpoint of {name}"), &folder_of(&run, "/chk-3/"));
        let savepoint = folder_of(&run, "written/savepoint-");
        assert_eq!(metadata_of(&savepoint).format, METADATA_FORMAT);
        goes_on(&format!("a savepoint of {name}"), &savepoint);
        if let Ok(into) = std::env::var("SLACKWATER_GOLDEN") {
            let into = Path::new(&into).join(format!("format-{METADATA_FORMAT}")).join(&name);
            fs::create_dir_all(&into).expect("a folder");
            for (name, bytes) in &savepoint {
                fs::write(into.join(name), bytes).expect("a file");
            }
        }
    }
}
