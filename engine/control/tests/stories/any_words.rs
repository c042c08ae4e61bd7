//! Any words in any order keep the promises of checkpoints, attempts and leaders.
//! Never expects a particular story: [`crate::play`] asserts what must hold after every word.
//! Particular stories: [`crate::checkpoints`], [`crate::leaders`].

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::TestRunner;
use slackwater_core::graph::Restart;

use crate::play::{Play, Setting};

/// What can happen to a job, and how often it does.
const WORDS: &[(u32, &[&str])] = &[
    (6, &["wait:1000 acks written", "durable over wait:1000 back:a back:b up"]),
    (1, &["end:s0 end:s1 acks written"]),
    (6, &["up", "over", "acks", "wait:1000", "written"]),
    (4, &["ack:s0", "ack:s1", "ack:k0", "ack:k1", "back:a", "back:b", "wait:400"]),
    (2, &["unwritten", "again", "wait:3000", "end:s0", "end:s1", "slow", "durable", "run:s0"]),
    (2, &["old-ack:s0", "old-ack:k1", "ack:k0@1", "ack:s1@2", "decline:s1", "decline:k0@3"]),
    (1, &["lose:a", "lose:b", "fail:s0", "fail:k1", "finish:s1", "flaky:k0", "damaged:s0"]),
    (1, &["leader", "leader:2", "wait:10000", "cancel"]),
    (2, &["save:1", "save:2", "save:3 acks saved", "acks saved", "stop:4", "unsaved", "save:1"]),
    (1, &["stop:5 acks saved end:s0 end:s1", "drain:6", "keep:7 acks saved"]),
];

fn words() -> impl Strategy<Value = Vec<&'static str>> {
    let group = |words: &'static [&'static str]| prop::sample::select(words);
    let groups = WORDS.iter().map(|(weight, words)| (*weight, group(words)));
    prop::collection::vec(Union::new_weighted(groups.collect()), 1..150)
}

fn play(words: &[&str], two_phase: bool) -> Play {
    let restart = Restart::fixed(1_000, Duration::from_secs(1));
    let setting = Setting { restart, two_phase, ..Setting::default() };
    let setting = setting.with(|config| (config.tolerated_failures, config.retained) = (1, 2));
    let mut play = Play::of(setting, "");
    for word in words.iter().flat_map(|words| words.split(' ')) {
        if play.can(word) {
            play.follow(word);
        }
    }
    play
}

proptest! {
    #[test]
    fn any_words_in_any_order_keep_every_promise(words in words(), two_phase: bool) {
        play(&words, two_phase);
    }
}

/// A sweep in which nothing ever completes or dies half-way would prove nothing.
#[test]
fn the_words_reach_what_they_are_meant_to_try() {
    let mut runner = TestRunner::deterministic();
    let mut said = BTreeSet::new();
    for _ in 0..256 {
        let words = words().new_tree(&mut runner).expect("words").current();
        let verb = |word: &String| word.split(':').next().unwrap_or_default().to_owned();
        said.extend(play(&words, false).said.iter().map(verb));
    }
    for verb in [
        "trigger",
        "trigger-last",
        "complete",
        "notify",
        "notify-last",
        "abort",
        "subsumed",
        "restored",
        "resumed",
        "restart",
        "fenced",
        "declined",
        "unreadable",
        "savepoint",
        "savepoint-stop",
        "saved",
        "failed",
        "refused",
        "publish",
        "halted",
    ] {
        assert!(said.contains(verb), "{verb} never happened: {said:?}");
    }
}
