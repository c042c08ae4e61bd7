//! Savepoints as tasks see them: folders of their own, stops, drains, and jobs that go on from them.
//! Never sleeps, as the driver never does. Who asks for a savepoint, and what is written when all
//! parts are in, is not tried here.

use slackwater_core::time::{Clock, EventTime, ms};
use slackwater_dataflow::window::tumbling;

use super::*;

const STOP: BarrierKind = BarrierKind::StopWithSavepoint { drain: false };
const DRAIN: BarrierKind = BarrierKind::StopWithSavepoint { drain: true };

impl Driver {
    fn savepoint_order(&self, number: u64, kind: BarrierKind, folder: &str) -> CheckpointOrder {
        let barrier = Barrier { checkpoint: CheckpointId(number), kind };
        let savepoint = Some(folder.to_owned());
        CheckpointOrder::Trigger { barrier, subtasks: self.sources(), savepoint }
    }

    /// Takes a savepoint into `folder`, to the last acknowledgement.
    async fn savepoint(&mut self, number: u64, kind: BarrierKind, folder: &str) -> RestorePoint {
        self.order(self.savepoint_order(number, kind, folder));
        let point = self.acknowledged(number).await;
        RestorePoint { storage: Some(folder.to_owned()), ..point }
    }

    /// Another job, whose first attempt goes on from `point`.
    fn resume(&mut self, point: &RestorePoint) {
        (self.job, self.attempt) = (JobId(self.job.0 + 1), 0);
        self.spared.clear();
        self.acks.clear();
        self.deploy(Some(point));
    }

    async fn leave(&mut self) {
        self.cancel();
        self.over().await;
    }

    fn panes_fired(&self) -> usize {
        self.probes("window.fired")
    }
}

/// A number that says key, window and count of one pane.
fn pane(key: u64, start: u64, count: u64) -> u64 {
    key * 1_000_000_000 + start * 1_000 + count
}

/// How many records of each of 5 keys fell into each window of 100 ms; both sources have one record
/// per millisecond.
fn windowed(env: &Env, kit: &Kit) {
    let left = kit.source(env, "left", &kit.left);
    let right = kit.source(env, "right", &kit.right);
    let keyed = union([&left, &right]).key_by(|n: &u64| n % 5);
    let panes = keyed.window(tumbling(ms(100))).fold("count", 0u64, |count, _: u64| *count += 1);
    panes.late.discard();
    let results = panes.results.parallelism(kit.width);
    let said = results.map(|of| pane(of.key, of.window.start.as_millis() as u64, of.value));
    let said = said.parallelism(kit.width);
    let _ = said.sink_two_phase("vault", kit.vault.clone()).parallelism(kit.width);
}

/// The same by the clock, in windows that never end while a test runs.
fn clocked(env: &Env, kit: &Kit) {
    env.clock(Clock::Processing);
    let keyed = kit.source(env, "left", &kit.left).key_by(|n: &u64| n % 5);
    let hour = tumbling(std::time::Duration::from_secs(1_000_000_000));
    let panes = keyed.window(hour).fold("count", 0u64, |count, _: u64| *count += 1);
    panes.late.discard();
    let said = panes.results.map(|of| pane(of.key, 0, of.value));
    let _ = said.parallelism(1).sink_two_phase("vault", kit.vault.clone()).parallelism(1);
}

/// What [`windowed`] says of records 0..left and 0..right once everything has fired, sorted.
fn panes(left: u64, right: u64) -> Vec<u64> {
    let mut counts = BTreeMap::new();
    for n in (0..left).chain(0..right) {
        *counts.entry((n % 5, n / 100 * 100)).or_insert(0) += 1;
    }
    let mut said: Vec<_> =
        counts.iter().map(|((key, start), count)| pane(*key, *start, *count)).collect();
    said.sort_unstable();
    said
}

#[test]
fn a_savepoint_lies_in_its_folder_under_names_of_its_own_and_can_be_moved() {
    on_every_storage(counts, async |driver| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let here = folder.path().join("here").to_string_lossy().into_owned();
        driver.kit.left.open(10_000);
        driver.deploy(None);
        driver.kit.left.drained().await;
        let point = driver.savepoint(1, BarrierKind::Savepoint, &here).await;
        let names = driver.host.files().list(&here).expect("a folder");
        assert_eq!(names, ["0-0-a1", "2-0-a1", "2-1-a1"]);
        let states = point.vertices.iter().flat_map(|vertex| &vertex.subtasks);
        let files: Vec<_> = states.filter_map(StateHandle::file).map(|file| &file.path).collect();
        assert_eq!(files, names.iter().collect::<Vec<_>>());
        assert_eq!(driver.probes("sink.committed"), 0, "nobody has been told");
        driver.leave().await;
        let there = folder.path().join("there").to_string_lossy().into_owned();
        for name in &names {
            let (from, to) = (format!("{here}/{name}"), format!("{there}/{name}"));
            let bytes = driver.host.files().read_at(&from, 0, usize::MAX).expect("a file");
            driver.host.files().write(&to, &bytes).expect("room");
            driver.host.files().write(&from, b"moved").expect("room");
        }
        let point = RestorePoint { storage: Some(there.clone()), ..point };
        driver.kit.left.end_at(20_000);
        driver.resume(&point);
        driver.finish(2).await;
        assert!(driver.kit.vault.visible() == counted(20_000), "every record once");
        assert_eq!(driver.host.files().list(&there).expect("there"), names);
        assert!(driver.trouble.is_empty(), "{:?}", driver.trouble);
    });
}

#[test]
fn a_savepoint_without_a_folder_travels_in_the_acknowledgements() {
    on_every_storage(counts, async |driver| {
        driver.kit.left.open(5_000);
        driver.deploy(None);
        driver.kit.left.drained().await;
        let point = driver.savepoint(1, BarrierKind::Savepoint, "memory://").await;
        let states = point.vertices.iter().flat_map(|vertex| &vertex.subtasks);
        assert_eq!(states.filter(|state| matches!(state, StateHandle::Inline(_))).count(), 3);
        driver.leave().await;
        driver.kit.left.end_at(6_000);
        driver.resume(&point);
        driver.finish(2).await;
        assert!(driver.kit.vault.visible() == counted(6_000), "every record once");
    });
}

#[test]
fn a_barrier_that_overtakes_the_word_of_where_to_waits_for_it_beside_the_stream() {
    drive(counts, "memory://", async |driver| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path().to_string_lossy().into_owned();
        driver.kit.left.open(1_000);
        driver.deploy(None);
        driver.all(TaskStatus::Running).await;
        let word = driver.savepoint_order(1, BarrierKind::Savepoint, &folder);
        driver.order_to(0, &word);
        let passed = |fact: &Fact| matches!(fact, Fact::SnapshotTaken { .. });
        while driver.told(passed) < driver.subtasks().len() {
            tokio::task::yield_now().await;
        }
        // The stream goes on.
        driver.kit.left.open(2_000);
        driver.kit.left.drained().await;
        let here = |subtask: &Subtask| (subtask.index + subtask.vertex.0).is_multiple_of(2);
        let at_first = driver.subtasks().iter().filter(|subtask| here(subtask)).count();
        driver.until(|driver| driver.acks.len() == at_first).await;
        assert!(driver.acks.keys().all(|(_, subtask)| here(subtask)), "{:?}", driver.acks);
        let CheckpointOrder::Trigger { barrier, savepoint, .. } = word else { unreachable!() };
        let word = CheckpointOrder::Trigger { barrier, subtasks: Vec::new(), savepoint };
        driver.order_to(1, &word);
        driver.acknowledged(1).await;
    });
}

#[test]
fn a_savepoint_that_is_given_up_waits_for_no_word_and_the_next_one_is_written() {
    drive(counts, "memory://", async |driver| {
        driver.kit.left.open(1_000);
        driver.deploy(None);
        driver.all(TaskStatus::Running).await;
        driver.order_to(0, &driver.savepoint_order(1, BarrierKind::Savepoint, "memory://"));
        let passed = |fact: &Fact| matches!(fact, Fact::SnapshotTaken { .. });
        while driver.told(passed) < driver.subtasks().len() {
            tokio::task::yield_now().await;
        }
        driver.abort(1);
        driver.savepoint(2, BarrierKind::Savepoint, "memory://").await;
        let late = driver.acks.keys().filter(|(checkpoint, _)| *checkpoint == CheckpointId(1));
        assert!(late.count() < driver.subtasks().len());
        assert!(driver.trouble.is_empty(), "{:?}", driver.trouble);
    });
}

#[test]
fn a_folder_that_cannot_be_written_is_declined_with_the_reason_and_the_job_goes_on() {
    drive(counts, "memory://", async |driver| {
        driver.kit.left.open(1_000);
        driver.deploy(None);
        driver.all(TaskStatus::Running).await;
        driver.order(driver.savepoint_order(1, BarrierKind::Savepoint, "ftp://nowhere"));
        let tasks = driver.subtasks().len();
        driver.until(|driver| driver.trouble.len() == tasks).await;
        let declined = |message: &ToJobManager| match message {
            ToJobManager::Declined { cause, .. } => cause.contains("\"ftp\""),
            _ => false,
        };
        assert!(driver.trouble.iter().all(declined), "{:?}", driver.trouble);
        driver.abort(1);
        driver.checkpoint(2).await;
    });
}

#[test]
fn a_plain_savepoint_is_committed_with_the_checkpoint_after_it() {
    drive(counts, "memory://", async |driver| {
        driver.kit.left.open(1_000);
        driver.deploy(None);
        driver.kit.left.drained().await;
        driver.savepoint(1, BarrierKind::Savepoint, "memory://").await;
        driver.kit.left.open(2_000);
        driver.kit.left.drained().await;
        driver.checkpoint(2).await;
        assert!(driver.kit.vault.visible().is_empty());
        driver.complete(2, false);
        let transactions = |driver: &Driver| -> u32 {
            let committed = |fact: &Fact| match fact {
                Fact::SinkCommitted { transactions, .. } => *transactions,
                _ => 0,
            };
            driver.facts.lock().expect("whole").iter().map(committed).sum()
        };
        while transactions(driver) < 4 {
            tokio::task::yield_now().await;
        }
        assert!(driver.kit.vault.visible() == counted(2_000), "both");
    });
}

#[test]
fn a_stop_reads_nothing_behind_its_barrier_fires_nothing_and_a_resume_loses_nothing() {
    on_every_storage(windowed, async |driver| {
        // The sources stand at different times: the end of one must not move the other's windows.
        driver.kit.left.open(250);
        driver.kit.right.open(730);
        driver.deploy(None);
        driver.kit.left.drained().await;
        driver.kit.right.drained().await;
        let point = driver.savepoint(1, STOP, "memory://").await;
        let fired = driver.panes_fired();
        driver.kit.left.open(5_000);
        driver.kit.right.open(5_000);
        driver.complete(1, true);
        driver.all(TaskStatus::Finished).await;
        assert_eq!(driver.panes_fired(), fired, "no window fires because a job stops");
        assert_eq!(driver.probes("source.finished"), 0, "it has not read everything");
        let seen = driver.kit.vault.visible();
        let ended = panes(200, 200);
        assert!(seen == ended, "what the savepoint holds back is not seen: {seen:?}");
        for (left, right) in [(1_000, 1_000), (250, 730)] {
            driver.kit.vault.forget_all_but(&ended);
            driver.kit.left.end_at(left);
            driver.kit.right.end_at(right);
            driver.resume(&point);
            driver.finish(2).await;
            assert!(driver.kit.vault.visible() == panes(left, right), "every window once");
        }
    });
}

#[test]
fn a_stop_that_is_given_up_is_as_if_it_had_never_been() {
    drive(windowed, "memory://", async |driver| {
        driver.kit.left.open(250);
        driver.kit.right.open(730);
        driver.deploy(None);
        driver.kit.left.drained().await;
        driver.kit.right.drained().await;
        driver.savepoint(1, STOP, "memory://").await;
        driver.kit.left.end_at(1_000);
        driver.kit.right.end_at(1_000);
        driver.abort(1);
        driver.finish(2).await;
        assert!(driver.kit.vault.visible() == panes(1_000, 1_000), "every window once");
    });
}

#[test]
fn a_drain_fires_every_window_before_its_barrier() {
    on_every_storage(windowed, async |driver| {
        driver.kit.left.open(250);
        driver.kit.right.open(730);
        driver.deploy(None);
        driver.kit.left.drained().await;
        driver.kit.right.drained().await;
        let point = driver.savepoint(1, DRAIN, "memory://").await;
        driver.complete(1, true);
        driver.all(TaskStatus::Finished).await;
        assert!(driver.kit.vault.visible() == panes(250, 730), "everything fired");
        let positions = point.vertices.iter().flat_map(|vertex| &vertex.contents.positions);
        let offsets: Vec<_> = positions.map(|at| (at.uid.0.as_str(), at.offset)).collect();
        assert_eq!(offsets, [("left", 250), ("right", 730)]);

        // Whoever goes on from it begins event time anew; the splits had not ended.
        driver.kit.vault.forget_all_but(&[]);
        driver.kit.left.end_at(450);
        driver.kit.right.end_at(930);
        driver.resume(&RestorePoint { reset_watermarks: true, ..point });
        driver.finish(2).await;
        let counted: u64 = driver.kit.vault.visible().iter().map(|pane| pane % 1_000).sum();
        assert_eq!(counted, 400, "what came after the drain, and no record of it late");
    });
}

#[test]
fn a_drain_that_is_given_up_fails_the_attempt_which_says_why() {
    drive(windowed, "memory://", async |driver| {
        driver.kit.left.open(250);
        driver.kit.right.open(730);
        driver.deploy(None);
        driver.kit.left.drained().await;
        driver.kit.right.drained().await;
        let point = driver.checkpoint(1).await;
        driver.savepoint(2, DRAIN, "memory://").await;
        driver.abort(2);
        let failed = |driver: &Driver| driver.statuses.get(&LEFT).cloned();
        driver.until(|driver| failed(driver).is_some_and(|(s, _)| s == TaskStatus::Failed)).await;
        let (_, cause) = failed(driver).expect("failed");
        assert!(
            cause.starts_with("savepoint 2 was given up after every window had fired"),
            "{cause}"
        );
        driver.leave().await;
        driver.kit.left.end_at(1_000);
        driver.kit.right.end_at(1_000);
        driver.deploy(Some(&point));
        driver.finish(3).await;
        assert!(driver.kit.vault.visible() == panes(1_000, 1_000), "every window once");
    });
}

#[test]
fn a_source_at_its_end_may_be_stopped_and_drained_like_any_other() {
    for kind in [STOP, DRAIN] {
        drive(joined, "memory://", async |driver| {
            driver.kit.left.end_at(10);
            driver.kit.right.open(20);
            driver.deploy(None);
            driver.until(|driver| driver.ended.len() == 1).await;
            driver.kit.right.drained().await;
            let point = driver.savepoint(1, kind, "memory://").await;
            driver.complete(1, true);
            driver.all(TaskStatus::Finished).await;
            driver.kit.right.end_at(30);
            driver.resume(&RestorePoint { reset_watermarks: kind == DRAIN, ..point });
            driver.finish(2).await;
            let mut expected: Vec<_> = (0..10).chain(0..30).collect();
            expected.sort_unstable();
            assert_eq!(driver.kit.vault.visible(), expected);
        });
    }
}

#[test]
fn windows_of_the_clock_fire_for_a_drain_and_not_for_a_stop() {
    for (kind, fired) in [(STOP, 0), (DRAIN, 5)] {
        drive(clocked, "memory://", async |driver| {
            driver.kit.left.open(500);
            driver.deploy(None);
            driver.kit.left.drained().await;
            let point = driver.savepoint(1, kind, "memory://").await;
            driver.complete(1, true);
            driver.all(TaskStatus::Finished).await;
            assert_eq!(driver.kit.vault.visible().len(), fired, "{kind:?}");
            driver.kit.left.end_at(500);
            driver.resume(&point);
            driver.finish(2).await;
            let all: Vec<_> = (0..5).map(|key| pane(key, 0, 100)).collect();
            assert_eq!(driver.kit.vault.visible(), all, "{kind:?}");
        });
    }
}

#[test]
fn a_job_that_had_been_stopped_ends_without_reading_or_firing_anything() {
    for build in [windowed as Build, clocked] {
        drive(build, "memory://", async |driver| {
            driver.kit.left.open(250);
            driver.kit.right.open(730);
            driver.deploy(None);
            driver.kit.left.drained().await;
            let sources = driver.sources().len();
            if sources == 2 {
                driver.kit.right.drained().await;
            }
            let point = driver.savepoint(1, STOP, "memory://").await;
            // Its leader is gone before anybody is told: the tasks are.
            driver.leave().await;
            let (fired, emitted) = (driver.panes_fired(), driver.probes("source.emitted"));
            driver.kit.left.open(5_000);
            driver.kit.right.open(5_000);
            driver.deploy(Some(&RestorePoint { halted: true, ..point.clone() }));
            driver.until(|driver| driver.ended.len() == sources).await;
            // A last checkpoint that is given up wakes nobody.
            driver.abort(2);
            driver.checkpoint(3).await;
            driver.complete(3, true);
            driver.all(TaskStatus::Finished).await;
            assert_eq!(driver.panes_fired(), fired);
            assert_eq!(driver.probes("source.emitted"), emitted);
            let committed = driver.kit.vault.visible();
            driver.kit.left.end_at(1_000);
            driver.kit.right.end_at(1_000);
            driver.resume(&point);
            driver.finish(2).await;
            if sources == 2 {
                assert_eq!(committed, panes(200, 200));
                assert!(driver.kit.vault.visible() == panes(1_000, 1_000), "every window once");
            }
        });
    }
}

#[test]
fn what_a_savepoint_prepared_outlives_its_attempt_and_another_job_commits_it() {
    drive(counts, "memory://", async |driver| {
        driver.kit.left.open(1_000);
        driver.deploy(None);
        driver.kit.left.drained().await;
        let first = driver.checkpoint(1).await;
        driver.complete(1, false);
        driver.kit.left.open(2_000);
        driver.kit.left.drained().await;
        let saved = driver.savepoint(2, BarrierKind::Savepoint, "memory://").await;
        driver.leave().await;
        // The savepoint is complete, and the job falls back to the checkpoint before it, twice.
        driver.spared = vec![CheckpointId(2)];
        for (number, point) in [(3, Some(&first)), (5, None)] {
            driver.kit.left.open(3_000);
            driver.deploy(point);
            driver.kit.left.drained().await;
            driver.checkpoint(number).await;
            driver.leave().await;
        }
        driver.kit.left.end_at(4_000);
        driver.resume(&saved);
        driver.finish(6).await;
        assert!(driver.kit.vault.visible() == counted(4_000), "every record once");
    });
}

#[test]
fn state_is_found_at_any_width_whatever_its_operator_is_chained_with() {
    on_every_storage(windowed, async |driver| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let programs = ["narrow", "wide-apart", "wide", "apart", "narrow", "wide"];
        let mut point = None;
        for (number, program) in (1..).zip(programs) {
            driver.change_to(program);
            driver.kit.left.open(number * 150);
            driver.kit.right.open(number * 120);
            match &point {
                None => driver.deploy(None),
                Some(point) => driver.resume(point),
            }
            driver.kit.left.drained().await;
            driver.kit.right.drained().await;
            let here = folder.path().join(number.to_string()).to_string_lossy().into_owned();
            point = Some(driver.savepoint(number, BarrierKind::Savepoint, &here).await);
            driver.leave().await;
        }
        driver.change_to("wide-apart");
        driver.kit.left.end_at(1_000);
        driver.kit.right.end_at(1_000);
        driver.resume(&point.expect("the last of them"));
        driver.finish(7).await;
        assert!(driver.kit.vault.visible() == panes(1_000, 1_000), "every window once");
        assert!(driver.trouble.is_empty(), "{:?}", driver.trouble);
    });
}

#[test]
fn every_part_says_what_it_holds() {
    drive(windowed, "memory://", async |driver| {
        driver.kit.left.open(250);
        driver.kit.right.open(250);
        driver.deploy(None);
        driver.kit.left.drained().await;
        driver.kit.right.drained().await;
        let point = driver.checkpoint(1).await;
        let held = |uid: &str| {
            let of = |vertex: &&VertexState| vertex.uids.contains(&uid.into());
            point.vertices.iter().find(of).expect("a vertex of this uid").contents.clone()
        };
        let left = held("left");
        let [position] = &left.positions[..] else { panic!("one split: {left:?}") };
        assert_eq!((position.split, position.offset), (0, 250));
        assert_eq!(position.greatest, Some(EventTime::from_millis(249)));
        let count = held("count");
        assert_eq!(count.watermarks, [("count".into(), EventTime::from_millis(248))]);
        let windows = count.states.iter().find(|state| state.state == "windows");
        assert_eq!(windows.map(|state| (state.entries, state.keyed)), Some((5, true)));
        for vertex in &point.vertices {
            let bytes: u64 = vertex.subtasks.iter().map(StateHandle::bytes).sum();
            let held: u64 = vertex.contents.states.iter().map(|state| state.bytes).sum();
            assert!((held / 2..=bytes).contains(&held), "{held} of {bytes}");
        }
    });
}
