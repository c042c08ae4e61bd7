//! The promise of savepoints: whatever a person does with them, and whatever crashes meanwhile, the
//! output is that of an undisturbed run. Any program of savepoints, cancels, stops, starts from any of
//! them or from a checkpoint that a failed job kept, at any parallelism and in the next version.
//! What the output must be is computed here, from the entries alone ([`model`]); what a program is,
//! and how one that failed is typed again, is [`program`], and how it is played [`player`].
//!
//! `PROPTEST_CASES=5000 cargo test --release --test savepoint_programs` tries so many programs,
//! `PROPTEST_RNG_SEED=7` other ones; `SLACKWATER_PROGRAM='…'` plays one, as a failure prints it.

mod model;
mod player;
mod program;

use std::sync::Mutex;

use proptest::prelude::ProptestConfig;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};

use player::{Met, play};
use program::{Program, programs};

/// How many programs are tried unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 24;

/// Programs that broke a promise once, or what is held against them, and what few programs come to.
const FOUND: &[&str] = &[
    // What was prepared for a checkpoint that the cancel cut short stayed in the database for good.
    "seed 78 two_phase; 870 cancel",
    "seed 154 two_phase; 180 start newest p2 v2; 1030 savepoint; 0 start newest p2 v1; \
     740 crash tm-2 0; 370 cancel",
    // A task that its node told of in the step in which it was killed counted as running.
    "seed 613 idempotent; 140 stop; 250 start newest p1 v1; 330 savepoint; 420 savepoint; \
     1270 savepoint; crash tm-1 0 at 1 checkpoint.restored",
    // The job goes back to before its savepoint, and then somebody starts from that.
    "seed 0 two_phase; 680 savepoint; 190 crash tm-1 810; 820 cancel; \
     crash jm 0 at 5 checkpoint.snapshot.taken",
    "seed 588 two_phase; 370 crash jm 1510; 20 savepoint; 0 stop; 0 start 0 p4 v2; \
     crash jm 600 at 3 checkpoint.completed",
    // What a savepoint holds and nothing has committed, at other parallelisms and in the next version.
    "seed 52 two_phase; 150 savepoint; 30 cancel; 780 start newest p3 v2",
    "seed 3 two_phase; 1500 savepoint; 0 start newest p8 v1; 800 stop; 0 start newest p3 v2; \
     500 stop; 0 start newest p1 v2",
];

#[expect(clippy::disallowed_methods, reason = "the arguments of a test are libtest's, not ours")]
fn asked(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|text| !text.is_empty())
}

fn config() -> ProptestConfig {
    let cases = asked("PROPTEST_CASES").and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let max_shrink_time = 120_000;
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_time,
        ..ProptestConfig::default()
    }
}

#[test]
fn any_program_of_savepoints_gives_the_output_of_an_undisturbed_run() {
    let (config, met) = (config(), Mutex::new(Met::default()));
    let cases = config.cases;
    let mut runner = TestRunner::new(config);
    let tried = runner.run(&programs(), |program| {
        let own = play("any_program", &program).map_err(TestCaseError::fail)?;
        *met.lock().expect("no test panics with it") += own;
        Ok(())
    });
    match tried {
        Ok(()) => {}
        Err(TestError::Fail(why, _)) => panic!("{why}"),
        Err(TestError::Abort(why)) => panic!("no programs can be drawn: {why}"),
    }
    let met = met.into_inner().expect("no test panics with it");
    assert!(met.is_enough_of(cases), "{cases} programs that try next to nothing: {met:?}");
}

#[test]
fn what_broke_the_promise_once_keeps_it() {
    let asked = asked("SLACKWATER_PROGRAM");
    for text in FOUND.iter().copied().chain(asked.as_deref()) {
        let program: Program = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
        if let Err(why) = play("what_broke", &program) {
            panic!("{why}");
        }
    }
}

#[test]
fn a_program_is_typed_as_it_is_printed() {
    let texts = [
        "seed 7 idempotent",
        "seed 0 two_phase; 1200 savepoint; 0 cancel; 10 start newest p8 v2 fragile; 300 crash tm-1 700",
        "seed 1 two_phase; 0 start nothing p1 v1; 90 stop; 40 start 3 p2 v1; 5 pause jm 2000; \
         dark tm-2 1500 at 2 savepoint.triggered",
    ];
    for text in texts {
        let program: Program = text.parse().expect("a program");
        assert_eq!(program.to_string(), text);
    }
}
