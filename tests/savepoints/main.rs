//! Savepoints as git: what a person types to look after those that are there, and what is answered.
//! Nothing is reached around: the golden savepoints lie in a folder, the binary is typed, its words
//! are read. How one is taken and gone on from is in the scenarios and, with processes, in [`cluster`].

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

mod cluster;
#[path = "../processes/mod.rs"]
mod processes;
mod world;

use std::fs;
use std::ops::Deref;
use std::path::Path;

use slackwater_core::id::{Attempt, CheckpointId, JobEpoch};
use slackwater_core::joblog::LogEvent;
use slackwater_core::program::Program;
use slackwater_runtime::store::LogEntry;

use processes::Desk as Folder;

/// A folder with savepoints in it: `sp/ledger` and `sp/oscon`, and the binary.
struct Desk(Folder);

impl Deref for Desk {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.0
    }
}

impl Desk {
    fn new() -> Self {
        let desk = Self(Folder::new());
        for job in ["ledger", "oscon"] {
            desk.bring(&format!("format-2/{job}"), &format!("sp/{job}"));
        }
        desk
    }

    /// Lays a golden into a folder of the desk.
    fn bring(&self, golden: &str, folder: &str) {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
        let folder = self.at(folder);
        fs::create_dir_all(&folder).expect("a folder");
        for entry in fs::read_dir(golden).expect("a golden") {
            let entry = entry.expect("an entry");
            fs::copy(entry.path(), folder.join(entry.file_name())).expect("room");
        }
    }

    fn cut(&self, file: &str) {
        let bytes = fs::read(self.at(file)).expect(file);
        fs::write(self.at(file), &bytes[..bytes.len() - 1]).expect("room");
    }

    fn flip(&self, file: &str) {
        let mut bytes = fs::read(self.at(file)).expect(file);
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(self.at(file), bytes).expect("room");
    }
}

/// Holds what was told against what was accepted (`tests/savepoints/told`).
fn told(name: &str, words: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("told");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, words));
}

#[test]
fn a_savepoint_says_what_it_holds_operator_by_operator() {
    let desk = Desk::new();
    told("show-ledger", &desk.good("savepoint show --verify sp/ledger"));
    told("show-oscon-json", &desk.good("savepoint show --json sp/oscon"));
}

#[test]
fn a_checkpoint_that_was_kept_is_shown_as_well() {
    let desk = Desk::new();
    desk.bring("format-1/oscon", "chk/chk-3");
    told("show-checkpoint", &desk.good("savepoint show chk/chk-3"));
    let refused = desk.refused("savepoint tag chk/chk-3 mine", 2);
    assert!(refused.contains("take a savepoint, and tag that"), "{refused}");
    assert!(desk.refused("savepoint rm chk/chk-3", 2).contains("belongs to its job"));
}

#[test]
fn a_kept_checkpoint_that_the_log_beside_it_does_not_know_is_no_start() {
    let desk = Desk::new();
    let job = "b6cedc9a52842b1fc55d76d11fd71826";
    let chk = format!("store/jobs/{job}/chk-3");
    desk.bring("format-1/oscon", &chk);
    let log = desk.at(&format!("store/jobs/{job}/log"));
    fs::create_dir_all(&log).expect("room");
    let (attempt, checkpoint) = (Attempt(1), CheckpointId(3));
    let events = [
        LogEvent::Submitted { program: Program::named("oscon"), from: None, graph: None },
        LogEvent::Completed { checkpoint, attempt, ids_below: CheckpointId(4) },
    ];
    let (job, epoch) = (job.parse().expect("an id"), JobEpoch(1));
    let write = |number: u64| {
        let event = events[number as usize - 1].clone();
        let sealed = LogEntry { job, number, epoch, event }.seal().expect("plain data");
        fs::write(log.join(format!("{number:012}")), sealed).expect("room");
    };
    let run = format!("run oscon --local --set checkpoint=1s --set wave=25 -p 2 --for 1s -s {chk}");
    let plan = format!("plan oscon --set checkpoint=1s --set wave=25 -p 2 --against {chk}");
    write(1);
    let shown = desk.good(&format!("savepoint show {chk}"));
    assert!(shown.contains("complete    no: the log of its job says nothing of it"), "{shown}");
    for line in [&run, &plan] {
        let refused = desk.refused(line, 3);
        assert!(refused.contains("does not say that it ever completed"), "{line}: {refused}");
    }
    write(2);
    let shown = desk.good(&format!("savepoint show {chk}"));
    assert!(shown.contains("complete    yes: the log of its job says so"), "{shown}");
    assert!(desk.good(&plan).contains("unknown   window"), "format 1 names operators only");
    assert!(desk.good(&run).contains("oscon CANCELED"));
}

#[test]
fn a_folder_of_savepoints_is_listed_newest_first_and_hides_nothing() {
    let desk = Desk::new();
    for folder in ["half", "torn", "short"] {
        desk.bring("format-2/oscon", &format!("sp/{folder}"));
    }
    fs::remove_file(desk.at("sp/half/_metadata")).expect("there");
    desk.cut("sp/torn/_metadata");
    desk.cut("sp/short/2-0-a1");
    fs::create_dir_all(desk.at("sp/notes")).expect("room");
    fs::write(desk.at("sp/notes/readme"), "mine").expect("room");
    for (folder, tag) in [("oscon", "good"), ("oscon", "better"), ("half", "gone")] {
        if folder == "half" {
            fs::copy(desk.at("sp/oscon/_metadata"), desk.at("sp/half/_metadata")).expect("room");
        }
        desk.good(&format!("savepoint tag sp/{folder} {tag}"));
    }
    fs::remove_file(desk.at("sp/half/_metadata")).expect("there");
    fs::write(desk.at("sp/tags/torn"), "x").expect("room");
    told("list", &desk.good("savepoint list sp"));
    let json: serde_json::Value =
        serde_json::from_str(&desk.good("savepoint list --json sp/")).expect("JSON");
    let count = |what: &str| json[what].as_array().map(Vec::len);
    assert_eq!(
        [count("savepoints"), count("broken"), count("broken_tags")],
        [Some(3), Some(2), Some(2)]
    );
    assert_eq!(json["savepoints"][0]["bytes"].as_u64().map(|bytes| bytes > 1_000), Some(true));
}

#[test]
fn two_savepoints_differ_operator_by_operator_and_field_by_field() {
    let desk = Desk::new();
    told("diff", &desk.good("savepoint diff sp/ledger sp/oscon"));
    let same = desk.good("savepoint diff sp/oscon sp/oscon");
    assert!(!same.contains("~ operator") && same.contains("\n= ticks, "), "{same}");
    let json = desk.good("savepoint diff --json sp/ledger sp/oscon");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let changes: Vec<_> = json["operators"].as_array().expect("a list").iter().collect();
    assert!(changes.iter().any(|operator| operator["change"] == "added"), "{changes:?}");
    assert!(changes.iter().any(|operator| operator["change"] == "removed"), "{changes:?}");
}

#[test]
fn a_plan_says_what_a_new_version_makes_of_a_savepoint_and_fails_if_it_loses_anything() {
    let desk = Desk::new();
    let settings = "--set checkpoint=1s -p 2";
    told("plan", &desk.good(&format!("plan oscon {settings}")));
    let against = |job: &str| format!("plan {job} {settings} --against sp/oscon");
    told("plan-kept", &desk.good(&against("oscon")));
    told("plan-migrated", &desk.good(&against("oscon@v2").replace("-p 2", "-p 4")));
    let other = "plan sensor-simulator --set checkpoint=1s --against sp/oscon";
    let lost = desk.types(other);
    assert_eq!(lost.code, Some(9), "{lost:?}");
    told("plan-lost", &format!("{}{}", lost.out, lost.err));
    let left = desk.good(&format!("{other} -n"));
    assert!(left.ends_with("it fits: 3 states left behind\n"), "{left}");
    let back = desk.refused("plan oscon --against sp/oscon", 9);
    assert!(back.contains("start it with checkpoint=10s"), "{back}");
    let json = desk.good(&format!("{} --json", against("oscon@v2")));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["against"]["fits"], true);
    let fates = json["against"]["states"].as_array().expect("a list").iter();
    let migrated: Vec<_> = fates.filter(|state| state["fate"] == "migrated").collect();
    assert_eq!(migrated[0]["uid"], "sawtooth");
}

#[test]
fn what_cannot_be_found_or_read_is_named() {
    let desk = Desk::new();
    desk.bring("format-2/oscon", "sp/torn");
    desk.cut("sp/torn/_metadata");
    desk.bring("format-2/oscon", "sp/half");
    fs::remove_file(desk.at("sp/half/_metadata")).expect("there");
    fs::create_dir_all(desk.at("empty")).expect("room");
    let cases = [
        ("savepoint show none", "DESK/none is no savepoint: nothing lies there"),
        ("savepoint show empty", "DESK/empty is no savepoint: nothing lies there"),
        ("savepoint show sp", "several lie beneath it: `savepoint list file://DESK/sp`"),
        ("savepoint show sp/half", "it holds state, but no _metadata"),
        ("savepoint show sp/torn", "sp/torn/_metadata is truncated"),
        ("savepoint show sp/tags/none", "there is no such tag"),
        ("savepoint show sp/none", "nothing lies there"),
        ("savepoint list none", "there is no such folder"),
        ("savepoint list /", "it is the root of a store"),
        ("savepoint show none/../sp", "several lie beneath it: `savepoint list file://DESK/sp`"),
        ("savepoint diff sp/oscon sp/torn", "sp/torn/_metadata is truncated"),
        ("savepoint tag sp/half good", "it holds state, but no _metadata"),
        ("savepoint rm none", "nothing lies there"),
        ("savepoint rm empty", "nothing lies there"),
        ("plan oscon --against none", "nothing lies there"),
        ("savepoint show jobmanager://savepoints/3", "kept in the memory of a job manager"),
        ("savepoint rm jobmanager://savepoints/3", "kept in the memory of a job manager"),
    ];
    for (line, words) in cases {
        let refused = desk.refused(line, 3);
        assert!(refused.contains(words), "{line}: {refused}");
    }
    let usage = [
        ("savepoint lsit sp", "did you mean `savepoint list`?"),
        ("savepoint", "<JOB>"),
        ("savepoint list", "<DIR>"),
        ("savepoint list sp --job-manager jm:1", "unexpected argument"),
        ("savepoint list sp/oscon", "one savepoint, and no folder of them: `savepoint show "),
        ("savepoint tag sp/oscon tags", "it means something else"),
        ("savepoint tag sp/oscon ledger", "a folder file://DESK/sp/ledger is there"),
        ("savepoint rm sp/half", "--half deletes what there is of it"),
        ("savepoint rm sp/torn", "--half deletes what there is of it"),
        ("plan osocn", "did you mean \"oscon\"?"),
        ("plan oscon -n", "--against <SAVEPOINT>"),
    ];
    for (line, words) in usage {
        let refused = desk.refused(line, 2);
        assert!(refused.contains(words), "{line}: {refused}");
    }
    let scheme = desk.refused("savepoint list s3://bucket", 5);
    assert!(scheme.contains("no store has the scheme \"s3\""), "{scheme}");
}

#[test]
fn a_damaged_state_file_is_named_and_the_rest_is_shown_all_the_same() {
    let desk = Desk::new();
    desk.flip("sp/oscon/2-1-a1");
    desk.good("savepoint show sp/oscon");
    let said = desk.types("savepoint show --verify sp/oscon");
    assert_eq!(said.code, Some(3), "{said:?}");
    let named = "file://DESK/sp/oscon/2-1-a1 is damaged: the checksum does not match";
    assert!(said.err.contains(named) && said.out.contains("sawtooth"), "{said:?}");
    desk.cut("sp/oscon/2-0-a1");
    let short = desk.refused("savepoint show sp/oscon", 3);
    assert!(short.contains("sp/oscon/2-0-a1 is truncated"), "{short}");
    fs::remove_file(desk.at("sp/oscon/2-0-a1")).expect("there");
    let both = desk.refused("savepoint show --verify sp/oscon", 3);
    assert!(both.contains("2-0-a1 is missing from the store, and 1 more"), "{both}");
}

#[test]
fn a_tag_is_a_name_that_is_not_taken_away_unless_somebody_says_so() {
    let desk = Desk::new();
    let tagged = desk.good("savepoint tag sp/oscon before-100");
    assert_eq!(tagged, "file://DESK/sp/oscon is tagged:\nfile://DESK/sp/before-100\n");
    for path in ["sp/before-100", "sp/tags/before-100", "sp/oscon/_metadata", "sp/oscon/"] {
        let shown = desk.good(&format!("savepoint show {path}"));
        assert!(
            shown.contains("savepoint   file://DESK/sp/oscon\ntags        before-100\n"),
            "{shown}"
        );
    }
    let refused = desk.refused("savepoint tag sp/ledger before-100", 2);
    let words = "the tag is there already, and names file://DESK/sp/oscon: --force moves it";
    assert!(refused.contains(words), "{refused}");
    let moved = desk.good("savepoint tag --force sp/ledger before-100");
    assert!(moved.starts_with("before-100 was the name of file://DESK/sp/oscon\n"), "{moved}");

    // A tag moves with its savepoint.
    fs::rename(desk.at("sp"), desk.at("elsewhere")).expect("a folder");
    let shown = desk.good("savepoint show elsewhere/before-100");
    assert!(shown.contains("file://DESK/elsewhere/ledger"), "{shown}");
}

#[test]
fn a_savepoint_goes_only_if_a_person_means_it_and_then_as_a_whole() {
    let desk = Desk::new();
    desk.good("savepoint tag sp/oscon good");
    let refused = desk.refused("savepoint rm sp/oscon", 2);
    assert!(refused.contains("the tag good names it: --force deletes both"), "{refused}");
    assert!(desk.at("sp/oscon/_metadata").exists() && desk.at("sp/tags/good").exists());
    fs::write(desk.at("sp/oscon/note.txt"), "mine").expect("room");
    let removed =
        desk.good("savepoint rm --force sp/good/../oscon".replace("good/../", "").as_str());
    let words = ["removed file://DESK/sp/oscon: 4 objects", "the tag good", "stays: note.txt"];
    assert!(words.iter().all(|words| removed.contains(words)), "{removed}");
    assert!(!desk.at("sp/tags/good").exists() && desk.at("sp/oscon/note.txt").exists());
    assert!(desk.good("savepoint list sp").starts_with("ledger "));

    desk.good("savepoint tag sp/ledger l");
    let untagged = desk.good("savepoint rm sp/l");
    assert_eq!(untagged, "removed the tag l; file://DESK/sp/ledger stays\n");
    fs::create_dir_all(desk.at("sp/tags")).expect("room");
    fs::write(desk.at("sp/tags/torn"), "x").expect("room");
    let torn = desk.refused("savepoint rm sp/torn", 2);
    assert!(torn.contains("sp/tags/torn: no whole tag") && torn.contains("--half"), "{torn}");
    desk.good("savepoint rm --half sp/tags/torn");
    desk.cut("sp/ledger/_metadata");
    desk.good("savepoint rm --half sp/ledger");
    assert_eq!(desk.good("savepoint list sp"), "no savepoints\n");
}
