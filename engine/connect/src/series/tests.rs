//! The sink and the server of the series database over real sockets on loopback.
//! No job and no task: a writer is driven by hand. What is promised stands in [`super`].

use slackwater_core::element::Batch;
use slackwater_core::time::EventTime;
use slackwater_dataflow::connector::{Sink, SinkWriter, flush};
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
    let host = RealHost::named("here").expect("randomness");
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
    assert_eq!(ledger.iter().filter(|write| write.overwrote).count(), 2_500);
    assert!(ledger.iter().all(|write| write.writer == "tried v0[0]#1"));
    assert!(table.iter().all(|point| point.series == "sensors-v2"));
}

#[test]
fn without_a_database_a_flush_fails_and_a_restart_may_help() {
    let host = RealHost::named("here").expect("randomness");
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
