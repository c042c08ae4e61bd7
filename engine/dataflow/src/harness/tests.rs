//! Operators between gates and routers: parallel, unchained, on either clock, and what they tell.
//! What a single operator computes is shown by its own example; this is about how they stand together.
//! The same plans on real channels are tried in `slackwater-runtime` and `slackwater-sim`.

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
        h.record(at * 100, (format!("k{}", at % 7), at));
        h.watermark(at * 100 - 1);
    }
}

#[test]
fn parallel_or_not_chained_or_not_the_sums_are_the_same() {
    let play = |parallelism, chaining| {
        let mut h = Harness::with(
            |env| {
                env.parallelism(parallelism).chaining(chaining);
            },
            sums,
        );
        feed(&mut h);
        h.end();
        shown(h.take_values())
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
    let before_the_end = shown(h.take_values()).len();
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
    h.record(10, ("a".into(), 1)).watermark(999);
    assert_eq!(shown(h.take_values()), ["0 a 101"]);
    let idle = h.signal(Signal::Idle).take();
    assert_eq!(idle, [Element::Signal(Signal::Idle)], "both are idle, and it is said once");
}

#[test]
fn one_word_makes_windows_follow_the_clock() {
    let play = |clock| {
        let mut h = Harness::with(
            |env| {
                env.clock(clock);
            },
            sums,
        );
        h.clock(5_100).record(900, ("a".into(), 1)).record(200, ("a".into(), 2));
        h.clock(5_999).record(1_100, ("a".into(), 4)).watermark(1_999);
        let by_records = shown(h.take_values());
        h.clock(6_000);
        (by_records, shown(h.take_values()))
    };
    let nothing = Vec::<String>::new;
    let by_event = vec!["0 a 3".to_owned(), "1000 a 4".to_owned()];
    assert_eq!(play(Clock::Event), (by_event, nothing()));
    assert_eq!(play(Clock::Processing), (nothing(), vec!["5000 a 7".to_owned()]));
}

#[test]
fn what_fires_what_is_late_and_what_is_still_open_is_told() {
    let mut h = Harness::new(sums);
    h.record(100, ("a".into(), 1)).watermark(1_500).record(200, ("a".into(), 2));
    h.record(1_600, ("b".into(), 3)).signal(Signal::EndOfInput);
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
