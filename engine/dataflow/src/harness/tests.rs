//! Operators between gates and routers: parallel, unchained, on either clock, and what they tell.
//! What a single operator computes is shown by its own example; this is about how they stand together.
//! The same plans on real channels are tried in `slackwater-runtime` and `slackwater-sim`.

use proptest::prelude::*;
use slackwater_core::time::{Clock, secs};

use super::*;
use crate::stream::{WindowOut, union};
use crate::window::{Pane, tumbling};

type Reading = (String, i64);

fn sums(readings: Stream<Reading>) -> WindowOut<String, i64, Reading> {
    let keyed = readings.key_by(|(key, _)| key.clone());
    keyed.window(tumbling(secs(1))).sum("sums", |(_, value)| *value)
}

fn shown(panes: Vec<Pane<String, i64>>) -> Vec<String> {
    let show = |p: Pane<String, i64>| format!("{} {} {}", p.window.start, p.key, p.value);
    let mut shown: Vec<_> = panes.into_iter().map(show).collect();
    shown.sort();
    shown
}

fn feed<O: Data, L: Data>(h: &mut Harness<Reading, O, L>) {
    for at in 0..40 {
        h.element(at * 100, (format!("k{}", at % 7), at));
        h.watermark(at * 100 - 1);
    }
}

#[test]
fn parallel_or_not_chained_or_not_the_sums_are_the_same() {
    let play = |parallelism, chaining| {
        let mut h = Harness::with(
            move |env| {
                env.parallelism(parallelism).chaining(chaining);
            },
            sums,
        );
        feed(&mut h);
        h.end();
        shown(h.output())
    };
    let alone = play(1, true);
    assert_eq!(alone.len(), 28, "seven keys in four seconds");
    for (parallelism, chaining) in [(1, false), (2, true), (3, false), (16, true)] {
        assert_eq!(play(parallelism, chaining), alone, "{parallelism} {chaining}");
    }
}

#[test]
fn records_that_are_spread_evenly_keep_their_watermarks() {
    let mut h = Harness::with(
        |env| {
            env.parallelism(3);
        },
        |readings: Stream<Reading>| sums(readings.rebalance().map(|reading| reading)),
    );
    feed(&mut h);
    let before_the_end = shown(h.output()).len();
    let facts = h.take_facts();
    let late = facts.iter().filter(|fact| matches!(fact, Fact::RecordLate { .. })).count();
    let seconds_that_passed = 3;
    assert_eq!((before_the_end, late), (seconds_that_passed * 7, 0));
}

#[test]
fn a_union_is_as_far_as_its_slowest_stream() {
    let mut h = Harness::new(|readings: Stream<Reading>| {
        let twice = readings.map(|(key, value)| (key, value * 100));
        sums(union([&readings, &twice]))
    });
    h.element(10, ("a".into(), 1)).watermark(999);
    assert_eq!(shown(h.output()), ["0 a 101"]);
    let idle = h.signal(Signal::Idle).take();
    assert_eq!(idle, [Element::Signal(Signal::Idle)], "both are idle, and it is said once");
}

#[test]
fn one_word_makes_windows_follow_the_clock() {
    let play = |clock| {
        let mut h = Harness::with(
            move |env| {
                env.clock(clock);
            },
            sums,
        );
        h.processing_time(5_100).element(900, ("a".into(), 1)).element(200, ("a".into(), 2));
        h.processing_time(5_999).element(1_100, ("a".into(), 4)).watermark(1_999);
        let by_records = shown(h.output());
        h.processing_time(6_000);
        (by_records, shown(h.output()))
    };
    let nothing = Vec::<String>::new;
    let by_event = vec!["0 a 3".to_owned(), "1000 a 4".to_owned()];
    assert_eq!(play(Clock::Event), (by_event, nothing()));
    assert_eq!(play(Clock::Processing), (nothing(), vec!["5000 a 7".to_owned()]));
}

#[test]
fn what_fires_what_is_late_and_what_is_still_open_is_told() {
    let mut h = Harness::new(sums);
    h.element(100, ("a".into(), 1)).watermark(1_500).element(200, ("a".into(), 2));
    h.element(1_600, ("b".into(), 3)).signal(Signal::EndOfInput);
    let (mut fired, mut late, mut open) = (0, 0, 0);
    for fact in h.take_facts() {
        match fact {
            Fact::WindowFired { rows, .. } => fired += rows,
            Fact::RecordLate { rows, .. } => late += rows,
            Fact::WindowsOpen { records, .. } => open += records,
            _ => {}
        }
    }
    assert_eq!((fired, late, open), (1, 1, 1));
    assert_eq!(records(h.take_late()), [(200, ("a".into(), 2))]);
}

#[test]
fn marks_keep_their_place_when_records_are_left_out_or_multiplied() {
    let mut h = Harness::new(|numbers: Stream<i64>| {
        numbers.filter(|n| n % 2 == 0).flat_map(|n| vec![n; (n / 2) as usize])
    });
    let mut batch = Batch::default();
    for n in [1, 2, 4, 5] {
        batch.push(EventTime::from_millis(n), n);
        batch.mark(EventTime::from_millis(n - 1));
    }
    h.batch(batch);
    let shown = h.take().into_iter().map(|element| match element {
        Element::Record(_, n) => n.to_string(),
        Element::Watermark(watermark) => format!("w{watermark}"),
        Element::Signal(_) => "signal".to_owned(),
    });
    let shown: Vec<_> = shown.collect();
    assert_eq!(shown.join(" "), "w0 2 w1 4 4 w3 w4");
}

/// Every kind of state: one value, a value a key, windows.
fn all_state(readings: Stream<Reading>) -> WindowOut<String, i64, Reading> {
    let numbered = readings.scan("number", 0, |number: &mut i64, (key, value)| {
        *number += 1;
        (key, value * 1_000 + *number)
    });
    let keyed = numbered.key_by(|(key, _): &Reading| key.clone());
    let sums = keyed.scan("running", 0, |sum: &mut i64, (key, value): Reading| {
        *sum += value;
        (key, *sum)
    });
    let keyed = sums.key_by(|(key, _): &Reading| key.clone());
    let windows = tumbling(secs(1)).allowed_lateness(secs(1));
    keyed.window(windows).sum("sums", |(_, value)| *value)
}

/// What is given to operators: a record of a key at a time, or a watermark.
#[derive(Clone, Debug)]
enum Given {
    Record(u8, i64),
    Watermark(i64),
}

fn given() -> impl Strategy<Value = Vec<(bool, Given)>> {
    let one = prop_oneof![
        4 => (0u8..9, 0i64..2_000).prop_map(|(key, time)| Given::Record(key, time)),
        1 => (0i64..1_000).prop_map(Given::Watermark),
    ];
    let drift = |steps: Vec<(bool, Given)>| {
        let mut greatest = i64::MIN;
        let at = |(index, (stop, step)): (usize, (bool, Given))| {
            let now = index as i64 * 150;
            let step = match step {
                Given::Record(key, time) => Given::Record(key, now + time),
                Given::Watermark(time) => {
                    // Sources remember how far they were: no watermark goes back.
                    greatest = greatest.max(now + time);
                    Given::Watermark(greatest)
                }
            };
            (stop, step)
        };
        steps.into_iter().enumerate().map(at).collect()
    };
    prop::collection::vec((prop::bool::weighted(0.15), one), 1..60).prop_map(drift)
}

fn give<O: Data>(h: &mut Harness<Reading, O, Reading>, step: &Given) {
    match step {
        Given::Record(key, time) => h.element(*time, (format!("k{key}"), time % 97)),
        Given::Watermark(time) => h.watermark(*time),
    };
}

fn at_parallelism(parallelism: u32) -> Harness<Reading, Pane<String, i64>, Reading> {
    let configure = move |env: &Env| {
        env.parallelism(parallelism);
    };
    Harness::with(configure, all_state)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whoever_reads_cannot_tell_that_everything_was_restored(steps in given()) {
        let (mut calm, mut stopped) = (at_parallelism(1), at_parallelism(1));
        for (stop, step) in &steps {
            give(&mut calm, step);
            give(&mut stopped, step);
            if *stop {
                stopped.snapshot_and_restore();
            }
            prop_assert_eq!(calm.take_records(), stopped.take_records());
            prop_assert_eq!(records(calm.take_late()), records(stopped.take_late()));
        }
        prop_assert_eq!(calm.end().take_records(), stopped.end().take_records());
    }

    #[test]
    fn state_follows_its_keys_through_every_change_of_parallelism(steps in given()) {
        let mut calm = at_parallelism(1);
        steps.iter().for_each(|(_, step)| give(&mut calm, step));
        let expected = (shown(calm.end().output()), records(calm.take_late()).len());
        let (mut panes, mut late) = (Vec::new(), 0);
        let mut state: Option<Vec<Section>> = None;
        let share = steps.len().div_ceil(4);
        let last = steps.len().div_ceil(share) - 1;
        for (index, (part, parallelism)) in steps.chunks(share).zip([1, 4, 2, 8]).enumerate() {
            let mut h = at_parallelism(parallelism);
            if let Some(state) = &state {
                h.restore(state);
            }
            part.iter().for_each(|(_, step)| give(&mut h, step));
            state = Some(match index == last {
                true => { h.end(); Vec::new() },
                false => h.snapshot(),
            });
            panes.extend(h.output());
            late += records(h.take_late()).len();
        }
        prop_assert_eq!((shown(panes), late), expected);
    }
}

#[test]
fn windows_of_the_clock_that_ended_during_an_outage_fire_at_once() {
    let start = || {
        let follow_the_clock = |env: &Env| {
            env.clock(Clock::Processing);
        };
        Harness::with(follow_the_clock, sums)
    };
    let mut before = start();
    before.processing_time(5_100).element(900, ("a".into(), 1)).element(200, ("a".into(), 2));
    let state = before.snapshot();
    assert_eq!(shown(before.output()), [""; 0]);
    let mut after = start();
    after.processing_time(9_700).restore(&state).processing_time(9_700);
    assert_eq!(shown(after.output()), ["5000 a 3"]);
    let mut soon = start();
    soon.processing_time(5_300).restore(&state).element(0, ("a".into(), 4)).processing_time(6_000);
    assert_eq!(shown(soon.output()), ["5000 a 7"]);
}
