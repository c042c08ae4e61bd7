//! The log itself, and its source, sink and server over real sockets on loopback.
//! No job and no task: readers and writers are driven by hand. What is promised stands in [`super`].

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;

use slackwater_core::element::Batch;
use slackwater_core::time::{EventTime, ms};
use slackwater_dataflow::connector::{Pulled, Sink, SinkWriter, Source, SourceReader, flush};
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::{RealHost, run};

use super::*;
use crate::testing::opening;

async fn served(host: &Arc<dyn Host>, log: &MemoryLog) -> String {
    let server = LogServer::bind(host.clone(), 0).await.expect("a port");
    let address = format!("log:{}", server.port());
    let log = log.clone();
    host.spawn("log", Box::pin(async move { drop(server.run(log).await) }));
    address
}

fn at(value: &u64) -> EventTime {
    EventTime::from_millis(*value as i64)
}

#[test]
fn what_is_sunk_is_read_once_from_every_partition_and_ends_with_them() {
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    let done = run(host, |host| async move {
        let log = MemoryLog::default();
        let address = served(&host, &log).await;
        let sink = sink("t", 3, |value: &u64| *value).at(&address).disorder(ms(5));
        let mut writer = sink.open(opening(&host, 0, 1)).expect("opens");
        let mut batch = Batch::default();
        (0..2_500u64).for_each(|value| batch.push(at(&value), value));
        writer.write(batch).await.expect("taken");
        assert_eq!(flush(&mut writer).await.expect("taken").rows(), 2_500);
        (0..3).for_each(|partition| log.close("t", partition));

        let source = source("t", 3, at).at(&address);
        let mut reader = source.open(opening(&host, 0, 1)).expect("opens");
        let (mut seen, mut ends) = (Vec::new(), 0);
        loop {
            let mut batch = Batch::default();
            let now = host.wall();
            let pulled = poll_fn(|cx| reader.poll_next(cx, now, 100, &mut batch)).await;
            match pulled.expect("reads") {
                Pulled::Records { split, offset } => {
                    let before = seen.iter().filter(|(of, _)| *of == split).count();
                    assert_eq!(before as u64, offset);
                    seen.extend(batch.values.into_iter().map(|value| (split, value)));
                }
                Pulled::EndOf { .. } => ends += 1,
                Pulled::End => break,
                Pulled::Nothing | Pulled::NothingIn { .. } => {}
            }
        }
        assert!(ends < 3, "the last end is that of the source");
        assert!(seen.iter().all(|(split, value)| value % 3 == u64::from(*split)));
        assert!(!seen.is_sorted(), "disorder was asked for");
        seen.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    });
    let read = done.expect("a runtime");
    assert_eq!(read.len(), 2_500);
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), (0..2_500).collect());
}

#[test]
fn a_silent_partition_says_so_and_holds_up_no_other() {
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    run(host, |host| async move {
        let log = MemoryLog::default();
        let address = served(&host, &log).await;
        log.push("t", 1, &7u64);
        let mut reader = source("t", 2, at).at(&address).open(opening(&host, 0, 1)).expect("opens");
        let mut seen = BTreeSet::new();
        while seen.len() < 3 {
            let mut batch = Batch::default();
            let now = host.wall();
            let pulled = poll_fn(|cx| reader.poll_next(cx, now, 9, &mut batch)).await;
            seen.insert(format!("{:?} {:?}", pulled.expect("reads"), batch.values));
        }
        let records = "Records { split: 1, offset: 0 } [7]";
        let silent = ["NothingIn { split: 0 } []", "NothingIn { split: 1 } []"];
        assert_eq!(seen, [silent[0], silent[1], records].map(str::to_owned).into());
    })
    .expect("a runtime");
}

#[test]
fn a_server_of_another_kind_refuses_by_name() {
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    let refusal = run(host, |host| async move {
        let address = served(&host, &MemoryLog::default()).await;
        let sink = crate::series::sink(|_: &u64| {
            slackwater_core::point::Point::new("s", "k", EventTime::from_millis(0), [])
        });
        let mut writer = sink.at(address).open(opening(&host, 0, 1)).expect("opens");
        let mut batch = Batch::default();
        batch.push(at(&1), 1u64);
        writer.write(batch).await.expect("buffered");
        flush(&mut writer).await.expect_err("refused")
    });
    let said = refusal.expect("a runtime").message;
    assert!(said.ends_with("this is a log server, not one for a series"), "{said}");
}

fn clock(millis: i64) -> ProcessingTime {
    ProcessingTime::from_millis(millis)
}

fn append(log: &MemoryLog, sequence: u64, records: &[(u8, u64)], now: i64) {
    let records = records
        .iter()
        .map(|&(byte, delay)| Append { payload: vec![byte], delay: Duration::from_millis(delay) })
        .collect();
    log.append(("t", 0), ("p", sequence), records, clock(now)).expect("taken");
}

fn bytes(log: &MemoryLog) -> Vec<u8> {
    log.records("t", 0).concat()
}

#[test]
fn a_repeated_append_changes_nothing_and_a_gap_is_refused() {
    let log = MemoryLog::default();
    append(&log, 0, &[(1, 0), (2, 0)], 0);
    append(&log, 0, &[(1, 0), (2, 0)], 5);
    append(&log, 1, &[(2, 0), (3, 0)], 9);
    assert_eq!(bytes(&log), [1, 2, 3]);
    assert!(log.append(("t", 0), ("p", 9), vec![], clock(9)).is_err());
}

#[test]
fn a_delayed_record_is_overtaken_and_then_stands_where_it_arrived() {
    let log = MemoryLog::default();
    append(&log, 0, &[(1, 300), (2, 0), (3, 100)], 0);
    assert_eq!(bytes(&log), [2]);
    assert_eq!(log.release(("t", 0), clock(100)), (1..2, Some(clock(300))));
    append(&log, 3, &[(4, 0)], 299);
    assert_eq!(log.release(("t", 0), clock(300)), (3..4, None));
    assert_eq!(bytes(&log), [2, 3, 4, 1]);
}

#[test]
fn a_closed_partition_ends_behind_its_last_record() {
    let log = MemoryLog::default();
    log.push("t", 0, &7u8);
    log.close("t", 0);
    assert_eq!(log.fetch(("t", 0), 0, 10), Fetched { payloads: vec![vec![7]], ended: true });
    assert!(!log.fetch(("t", 0), 0, 0).ended);
    assert_eq!(log.fetch(("t", 0), 1, 10), Fetched { payloads: vec![], ended: true });
}
