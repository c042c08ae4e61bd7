//! Every source, stopped after every poll and taken up by another reader: nothing is lost, nothing
//! comes twice, and a position never runs ahead of what was handed out (zoo BZ-29).
//! No job and no task: readers are polled by hand. Each source's own tests are in its room.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slackwater_core::element::Batch;
use slackwater_core::time::{EventTime, ms, secs};
use slackwater_dataflow::connector::{Position, Pulled, Source, SourceReader};
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::{RealHost, run};

use crate::testing::{Clockwork, opening, read};
use crate::ticks::Ticks;
use crate::{csv, generate, log};

/// Odd, so that batches do not end where splits do.
const ROWS_MAX: usize = 3;

/// Where a reader stands: the offsets by split.
fn offsets(reader: &impl SourceReader) -> BTreeMap<u32, u64> {
    reader.positions().into_iter().map(|position| (position.split, position.offset)).collect()
}

/// Polls a reader once to its answer; whatever that is, its positions have moved by the rows that
/// it handed out and by no more.
async fn pull<R: SourceReader>(host: &Arc<dyn Host>, reader: &mut R) -> (Pulled, Vec<R::Item>) {
    let mut batch = Batch::default();
    let mut expected = offsets(reader);
    let pulled = poll_fn(|cx| {
        let polled = reader.poll_next(cx, host.wall(), ROWS_MAX, &mut batch);
        if polled.is_pending() {
            // A barrier may pass here, while the task waits for room or for records.
            assert_eq!(offsets(reader), expected, "a reader that waits has gone ahead");
            assert_eq!(batch.rows(), 0, "a reader that waits has handed something out");
        }
        polled
    });
    let pulled = pulled.await.expect("reads");
    if let Pulled::Records { split, offset } = pulled {
        assert_eq!(expected.insert(split, offset + batch.rows() as u64), Some(offset));
    }
    assert_eq!(offsets(reader), expected);
    (pulled, batch.values)
}

/// Reads on, at most `polls` times, and says whether the end came.
async fn drain<R: SourceReader>(
    host: &Arc<dyn Host>,
    reader: &mut R,
    polls: usize,
) -> (Vec<R::Item>, bool) {
    let mut seen = Vec::new();
    for _ in 0..polls {
        match pull(host, reader).await {
            (Pulled::End, _) => return (seen, true),
            (_, values) => seen.extend(values),
        }
    }
    (seen, false)
}

/// Cuts the reading of a source after every poll.
async fn cut_everywhere<S: Source>(host: &Arc<dyn Host>, source: S, records: usize)
where
    S::Item: Ord + std::fmt::Debug,
{
    let open = || source.open(opening(host, 0, 1)).expect("opens");
    let (mut whole, ended) = drain(host, &mut open(), usize::MAX).await;
    assert!(ended && whole.len() == records, "{} of {records}", whole.len());
    whole.sort();
    for cut in 0.. {
        let mut first = open();
        let (mut seen, ended) = drain(host, &mut first, cut).await;
        let mut positions = first.positions();
        drop(first);
        if ended {
            // As the source's task does with the splits of a source that is at its end.
            positions.iter_mut().for_each(|position| position.ended = true);
        }
        let mut second = open();
        second.seek(&positions).expect("it was there before");
        if ended {
            assert_eq!(drain(host, &mut second, records).await.0, [], "there was nothing left");
        } else {
            seen.extend(drain(host, &mut second, usize::MAX).await.0);
        }
        seen.sort();
        assert_eq!(seen, whole, "cut after {cut} polls");
        if ended {
            return;
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Line {
    value: i64,
}

#[test]
fn every_source_goes_on_where_it_was_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.csv").display().to_string();
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    run(host, |host| async move {
        let made = generate::source(3, 10, |split, at| (EventTime::from_millis(0), (split, at)));
        cut_everywhere(&host, made, 30).await;

        let lines: String = (0..20).map(|value| format!("{value}\n")).collect();
        host.files().write(&path, format!("value\n{lines}").as_bytes()).expect("room");
        let file = csv::source(&*path, |line: &Line| EventTime::from_millis(line.value));
        cut_everywhere(&host, file, 20).await;

        let log = log::MemoryLog::default();
        (0..25u64).for_each(|value| log.push("t", (value % 2) as u32, &value));
        (0..2).for_each(|partition| log.close("t", partition));
        let server = log::LogServer::bind(host.clone(), 0).await.expect("a port");
        let address = format!("log:{}", server.port());
        host.spawn("log", Box::pin(async move { drop(server.run(log).await) }));
        let topic = log::source("t", 2, |value: &u64| EventTime::from_millis(*value as i64));
        cut_everywhere(&host, topic.at(address), 25).await;
    })
    .expect("a runtime");
}

#[test]
fn ticks_stay_on_their_grid_over_any_outage_and_catch_up_at_once() {
    let ticks = || Ticks::every(ms(100)).jitter(ms(100)).until(secs(3));
    for cut in 0..=30u64 {
        let host = Clockwork::at(12_345, 7);
        let mut first = ticks().open(opening(&host, 0, 1)).expect("opens");
        let before = read(&host, &mut first, cut as usize).expect("reads");
        // A batch may hold more than was asked for; the positions know.
        let seen = before.len() as u64;
        let positions = first.positions();
        assert_eq!(positions[0].offset, seen);
        // Twice restored, after two outages of 40 s, the second before a single poll.
        let later = Clockwork::at(52_345, 8);
        let mut unread = ticks().open(opening(&later, 0, 1)).expect("opens");
        unread.seek(&positions).expect("a position of ticks");
        assert_eq!(unread.positions(), positions);
        let later = Clockwork::at(92_345, 9);
        let mut second = ticks().open(opening(&later, 0, 1)).expect("opens");
        second.seek(&unread.positions()).expect("a position of ticks");
        let after = read(&later, &mut second, 99).expect("reads");
        let start = if seen == 0 { 92_000 } else { 12_000 };
        let times: Vec<i64> = before.iter().chain(&after).map(|tick| tick.1.as_millis()).collect();
        assert_eq!(times, (0..30).map(|at| start + at * 100).collect::<Vec<_>>(), "cut at {cut}");
        if seen > 0 {
            assert!(after.iter().all(|tick| tick.0 == 92_345), "the missed ticks leave at once");
        }
    }
}

#[test]
fn a_position_that_cannot_be_is_refused() {
    let host = Clockwork::at(0, 1);
    let mut reader = Ticks::every(ms(100)).open(opening(&host, 0, 1)).expect("opens");
    let foreign = Position { split: 0, offset: 3, note: vec![1, 2], ended: false };
    let refused = reader.seek(&[foreign]).expect_err("not a start");
    assert!(refused.fatal && refused.message == "not the position of a tick", "{refused}");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.csv").display().to_string();
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    run(host, |host| async move {
        host.files().write(&path, b"value\n1\n2\n").expect("room");
        let file = csv::source(&*path, |line: &Line| EventTime::from_millis(line.value));
        let mut reader = file.open(opening(&host, 0, 1)).expect("opens");
        let beyond = |offset| Position { split: 0, offset, note: Vec::new(), ended: false };
        let refused = reader.seek(&[beyond(3)]).expect_err("a shorter file");
        assert!(refused.message.ends_with("it is another file"), "{refused}");

        let log = log::MemoryLog::default();
        log.push("t", 0, &1u64);
        let server = log::LogServer::bind(host.clone(), 0).await.expect("a port");
        let address = format!("log:{}", server.port());
        host.spawn("log", Box::pin(async move { drop(server.run(log).await) }));
        let topic = log::source("t", 1, |value: &u64| EventTime::from_millis(*value as i64));
        let mut reader = topic.at(address).open(opening(&host, 0, 1)).expect("opens");
        reader.seek(&[beyond(2)]).expect("the log is not asked yet");
        let mut batch = Batch::default();
        let polled = poll_fn(|cx| reader.poll_next(cx, host.wall(), 9, &mut batch)).await;
        let refused = polled.expect_err("a shorter log").message;
        assert!(refused.ends_with("it is another log"), "{refused}");
    })
    .expect("a runtime");
}
