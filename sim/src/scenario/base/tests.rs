//! How a file goes over the one that it is based on, and where a mistake in either is shown.
//! Files lie in a folder of their own that goes away with the test.

use std::path::PathBuf;

use super::super::tests::programs;
use super::super::{Mistake, Scenario, Turn};

const BASE: &str = r#"format = 1
title = "the base"

[run]
seeds = "0..8"
stop = { time = "9s" }
limit = { sim = "9s" }

[cluster]
task_managers = 2
net = { delay = "1ms..9ms", shape = "exp" }

[job]
program = "wave"
set = { steps = 4, rows = 9 }

[swarm]
"cluster.slots" = { range = [1, 4] }
"cluster.task_managers" = { range = [1, 4] }

[[fault]]
name = "kill"
when = { at = "1s" }
do = "crash"
on = { role = "task_manager" }

[[fault]]
name = "slow"
when = { at = "2s" }
do = "slow"
by = "1s"
on = { role = "task_manager" }

[[expect]]
check = "conservation"
late = { at_most = 0 }

[[expect]]
check = "recovered"
from = { healed = "kill" }
"#;

const CHILD: &str = r#"format = 1
title = "the child"
base = "base.toml"

[cluster]
task_managers = 3

[job]
set = { steps = 5 }

[[fault]]
name = "kill"
when = { event = "checkpoint.completed" }

[[expect]]
check = "conservation"
must = "either"
"#;

/// A folder with these files.
#[expect(clippy::disallowed_methods, reason = "a test of files writes files")]
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

fn read(folder: &tempfile::TempDir, text: &str) -> Result<Scenario, Mistake> {
    let path: PathBuf = folder.path().join("child.toml");
    Scenario::read(&path.display().to_string(), text, &programs())
}

fn settled(text: &str) -> toml::Table {
    let folder = folder(&[("base.toml", BASE)]);
    let scenario = read(&folder, text).map_err(|mistake| mistake.render()).expect("a good file");
    scenario.settled(Turn { cell: 0, place: 0, seed: 3 }).expect("a document")
}

#[test]
fn tables_merge_by_key_and_their_arrays_by_name() {
    let document = settled(CHILD);
    assert_eq!(document["title"].as_str(), Some("the child"));
    assert_eq!(document["job"]["set"].to_string(), "{ rows = 9, steps = 5 }");
    assert_eq!(document["cluster"]["net"]["shape"].as_str(), Some("exp"));
    let faults = document["fault"].as_array().expect("faults");
    assert_eq!(faults.len(), 2);
    assert_eq!(faults[0]["when"].to_string(), "{ event = \"checkpoint.completed\" }", "as a whole");
    assert_eq!(faults[0]["do"].as_str(), Some("crash"));
    let expect = document["expect"].as_array().expect("expectations");
    assert_eq!((expect.len(), expect[0]["must"].as_str()), (2, Some("either")));
    assert_eq!(expect[0]["late"].to_string(), "{ at_most = 0 }");
}

#[test]
fn what_a_file_says_itself_its_base_does_not_draw() {
    let document = settled(CHILD);
    assert_eq!(document["cluster"]["task_managers"].as_integer(), Some(3));
    assert!(document["cluster"].get("slots").is_some(), "drawn by the base");
}

#[test]
fn faults_only_leaves_the_stage_and_what_is_expected_of_any_run() {
    let document = settled(
        &CHILD
            .replace("base =", "faults = \"only\"\nbase =")
            .replace("name = \"kill\"", "name = \"full\"\ndo = \"store_full\""),
    );
    assert_eq!(document["expect"].as_array().map(Vec::len), Some(1), "nothing from a kill's end");
    assert!(document["cluster"].get("slots").is_none(), "nothing is drawn");
    assert!(document["fault"].as_array().is_some_and(|faults| faults.len() == 1));
}

#[test]
fn a_mistake_is_shown_in_the_file_that_makes_it() {
    let wrong = BASE.replace("\"recovered\"", "\"recoverd\"");
    for (base, child, file, line) in [
        (&wrong[..], CHILD.to_owned(), "base.toml:39:9", "check = \"recoverd\""),
        (BASE, CHILD.replace("completed", "complete"), "child.toml:13:18", "complete\""),
        (BASE, CHILD.replace("base.toml", "none.toml"), "child.toml:3:8", "none.toml"),
        (BASE, CHILD.replace("steps", "stesp"), "child.toml:9:9", "stesp"),
        (
            &BASE.replace("title = \"the base\"", "titel = 1")[..],
            CHILD.to_owned(),
            "base.toml:2:1",
            "titel",
        ),
    ] {
        let folder = folder(&[("base.toml", base)]);
        let shown = read(&folder, &child).expect_err("a mistake").render();
        assert!(shown.contains(file) && shown.contains(line), "{file} {line} in\n{shown}");
    }
}

#[test]
fn bases_that_go_in_circles_are_refused() {
    let folder = folder(&[("a.toml", "base = \"b.toml\"\n"), ("b.toml", "base = \"a.toml\"\n")]);
    let shown = read(&folder, "base = \"a.toml\"\n").expect_err("a circle").render();
    assert!(shown.contains("a.toml is based on itself") && shown.contains("b.toml:1:8"), "{shown}");
}
