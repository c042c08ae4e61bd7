//! What counts stand at after waits, markers and declarations.
//! Never a clock: every reading is given.
//! Who counts is [`super::Counts`].

use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId, Subtask, VertexId};

use super::*;

fn task() -> Execution {
    let subtask = Subtask { vertex: VertexId(0), index: 0 };
    Execution { job: JobId(1), epoch: JobEpoch(1), attempt: Attempt(1), subtask }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn time_is_idle_backpressured_or_busy_and_a_wait_that_lasts_counts() {
    let counts = Counts::default();
    let time = &counts.time;
    let read = |now: u64| {
        let told = counts.read(task(), ms(now));
        [told.age, told.idle, told.backpressured, told.busy()].map(|span| span.as_millis())
    };
    assert_eq!(read(50), [0, 0, 0, 0], "nothing has begun");
    time.begin(ms(100));
    time.wait(Wait::Idle, ms(110));
    assert_eq!(read(150), [50, 40, 0, 10]);
    time.resume(ms(160));
    time.wait(Wait::Backpressured, ms(170));
    assert_eq!(read(200), [100, 50, 30, 20]);
    time.end(ms(210));
    assert_eq!(read(900), [110, 50, 40, 20], "its time has ended");
    assert!(counts.read(task(), ms(900)).ended);
}

#[test]
fn latencies_fall_into_buckets_and_only_the_newest_are_kept_as_they_are() {
    let operator = OperatorCounts::default();
    let source = Subtask { vertex: VertexId(3), index: 1 };
    for millis in [0, 1, 2, 3, 70_000] {
        let marker = LatencyMarker { source, sent: ProcessingTime::from_millis(10) };
        operator.measure(marker, ProcessingTime::from_millis(10 + millis));
    }
    let early = LatencyMarker { source, sent: ProcessingTime::from_millis(10) };
    operator.measure(early, ProcessingTime::from_millis(5));
    let told = &operator.read().latencies[0];
    assert_eq!((told.source, told.count, told.sum), (VertexId(3), 6, 70_006));
    assert_eq!(told.buckets[..3], [3, 1, 1], "a clock that is behind measures nothing");
    assert_eq!(told.buckets[14], 1);
    assert_eq!((told.recent.min, told.recent.max), (0, 70_000));
    assert_eq!(told.recent.parts_micros[0], 1_500, "the median lies between 1 and 2");
    (0..200).for_each(|_| operator.measure(early, ProcessingTime::from_millis(12)));
    let recent = operator.read().latencies[0].recent;
    assert_eq!(
        (recent.min, recent.max, recent.mean_micros, recent.deviation_micros),
        (2, 2, 2_000, 0)
    );
    assert_eq!(recent.parts_micros, [2_000; 7], "only the newest");
}

#[test]
fn what_a_program_declares_is_shown_under_its_name_and_bounded() {
    let metrics = Metrics::default();
    let counter = metrics.counter("datapoints");
    counter.inc();
    metrics.counter("datapoints").add(2);
    metrics.meter("rate").mark();
    (0..100).for_each(|number| metrics.counter(&format!("more{number}")).inc());
    assert_eq!(counter.get(), 3, "the same name is the same counter");
    let opened = metrics.take();
    assert_eq!(opened.len(), 64);
    let told: Vec<_> = opened.iter().take(2).map(Opened::read).map(|t| (t.name, t.count)).collect();
    assert_eq!(told, [("datapoints".to_owned(), 3), ("rate".to_owned(), 1)]);
}
