//! The promise that exploration stays clean: a fixed budget of seeds of every small swarm, all faults
//! on, each left out of half of the seeds.
//! Nothing fresh is drawn here, so that nobody's change fails by chance: fresh seeds are `slackwater
//! fuzz`'s. A failure prints how to replay it; what was found once stands in `scenarios/regress`.

use std::path::Path;
use std::sync::Arc;

use slackwater_dataflow::task::Programs;
use slackwater_sim::campaign::{Budget, Found, Tally, fuzz};
use slackwater_sim::scenario::Scenario;
use slackwater_sim::verb::files::load_all;
use slackwater_sim::verb::look::in_a_test;

/// Seeds of each swarm.
const SEEDS: u64 = 12;

#[test]
fn a_fixed_budget_of_swarm_seeds_breaks_no_promise() {
    let programs: Arc<dyn Programs> = Arc::new(slackwater_jobs::catalog());
    let mut swarms = load_all(Path::new("scenarios/swarm"), &programs).expect("swarms are read");
    swarms.retain(|scenario| scenario.has_tag("fuzz") && !scenario.has_tag("nightly"));
    assert!(swarms.len() >= 2, "the demo and the ledger each have a small swarm");
    let budget =
        Budget { first: 0, seeds: Some(SEEDS), time: None, failures: usize::MAX, partition: None };
    let mut report = String::new();
    for Found { scenario, tally, failed } in fuzz(swarms, &budget, &programs, &|_| {}) {
        let failures = in_a_test(&scenario, &failed, &programs);
        assert!(failures.is_empty(), "{}", failures.join("\n\n"));
        let unmet = tally.unmet(&scenario);
        assert!(unmet.is_empty(), "{}: {unmet:?}", scenario.path);
        assert!(tally.runs >= SEEDS, "{}: {} runs", scenario.path, tally.runs);
        report.push_str(&accepted(&scenario, &tally));
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../scenarios/swarm");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
        .set_description("When this changes, a swarm tries other things: ask why, then accept.");
    settings.bind(|| insta::assert_snapshot!("obligations", report));
}

/// What each swarm promises and has to meet, without a count: those move with every harmless change.
fn accepted(scenario: &Scenario, tally: &Tally) -> String {
    let mut text = format!("{}: {SEEDS} seeds hold\n", scenario.name);
    let unmet = tally.unmet(scenario);
    let cell = &scenario.cells[0];
    for expectation in &cell.expectations {
        text.push_str(&format!("  holds      {}\n", expectation.check.name));
    }
    for part in &cell.document.sometimes {
        let label = part.label.get_ref();
        let is_unmet = unmet.iter().any(|trouble| trouble.what.starts_with(&format!("{label:?} ")));
        let word = match (part.at_least.of_runs(tally.runs), is_unmet) {
            // So few runs owe nothing: whether it was seen is chance.
            (0, _) => "owed by more",
            (_, true) => "unmet",
            (_, false) => "met",
        };
        text.push_str(&format!("  sometimes  {word}: {label} ({})\n", part.at_least));
    }
    text
}
