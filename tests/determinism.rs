//! The promise that one seed is one history: equal seeds give equal journals, byte for byte, and a
//! leak of anything that is not the seed is caught and named. No leak is planted in the engine: the
//! three that are here, a hash order, a real clock and an unbiased select, are in these programs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use slackwater_core::fact::Fact;
use slackwater_core::id::ChannelId;
use slackwater_core::program::Program;
use slackwater_core::time::ms;
use slackwater_runtime::host::Host;
use slackwater_sim::fault::Fault;
use slackwater_sim::journal::Divergence;
use slackwater_sim::world::cluster::{Cluster, submit};
use slackwater_sim::world::{End, Main, Run, Stop, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Copy, Clone, Debug)]
enum Leak {
    Nothing,
    HashOrder,
    RealClock,
    UnbiasedSelect,
}

impl Leak {
    /// Four numbers to send, always the same four: but in which order, and how soon?
    #[expect(
        clippy::disallowed_types,
        clippy::disallowed_methods,
        reason = "the leaks to be caught"
    )]
    async fn numbers(self, host: &dyn Host) -> Vec<u8> {
        match self {
            Self::Nothing => vec![1, 2, 3, 4],
            Self::HashOrder => {
                let map: std::collections::HashMap<u8, ()> = [1, 2, 3, 4].map(|n| (n, ())).into();
                map.into_keys().collect()
            }
            Self::RealClock => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let nanos = now.expect("after 1970").as_nanos() / 100;
                host.sleep(ms((nanos % 17) as u64)).await;
                vec![1, 2, 3, 4]
            }
            Self::UnbiasedSelect => {
                let first = async { 1 };
                tokio::select! {
                    one = first => vec![one, 2, 3, 4],
                    two = async { 2 } => vec![two, 1, 3, 4],
                }
            }
        }
    }
}

/// Sends four numbers every 50 ms; reconnects when the receiver is gone.
fn sender(leak: Leak) -> Main {
    Arc::new(move |host| {
        Box::pin(async move {
            loop {
                if let Ok(mut conn) = host.connect("tm-1:7", ms(500)).await {
                    loop {
                        let numbers = leak.numbers(&*host).await;
                        host.sleep(ms(50)).await;
                        if conn.write_all(&numbers).await.is_err() {
                            break;
                        }
                    }
                }
                host.sleep(ms(200)).await;
            }
        })
    })
}

/// Tells every number as a frame that arrived.
fn receiver() -> Main {
    Arc::new(|host| {
        Box::pin(async move {
            let mut port = host.listen(7).await.expect("the port is free");
            while let Ok((mut conn, _)) = port.accept().await {
                let mut numbers = [0; 4];
                while conn.read_exact(&mut numbers).await.is_ok() {
                    for n in numbers {
                        let channel = ChannelId { edge: 0, from: 0, to: 0 };
                        host.tell(Fact::FrameReceived { channel, rows: u32::from(n), bytes: 1 });
                    }
                }
            }
        })
    })
}

fn journal(leak: Leak, seed: u64) -> String {
    let on = |fault: fn(String) -> Fault| fault("tm-1".into());
    let run = World::new(seed)
        .node("jm", sender(leak))
        .node("tm-1", receiver())
        .shuffle(0.1)
        .at(ms(1_000), on(|node| Fault::Kill { node }))
        .at(ms(1_500), on(|node| Fault::Start { node }))
        .at(ms(2_000), on(|node| Fault::Pause { node }))
        .at(ms(2_500), on(|node| Fault::Resume { node }))
        .limit(Duration::from_secs(4))
        .run();
    run.journal.text()
}

/// The demo on two task managers, of which one is killed, one is stopped, and both come back.
fn demo(seed: u64) -> World {
    let node = |name: &str| name.to_owned();
    let program = Program::named("oscon").set("parallelism", 2).set("until", "8s");
    Cluster::new(Arc::new(slackwater_jobs::catalog()))
        .task_managers(2, 2)
        .on(World::new(seed).shuffle(0.1))
        .at(ms(1_000), submit("demo", program))
        .at(ms(4_000), Fault::Kill { node: node("tm-1") })
        .at(ms(6_000), Fault::Start { node: node("tm-1") })
        .at(ms(9_000), Fault::Pause { node: node("tm-2") })
        .at(ms(17_000), Fault::Resume { node: node("tm-2") })
        .until_jobs_are_final(1)
        .limit(Duration::from_secs(120))
}

#[expect(clippy::disallowed_methods, reason = "worlds that run at once must not meet")]
fn at_once(worlds: usize, world: fn(u64) -> World, seed: u64) -> Vec<Run> {
    let threads: Vec<_> =
        (0..worlds).map(|_| std::thread::spawn(move || world(seed).run())).collect();
    threads.into_iter().map(|thread| thread.join().expect("it runs")).collect()
}

#[test]
fn the_demo_under_faults_is_the_same_in_sequence_and_at_once() {
    for seed in 0..4 {
        let first = demo(seed).run();
        assert_eq!(first.end, End::Stopped(Stop::JobsFinal), "seed {seed}");
        let text = first.journal.text();
        assert!(text.contains("to=RESTARTING"), "seed {seed}: the faults meet the job");
        for again in at_once(3, demo, seed) {
            let differs = Divergence::between(&text, &again.journal.text());
            assert!(differs.is_none(), "seed {seed}: {}", differs.expect("just seen"));
            assert_eq!(first.journal.hash(), again.journal.hash());
        }
    }
}

#[test]
fn one_seed_is_one_journal_and_another_seed_another() {
    for seed in 0..8 {
        let first = journal(Leak::Nothing, seed);
        assert!(first.lines().count() > 100, "{first}");
        assert_eq!(Divergence::between(&first, &journal(Leak::Nothing, seed)), None);
        assert!(first != journal(Leak::Nothing, seed + 1), "seed {seed} changes nothing");
    }
}

#[test]
fn every_planted_leak_is_caught_and_its_first_line_named() {
    for leak in [Leak::HashOrder, Leak::RealClock, Leak::UnbiasedSelect] {
        let (first, second) = (journal(leak, 1), journal(leak, 1));
        let caught = Divergence::between(&first, &second).unwrap_or_else(|| panic!("{leak:?}"));
        assert_ne!(caught.left, caught.right);
        let (time, node) = caught.place();
        assert_eq!(node, "tm-1", "{leak:?}: {caught}");
        assert!(time.parse::<f64>().is_ok(), "{leak:?}: {caught}");
        let before = |text: &str| text.lines().take(caught.line - 1).collect::<Vec<_>>().join("\n");
        assert_eq!(before(&first), before(&second), "{leak:?}: it is the first line that differs");
    }
}
