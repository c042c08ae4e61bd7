//! README.md told to the letter: every command in it is typed here, in one shell and from top to bottom,
//! or it is said who else types it; the pictures that it draws are the ones that it shows. What a line
//! `# says WORDS` promises is waited for. What the verbs promise beyond that is in other suites.
#![expect(
    clippy::disallowed_methods,
    reason = "types commands into a shell, as a reader would, and reads what they wrote"
)]

mod processes;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use processes::{Desk, free_port};

/// The commands that are not run here, by how they begin, and who runs them.
const ELSEWHERE: [(&str, &str); 19] = [
    ("cargo test", "you are looking at it"),
    ("cargo run --release -- check scenarios", ".ci/run, and tests/scenarios.rs story by story"),
    ("cargo run --release -p slackwater-clicks", "its own tests, file by file"),
    ("cargo run --example pages", ".ci/run, and the example's own tests"),
    ("cargo build --release", "cargo, before this test"),
    ("export PATH=", "the shell below has it"),
    ("slackwater run sensor-simulator oscon-log", "tests/walkthrough.rs, for a shorter time"),
    ("slackwater run oscon --local --for 10s", "here, for a shorter time"),
    ("slackwater fuzz --time 20s", "tests/fuzz.rs, for a fixed number of seeds"),
    ("slackwater check scenarios/04a", "tests/scenarios.rs"),
    ("slackwater check scenarios/05-crash", "tests/scenarios.rs"),
    ("slackwater check scenarios/crash-every-step", "tests/scenarios.rs"),
    ("slackwater check scenarios/savepoints-as-git", "tests/scenarios.rs"),
    ("slackwater check scenarios/43", "tests/scenarios.rs"),
    ("slackwater check --world real", "tests/real_processes"),
    ("slackwater run flights", "here, held against the reference"),
    ("slackwater check scenarios/03-sine", "here, twice"),
    ("slackwater replay scenarios/05-crash-without-checkpoints.toml --report", "here"),
    ("slackwater schema", "here"),
];

const FLIGHTS: &str =
    "run flights --local --input tests/data/flights-2013-01.csv --bound 60m --out target/flights";
const CHECK: &str = "check scenarios/03-sine.toml --seed 7 --journal target/sine.journal";
const REPLAY: &str = "replay scenarios/05-crash-without-checkpoints.toml --report target/pages";

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(project().join("README.md")).expect("there is a README")
}

/// The commands of the README in their order, each with what it says.
fn commands(readme: &str) -> Vec<(String, Option<String>)> {
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).filter(|line| !line.trim().is_empty());
    let parted = lines.map(|line| match line.split_once("  # ") {
        Some((command, comment)) => {
            let says = comment.trim().strip_prefix("says ");
            (command.trim().to_owned(), says.map(str::to_owned))
        }
        None => (line.trim().to_owned(), None),
    });
    parted.collect()
}

fn is_elsewhere(command: &str) -> bool {
    ELSEWHERE.iter().any(|(begins, _)| command.starts_with(begins))
}

/// A folder in which the project's data lies where the README says, and nothing else.
fn desk() -> Desk {
    let desk = Desk::new();
    fs::create_dir_all(desk.at("target/release/examples")).expect("the folder can be written");
    fs::create_dir_all(desk.at("docs/pictures")).expect("the folder can be written");
    for data in ["tests", "scenarios"] {
        std::os::unix::fs::symlink(project().join(data), desk.at(data)).expect("a link");
    }
    desk
}

/// One shell that types the lines, each until it says what it should.
fn script(commands: &[(String, Option<String>)], db: u16) -> String {
    let mut script = String::from(
        "set -euo pipefail\n\
         trap 'slackwater cluster stop > target/stop.log 2>&1 || true; kill %1 || true' EXIT\n\
         says() { for try in $(seq 2000); do told=$(eval \"$2\" 2>&1) || true; \
         [[ $told == *\"$1\"* ]] && return; done; \
         echo \"'$2' never says '$1': $told\" >&2; exit 1; }\n",
    );
    for (command, says) in commands {
        // Ports of its own: several of these may run on one machine.
        let command = command
            .replace("series serve ", &format!("series serve --port {db} "))
            .replace("localhost:8086", &format!("localhost:{db}"));
        script.push_str(&format!("echo '$ {}'\n", command.replace('\'', "'\\''")));
        match says {
            Some(words) => {
                let command = command.replace('\'', "'\\''");
                script.push_str(&format!("says '{words}' '{command}'\n"));
            }
            None => script.push_str(&format!("{command}\n")),
        }
    }
    script
}

#[test]
fn every_command_is_typed_in_one_shell_and_the_pictures_are_what_it_draws() {
    let desk = desk();
    let bin = Path::new(env!("CARGO_BIN_EXE_slackwater"));
    let mut build = Command::new(env!("CARGO"));
    let build = build.args(["build", "--quiet", "--example", "oscon_100"]).current_dir(project());
    assert!(build.status().expect("cargo runs").success(), "cargo build --example oscon_100");
    let example = bin.with_file_name("examples").join("oscon_100");
    let link = desk.at("target/release/examples/oscon_100");
    std::os::unix::fs::symlink(example, link).expect("a link");
    desk.good("run oscon --local --for 2s");

    let typed: Vec<_> =
        commands(&readme()).into_iter().filter(|(command, _)| !is_elsewhere(command)).collect();
    assert!(typed.len() >= 25, "{} commands are typed", typed.len());
    let (port, rest, db) = (free_port(), free_port(), free_port());
    let path = format!(
        "{}:{}",
        bin.parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let shell = Command::new("bash")
        .args(["-c", &script(&typed, db)])
        .current_dir(desk.path())
        .env("PATH", path)
        .env("HOME", desk.path())
        .env_remove("XDG_STATE_HOME")
        .env_remove("SLACKWATER_DIR")
        .env("SLACKWATER_PORT", port.to_string())
        .env("SLACKWATER_REST_PORT", rest.to_string())
        .env("SLACKWATER_JOB_MANAGER", format!("localhost:{port}"))
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&shell.stdout), text(&shell.stderr));
    assert!(shell.status.success(), "{}\n{out}\n{err}", shell.status);
    for said in ["sensors,pressure,", "every checksum is right", "it fits: nothing is lost"] {
        assert!(out.contains(said), "{said:?} is not in\n{out}");
    }
    the_pictures_are(&desk, &readme());
}

/// The pictures that were just drawn are those of the repository.
fn the_pictures_are(desk: &Desk, readme: &str) {
    let shown = readme.split("](docs/pictures/").skip(1).filter_map(|rest| rest.split(')').next());
    for name in shown {
        let drawn = fs::read_to_string(desk.at(&format!("docs/pictures/{name}")));
        let drawn = drawn.unwrap_or_else(|_| panic!("no command draws docs/pictures/{name}"));
        let kept = fs::read_to_string(project().join("docs/pictures").join(name));
        assert!(
            kept.is_ok_and(|kept| kept == drawn),
            "docs/pictures/{name} is another one: draw it again with the command below it in README.md"
        );
    }
}

#[test]
fn what_is_said_to_run_elsewhere_stands_in_the_readme() {
    let commands = commands(&readme());
    for (begins, who) in ELSEWHERE {
        let stands = commands.iter().any(|(command, _)| command.starts_with(begins));
        assert!(stands, "{begins} ({who}) stands there no more");
    }
}

#[test]
fn a_run_is_played_again_and_drawn() {
    let desk = desk();
    let told = desk.good(REPLAY);
    assert!(told.contains("twice identical"), "{told}");
    let page = desk.read("target/pages/05-crash-without-checkpoints-seed-0.html");
    assert!(page.contains("<svg") && page.contains("attempt 2"), "a page without a timeline");
}

#[test]
fn the_schema_is_told() {
    let schema: serde_json::Value = serde_json::from_str(&desk().good("schema")).expect("JSON");
    assert!(schema["properties"].get("fault").is_some());
}

#[test]
fn the_flights_equal_the_reference_row_for_row() {
    let desk = desk();
    desk.good(FLIGHTS);
    for file in ["windows", "late"] {
        let expected = project().join(format!("tests/data/flights-2013-01.expected-{file}.csv"));
        let expected = fs::read_to_string(expected).expect("a file of rows");
        let found = desk.read(&format!("target/flights/{file}.csv"));
        assert!(found == expected, "{file}.csv differs from the reference");
    }
}

#[test]
fn a_scenario_with_a_seed_has_the_same_journal_twice() {
    let desk = desk();
    let journal = || {
        desk.good(CHECK);
        fs::read(desk.at("target/sine.journal")).expect("a journal")
    };
    let first = journal();
    assert!(!first.is_empty());
    assert!(first == journal(), "the same seed gave another journal");
}
