//! The rules of transactions, each held against both stores.
//! No network: steps are made by hand. Over sockets: the tests of [`crate::series`].

use slackwater_core::id::{JobId, Subtask, VertexId};
use slackwater_core::time::EventTime;

use super::super::disk::DiskStore;
use super::super::{MemoryStore, SeriesStore};
use super::*;

/// Subtask `index` of `parallelism` of the sink "s", in an attempt.
fn party((index, parallelism): (u32, u32), attempt: u32) -> Party {
    let subtask = Subtask { vertex: VertexId(2), index };
    let task = Execution { job: JobId(7), epoch: JobEpoch(1), attempt: Attempt(attempt), subtask };
    Party { uid: "s".into(), task, parallelism }
}

fn point(time: i64, value: i64) -> Point {
    Point::new("sums", "k", EventTime::from_millis(time), [("value", value.into())])
}

fn recover(listed: Vec<String>) -> Step {
    Step::Recover { listed, spared: Vec::new() }
}

/// Steps and what is seen, in words.
struct Try<'a>(&'a dyn SeriesStore);

impl Try<'_> {
    fn step(&self, party: &Party, step: Step) -> String {
        let happened = match self.0.step(party, step) {
            Ok(happened) => happened,
            Err(Refusal::Fenced { .. }) => return "fenced".into(),
            Err(Refusal::Lost(_)) => return "lost".into(),
            Err(Refusal::Store(error)) => return error.to_string(),
        };
        let words = happened.into_iter().map(|happened| match happened {
            Happened::Staged { rows, .. } => format!("staged {rows}"),
            Happened::Prepared { rows, checkpoint, .. } => {
                format!("prepared {rows} at {checkpoint}")
            }
            Happened::Aborted { rows, .. } => format!("aborted {rows}"),
            Happened::CommittedAgain { rows, .. } => format!("again {rows}"),
            Happened::Committed { shown, .. } => {
                let other = shown.iter().filter(|(_, stood)| stood.differs()).count();
                format!("committed {}, {other} changed", shown.len())
            }
        });
        words.collect::<Vec<_>>().join("; ")
    }

    fn stage(&self, party: &Party, number: u64, points: &[Point]) -> String {
        let id = party.transaction(number);
        self.step(party, Step::Stage { id, points: points.to_vec() })
    }

    fn prepare(&self, party: &Party, number: u64, checkpoint: u64) -> String {
        let (id, checkpoint) = (party.transaction(number), CheckpointId(checkpoint));
        self.step(party, Step::Prepare { id, checkpoint })
    }

    /// A transaction of one point, prepared.
    fn prepared(&self, party: &Party, number: u64) {
        self.stage(party, number, &[point(i64::from(party.task.subtask.index), 1)]);
        self.prepare(party, number, number);
    }

    fn seen(&self) -> usize {
        self.0.rows("sums", EventTime::MIN).expect("reads").len()
    }

    fn open(&self) -> Vec<String> {
        let open = self.0.open_transactions().expect("reads");
        open.into_iter().map(|open| open.id).collect()
    }
}

/// Holds a claim against both stores.
fn of_both(claim: impl Fn(Try<'_>)) {
    claim(Try(&MemoryStore::default()));
    let folder = tempfile::tempdir().expect("a folder");
    claim(Try(&DiskStore::create(&folder.path().join("series.redb")).expect("creates")));
}

#[test]
fn what_is_prepared_is_seen_by_nobody_and_what_is_committed_at_once_and_once() {
    of_both(|tried| {
        let a = party((0, 1), 1);
        assert_eq!(tried.stage(&a, 1, &[point(1, 1), point(2, 2)]), "staged 2");
        assert_eq!(tried.stage(&a, 1, &[point(2, 3)]), "staged 1");
        let early = tried.step(&a, Step::Commit(vec![a.transaction(1)]));
        assert!(early.ends_with("is not prepared"), "{early}");
        assert_eq!(tried.prepare(&a, 1, 9), "prepared 3 at 9");
        assert_eq!(tried.prepare(&a, 1, 9), "prepared 3 at 9", "asked again");
        assert!(tried.prepare(&a, 1, 10).ends_with("was prepared for checkpoint 9"));
        assert!(tried.stage(&a, 1, &[point(3, 3)]).ends_with("has ended: begin another"));
        assert_eq!((tried.seen(), tried.open()), (0, vec![a.transaction(1)]));

        let commit = || Step::Commit(vec![a.transaction(1), a.transaction(1)]);
        assert_eq!(tried.step(&a, commit()), "committed 3, 1 changed; again 3");
        assert_eq!((tried.seen(), tried.open()), (2, vec![]));
        assert_eq!(tried.step(&a, commit()), "again 3; again 3");
        let late = tried.step(&a, Step::Abort(vec![a.transaction(1)]));
        assert!(late.ends_with("is committed and cannot be aborted"), "{late}");
        assert!(tried.stage(&a, 1, &[point(3, 3)]).ends_with("has ended: begin another"));
    });
}

#[test]
fn a_commit_of_one_that_is_gone_commits_none() {
    of_both(|tried| {
        let a = party((0, 1), 1);
        tried.prepared(&a, 1);
        tried.prepared(&a, 2);
        assert_eq!(tried.step(&a, Step::Abort(vec![a.transaction(2)])), "aborted 1");
        let both = Step::Commit(vec![a.transaction(1), a.transaction(2)]);
        assert_eq!((tried.step(&a, both), tried.seen()), ("lost".into(), 0));
        assert_eq!(tried.open(), [a.transaction(1)]);
    });
}

#[test]
fn a_recovery_aborts_what_dead_attempts_left_keeps_what_is_listed_and_fences_the_rest() {
    of_both(|tried| {
        let (zombie, heir) = (party((0, 1), 1), party((0, 1), 2));
        tried.prepared(&zombie, 1);
        tried.prepared(&zombie, 2);
        tried.stage(&zombie, 3, &[point(3, 3)]);
        let listed = vec![zombie.transaction(1)];
        assert_eq!(tried.step(&heir, recover(listed.clone())), "aborted 1; aborted 1");
        assert_eq!(tried.open(), listed);

        assert_eq!(tried.stage(&zombie, 3, &[point(3, 3)]), "fenced");
        assert_eq!(tried.prepare(&zombie, 3, 3), "fenced");
        assert_eq!(tried.step(&zombie, Step::Commit(vec![zombie.transaction(2)])), "fenced");
        assert_eq!(tried.step(&zombie, Step::Abort(listed.clone())), "fenced");
        assert_eq!(tried.step(&zombie, recover(vec![])), "fenced");

        assert_eq!(tried.step(&heir, Step::Commit(listed.clone())), "committed 1, 0 changed");
        assert_eq!(tried.step(&heir, recover(listed.clone())), "", "asked again");
        assert_eq!(tried.step(&heir, Step::Commit(listed)), "again 1");
    });
}

#[test]
fn a_recovery_touches_no_other_sink_no_other_job_and_no_other_subtask() {
    of_both(|tried| {
        let of_subtask = |index| party((index, 4), 1);
        (0..4).for_each(|index| tried.prepared(&of_subtask(index), 1));
        let mut sink = party((0, 1), 1);
        sink.uid = "s/2".into();
        tried.prepared(&sink, 1);
        let mut job = party((0, 1), 1);
        job.task.job = JobId(8);
        tried.prepared(&job, 1);
        // From four subtasks to two: the second answers for the old second and fourth.
        assert_eq!(tried.step(&party((1, 2), 2), recover(vec![])), "aborted 1; aborted 1");
        let mut left = vec![
            of_subtask(0).transaction(1),
            of_subtask(2).transaction(1),
            sink.transaction(1),
            job.transaction(1),
        ];
        left.sort();
        assert_eq!(tried.open(), left);
    });
}

#[test]
fn what_a_savepoint_lists_outlives_its_attempt_and_another_job_may_commit_it() {
    of_both(|tried| {
        let (dead, heir) = (party((0, 1), 1), party((0, 1), 2));
        (1..=4).for_each(|number| tried.prepared(&dead, number));
        tried.stage(&dead, 5, &[point(5, 5)]);
        // Checkpoint 1 is restored, 2 was never complete, and 3 is a savepoint, which lists both.
        let listed = vec![dead.transaction(1)];
        let spared = vec![CheckpointId(3)];
        let begun = tried.step(&heir, Step::Recover { listed: listed.clone(), spared });
        assert_eq!(begun, "aborted 1; aborted 1", "4, and what was open");
        assert_eq!(tried.open(), [1, 2, 3].map(|number| dead.transaction(number)));
        assert_eq!(tried.step(&heir, Step::Commit(listed)), "committed 1, 0 changed");

        let resumed = |job| {
            let mut party = party((0, 1), 1);
            party.task.job = JobId(job);
            party
        };
        let savepoint = || vec![dead.transaction(2), dead.transaction(3)];
        assert_eq!(tried.step(&resumed(8), recover(savepoint())), "");
        let committed = tried.step(&resumed(8), Step::Commit(savepoint()));
        assert_eq!(committed, "committed 1, 0 changed; committed 1, 0 changed");
        // A third job from the same savepoint, and the first one when its next checkpoint completes.
        assert_eq!(tried.step(&resumed(9), recover(savepoint())), "");
        for party in [resumed(9), heir] {
            assert_eq!(tried.step(&party, Step::Commit(savepoint())), "again 1; again 1");
        }
        // What the resumed job stages is its own.
        assert_eq!(tried.stage(&resumed(8), 1, &[point(1, 1)]), "staged 1");
        assert_eq!(tried.open(), [resumed(8).transaction(1)]);
    });
}

#[test]
fn a_newer_epoch_is_a_newer_attempt() {
    of_both(|tried| {
        let old = party((0, 1), 5);
        let mut new = party((0, 1), 1);
        new.task.epoch = JobEpoch(2);
        tried.prepared(&old, 1);
        assert_eq!(tried.step(&new, recover(vec![])), "aborted 1");
        assert_eq!(tried.step(&old, recover(vec![])), "fenced");
    });
}

#[test]
fn nobody_stages_under_the_name_of_another_job() {
    of_both(|tried| {
        let (a, mut b) = (party((0, 1), 1), party((0, 1), 1));
        b.task.job = JobId(8);
        let said = tried.step(&b, Step::Stage { id: a.transaction(1), points: vec![point(1, 1)] });
        assert!(said.ends_with("is not one of s v2[0]#1"), "{said}");
    });
}

#[test]
fn transactions_outlive_the_process_of_the_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("series.redb");
    let (a, heir) = (party((0, 1), 1), party((0, 1), 2));
    let store = DiskStore::create(&file).expect("creates");
    Try(&store).prepared(&a, 1);
    Try(&store).step(&heir, recover(vec![a.transaction(1)]));
    drop(store);
    let store = DiskStore::open(&file).expect("opens");
    let again = Try(&store);
    assert_eq!(again.stage(&a, 2, &[point(1, 1)]), "fenced");
    let commit = || Step::Commit(vec![a.transaction(1)]);
    assert_eq!(again.step(&heir, commit()), "committed 1, 0 changed");
    drop(store);
    let store = DiskStore::open(&file).expect("opens");
    assert_eq!(Try(&store).step(&heir, commit()), "again 1");
}
