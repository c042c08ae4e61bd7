//! The store of a world, tried by nodes that put and get, are refused, die, and race each other.
//! No engine runs here but its `runtime::store`, and nothing waits on a wall clock.
//! The same verbs on real folders are tried in `slackwater-runtime`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use slackwater_core::checkpoint::{
    CheckpointKind, CheckpointMetadata, Contents, METADATA_FORMAT, StateFile, StateHandle,
    VertexState,
};
use slackwater_core::fact::Detail;
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, VertexId};
use slackwater_core::joblog::LogEvent;
use slackwater_core::program::Program;
use slackwater_core::time::{ProcessingTime, ms, secs};
use slackwater_runtime::host::Host;
use slackwater_runtime::store::{
    Created, JobLog, Lease, Part, Patience, Store, read_all, read_metadata, read_state,
    write_metadata, write_state,
};

use crate::fault::{Fault, Object, StoreFault};
use crate::world::cluster::STORE;
use crate::world::{Main, Run, World};

const JOB: JobId = JobId(7);

/// A process that does something with the store.
fn process<F>(main: impl Fn(Arc<dyn Host>, Store) -> F + Send + Sync + 'static) -> Main
where
    F: Future<Output = ()> + 'static,
{
    Arc::new(move |host| {
        let store = Store::open(Arc::clone(&host), STORE).expect("it is a store");
        Box::pin(main(host, store))
    })
}

fn world(seed: u64) -> World {
    World::new(seed).tick(ms(1)).detail(Detail::Control).limit(secs(5))
}

/// Runs a world in which no process may panic.
fn play(world: World) -> Run {
    let run = world.run();
    let panics: Vec<_> =
        run.journal.entries().iter().filter(|entry| entry.fact.probe() == "panic").collect();
    assert!(panics.is_empty(), "{panics:?}");
    run
}

fn probes(run: &Run, probe: &str) -> usize {
    run.journal.entries().iter().filter(|entry| entry.fact.probe() == probe).count()
}

fn of(bytes: &'static [u8]) -> Vec<Bytes> {
    vec![Bytes::from_static(bytes)]
}

#[test]
fn what_one_node_puts_another_gets_also_in_the_next_world() {
    let writes = process(|_, store| async move {
        store.put("a/x", of(b"hello")).await.expect("well");
        store.put("a/y/z", of(b"")).await.expect("well");
        store.put("b", of(b"gone")).await.expect("well");
        store.delete("b").await.expect("well");
        let first = store.create("a/w", Bytes::from_static(b"first")).await;
        assert_eq!(first, Ok(Created::Ours));
    });
    let reads = process(|host, store| async move {
        host.sleep(secs(1)).await;
        assert_eq!(store.get("a/x").await, Ok(Bytes::from_static(b"hello")));
        let second = store.create("a/w", Bytes::from_static(b"second")).await;
        assert_eq!(second, Ok(Created::Theirs(Bytes::from_static(b"first"))));
        let listed = store.list("a").await.expect("well");
        let paths: Vec<_> = listed.iter().map(|listed| listed.path.as_str()).collect();
        assert_eq!(paths, ["a/w", "a/x", "a/y/z"]);
        assert_eq!(store.folders("a").await, Ok(vec!["a/y".to_owned()]));
        assert!(store.get("b").await.expect_err("deleted").is_damage());
    });
    let run = play(world(1).node("one", writes).node("two", Arc::clone(&reads)));
    let paths: Vec<_> = run.store.keys().map(String::as_str).collect();
    assert_eq!(paths, ["a/w", "a/x", "a/y/z"]);
    for (probe, expected) in
        [("store.put", 4), ("store.get", 2), ("store.deleted", 1), ("store.listed", 2)]
    {
        assert_eq!(probes(&run, probe), expected, "{probe}: {}", run.journal.text());
    }
    assert!(run.steps > 20, "every operation is a step when it is sent and when it happens");
    play(world(2).store(run.store).node("another", reads));
}

#[test]
fn equal_worlds_have_equal_stores_and_equal_journals() {
    let busy = || {
        process(|host, store| async move {
            for round in 0..20u8 {
                let path = format!("{}/{round}", host.name());
                store.put(&path, vec![vec![round].into()]).await.expect("well");
                store.list("").await.expect("well");
            }
        })
    };
    let run = |seed| play(world(seed).node("a", busy()).node("b", busy()));
    let (first, again, other) = (run(3), run(3), run(4));
    assert_eq!((first.journal.text(), &first.store), (again.journal.text(), &again.store));
    assert_eq!(first.steps, again.steps);
    assert_eq!(first.store, other.store);
    assert_ne!(first.journal.text(), other.journal.text(), "delays come from the seed");
}

#[test]
fn a_store_that_refuses_for_a_while_is_asked_again_and_a_full_one_says_so() {
    let patient = process(|host, store| async move {
        host.sleep(ms(100)).await;
        store.put("patient", of(b"x")).await.expect("healed within the patience");
        assert!(host.elapsed() > ms(600), "not before it was healed");
    });
    let hasty = process(|host, store| async move {
        host.sleep(ms(100)).await;
        let store = store.patience(Patience::NONE);
        let refused = store.get("patient").await.expect_err("refused");
        assert!(refused.is_transient(), "{refused}");
        assert_eq!(refused.to_string(), "patient cannot be reached now: the store refuses");
        assert!(store.list("").await.expect_err("refused").is_transient());
        host.sleep(secs(2)).await;
        let full = store.put("more", of(b"x")).await.expect_err("full");
        assert_eq!(full.to_string(), "more cannot be reached now: no space left on device");
        assert_eq!(store.get("patient").await, Ok(Bytes::from_static(b"x")), "full, yet readable");
    });
    let run = play(
        world(5)
            .node("patient", patient)
            .node("hasty", hasty)
            .at(Duration::ZERO, Fault::Store(StoreFault::Refuse { node: None }))
            .at(ms(600), Fault::Store(StoreFault::Heal))
            .at(secs(2), Fault::Store(StoreFault::Full)),
    );
    assert!(probes(&run, "store.refused") >= 5, "{}", run.journal.text());
}

#[test]
fn one_node_may_be_refused_and_all_may_be_slowed() {
    let puts = |is_refused: bool| {
        process(move |host, store| async move {
            let store = store.patience(Patience::NONE);
            assert_eq!(store.put(host.name(), of(b"x")).await.is_err(), is_refused);
            host.sleep(secs(1)).await;
            let before = host.elapsed();
            store.get("in").await.expect("only one put was refused");
            assert!(host.elapsed() - before > ms(500), "half a second slower");
        })
    };
    play(
        world(6)
            .node("in", puts(false))
            .node("out", puts(true))
            .at(Duration::ZERO, Fault::Store(StoreFault::Refuse { node: Some("out".into()) }))
            .at(ms(500), Fault::Store(StoreFault::Heal))
            .at(ms(500), Fault::Store(StoreFault::Slow { by: ms(500) })),
    );
}

/// What is found at `x` when the node that puts it dies at a time: its length, if it is there.
fn dies_putting(seed: u64, at: Duration, creates: bool) -> Option<usize> {
    let puts = process(move |_, store| async move {
        if creates {
            drop(store.create("x", Bytes::from_static(b"0123456789")).await);
        } else {
            drop(store.put("x", of(b"0123456789")).await);
        }
        panic!("the node is killed before it has its answer");
    });
    let kill = Fault::Kill { node: "mortal".into() };
    let run = play(world(seed).limit(ms(50)).node("mortal", puts).at(at, kill));
    run.store.get("x").map(Vec::len)
}

#[test]
fn what_is_in_flight_when_its_caller_dies_happens_whole_or_not_and_a_plain_put_in_part() {
    let (mut created, mut put) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..60 {
        created.insert(dies_putting(seed, ms(1), true));
        put.insert(dies_putting(seed, ms(1), false));
    }
    assert_eq!(created, BTreeSet::from([None, Some(10)]));
    assert!(put.contains(&None) && put.contains(&Some(10)), "{put:?}");
    assert!(put.iter().flatten().any(|length| *length < 10), "{put:?}");
}

#[test]
fn a_write_of_the_dead_may_arrive_after_the_death() {
    let late = (0..40).any(|seed| {
        let puts = process(|_, store| async move {
            drop(store.create("x", Bytes::from_static(b"late")).await);
        });
        let slow = Fault::Store(StoreFault::Slow { by: secs(2) });
        let kill = Fault::Kill { node: "mortal".into() };
        let dies = world(seed).node("mortal", puts).at(Duration::ZERO, slow).at(ms(500), kill);
        let run = play(dies);
        let entries = run.journal.entries();
        let time = |probe| entries.iter().find(|e| e.fact.probe() == probe).map(|e| e.time);
        time("store.put").zip(time("node.down")).is_some_and(|(put, down)| put > down)
    });
    assert!(late, "of forty, one");
}

#[test]
fn a_torn_last_write_keeps_half_also_of_a_conditional_create() {
    for (at, expected) in [(ms(1), "torn on its way"), (ms(30), "torn at 5 of 10 bytes")] {
        for seed in 0..10 {
            let creates = process(|host, store| async move {
                drop(store.create("x", Bytes::from_static(b"0123456789")).await);
                host.sleep(secs(9)).await;
            });
            let tear = Fault::Store(StoreFault::Tear { node: "mortal".into() });
            let kill = Fault::Kill { node: "mortal".into() };
            let run =
                play(world(seed).limit(ms(60)).node("mortal", creates).at(at, tear).at(at, kill));
            // Within the first millisecond it may have happened already: then it is torn there.
            assert_eq!(run.store.get("x").map(Vec::as_slice), Some(&b"01234"[..]));
            let told = run.journal.text();
            assert!(told.contains(expected) || told.contains("torn at 5 of 10 bytes"), "{told}");
        }
    }
}

fn part(index: u32) -> Part {
    let subtask = Subtask { vertex: VertexId(0), index };
    let task = Execution { job: JOB, epoch: JobEpoch(1), attempt: Attempt(1), subtask };
    Part { checkpoint: CheckpointId(1), task }
}

fn metadata(file: &StateFile) -> CheckpointMetadata {
    let subtasks = vec![StateHandle::File(file.clone())];
    CheckpointMetadata {
        format: METADATA_FORMAT,
        job: JOB,
        checkpoint: CheckpointId(1),
        kind: CheckpointKind::Checkpoint,
        epoch: JobEpoch(1),
        attempt: Attempt(1),
        program: Program::named("ledger"),
        triggered: ProcessingTime::from_millis(1),
        completed: ProcessingTime::from_millis(2),
        max_parallelism: 8,
        vertices: vec![VertexState {
            vertex: VertexId(0),
            uids: vec![],
            parallelism: 1,
            subtasks,
            contents: Contents::default(),
        }],
        finished: vec![],
        last: false,
        ending: None,
    }
}

fn submitted() -> LogEvent {
    LogEvent::Submitted { program: Program::named("ledger"), from: None, graph: None }
}

fn reserved(ids_below: u64) -> LogEvent {
    LogEvent::Reserved { ids_below: CheckpointId(ids_below) }
}

/// Writes a checkpoint, suffers the deed, reads everything back: what is wrong with each of state
/// file, metadata and log.
fn suffers(deed: StoreFault) -> [String; 3] {
    let told = Arc::new(Mutex::new(<[String; 3]>::default()));
    let tells = Arc::clone(&told);
    let main = process(move |host, store| {
        let tells = Arc::clone(&tells);
        async move {
            let state = write_state(&store, &part(0), of(b"sections")).await.expect("well");
            let metadata = write_metadata(&store, &metadata(&state)).await.expect("well");
            let mut log = JobLog::new(store.clone(), JOB, JobEpoch(1));
            log.append(submitted()).await.expect("well");
            log.append(LogEvent::Claimed).await.expect("well");
            host.sleep(secs(1)).await;
            let history = read_all(&store, JOB).await;
            let named = history.map(|history| history.unreadable.first().cloned());
            let said =
                |error: Option<_>| error.as_ref().map(ToString::to_string).unwrap_or_default();
            *tells.lock().expect("one at a time") = [
                said(read_state(&store, &state).await.err()),
                said(read_metadata(&store, &metadata).await.err()),
                said(named.unwrap_or_else(Some)),
            ];
        }
    });
    let run = play(world(8).node("tm-1", main).at(ms(500), Fault::Store(deed)));
    assert_eq!(probes(&run, "store.damaged"), 1, "{}", run.journal.text());
    let told = told.lock().expect("the world is over").clone();
    told.map(|error| error.rsplit_once(&format!("{JOB}/")).map_or(error.clone(), |e| e.1.into()))
}

#[test]
fn damage_is_named_and_nothing_else_suffers() {
    let (state, metadata, entry) = ("chk-1/0-0-a1", "chk-1/_metadata-e1a1", "log/000000000002");
    let objects = [Object::State, Object::Metadata, Object::LogEntry];
    let node = || "tm-1".to_owned();
    for (which, (object, name)) in objects.into_iter().zip([state, metadata, entry]).enumerate() {
        let object = || object.clone();
        let path = || Object::Path(format!("*{name}"));
        for (deed, expected) in [
            (StoreFault::Flip { object: object(), bit: 1_001 }, "is damaged: the checksum"),
            (StoreFault::Flip { object: path(), bit: 0 }, "is damaged: "),
            (StoreFault::Foreign { object: object() }, "is foreign: it holds"),
            (StoreFault::Delete { object: path() }, "is missing"),
        ] {
            let suffered = suffers(deed.clone());
            let named = suffered.iter().filter(|error| !error.is_empty()).count();
            if which == 2 && expected == "is missing" {
                // Without its last entry a log is a log that is shorter by one: nobody can tell.
                assert_eq!(named, 0, "{suffered:?}");
                continue;
            }
            assert_eq!(named, 1, "{deed:?}: {suffered:?}");
            let begins = format!("{name} {expected}");
            assert!(suffered[which].starts_with(&begins), "{deed:?}: {suffered:?}");
        }
    }
    let first = Object::Path("*log/000000000001".into());
    let [_, _, missing] = suffers(StoreFault::Delete { object: first });
    assert_eq!(missing, "log/000000000001 is missing from the store");
    let [whole_state, whole_metadata, torn] = suffers(StoreFault::Tear { node: node() });
    assert_eq!((whole_state, whole_metadata), (String::new(), String::new()));
    assert!(torn.starts_with(&format!("{entry} is truncated")), "the newest put: {torn}");
}

#[test]
fn of_two_leaders_only_the_claimant_goes_on_and_it_has_read_everything() {
    for seed in 0..40 {
        let claimed: Arc<Mutex<Option<Vec<LogEvent>>>> = Arc::default();
        let old = process(|_, store| async move {
            let mut log = JobLog::new(store, JOB, JobEpoch(1));
            let mut next = submitted();
            for checkpoint in 1.. {
                match log.append(next).await {
                    Ok(_) => next = reserved(checkpoint),
                    Err(error) => return assert!(error.is_fenced(), "{error}"),
                }
            }
        });
        let saw = Arc::clone(&claimed);
        let new = process(move |host, store| {
            let saw = Arc::clone(&saw);
            async move {
                host.sleep(ms(20 + host.random("when").below(60))).await;
                let claim = JobLog::claim(store, JOB, JobEpoch(2)).await;
                let (mut log, history) = claim.expect("a job");
                assert_eq!((history.void, history.unreadable), (vec![], vec![]));
                let seen = history.entries.into_iter().map(|entry| entry.event).collect();
                *saw.lock().expect("one at a time") = Some(seen);
                log.append(reserved(999)).await.expect("leads");
            }
        });
        let reads = process(move |host, store| {
            let claimed = Arc::clone(&claimed);
            async move {
                host.sleep(secs(2)).await;
                let history = read_all(&store, JOB).await.expect("a job");
                let said: Vec<_> = history.entries.into_iter().map(|entry| entry.event).collect();
                let seen = claimed.lock().expect("one at a time").clone().expect("it has claimed");
                let more = reserved(999);
                assert_eq!(said, [seen, vec![more]].concat(), "nothing came between");
                assert_eq!(history.void, vec![]);
            }
        });
        let kill = Fault::Kill { node: "old".into() };
        let world = world(seed).node("old", old).node("new", new).node("reader", reads);
        play(if seed % 2 == 0 { world.at(ms(50), kill) } else { world });
    }
}

#[test]
fn no_term_is_held_twice_whoever_dies() {
    for seed in 0..20 {
        let held: Arc<Mutex<Vec<(u64, String)>>> = Arc::default();
        let candidate = |holds: &Arc<Mutex<Vec<(u64, String)>>>| {
            let holds = Arc::clone(holds);
            process(move |host, store| {
                let holds = Arc::clone(&holds);
                async move {
                    loop {
                        host.sleep(ms(host.random("when").below(40))).await;
                        let newest = Lease::newest(&store).await.expect("well");
                        let newest = newest.map_or(JobEpoch(0), |term| term.epoch);
                        let taken = Lease::try_take(&store, host.name(), newest).await;
                        let taken = taken.expect("well");
                        let Some(mut lease) = taken else { continue };
                        let holder =
                            (lease.epoch().0, format!("{}@{:?}", host.name(), host.elapsed()));
                        holds.lock().expect("one at a time").push(holder);
                        while lease.renew().await.is_ok() {
                            host.sleep(ms(10)).await;
                        }
                    }
                }
            })
        };
        let mut world = world(seed).limit(secs(1));
        for name in ["jm-1", "jm-2", "jm-3"] {
            world = world.node(name, candidate(&held));
            for round in 0..3 {
                let node = || name.to_owned();
                let at = ms(60 + round * 200 + seed);
                world = world
                    .at(at, Fault::Kill { node: node() })
                    .at(at + ms(30), Fault::Start { node: node() });
            }
        }
        play(world);
        let held = held.lock().expect("the world is over");
        let epochs: BTreeSet<_> = held.iter().map(|(epoch, _)| epoch).collect();
        assert_eq!(epochs.len(), held.len(), "a term is held twice: {held:?}");
        assert!(held.len() > 3, "{held:?}");
    }
}
