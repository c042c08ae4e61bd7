//! README.md told to the letter: every command in it is run here, or it is said who else runs it.
//! Only what a reader would type is tried, and only what they would see is looked at; what the verbs
//! promise beyond that, Ctrl-C and mistakes among it, is in `tests/walkthrough.rs`.
#![expect(
    clippy::disallowed_methods,
    reason = "types commands into the binary, as a reader would, and reads what they wrote"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the README starts a command of the binary.
const RUN: &str = "cargo run --release -- ";
const OSCON: &str = "run oscon --local";
const EXPORT: &str = "series export --series sensors";
const FLIGHTS: &str =
    "run flights --local --input tests/data/flights-2013-01.csv --bound 60m --out target/flights";
const CHECK: &str = "check scenarios/03-sine.toml --seed 7 --journal target/sine.journal";

const REPLAY: &str = "replay scenarios/05-crash-without-checkpoints.toml --report target/pages";
const PROBES: &str = "probes checkpoint";
const SCHEMA: &str = "schema";
const SHOW: &str = "savepoint show --verify tests/golden/format-2/oscon";
const PLAN: &str = "plan oscon@v2 --set checkpoint=1s -p 4 --against tests/golden/format-2/oscon";

/// The commands that are not run here, and who runs them.
const ELSEWHERE: [(&str, &str); 12] = [
    (
        "cargo run --release -- run sensor-simulator oscon-log --local --for 10s --set sensor-simulator.out_of_order=500ms",
        "tests/walkthrough.rs, for a shorter time",
    ),
    ("cargo test", "you are looking at it"),
    ("cargo run --release -- fuzz --time 20s", "tests/fuzz.rs, for a fixed number of seeds"),
    ("cargo run --release -- check scenarios", ".ci/run, and tests/scenarios.rs story by story"),
    (
        "cargo run --release -- check scenarios/04a-processing-time.toml scenarios/04b-event-time.toml",
        "as above: they are among the stories",
    ),
    (
        "cargo run --release -- check scenarios/05-crash-without-checkpoints.toml scenarios/05-kill-at-any-time.toml",
        "as above",
    ),
    ("cargo run --release -- check scenarios/crash-every-step-ledger.toml", "as above"),
    ("cargo run --release -- check scenarios/savepoints-as-git.toml", "as above"),
    (
        "cargo run --release -- check --world real tests/real_processes/killed.toml",
        "tests/real_processes, in both worlds",
    ),
    (
        "cargo run --release -- check scenarios/43-amplified.toml scenarios/43-amplitude-killed.toml",
        "as above",
    ),
    (
        "cargo run --release -p slackwater-clicks -- check examples/clicks/scenarios",
        "its own tests, file by file",
    ),
    ("cargo run --example pages -- run pages --local", ".ci/run, and the example's own tests"),
];

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder in which the project's data lies where the README says, and nothing else.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme").join(name);
    // What an earlier run has left; there may be nothing.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("target")).expect("the target folder can be written");
    for data in ["tests", "scenarios"] {
        std::os::unix::fs::symlink(project().join(data), folder.join(data)).expect("a link");
    }
    folder
}

fn slackwater(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slackwater"));
    command.args(arguments.split_whitespace()).current_dir(folder);
    command
}

/// What the command writes to stdout, if it ends well.
fn output(folder: &Path, arguments: &str) -> String {
    let output = slackwater(folder, arguments).output().expect("cargo has built the binary");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{arguments}`: {}\n{out}{err}", output.status);
    out.into_owned()
}

#[test]
fn every_command_is_run_by_somebody() {
    let readme = fs::read_to_string(project().join("README.md")).expect("there is a README");
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).map(|line| line.split("  #").next().unwrap_or(line));
    let here = [OSCON, EXPORT, FLIGHTS, CHECK, REPLAY, PROBES, SCHEMA, SHOW, PLAN];
    let here = here.map(|arguments| format!("{RUN}{arguments}"));
    let mut told: Vec<&str> = lines.map(str::trim).collect();
    let mut run: Vec<&str> = here.iter().map(String::as_str).collect();
    run.extend(ELSEWHERE.map(|(command, _)| command));
    told.sort_unstable();
    run.sort_unstable();
    assert_eq!(told, run);
}

#[test]
fn a_run_is_played_again_and_drawn() {
    let folder = folder("replay");
    let told = output(&folder, REPLAY);
    assert!(told.contains("twice identical"), "{told}");
    let page = "target/pages/05-crash-without-checkpoints-seed-0.html";
    let page = fs::read_to_string(folder.join(page)).expect("a page");
    assert!(page.contains("<svg") && page.contains("attempt 2"), "a page without a timeline");
}

#[test]
fn events_and_schema_are_told() {
    let folder = folder("told");
    let probes = output(&folder, PROBES);
    assert!(
        probes.contains("checkpoint.completed\n") && probes.contains("checkpoint: CheckpointId")
    );
    assert!(!probes.contains("slot.freed"), "only what was asked for");
    let schema: serde_json::Value = serde_json::from_str(&output(&folder, SCHEMA)).expect("JSON");
    assert!(schema["properties"].get("fault").is_some());
}

#[test]
fn a_savepoint_is_shown_and_planned_against() {
    let folder = folder("savepoint");
    let shown = output(&folder, SHOW);
    assert!(
        shown.contains("every checksum is right") && shown.contains("sawtooth  scan"),
        "{shown}"
    );
    let planned = output(&folder, PLAN);
    assert!(planned.contains("migrated  sawtooth.scan"), "{planned}");
    assert!(planned.ends_with("it fits: nothing is lost\n"), "{planned}");
}

#[test]
fn the_flights_equal_the_reference_row_for_row() {
    let folder = folder("flights");
    output(&folder, FLIGHTS);
    for file in ["windows", "late"] {
        let read = |path: PathBuf| fs::read_to_string(path).expect("a file of rows");
        let found = read(folder.join(format!("target/flights/{file}.csv")));
        let expected = project().join(format!("tests/data/flights-2013-01.expected-{file}.csv"));
        assert!(found == read(expected), "{file}.csv differs from the reference");
    }
}

#[test]
fn what_the_demo_wrote_can_be_read_back() {
    let folder = folder("oscon");
    output(&folder, &format!("{OSCON} --for 2s"));
    let rows = output(&folder, EXPORT);
    assert!(rows.lines().any(|row| row.starts_with("sensors,pressure,")), "{rows}");
}

#[test]
fn a_scenario_with_a_seed_has_the_same_journal_twice() {
    let folder = folder("check");
    let journal = || {
        output(&folder, CHECK);
        fs::read(folder.join("target/sine.journal")).expect("a journal")
    };
    let first = journal();
    assert!(!first.is_empty());
    assert!(first == journal(), "the same seed gave another journal");
}
