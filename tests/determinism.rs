//! The promise that one seed is one history: equal seeds give equal journals, byte for byte, and a
//! leak of anything that is not the seed is caught and named. No leak is planted in the engine: the
//! three that are here, a hash order, a real clock and an unbiased select, are in the job below.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use slackwater::prelude::*;
use slackwater_core::element::Batch;
use slackwater_core::fact::Fact;
use slackwater_dataflow::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Sink, SinkContract, SinkWriter,
};
use slackwater_runtime::host::{Host, of};
use slackwater_sim::fault::Fault;
use slackwater_sim::journal::Divergence;
use slackwater_sim::world::cluster::{Cluster, submit};
use slackwater_sim::world::{End, Run, Stop, World};

#[derive(Copy, Clone, Debug)]
enum Leak {
    Nothing,
    HashOrder,
    RealClock,
    UnbiasedSelect,
}

impl FromStr for Leak {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let leaks = [Self::Nothing, Self::HashOrder, Self::RealClock, Self::UnbiasedSelect];
        let named = leaks.into_iter().find(|leak| format!("{leak:?}") == text);
        named.ok_or_else(|| format!("no leak is called {text:?}"))
    }
}

/// Four numbers for each tick, always the same four: but in which order?
#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "leaks to be caught")]
fn numbers(leak: Leak) -> Vec<u32> {
    match leak {
        Leak::HashOrder => {
            let map: std::collections::HashMap<u32, ()> = [1, 2, 3, 4].map(|n| (n, ())).into();
            map.into_keys().collect()
        }
        Leak::RealClock => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let mut numbers = vec![1, 2, 3, 4];
            numbers.rotate_left(now.expect("after 1970").as_nanos() as usize / 64 % 4);
            numbers
        }
        Leak::Nothing | Leak::UnbiasedSelect => vec![1, 2, 3, 4],
    }
}

/// Tells every number as a record that a log took.
struct Told(Leak);

struct Teller {
    leak: Leak,
    host: Arc<dyn Host>,
}

impl Sink for Told {
    type Item = u32;
    type Writer = Teller;

    fn contract(&self) -> SinkContract {
        SinkContract::AtLeastOnce
    }

    fn open(&self, opening: Opening) -> Result<Teller, ConnectorError> {
        Ok(Teller { leak: self.0, host: of(&opening.outside) })
    }
}

impl Teller {
    fn tell(&self, number: u32) {
        self.host.tell(Fact::LogAppended { topic: "told".into(), partition: number, offset: 0 });
    }
}

impl SinkWriter for Teller {
    type Item = u32;

    fn write(&mut self, batch: Batch<u32>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async move {
            if let Leak::UnbiasedSelect = self.leak {
                tokio::select! {
                    () = async { self.tell(5) } => {}
                    () = async { self.tell(6) } => {}
                }
            }
            batch.values.into_iter().for_each(|number| self.tell(number));
            Ok(())
        })
    }

    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(async { Ok(flush.confirmed(0)) })
    }
}

fn leaky(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let leak = settings.take("leak", Leak::Nothing)?;
    let ticks = ticks::Ticks::every(ms(100)).until(secs(4));
    env.source("ticks", ticks, Watermarks::ascending())
        .flat_map(move |_| numbers(leak))
        .sink("told", Told(leak));
    Ok(())
}

fn leaking(leak: Leak) -> String {
    let program = Program::named("leaky").set("leak", format!("{leak:?}"));
    let catalog = Catalog::new().job("leaky", "v1", leaky);
    let run = Cluster::new(Arc::new(catalog))
        .on(World::new(1))
        .at(ms(1_000), submit("leaky", program))
        .until_jobs_are_final(1)
        .run();
    assert_eq!(run.end, End::Stopped(Stop::JobsFinal), "{leak:?}");
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

/// The demo with a crash, as a file.
const STORY: &str = r#"
format = 1
title  = "One history"
story  = "The demo runs on two task managers; one is killed and comes back."

[run]
seeds = "0..1"
stop  = { event_time = "15s" }
limit = { sim = "90s" }

[cluster]
task_managers = 2
slots = 2
net   = { delay = "1ms..40ms" }

[job]
program = "oscon"
set = { time = "event", parallelism = 2 }

[[fault]]
name = "kill-tm"
when = { at = "5s" }
do   = "crash"
on   = { role = "task_manager", pick = 0 }
down = "3s"

[[expect]]
check = "watermark_monotonic"
"#;

/// Plays the story in a process of its own; the bytes of its journal.
#[expect(clippy::disallowed_methods, reason = "a process of its own, and the file it leaves")]
fn journal_of_a_process(seed: u64) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let (story, journal) = (folder.path().join("story.toml"), folder.path().join("journal.txt"));
    std::fs::write(&story, STORY).expect("the folder is writable");
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_slackwater"))
        .arg("check")
        .arg(&story)
        .args(["--seed", &seed.to_string(), "--journal"])
        .arg(&journal)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    std::fs::read_to_string(&journal).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn two_processes_write_the_same_journal_byte_for_byte() {
    for seed in [3, 0x2f1c] {
        let (first, second) = (journal_of_a_process(seed), journal_of_a_process(seed));
        let differs = Divergence::between(&first, &second);
        assert!(differs.is_none(), "seed {seed}: {}", differs.expect("just seen"));
        assert!(first.contains("node.down node=\"tm-1\" how=kill"), "seed {seed}: the fault fired");
        assert!(first.contains("series.written"), "seed {seed}: the job ran");
    }
}

#[test]
fn another_seed_is_another_history() {
    assert_ne!(demo(1).run().journal.hash(), demo(2).run().journal.hash());
}

#[test]
fn every_planted_leak_is_caught_and_its_first_line_named() {
    assert_eq!(Divergence::between(&leaking(Leak::Nothing), &leaking(Leak::Nothing)), None);
    for leak in [Leak::HashOrder, Leak::RealClock, Leak::UnbiasedSelect] {
        let (first, second) = (leaking(leak), leaking(leak));
        let caught = Divergence::between(&first, &second).unwrap_or_else(|| panic!("{leak:?}"));
        let (time, node) = caught.place();
        let at = time.parse::<f64>().expect("seconds");
        assert!((1.0..6.0).contains(&at) && node == "tm-1", "{leak:?}: {caught}");
        let texts = [&caught.left, &caught.right].map(|text| text.as_deref().unwrap_or_default());
        assert!(texts.iter().any(|text| text.contains("topic=\"told\"")), "{leak:?}: {caught}");
        let before = |text: &str| text.lines().take(caught.line - 1).collect::<Vec<_>>().join("\n");
        assert_eq!(before(&first), before(&second), "{leak:?}: it is the first line that differs");
    }
}
