//! The source against a scripted peer with a clock that jumps, and against the server on loopback.
//! No job and no task: the reader is polled by hand. What a job makes of it is played in scenarios.

use std::future::poll_fn;
use std::io;
use std::task::Waker;

use slackwater_runtime::host::real::{RealHost, run};

use super::*;
use crate::testing::{Clockwork, Peer, opening};

fn number(line: &str) -> Result<i64, String> {
    line.parse().map_err(|_| "expected a number".to_owned())
}

/// What a reader did, poll by poll: records, that there was nothing, what was skipped.
#[derive(Debug, PartialEq)]
enum Did {
    Read(Vec<i64>),
    Nothing,
    Skipped(u64, String),
}

fn reader(host: &Arc<dyn Host>) -> LineReader<i64> {
    lines("peer:9999", number).open(opening(host, 0, 1)).expect("opens")
}

/// Polls until nothing more moves.
fn play(host: &Arc<dyn Host>, reader: &mut LineReader<i64>, max_rows: usize) -> Vec<Did> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut did = Vec::new();
    loop {
        let mut batch = Batch::default();
        let before = reader.positions()[0].offset;
        let polled = reader.poll_next(&mut cx, host.wall(), max_rows, &mut batch);
        if let Some((count, why)) = reader.take_skipped() {
            did.push(Did::Skipped(count, why));
        }
        match polled {
            Poll::Pending => return did,
            Poll::Ready(Ok(Pulled::Records { split: 0, offset })) => {
                assert_eq!(offset, before, "records are numbered from where it stood");
                did.push(Did::Read(batch.values));
            }
            Poll::Ready(Ok(Pulled::Nothing)) => did.push(Did::Nothing),
            other => panic!("{other:?}"),
        }
    }
}

fn says(text: &str, stays: bool) -> Peer {
    Peer::Says(text.as_bytes().to_vec(), stays)
}

fn refused() -> Peer {
    Peer::Refuses(io::ErrorKind::ConnectionRefused)
}

/// The tries that were told, each with the time on the clock.
fn tries(host: &Clockwork) -> Vec<(u128, u32)> {
    let told = host.told().into_iter();
    let tries = told.filter_map(|(at, fact)| match fact {
        Fact::SourceDisconnected { tries, .. } => Some((at.as_millis(), tries)),
        Fact::SourceConnected { .. } => Some((at.as_millis(), 0)),
        _ => None,
    });
    tries.collect()
}

#[test]
fn whoever_is_not_there_is_asked_again_later_and_later_but_never_later_than_five_seconds() {
    let mut peers: Vec<_> = (0..9).map(|_| refused()).collect();
    peers.push(says("7\n", true));
    let host = Clockwork::with(0, 1, peers);
    let shared: Arc<dyn Host> = host.clone();
    let mut reader = reader(&shared);
    assert_eq!(play(&shared, &mut reader, 16), [Did::Read(vec![7]), Did::Nothing]);
    let waits = [0, 100, 300, 700, 1_500, 3_100, 6_300, 11_300, 16_300];
    let mut expected: Vec<_> = waits.into_iter().zip(1..).collect();
    expected.push((21_300, 0));
    assert_eq!(tries(&host), expected);
}

#[test]
fn what_could_not_be_read_and_who_was_not_there_are_counted_by_name() {
    let peers = [refused(), refused(), says("one\ntwo\n3\nfo", false), says("five\n", true)];
    let host: Arc<dyn Host> = Clockwork::with(0, 1, peers);
    let opening = opening(&host, 0, 1);
    let metrics = std::rc::Rc::clone(&opening.metrics);
    let mut reader = lines("peer:9999", number).open(opening).expect("opens");
    play(&host, &mut reader, 16);
    let counted = ["malformedLines", "failedConnections"].map(|name| metrics.counter(name).get());
    assert_eq!(counted, [4, 3]);
}

#[test]
fn a_connection_that_ends_is_made_again_and_the_count_of_records_goes_on() {
    let peers = vec![says("1\n2\n", false), refused(), says("3\n", true)];
    let host = Clockwork::with(5_000, 1, peers);
    let shared: Arc<dyn Host> = host.clone();
    let mut reader = reader(&shared);
    let expected = [Did::Read(vec![1, 2]), Did::Read(vec![3]), Did::Nothing];
    assert_eq!(play(&shared, &mut reader, 16), expected);
    assert_eq!(tries(&host), [(0, 0), (0, 1), (100, 2), (300, 0)]);
    assert_eq!(reader.positions()[0].offset, 3);
}

#[test]
fn a_line_that_cannot_be_read_is_counted_and_the_first_is_told() {
    let skipped = |count, why: &str| Did::Skipped(count, why.to_owned());
    let long = "9".repeat(LINE_MAX + 1);
    let table: [(&str, Vec<Did>); 6] = [
        ("1\r\n\n  \n 2 \n", vec![Did::Read(vec![1, 2])]),
        ("one\ntwo\n3\n", vec![skipped(2, "\"one\": expected a number"), Did::Read(vec![3])]),
        ("one\n", vec![skipped(1, "\"one\": expected a number"), Did::Nothing]),
        ("4\n5", vec![Did::Read(vec![4])]),
        (
            &format!("{long}\n6\n"),
            vec![skipped(1, "a line is longer than 65536 bytes"), Did::Read(vec![6])],
        ),
        ("\u{fffd}\n7\n", vec![skipped(1, "\"\u{fffd}\": expected a number"), Did::Read(vec![7])]),
    ];
    for (said, mut expected) in table {
        let host: Arc<dyn Host> = Clockwork::with(0, 1, [says(said, true)]);
        if expected.last() != Some(&Did::Nothing) {
            expected.push(Did::Nothing);
        }
        assert_eq!(play(&host, &mut reader(&host), 16), expected, "{said:.20}");
    }
}

#[test]
fn what_a_connection_leaves_half_said_is_counted_and_not_taken_for_a_line() {
    let peers = vec![says("1\n12", false), says("5\n", true)];
    let host: Arc<dyn Host> = Clockwork::with(0, 1, peers);
    let why = "the connection ended within a line, after 2 bytes".to_owned();
    let expected =
        [Did::Read(vec![1]), Did::Skipped(1, why), Did::Nothing, Did::Read(vec![5]), Did::Nothing];
    assert_eq!(play(&host, &mut reader(&host), 16), expected);
}

#[test]
fn bytes_that_are_no_text_are_one_bad_line() {
    let host: Arc<dyn Host> =
        Clockwork::with(0, 1, vec![Peer::Says(b"\xff\xfe\n8\n".to_vec(), true)]);
    let did = play(&host, &mut reader(&host), 16);
    assert!(matches!(&did[0], Did::Skipped(1, why) if why.starts_with("a line is no text")));
    assert_eq!(did[1], Did::Read(vec![8]));
}

#[test]
fn batches_are_bounded_and_stamped_with_the_clock_which_is_not_followed_back() {
    let host: Arc<dyn Host> = Clockwork::with(70, 1, vec![says("1\n2\n3\n", true)]);
    let mut reader = reader(&host);
    let mut cx = Context::from_waker(Waker::noop());
    let mut times = Vec::new();
    for now in [70, 50, 90] {
        let mut batch = Batch::default();
        let now = ProcessingTime::from_millis(now);
        assert!(reader.poll_next(&mut cx, now, 1, &mut batch).is_ready());
        times.extend(batch.times.iter().map(|at| at.as_millis()));
    }
    assert_eq!(times, [70, 70, 90]);
}

#[test]
fn a_reader_that_goes_on_counts_on_and_reads_nothing_twice() {
    let host: Arc<dyn Host> = Clockwork::with(0, 1, vec![says("4\n", true)]);
    let mut reader = reader(&host);
    let at = Position { split: 0, offset: 40, note: Vec::new(), ended: false };
    reader.seek(&[at]).expect("a count");
    assert_eq!(play(&host, &mut reader, 16), [Did::Read(vec![4]), Did::Nothing]);
    assert_eq!(reader.positions()[0].offset, 41);
}

#[test]
fn what_one_caller_says_all_the_others_are_told() {
    let done = run(
        RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]),
        |host| async move {
            let server = server::LineServer::bind(host.clone(), 0).await.expect("a port");
            let address = format!("here:{}", server.port());
            host.spawn("server", Box::pin(async move { drop(server.run().await) }));
            let mut readers: Vec<_> = (0..2)
                .map(|_| lines(&address, number).open(opening(&host, 0, 1)).expect("opens"))
                .collect();
            // Only who is connected hears.
            for reader in &mut readers {
                let connected = poll_fn(|cx| {
                    while !matches!(reader.link, Link::Up(_)) {
                        ready!(reader.poll_link(cx));
                    }
                    Poll::Ready(())
                });
                connected.await;
            }
            for line in ["1", "rubbish", "2"] {
                server::say(&*host, &address, line).await.expect("somebody listens");
            }
            let mut seen = Vec::new();
            for reader in &mut readers {
                let (mut read, mut skipped) = (Vec::new(), None);
                while read.len() < 2 {
                    let mut batch = Batch::default();
                    let now = host.wall();
                    let pulled = poll_fn(|cx| reader.poll_next(cx, now, 16, &mut batch)).await;
                    pulled.expect("reads");
                    skipped = skipped.or(reader.take_skipped().map(|(count, _)| count));
                    read.extend(batch.values);
                }
                seen.push((read, skipped));
            }
            seen
        },
    );
    let told = (vec![1, 2], Some(1));
    assert_eq!(done.expect("a runtime"), [told.clone(), told]);
}
