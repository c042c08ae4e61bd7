//! How a job with two-phase sinks is cancelled: what is complete is committed, the rest is aborted.
//! Never asks a sink: an attempt at a standstill, whose tasks have begun, is what settles it.
//! The words: [`crate::play`]; cancellation of other jobs: [`crate::checkpoints`].

use slackwater_core::fact::JobStatus;

use crate::play::{Play, Setting, check};

fn two_phase() -> Setting {
    Setting { two_phase: true, ..Setting::default() }
}

const FIRST: &str = "trigger:1 + + + + write:1 complete:1 notify:1 tell:a tell:b sweep-but:1";

#[test]
fn a_cancelled_job_settles_what_its_sinks_have_prepared_before_it_is_gone() {
    check(
        two_phase,
        &[
            ("up wait:1000 acks written cancel", FIRST),
            ("up wait:1000 acks written cancel over", &format!("{FIRST} restored:1 halted")),
            // As soon as every task has begun, every sink has committed what the checkpoint lists.
            (
                "up wait:1000 acks written cancel over up over",
                &format!("{FIRST} restored:1 halted CANCELED sweep-but:"),
            ),
            // Without a checkpoint there is nothing to commit, and all is to be aborted.
            ("up cancel over up over", "halted CANCELED sweep-but:"),
            // Nothing was ever deployed: nothing was prepared.
            ("slow", ""),
        ],
    );
    let play = Play::of(two_phase(), "up cancel over");
    assert_eq!(play.status(), JobStatus::Cancelling, "a person sees that it is not over");
    let one_phase = Play::of(Setting::default(), "up cancel over");
    assert_eq!(one_phase.status(), JobStatus::Canceled);
}

#[test]
fn what_completes_while_the_job_is_cancelled_is_committed() {
    check(
        two_phase,
        &[
            // Whether it is complete decides what is committed, so that is waited for.
            ("up wait:1000 acks cancel over", "trigger:1 + + + + write:1"),
            (
                "up wait:1000 acks cancel over written up over",
                "trigger:1 + + + + write:1 complete:1 restored:1 halted CANCELED sweep-but:",
            ),
            (
                "up wait:1000 acks cancel over unwritten up over",
                "trigger:1 + + + + write:1 abort:1 discard:1 halted CANCELED sweep-but:",
            ),
        ],
    );
}

#[test]
fn a_job_that_waits_to_start_again_is_settled_when_nothing_of_before_runs() {
    let dead = "up wait:1000 acks written fail:s0 over";
    check(
        two_phase,
        &[
            (&format!("{dead} cancel"), &format!("{FIRST} restart:1")),
            (
                &format!("{dead} cancel wait:1000 up over"),
                &format!("{FIRST} restart:1 restored:1 halted CANCELED sweep-but:"),
            ),
        ],
    );
}

#[test]
fn a_cancellation_holds_whoever_leads_and_is_seen_through() {
    let resumed = format!("{FIRST} resumed:1 restored:1 halted");
    check(
        two_phase,
        &[
            ("up wait:1000 acks written cancel leader back:a back:b", &resumed),
            (
                "up wait:1000 acks written cancel leader back:a back:b up over",
                &format!("{resumed} CANCELED sweep-but:"),
            ),
            // It is typed when the leader has just died.
            (
                "up wait:1000 acks written leader cancel back:a back:b up over",
                &format!("{resumed} CANCELED sweep-but:"),
            ),
        ],
    );
}

#[test]
fn an_attempt_that_cannot_settle_is_made_again_but_not_for_ever() {
    check(
        two_phase,
        &[
            ("up cancel over fail:k0 over wait:1000 up over", "halted halted CANCELED sweep-but:"),
            (
                "up cancel over lose:a over back:a wait:1000 up over",
                "halted halted CANCELED sweep-but:",
            ),
            // Nobody is left to do it.
            ("up cancel over lose:a lose:b wait:59999", "halted"),
            ("up cancel over lose:a lose:b wait:60000", "halted CANCELED sweep-but:"),
            ("up cancel over wait:60000 over", "halted CANCELED sweep-but:"),
        ],
    );
}
