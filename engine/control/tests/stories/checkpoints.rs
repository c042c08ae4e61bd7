//! The life of checkpoints, told by scripts: what is said to the cluster, and what it says.
//! Never runs a task and never writes a file: durable is what the script calls so.
//! The words: [`crate::play`]; several job managers: [`crate::leaders`].

use std::time::Duration;

use slackwater_core::fact::JobStatus;
use slackwater_core::graph::Restart;

use crate::play::{Play, Setting, check};

/// What is said while the first checkpoint completes.
const FIRST: &str = "trigger:1 + + + + write:1 complete:1 notify:1 tell:a tell:b sweep-but:1";

#[test]
fn a_checkpoint_completes_when_every_part_is_in_and_is_told_when_that_is_durable() {
    check(
        Setting::default,
        &[
            ("up wait:999", ""),
            ("up wait:1000", "trigger:1"),
            ("up wait:1000 ack:s0 ack:s1 ack:k0", "trigger:1 + + +"),
            ("up wait:1000 acks", "trigger:1 + + + + write:1"),
            ("up wait:1000 acks written", FIRST),
            // The store takes its time: nothing is aborted that may be complete.
            ("up wait:1000 acks wait:9000", "trigger:1 + + + + write:1"),
            ("up wait:1000 acks written again", &format!("{FIRST} fenced")),
        ],
    );
}

#[test]
fn no_checkpoint_starts_before_every_task_runs() {
    check(
        Setting::default,
        &[
            ("run:s0 run:s1 run:k0 wait:5000", ""),
            ("run:s0 run:s1 run:k0 wait:5000 run:k1 wait:999", ""),
            ("run:s0 run:s1 run:k0 wait:5000 run:k1 wait:1000", "trigger:1"),
        ],
    );
}

#[test]
fn a_part_that_is_said_twice_is_one_part() {
    check(
        Setting::default,
        &[
            ("up wait:1000 ack:s0 ack:s0 ack:s0 ack:s0", "trigger:1 + fenced fenced fenced"),
            (
                "up wait:1000 ack:s0 ack:s0 ack:s1 ack:k0 ack:k1 ack:k1 written",
                "trigger:1 + fenced + + + write:1 fenced complete:1 notify:1 tell:a tell:b sweep-but:1",
            ),
        ],
    );
}

#[test]
fn parts_of_other_checkpoints_and_of_the_dead_change_nothing() {
    check(
        Setting::default,
        &[
            ("up ack:s0@1", "fenced"),
            ("up wait:1000 ack:s0@2", "trigger:1 fenced"),
            (
                "up wait:1000 acks written ack:s0@1",
                "trigger:1 + + + + write:1 complete:1 notify:1 tell:a tell:b sweep-but:1 fenced",
            ),
            (
                "up wait:1000 ack:s0 fail:k1 over wait:1000 up wait:1000 old-ack:s1@1 old-ack:s1@2",
                "trigger:1 + abort:1 discard:1 restart:1 start trigger:2 fenced fenced",
            ),
        ],
    );
}

#[test]
fn the_next_one_comes_after_the_interval_and_the_pause() {
    let pause = || Setting::default().with(|config| config.min_pause = Duration::from_millis(700));
    let two = "up wait:1000 acks wait:600 written";
    for (setting, early, late) in [
        (&Setting::default as &dyn Fn() -> Setting, "wait:399", "wait:400"),
        (&pause, "wait:699", "wait:700"),
    ] {
        let newest = |script: String| {
            let said = Play::of(setting(), &script).said;
            said.iter().filter(|word| word.starts_with("trigger")).count()
        };
        assert_eq!(newest(format!("{two} {early}")), 1, "{early}");
        assert_eq!(newest(format!("{two} {late}")), 2, "{late}");
    }
}

#[test]
fn a_refusal_or_a_timeout_aborts_and_too_many_in_a_row_fail_the_job() {
    let one = || Setting::default().with(|config| config.tolerated_failures = 1);
    check(
        one,
        &[
            ("up wait:1000 decline:k0", "trigger:1 declined:1 abort:1 discard:1"),
            ("up wait:1000 acks unwritten", "trigger:1 + + + + write:1 abort:1 discard:1"),
            ("up wait:1000 wait:2999", "trigger:1"),
            // Its time is up at the instant at which the next one is due.
            ("up wait:1000 ack:s0 wait:3000", "trigger:1 + abort:1 discard:1 trigger:2"),
            ("up wait:1000 decline:k0 decline:k0", "trigger:1 declined:1 abort:1 discard:1 fenced"),
            (
                "up wait:1000 decline:k0 wait:1000 decline:k1 over",
                "trigger:1 declined:1 abort:1 discard:1 trigger:2 declined:2 abort:2 discard:2 restart:1",
            ),
            // One that completes between them makes the failures two rows.
            (
                "up wait:1000 decline:k0 wait:1000 acks written wait:1000 decline:k0",
                "trigger:1 declined:1 abort:1 discard:1 trigger:2 + + + + write:2 complete:2 \
                 notify:2 tell:a tell:b sweep-but:2 trigger:3 declined:3 abort:3 discard:3",
            ),
        ],
    );
    let play = Play::of(Setting::default(), "up wait:1000 decline:k0");
    assert_eq!(play.status(), JobStatus::Failing, "none is tolerated");
    let cause = &play.cluster.jobs()[0].cause;
    assert!(cause.contains("the disk is full") && cause.contains("checkpoint 1"), "{cause}");
}

#[test]
fn failures_of_a_dead_attempt_are_not_in_a_row_with_those_of_the_next() {
    let one = || Setting::default().with(|config| config.tolerated_failures = 1);
    let script = "up wait:1000 decline:k0 fail:s0 over wait:1000 up wait:1000 decline:k0";
    assert_eq!(Play::of(one(), script).status(), JobStatus::Running);
}

#[test]
fn the_newest_are_kept_and_the_others_deleted() {
    let two = || Setting::default().with(|config| config.retained = 2);
    let mut play = Play::of(two(), "up");
    for expected in [
        "trigger:1 + + + + write:1 complete:1 notify:1 tell:a tell:b sweep-but:1",
        "trigger:2 + + + + write:2 complete:2 notify:2 tell:a tell:b",
        "trigger:3 + + + + write:3 complete:3 notify:3 tell:a tell:b subsumed:1 discard:1",
    ] {
        play.said.clear();
        play.follow("wait:1000 acks written");
        assert_eq!(play.said.join(" "), expected);
    }
    assert_eq!(play.stored.len(), 2);
}

#[test]
fn a_restart_begins_with_the_newest_complete_one_and_never_with_a_pending_one() {
    check(
        Setting::default,
        &[
            (
                "up wait:1000 ack:s0 lose:a over back:a wait:1000",
                "trigger:1 + abort:1 discard:1 restart:1 start",
            ),
            (
                "up wait:1000 acks written wait:1000 ack:s0 lose:a over back:a wait:1000",
                "trigger:1 + + + + write:1 complete:1 notify:1 tell:a tell:b sweep-but:1 \
                 trigger:2 + abort:2 discard:2 restart:1 restored:1",
            ),
        ],
    );
}

#[test]
fn what_may_be_complete_is_waited_for_before_the_next_attempt() {
    let dies = "up wait:1000 acks lose:a over back:a wait:1000";
    let said = "trigger:1 + + + + write:1 restart:1";
    check(
        Setting::default,
        &[
            (dies, said),
            // Complete: the dead are not told, the next attempt takes it up and commits.
            (&format!("{dies} written"), &format!("{said} complete:1 restored:1")),
            (&format!("{dies} unwritten"), &format!("{said} abort:1 discard:1 start")),
        ],
    );
}

#[test]
fn a_job_that_has_read_everything_ends_with_a_last_checkpoint() {
    let last = "trigger-last:1 + + + + write:1 complete:1 notify-last:1 tell:a tell:b sweep-but:1";
    check(
        Setting::default,
        &[
            ("up end:s0 end:s0", ""),
            ("up end:s0 end:s1", "trigger-last:1"),
            ("run:s0 end:s0 run:s1 end:s1 run:k0", ""),
            ("run:s0 end:s0 run:s1 end:s1 run:k0 run:k1", "trigger-last:1"),
            ("up end:s0 end:s1 acks written wait:9000", last),
            (
                "up end:s0 end:s1 acks written finish:s0 finish:s1 finish:k0 finish:k1",
                &format!("{last} FINISHED sweep-but:"),
            ),
            // One that is under way is not the last, however far its sources were.
            (
                "up wait:1000 end:s0 end:s1 acks written acks",
                &format!("{FIRST} trigger-last:2 + + + + write:2"),
            ),
        ],
    );
}

#[test]
fn the_last_checkpoint_is_tried_until_it_completes() {
    let patient = || Setting::default().with(|config| config.tolerated_failures = 9);
    check(
        patient,
        &[
            ("up end:s0 end:s1 decline:k0 wait:999", "trigger-last:1 declined:1 abort:1 discard:1"),
            (
                "up end:s0 end:s1 decline:k0 wait:1000",
                "trigger-last:1 declined:1 abort:1 discard:1 trigger-last:2",
            ),
            // A new attempt hears of the end again.
            (
                "up end:s0 end:s1 fail:s0 over wait:1000 up end:s0 wait:999 end:s1",
                "trigger-last:1 abort:1 discard:1 restart:1 start trigger-last:2",
            ),
        ],
    );
    let at_end = || patient().with(|config| config.interval = None);
    check(at_end, &[("up wait:99999", ""), ("up wait:9999 end:s0 end:s1", "trigger-last:1")]);
}

#[test]
fn a_job_without_checkpoints_takes_none_and_starts_at_its_beginning() {
    let none = || Setting { checkpoints: None, ..Setting::default() };
    check(
        none,
        &[
            ("up wait:99999 end:s0 end:s1", ""),
            ("up ack:s0@1", "fenced"),
            ("up fail:s0 over wait:1000", "restart:1 start"),
            ("up finish:s0 finish:s1 finish:k0 finish:k1", "FINISHED"),
        ],
    );
}

#[test]
fn a_task_that_has_finished_has_no_part_and_is_written_down() {
    let mut play = Play::of(Setting::default(), "up finish:s1 wait:1000 ack:s0 ack:k0 ack:k1");
    assert_eq!(play.said.join(" "), "trigger:1 + + + write:1");
    play.follow("written");
    let metadata = play.stored.values().next().expect("complete");
    let finished: Vec<_> = metadata.finished.iter().map(ToString::to_string).collect();
    assert_eq!(finished, ["v0[1]"]);
    // One that finishes before its part is in takes the checkpoint with it; no task is to blame.
    check(
        Setting::default,
        &[
            ("up wait:1000 ack:s0 finish:s1", "trigger:1 + abort:1 discard:1"),
            ("up wait:1000 ack:s1 finish:s1", "trigger:1 +"),
            ("up finish:s0 finish:s1 wait:9000", ""),
        ],
    );
}

/// Two checkpoints are complete, and the job starts again with the second.
const SECOND: &str = "up wait:1000 acks written wait:1000 acks written fail:s0 over wait:1000";

#[test]
fn a_damaged_checkpoint_is_named_and_the_next_older_is_taken_if_nothing_was_committed_since() {
    let said = |setting: Setting, script: &str| {
        let mut play = Play::of(setting, SECOND);
        play.said.retain(|word| word == "restored:2");
        assert_eq!(play.said.join(" "), "restored:2");
        play.follow(script);
        (play.said.join(" "), play.cluster.jobs()[0].cause.clone())
    };
    let two = || Setting::default().with(|config| config.retained = 2);
    let (words, _) = said(two(), "damaged:s0 damaged:k1 over wait:1000");
    assert_eq!(words, "restored:2 unreadable:2 restart:2 restored:1");
    let (words, _) = said(two(), "flaky:s0 over wait:1000");
    assert_eq!(words, "restored:2 restart:2 restored:2");
    let (words, _) = said(two(), "flaky:s0 damaged:k1 over wait:1000");
    assert_eq!(words, "restored:2 unreadable:2 restart:2 restored:1");

    let (words, cause) = said(Setting::default(), "damaged:s0 over wait:9000");
    assert_eq!(words, "restored:2 unreadable:2 FAILED");
    let expected =
        "checkpoint 2 cannot be read: a bit flipped; there is no older one that can be read";
    assert_eq!(cause, expected);

    let (words, cause) = said(Setting { two_phase: true, ..two() }, "damaged:s0 over wait:9000");
    assert_eq!(words, "restored:2 unreadable:2 FAILED");
    assert!(cause.contains("checkpoint 1 is older than what two-phase sinks"), "{cause}");
}

#[test]
fn a_cancelled_job_deletes_its_checkpoints_and_a_failed_one_keeps_them() {
    let strict = || Setting { restart: Restart::None, ..Setting::default() };
    check(
        strict,
        &[
            ("up wait:1000 acks written cancel over", &format!("{FIRST} CANCELED sweep-but:")),
            (
                "up wait:1000 ack:s0 cancel over",
                "trigger:1 + abort:1 discard:1 CANCELED sweep-but:",
            ),
            ("up wait:1000 acks written fail:s0 over", &format!("{FIRST} FAILED")),
        ],
    );
}

#[test]
fn what_a_lost_task_manager_wrote_behind_the_end_goes_when_it_is_back() {
    let strict = || Setting { restart: Restart::None, ..Setting::default() };
    check(
        strict,
        &[
            // It stood still when the job ended, and may have gone on with what it had in hand.
            ("up lose:a cancel over back:a back:a", "CANCELED sweep-but: sweep-but:"),
            // One that was there has told the end of its tasks: they write no more.
            ("up cancel over back:a", "CANCELED sweep-but:"),
            // One that ran nothing of the job has written nothing.
            ("up cancel over back:c lose:c back:c", "CANCELED sweep-but:"),
            // What it says then changes nothing, but names what it may have written.
            (
                "up wait:1000 cancel over ack:s0",
                "trigger:1 abort:1 discard:1 CANCELED sweep-but: fenced sweep-but:",
            ),
            // A person may start another job with what a failed one keeps.
            ("up lose:a over back:a", "FAILED"),
        ],
    );
}

#[test]
fn nothing_is_deployed_and_nothing_ends_before_the_log_says_so() {
    check(
        Setting::default,
        &[
            ("up fail:s0 over slow wait:1000", "restart:1"),
            ("up fail:s0 over slow wait:1000 durable wait:0", "restart:1 start"),
            // Lost before it was deployed: nothing has to be cancelled, and the entry comes too late.
            ("up fail:s0 over slow wait:1000 lose:a durable wait:0", "restart:1 restart:2"),
            ("up slow cancel over", ""),
            ("up slow cancel over durable wait:0", "CANCELED sweep-but:"),
        ],
    );
}

#[test]
fn ids_go_on_though_none_completes_and_the_log_always_allows_them_first() {
    let patient = || Setting::default().with(|config| config.tolerated_failures = 99);
    let mut play = Play::of(patient(), "up");
    let mut slow = Play::of(patient(), "up slow");
    for play in [&mut play, &mut slow] {
        (0..25).for_each(|_| play.follow("wait:1000 decline:s0"));
    }
    let triggers =
        |play: &Play| play.said.iter().filter(|word| word.starts_with("trigger")).count();
    assert_eq!(triggers(&play), 25);
    // The entry of the deployment allows ten; the entry that allows more never becomes durable.
    assert_eq!((triggers(&slow), slow.cluster.wakes_at()), (10, None));
    slow.follow("durable wait:0");
    assert_eq!(triggers(&slow), 11);
}
