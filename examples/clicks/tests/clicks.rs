//! The whole test file of the pipeline beside it: what its operators do, and what the whole job does
//! on a cluster to which everything happens.
//! Nothing here sleeps, and nothing fails by chance. The job is in `src/lib.rs`.

use slackwater_clicks::clicks;
use slackwater_sim::{check, prelude::*};

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
