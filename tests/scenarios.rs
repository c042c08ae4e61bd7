//! The promise that every story holds: each file in `scenarios/` is played under all of its seeds,
//! passes, and gives the report that a person has accepted; together they leave no short cut, and
//! what recovers does so with what it had stored.
//! What a scenario may say is tested in `slackwater-sim`; a failure prints how to replay it.

use slackwater_sim::check::{Crossed, Used};
use slackwater_sim::suite::{Stories, Suite};

fn main() {
    Suite::of("scenarios", slackwater_jobs::catalog())
        .also("no_run_takes_a_short_cut_through_one_task", no_short_cuts)
        .also("every_recovery_uses_its_checkpoints", recoveries_use_checkpoints)
        .run()
        .exit();
}

/// The stories of recovery read state back, aligned, held packets and stood still, all together;
/// and each of them read state back, but for those whose state is damaged.
fn recoveries_use_checkpoints(stories: &Stories) -> Result<(), String> {
    let mut all = Used::default();
    for story in stories.tagged("recovery") {
        let mut own = Used::default();
        story.played.iter().for_each(|played| own += played.used);
        all += own;
        let name = &story.scenario.name;
        if own.read_back == 0 && !name.starts_with("damaged") {
            return Err(format!("{name} recovers and reads nothing back"));
        }
    }
    match all.unused() {
        Some(unused) => Err(format!("in all stories of recovery {unused}: {all:?}")),
        None => Ok(()),
    }
}

/// Every run together, and every run with a fault together, cross the exchange in every way.
fn no_short_cuts(stories: &Stories) -> Result<(), String> {
    let (mut all, mut with_fault) = (Crossed::default(), Crossed::default());
    for played in stories.all().flat_map(|story| &story.played) {
        all += played.crossed;
        if !played.faults.is_empty() {
            with_fault += played.crossed;
        }
    }
    for (runs, crossed) in [("all runs", all), ("runs with a fault", with_fault)] {
        let Crossed { frames, wide_gates, exhausted } = crossed;
        if frames.min(wide_gates).min(exhausted) == 0 {
            return Err(format!("{runs} leave something out: {crossed:?}"));
        }
    }
    Ok(())
}
