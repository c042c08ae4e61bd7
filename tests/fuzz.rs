//! The promise that exploration stays clean: a fixed budget of seeds of every small swarm, all faults
//! on, each left out of half of the seeds.
//! Nothing fresh is drawn here, so that nobody's change fails by chance: fresh seeds are `slackwater
//! fuzz`'s. A failure prints how to replay it; what was found once stands in `scenarios/regress`.

use std::path::Path;
use std::sync::Arc;

use slackwater_dataflow::task::Programs;
use slackwater_sim::campaign::{Budget, Found, fuzz};
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
    for Found { scenario, tally, failed } in fuzz(swarms, &budget, &programs, &|_| {}) {
        let failures = in_a_test(&scenario, &failed, &programs);
        assert!(failures.is_empty(), "{}", failures.join("\n\n"));
        let unmet = tally.unmet(&scenario);
        assert!(unmet.is_empty(), "{}: {unmet:?}", scenario.path);
        assert!(tally.runs >= SEEDS, "{}: {} runs", scenario.path, tally.runs);
    }
}
