//! The rules of generators, as tables: timestamps on the left, watermarks on the right.
//! No clock: a test says when nothing was found. The generators themselves are in [`super`].

use proptest::prelude::*;
use slackwater_core::time::ms;

use super::*;

const SPLITS: [u32; 2] = [0, 1];

/// Feeds `(split, time)` in batches of `rows` and gives every mark with the number of records
/// before it.
fn marks(
    watermarks: &Watermarks<i64>,
    quantum: Quantum,
    (records, rows): (&[(u32, i64)], usize),
) -> Vec<(u32, i64)> {
    let splits: &[u32] = if records.iter().any(|r| r.0 == 1) { &SPLITS } else { &SPLITS[..1] };
    let mut generators = Generators::new(watermarks, splits, quantum);
    let (mut seen, mut found) = (0, Vec::new());
    for chunk in records.chunks(rows).flat_map(|chunk| chunk.chunk_by(|a, b| a.0 == b.0)) {
        let mut batch = Batch::default();
        chunk.iter().for_each(|&(_, time)| batch.push(EventTime::from_millis(time), time));
        assert_eq!(generators.on_records(chunk[0].0, &mut batch), Some(false));
        assert!(batch.is_well_formed());
        found.extend(batch.marks.iter().map(|m| (seen + m.row, m.watermark.as_millis())));
        seen += batch.rows() as u32;
    }
    found
}

fn check(
    watermarks: &Watermarks<i64>,
    quantum: Quantum,
    records: &[(u32, i64)],
    expected: &[(u32, i64)],
) {
    for rows in [1, 2, 3, 7, 1024] {
        assert_eq!(marks(watermarks, quantum, (records, rows)), expected, "batches of {rows}");
    }
}

#[test]
fn a_watermark_follows_every_record_that_advances_it() {
    let records = [(0, 10), (0, 30), (0, 20), (0, 30), (0, 31)];
    check(&Watermarks::ascending(), Quantum::EVERY, &records, &[(1, 9), (2, 29), (5, 30)]);
    let bounded = Watermarks::bounded(ms(15));
    check(&bounded, Quantum::EVERY, &records, &[(1, -6), (2, 14), (5, 15)]);
}

#[test]
fn records_may_say_it_themselves_and_may_not_take_it_back() {
    let tens = Watermarks::punctuated(|value: &i64, time: EventTime| {
        (value % 10 == 0).then(|| time.minus(ms(1_000)))
    });
    let records = [(0, 1_010), (0, 1_055), (0, 1_005), (0, 1_000), (0, 1_070)];
    check(&tens, Quantum::EVERY, &records, &[(1, 10), (5, 70)]);
}

#[test]
fn a_closure_may_count_and_counts_by_split() {
    let mut count = 0;
    let every_second = Watermarks::punctuated(move |_: &i64, time: EventTime| {
        count += 1;
        (count % 2 == 0).then_some(time)
    });
    let records = [(0, 1), (1, 50), (0, 2), (1, 60), (0, 3), (0, 4)];
    check(&every_second, Quantum::EVERY, &records, &[(4, 2), (6, 4)]);
}

#[test]
fn the_slowest_split_decides_at_every_row() {
    let records = [(0, 10), (1, 5), (1, 7), (0, 20), (1, 15), (1, 40)];
    let expected = [(2, 4), (3, 6), (5, 14), (6, 19)];
    check(&Watermarks::ascending(), Quantum::EVERY, &records, &expected);
}

#[test]
fn advances_that_no_window_can_see_are_left_out() {
    let records = [(0, -1), (0, 0), (0, 999), (0, 1_000), (0, 1_001), (0, 3_500), (0, 3_999)];
    let second = Quantum::of_millis(1_000);
    check(&Watermarks::ascending(), second, &records, &[(1, -2), (2, -1), (4, 999), (6, 3_499)]);
    check(&Watermarks::ascending(), Quantum::NOTHING, &records, &[]);
}

#[test]
fn the_grid_of_two_windows_is_what_either_can_see() {
    let of = Quantum::of_millis;
    assert_eq!(of(1_000).and(of(300)), of(100));
    assert_eq!(of(1_000).and(Quantum::NOTHING), of(1_000));
    assert_eq!(of(1_000).and(Quantum::EVERY), Quantum::EVERY);
    let ends = [i64::MIN, i64::MIN + 1, -1_001, -1, 0, 998, 999, i64::MAX - 1];
    for seen in ends.map(EventTime::from_millis) {
        assert!(of(1_000).next_after(seen) > seen, "after {seen}");
    }
}

#[test]
fn reserved_times_do_not_wrap() {
    let records = [(0, i64::MIN), (0, i64::MIN + 1), (0, i64::MAX)];
    let bounded = Watermarks::bounded(ms(5));
    check(&bounded, Quantum::EVERY, &records, &[(3, i64::MAX - 6)]);
    let says_end = Watermarks::punctuated(|_: &i64, _| Some(EventTime::MAX));
    check(&says_end, Quantum::EVERY, &[(0, 1)], &[(1, i64::MAX - 1)]);
}

fn at(millis: i64) -> ProcessingTime {
    ProcessingTime::from_millis(millis)
}

fn two_splits(first: i64, second: i64) -> Generators<i64> {
    let watermarks = Watermarks::ascending().idle_after(ms(100));
    let mut generators = Generators::new(&watermarks, &SPLITS, Quantum::of_millis(1_000));
    for (split, time) in [(0, first), (1, second)] {
        let mut batch = Batch::default();
        batch.push(EventTime::from_millis(time), time);
        generators.on_records(split, &mut batch);
    }
    generators
}

fn settled(watermark: Option<i64>, became_idle: bool) -> Settled {
    Settled { watermark: watermark.map(EventTime::from_millis), became_idle }
}

#[test]
fn a_silent_split_is_left_out_once_its_reader_found_nothing_for_long_enough() {
    let mut generators = two_splits(5_500, 1_200);
    assert_eq!(
        (generators.settle(at(9_999)), generators.next_idle()),
        (settled(None, false), None)
    );
    generators.on_nothing(Some(1), at(10_000));
    assert_eq!(generators.next_idle(), Some(at(10_100)));
    assert_eq!(generators.settle(at(10_099)), settled(None, false));
    assert_eq!(generators.settle(at(10_100)), settled(Some(5_499), false));
    let mut batch = Batch::default();
    batch.push(EventTime::from_millis(1_300), 0);
    batch.push(EventTime::from_millis(9_000), 0);
    generators.on_records(1, &mut batch);
    assert!(batch.marks.is_empty(), "speaking again, it neither moves back nor ahead of the other");
}

#[test]
fn pending_advances_go_out_before_idleness_and_then_the_watermark_is_held() {
    let mut generators = two_splits(5_500, 5_700);
    let mut batch = Batch::default();
    batch.push(EventTime::from_millis(5_600), 0);
    generators.on_records(0, &mut batch);
    assert!(batch.marks.is_empty(), "no second has passed");
    generators.on_nothing(None, at(0));
    assert_eq!(generators.settle(at(100)), settled(Some(5_599), true));
    generators.on_nothing(None, at(200));
    assert_eq!(generators.settle(at(400)), settled(None, false), "told once");
    assert!(generators.is_idle());
    let mut batch = Batch::default();
    batch.push(EventTime::from_millis(5_600), 0);
    assert_eq!(generators.on_records(0, &mut batch), Some(true), "it was idle until now");
}

#[test]
fn a_split_that_speaks_again_is_as_far_as_it_was() {
    let mut generators = two_splits(500, 7_000);
    generators.on_nothing(None, at(0));
    assert_eq!(generators.settle(at(100)), settled(None, true), "held for the slower one");
    generators.on_end(0);
    let mut batch = Batch::default();
    batch.push(EventTime::from_millis(6_000), 0);
    generators.on_records(1, &mut batch);
    let marks: Vec<_> = batch.marks.iter().map(|m| (m.row, m.watermark.as_millis())).collect();
    assert_eq!(marks, [(0, 6_999)]);
}

#[test]
fn nobody_waits_for_a_split_that_has_ended() {
    let mut generators = two_splits(5_500, 1_200);
    generators.on_end(1);
    assert_eq!(generators.settle(at(0)), settled(Some(5_499), false));
    generators.on_end(0);
    assert_eq!(generators.settle(at(0)), settled(None, false), "the end is not idleness");
}

#[test]
fn records_of_a_foreign_split_are_refused() {
    let mut generators = two_splits(1, 1);
    assert_eq!(generators.on_records(7, &mut Batch::default()), None);
}

proptest! {
    /// Rule 3 as a person would check it: after every record, the least over the splits, if it has
    /// reached the end of another window.
    #[test]
    fn batches_of_any_size_are_marked_as_single_records_are(
        records in prop::collection::vec((0u32..2, -3_000i64..3_000), 1..80),
        rows in 1usize..30,
        (bound, step) in (0u64..500, prop_oneof![Just(1i64), Just(7), Just(1_000)]),
    ) {
        let splits = if records.iter().any(|record| record.0 == 1) { 2 } else { 1 };
        let mut greatest = [None; 2];
        let (mut marked, mut expected) = (None, Vec::new());
        for (number, &(split, time)) in (1u32..).zip(&records) {
            greatest[split as usize] = greatest[split as usize].max(Some(time));
            let Some(least) = greatest[..splits].iter().min().copied().flatten() else { continue };
            let watermark = least - bound as i64 - 1;
            let windows = |watermark: i64| (watermark + 1).div_euclid(step);
            if marked.is_none_or(|marked| windows(watermark) > windows(marked)) {
                marked = Some(watermark);
                expected.push((number, watermark));
            }
        }
        let bounded = Watermarks::bounded(ms(bound));
        prop_assert_eq!(marks(&bounded, Quantum::of_millis(step), (&records, rows)), expected);
    }
}
