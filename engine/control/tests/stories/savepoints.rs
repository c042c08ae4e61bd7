//! The life of savepoints, told by scripts: what a person asks for, and what comes of it.
//! Never opens a folder: a savepoint lies in one when the script says `saved`.
//! The words: [`crate::play`]; checkpoints of the engine's own: [`crate::checkpoints`].

use slackwater_core::checkpoint::CheckpointKind;
use slackwater_core::fact::JobStatus;
use slackwater_core::id::CheckpointId;
use slackwater_core::savepoint::Ending;

use crate::play::{Play, Setting, check};

fn without_interval() -> Setting {
    Setting::default().with(|config| config.interval = None)
}

#[test]
fn a_savepoint_is_taken_at_once_kept_by_nobody_and_told_to_no_task() {
    check(
        Setting::default,
        &[
            ("up save:7", "savepoint:1"),
            ("up save:7 acks", "savepoint:1 + + + + save:1"),
            ("up save:7 acks saved", "savepoint:1 + + + + save:1 saved:1"),
            // Checkpoints go on behind it; no sweep touches what is not theirs.
            (
                "up save:7 acks saved wait:1000 acks written",
                "savepoint:1 + + + + save:1 saved:1 trigger:2 + + + + write:2 complete:2 notify:2 \
                 tell:a tell:b sweep-but:2",
            ),
        ],
    );
    let play = Play::of(without_interval(), "up save:7 acks saved");
    let saved = &play.saved[&CheckpointId(1)];
    assert_eq!((saved.kind, saved.ending), (CheckpointKind::Savepoint, None));
    assert_eq!(play.savepoint(7), "file:///savepoints/savepoint-000000-000000000000");
    assert_eq!(play.savepoint(8), "unknown");
}

#[test]
fn it_waits_for_a_checkpoint_under_way_and_others_wait_for_it() {
    check(
        Setting::default,
        &[
            ("up wait:1000 save:7 ack:s0", "trigger:1 +"),
            (
                "up wait:1000 save:7 acks written acks saved",
                "trigger:1 + + + + write:1 complete:1 notify:1 tell:a tell:b sweep-but:1 \
                 savepoint:2 + + + + save:2 saved:2",
            ),
            // One behind the other, in the order in which they were asked for.
            (
                "up save:7 save:8 acks saved acks saved",
                "savepoint:1 + + + + save:1 saved:1 savepoint:2 + + + + save:2 saved:2",
            ),
        ],
    );
}

#[test]
fn one_request_is_one_savepoint_however_often_it_is_asked() {
    check(
        without_interval,
        &[
            ("up save:7 save:7 acks save:7 saved save:7", "savepoint:1 + + + + save:1 saved:1"),
            // Also under a later leader: the log knows.
            (
                "up save:7 acks saved leader back:a back:b up save:7",
                "savepoint:1 + + + + save:1 saved:1 publish:1 resumed:1 start",
            ),
            // What the log does not know was never told to anybody: it is taken again.
            (
                "up save:7 acks leader back:a back:b up save:7 acks saved",
                "savepoint:1 + + + + save:1 resumed:1 start savepoint:11 + + + + save:11 saved:11",
            ),
        ],
    );
}

#[test]
fn a_savepoint_that_fails_is_no_failure_of_the_job() {
    check(
        Setting::default,
        &[
            ("up save:7 decline:k0", "savepoint:1 declined:1 failed:1 unsave:1"),
            ("up save:7 acks unsaved", "savepoint:1 + + + + save:1 failed:1 unsave:1"),
            // Neither counted as a checkpoint that failed, nor in the way of the next.
            ("up save:7 wait:3000", "savepoint:1 failed:1 unsave:1 trigger:2"),
        ],
    );
    let play = Play::of(Setting::default(), "up save:7 decline:k0");
    assert_eq!(play.status(), JobStatus::Running);
    assert!(play.savepoint(7).contains("the disk is full"), "{}", play.savepoint(7));
}

#[test]
fn what_ends_the_attempt_ends_the_savepoints_that_it_was_asked_for() {
    check(
        without_interval,
        &[
            ("up save:7 save:8 lose:a", "savepoint:1 failed:0 failed:1 unsave:1"),
            ("up save:7 cancel over", "savepoint:1 failed:1 unsave:1 CANCELED unsave:1 sweep-but:"),
        ],
    );
    let play = Play::of(without_interval(), "up save:7 save:8 lose:a");
    for savepoint in [7, 8] {
        assert!(
            play.savepoint(savepoint).contains("the job failed"),
            "{}",
            play.savepoint(savepoint)
        );
    }
}

#[test]
fn only_a_running_job_that_is_not_about_to_end_gives_a_savepoint() {
    let no_checkpoints = || Setting { checkpoints: None, ..Setting::default() };
    for (setting, script, why) in [
        (&without_interval as &dyn Fn() -> Setting, "save:7", "is DEPLOYING"),
        (&without_interval, "up lose:a save:7", "is FAILING"),
        (&without_interval, "up lose:a over save:7", "is RESTARTING"),
        (&without_interval, "up cancel over save:7", "is CANCELED"),
        (&without_interval, "up end:s0 end:s1 save:7", "is about to end"),
        (&without_interval, "up stop:6 save:7", "is about to end"),
        (&no_checkpoints, "up save:7", "takes no checkpoints"),
    ] {
        let play = Play::of(setting(), script);
        assert_eq!(play.said.last().map(String::as_str), Some("refused:7"), "{script}");
        assert!(play.refusal.contains(why), "{script}: {}", play.refusal);
        assert_eq!(play.savepoint(7), "unknown", "{script}");
    }
}

#[test]
fn a_job_that_is_stopped_commits_ends_and_stays_so() {
    let stop = "savepoint-stop:1 + + + + save:1 saved:1 notify-last:1 tell:a tell:b";
    check(
        without_interval,
        &[
            ("up stop:7 acks saved", stop),
            (
                "up stop:7 acks saved finish:s0 finish:s1 finish:k0 finish:k1",
                &format!("{stop} FINISHED sweep-but:"),
            ),
            // A task that dies between the completion and its end: the job is taken up at its end,
            // so that what the savepoint lists is committed, and reads nothing.
            (
                "up stop:7 acks saved fail:k0 over wait:1000 up end:s0 end:s1",
                &format!("{stop} restart:1 restored:1 halted trigger-last:2"),
            ),
            // So does a leader that dies.
            (
                "up stop:7 acks saved leader back:a back:b up end:s0 end:s1",
                &format!("{stop} publish:1 resumed:1 restored:1 halted trigger-last:12"),
            ),
            // One that fails lets the job go on.
            (
                "up stop:7 decline:s0 save:8",
                "savepoint-stop:1 declined:1 failed:1 unsave:1 savepoint:2",
            ),
        ],
    );
    let play = Play::of(without_interval(), "up drain:7 acks saved");
    assert_eq!(play.saved[&CheckpointId(1)].ending, Some(Ending::Drain));
}

#[test]
fn what_sinks_prepared_for_a_savepoint_is_spared_under_every_attempt() {
    for script in
        ["up save:7 acks saved fail:k0 over wait:1000", "up save:7 acks saved leader back:a back:b"]
    {
        let play = Play::of(without_interval(), script);
        assert_eq!(play.spared, [CheckpointId(1)], "{script}");
    }
    let play = Play::of(without_interval(), "up save:7 decline:k0 fail:k0 over wait:1000");
    assert_eq!(play.spared, [], "one that failed holds nothing");
}

#[test]
fn one_in_the_memory_of_the_job_manager_is_lost_with_it() {
    let play = Play::of(without_interval(), "up keep:7 acks saved");
    assert_eq!(play.savepoint(7), "jobmanager://savepoints/1");
    assert!(play.cluster.kept_savepoint("jobmanager://savepoints/1").is_some());
    let mut play = play;
    play.follow("leader back:a back:b up");
    assert!(play.cluster.kept_savepoint("jobmanager://savepoints/1").is_none());
    assert!(!play.said.iter().any(|word| word.starts_with("publish")));
}

#[test]
fn what_was_begun_of_a_savepoint_goes_at_the_end_of_its_job_and_behind_it() {
    check(
        without_interval,
        &[
            (
                "up save:7 ack:s0 lose:a cancel over back:a",
                "savepoint:1 + failed:1 unsave:1 CANCELED unsave:1 sweep-but: unsave:1 sweep-but:",
            ),
            // What is complete is nobody's to delete.
            (
                "up save:7 acks saved lose:a cancel over back:a",
                "savepoint:1 + + + + save:1 saved:1 CANCELED sweep-but: sweep-but:",
            ),
        ],
    );
}
