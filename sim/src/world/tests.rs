//! Tests of the world without an engine: two nodes that talk, and what befalls them.
//! No wall clock and no sleeping: a simulated minute is over in milliseconds.
//! Worlds with an engine in them are in the root package's `tests`.

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::{Attempt, JobId};
use slackwater_core::random::RandomStream;
use slackwater_core::time::ms;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const PORT: u16 = 7;

/// Echoes what comes, counting its connections in a file.
fn echo() -> Main {
    Arc::new(|host| {
        Box::pin(async move {
            let mut port = host.listen(PORT).await.expect("the port is free");
            while let Ok((mut conn, peer)) = port.accept().await {
                host.files().append("seen", b"x").expect("memory");
                let seen = host.files().read_at("seen", 0, 99).expect("it was written").len();
                say(&*host, format!("accepted {peer}, {seen} so far"));
                let again = host.arc();
                let serve = async move {
                    let mut buf = [0; 16];
                    while let Ok(n @ 1..) = conn.read(&mut buf).await {
                        let pause = again.random("echo").below(3);
                        again.sleep(ms(pause)).await;
                        if conn.write_all(&buf[..n]).await.is_err() {
                            break;
                        }
                    }
                };
                host.spawn("serve", Box::pin(serve));
            }
        })
    })
}

/// Sends a byte every 100 ms and reconnects when the peer is gone.
fn caller(to: &'static str) -> Main {
    Arc::new(move |host| {
        Box::pin(async move {
            loop {
                match host.connect(to, ms(500)).await {
                    Ok(mut conn) => {
                        for n in 0u8.. {
                            let mut answer = [0];
                            let asked = conn.write_all(&[n]).await;
                            let ended =
                                asked.is_err() || conn.read_exact(&mut answer).await.is_err();
                            if ended {
                                say(&*host, "the connection ended".into());
                                break;
                            }
                            say(&*host, format!("answer {}", answer[0]));
                            host.sleep(ms(100)).await;
                        }
                    }
                    Err(error) => say(&*host, format!("{:?}", error.kind())),
                }
                host.sleep(ms(300)).await;
            }
        })
    })
}

/// Facts of tests: any free text fits this one.
fn say(host: &dyn Host, cause: String) {
    host.tell(Fact::MessageFenced { message: "test".into(), cause });
}

fn said(run: &Run, node: &str) -> Vec<(u64, String)> {
    let of_node = run.journal.entries().iter().filter(|e| run.journal.name(e.node) == node);
    of_node
        .filter_map(|entry| match &entry.fact {
            Fact::MessageFenced { cause, .. } => {
                Some((entry.time.as_millis() as u64, cause.clone()))
            }
            _ => None,
        })
        .collect()
}

fn pair(seed: u64) -> World {
    World::new(seed).node("a", caller("b:7")).node("b", echo()).limit(ms(20_000))
}

fn on_b(fault: impl Fn(String) -> Fault) -> Fault {
    fault("b".into())
}

fn troubled(seed: u64) -> World {
    pair(seed)
        .shuffle(0.2)
        .clocks("a", Clocks { offset_ms: 250, drift_ppm: 400 })
        .at(ms(2_000), on_b(|node| Fault::Kill { node }))
        .at(ms(4_000), on_b(|node| Fault::Start { node }))
        .at(ms(6_000), on_b(|node| Fault::Pause { node }))
        .at(ms(8_000), on_b(|node| Fault::Resume { node }))
        .at(ms(10_000), on_b(|node| Fault::PowerLoss { node }))
        .at(ms(13_000), on_b(|node| Fault::Start { node }))
}

#[expect(clippy::disallowed_methods, reason = "worlds that run at once must not meet")]
fn at_once(worlds: usize) -> Vec<Run> {
    let running: Vec<_> = (0..worlds).map(|_| std::thread::spawn(|| troubled(1).run())).collect();
    running.into_iter().map(|thread| thread.join().expect("it runs")).collect()
}

#[test]
fn equal_seeds_give_equal_journals_and_other_seeds_others() {
    let run = troubled(1).run();
    assert_eq!(run.journal.text(), troubled(1).run().journal.text());
    for elsewhere in at_once(8) {
        assert_eq!(run.journal.hash(), elsewhere.journal.hash());
        assert_eq!(run.steps, elsewhere.steps);
    }
    assert_ne!(run.journal.hash(), troubled(2).run().journal.hash());
}

#[test]
fn a_killed_process_is_refused_and_its_files_are_found_again() {
    let kill = on_b(|node| Fault::Kill { node });
    let start = on_b(|node| Fault::Start { node });
    let run = pair(3).at(ms(2_000), kill).at(ms(4_000), start).run();
    let a = said(&run, "a");
    let ended = a.iter().find(|(_, what)| what == "the connection ended").expect("told by FIN");
    assert!((2_000..2_050).contains(&ended.0), "{ended:?}");
    assert!(a.iter().any(|(at, what)| *at > 2_300 && what == "ConnectionRefused"));
    assert!(a.iter().any(|(at, what)| *at > 4_000 && what == "answer 0"));
    let b = said(&run, "b");
    assert_eq!(b.last().map(|(_, what)| what.as_str()), Some("accepted a, 2 so far"));
}

#[test]
fn a_dark_machine_says_no_goodbye_and_answers_no_call() {
    let dark = on_b(|node| Fault::PowerLoss { node });
    let start = on_b(|node| Fault::Start { node });
    let run = pair(4).at(ms(2_000), dark).at(ms(9_000), start).run();
    let a = said(&run, "a");
    // The caller waits for an answer and hears nothing at all: it has no heartbeat of its own.
    assert!(!a.iter().any(|(at, _)| *at > 2_050), "{a:?}");
}

#[test]
fn a_stopped_process_answers_late_and_remembers() {
    let pause = on_b(|node| Fault::Pause { node });
    let resume = on_b(|node| Fault::Resume { node });
    let run = pair(5).at(ms(2_000), pause).at(ms(5_000), resume).run();
    let a = said(&run, "a");
    let silence: Vec<_> = a.windows(2).filter(|two| two[1].0 - two[0].0 > 2_000).collect();
    assert_eq!(silence.len(), 1, "{a:?}");
    assert!((5_000..5_100).contains(&silence[0][1].0), "{silence:?}");
    assert!(!a.iter().any(|(_, what)| what == "the connection ended"));
}

#[test]
fn a_host_reaches_itself() {
    let both: Main = Arc::new(|host| {
        let (server, client) = (echo(), caller("a:7"));
        Box::pin(async move {
            host.spawn("server", server(host.arc()));
            client(host.arc()).await;
        })
    });
    let run = World::new(6).node("a", both).limit(ms(2_000)).run();
    assert!(said(&run, "a").iter().filter(|(_, what)| what.starts_with("answer")).count() > 15);
}

#[test]
fn a_panic_is_a_fact_and_ends_the_task_alone() {
    let main: Main = Arc::new(|host| {
        Box::pin(async move {
            host.spawn("bad", Box::pin(async { panic!("at the {}", "disco") }));
            host.sleep(ms(50)).await;
            say(&*host, "alive".into());
        })
    });
    let run = World::new(7).node("a", main).limit(ms(100)).run();
    let text = run.journal.text();
    assert!(text.contains("0.000 a panic task=\"bad\" message=\"at the disco\""), "{text}");
    assert!(text.contains("0.050 a fenced.message message=\"test\" cause=\"alive\""), "{text}");
    assert!(text.ends_with("0.050 a node.down node=\"a\" how=exit\n"), "{text}");
}

#[test]
fn an_aborted_worker_takes_its_tasks_with_it() {
    let main: Main = Arc::new(|host| {
        Box::pin(async move {
            let worker = host.spawn_worker(
                "worker",
                Box::new(|host| {
                    Box::pin(async move {
                        let inner = host.arc();
                        let forever = async move {
                            loop {
                                say(&*inner, "tick".into());
                                inner.sleep(ms(100)).await;
                            }
                        };
                        host.spawn("inner", Box::pin(forever));
                        host.sleep(ms(10_000)).await;
                    })
                }),
            );
            host.sleep(ms(450)).await;
            worker.abort();
            host.sleep(ms(1_000)).await;
        })
    });
    let run = World::new(8).node("a", main).limit(ms(5_000)).run();
    assert_eq!(said(&run, "a").len(), 5);
}

#[test]
fn a_program_beside_runs_at_its_time_and_a_watch_ends_the_world() {
    let once: Main = Arc::new(|host| {
        Box::pin(async move {
            let mut conn = host.connect("b:7", ms(500)).await.expect("it listens");
            conn.write_all(b"!").await.expect("it reads");
            let mut answer = [0];
            conn.read_exact(&mut answer).await.expect("it answers");
            let to = JobStatus::Finished;
            let (job, attempt, cause) = (JobId(1), Attempt(1), String::new());
            host.tell(Fact::JobStatusChanged { job, attempt, from: JobStatus::Running, to, cause });
        })
    });
    let watch = |entry: &Entry| matches!(entry.fact, Fact::JobStatusChanged { .. });
    let run = World::new(9)
        .node("b", echo())
        .idle_node("client")
        .at(ms(1_000), Action::Run { node: "client".into(), main: once })
        .until(Stop::Seen, Box::new(watch))
        .run();
    assert_eq!(run.end, End::Stopped(Stop::Seen));
    assert!((ms(1_000)..ms(1_100)).contains(&run.time), "{:?}", run.time);
}

#[test]
fn clocks_drift_and_are_offset_but_the_journal_keeps_the_true_time() {
    let main: Main = Arc::new(|host| {
        Box::pin(async move {
            host.sleep(ms(100_000)).await;
            say(&*host, format!("{:?} {}", host.elapsed(), host.wall().as_millis()));
        })
    });
    let clocks = Clocks { offset_ms: -250, drift_ppm: 1_000 };
    let run = World::new(10).node("a", main).clocks("a", clocks).limit(ms(200_000)).run();
    let wall = EPOCH.as_millis() + 100_000 - 250;
    // 100 s on its clock are 99.9 s in truth; timers fire on whole milliseconds of the true time.
    let (at, what) = said(&run, "a").remove(0);
    assert_eq!(at, 99_901);
    assert_eq!(what, format!("{:?} {}", Duration::from_micros(100_000_901), wall));
}

const MESH: [&str; 4] = ["n0", "n1", "n2", "n3"];

/// Four nodes that all call each other, and a fault every 150 ms.
fn mesh(seed: u64) -> World {
    let main: Main = Arc::new(|host| {
        Box::pin(async move {
            for peer in ["n0:7", "n1:7", "n2:7", "n3:7"] {
                host.spawn("caller", caller(peer)(host.arc()));
            }
            echo()(host.arc()).await;
        })
    });
    let mut draws = RandomStream::named(seed, "faults");
    let world = MESH.iter().fold(World::new(seed), |world, name| world.node(*name, main.clone()));
    (0..60).fold(world.shuffle(0.1).limit(ms(12_000)), |world, n| {
        let node = || MESH[n % 4].to_owned();
        let other = MESH[(n + 1) % 4].to_owned();
        let fault = match draws.below(7) {
            0 => Fault::Kill { node: node() },
            1 => Fault::PowerLoss { node: node() },
            2 => Fault::Pause { node: node() },
            3 => Fault::Resume { node: node() },
            4 | 5 => Fault::Start { node: node() },
            _ => {
                Fault::Delay { between: (node(), other), delay: Delay::fixed(ms(draws.below(200))) }
            }
        };
        world.at(ms(1_000 + 150 * n as u64), fault)
    })
}

#[test]
fn a_mesh_under_faults_never_breaks_the_world_and_repeats_itself() {
    for seed in 0..40 {
        let run = mesh(seed).run();
        assert_eq!(run.end, End::Limit, "seed {seed}");
        assert!(run.journal.entries().len() > 200, "seed {seed}");
        assert!(!run.journal.text().contains(" panic "), "seed {seed}");
        assert!(
            run.journal.hash() == mesh(seed).run().journal.hash(),
            "seed {seed} repeats itself"
        );
    }
}

/// How many answers the caller got within each second of 6.
fn answers_by_second(run: &Run) -> Vec<usize> {
    let mut seconds = vec![0; 6];
    for entry in run.journal.entries() {
        if entry.fact.to_string().contains("answer ") {
            seconds[entry.time.as_secs() as usize] += 1;
        }
    }
    seconds
}

fn talk() -> World {
    World::new(3)
        .node("a", caller("b:7"))
        .node("b", echo())
        .delay(Delay::fixed(ms(10)))
        .limit(ms(6_000))
}

fn both() -> (String, String) {
    ("a".to_owned(), "b".to_owned())
}

#[test]
fn what_is_held_arrives_in_order_and_nothing_is_lost() {
    let (from, to) = both();
    let run = talk()
        .at(ms(1_000), Fault::Hold { from, to })
        .at(ms(3_000), Fault::Release { between: both() })
        .run();
    let text = run.journal.text();
    let seconds = answers_by_second(&run);
    assert!(seconds[0] > 5 && seconds[1] + seconds[2] <= 1 && seconds[4] > 5, "{seconds:?}");
    assert!(!text.contains("the connection ended"), "the peer only waited: {text}");
}

#[test]
fn a_reset_ends_both_ends_and_a_new_connection_is_whole() {
    let run = talk().at(ms(2_000), Fault::Reset { between: both() }).run();
    let text = run.journal.text();
    assert_eq!(text.matches("the connection ended").count(), 1, "{text}");
    let told = |e: &crate::journal::Entry| matches!(&e.fact, Fact::FaultDone { deed } if deed == "reset a b");
    assert_eq!(run.journal.entries().iter().filter(|e| told(e)).count(), 1, "a deed is told");
    assert!(text.contains("2 so far") && answers_by_second(&run)[4] > 5, "{text}");
}

#[test]
fn half_open_one_side_waits_for_ever_and_the_other_begins_anew() {
    let half = |gone: &str, unaware: &str| {
        let (gone, unaware) = (gone.to_owned(), unaware.to_owned());
        talk().at(ms(2_000), Fault::HalfOpen { gone, unaware }).run()
    };
    // The caller does not know: it waits for an answer that never comes.
    let seconds = answers_by_second(&half("b", "a"));
    assert_eq!((seconds[3], seconds[4]), (0, 0), "{seconds:?}");
    // The server does not know: the caller is told, and calls again.
    let run = half("a", "b");
    assert!(run.journal.text().contains("2 so far") && answers_by_second(&run)[4] > 5);
}

#[test]
fn a_slow_node_answers_late_until_it_is_healed() {
    let slow = |by| Fault::Slow { node: "b".to_owned(), by };
    let run = talk().at(ms(1_000), slow(ms(300))).at(ms(4_000), slow(ms(0))).run();
    let seconds = answers_by_second(&run);
    assert!((1..=2).contains(&seconds[2]) && seconds[5] > 5, "{seconds:?}");
}

#[test]
fn a_clock_that_is_set_or_runs_fast_changes_what_its_node_measures() {
    let main: Main = Arc::new(|host| {
        Box::pin(async move {
            for _ in 0..3 {
                host.sleep(ms(1_000)).await;
                let wall = host.wall().millis_since(EPOCH);
                say(&*host, format!("elapsed {} wall {wall}", host.elapsed().as_millis()));
            }
        })
    });
    let node = || "a".to_owned();
    let run = World::new(4)
        .node("a", main)
        .at(ms(500), Fault::ClockStep { node: node(), by_ms: -5_000 })
        .at(ms(1_500), Fault::ClockDrift { node: node(), ppm: 100_000 })
        .limit(ms(4_000))
        .run();
    let text = run.journal.text();
    assert!(text.contains("elapsed 1000 wall -4000"), "{text}");
    assert!(text.contains("elapsed 3"), "{text}");
}

#[test]
fn a_process_killed_at_a_step_takes_no_further_one_and_the_past_stays_as_it_was() {
    let calm = talk().run();
    let down = vec![
        (ms(0), Fault::Kill { node: "a".into() }),
        (ms(500), Fault::Start { node: "a".into() }),
    ];
    for step in [1, 2, 17, calm.steps / 2] {
        let run = talk().on(Cue::Step(step), down.clone()).run();
        let killed =
            run.journal.entries().iter().position(|e| matches!(e.fact, Fact::NodeDown { .. }));
        let killed = killed.unwrap_or_else(|| panic!("nobody was killed at step {step}"));
        let same = |at: usize| run.journal.entries()[at] == calm.journal.entries()[at];
        assert!((0..killed).all(same), "step {step}: {}", run.journal.text());
        assert!(run.journal.text()[..].contains("incarnation=2"), "it started again");
    }
}

#[test]
fn a_fact_sets_off_a_deed_at_once_or_later() {
    let seen = |entry: &crate::journal::Entry| entry.fact.to_string().contains("answer 5");
    let kill = |after| vec![(ms(after), Fault::Kill { node: "a".into() })];
    for (after, most) in [(0, 1), (300, 5)] {
        let run = talk().on(Cue::Fact(Box::new(seen)), kill(after)).run();
        let text = run.journal.text();
        let later =
            text.split("answer 5").nth(1).expect("it was answered").matches("answer").count();
        assert!(text.contains("how=kill") && later < most, "{text}");
    }
}
