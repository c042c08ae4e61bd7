//! The store on a folder of this machine and in the memory of this process: what is written is read
//! back, what is damaged is named, and of two leaders one goes on. Never waits and never races.
//! Refusals, deaths and races are tried in a world, in `slackwater-sim`.

use std::time::Duration;

use proptest::prelude::*;
use slackwater_core::checkpoint::{
    CheckpointKind, CheckpointMetadata, Contents, METADATA_FORMAT, StateFile, StateHandle,
    VertexState,
};
use slackwater_core::codec::{Kind, seal};
use slackwater_core::fact::JobStatus;
use slackwater_core::id::{
    Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, TaskManagerId, VertexId,
};
use slackwater_core::joblog::LogEvent;
use slackwater_core::program::Program;
use slackwater_core::schema::Fingerprint;
use slackwater_core::time::ProcessingTime;

use super::lease::Watch;
use super::*;
use crate::host::real::{RealHost, run};

const JOB: JobId = JobId(7);

/// Runs `test` on a folder of this machine, and in memory.
fn on_every_store(name: &str, test: impl AsyncFn(Store)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().join("made/when/needed").to_string_lossy().into_owned();
    for url in [format!("memory://{name}"), format!("file://{folder}"), folder] {
        let host = RealHost::named("jm").expect("randomness");
        let ran = run(host, |host| async {
            let store = Store::open(host, &url).expect("an address of a store");
            test(store.patience(Patience::NONE)).await;
            // The third address is the second store.
            if url.starts_with("file") {
                std::fs::remove_dir_all(url.trim_start_matches("file://")).expect("ours");
            }
        });
        ran.expect("a runtime");
    }
}

fn part(job: u128, checkpoint: u64, attempt: u32, index: u32) -> Part {
    let subtask = Subtask { vertex: VertexId(0), index };
    let (job, epoch, attempt) = (JobId(job), JobEpoch(1), Attempt(attempt));
    let task = Execution { job, epoch, attempt, subtask };
    Part { checkpoint: CheckpointId(checkpoint), task }
}

fn metadata(checkpoint: u64, files: Vec<StateFile>) -> CheckpointMetadata {
    let parallelism = files.len() as u32;
    let subtasks = files.into_iter().map(StateHandle::File).collect();
    CheckpointMetadata {
        format: METADATA_FORMAT,
        job: JOB,
        checkpoint: CheckpointId(checkpoint),
        kind: CheckpointKind::Checkpoint,
        epoch: JobEpoch(1),
        attempt: Attempt(1),
        program: Program::named("ledger"),
        triggered: ProcessingTime::from_millis(1),
        completed: ProcessingTime::from_millis(2),
        max_parallelism: 8,
        vertices: vec![VertexState {
            vertex: VertexId(0),
            uids: vec![],
            parallelism,
            subtasks,
            contents: Contents::default(),
        }],
        finished: vec![],
        last: false,
        ending: None,
    }
}

#[test]
fn what_is_put_is_got_listed_and_deleted() {
    on_every_store("objects", async |store| {
        let bytes = Bytes::from_static;
        assert_eq!(store.list("a").await, Ok(vec![]));
        assert_eq!(store.folders("a").await, Ok(vec![]));
        store.put("a/x", vec![bytes(b"one"), bytes(b"two")]).await.expect("room");
        store.put("a/x", vec![bytes(b"three")]).await.expect("room");
        store.put("a/y/z", vec![]).await.expect("room");
        store.put("a.b", vec![]).await.expect("room");
        assert_eq!(store.get("a/x").await, Ok(bytes(b"three")));
        let paths = [("a/x", 5), ("a/y/z", 0)];
        let listed = paths.map(|(path, length)| Listed { path: path.into(), length });
        assert_eq!(store.list("a").await, Ok(listed.to_vec()));
        assert_eq!(store.folders("a").await, Ok(vec!["a/y".to_owned()]));
        assert_eq!(store.create("a/x", bytes(b"four")).await, Ok(Created::Theirs(bytes(b"three"))));
        assert_eq!(store.create("a/x", bytes(b"three")).await, Ok(Created::Ours));
        assert_eq!(store.create("a/w", bytes(b"four")).await, Ok(Created::Ours));
        assert_eq!(store.delete("a/x").await, Ok(()));
        assert_eq!(store.delete("a/x").await, Ok(()));
        let missing = store.get("a/x").await.expect_err("deleted");
        assert_eq!(missing, StoreError::new("a/x", Trouble::Missing));
        let refused = store.get("a//x").await.expect_err("no path");
        assert!(matches!(refused.trouble(), Trouble::Refused(_)), "{refused}");
    });
}

#[test]
fn a_folder_keeps_what_another_process_reads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = folder.path().to_string_lossy().into_owned();
    let open = |host| Store::open(host, &url).expect("a folder");
    let written = run(RealHost::named("tm-1").expect("randomness"), |host| async {
        write_state(&open(host), &part(7, 1, 1, 0), vec![Bytes::from_static(b"state")]).await
    });
    let file = written.expect("a runtime").expect("room");
    assert_eq!(file.path, "jobs/00000000000000000000000000000007/chk-1/0-0-a1");
    let read = run(RealHost::named("tm-2").expect("randomness"), |host| async {
        let on_disk = host.files().read_at(&format!("{url}/{}", file.path), 0, usize::MAX);
        assert_eq!(on_disk.expect("at its path").len() as u64, file.length);
        read_state(&open(host), &file).await
    });
    assert_eq!(read.expect("a runtime"), Ok(Bytes::from_static(b"state")));
}

/// What `reading` a file says after each way of spoiling it; all of them are damage.
async fn check_spoiled(
    store: &Store,
    file: &StateFile,
    others: (&str, Vec<u8>),
    reading: impl AsyncFn(&StateFile) -> Option<StoreError>,
) {
    let path = file.path.as_str();
    let (kind, newer) = others;
    let whole = store.get(path).await.expect("written");
    assert_eq!(reading(file).await, None);
    let mut flipped = whole.to_vec();
    *flipped.last_mut().expect("not empty") ^= 1;
    let mut flipped_head = whole.to_vec();
    flipped_head[30] ^= 4;
    let longer = [&whole[..], b"x"].concat();
    let cut = whole.slice(..whole.len() - 1);
    let other = store.get(kind).await.expect("another's");
    let half = format!("is truncated: {} bytes expected, {} found", whole.len(), whole.len() - 1);
    for (name, bytes, expected) in [
        ("empty", vec![], "is truncated"),
        ("cut", cut.to_vec(), half.as_str()),
        ("flipped", flipped, "is damaged: the checksum does not match"),
        ("flipped in its head", flipped_head, "is damaged: the checksum does not match"),
        ("longer", longer, "is damaged"),
        ("another's", other.to_vec(), "is foreign: it holds checkpoint"),
        ("newer", newer, "is newer: format "),
    ] {
        let mut named = file.clone();
        if name == "newer" {
            // Written by a newer version: every checksum is right.
            named.length = bytes.len() as u64;
            named.checksum = xxhash_rust::xxh3::xxh3_64(&bytes);
        }
        store.put(path, vec![bytes.into()]).await.expect("room");
        let error = reading(&named).await.unwrap_or_else(|| panic!("{name} is read"));
        assert!(error.to_string().starts_with(&format!("{path} {expected}")), "{name}: {error}");
        assert!(error.is_damage() && !error.is_transient() && !error.is_fenced(), "{name}");
    }
    store.delete(path).await.expect("there");
    let error = reading(file).await.expect("a missing file is not read");
    assert_eq!(error.to_string(), format!("{path} is missing from the store"));
    assert!(error.is_damage());
}

#[test]
fn a_state_file_that_is_torn_flipped_missing_newer_or_foreign_is_refused_by_name() {
    on_every_store("state", async |store| {
        let write = async |part: Part| {
            write_state(&store, &part, vec![Bytes::from_static(b"sections")]).await.expect("room")
        };
        let newer = seal(Kind::StateFile, 2, Fingerprint(0), b"whatever");
        for foreign in [part(8, 3, 1, 0), part(7, 2, 1, 0), part(7, 3, 2, 0), part(7, 3, 1, 1)] {
            let (file, other) = (write(part(7, 3, 1, 0)).await, write(foreign).await);
            let reading = async |file: &StateFile| read_state(&store, file).await.err();
            check_spoiled(&store, &file, (&other.path, newer.clone()), reading).await;
        }
    });
}

#[test]
fn metadata_that_is_torn_flipped_missing_newer_or_foreign_is_refused_by_name() {
    on_every_store("metadata", async |store| {
        let newer = seal(Kind::Metadata, METADATA_FORMAT + 1, Fingerprint(0), b"whatever");
        let file = write_metadata(&store, &metadata(3, vec![])).await.expect("room");
        assert_eq!(read_metadata(&store, &file).await, Ok(metadata(3, vec![])));
        assert_eq!(find_metadata(&store, &file.path).await, Ok(metadata(3, vec![])));
        // Written again after a lost answer it is the same; other metadata in its place is not.
        assert_eq!(write_metadata(&store, &metadata(3, vec![])).await, Ok(file.clone()));
        let changed = CheckpointMetadata { last: true, ..metadata(3, vec![]) };
        assert!(write_metadata(&store, &changed).await.expect_err("there already").is_fenced());
        let other = CheckpointMetadata { job: JobId(8), ..metadata(3, vec![]) };
        let other = write_metadata(&store, &other).await.expect("room");
        let reading = async |file: &StateFile| read_metadata(&store, file).await.err();
        check_spoiled(&store, &file, (&other.path, newer), reading).await;
    });
}

fn submitted() -> LogEvent {
    LogEvent::Submitted { program: Program::named("ledger"), from: None, graph: None }
}

fn completed(checkpoint: u64) -> LogEvent {
    let (checkpoint, attempt) = (CheckpointId(checkpoint), Attempt(1));
    LogEvent::Completed { checkpoint, attempt, ids_below: checkpoint.next() }
}

fn reserved() -> LogEvent {
    LogEvent::Reserved { ids_below: CheckpointId(9) }
}

fn told(history: &History) -> Vec<LogEvent> {
    history.entries.iter().map(|entry| entry.event.clone()).collect()
}

#[test]
fn a_claim_reads_everything_before_it_and_fences_whoever_wrote_it() {
    on_every_store("log", async |store| {
        assert_eq!(jobs(&store).await, Ok(vec![]));
        let absent = JobLog::claim(store.clone(), JOB, JobEpoch(1)).await.expect_err("no such job");
        assert_eq!(absent.trouble(), &Trouble::Missing);
        let mut old = JobLog::new(store.clone(), JOB, JobEpoch(1));
        let deployed = LogEvent::Deployed {
            attempt: Attempt(1),
            task_managers: vec![TaskManagerId("tm-1".into())],
            failures: 0,
            ids_below: CheckpointId(1),
        };
        for event in [submitted(), deployed.clone(), completed(1)] {
            old.append(event).await.expect("ours");
        }
        let (mut new, history) =
            JobLog::claim(store.clone(), JOB, JobEpoch(2)).await.expect("a job");
        assert_eq!(told(&history), [submitted(), deployed, completed(1), LogEvent::Claimed]);
        assert_eq!((&history.void, &history.unreadable), (&vec![], &vec![]));
        let fenced = old.append(completed(2)).await.expect_err("fenced");
        assert!(fenced.is_fenced(), "{fenced}");
        assert!(fenced.to_string().ends_with("is fenced: epoch 2 wrote it, this is epoch 1"));
        // It stays fenced, and so does a claim of an older term.
        assert!(old.append(completed(2)).await.expect_err("fenced").is_fenced());
        let late = JobLog::claim(store.clone(), JOB, JobEpoch(1)).await.expect_err("an older term");
        assert!(late.is_fenced(), "{late}");
        // Whose late claim is void, and in nobody's way.
        new.append(reserved()).await.expect("ours");
        let ended = LogEvent::Ended { status: JobStatus::Failed, cause: "no reason".into() };
        new.append(ended.clone()).await.expect("ours");
        let history = read_all(&store, JOB).await.expect("a job");
        assert_eq!(told(&history)[4..], [reserved(), ended]);
        assert_eq!(history.void.len(), 1);
        assert_eq!(jobs(&store).await, Ok(vec![JOB]));
    });
}

#[test]
fn an_entry_whose_answer_was_lost_is_recognised() {
    on_every_store("lost-answer", async |store| {
        let mut log = JobLog::new(store.clone(), JOB, JobEpoch(1));
        log.append(submitted()).await.expect("ours");
        let (job, number, epoch) = (JOB, 2, JobEpoch(1));
        let entry = LogEntry { job, number, epoch, event: completed(1) };
        let sealed = entry.seal().expect("plain data");
        store.put(&layout::log_entry(JOB, 2), vec![sealed.into()]).await.expect("room");
        assert_eq!(log.append(completed(1)).await, Ok(entry));
        assert_eq!(log.append(completed(2)).await.map(|entry| entry.number), Ok(3));
    });
}

#[test]
fn a_spoiled_entry_is_named_and_the_others_are_read() {
    on_every_store("spoiled-log", async |store| {
        let mut log = JobLog::new(store.clone(), JOB, JobEpoch(1));
        for event in [submitted(), completed(1), completed(2), completed(3), completed(4)] {
            log.append(event).await.expect("ours");
        }
        let at = |number| layout::log_entry(JOB, number);
        let second = store.get(&at(2)).await.expect("written");
        store.put(&at(2), vec![second.slice(..second.len() / 2)]).await.expect("room");
        store.put(&at(3), vec![second]).await.expect("room");
        store.delete(&at(4)).await.expect("there");
        let (_, history) = JobLog::claim(store.clone(), JOB, JobEpoch(2)).await.expect("a job");
        assert_eq!(told(&history), [submitted(), completed(4), LogEvent::Claimed]);
        let names: Vec<_> = history.unreadable.iter().map(StoreError::path).collect();
        assert_eq!(names, [at(2), at(3), at(4)]);
        assert!(history.unreadable.iter().all(StoreError::is_damage));
        assert!(matches!(history.unreadable[1].trouble(), Trouble::Foreign(_)));
    });
}

#[test]
fn a_term_is_taken_once_renewed_and_lost_to_the_next() {
    on_every_store("lease", async |store| {
        assert_eq!(Lease::newest(&store).await, Ok(None));
        let mut first =
            Lease::try_take(&store, "jm:1", JobEpoch(0)).await.expect("reachable").expect("free");
        let second = first.epoch().next();
        let mut watch = Watch::new(Duration::ZERO);
        for second in 1..=3 {
            first.renew().await.expect("still the leader");
            let newest = Lease::newest(&store).await.expect("reachable");
            watch.observe(Duration::from_secs(second), newest.as_ref());
            assert_eq!(
                newest.map(|term| (term.holder, term.number)),
                Some(("jm:1".into(), second))
            );
        }
        assert_eq!(watch.silent_for(Duration::from_secs(9)), Duration::from_secs(6));
        let mut standby = Lease::try_take(&store, "jm-2:1", first.epoch())
            .await
            .expect("reachable")
            .expect("free");
        assert_eq!(standby.epoch(), second);
        let lost = first.renew().await.expect_err("another leads");
        assert!(lost.is_fenced(), "{lost}");
        standby.renew().await.expect("the leader");
        let paths: Vec<_> =
            store.list("leader").await.expect("reachable").into_iter().map(|o| o.path).collect();
        let expected =
            [layout::term(JobEpoch(1)), layout::term(second), layout::renewal(second, 1)];
        assert_eq!(paths, expected, "terms stay, old renewals go");
    });
}

#[test]
fn a_damaged_sign_of_life_is_one_of_a_holder_that_nobody_knows() {
    on_every_store("damaged lease", async |store| {
        let mut first =
            Lease::try_take(&store, "jm:1", JobEpoch(0)).await.expect("reachable").expect("free");
        first.renew().await.expect("still the leader");
        let path = layout::renewal(first.epoch(), 1);
        store.put(&path, vec![Bytes::from_static(b"half a term")]).await.expect("room");
        let found = Lease::newest(&store).await.expect("reachable").expect("a sign of life");
        assert_eq!((found.epoch, found.number, found.holder), (JobEpoch(1), 1, String::new()));
        let next = Lease::try_take(&store, "jm-2:1", found.epoch).await.expect("reachable");
        assert_eq!(next.expect("free").epoch(), JobEpoch(2), "somebody can lead again");
    });
}

proptest! {
    #[test]
    fn no_file_that_is_needed_is_ever_collected(
        past in prop::collection::btree_map(1..14u64, 0..4u32, 0..12),
        keep in prop::collection::btree_set(1..14u64, 0..4),
        below in 0..16u64,
    ) {
        let ran = run(RealHost::named("jm").expect("randomness"), async |host| {
            let store = Store::open(host, "memory://collected").expect("memory");
            for left in store.list("jobs").await.expect("reachable") {
                store.delete(&left.path).await.expect("reachable");
            }
            let mut complete = vec![];
            for (id, subtasks) in past {
                let mut files = vec![];
                for index in 0..subtasks {
                    let part = part(7, id, 2, index);
                    files.push(write_state(&store, &part, vec![]).await.expect("room"));
                }
                // A dead attempt, and another job, left their parts, too.
                for stray in [part(7, id, 1, 0), part(8, id, 1, 0)] {
                    write_state(&store, &stray, vec![]).await.expect("room");
                }
                let metadata = metadata(id, files);
                write_metadata(&store, &metadata).await.expect("room");
                complete.push(metadata);
            }
            let kept: Vec<_> = keep.iter().copied().map(CheckpointId).collect();
            let folders = garbage::folders(&store, JOB).await.expect("reachable");
            let gone = garbage::collectable(JOB, &folders, &kept, CheckpointId(below));
            for checkpoint in &gone {
                garbage::delete(&store, JOB, *checkpoint, || true).await.expect("reachable");
            }
            for metadata in complete {
                let id = metadata.checkpoint.0;
                let stays = id >= below || keep.contains(&id);
                let found = find_metadata(&store, &metadata::path_of(&metadata)).await;
                assert_eq!(found.is_ok(), stays, "metadata of {id}");
                for file in metadata.files() {
                    assert_eq!(read_state(&store, file).await.is_ok(), stays, "{file}");
                }
                let stray = store.get(&part(7, id, 1, 0).path()).await;
                assert_eq!(stray.is_ok(), stays, "what a dead attempt left goes, too");
                store.get(&part(8, id, 1, 0).path()).await.expect("another job's");
            }
        });
        ran.expect("a runtime");
    }
}

#[test]
fn metadata_that_names_a_file_elsewhere_is_refused() {
    on_every_store("strays", async |store| {
        for elsewhere in [part(7, 2, 1, 0), part(8, 3, 1, 0)] {
            let file = write_state(&store, &elsewhere, vec![]).await.expect("room");
            let refused = write_metadata(&store, &metadata(3, vec![file])).await;
            let refused = refused.expect_err("a folder of its own").to_string();
            assert!(refused.ends_with("which lies in another's folder"), "{refused}");
        }
    });
}

#[test]
fn a_term_that_is_over_deletes_nothing_more() {
    on_every_store("over", async |store| {
        write_state(&store, &part(7, 1, 1, 0), vec![]).await.expect("room");
        garbage::delete(&store, JOB, CheckpointId(1), || false).await.expect("reachable");
        assert_eq!(store.list("jobs").await.expect("reachable").len(), 1);
        garbage::delete(&store, JOB, CheckpointId(1), || true).await.expect("reachable");
        garbage::delete(&store, JOB, CheckpointId(1), || true).await.expect("twice is no error");
        assert_eq!(store.list("jobs").await, Ok(vec![]));
    });
}
