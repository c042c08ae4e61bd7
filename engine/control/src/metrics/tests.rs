//! What the board keeps of reports, and how fast it says that things move.
//! Never a clock: every report says how long its task has run.
//! The board is [`super::Board`].

use slackwater_core::id::VertexId;
use slackwater_core::measure::{Declared, DeclaredKind, OperatorMeasures};
use slackwater_core::time::EventTime;

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn told(attempt: u32, age: u64, records: u64) -> TaskMeasures {
    let subtask = Subtask { vertex: VertexId(0), index: 0 };
    let (job, epoch, attempt) = (JobId(1), JobEpoch(1), Attempt(attempt));
    let operator = OperatorMeasures {
        records_in: records,
        records_out: records * 2,
        late: 0,
        dropped: 0,
        input_watermark: EventTime::MIN,
        output_watermark: EventTime::MIN,
        latencies: Vec::new(),
        declared: vec![Declared {
            name: "n".into(),
            kind: DeclaredKind::Meter,
            count: records * 3,
        }],
    };
    TaskMeasures {
        task: Execution { job, epoch, attempt, subtask },
        ended: false,
        age: secs(age),
        idle: secs(age) / 2,
        backpressured: secs(age) / 4,
        records_in: records,
        records_out: 0,
        bytes_in: 0,
        bytes_out: 0,
        batches_in: 0,
        watermark: EventTime::MIN,
        alignment: Duration::ZERO,
        operators: vec![operator],
    }
}

fn measured(board: &Board, attempt: u32) -> Option<Measured> {
    let subtask = Subtask { vertex: VertexId(0), index: 0 };
    board.measured(secs(31), (JobId(1), Attempt(attempt)), subtask)
}

#[test]
fn rates_look_back_some_seconds_and_no_further() {
    let mut board = Board::default();
    board.take(secs(1), "tm", vec![told(1, 1, 10)]);
    let of = |board: &Board| measured(board, 1).expect("it was reported");
    assert_eq!(of(&board).rates()[0], 0.0, "nobody has heard of it for half a minute");
    let young = Measured { still: false, ..of(&board) };
    assert_eq!(young.rates()[0], 10.0, "since it began");
    // Ten a second for twenty seconds, then a hundred.
    (2..=20).for_each(|age| board.take(secs(age), "tm", vec![told(1, age, age * 10)]));
    (21..=30)
        .for_each(|age| board.take(secs(age), "tm", vec![told(1, age, 200 + (age - 20) * 100)]));
    let task = of(&board);
    assert_eq!((task.heard, task.rates()[0]), (secs(30), 100.0));
    assert_eq!(task.operator_rates(0), [100.0, 200.0, 0.0]);
    assert_eq!(task.declared_rate(0, 0), 300.0);
    assert_eq!(task.shares(), Shares { busy: 250, backpressured: 250, idle: 500 });
    let last = TaskMeasures { ended: true, ..told(1, 31, 1300) };
    board.take(secs(31), "tm", vec![last]);
    let task = of(&board);
    assert_eq!(
        (task.rates()[0], task.shares()),
        (0.0, Shares::default()),
        "what ended stands still"
    );
    assert_eq!(task.newest.records_in, 1300);
}

#[test]
fn a_new_attempt_begins_with_nothing_and_an_old_one_is_not_heard() {
    let mut board = Board::default();
    board.take(secs(1), "tm", vec![told(1, 1, 10)]);
    board.take(secs(2), "tm", vec![told(2, 1, 1)]);
    board.take(secs(3), "tm", vec![told(1, 2, 20)]);
    assert_eq!(measured(&board, 1), None);
    assert_eq!(measured(&board, 2).map(|task| task.newest.records_in), Some(1));
    board.take(secs(4), "tm", vec![told(2, 0, 0)]);
    assert_eq!(measured(&board, 2).map(|task| task.newest.records_in), Some(1), "out of order");
    assert_eq!(board.heard("tm"), Some(secs(4)));
    board.forget("tm");
    assert_eq!(board.heard("tm"), None);
}
