//! The sink and the server of the series database over real sockets on loopback.
//! No job and no task: a writer is driven by hand. What is promised stands in [`super`].

use std::sync::{Arc, Mutex};

use slackwater_core::element::Batch;
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{Attempt, CheckpointId};
use slackwater_core::time::EventTime;
use slackwater_dataflow::connector::{
    Recovery, Sink, SinkWriter, Transaction, TwoPhaseSink, TwoPhaseWriter, flush,
};
use slackwater_runtime::host::real::{RealHost, run};

use super::*;
use crate::testing::opening;

fn sensors() -> SeriesSink<i64> {
    sink(|at: &i64| {
        let value = FieldValue::Integer(*at);
        Point::new("sensors", "k", EventTime::from_millis(*at % 2_500), [("value", value)])
    })
}

fn numbers(range: std::ops::Range<i64>) -> Batch<i64> {
    let mut batch = Batch::default();
    range.for_each(|at| batch.push(EventTime::from_millis(at), at));
    batch
}

#[test]
fn a_flush_returns_once_every_point_is_kept_and_a_replay_overwrites() {
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    let store = run(host, |host| async move {
        let store = MemoryStore::default();
        let server = SeriesServer::bind(host.clone(), 0).await.expect("a port");
        let sink = sensors().at(format!("db:{}", server.port())).tagged("-v2");
        let served = store.clone();
        host.spawn("db", Box::pin(async move { drop(server.run(served).await) }));
        let mut writer = sink.open(opening(&host, 0, 1)).expect("opens");
        assert_eq!(flush(&mut writer).await.expect("nothing to do").rows(), 0);
        writer.write(numbers(0..4_500)).await.expect("taken");
        writer.write(numbers(4_500..5_000)).await.expect("taken");
        assert_eq!(flush(&mut writer).await.expect("kept").rows(), 5_000);
        store
    });
    let store = store.expect("a runtime");
    let (table, ledger) = (store.table(), store.ledger());
    assert_eq!((table.len(), ledger.len()), (2_500, 5_000));
    assert_eq!(table[0].field("value"), Some(&FieldValue::Integer(2_500)));
    assert_eq!(ledger.iter().filter(|write| write.stood.differs()).count(), 2_500);
    assert!(ledger.iter().all(|write| write.writer == "tried v0[0]#1"));
    assert!(table.iter().all(|point| point.series == "sensors-v2"));
}

#[test]
fn without_a_database_a_flush_fails_and_a_restart_may_help() {
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    let error = run(host, |host| async move {
        let listener = host.listen(0).await.expect("a port");
        let sink = sensors().at(format!("db:{}", listener.port()));
        drop(listener);
        let mut writer = sink.open(opening(&host, 0, 1)).expect("opens");
        writer.write(numbers(0..1)).await.expect("buffered");
        flush(&mut writer).await.expect_err("refused")
    });
    let error = error.expect("a runtime");
    assert!(!error.fatal);
    assert!(error.message.starts_with("cannot reach the series server at db:"), "{error}");
}

#[test]
fn a_value_that_is_no_number_is_refused_and_nothing_of_its_request_is_kept() {
    let store = MemoryStore::default();
    let point = |value: f64| Point::new("s", "k", EventTime::from_millis(0), [("v", value.into())]);
    assert!(store.write("w", &[point(1.0), point(f64::NAN)]).is_err());
    assert_eq!(store.ledger(), []);
}

/// Serves a store in memory, and gives its address with it.
async fn served(host: &Arc<dyn slackwater_runtime::host::Host>) -> (String, MemoryStore) {
    let store = MemoryStore::default();
    let server = SeriesServer::bind(host.clone(), 0).await.expect("a port");
    let address = format!("db:{}", server.port());
    let served = store.clone();
    host.spawn("db", Box::pin(async move { drop(server.run(served).await) }));
    (address, store)
}

#[test]
fn a_two_phase_sink_shows_what_is_committed_and_its_successor_fences_it() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let listen = move |fact: Fact| heard.lock().expect("whole").push(fact);
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    let host = host.telling(Detail::Flow, Arc::new(listen));
    run(host, |host| async move {
        let (address, store) = served(&host).await;
        let sink = sensors().at(address).two_phase();
        let mut first = sink.open(opening(&host, 0, 1)).expect("opens");
        first.recover(Recovery::default()).await.expect("nothing to abort");
        assert_eq!(first.prepare(CheckpointId(1)).await.expect("nothing written"), None);
        first.write(numbers(0..2_400)).await.expect("taken");
        let prepared = first.prepare(CheckpointId(2)).await.expect("kept").expect("rows");
        assert_eq!((prepared.rows, prepared.checkpoint), (2_400, CheckpointId(2)));
        assert!(prepared.id.starts_with(&format!("{}/tried/", slackwater_core::id::JobId(1))));
        assert_eq!(store.table(), []);
        first.commit(std::slice::from_ref(&prepared)).await.expect("seen");
        first.write(numbers(2_400..2_450)).await.expect("taken");
        let second = first.prepare(CheckpointId(3)).await.expect("kept").expect("rows");
        first.write(numbers(0..2_000)).await.expect("staged");

        let mut heirs = opening(&host, 0, 1);
        heirs.task.attempt = Attempt(2);
        let mut heir = sink.open(heirs).expect("opens");
        let listed = [prepared, second];
        heir.recover(Recovery { listed: &listed, spared: &[] }).await.expect("one to abort");
        heir.commit(&listed).await.expect("one anew");
        let fenced = first.prepare(CheckpointId(4)).await.expect_err("a dead attempt");
        assert!(fenced.message.contains("is of a dead attempt"), "{fenced}");
        assert!(!fenced.fatal);
        let id = format!("{}x", listed[0].id);
        let unknown = [Transaction { id, checkpoint: CheckpointId(3), rows: 1 }];
        assert!(heir.commit(&unknown).await.expect_err("gone").fatal);
        assert_eq!((store.table().len(), store.open_transactions()), (2_450, Ok(vec![])));
        assert!(store.ledger().iter().all(|write| write.transaction.contains("/e1a1/")));
    })
    .expect("a runtime");
    let told = told.lock().expect("whole");
    let count = |probe| told.iter().filter(|fact| fact.probe() == probe).count();
    let committed = |again: bool| {
        let of = |fact: &&Fact| matches!(fact, Fact::TransactionCommitted { again: a, .. } if *a == again);
        told.iter().filter(of).count()
    };
    assert_eq!((count("transaction.staged"), count("transaction.prepared")), (4, 2));
    assert_eq!((committed(false), committed(true)), (2, 1));
    assert_eq!((count("transaction.aborted"), count("transaction.fenced")), (1, 1));
    assert_eq!(count("series.written"), 2_450);
}

#[test]
fn the_naive_sink_confirms_what_nobody_has_and_sends_it_later() {
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    run(host, |host| async move {
        let (address, store) = served(&host).await;
        let mut writer = sensors().at(address).naive().open(opening(&host, 0, 1)).expect("opens");
        writer.write(numbers(0..2_400)).await.expect("taken");
        assert_eq!(flush(&mut writer).await.expect("so it says").rows(), 2_400);
        assert_eq!(store.ledger(), [], "a process that is killed now loses them all");
        drop(writer);
        while store.ledger().len() < 2_400 {
            host.sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .expect("a runtime");
}
