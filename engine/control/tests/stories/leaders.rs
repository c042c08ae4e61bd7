//! One job under several job managers: what a new leader makes of the log, told by scripts.
//! Never reads a store: the log and the metadata are what the play has kept of them.
//! The words: [`crate::play`]; one job manager: [`crate::checkpoints`].

use slackwater_core::fact::JobStatus;
use slackwater_core::id::CheckpointId;

use crate::play::{Play, Setting, check};

fn two() -> Setting {
    Setting::default().with(|config| config.retained = 2)
}

/// What is said after the first leader's words.
fn after(setting: Setting, before: &str, script: &str) -> String {
    let mut play = Play::of(setting, before);
    play.said.clear();
    play.follow(script);
    play.said.join(" ")
}

const COMPLETE_2: &str = "up wait:1000 acks written wait:1000 acks written";

#[test]
fn a_new_leader_starts_with_the_newest_complete_checkpoint_and_counts_no_failure() {
    let said = after(two(), COMPLETE_2, "leader back:a back:b");
    assert_eq!(said, "resumed:1 restored:2");
    let mut play = Play::of(two(), COMPLETE_2);
    play.follow("leader back:a back:b up");
    let view = &play.cluster.jobs()[0];
    assert_eq!((view.status, view.restarts, view.attempt.0), (JobStatus::Running, 0, 2));
    assert_eq!(view.last_completed, Some(CheckpointId(2)));
}

#[test]
fn a_new_leader_waits_until_nothing_of_before_can_run() {
    let table = [
        ("leader back:a", "resumed:1"),
        ("leader back:a wait:9999 back:c", "resumed:1"),
        ("leader back:a back:c wait:10000", "resumed:1 restored:2"),
        ("leader back:a back:b", "resumed:1 restored:2"),
        ("leader wait:10000", "resumed:1"),
        ("leader wait:10000 back:c back:d", "resumed:1 restored:2"),
    ];
    for (script, expected) in table {
        assert_eq!(after(two(), COMPLETE_2, script), expected, "{script}");
    }
}

#[test]
fn no_id_is_used_twice_however_often_the_job_manager_dies() {
    // `trigger` in the play asserts that ids grow.
    let mut play = Play::of(two(), "up wait:1000");
    for _ in 0..5 {
        play.follow("leader back:a back:b up wait:1000 ack:s0 wait:500");
    }
    play.follow("leader back:a back:b up wait:1000 acks written leader back:a back:b up wait:1000");
    let ids: Vec<_> = play.said.iter().filter(|word| word.starts_with("trigger")).collect();
    assert_eq!(ids.len(), 8);
}

#[test]
fn what_was_complete_and_told_to_nobody_is_complete() {
    // The entry is in the log, and the leader died before it heard so.
    let mut play = Play::of(two(), "up wait:1000 acks");
    let (epoch, event, metadata) = play.take_writing();
    play.log.push((epoch, event));
    play.stored.insert(metadata.checkpoint, metadata);
    play.said.clear();
    play.follow("leader back:a back:b");
    assert_eq!(play.said.join(" "), "resumed:1 restored:1");
}

#[test]
fn what_was_not_marked_complete_does_not_exist() {
    let said = after(two(), "up wait:1000 acks", "leader back:a back:b");
    assert_eq!(said, "resumed:1 start");
}

#[test]
fn a_new_leader_treats_damage_as_a_restore_does() {
    let script = "leader:2 back:a back:b";
    assert_eq!(after(two(), COMPLETE_2, script), "resumed:1 unreadable:2 restored:1");
    let older = after(two(), COMPLETE_2, "leader:1 back:a back:b");
    assert_eq!(older, "resumed:1 unreadable:1 restored:2");
    let mut play = Play::of(two(), COMPLETE_2);
    play.said.clear();
    play.follow("leader:1,2 back:a back:b");
    assert_eq!(play.said.join(" "), "resumed:1 unreadable:2 unreadable:1 FAILED");
    let cause = play.cluster.jobs()[0].cause.clone();
    assert!(cause.contains("cannot be read: a bit flipped"), "{cause}");
    let two_phase = Setting { two_phase: true, ..two() };
    assert_eq!(after(two_phase, COMPLETE_2, script), "resumed:1 unreadable:2 FAILED");
}

#[test]
fn failures_before_count_and_the_end_is_for_ever() {
    // Three restarts are allowed: two were used before, one is left.
    let used = "up fail:s0 over wait:1000 up fail:s0 over wait:1000 up";
    let rest = "leader back:a back:b up fail:s0 over wait:1000 up fail:s0 over";
    let said = after(two(), used, rest);
    assert_eq!(said, "resumed:3 start restart:1 start FAILED");
    let mut play = Play::of(two(), "up cancel over");
    play.said.clear();
    play.follow("leader back:a back:b wait:99999");
    // Whoever wrote the end may not have lived to tell it; and who ran it may have written since.
    assert_eq!(play.said.join(" "), "CANCELED sweep-but: sweep-but: sweep-but:");
    assert_eq!(play.status(), JobStatus::Canceled);
}

#[test]
fn a_job_that_was_accepted_and_never_deployed_starts_at_its_beginning() {
    check(two, &[("lose:a lose:b leader back:a back:b", "restart:1 resumed:1 start")]);
}
