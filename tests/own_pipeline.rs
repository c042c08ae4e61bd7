//! The promise to whoever has a pipeline: `check` plays it as scenarios are played, sees what is
//! wrong with it, and says how to see it again.
//! The jobs here are the demo's and one that is wrong on purpose; a pipeline that is nobody's demo,
//! with its whole test file, is `examples/clicks`.

use slackwater_jobs::oscon::{oscon, oscon_log, sensor_simulator};
use slackwater_sim::{check, prelude::*};

#[test]
fn the_demo_is_checked_from_rust_as_from_a_file() {
    let report = check(oscon, [("checkpoint", "1s")])
        .cluster(jm(1), tm(2))
        .seeds(0..2)
        .run_for(secs(20))
        .faults(Fault::crash("tm-*").at(secs(4)..secs(8)).lasts(secs(1)))
        .same_output_as_without_faults(["sensors", "summedSensors"])
        .always("a sum is zero", |o| {
            o.table("summedSensors").where_key("pressure").all(|row| row.value().abs() < 1e-9)
        })
        .eventually("every second is there", |o| o.table("summedSensors").has_every(secs(1)))
        .expect(Oracle::of("window_sums_expected").with("wave", 10).at_least("windows", 10.0))
        .run();
    report.table("sensors").where_key("pressure").assert_no_gap(ms(100));
    assert_eq!(report.observed().jobs()[0].restarts, 1);
}

#[test]
fn a_script_submits_two_jobs_with_a_log_between_them() {
    check(sensor_simulator, DEFAULTS)
        .also(oscon_log)
        .cluster(jm(1), tm(2))
        .log()
        .seeds(0..1)
        .run_for(secs(15))
        .script(|sim| async move {
            sim.submit(sensor_simulator, [("out_of_order", "900ms")]).await?;
            sim.submit(oscon_log, DEFAULTS).await?;
            sim.sleep(secs(5)).await;
            let running = sim.list().await?.iter().all(|job| job.status == JobStatus::Running);
            if running { Ok(()) } else { Err("both are running by now".into()) }
        })
        .eventually("the script has been played", |o| o.count("script.ended") == 1)
        .eventually("nothing is late", |o| o.late_records() == 0)
        .always("a sum is zero", |o| {
            o.table("summedSensors").where_key("pressure").all(|row| row.value().abs() < 1e-9)
        })
        .run();
}

/// Numbers the records it passes on, and hides the number where no checkpoint finds it.
fn forgetful(env: &Env, _: &mut Settings) -> Result<(), PlanError> {
    env.restart(Restart::fixed(100, ms(200))).checkpoint_every(ms(500));
    let mut hidden = 0;
    let at = |n: u64| EventTime::from_millis(n as i64 * 20);
    let made = generate::source(1, 100, move |_, n| (at(n), n)).every(ms(20));
    let numbered = env.source("made", made, Watermarks::ascending()).map(move |n| {
        hidden += 1;
        (n, hidden)
    });
    let point = move |(n, number): &(u64, i64)| {
        Point::new("numbers", "all", at(*n), [("value", (*number).into())])
    };
    numbered.sink("numbers-sink", series::sink(point));
    Ok(())
}

#[test]
fn what_is_wrong_is_told_with_the_seed_and_a_file_that_plays_it() {
    let failure = check(forgetful, DEFAULTS)
        .named("a_forgetful_pipeline")
        .seeds(0..2)
        .faults(Fault::crash("tm-1").at(ms(1_300)).lasts(ms(200)))
        .same_output_as_without_faults(ALL)
        .eventually("every number is there", |o| o.table("numbers").len() == 100)
        .try_run();
    let words = failure.expect_err("a crash shows").to_string();
    for expected in [
        "same_output_as_without_faults: numbers,key=all",
        "crash tm-1, away for 0.200 s",
        "SLACKWATER_SEED=0 cargo test a_forgetful_pipeline",
        "SLACKWATER_FILE=",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    assert!(!words.contains("every number is there"), "only what broke is told: {words}");
}

#[test]
#[should_panic(expected = "SMALL    3 -> 1 faults")]
fn a_failing_test_looks_for_a_smaller_story() {
    check(forgetful, DEFAULTS)
        .named("a_forgetful_pipeline_in_trouble")
        .seeds(0..1)
        .faults([
            Fault::store_slow(ms(50)).at(ms(400)).lasts(ms(100)),
            Fault::crash("tm-1").at(ms(1_300)).lasts(ms(200)),
            Fault::clock_step("tm-1", 500).at(ms(100)),
        ])
        .eventually("every number is in its place", |o| {
            o.table("numbers").rows().iter().zip(1..).all(|(row, n)| row.value() == f64::from(n))
        })
        .run();
}

#[test]
fn a_name_that_does_not_exist_is_told_with_the_nearest_one() {
    let failure = check(forgetful, DEFAULTS).seeds(0..1).expect("exactly_onec").try_run();
    let words = failure.expect_err("there is no such oracle").to_string();
    assert!(words.contains("did you mean `exactly_once`?"), "{words}");
}
