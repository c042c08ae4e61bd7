//! Transactions from barrier to commit, through failures: a writer that notes what is asked of it.
//! Nothing here waits: every future of this writer is ready at once.
//! That real writers keep what they promise is tried in `slackwater-connect`.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slackwater_core::element::{BarrierKind, Batch};
use slackwater_core::time::EventTime;

use super::*;
use crate::state::sections;

/// Notes what is asked of it.
#[derive(Clone, Default)]
struct Noting {
    asked: Rc<RefCell<Vec<String>>>,
    open: u64,
}

fn ids(transactions: &[Transaction]) -> String {
    transactions.iter().map(|transaction| format!(" {}", transaction.id)).collect()
}

impl Noting {
    fn note(&self, what: String) -> LocalFuture<'static, Result<(), ConnectorError>> {
        self.asked.borrow_mut().push(what);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl TwoPhaseWriter for Noting {
    type Item = u64;

    fn write(&mut self, batch: Batch<u64>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        self.open += batch.rows() as u64;
        Box::pin(std::future::ready(Ok(())))
    }
    fn prepare(
        &mut self,
        checkpoint: CheckpointId,
    ) -> LocalFuture<'_, Result<Option<Transaction>, ConnectorError>> {
        let rows = std::mem::take(&mut self.open);
        let id = match checkpoint {
            END => "end".to_owned(),
            checkpoint => format!("t{}", checkpoint.0),
        };
        let prepared = (rows > 0).then_some(Transaction { id, checkpoint, rows });
        Box::pin(std::future::ready(Ok(prepared)))
    }
    fn commit<'a>(
        &'a mut self,
        transactions: &'a [Transaction],
    ) -> LocalFuture<'a, Result<(), ConnectorError>> {
        self.note(format!("commit{}", ids(transactions)))
    }
    fn recover<'a>(
        &'a mut self,
        Recovery { listed, spared }: Recovery<'a>,
    ) -> LocalFuture<'a, Result<(), ConnectorError>> {
        let spared: String = spared.iter().map(|savepoint| format!(" -{savepoint}")).collect();
        self.note(format!("recover{}{spared}", ids(listed)))
    }
}

fn now<T>(future: impl Future<Output = Result<T, ConnectorError>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => ready.expect("nothing is refused"),
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// A sink under test: `write`, `barrier 3`, `savepoint 3`, which is complete at once, `completed 3`,
/// `end`; a failure begins a new attempt with what the named checkpoint holds: `restore 3`, or `start`
/// with nothing.
#[derive(Default)]
struct Rig {
    asked: Rc<RefCell<Vec<String>>>,
    sink: Option<TwoPhaseTask<Noting>>,
    stored: BTreeMap<u64, Vec<Section>>,
    /// Savepoints that are complete.
    spared: Vec<CheckpointId>,
}

impl Rig {
    fn step(&mut self, step: &str) -> String {
        let (what, number) = step.split_once(' ').unwrap_or((step, "0"));
        let number: u64 = number.parse().expect("a checkpoint");
        if let "start" | "restore" = what {
            let writer = Noting { asked: Rc::clone(&self.asked), open: 0 };
            let mut sink = TwoPhaseTask::new("out".into(), (0, 1), writer);
            let sections = self.stored.get(&number).cloned().unwrap_or_default();
            let spared = self.spared.clone();
            now(sink.restore(&Restored { sections, spared, ..Restored::default() }));
            self.sink = Some(sink);
        }
        let sink = self.sink.as_mut().expect("started");
        match what {
            "write" => {
                let mut batch = Batch::default();
                batch.push(EventTime::from_millis(0), 7u64);
                now(sink.write(AnyBatch::new(batch)));
            }
            "barrier" | "savepoint" => {
                let checkpoint = CheckpointId(number);
                let is_savepoint = what == "savepoint";
                self.spared.extend(is_savepoint.then_some(checkpoint));
                let kind =
                    if is_savepoint { BarrierKind::Savepoint } else { BarrierKind::Checkpoint };
                let passed = now(sink.barrier(Barrier { checkpoint, kind }));
                let mut kept = passed.kept.expect("a two-phase sink keeps its transactions");
                self.stored.insert(number, sections(&mut *kept).expect("plain data"));
            }
            "completed" => drop(now(sink.completed(CheckpointId(number)))),
            "end" => drop(now(sink.end())),
            _ => {}
        }
        std::mem::take(&mut *self.asked.borrow_mut()).join(", ")
    }
}

fn check(steps: &[(&str, &str)]) {
    let mut rig = Rig::default();
    for (step, expected) in steps {
        assert_eq!(rig.step(step), *expected, "{step}");
    }
}

#[test]
fn a_transaction_is_committed_once_its_checkpoint_has_completed() {
    check(&[
        ("start", "recover"),
        ("write", ""),
        ("barrier 1", ""),
        ("write", ""),
        ("completed 1", "commit t1"),
        ("completed 1", ""),
        ("barrier 2", ""),
        ("barrier 3", ""),
        ("completed 3", "commit t2"),
    ]);
}

#[test]
fn what_an_aborted_checkpoint_held_is_committed_with_the_next_that_completes() {
    check(&[
        ("start", "recover"),
        ("write", ""),
        ("barrier 1", ""),
        ("write", ""),
        ("barrier 2", ""),
        ("write", ""),
        ("barrier 3", ""),
        ("completed 2", "commit t1 t2"),
        ("completed 3", "commit t3"),
    ]);
}

#[test]
fn a_restore_commits_what_its_checkpoint_lists_and_nothing_else() {
    check(&[
        ("start", "recover"),
        ("write", ""),
        ("barrier 1", ""),
        ("write", ""),
        ("barrier 2", ""),
        ("write", ""),
        ("barrier 3", ""),
        ("restore 2", "recover t1 t2, commit t1 t2"),
        ("write", ""),
        ("barrier 4", ""),
        ("completed 4", "commit t4"),
        ("restore 4", "recover t4, commit t4"),
        ("restore 0", "recover"),
    ]);
}

#[test]
fn a_savepoint_commits_nothing_and_what_it_lists_outlives_every_failure() {
    check(&[
        ("start", "recover"),
        ("write", ""),
        ("barrier 1", ""),
        ("completed 1", "commit t1"),
        ("write", ""),
        ("savepoint 2", ""),
        ("write", ""),
        ("barrier 3", ""),
        ("completed 3", "commit t2 t3"),
        ("write", ""),
        ("savepoint 4", ""),
        ("restore 3", "recover t2 t3 -2 -4, commit t2 t3"),
        ("start", "recover -2 -4"),
        // Another job goes on from the savepoint: only what that lists is committed, and once more.
        ("restore 2", "recover t2 -2 -4, commit t2"),
        ("restore 4", "recover t4 -2 -4, commit t4"),
    ]);
}

#[test]
fn a_savepoint_spares_what_was_prepared_up_to_it_and_nothing_newer() {
    let recovery = Recovery { listed: &[], spared: &[CheckpointId(2), CheckpointId(5)] };
    let spared: Vec<u64> = (1..9).filter(|number| recovery.spares(CheckpointId(*number))).collect();
    assert_eq!(spared, [1, 2, 3, 4, 5]);
    assert!(!Recovery::default().spares(CheckpointId(1)));
}

#[test]
fn without_checkpoints_everything_is_committed_at_the_end_and_with_them_nothing_is_left() {
    check(&[("start", "recover"), ("write", ""), ("write", ""), ("end", "commit end")]);
    check(&[
        ("start", "recover"),
        ("write", ""),
        ("barrier 1", ""),
        ("end", "commit t1"),
        ("completed 1", ""),
    ]);
}

#[test]
fn transactions_of_more_subtasks_are_shared_out_to_fewer_each_to_one() {
    let listed = |checkpoint, index: u32| Transaction {
        id: format!("t-{index}"),
        checkpoint: CheckpointId(checkpoint),
        rows: 1,
    };
    let writer = SectionWriter::list(StateName::new("out", TRANSACTIONS)).expect("a shape");
    let section = |index| writer.write_item(index, &vec![listed(3, index)]).expect("plain data");
    let restored = Restored { sections: (0..5).map(section).collect(), ..Restored::default() };
    let asked: Vec<String> = (0..2)
        .map(|index| {
            let writer = Noting::default();
            let asked = Rc::clone(&writer.asked);
            let mut sink = TwoPhaseTask::new("out".into(), (index, 2), writer);
            now(sink.restore(&restored));
            asked.take().remove(1)
        })
        .collect();
    assert_eq!(asked, ["commit t-0 t-2 t-4", "commit t-1 t-3"]);
}
