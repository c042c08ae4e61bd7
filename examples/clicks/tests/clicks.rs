//! The whole test file of the pipeline beside it: what its operators do, and what the whole job does
//! on a cluster to which everything happens.
//! Nothing here sleeps, and nothing fails by chance. The job is in `src/lib.rs`.

use proptest::prelude::*;
use slackwater_clicks::{Click, Visit, click, clicks, clicks_v2, pages, tours, visits};
use slackwater_sim::{check, prelude::*};

fn on_page(page: &str, at: i64) -> Click {
    Click { visitor: 7, page: page.to_owned(), at: EventTime::from_millis(at) }
}

#[test]
fn three_seconds_of_silence_begin_a_new_visit_also_over_a_restart() {
    let mut h = Harness::new(|clicks| visits(&clicks));
    h.element(0, on_page("/", 0)).element(2_999, on_page("/news", 2_999)).snapshot_and_restore();
    h.element(5_998, on_page("/", 5_998)).element(8_998, on_page("/", 8_998));
    let visits: Vec<_> = h.output().iter().map(|v| (v.since.as_millis(), v.clicks)).collect();
    assert_eq!(visits, [(0, 1), (0, 2), (0, 3), (8_998, 1)]);
}

#[test]
fn a_click_is_late_once_the_watermark_has_passed_its_second() {
    let mut h = Harness::new(|clicks| pages(&clicks));
    h.element(500, on_page("/", 500)).watermark(999).rescale(4).element(600, on_page("/", 600));
    assert_eq!(h.output().iter().map(|pane| pane.value).collect::<Vec<_>>(), [1]);
    assert_eq!(h.late(), [on_page("/", 600)]);
}

/// Clicks of a split, each followed by a watermark or not.
fn steps() -> impl Strategy<Value = Vec<Step<Click>>> {
    prop::collection::vec(any::<bool>(), 1..40).prop_map(|marks| {
        let step = |(n, marked): (u64, bool)| {
            let click = click(0, n * 9, 3, 10);
            let at = click.at.as_millis();
            let watermark = marked.then(|| Step::Watermark(1_700_000_000_000 + n as i64 * 180));
            [Some(Step::Element(at, click)), watermark].into_iter().flatten()
        };
        (0..).zip(marks).flat_map(step).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn a_restart_at_any_step_changes_nothing(steps in steps()) {
        restart_anywhere(|clicks| visits(&clicks), &steps);
        restart_anywhere(|clicks| pages(&clicks), &steps);
    }

    #[test]
    fn no_schedule_of_faults_changes_the_output(schedule in faults(tm(2), secs(5))) {
        check(clicks, [("clicks", 200)])
            .cluster(jm(1), tm(2).slots(2))
            .seeds(0..1)
            .faults(schedule)
            .same_output_as_without_faults(ALL)
            .try_run()?;
    }
}

#[test]
fn a_crash_changes_nothing() {
    check(clicks, DEFAULTS)
        .cluster(jm(1), tm(2).slots(2))
        .seeds(0..8)
        .faults(Fault::crash("tm-*").at(secs(1)..secs(4)).lasts(ms(200)..secs(2)))
        .same_output_as_without_faults(ALL)
        .run();
}

#[test]
fn every_click_is_counted_or_late_whatever_befalls_the_cluster() {
    check(clicks, [("late_every", 50)])
        .cluster(jm(1), tm(2).slots(2))
        .seeds(0..8)
        .faults(Faults::any())
        .always("no click counts twice", |o| {
            let (counted, late) = (o.table("pages").sum("clicks"), o.table("late").len());
            counted + late as i64 <= 600
        })
        .eventually("every click is in a page or late", |o| {
            let (counted, late) = (o.table("pages").sum("clicks"), o.table("late").len());
            counted + late as i64 == 600
        })
        .eventually("there are late clicks", |o| Verdict::saw(o.late_records()))
        .eventually("every second is there", |o| o.table("pages").has_every(secs(1)))
        .run();
}

#[test]
fn a_crash_at_any_step_of_a_checkpoint_changes_nothing() {
    check(clicks, [("clicks", 120)])
        .cluster(jm(1), tm(2).slots(2))
        .seeds(0..1)
        .crash_sweep("tm-1", during(CHECKPOINT_PROTOCOL).every(15))
        .same_output_as_without_faults(ALL)
        .run();
}

#[test]
fn a_cancelled_job_leaves_its_slots_to_the_next_also_over_a_crash_of_the_leader() {
    let report = check(clicks, DEFAULTS)
        .cluster(jm(1), tm(2).slots(1))
        .seeds(0..2)
        .faults(Fault::crash("jm").at(secs(2)).lasts(secs(1)))
        .script(|sim| async move {
            let endless = sim.submit(clicks, [("clicks", 9_999)]).await?;
            sim.sleep(secs(4)).await;
            sim.cancel(endless).await?;
            assert_eq!(sim.wait(endless).await?.status, JobStatus::Canceled);
            let next = sim.submit(clicks, [("clicks", 100)]).await?;
            assert_eq!(sim.wait(next).await?.status, JobStatus::Finished);
            assert_eq!(sim.list().await?.len(), 2);
            Ok(())
        })
        .run();
    report.table("pages").where_key("/").assert_no_gap(secs(1));
}

#[test]
fn a_visit_goes_on_in_the_second_version_which_does_not_know_where_it_began() {
    let mut v1 = Harness::new(|clicks| visits(&clicks));
    v1.element(0, on_page("/", 0)).element(2_999, on_page("/news", 2_999));
    let mut v2 = Harness::new(|clicks| tours(&clicks));
    v2.upgrade(&v1.snapshot());
    v2.element(5_998, on_page("/", 5_998)).element(8_998, on_page("/about", 8_998));
    let tours: Vec<_> = v2.output().into_iter().map(|t| (t.visit.clicks, t.landing)).collect();
    assert_eq!(tours, [(3, None), (1, Some("/about".into()))]);
}

#[test]
fn the_first_version_refuses_what_the_second_has_left() {
    let mut v2 = Harness::new(|clicks| tours(&clicks));
    v2.element(0, on_page("/", 0));
    let refused = Harness::<Click, Visit>::new(|clicks| visits(&clicks));
    let refused = { refused }.try_upgrade(&v2.snapshot(), false).expect_err("another type");
    assert!(refused.to_string().contains("declare a migration from the old type"), "{refused}");
}

/// Two minutes of downtime between a savepoint and the next version at twice the parallelism, and a
/// crash while that one catches up: no click is lost, none counts twice, every visit goes on.
#[test]
fn an_upgrade_from_a_savepoint_loses_no_click_and_counts_none_twice() {
    // So many visitors that most of them come again after a silence.
    let settings = |parallelism| [("clicks", 400), ("visitors", 100), ("parallelism", parallelism)];
    let report = check(clicks, settings(2))
        .version("v2", clicks_v2)
        .cluster(jm(1), tm(2).slots(2))
        .seeds(0..4)
        .until_finished_within(secs(600))
        .faults(Fault::crash("tm-*").at(secs(125)..secs(127)).lasts(ms(500)))
        .script(move |sim| async move {
            let v1 = sim.submit(clicks, settings(2)).await?;
            sim.sleep(secs(4)).await;
            let savepoint = sim.stop(v1).await?;
            assert_eq!(sim.wait(v1).await?.status, JobStatus::Finished);
            sim.sleep(secs(120)).await;
            let v2 = sim.submit_from(&savepoint, clicks_v2, settings(4)).await?;
            assert_eq!(sim.wait(v2).await?.status, JobStatus::Finished);
            Ok(())
        })
        .always("no click counts twice", |o| o.table("pages").sum("clicks") <= 800)
        .eventually("every click counts", |o| o.table("pages").sum("clicks") == 800)
        .eventually("every click is of a visit", |o| o.table("visits").sum("clicks") == 800)
        .eventually("a page is written once", |o| o.ledger("pages").len() == o.table("pages").len())
        .eventually("some visits began with the first version, and some with the second", |o| {
            let of = |text| o.table("visits").filter(|visit| visit.text("landing") == text).len();
            let (unknown, landed) = (of(Some("unknown")), of(Some("/")) + of(Some("/news")));
            Verdict::saw(unknown.min(landed) as u64)
        })
        .run();
    report.table("pages").where_key("/").assert_no_gap(secs(1));
}

#[test]
fn a_job_is_rescaled_and_upgraded_while_it_runs() {
    check(clicks, DEFAULTS)
        .version("v2", clicks_v2)
        .cluster(jm(1), tm(2).slots(2))
        .seeds(0..2)
        .script(|sim| async move {
            let job = sim.submit(clicks, DEFAULTS).await?;
            sim.sleep(secs(2)).await;
            let job = sim.rescale(job, 4).await?;
            sim.sleep(secs(2)).await;
            let job = sim.upgrade(job, clicks_v2).await?;
            assert!(sim.type_in("list").await?.contains(&job.to_string()));
            let job = sim.rescale(job, 1).await?;
            assert_eq!(sim.wait(job).await?.status, JobStatus::Finished);
            assert_eq!(sim.type_in("list -a").await?.lines().count(), 4, "a job for each start");
            Ok(())
        })
        .eventually("every click counts once", |o| {
            let (table, ledger) = (o.table("pages"), o.ledger("pages"));
            table.sum("clicks") == 600 && ledger.len() == table.len()
        })
        .run();
}
