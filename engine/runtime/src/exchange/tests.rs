//! What the exchange promises, tried over in-memory connections and over loopback.
//! Never sleeps on the wall clock: silence is tried on a paused one. Whole workers are tried in
//! `tests/workers.rs`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use slackwater_core::codec::encode_message;
use slackwater_core::element::{Batch, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{
    Attempt, ChannelId, Execution, JobEpoch, JobId, Subtask, TaskManagerId, VertexId, WorkerId,
};
use slackwater_core::time::EventTime;
use slackwater_dataflow::packet::{AnyBatch, ElementCodec, Packet, SerdeCodec};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::head::{Granted, Head, Opening};
use super::*;
use crate::host::real::RealHost;
use crate::host::{Host, within};
use crate::wire::frame::{FrameReader, FrameWriter};
use crate::wire::handshake::{Handshake, HandshakeError, Hello, PROTOCOL, Role};

const KEY: AttemptKey = AttemptKey { job: JobId(7), epoch: JobEpoch(1), attempt: Attempt(2) };

fn channel(from: u32) -> ChannelId {
    ChannelId { edge: 0, from, to: 0 }
}

fn codec() -> Arc<dyn ElementCodec> {
    Arc::new(SerdeCodec::<u64>::new().expect("a plain number"))
}

fn batch(value: u64) -> Packet {
    let mut batch = Batch::default();
    batch.push(EventTime::from_millis(value as i64), value);
    Packet::Batch(AnyBatch::new(batch))
}

fn shown((channel, packet): (u32, Packet)) -> String {
    match packet {
        Packet::Batch(batch) => format!("{channel}:{}", batch.downcast::<u64>().values[0]),
        Packet::Signal(signal) => format!("{channel}:{signal:?}"),
    }
}

async fn next(inbox: &Inbox) -> String {
    shown(poll_fn(|cx| inbox.poll_take(cx)).await)
}

/// A receiving task with two channels, and an entrance that lets them in.
struct Receiver {
    host: Arc<dyn Host>,
    entrance: Rc<Entrance>,
    inbox: Rc<Inbox>,
    alarm: Rc<Alarm>,
    facts: Arc<Mutex<Vec<Fact>>>,
}

fn receiver(config: ExchangeConfig) -> Receiver {
    let facts = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&facts);
    let telling = Arc::new(move |fact| heard.lock().expect("whole").push(fact));
    let host = RealHost::named("tm-1")
        .expect("randomness")
        .with_neighbours(["tm-1", "tm-2"])
        .telling(Detail::Flow, telling);
    let host: Arc<dyn Host> = Arc::new(host);
    let entrance = Entrance::new(Arc::clone(&host), config);
    let (inbox, alarm) = (Inbox::new(2, config.credits), Rc::new(Alarm::default()));
    let inbound = |index| Inbound {
        counts: Arc::default(),
        inbox: Rc::clone(&inbox),
        index,
        codec: codec(),
        alarm: Rc::clone(&alarm),
    };
    entrance.admit(KEY, BTreeMap::from([0, 1].map(|from| (channel(from), inbound(from)))));
    Receiver { host, entrance, inbox, alarm, facts }
}

impl Receiver {
    /// Connects a sender that is played by the test.
    async fn meet(&self, key: AttemptKey) -> Result<(FrameReader, FrameWriter), HandshakeError> {
        let (left, right) = tokio::io::duplex(1 << 16);
        let received = Rc::clone(&self.entrance).receive(Box::new(right), "tm-2".into());
        self.host.spawn("receive", Box::pin(received));
        let schema = codec().schema().fingerprint();
        let AttemptKey { job, epoch, attempt } = key;
        let channels = vec![(channel(0), schema), (channel(1), schema)];
        let hello =
            Hello::new(Role::Exchange, "tm-2/0", &Opening { job, epoch, attempt, channels });
        let handshake = Handshake::default();
        let offered = handshake.offer::<Granted>(&*self.host, Box::new(left), "tm-1", &hello);
        offered.await.map(|(_, reader, writer)| (reader, writer))
    }

    fn fenced(&self) -> Vec<String> {
        let facts = self.facts.lock().expect("whole");
        let fenced = facts.iter().filter(|fact| matches!(fact, Fact::MessageFenced { .. }));
        fenced.map(ToString::to_string).collect()
    }
}

fn on_one_thread(future: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future);
}

fn head(from: u32, attempt: u32, signal: Signal) -> Vec<u8> {
    let attempt = Attempt(attempt);
    Head::Signal { epoch: JobEpoch(1), attempt, channel: channel(from), signal }.encode()
}

#[test]
fn packets_of_one_worker_arrive_in_order_and_wait_for_credit() {
    on_one_thread(async {
        let host = RealHost::named("tm-1").expect("randomness").with_neighbours(["tm-1", "tm-2"]);
        let inbox = Inbox::new(2, 2);
        let out = [0, 1].map(|i| Outbound::local(task(), channel(i), Rc::clone(&inbox), i));
        let seen = RefCell::new(Vec::new());
        let sends = async {
            for value in 0..5 {
                out[0].send(&host, batch(value)).await.expect("a number");
                seen.borrow_mut().push(format!("sent {value}"));
            }
            out[0].send(&host, Packet::Signal(Signal::EndOfInput)).await.expect("a signal");
        };
        let takes = async {
            // The other channel is not held up by the one that is full.
            out[1].send(&host, batch(9)).await.expect("a number");
            for _ in 0..7 {
                let taken = next(&inbox).await;
                seen.borrow_mut().push(taken);
            }
        };
        futures::join!(sends, takes);
        let expected = "sent 0,sent 1,0:0,1:9,0:1,sent 2,sent 3,0:2,0:3,sent 4,0:4,0:EndOfInput";
        let seen = seen.into_inner().join(",");
        assert_eq!(seen, expected);
    });
}

fn task() -> Execution {
    let subtask = Subtask { vertex: VertexId(0), index: 0 };
    Execution { job: KEY.job, epoch: KEY.epoch, attempt: KEY.attempt, subtask }
}

#[test]
fn packets_cross_a_connection_and_a_full_channel_holds_up_no_other() {
    let all = crate::host::real::run(
        RealHost::named("tm-2").expect("randomness").with_neighbours(["tm-1", "tm-2"]),
        |host| async move {
            let config = ExchangeConfig { credits: 2, ..ExchangeConfig::default() };
            let receiver = receiver(config);
            let listener = receiver.host.listen(0).await.expect("a port");
            let worker =
                |name: &str| WorkerId { task_manager: TaskManagerId(name.into()), index: 0 };
            let route = Route {
                key: KEY,
                from: worker("tm-2"),
                to: worker("tm-1"),
                address: format!("tm-1:{}", listener.port()),
                neighbours: Neighbours::default(),
            };
            host.spawn("serve", Box::pin(Rc::clone(&receiver.entrance).serve(listener)));
            let (link, alarm) = (Link::new(route), Rc::new(Alarm::default()));
            let out = [0, 1].map(|i| link.add(task(), channel(i), codec(), Rc::clone(&alarm)));
            host.spawn("link", Box::pin(Rc::clone(&link).run(host.arc(), config)));
            for value in 0..2 {
                out[0].send(&*host, batch(value)).await.expect("a number");
            }
            assert!(out[0].is_exhausted());
            out[1].send(&*host, batch(9)).await.expect("a number");
            let mut seen = Vec::new();
            let sends = async {
                out[0].send(&*host, batch(2)).await.expect("a number");
                for out in &out {
                    out.send(&*host, Packet::Signal(Signal::EndOfInput)).await.expect("a signal");
                    out.ended().await;
                }
            };
            let takes = async {
                for _ in 0..6 {
                    seen.push(next(&receiver.inbox).await);
                }
            };
            futures::join!(sends, takes);
            seen.sort();
            seen
        },
    );
    let expected = ["0:0", "0:1", "0:2", "0:EndOfInput", "1:9", "1:EndOfInput"];
    assert_eq!(all.expect("a runtime"), expected);
}

#[test]
fn a_connection_that_ends_before_its_channels_fails_the_task() {
    on_one_thread(async {
        let receiver = receiver(ExchangeConfig::default());
        let (reader, mut writer) = receiver.meet(KEY).await.expect("deployed");
        writer.send(&head(0, 2, Signal::EndOfInput)).await.expect("open");
        drop((reader, writer));
        let cause = receiver.alarm.rung().await;
        assert_eq!(next(&receiver.inbox).await, "0:EndOfInput");
        let said = "channel e0[1->0] from worker tm-2/0: the connection was lost before the end of \
                    the stream";
        assert_eq!(cause, said);
    });
}

#[test]
fn a_frame_that_is_cut_off_delivers_nothing_and_fails_the_task() {
    let (epoch, attempt) = (KEY.epoch, KEY.attempt);
    let Packet::Batch(rows) = batch(5) else { panic!("a batch") };
    let mut frame = Head::Batch { epoch, attempt, channel: channel(0), rows: 1 }.encode();
    frame.extend(codec().encode(&rows).expect("a number"));
    // The last byte of the frame never comes.
    let length = (frame.len() as u32).to_be_bytes();
    let cut = [&length[..], &frame[..frame.len() - 1]].concat();
    on_one_thread(async {
        let receiver = receiver(ExchangeConfig::default());
        let (mut raw, conn) = tokio::io::duplex(1 << 16);
        let received = Rc::clone(&receiver.entrance).receive(Box::new(conn), "tm-2".into());
        receiver.host.spawn("receive", Box::pin(received));
        let schema = codec().schema().fingerprint();
        let AttemptKey { job, epoch, attempt } = KEY;
        let opening = Opening { job, epoch, attempt, channels: vec![(channel(0), schema)] };
        let hello = encode_message(&Hello::new(Role::Exchange, "tm-2/0", &opening));
        let hello = [b"SLKW", &PROTOCOL.to_le_bytes()[..], &hello.expect("plain")].concat();
        raw.write_u32(hello.len() as u32).await.expect("open");
        raw.write_all(&hello).await.expect("open");
        let welcome = raw.read_u32().await.expect("a welcome");
        raw.read_exact(&mut vec![0; welcome as usize]).await.expect("a welcome");
        raw.write_all(&cut).await.expect("open");
        drop(raw);
        let cause = receiver.alarm.rung().await;
        assert!(cause.ends_with("the connection ended in the middle of a frame"), "{cause}");
        assert!(receiver.inbox.take().is_none(), "half a batch is no batch");
    });
}

#[test]
fn a_connection_that_ends_behind_its_channels_fails_nobody() {
    on_one_thread(async {
        let receiver = receiver(ExchangeConfig::default());
        let (mut reader, mut writer) = receiver.meet(KEY).await.expect("deployed");
        for from in 0..2 {
            writer.send(&head(from, 2, Signal::EndOfInput)).await.expect("open");
            let ended = reader.read().await.expect("open").expect("open");
            let expected = Head::Ended { channel: channel(from) };
            assert_eq!(Head::decode(&ended).expect("a head").0, expected);
        }
        writer.close().await.expect("open");
        assert!(reader.read().await.expect("a clean end").is_none());
        let rung = futures::FutureExt::now_or_never(receiver.alarm.rung());
        assert_eq!(rung, None);
    });
}

#[test]
fn a_frame_of_a_dead_attempt_is_fenced_and_changes_nothing() {
    on_one_thread(async {
        let receiver = receiver(ExchangeConfig::default());
        let (_reader, mut writer) = receiver.meet(KEY).await.expect("deployed");
        writer.send(&head(0, 1, Signal::EndOfInput)).await.expect("open");
        writer.send(&head(0, 2, Signal::Idle)).await.expect("open");
        assert_eq!(next(&receiver.inbox).await, "0:Idle");
        assert_eq!(receiver.fenced().len(), 1, "{:?}", receiver.fenced());
    });
}

#[test]
fn a_connection_of_a_dead_attempt_is_refused_and_a_later_one_is_waited_for() {
    on_one_thread(async {
        let receiver = receiver(ExchangeConfig::default());
        let refusal = async |attempt| {
            let met = receiver.meet(AttemptKey { attempt: Attempt(attempt), ..KEY }).await;
            met.expect_err("refused").to_string()
        };
        assert_eq!(refusal(1).await, "refused by the peer: attempt 1 of epoch 1 is over");
        receiver.entrance.dismiss(KEY.job);
        assert_eq!(refusal(2).await, "refused by the peer: attempt 2 of epoch 1 is over");
        assert_eq!(receiver.fenced().len(), 2);
        let deploys = async {
            receiver.host.sleep(Duration::from_secs(1)).await;
            let key = AttemptKey { attempt: Attempt(3), ..KEY };
            receiver.entrance.admit(key, BTreeMap::new());
        };
        let (refused, ()) = futures::join!(refusal(3), deploys);
        assert_eq!(refused, "refused by the peer: channel e0[0->0] is unknown here");
    });
}

#[test]
fn what_a_sender_may_not_do_fails_the_channel_by_name() {
    let unknown = head(5, 2, Signal::Idle);
    let too_much = [head(0, 2, Signal::Idle), head(0, 2, Signal::Active)].map(|f| f.to_vec());
    let behind = [head(0, 2, Signal::EndOfInput), head(0, 2, Signal::Idle)].map(|f| f.to_vec());
    let (epoch, attempt) = (KEY.epoch, KEY.attempt);
    let damaged = Head::Batch { epoch, attempt, channel: channel(0), rows: 1 }.encode();
    let cases: [(&[Vec<u8>], &str); 4] = [
        (&[unknown], "the connection does not carry it"),
        (&too_much, "overran its credit"),
        (&behind, "behind its end"),
        (&[damaged], "malformed"),
    ];
    for (frames, expected) in cases {
        on_one_thread(async {
            let receiver = receiver(ExchangeConfig { credits: 1, ..ExchangeConfig::default() });
            let (_reader, mut writer) = receiver.meet(KEY).await.expect("deployed");
            for frame in frames {
                writer.push(&[frame]).expect("short");
            }
            writer.flush().await.expect("open");
            let cause = receiver.alarm.rung().await;
            assert!(cause.contains(expected), "{cause}");
        });
    }
}

#[test]
fn a_silent_connection_is_taken_for_lost_and_a_heartbeat_keeps_it() {
    on_one_thread(async {
        let receiver = receiver(ExchangeConfig::default());
        let (_reader, mut writer) = receiver.meet(KEY).await.expect("deployed");
        let beats = async {
            for _ in 0..3 {
                receiver.host.sleep(Duration::from_secs(8)).await;
                writer.send(&Head::Heartbeat.encode()).await.expect("open");
            }
        };
        let heard = within(&*receiver.host, Duration::from_secs(33), receiver.alarm.rung());
        assert_eq!(futures::join!(heard, beats).0, None);
        let cause = within(&*receiver.host, Duration::from_secs(2), receiver.alarm.rung()).await;
        let cause = cause.expect("ten seconds have gone by");
        assert!(cause.ends_with("nothing was heard for 10s"), "{cause}");
    });
}
