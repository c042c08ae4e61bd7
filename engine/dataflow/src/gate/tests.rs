//! The rules of merging, as tables: channels on the left, what the gate answers on the right.
//! No clock and no runtime: packets are handed in. The rules themselves are in [`super`].

use std::collections::VecDeque;

use proptest::prelude::*;
use slackwater_core::element::{BarrierKind, Batch, LatencyMarker, Mark};
use slackwater_core::id::Subtask;
use slackwater_core::time::ProcessingTime;

use super::*;

/// Plays steps `channel:what` over as many channels as are named and compares what each step lets
/// through. `what` is a watermark, `MAX`, `idle`, `active`, `end`, `row`, `#3` for the barrier of
/// checkpoint 3, `!3` for that of a savepoint with which the job stops, `abort 3`, or `halt`; `-` lets
/// nothing through.
fn check(steps: &str, expected: &str) {
    let channel = |step: &str| usize::from(step.as_bytes()[0] - b'a');
    let steps: Vec<_> = steps.split(" | ").map(str::trim).collect();
    let channels = steps.iter().map(|step| channel(step)).max().expect("a step") + 1;
    let mut gate = Gate::new(channels);
    let passed: Vec<_> = steps
        .iter()
        .map(|step| {
            let mut out = Vec::new();
            match step[2..].strip_prefix("abort ") {
                Some(number) => drop(gate.abort(checkpoint(number))),
                None if step.ends_with(":halt") => gate.halt(),
                None => gate.accept(channel(step), packet(&step[2..]), &mut out),
            }
            shown(out)
        })
        .collect();
    let expected: Vec<_> = expected.split(" | ").map(str::trim).collect();
    assert_eq!(passed, expected);
}

fn checkpoint(number: &str) -> CheckpointId {
    CheckpointId(number.parse().expect("a number"))
}

fn packet(what: &str) -> Packet {
    match what {
        what if what.starts_with('#') => Packet::Signal(Signal::Barrier(Barrier {
            checkpoint: checkpoint(&what[1..]),
            kind: BarrierKind::Checkpoint,
        })),
        what if what.starts_with('!') => Packet::Signal(Signal::Barrier(Barrier {
            checkpoint: checkpoint(&what[1..]),
            kind: BarrierKind::StopWithSavepoint { drain: false },
        })),
        "idle" => Packet::Signal(Signal::Idle),
        "active" => Packet::Signal(Signal::Active),
        "end" => Packet::Signal(Signal::EndOfInput),
        "row" => {
            let mut batch = Batch::default();
            batch.push(EventTime::from_millis(0), ());
            Packet::Batch(AnyBatch::new(batch))
        }
        "MAX" => Packet::Batch(AnyBatch::of_watermark(EventTime::MAX)),
        time => {
            let time = EventTime::from_millis(time.parse().expect("a watermark"));
            Packet::Batch(AnyBatch::of_watermark(time))
        }
    }
}

fn shown(packets: Vec<Packet>) -> String {
    let show = |packet| match packet {
        Packet::Signal(Signal::EndOfInput) => "end".to_owned(),
        Packet::Signal(Signal::Barrier(barrier)) => format!("#{}", barrier.checkpoint.0),
        Packet::Signal(signal) => format!("{signal:?}").to_lowercase(),
        Packet::Batch(mut batch) => {
            let rows = std::iter::repeat_n("row".to_owned(), batch.rows());
            let marks: Vec<_> = batch.marks_mut().iter().map(|m| m.watermark.to_string()).collect();
            rows.chain(marks).collect::<Vec<_>>().join(" ")
        }
    };
    let shown: Vec<_> = packets.into_iter().map(show).collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(" ") }
}

#[test]
fn the_slowest_channel_holds_the_watermark_back() {
    check("a:10 | b:4 | a:12 | b:7 | b:idle", "- | 4 | - | 7 | 12");
    check("a:10 | c:10 | b:3 | b:11", "- | - | 3 | 10");
}

#[test]
fn a_watermark_that_does_not_advance_is_ignored() {
    check("a:5 | a:5 | a:3 | a:6", "5 | - | - | 6");
    check("a:5 | b:9 | b:7 | a:20", "- | 5 | - | 9");
}

#[test]
fn idle_channels_are_left_out_and_active_ones_never_move_it_back() {
    check("a:5 | b:idle | a:9 | b:2 | a:12 | b:11", "- | 5 | 9 | - | - | 11");
    check("b:idle | a:9 | b:active | a:12 | b:row | b:10", "- | 9 | - | - | row | 10");
}

#[test]
fn if_all_are_idle_the_watermark_is_held_and_idleness_goes_on() {
    check("a:5 | b:8 | a:idle | b:idle | b:row", "- | 5 | 8 | idle | active row");
    check("a:idle | b:idle | a:active | b:active", "- | idle | active | -");
    check("a:idle | a:idle | a:4", "idle | - | active 4");
    check("a:7 | a:idle | b:idle | a:active", "- | - | idle | active 7");
}

#[test]
fn finished_channels_count_as_absent_until_all_are_finished() {
    check("a:5 | b:3 | a:MAX | a:end | b:4 | b:MAX | b:end", "- | 3 | - | - | 4 | MAX | end");
    check("a:5 | b:3 | b:end | a:9 | a:end", "- | 3 | 5 | 9 | end");
}

#[test]
fn behind_the_savepoint_with_which_a_job_stops_the_end_of_a_channel_moves_no_watermark() {
    check("a:5 | b:9 | a:!1 | b:!1 | a:end | b:end", "- | 5 | - | #1 | - | end");
    check("a:5 | b:9 | c:idle | a:!1 | b:!1 | c:!1 | a:end | b:end", {
        "- | - | 5 | - | - | #1 | - | idle"
    });
    // Taken back: the job goes on, and whoever ends now has come to the end of its time.
    check("a:5 | b:9 | a:!1 | b:!1 | a:abort 1 | a:end", "- | 5 | - | #1 | - | 9");
    // It had stopped in an earlier attempt.
    check(
        "a:halt | a:5 | b:9 | a:abort 1 | a:#2 | b:#2 | a:end | b:end",
        "- | - | 5 | - | - | #2 | - | end",
    );
}

#[test]
fn the_end_of_all_who_speak_is_not_the_end_for_those_who_are_idle() {
    check(
        "a:5 | b:idle | a:MAX | a:end | b:row | b:8 | b:MAX | b:end",
        "- | 5 | - | idle | active row | 8 | MAX | end",
    );
    check("a:idle | b:end | a:MAX | a:end", "- | idle | active MAX | end");
}

#[test]
fn marks_within_a_batch_pass_behind_the_row_that_allows_them() {
    let mut gate = Gate::new(2);
    let mut out = Vec::new();
    gate.accept(1, packet("20"), &mut out);
    assert!(out.is_empty());
    let mut batch = Batch::default();
    for (time, watermark) in [(11, 10), (16, 15), (26, 25), (31, 30)] {
        batch.push(EventTime::from_millis(time), time);
        batch.mark(EventTime::from_millis(watermark));
    }
    gate.accept(0, Packet::Batch(AnyBatch::new(batch)), &mut out);
    let Some(Packet::Batch(merged)) = out.pop() else { panic!("a batch") };
    let marks: Vec<Mark> = merged.downcast::<i64>().marks;
    let marks: Vec<_> = marks.iter().map(|mark| (mark.row, mark.watermark.as_millis())).collect();
    assert_eq!(marks, [(1, 10), (2, 15), (3, 20)], "the fourth row changes nothing");
}

#[test]
fn latency_markers_pass_and_change_nothing() {
    let source = Subtask { vertex: slackwater_core::id::VertexId(0), index: 0 };
    let sent = ProcessingTime::from_millis(7);
    let marker = Signal::Latency(LatencyMarker { source, sent });
    let (mut gate, mut out) = (Gate::new(2), Vec::new());
    gate.accept(0, packet("idle"), &mut out);
    gate.accept(0, Packet::Signal(marker), &mut out);
    assert!(matches!(out.as_slice(), [Packet::Signal(passed)] if *passed == marker));
    assert!(!gate.is_idle());
}

/// One packet of a channel, as a generator of tests makes it.
#[derive(Copy, Clone, Debug)]
enum Brings {
    Row,
    Watermark(i64),
    Idle,
    Active,
    End,
}

fn brings() -> impl Strategy<Value = Brings> {
    prop_oneof![
        2 => Just(Brings::Row),
        6 => prop_oneof![8 => 0i64..50, 1 => Just(i64::MAX)].prop_map(Brings::Watermark),
        2 => Just(Brings::Idle),
        1 => Just(Brings::Active),
        1 => Just(Brings::End),
    ]
}

/// What a person would say of three channels: their watermarks, and how they are.
#[derive(Default)]
struct Told {
    channels: Vec<(i64, &'static str)>,
    merged: i64,
}

impl Told {
    fn all(&self, is: impl Fn(&(i64, &str)) -> bool) -> bool {
        self.channels.iter().all(is)
    }

    /// Looks at every channel.
    fn look(&mut self) {
        let speaking = self.channels.iter().filter(|c| c.1 == "active").map(|c| c.0).min();
        let ended = self.all(|c| c.0 == i64::MAX || c.1 == "finished");
        if let Some(least) = speaking.filter(|least| *least < i64::MAX || ended) {
            self.merged = self.merged.max(least);
        }
    }

    fn hear(&mut self, channel: usize, what: Brings) {
        self.channels[channel].1 = match what {
            Brings::Idle => "idle",
            Brings::End => "finished",
            _ => "active",
        };
        self.look();
        if let Brings::Watermark(watermark) = what {
            self.channels[channel].0 = self.channels[channel].0.max(watermark);
            self.look();
        }
    }
}

proptest! {
    /// Rule 4, held against what a person would say after every packet.
    #[test]
    fn the_watermark_is_the_least_of_those_who_speak(
        steps in prop::collection::vec((0usize..3, brings()), 1..60),
    ) {
        let mut gate = Gate::new(3);
        let mut told = Told { channels: vec![(i64::MIN, "active"); 3], merged: i64::MIN };
        let (mut rows_in, mut rows_out, mut ends) = (0, 0, 0);
        for (channel, what) in steps {
            if told.channels[channel].1 == "finished" {
                continue;
            }
            let mut out = Vec::new();
            let brought = packet(&match what {
                Brings::Row => "row".to_owned(),
                Brings::Watermark(i64::MAX) => "MAX".to_owned(),
                Brings::Watermark(watermark) => watermark.to_string(),
                Brings::Idle => "idle".to_owned(),
                Brings::Active => "active".to_owned(),
                Brings::End => "end".to_owned(),
            });
            gate.accept(channel, brought, &mut out);
            told.hear(channel, what);
            rows_in += usize::from(matches!(what, Brings::Row));
            let mut passed = Vec::new();
            for packet in out {
                match packet {
                    Packet::Batch(mut batch) => {
                        rows_out += batch.rows();
                        passed.extend(batch.marks_mut().iter().map(|mark| mark.watermark));
                    }
                    Packet::Signal(Signal::EndOfInput) => ends += 1,
                    Packet::Signal(_) => {}
                }
            }
            prop_assert_eq!(rows_in, rows_out, "no record is held or lost");
            prop_assert_eq!(gate.watermark().as_millis(), told.merged);
            prop_assert!(passed.last().is_none_or(|last| *last == gate.watermark()));
            prop_assert!(passed.is_sorted());
            let finished = told.all(|c| c.1 == "finished");
            prop_assert_eq!(ends, usize::from(finished));
            prop_assert_eq!(gate.is_idle(), told.all(|c| c.1 != "active") && !finished);
        }
    }
}

#[test]
fn a_barrier_passes_when_every_channel_has_delivered_it() {
    check("a:#1 | b:#1", "- | #1");
    check("a:#1 | b:row | c:#1 | b:7 | b:#1 | b:9", "- | row | - | - | #1 | -");
    check("a:#1 | b:#1 | b:#2 | a:row | a:#2", "- | #1 | - | row | #2");
}

#[test]
fn idle_channels_deliver_barriers_and_stay_idle() {
    check("a:5 | b:idle | b:#1 | a:#1 | a:6", "- | 5 | - | #1 | 6");
    check("a:idle | b:idle | a:#1 | b:#1 | b:row", "- | idle | - | #1 | active row");
}

#[test]
fn nobody_waits_for_the_barrier_of_a_finished_channel() {
    check("a:end | b:#1", "- | #1");
    check("a:#1 | b:end", "- | #1");
    check("a:5 | a:#1 | b:3 | c:9 | c:#1 | b:end", "- | - | - | 3 | - | 5 #1");
    check("a:idle | a:#1 | b:end | a:row", "- | - | idle #1 | active row");
}

#[test]
fn a_newer_barrier_aborts_the_older_one() {
    check("a:#1 | b:#2 | a:row | a:#2", "- | - | row | #2");
    check("a:#1 | b:#1 | c:#2 | a:row | a:#2 | b:#2", "- | - | - | row | - | #2");
}

#[test]
fn barriers_of_aborted_and_older_checkpoints_are_swallowed() {
    check("a:#1 | b:abort 1 | b:#1 | a:row | b:#2 | a:#2", "- | - | - | row | - | #2");
    check("a:abort 3 | a:#3 | b:#2 | a:#4 | b:#3 | b:#4", "- | - | - | - | - | #4");
    check("a:#5 | b:abort 4 | b:#5 | b:#4 | b:#5 | b:row", "- | - | #5 | - | - | row");
    check("a:#2 | b:#1 | b:#2", "- | - | #2");
}

#[test]
#[should_panic(expected = "a held channel is not read")]
fn a_held_channel_is_not_read() {
    check("a:#1 | a:row | b:row", "");
}

/// What a channel brings: records by number, barriers, aborts on the side.
#[derive(Clone, Copy, Debug)]
enum Brought {
    Row,
    Barrier,
    End,
}

/// A gate that is fed at random, and what is known of it by other means.
struct Feeding {
    gate: Gate,
    queues: Vec<VecDeque<Brought>>,
    /// By channel: the last barrier that it brought.
    brought: Vec<u64>,
    aborted: u64,
    rows_in: usize,
    rows_out: usize,
    passed: Vec<u64>,
}

impl Feeding {
    fn new(scripts: Vec<Vec<Brought>>) -> Self {
        let whole = |script: Vec<Brought>| script.into_iter().chain([Brought::End]).collect();
        let queues: Vec<_> = scripts.into_iter().map(whole).collect();
        let (gate, brought) = (Gate::new(queues.len()), vec![0; queues.len()]);
        Self { gate, queues, brought, aborted: 0, rows_in: 0, rows_out: 0, passed: Vec::new() }
    }

    fn abort(&mut self, checkpoint: u64) {
        self.gate.abort(CheckpointId(checkpoint));
        self.aborted = self.aborted.max(checkpoint);
    }

    /// Reads a channel, unless it is held or read whole.
    fn read(&mut self, channel: usize) {
        if self.gate.is_held(channel) {
            return;
        }
        let Some(next) = self.queues[channel].pop_front() else { return };
        let what = match next {
            Brought::Row => {
                let waiting = self.gate.aligning().map(|barrier| barrier.checkpoint.0);
                let is_before = waiting.is_none_or(|waiting| self.brought[channel] < waiting);
                assert!(is_before, "a record behind a barrier never enters before it");
                self.rows_in += 1;
                "row".to_owned()
            }
            Brought::Barrier => {
                self.brought[channel] += 1;
                format!("#{}", self.brought[channel])
            }
            Brought::End => "end".to_owned(),
        };
        let mut out = Vec::new();
        self.gate.accept(channel, packet(&what), &mut out);
        out.into_iter().for_each(|packet| self.pass(packet));
        let is_over = self.queues.iter().all(VecDeque::is_empty);
        assert_eq!(self.gate.is_finished(), is_over);
    }

    fn pass(&mut self, packet: Packet) {
        match packet {
            Packet::Batch(batch) => self.rows_out += batch.rows(),
            Packet::Signal(Signal::Barrier(barrier)) => {
                let checkpoint = barrier.checkpoint.0;
                assert!(self.passed.last().is_none_or(|last| *last < checkpoint), "in order");
                assert!(checkpoint > self.aborted, "what is over stays over");
                for (queue, brought) in self.queues.iter().zip(&self.brought) {
                    assert!(
                        *brought == checkpoint || queue.is_empty() && *brought < checkpoint,
                        "every channel has delivered it, or has finished"
                    );
                }
                self.passed.push(checkpoint);
            }
            Packet::Signal(_) => {}
        }
    }
}

proptest! {
    /// Each channel brings rows and barriers 1, 2, …; some stop half-way. Channels are read in an
    /// arbitrary order, held ones are left alone, checkpoints are aborted at arbitrary moments.
    #[test]
    fn a_barrier_parts_what_came_before_it_from_what_came_after_on_every_channel(
        scripts in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec![
                Brought::Row, Brought::Row, Brought::Barrier,
            ]), 0..12),
            1..5,
        ),
        turns in prop::collection::vec((0usize..5, prop::option::weighted(0.1, 1u64..8)), 0..200),
    ) {
        let channels = scripts.len();
        let mut feeding = Feeding::new(scripts);
        let everyone = (0..channels).cycle().take(400).map(|channel| (channel, None));
        for (channel, abort) in turns.into_iter().chain(everyone) {
            if let Some(checkpoint) = abort {
                feeding.abort(checkpoint);
            }
            feeding.read(channel % channels);
        }
        prop_assert_eq!(feeding.rows_in, feeding.rows_out, "nothing is lost");
        prop_assert!(feeding.gate.is_finished() && feeding.gate.aligning().is_none());
    }
}
