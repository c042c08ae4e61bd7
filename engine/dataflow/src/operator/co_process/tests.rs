//! Connected streams in tables and against a model: order, watermarks, restarts, other parallelisms.
//! No cluster and no clock; what a cluster makes of the same graph is tried in `tests/`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use slackwater_core::element::{Batch, Signal};
use slackwater_core::time::EventTime;

use super::{KeyedCoProcess, KeyedContext};
use crate::harness::{CoHarness, Element};
use crate::stream::Stream;

type Reading = (String, i64);
type Factor = (u8, String, i64);

/// Each value times the last factor of its key; a factor that is odd is told on as well.
#[derive(Clone)]
struct Times;

impl KeyedCoProcess<Reading, Factor> for Times {
    type State = i64;
    type Out = Reading;

    fn init(&self) -> i64 {
        0
    }

    fn left(&mut self, (key, value): Reading, cx: &mut KeyedContext<'_, i64, Reading>) {
        cx.emit((key, value * *cx.state));
    }

    fn right(&mut self, (_, key, factor): Factor, cx: &mut KeyedContext<'_, i64, Reading>) {
        *cx.state = factor;
        if factor % 2 != 0 {
            cx.emit((key, -factor));
        }
    }
}

fn times(readings: &Stream<Reading>, factors: &Stream<Factor>) -> Stream<Reading> {
    let readings = readings.key_by(|(key, _)| key.clone());
    readings.connect(&factors.key_by(|(_, key, _)| key.clone())).process("times", Times)
}

type Times2 = CoHarness<Reading, Factor, Reading>;

fn harness() -> Times2 {
    CoHarness::new(|readings, factors| times(&readings, &factors))
}

fn reading(key: &str, value: i64) -> Reading {
    (key.to_owned(), value)
}

fn factor(key: &str, value: i64) -> Factor {
    (0, key.to_owned(), value)
}

#[test]
fn a_record_meets_what_the_other_side_has_told_for_its_key_before_it() {
    let mut h = harness();
    h.left().element(1, reading("a", 7));
    assert_eq!(h.take_records(), [(1, reading("a", 0))], "nothing was told yet");
    h.right().element(2, factor("a", 2)).element(2, factor("b", 4));
    assert_eq!(h.take_records(), []);
    h.left().element(3, reading("a", 7)).element(4, reading("b", 7)).element(5, reading("c", 7));
    let expected = [(3, reading("a", 14)), (4, reading("b", 28)), (5, reading("c", 0))];
    assert_eq!(h.take_records(), expected);
    h.right().element(6, factor("a", 3));
    assert_eq!(h.take_records(), [(6, reading("a", -3))], "with its own timestamp");
}

#[test]
fn the_watermark_is_the_lesser_of_both_sides_without_those_that_are_silent() {
    let mut h = harness();
    let seen = |h: &mut Times2| {
        let seen = h.take().into_iter().map(|element| match element {
            Element::Watermark(at) => at.as_millis(),
            Element::Signal(Signal::Idle) => -1,
            Element::Signal(Signal::Active) => -2,
            other => panic!("{other:?}"),
        });
        seen.collect::<Vec<_>>()
    };
    h.left().watermark(10);
    assert_eq!(seen(&mut h), [] as [i64; 0], "the right side has said nothing");
    h.right().watermark(4);
    assert_eq!(seen(&mut h), [4]);
    h.right().signal(Signal::Idle);
    assert_eq!(seen(&mut h), [10], "an idle side holds up nobody");
    h.left().watermark(20);
    assert_eq!(seen(&mut h), [20]);
    h.right().signal(Signal::Active).watermark(15);
    assert_eq!(seen(&mut h), [] as [i64; 0], "it never goes back");
    h.left().watermark(30);
    assert_eq!(seen(&mut h), [] as [i64; 0], "the right side counts again");
    h.left().signal(Signal::Idle);
    assert_eq!(seen(&mut h), [] as [i64; 0]);
    h.right().signal(Signal::Idle);
    assert_eq!(seen(&mut h), [-1], "nobody speaks: it is held");
    h.left().signal(Signal::Active);
    assert_eq!(seen(&mut h), [-2, 30]);
    h.right().end();
    h.left().watermark(40);
    assert_eq!(seen(&mut h), [-2, 40][1..], "what has ended counts as absent");
    h.left().end();
    let last = h.take();
    let ends = [Element::Watermark(EventTime::MAX), Element::Signal(Signal::EndOfInput)];
    assert_eq!(last, ends);
}

#[test]
fn marks_keep_their_place_between_the_records_of_a_batch() {
    let mut h = harness();
    h.right().element(1, factor("a", 2)).signal(Signal::Idle);
    let mut batch = Batch::default();
    batch.push(EventTime::from_millis(1), reading("a", 1));
    batch.mark(EventTime::from_millis(1));
    batch.push(EventTime::from_millis(5), reading("a", 2));
    batch.mark(EventTime::from_millis(4));
    h.left().batch(batch);
    let at = EventTime::from_millis;
    let expected = [
        Element::Record(at(1), reading("a", 2)),
        Element::Watermark(at(1)),
        Element::Record(at(5), reading("a", 4)),
        Element::Watermark(at(4)),
    ];
    assert_eq!(h.take(), expected);
}

#[test]
fn a_snapshot_holds_what_both_sides_brought_and_needs_no_side_that_has_ended() {
    let mut h = harness();
    h.right().element(1, factor("a", 2)).element(1, factor("b", 4)).end();
    let snapshot = h.snapshot();
    let mut other = harness();
    other.restore(&snapshot).left().element(2, reading("a", 5)).element(3, reading("b", 5));
    assert_eq!(other.output(), [reading("a", 10), reading("b", 20)]);
}

#[test]
fn a_state_of_another_name_and_type_is_taken_up_as_it_was_declared() {
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    struct Told {
        factor: i64,
        times: u32,
    }
    #[derive(Clone)]
    struct Counting;
    impl KeyedCoProcess<Reading, Factor> for Counting {
        type State = Told;
        type Out = Reading;
        fn init(&self) -> Told {
            Told::default()
        }
        fn left(&mut self, (key, value): Reading, cx: &mut KeyedContext<'_, Told, Reading>) {
            cx.emit((key, value * cx.state.factor + i64::from(cx.state.times)));
        }
        fn right(&mut self, (_, _, factor): Factor, cx: &mut KeyedContext<'_, Told, Reading>) {
            *cx.state = Told { factor, times: cx.state.times + 1 };
        }
    }
    let mut old = harness();
    old.right().element(1, factor("a", 2));
    let mut new = CoHarness::new(|readings: Stream<Reading>, factors: Stream<Factor>| {
        let readings = readings.key_by(|(key, _)| key.clone());
        readings
            .connect(&factors.key_by(|(_, key, _)| key.clone()))
            .process("counting", Counting)
            .was("times")
            .migrate(|factor: i64| Told { factor, times: 100 })
    });
    new.restore(&old.snapshot()).left().element(2, reading("a", 5)).element(2, reading("b", 5));
    assert_eq!(new.output(), [reading("a", 110), reading("b", 0)]);
}

/// What befalls an operator.
#[derive(Clone, Debug)]
enum Deed {
    Left(u8, i64),
    Right(u8, i64),
    Watermark(bool, i64),
    Idle(bool),
    Restart,
    Rescale(u32),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (0..12u8, -5..5i64).prop_map(|(key, value)| Deed::Left(key, value)),
        3 => (0..12u8, -5..5i64).prop_map(|(key, value)| Deed::Right(key, value)),
        1 => (any::<bool>(), 0..50i64).prop_map(|(left, by)| Deed::Watermark(left, by)),
        1 => any::<bool>().prop_map(Deed::Idle),
        1 => Just(Deed::Restart),
        1 => prop_oneof![Just(1u32), Just(2), Just(4), Just(8)].prop_map(Deed::Rescale),
    ];
    prop::collection::vec(deed, 0..60)
}

/// The same by hand: one map, no groups, no batches.
#[derive(Default)]
struct Model {
    factors: BTreeMap<u8, i64>,
    out: Vec<(i64, Reading)>,
}

impl Model {
    fn take(&mut self, at: i64, deed: &Deed) {
        match *deed {
            Deed::Left(key, value) => {
                let told = self.factors.get(&key).copied().unwrap_or_default();
                self.out.push((at, (key.to_string(), value * told)));
            }
            Deed::Right(key, value) => {
                self.factors.insert(key, value);
                if value % 2 != 0 {
                    self.out.push((at, (key.to_string(), -value)));
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn whatever_befalls_it_it_does_what_the_model_does(deeds in deeds()) {
        let mut h = CoHarness::with(
            |env| { env.max_parallelism(8); },
            |readings, factors| times(&readings, &factors),
        );
        let (mut model, mut come) = (Model::default(), [0; 2]);
        for (at, deed) in (1_000i64..).zip(&deeds) {
            model.take(at, deed);
            match *deed {
                Deed::Left(key, value) => { h.left().element(at, (key.to_string(), value)); }
                Deed::Right(key, value) => { h.right().element(at, (0, key.to_string(), value)); }
                Deed::Watermark(left, by) => {
                    let come = &mut come[usize::from(left)];
                    *come += by;
                    if left { h.left().watermark(*come); } else { h.right().watermark(*come); }
                }
                Deed::Idle(left) if left => { h.left().signal(Signal::Idle); }
                Deed::Idle(_) => { h.right().signal(Signal::Idle); }
                Deed::Restart => { h.snapshot_and_restore(); }
                Deed::Rescale(to) => { h.rescale(to); }
            }
        }
        prop_assert_eq!(h.take_records(), model.out);
    }
}

#[test]
fn a_state_goes_with_its_key_from_one_subtask_to_four_to_two() {
    let mut h = harness();
    let keys: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    for (n, key) in (1i64..).zip(&keys) {
        h.right().element(n, factor(key, 2 * n));
    }
    for parallelism in [4, 2] {
        h.rescale(parallelism);
        for (n, key) in (1i64..).zip(&keys) {
            h.left().element(n, reading(key, 10));
            assert_eq!(h.output(), [reading(key, 20 * n)], "at parallelism {parallelism}");
        }
    }
}
