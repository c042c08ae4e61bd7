//! A reader that plays a script, and what the chain behind it sees.
//! Nothing here waits: a step says what time it is and what the reader brings.
//! The generators themselves are tried in `watermark`'s tests.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use slackwater_core::codec::decode_batch;
use slackwater_core::element::BarrierKind;
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask};
use slackwater_core::time::ms;

use super::*;
use crate::operator::{Counts, Outputs, Progress};
use crate::state::sections;

/// Brings what the script says.
struct Script {
    steps: Rc<RefCell<VecDeque<String>>>,
    offset: u64,
    skipped: Option<(u64, String)>,
}

impl SourceReader for Script {
    type Item = i64;

    fn poll_next(
        &mut self,
        _: &mut Waker<'_>,
        _: ProcessingTime,
        _: usize,
        out: &mut Batch<i64>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        let step = self.steps.borrow_mut().pop_front().expect("a step for every poll");
        let split = |what: &str| what.parse().expect("a split");
        Poll::Ready(match step.split_once(' ').unwrap_or((&step, "")) {
            ("wait", _) => return Poll::Pending,
            ("fail", why) => Err(ConnectorError::passing(why)),
            ("skip", why) => {
                self.skipped = Some((1, why.to_owned()));
                Ok(Pulled::Nothing)
            }
            ("nothing", "") => Ok(Pulled::Nothing),
            ("nothing", which) => Ok(Pulled::NothingIn { split: split(which) }),
            ("endof", which) => Ok(Pulled::EndOf { split: split(which) }),
            ("end", _) => Ok(Pulled::End),
            (which, times) => {
                let offset = self.offset;
                for time in times.split(' ').map(|time| time.parse().expect("a time")) {
                    out.push(EventTime::from_millis(time), time);
                    self.offset += 1;
                }
                Ok(Pulled::Records { split: split(which), offset })
            }
        })
    }

    fn positions(&self) -> Vec<Position> {
        let offset = self.offset;
        let at = |split| Position { split, offset, note: Vec::new(), ended: false };
        [0, 1].map(at).into()
    }

    fn seek(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        positions.iter().for_each(|position| self.offset = position.offset);
        Ok(())
    }

    fn take_skipped(&mut self) -> Option<(u64, String)> {
        self.skipped.take()
    }
}

/// Writes down what it is given.
#[derive(Default)]
struct Seen(Vec<String>);

impl Chain for Seen {
    fn batch(&mut self, _: u32, batch: AnyBatch, _: &mut Context<'_>) -> Step {
        let batch = batch.downcast::<i64>();
        let rows = batch.values.iter().map(i64::to_string);
        let marks = batch.marks.iter().map(|mark| format!("{}@{}", mark.watermark, mark.row));
        self.0.push(rows.chain(marks).collect::<Vec<_>>().join(" "));
        Ok(())
    }
    fn signal(&mut self, signal: Signal, _: &mut Context<'_>) -> Step {
        self.0.push(match signal {
            Signal::Barrier(barrier) => format!("#{}", barrier.checkpoint.0),
            signal => format!("{signal:?}").to_lowercase(),
        });
        Ok(())
    }
    fn resume(&mut self, _: &mut Context<'_>) -> Result<Progress, OperatorError> {
        Ok(Progress::Done)
    }
    fn next_timer(&self) -> Option<ProcessingTime> {
        None
    }
    fn on_timers(&mut self, _: &mut Context<'_>) -> Step {
        Ok(())
    }
    fn restore(&mut self, _: &Restored) -> Step {
        Ok(())
    }
}

/// A source with splits 0 and 1, which is idle after 100 ms; windows of a second read it.
fn source(steps: &Rc<RefCell<VecDeque<String>>>) -> SourceTask<Script> {
    let reader = Script { steps: steps.clone(), offset: 0, skipped: None };
    let settings = SourceTaskSettings {
        uid: "source".into(),
        splits: vec![0, 1],
        batch_rows: 10,
        quantum: Quantum::of_millis(1_000),
    };
    SourceTask::new(settings, reader, Watermarks::ascending().idle_after(ms(100)))
}

/// What a played script left behind.
struct Played {
    /// By step: what the chain saw, then what the poll said.
    steps: Vec<String>,
    facts: Vec<Fact>,
    next_timer: Option<ProcessingTime>,
}

/// Plays `time: step` after `time: step`. A step is what the reader brings, or `barrier 3`, which
/// lets a barrier pass (`stop 3` and `drain 3`: that of a savepoint with which the job ends), or
/// `again`, which begins anew with what the last barrier kept (`reset`: but for event time).
fn play(script: &[&str]) -> Played {
    let steps = Rc::new(RefCell::new(VecDeque::new()));
    let mut source = source(&steps);
    let facts = RefCell::new(Vec::new());
    let tell = |fact| facts.borrow_mut().push(fact);
    let subtask = Subtask { vertex: slackwater_core::id::VertexId(0), index: 0 };
    let task = Execution { job: JobId(1), epoch: JobEpoch(1), attempt: Attempt(1), subtask };
    let (counts, mut outputs) = (Counts::default(), Outputs::default());
    let mut stored = Vec::new();
    let played = script.iter().map(|line| {
        let (time, step) = line.split_once(": ").expect("a time and a step");
        let now = ProcessingTime::from_millis(time.parse().expect("a time"));
        let told: (Detail, &dyn Fn(Fact)) = (Detail::Records, &tell);
        let mut cx = Context::new(task, now, told, &mut outputs, &counts);
        let mut seen = Seen::default();
        if let Some(barrier) = barrier(step) {
            source.barrier(barrier, &mut seen, &mut cx).expect("passes");
            let mut kept = outputs.kept.pop().expect("a source keeps its positions");
            stored = sections(&mut *kept).expect("plain data");
            return seen.0.join(" | ");
        }
        if let "again" | "reset" = step {
            source = self::source(&steps);
            let (sections, reset_watermarks) = (stored.clone(), step == "reset");
            let restored = Restored { sections, reset_watermarks, ..Restored::default() };
            source.restore(&restored).expect("positions of its own");
            return format!("from {}", source.reader.offset);
        }
        if step == "finish" {
            source.finish(&mut seen, &mut cx).expect("nothing refuses the end");
            return seen.0.join(" | ");
        }
        steps.borrow_mut().push_back(step.to_owned());
        let waker = &mut Waker::from_waker(std::task::Waker::noop());
        let polled = match source.poll(waker, &mut seen, &mut cx) {
            Poll::Pending => "pending".to_owned(),
            Poll::Ready(Ok(sourced)) => {
                if sourced == Sourced::End {
                    source.finish(&mut seen, &mut cx).expect("nothing refuses the end");
                }
                format!("{sourced:?}").to_lowercase()
            }
            Poll::Ready(Err(error)) => error.to_string(),
        };
        seen.0.push(polled);
        seen.0.join(" | ")
    });
    let steps = played.collect();
    let next_timer = source.next_timer();
    Played { steps, facts: facts.take(), next_timer }
}

fn barrier(step: &str) -> Option<Barrier> {
    let (kind, number) = step.split_once(' ')?;
    let kind = match kind {
        "barrier" => BarrierKind::Checkpoint,
        "stop" => BarrierKind::StopWithSavepoint { drain: false },
        "drain" => BarrierKind::StopWithSavepoint { drain: true },
        _ => return None,
    };
    Some(Barrier { checkpoint: CheckpointId(number.parse().expect("a number")), kind })
}

fn check(script: &[(&str, &str)]) {
    let (script, expected): (Vec<&str>, Vec<&str>) = script.iter().copied().unzip();
    assert_eq!(play(&script).steps, expected);
}

#[test]
fn records_go_on_with_their_marks_and_the_end_with_the_last_watermark() {
    check(&[
        ("0: 1 7000", "7000 | batch"),
        ("0: 0 900 1500 1600 2100", "900 1500 1600 2100 899@1 1499@2 2099@4 | batch"),
        ("0: wait", "pending"),
        ("0: end", "MAX@0 | endofinput | end"),
    ]);
}

#[test]
fn a_silent_split_is_left_out_only_after_its_reader_found_nothing_in_it() {
    check(&[
        ("0: 1 1500", "1500 | batch"),
        ("10: 0 5500", "5500 1499@1 | batch"),
        ("500: wait", "pending"),
        ("500: nothing 1", "nothing"),
        ("599: 0 5600", "5600 | batch"),
        ("599: wait", "pending"),
        ("600: wait", "5599@0 | nothing"),
        ("700: 1 1600", "1600 | batch"),
    ]);
}

#[test]
fn a_reader_that_found_nothing_is_idle_and_says_so_once_behind_what_is_pending() {
    let script = [
        ("0: 0 5500", "5500 | batch"),
        ("0: 1 5700", "5700 5499@1 | batch"),
        ("0: 0 5600", "5600 | batch"),
        ("0: nothing", "nothing"),
        ("99: wait", "pending"),
        ("100: wait", "5599@0 | idle | nothing"),
        ("200: wait", "pending"),
        ("300: nothing", "nothing"),
        ("400: 1 5800", "active | 5800 | batch"),
        ("400: endof 0", "nothing"),
        ("400: nothing", "nothing"),
        ("500: nothing", "5799@0 | idle | nothing"),
        ("600: end", "active | MAX@0 | endofinput | end"),
    ];
    check(&script);
    let played = play(&script.map(|(step, _)| step));
    let told = played.facts.iter().map(Fact::probe).filter(|probe| *probe != "source.emitted");
    let told: Vec<_> = told.collect();
    let idle = ["source.idle", "source.active", "source.idle"];
    assert_eq!(told, [&idle[..], &["source.active", "source.finished"]].concat());
}

#[test]
fn the_source_wants_to_be_polled_when_idleness_falls_due() {
    let due = ProcessingTime::from_millis(140);
    assert_eq!(play(&["0: 0 1", "40: nothing"]).next_timer, Some(due));
    assert_eq!(play(&["0: 0 1", "40: nothing", "60: nothing"]).next_timer, Some(due));
    assert_eq!(play(&["0: 0 1", "40: nothing", "140: wait"]).next_timer, None);
    assert_eq!(play(&["0: 0 1"]).next_timer, None);
}

#[test]
fn what_was_read_is_told_whole_with_its_place() {
    let facts = play(&["0: 0 10 20", "0: 1 2000"]).facts;
    let Some(Fact::SourceEmitted { split, offset, rows, records, .. }) = facts.last() else {
        panic!("an emission: {facts:?}")
    };
    assert_eq!((*split, *offset, *rows), (1, 2, 1));
    let batch = decode_batch::<i64>(&records.0).expect("a batch");
    assert_eq!((batch.values, batch.marks.len()), (vec![2000], 1), "marks are told too");
}

#[test]
fn failures_and_skipped_records_name_the_source() {
    let played = play(&["0: skip line 7 has no value", "0: fail the log went away", "0: 7 1"]);
    let expected = [
        "nothing",
        "source: the log went away",
        "source: the reader brought records of split 7, which is not its",
    ];
    assert_eq!(played.steps, expected);
    let skipped = played.facts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(matches!(played.facts[0], Fact::RecordSkipped { rows: 1, .. }), "{skipped}");
    assert!(skipped.contains("cause=\"line 7 has no value\""), "{skipped}");
}

#[test]
fn a_barrier_follows_the_marks_that_made_no_difference_yet() {
    check(&[
        ("0: 0 2500", "2500 | batch"),
        ("0: 1 1200 1400", "1200 1400 1199@1 | batch"),
        ("0: barrier 1", "1399@0 | #1"),
        ("0: barrier 2", "#2"),
        ("0: 1 1900", "1900 | batch"),
        ("0: 1 2100", "2100 2099@1 | batch"),
    ]);
}

#[test]
fn a_restored_source_goes_on_where_the_barrier_passed_and_knows_how_far_time_had_come() {
    check(&[
        ("0: 0 2500 900", "2500 900 | batch"),
        ("0: 1 1200", "1200 1199@1 | batch"),
        ("0: barrier 1", "#1"),
        ("0: 1 9000", "9000 2499@1 | batch"),
        ("0: again", "from 3"),
        ("0: 1 1300", "1300 1199@0 | batch"),
        ("0: 1 3000", "3000 2499@1 | batch"),
    ]);
}

#[test]
fn a_source_that_had_ended_is_at_its_end_at_once_and_barriers_still_pass() {
    check(&[
        ("0: 0 100", "100 | batch"),
        ("0: end", "MAX@0 | endofinput | end"),
        ("0: barrier 7", "#7"),
        ("0: again", "from 1"),
        ("0: never read", "MAX@0 | endofinput | end"),
        ("0: barrier 8", "#8"),
    ]);
}

#[test]
fn a_source_that_is_stopped_ends_without_a_last_watermark_and_goes_on_elsewhere() {
    check(&[
        ("0: 0 2500", "2500 | batch"),
        ("0: 1 1200", "1200 1199@1 | batch"),
        ("0: stop 1", "#1"),
        ("0: finish", "endofinput"),
        ("0: again", "from 2"),
        ("0: 1 3000", "3000 1199@0 2499@1 | batch"),
    ]);
    let stopped = play(&["0: 0 100", "0: stop 1", "0: finish"]);
    let finished = |fact: &Fact| matches!(fact, Fact::SourceFinished { .. });
    assert!(!stopped.facts.iter().any(finished), "it has not read everything");
}

#[test]
fn a_source_that_is_drained_sends_the_last_watermark_first_and_its_splits_have_not_ended() {
    check(&[
        ("0: 0 2500", "2500 | batch"),
        ("0: 1 1200 1400", "1200 1400 1199@1 | batch"),
        ("0: drain 1", "1399@0 | MAX@0 | #1"),
        ("0: again", "from 3"),
        ("0: 1 1500", "1500 1399@0 | batch"),
        ("0: reset", "from 3"),
        ("0: 1 500", "500 | batch"),
        ("0: 0 600", "600 499@1 | batch"),
    ]);
    check(&[
        ("0: 0 1500", "1500 | batch"),
        ("0: nothing", "nothing"),
        ("100: wait", "idle | nothing"),
        ("100: drain 1", "active | MAX@0 | #1"),
    ]);
    check(&[("0: end", "MAX@0 | endofinput | end"), ("0: drain 1", "#1")]);
}

#[test]
fn a_split_that_had_ended_is_not_waited_for_after_a_restore_and_idleness_is_forgotten() {
    check(&[
        ("0: endof 0", "nothing"),
        ("0: 1 1500", "1500 1499@1 | batch"),
        ("0: nothing 1", "nothing"),
        ("100: wait", "idle | nothing"),
        ("200: barrier 1", "#1"),
        ("200: again", "from 1"),
        ("200: wait", "1499@0 | nothing"),
        ("200: 1 2600", "2600 2599@1 | batch"),
    ]);
}
