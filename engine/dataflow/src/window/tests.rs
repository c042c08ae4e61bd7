//! The window operator, tried with small scripts: what goes in, what must come out, in order.
//! Nothing here looks inside the operator but its snapshot.
//! A script: `7@1500=2` a record (key, time, value), `^1999` a watermark, `/` the end of a batch,
//! `#1200` the clock, `end` the end of the input. Out come `7[1000,2000)=2`, `^1999`, `late 7@1500=2`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use slackwater_core::element::{Barrier, BarrierKind, Batch, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, VertexId};
use slackwater_core::key::{Key, KeyGroup};
use slackwater_core::time::{Clock, EventTime, ProcessingTime, ms};

use super::aggregate::{Sum, sum};
use super::{Pane, Tumbling, WindowStage, Windowing, tumbling};
use crate::operator::exit::Forward;
use crate::operator::{Context, Counts, Outputs, Progress, Stage, Step};
use crate::packet::Packet;
use crate::state::{Fork, Groups, Section, Share};

type Row = (u64, i64);
type SumStage = WindowStage<Row, u64, Sum<fn(&Row) -> i64, i64>, fn(&Row) -> u64>;

/// A window operator with someone who takes what it gives.
struct Rig {
    stage: SumStage,
    /// How many packets may wait before the operator should stop half-way.
    limit: usize,
    detail: Detail,
    now: i64,
    counts: Counts,
    facts: RefCell<Vec<Fact>>,
    out: Vec<String>,
    late: Vec<String>,
}

fn windowing(windows: Tumbling, clock: Clock, groups: Groups) -> Windowing {
    Windowing { uid: "w".into(), windows, clock, groups }
}

fn all_groups() -> Groups {
    Groups::of_subtask(0, 1, 128)
}

impl Rig {
    fn of(windowing: Windowing) -> Self {
        let key: fn(&Row) -> u64 = |row| row.0;
        let value: fn(&Row) -> i64 = |row| row.1;
        let (results, late) = (Box::new(Forward::new(0)), Box::new(Forward::new(1)));
        Self {
            stage: WindowStage::new(windowing, key, sum(value), results, late),
            limit: 8,
            detail: Detail::Flow,
            now: 0,
            counts: Counts::default(),
            facts: RefCell::default(),
            out: Vec::new(),
            late: Vec::new(),
        }
    }

    fn event(windows: Tumbling) -> Self {
        Self::of(windowing(windows, Clock::Event, all_groups()))
    }

    fn call(&mut self, call: impl FnOnce(&mut SumStage, &mut Context<'_>) -> Step) {
        let mut call = Some(call);
        for _ in 0..100_000 {
            let mut outputs = Outputs { limit: self.limit, ..Outputs::default() };
            let tell = |fact| self.facts.borrow_mut().push(fact);
            let told: (Detail, &dyn Fn(Fact)) = (self.detail, &tell);
            let now = ProcessingTime::from_millis(self.now);
            let mut cx = Context::new(task(), now, told, &mut outputs, &self.counts);
            let progress = match call.take() {
                Some(call) => call(&mut self.stage, &mut cx).map(|()| Progress::More),
                None => self.stage.resume(&mut cx),
            };
            assert!(outputs.pending.len() <= self.limit + 2, "the operator stops when it is full");
            for outgoing in std::mem::take(&mut outputs.pending) {
                self.take(outgoing.port, outgoing.packet);
            }
            if progress.expect("no operator here refuses") == Progress::Done {
                return;
            }
        }
        panic!("the operator comes to an end");
    }

    fn take(&mut self, port: u32, packet: Packet) {
        let out = if port == 0 { &mut self.out } else { &mut self.late };
        match packet {
            Packet::Signal(Signal::EndOfInput) => out.push("end".into()),
            Packet::Signal(signal) => out.push(format!("{signal:?}")),
            Packet::Batch(batch) if port == 0 => spell(*batch.downcast(), out, |time, pane| {
                let Pane::<u64, i64> { key, window, value } = pane;
                assert_eq!(time, window.last(), "a pane carries its window's last millisecond");
                format!("{key}[{},{})={value}", window.start, window.end)
            }),
            Packet::Batch(batch) => spell(*batch.downcast(), out, |time, (key, value): Row| {
                format!("late {key}@{time}={value}")
            }),
        }
    }

    fn run(&mut self, script: &str) -> String {
        let mut batch = Batch::default();
        for word in script.split_whitespace().chain(["/"]) {
            match (word, word.split_at(1)) {
                (_, ("^", watermark)) => batch.mark(millis(watermark)),
                (_, ("#", now)) => {
                    self.now = millis(now).as_millis();
                    if self.stage.next_timer().is_some_and(|at| at.as_millis() <= self.now) {
                        self.call(|stage, cx| stage.on_timers(cx));
                    }
                }
                ("/" | "end", _) => {
                    let batch = std::mem::take(&mut batch);
                    if !batch.is_empty() {
                        self.call(|stage, cx| stage.batch(batch, cx));
                    }
                    if word == "end" {
                        self.call(|stage, cx| stage.signal(Signal::EndOfInput, cx));
                    }
                }
                _ => {
                    let (key, rest) = word.split_once('@').expect("key@time=value");
                    let (time, value) = rest.split_once('=').expect("key@time=value");
                    batch.push(millis(time), (number(key) as u64, number(value)));
                }
            }
        }
        let panes = std::mem::take(&mut self.out).into_iter().filter(|line| !line.starts_with('^'));
        let late = std::mem::take(&mut self.late).into_iter().filter(|l| l.starts_with("late"));
        panes.chain(late).collect::<Vec<_>>().join(" ")
    }
}

fn spell<T>(batch: Batch<T>, out: &mut Vec<String>, show: impl Fn(EventTime, T) -> String) {
    assert!(batch.is_well_formed());
    let mut marks = batch.marks.iter().peekable();
    for (row, (time, value)) in (0u32..).zip(batch.times.into_iter().zip(batch.values)) {
        while let Some(mark) = marks.next_if(|mark| mark.row <= row) {
            out.push(format!("^{}", mark.watermark));
        }
        out.push(show(time, value));
    }
    out.extend(marks.map(|mark| format!("^{}", mark.watermark)));
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

fn millis(text: &str) -> EventTime {
    match text {
        "MAX" => EventTime::MAX,
        "MIN" => EventTime::MIN,
        text => EventTime::from_millis(number(text)),
    }
}

fn task() -> Execution {
    let subtask = Subtask { vertex: VertexId(0), index: 0 };
    Execution { job: JobId(1), epoch: JobEpoch(1), attempt: Attempt(1), subtask }
}

fn check(windows: Tumbling, script: &str, expected: &str) {
    assert_eq!(Rig::event(windows).run(script), expected, "{script}");
}

#[test]
fn a_window_fires_on_its_last_millisecond_and_not_before() {
    let second = tumbling(ms(1_000));
    check(second, "1@0=1 1@999=2 1@1000=4 ^998", "");
    check(second, "1@0=1 1@999=2 1@1000=4 ^999", "1[0,1000)=3");
    check(second, "1@0=1 ^998 1@999=2 ^999 1@1000=4 ^1998 /", "1[0,1000)=3");
    check(second, "1@0=1 1@1999=2 ^1999", "1[0,1000)=1 1[1000,2000)=2");
    check(second, "1@-1=1 1@0=2 1@-1000=4 ^-1", "1[-1000,0)=5");
    check(second.offset(ms(250)), "1@249=1 1@250=2 ^249 ^1249", "1[-750,250)=1 1[250,1250)=2");
}

#[test]
fn a_record_is_late_exactly_from_the_last_millisecond_on() {
    let second = tumbling(ms(1_000));
    check(second, "^998 1@0=1 ^999", "1[0,1000)=1");
    check(second, "^999 1@999=1 1@1000=2 ^MAX", "1[1000,2000)=2 late 1@999=1");
    check(second, "1@0=1 ^999 2@5=1 ^1500 1@998=1 1@1001=8 ^MAX", {
        "1[0,1000)=1 1[1000,2000)=8 late 2@5=1 late 1@998=1"
    });
    check(second, "^MAX 1@0=1", "late 1@0=1");
}

#[test]
fn a_watermark_between_two_rows_judges_the_second_only() {
    let second = tumbling(ms(1_000));
    check(second, "1@500=1 ^999 1@500=2", "1[0,1000)=1 late 1@500=2");
    check(second, "1@500=1 / ^999 / 1@500=2", "1[0,1000)=1 late 1@500=2");
}

#[test]
fn within_the_allowed_lateness_every_late_record_fires_its_key_again() {
    let kept = tumbling(ms(1_000)).allowed_lateness(ms(500));
    check(kept, "1@0=1 2@0=8 ^999 1@1=2 1@2=4 ^1498 1@3=8 ^1499 1@4=16", {
        "2[0,1000)=8 1[0,1000)=1 1[0,1000)=3 1[0,1000)=7 1[0,1000)=15 late 1@4=16"
    });
    check(kept, "^1000 1@1=2 ^MAX", "1[0,1000)=2");
    check(kept, "1@0=1 ^1499 1@0=2 ^MAX", "1[0,1000)=1 late 1@0=2");
}

#[test]
fn a_late_record_does_not_reopen_its_window() {
    let mut rig = Rig::event(tumbling(ms(1_000)));
    rig.run("1@0=1 ^999 1@5=1 1@1200=4 ^1999 1@1500=1 ^MAX");
    assert!(rig.stage.table.borrow().open().is_empty(), "nothing of a window remains");
    assert_eq!(rig.counts.late.get(), 2);
}

#[test]
fn no_bound_wraps_at_the_ends_of_time() {
    let (min, max) = (i64::MIN, i64::MAX);
    let script = format!("1@{max}=1 1@{}=2 1@{min}=4 1@{}=8 ^{} ^MAX", max - 1, min + 1, max - 1);
    let expected = format!("1[MIN,{})=12 1[{},MAX)=3", min + 808, max - max % 1_000);
    check(tumbling(ms(1_000)), &script, &expected);
    check(tumbling(ms(1_000)).allowed_lateness(ms(u64::MAX)), &script, &expected);
    let ones = format!("1[{},{})=12 1[{},MAX)=3", min + 1, min + 2, max - 1);
    check(tumbling(ms(1)), &script, &ones);
}

#[test]
fn firings_leave_by_end_then_key_group_then_key() {
    let mut keys: Vec<u64> = (0..40).collect();
    let records =
        |at: i64| keys.iter().rev().map(move |k| format!("{k}@{at}=1 ")).collect::<String>();
    let script = records(1_000) + &records(0) + "^MAX";
    let found = Rig::event(tumbling(ms(1_000))).run(&script);
    keys.sort_by_key(|key| (KeyGroup::of_hash(key.hash64(), 128), *key));
    let panes = |start: i64| keys.iter().map(move |k| format!("{k}[{start},{})=1", start + 1_000));
    assert_eq!(found, panes(0).chain(panes(1_000)).collect::<Vec<_>>().join(" "));
}

#[test]
fn watermarks_and_signals_leave_behind_what_they_fire_and_on_the_late_stream_too() {
    let mut rig = Rig::event(tumbling(ms(1_000)));
    rig.limit = 1;
    let mut batch = Batch::default();
    (0..3_000).for_each(|key| batch.push(EventTime::from_millis(0), (key, 1)));
    batch.mark(EventTime::from_millis(500));
    batch.mark(EventTime::from_millis(999));
    batch.push(EventTime::from_millis(0), (7, 1));
    rig.call(|stage, cx| stage.batch(batch, cx));
    rig.call(|stage, cx| stage.signal(Signal::Idle, cx));
    assert_eq!(rig.out.len(), 3_003);
    assert_eq!(rig.out[0], "^500");
    assert_eq!(rig.out[3_001..], ["^999", "Idle"]);
    assert_eq!(rig.late, ["^500", "^999", "late 7@0=1", "Idle"]);
}

#[test]
fn a_firing_tells_its_rows_once_and_late_records_are_told_by_the_batch() {
    let mut rig = Rig::event(tumbling(ms(1_000)));
    rig.limit = 1;
    let rows: String = (0..2_500).map(|key| format!("{key}@1=1 ")).collect();
    rig.run(&(rows + "^999 1@1=1 2@1=1 1@1001=5 / end"));
    let told: Vec<String> = rig.facts.take().iter().map(ToString::to_string).collect();
    let fields = |line: &String| line.split_whitespace().skip(3).collect::<Vec<_>>().join(" ");
    let told: Vec<String> = told.iter().map(fields).collect();
    assert_eq!(
        told,
        ["start=0 end=1000 rows=2500 records=2500", "rows=2 watermark=999", "records=1"]
    );
}

#[test]
fn whoever_wants_every_record_is_told_its_window() {
    let mut rig = Rig::event(tumbling(ms(1_000)));
    rig.detail = Detail::Records;
    let found = rig.run("1@1=1 1@2=1 ^999 1@3=1 1@1000=1");
    assert_eq!(found, "1[0,1000)=2 late 1@3=1");
    let windowed = |fact: &&Fact| matches!(fact, Fact::RecordWindowed { .. });
    assert_eq!(rig.facts.take().iter().filter(windowed).count(), 3);
}

#[test]
fn in_processing_time_the_clock_fires_and_nothing_is_late() {
    let windowing = || windowing(tumbling(ms(1_000)), Clock::Processing, all_groups());
    let run = |script: &str| Rig::of(windowing()).run(script);
    assert_eq!(run("#500 1@9=1 ^MAX 1@3=2 / #999 1@0=4 / #1000"), "1[0,1000)=7");
    assert_eq!(run("#999 1@0=1 / #1000 1@0=2 / end"), "1[0,1000)=1 end", "it was stopped");
    let ended = run("#999 1@0=1 / #1000 1@0=2 ^MAX / end");
    assert_eq!(ended, "1[0,1000)=1 1[1000,2000)=2 end");
    let mut drained = Rig::of(windowing());
    drained.run("#500 1@0=1 /");
    let kind = BarrierKind::StopWithSavepoint { drain: true };
    let barrier = Signal::Barrier(Barrier { checkpoint: CheckpointId(3), kind });
    drained.call(|stage, cx| stage.signal(barrier, cx));
    assert!(drained.out[0] == "1[0,1000)=1" && drained.out.len() == 2, "{:?}", drained.out);
    let mut late = Rig::of(windowing());
    late.run("#500 1@0=1 /");
    assert_eq!(late.stage.next_timer(), Some(ProcessingTime::from_millis(1_000)));
    late.now = 5_500;
    assert_eq!(late.run("1@0=2 /"), "1[0,1000)=1", "a timer overslept fires before the batch");
    assert_eq!(late.stage.next_timer(), Some(ProcessingTime::from_millis(6_000)));
}

#[test]
fn a_record_of_another_subtasks_group_is_refused() {
    let groups = Groups::of_subtask(1, 2, 128);
    let foreign = (0..).find(|key: &u64| groups.position(key.hash64()) >= groups.len());
    let mut rig = Rig::of(windowing(tumbling(ms(1_000)), Clock::Event, groups));
    let (mut outputs, tell) = (Outputs::default(), |_| {});
    let told: (Detail, &dyn Fn(Fact)) = (Detail::Off, &tell);
    let now = ProcessingTime::from_millis(0);
    let mut cx = Context::new(task(), now, told, &mut outputs, &rig.counts);
    let mut batch = Batch::default();
    batch.push(EventTime::from_millis(0), (foreign.expect("half of them"), 1));
    let error = rig.stage.batch(batch, &mut cx).expect_err("refused");
    assert!(error.to_string().contains("key group of another subtask"), "{error}");
}

/// What goes in, element by element.
#[derive(Clone, Debug)]
enum Fed {
    Row(u64, i64),
    Mark(i64),
}

fn steps() -> impl Strategy<Value = Vec<Fed>> {
    let row = (0u64..12, -3_000i64..9_000).prop_map(|(key, time)| Fed::Row(key, time));
    let mark = (-3_000i64..9_000).prop_map(Fed::Mark);
    let mut steps = prop::collection::vec(prop_oneof![4 => row, 1 => mark], 0..120).boxed();
    steps = steps
        .prop_map(|mut steps| {
            // Time goes by on the whole, so that many windows open, fire and go.
            let count = steps.len().max(1) as i64;
            for (index, step) in steps.iter_mut().enumerate() {
                let drift = index as i64 * 12_000 / count;
                match step {
                    Fed::Row(_, time) => *time = *time / 2 + drift,
                    Fed::Mark(time) => *time = *time / 2 + drift - 2_000,
                }
            }
            steps
        })
        .boxed();
    steps
}

/// The same rules, written down as plainly as possible: one element at a time.
#[derive(Default)]
struct Model {
    open: BTreeMap<i64, BTreeMap<(KeyGroup, u64), i64>>,
    watermark: Option<i64>,
    out: Vec<String>,
    late: Vec<String>,
}

impl Model {
    fn step(&mut self, (size, offset, lateness): (i64, i64, i64), step: &Fed) {
        let watermark = self.watermark.unwrap_or(i64::MIN);
        match *step {
            Fed::Row(key, time) => {
                let start = time - (time - offset).rem_euclid(size);
                let last = start + size - 1;
                if last + lateness <= watermark {
                    return self.late.push(format!("late {key}@{time}={time}"));
                }
                let group = KeyGroup::of_hash(key.hash64(), 128);
                let sum = self.open.entry(start).or_default().entry((group, key)).or_default();
                *sum += time;
                if last <= watermark {
                    self.out.push(format!("{key}[{start},{})={sum}", last + 1));
                }
            }
            Fed::Mark(mark) if mark > watermark => {
                self.watermark = Some(mark);
                for (start, keys) in &self.open {
                    let last = start + size - 1;
                    if last > watermark && last <= mark {
                        let pane = |((_, key), sum): (&(KeyGroup, u64), &i64)| {
                            format!("{key}[{start},{})={sum}", last + 1)
                        };
                        self.out.extend(keys.iter().map(pane));
                    }
                }
                self.open.retain(|start, _| start + size - 1 + lateness > mark);
            }
            Fed::Mark(_) => {}
        }
    }
}

/// Feeds `steps` in batches of the given sizes, in turn.
fn feed(rig: &mut Rig, steps: &[Fed], sizes: &[usize]) {
    let (mut batch, mut sizes, mut left) = (Batch::default(), sizes.iter().cycle(), 0);
    let mut greatest = EventTime::MIN;
    for step in steps {
        match *step {
            Fed::Row(key, time) => batch.push(EventTime::from_millis(time), (key, time)),
            // A gate passes on only what advances.
            Fed::Mark(time) => {
                greatest = greatest.max(EventTime::from_millis(time));
                batch.mark(greatest);
            }
        }
        if left == 0 {
            let batch = std::mem::take(&mut batch);
            rig.call(|stage, cx| stage.batch(batch, cx));
            left = *sizes.next().expect("a cycle does not end");
        } else {
            left -= 1;
        }
    }
    rig.call(|stage, cx| stage.batch(batch, cx));
}

fn kept(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| !line.starts_with('^')).collect()
}

proptest! {
    #[test]
    fn batches_of_any_size_give_what_single_elements_give(
        steps in steps(),
        sizes in prop::collection::vec(0usize..40, 1..6),
        limit in 1usize..4,
        (size, offset, lateness) in (1i64..1_500, 0i64..2_000, prop_oneof![Just(0i64), 0i64..1_500]),
    ) {
        let span = |millis: i64| ms(millis as u64);
        let windows = tumbling(span(size)).offset(span(offset)).allowed_lateness(span(lateness));
        let mut rig = Rig::event(windows);
        rig.limit = limit;
        feed(&mut rig, &steps, &sizes);
        let mut model = Model::default();
        steps.iter().for_each(|step| model.step((size, offset, lateness), step));
        prop_assert_eq!(kept(&rig.out), kept(&model.out));
        prop_assert_eq!(kept(&rig.late), kept(&model.late));
    }

    #[test]
    fn a_restore_at_any_point_and_parallelism_changes_nothing_of_what_comes(
        steps in steps(),
        cut in 0usize..120,
        lateness in prop_oneof![Just(0i64), Just(700)],
    ) {
        let windows = tumbling(ms(500)).allowed_lateness(ms(lateness as u64));
        let (before, after) = steps.split_at(cut.min(steps.len()));
        let mut whole = Rig::event(windows);
        feed(&mut whole, before, &[7]);
        let sections = whole.stage.snapshot().expect("serializable");
        whole.out.clear();
        whole.late.clear();
        feed(&mut whole, after, &[7]);
        for parallelism in [1, 3] {
            let mut parts = restored(windows, parallelism, &sections);
            let again: Vec<Section> =
                parts.iter().flat_map(|rig| rig.stage.snapshot().expect("serializable")).collect();
            prop_assert_eq!(&by_name(again), &by_name(sections.clone()), "byte for byte");
            for rig in &mut parts {
                let groups = rig.stage.windowing.groups.clone();
                let ours = |step: &&Fed| match step {
                    Fed::Row(key, _) => groups.position(key.hash64()) < groups.len(),
                    Fed::Mark(_) => true,
                };
                let after: Vec<Fed> = after.iter().filter(ours).cloned().collect();
                feed(rig, &after, &[5]);
            }
            let sorted = |lines: Vec<&String>| {
                let mut lines: Vec<String> = lines.into_iter().cloned().collect();
                lines.sort();
                lines
            };
            let out = parts.iter().flat_map(|rig| kept(&rig.out)).collect();
            let late = parts.iter().flat_map(|rig| kept(&rig.late)).collect();
            prop_assert_eq!(sorted(out), sorted(kept(&whole.out)));
            prop_assert_eq!(sorted(late), sorted(kept(&whole.late)));
        }
    }
}

fn restored(windows: Tumbling, parallelism: u32, sections: &[Section]) -> Vec<Rig> {
    let rig = |index| {
        let groups = Groups::of_subtask(index, parallelism, 128);
        let mut rig = Rig::of(windowing(windows, Clock::Event, groups));
        rig.stage.restore_sections(sections).expect("restores");
        rig
    };
    (0..parallelism).map(rig).collect()
}

fn by_name(sections: Vec<Section>) -> BTreeMap<(String, Share), Vec<u8>> {
    sections.into_iter().map(|s| ((s.state, s.share), s.bytes)).collect()
}

#[test]
fn state_goes_from_one_subtask_to_three_to_two_and_back_unchanged() {
    let windows = tumbling(ms(1_000)).allowed_lateness(ms(1_000));
    let mut one = Rig::event(windows);
    let rows =
        |at: i64| (0..2_000).map(move |key| format!("{key}@{at}={key} ")).collect::<String>();
    one.run(&(rows(0) + &rows(1_500) + "^999 " + &rows(2_500)));
    let sections = one.stage.snapshot().expect("serializable");
    assert_eq!(sections.len(), 3 * 128, "every group has windows, counts and a watermark");
    let mut moved = sections.clone();
    for parallelism in [3, 2, 1] {
        let parts = restored(windows, parallelism, &moved);
        assert_eq!(parts.iter().map(|rig| rig.stage.table.borrow().waiting()).sum::<u64>(), 4_000);
        moved =
            parts.iter().flat_map(|r| r.stage.snapshot().expect("serializable")).rev().collect();
    }
    assert_eq!(by_name(moved), by_name(sections));
}

#[test]
fn the_order_of_arrival_leaves_no_trace_in_the_bytes() {
    let rows = |keys: &mut dyn Iterator<Item = u64>| {
        let mut rig = Rig::event(tumbling(ms(1_000)));
        let script: String = keys.map(|key| format!("{key}@{}={key} ", key % 3_000)).collect();
        rig.run(&script);
        rig.stage.snapshot().expect("serializable")
    };
    assert_eq!(rows(&mut (0..400)), rows(&mut (0..400).rev()));
}

#[test]
fn state_of_another_window_size_is_refused_by_name() {
    let mut rig = Rig::event(tumbling(ms(1_000)));
    rig.run("1@0=1");
    let sections = rig.stage.snapshot().expect("serializable");
    let mut other = Rig::event(tumbling(ms(2_000)));
    let error = other.stage.restore_sections(&sections).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "state \"windows\", key group 115, of operator \"w\": written for the window [0, 1000), \
         which is none of these: keep the size and the offset, or give the operator another uid"
    );
    assert!(other.stage.table.borrow().open().is_empty(), "what was refused leaves nothing behind");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_fork_is_the_state_of_its_moment_whatever_comes_in_and_fires_meanwhile(
        steps in steps(),
        cut in 0usize..80,
        lateness in prop::sample::select(vec![0, 1_500]),
        slices in prop::collection::vec(0usize..9, 120),
        second in any::<bool>(),
    ) {
        let windows = tumbling(ms(1_000)).allowed_lateness(ms(lateness));
        let (before, after) = steps.split_at(cut.min(steps.len()));
        let mut rig = Rig::event(windows);
        feed(&mut rig, before, &[7]);
        let expected = rig.stage.snapshot().expect("serializable");
        let mut fork = rig.stage.fork().expect("a fork");
        let mut given = Vec::new();
        let mut read = |fork: &mut dyn Fork, slices: usize| {
            for _ in 0..slices {
                let Some(slice) = fork.next_section() else { return false };
                given.extend(slice.expect("serializable"));
            }
            true
        };
        let mut later = None;
        for (index, step) in after.iter().enumerate() {
            feed(&mut rig, std::slice::from_ref(step), &[1]);
            read(&mut *fork, slices[index]);
            if second && index == 10 {
                // Nobody should, but a second one may be made while the first is read.
                let expected = restored(windows, 1, &rig.stage.snapshot().expect("serializable"));
                later = Some((rig.stage.fork().expect("a fork"), expected));
            }
        }
        while read(&mut *fork, 1) {}
        prop_assert_eq!(given, expected);
        if let Some((mut fork, copies)) = later {
            let expected = copies[0].stage.snapshot().expect("serializable");
            prop_assert_eq!(crate::state::sections(&mut *fork).expect("serializable"), expected);
        }
    }
}
