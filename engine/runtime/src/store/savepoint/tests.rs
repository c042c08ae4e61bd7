//! Savepoints in a folder of this machine, as a person finds, names and deletes them.
//! No job runs: their files are written by hand, and spoiled by hand. Who takes savepoints is tried in
//! `tests/checkpoints`, and what a cluster makes of them in the scenarios.

use std::sync::Arc;

use bytes::Bytes;
use slackwater_core::checkpoint::{
    CheckpointKind, CheckpointMetadata, Contents, METADATA_FORMAT, StateHandle, VertexState,
};
use slackwater_core::id::{
    Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, TaskManagerId, VertexId,
};
use slackwater_core::joblog::LogEvent;
use slackwater_core::program::Program;
use slackwater_core::time::ProcessingTime;

use super::browse::{check, glance, shelf};
use super::remove::{Ready, Removed, remove};
use super::*;
use crate::host::real::{RealHost, run};
use crate::store::{JobLog, Part, layout, write_metadata, write_relative, write_state};

const JOB: JobId = JobId(7);

/// Runs `test` in a folder of this machine, named by its URL and by its path.
fn anywhere(test: impl AsyncFn(Desk)) {
    for scheme in ["file://", ""] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = format!("{scheme}{}/kept", folder.path().display());
        let ran = run(RealHost::named("client").expect("randomness"), |host| async {
            test(Desk { host, root }).await;
        });
        ran.expect("a runtime");
    }
}

struct Desk {
    host: Arc<dyn Host>,
    root: String,
}

impl Desk {
    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    fn store(&self, folder: &str) -> Store {
        Store::open(Arc::clone(&self.host), folder).expect("an address")
    }

    /// Writes a savepoint of two files.
    async fn savepoint(&self, name: &str, number: u64) -> String {
        let folder = self.at(name);
        publish(&self.host, &folder, &self.half(name, number).await).await.expect("room");
        folder
    }

    /// The same without its metadata, which is what comes back.
    async fn half(&self, name: &str, number: u64) -> CheckpointMetadata {
        let store = self.store(&self.at(name));
        let mut files = vec![];
        for index in 0..2 {
            let bytes = vec![Bytes::from(vec![index as u8; 9])];
            files.push(write_relative(&store, &part(number, index), bytes).await.expect("room"));
        }
        metadata(number, CheckpointKind::Savepoint, files.into_iter().map(StateHandle::File))
    }

    async fn tag(
        &self,
        folder: &str,
        name: &str,
        moves: bool,
    ) -> Result<Option<String>, StoreError> {
        let found = find(&self.host, folder).await.expect("a savepoint");
        tag::put(&self.host, &found, name, moves).await
    }

    async fn names(&self) -> Vec<String> {
        let shelf = shelf(&self.host, &self.root).await.expect("a shelf");
        shelf.whole.into_iter().map(|one| one.name).collect()
    }
}

fn part(number: u64, index: u32) -> Part {
    let subtask = Subtask { vertex: VertexId(0), index };
    let task = Execution { job: JOB, epoch: JobEpoch(1), attempt: Attempt(1), subtask };
    Part { checkpoint: CheckpointId(number), task }
}

fn metadata(
    number: u64,
    kind: CheckpointKind,
    subtasks: impl Iterator<Item = StateHandle>,
) -> CheckpointMetadata {
    let subtasks: Vec<_> = subtasks.collect();
    CheckpointMetadata {
        format: METADATA_FORMAT,
        job: JOB,
        checkpoint: CheckpointId(number),
        kind,
        epoch: JobEpoch(1),
        attempt: Attempt(1),
        program: Program::named("ledger"),
        triggered: ProcessingTime::from_millis(1),
        completed: ProcessingTime::from_millis(number as i64),
        max_parallelism: 8,
        vertices: vec![VertexState {
            vertex: VertexId(0),
            uids: vec![],
            parallelism: subtasks.len() as u32,
            subtasks,
            contents: Contents::default(),
        }],
        finished: vec![],
        last: false,
        ending: None,
    }
}

#[test]
fn a_tag_stands_for_its_savepoint_wherever_both_are_moved() {
    anywhere(async |desk| {
        let folder = desk.savepoint("savepoint-1", 3).await;
        assert_eq!(desk.tag(&folder, "before-100", false).await, Ok(None));
        assert_eq!(desk.tag(&folder, "before-100", false).await, Ok(None), "again is harmless");
        for path in ["before-100", "tags/before-100", "tags/before-100/", "savepoint-1/_metadata"] {
            let found = load(&desk.host, &desk.at(path), None).await.expect(path);
            assert_eq!((&found.folder, found.metadata.checkpoint), (&folder, CheckpointId(3)));
        }
        let moved = Desk { host: Arc::clone(&desk.host), root: desk.at("moved/on") };
        for object in desk.store(&desk.root).list("").await.expect("reachable") {
            let bytes = desk.store(&desk.root).get(&object.path).await.expect("there");
            moved.store(&moved.root).put(&object.path, vec![bytes]).await.expect("room");
        }
        let found = load(&moved.host, &moved.at("before-100"), None).await.expect("moved");
        assert_eq!(found.folder, moved.at("savepoint-1"));
    });
}

#[test]
fn a_tag_is_not_taken_away_from_a_savepoint_unless_a_person_says_so() {
    anywhere(async |desk| {
        let (first, second) =
            (desk.savepoint("savepoint-1", 1).await, desk.savepoint("savepoint-2", 2).await);
        desk.tag(&first, "good", false).await.expect("a new tag");
        let refused = desk.tag(&second, "good", false).await.expect_err("another's").to_string();
        assert!(refused.contains("the tag is there already, and names"), "{refused}");
        assert!(refused.contains("savepoint-1: --force moves it"), "{refused}");
        assert_eq!(desk.tag(&second, "good", true).await, Ok(Some(first.clone())));
        let found = find(&desk.host, &desk.at("good")).await.expect("the second");
        assert_eq!(found.folder, second);
        for (name, why) in [
            ("", "no name for a tag"),
            ("a/b", "no name for a tag"),
            (".x", "no name for a tag"),
            ("tags", "means something else"),
            ("savepoint-1", "would be taken for it"),
        ] {
            let refused = desk.tag(&first, name, true).await.expect_err(name).to_string();
            assert!(refused.contains(why), "{name}: {refused}");
        }
    });
}

#[test]
fn a_tag_never_stands_for_what_came_in_the_place_of_its_savepoint() {
    anywhere(async |desk| {
        let folder = desk.savepoint("savepoint-1", 1).await;
        desk.tag(&folder, "good", false).await.expect("a new tag");
        let store = desk.store(&folder);
        store.delete("_metadata").await.expect("reachable");
        let gone = find(&desk.host, &desk.at("good")).await.expect_err("gone").to_string();
        assert!(gone.contains("/tags/good is no savepoint: it is a tag of"), "{gone}");
        desk.savepoint("savepoint-1", 2).await;
        let other = find(&desk.host, &desk.at("good")).await.expect_err("another").to_string();
        assert!(other.contains("lies checkpoint 2 of job"), "{other}");
        desk.store(&desk.root)
            .put("tags/good", vec![Bytes::from_static(b"x")])
            .await
            .expect("room");
        let damaged = find(&desk.host, &desk.at("tags/good")).await.expect_err("damaged");
        assert!(damaged.is_damage() && damaged.path().ends_with("/tags/good"), "{damaged}");
    });
}

#[test]
fn a_shelf_shows_what_is_whole_and_names_what_is_not() {
    anywhere(async |desk| {
        for (name, number) in [("savepoint-1", 5), ("savepoint-2", 9), ("savepoint-3", 7)] {
            desk.savepoint(name, number).await;
        }
        desk.half("savepoint-4", 8).await;
        let store = desk.store(&desk.root);
        let sealed = store.get("savepoint-3/_metadata").await.expect("there");
        let cut = sealed.slice(..sealed.len() - 1);
        store.put("savepoint-3/_metadata", vec![cut]).await.expect("room");
        store.put("notes/readme", vec![Bytes::from_static(b"mine")]).await.expect("room");
        store.delete("savepoint-2/0-1-a1").await.expect("reachable");
        desk.tag(&desk.at("savepoint-1"), "good", false).await.expect("a new tag");

        let shelf = shelf(&desk.host, &desk.root).await.expect("a shelf");
        let names: Vec<_> = shelf.whole.iter().map(|one| (&*one.name, one.damaged.len())).collect();
        assert_eq!(names, [("savepoint-2", 1), ("savepoint-1", 0)], "newest first");
        assert_eq!(shelf.tags.of("savepoint-1"), ["good"]);
        let broken: Vec<_> = shelf.broken.iter().map(|one| (&*one.name, &*one.why)).collect();
        assert_eq!(broken[0].0, "savepoint-3");
        assert!(broken[0].1.contains("_metadata is truncated"), "{broken:?}");
        assert_eq!((broken[1].0, shelf.broken[1].objects.0), ("savepoint-4", 2));
        assert!(broken[1].1.starts_with("half of a savepoint"), "{broken:?}");
        assert_eq!(broken.len(), 2, "{broken:?}");
    });
}

#[test]
fn every_damaged_file_is_named() {
    anywhere(async |desk| {
        let folder = desk.savepoint("savepoint-1", 1).await;
        let found = find(&desk.host, &folder).await.expect("a savepoint");
        assert_eq!(
            (glance(&desk.host, &found).await, check(&desk.host, &found).await),
            (Ok(vec![]), Ok(vec![]))
        );
        let store = desk.store(&folder);
        let mut bytes = store.get("0-0-a1").await.expect("there").to_vec();
        *bytes.last_mut().expect("not empty") ^= 1;
        store.put("0-0-a1", vec![bytes.into()]).await.expect("room");
        assert_eq!(glance(&desk.host, &found).await, Ok(vec![]), "of the right length");
        store.delete("0-1-a1").await.expect("reachable");
        let said =
            |wrong: Vec<StoreError>| wrong.iter().map(ToString::to_string).collect::<Vec<_>>();
        let missing = format!("{folder}/0-1-a1 is missing from the store");
        assert_eq!(glance(&desk.host, &found).await.map(said), Ok(vec![missing.clone()]));
        let flipped = format!("{folder}/0-0-a1 is damaged: the checksum does not match");
        assert_eq!(check(&desk.host, &found).await.map(said), Ok(vec![flipped, missing]));
    });
}

#[test]
fn a_savepoint_that_is_removed_is_never_seen_in_part() {
    anywhere(async |desk| {
        let folder = desk.savepoint("savepoint-1", 1).await;
        desk.savepoint("savepoint-2", 2).await;
        desk.tag(&folder, "good", false).await.expect("a new tag");
        let refused = remove(&desk.host, &folder, Ready::default()).await.expect_err("tagged");
        assert!(refused.to_string().contains("the tag good names it"), "{refused}");
        assert_eq!(desk.names().await.len(), 2, "nothing happened");
        desk.store(&folder).put("note", vec![]).await.expect("room");
        let ready = Ready { for_tags: true, for_half: false };
        let removed = remove(&desk.host, &folder, ready).await.expect("a savepoint");
        let Removed::Savepoint { objects: (objects, _), tags, stays, .. } = removed else {
            panic!("{removed:?}")
        };
        assert_eq!((objects, tags, stays), (3, vec!["good".into()], vec!["note".into()]));
        assert_eq!(desk.names().await, ["savepoint-2"]);
        assert!(find(&desk.host, &desk.at("good")).await.is_err());
    });
}

#[test]
fn what_is_no_savepoint_is_not_removed_by_mistake() {
    anywhere(async |desk| {
        desk.savepoint("savepoint-1", 1).await;
        desk.half("savepoint-2", 2).await;
        let store = desk.store(&desk.root);
        store.put("notes/readme", vec![]).await.expect("room");
        let every = Ready { for_tags: true, for_half: true };
        for (path, ready, why) in [
            ("notes", every, "is no savepoint: 1 object lies there, but no _metadata"),
            ("", every, "is no savepoint: did you mean"),
            ("none", every, "is no savepoint: "),
            ("savepoint-2", Ready::default(), "--half deletes what there is of it"),
            (
                "jobs/00000000000000000000000000000007/chk-3",
                every,
                "a checkpoint belongs to its job",
            ),
        ] {
            let refused = remove(&desk.host, &desk.at(path), ready).await;
            let refused = refused.expect_err(path).to_string();
            assert!(refused.contains(why), "{path}: {refused}");
        }
        remove(&desk.host, &desk.at("savepoint-2"), every).await.expect("half of one");
        assert_eq!(store.list("").await.expect("reachable").len(), 4);
        desk.tag(&desk.at("savepoint-1"), "good", false).await.expect("a new tag");
        for path in ["good", "tags/good"] {
            desk.tag(&desk.at("savepoint-1"), "good", false).await.expect("a tag");
            let removed = remove(&desk.host, &desk.at(path), Ready::default()).await;
            assert!(matches!(removed, Ok(Removed::Tag(_))), "{removed:?}");
        }
        assert_eq!(desk.names().await, ["savepoint-1"]);
    });
}

#[test]
fn a_kept_checkpoint_is_one_only_if_the_log_of_its_job_says_so() {
    anywhere(async |desk| {
        let store = desk.store(&desk.root);
        let mut log = JobLog::new(store.clone(), JOB, JobEpoch(1));
        let program = Program::named("ledger");
        log.append(LogEvent::Submitted { program, from: None, graph: None }).await.expect("new");
        for number in [1, 2] {
            let file = write_state(&store, &part(number, 0), vec![]).await.expect("room");
            let file = [StateHandle::File(file)].into_iter();
            let metadata = metadata(number, CheckpointKind::Checkpoint, file);
            write_metadata(&store, &metadata).await.expect("room");
        }
        let (checkpoint, ids_below) = (CheckpointId(1), CheckpointId(2));
        let attempt = Attempt(1);
        log.append(LogEvent::Completed { checkpoint, attempt, ids_below }).await.expect("next");
        let task_managers = vec![TaskManagerId("tm".into())];
        let deployed = LogEvent::Deployed { attempt, task_managers, failures: 0, ids_below };
        log.append(deployed).await.expect("next");

        let at = |number| desk.at(&layout::checkpoint_folder(JOB, CheckpointId(number)));
        let found = load(&desk.host, &at(1), None).await.expect("complete");
        assert_eq!(found.completion, Completion::Logged);
        assert_eq!(check(&desk.host, &found).await, Ok(vec![]), "named from its own folder");
        let refused = load(&desk.host, &at(2), None).await.expect_err("never completed");
        let why = "does not say that it ever completed";
        assert!(refused.to_string().contains(why), "{refused}");
        assert_eq!(
            find(&desk.host, &at(2)).await.expect("there").completion,
            Completion::NotLogged
        );

        // Taken away from the log: believed, unless a log of the job is known elsewhere.
        for object in store.list(&layout::checkpoint_folder(JOB, CheckpointId(2))).await.expect("x")
        {
            let bytes = store.get(&object.path).await.expect("there");
            let (_, name) = object.path.rsplit_once('/').expect("in a folder");
            store.put(&format!("taken/away/{name}"), vec![bytes]).await.expect("room");
        }
        let shelf = shelf(&desk.host, &desk.at(&layout::job_folder(JOB))).await.expect("a folder");
        let told: Vec<_> =
            shelf.broken.iter().map(|one| one.why.contains("a checkpoint,")).collect();
        assert_eq!((shelf.whole.len(), told), (0, vec![true, true]));

        let away = desk.at("taken/away");
        let found = load(&desk.host, &away, None).await.expect("believed");
        assert_eq!(found.completion, Completion::NoLog);
        assert!(load(&desk.host, &away, Some(&store)).await.is_err(), "the log knows better");
        let refused = tag::put(&desk.host, &found, "mine", false).await.expect_err("its job's");
        assert!(refused.to_string().contains("take a savepoint, and tag that"), "{refused}");
    });
}

#[test]
fn where_nothing_is_it_is_said_what_there_is() {
    anywhere(async |desk| {
        desk.savepoint("savepoint-1", 1).await;
        desk.half("savepoint-2", 2).await;

        for (path, why) in [
            ("none", "nothing lies there"),
            ("tags/none", "there is no such tag"),
            ("savepoint-2", "it holds state, but no _metadata"),
            ("", "did you mean"),
        ] {
            let refused = find(&desk.host, &desk.at(path)).await.expect_err(path).to_string();
            assert!(refused.contains(why), "{path}: {refused}");
        }
        let memory = find(&desk.host, "jobmanager://savepoints/3").await.expect_err("memory");
        assert!(memory.to_string().contains("`savepoint JOB DIR`"), "{memory}");
        let refused = shelf(&desk.host, &desk.at("savepoint-1")).await.expect_err("one itself");
        assert!(refused.to_string().contains("`savepoint show "), "{refused}");
    });
}
