//! The promise of the page: it needs nothing else, equal runs give equal bytes, and it leaves out no
//! fault, no attempt and no checkpoint.
//! What it looks like is for a person to see: `slackwater replay FILE --report DIR`, and a browser.

use std::path::Path;
use std::sync::Arc;

use slackwater_core::fact::Fact;
use slackwater_dataflow::task::Programs;
use slackwater_sim::report::timeline::{index, page, page_name};
use slackwater_sim::scenario::{Played, Scenario, play, turns};
use slackwater_sim::verb::files::read;

fn killed() -> (Scenario, Played) {
    played("scenarios/event-time-kill.toml", 1)
}

fn played(path: &str, cell: usize) -> (Scenario, Played) {
    let programs: Arc<dyn Programs> = Arc::new(slackwater_jobs::catalog());
    let scenario = read(Path::new(path), &programs).expect("the scenario is read");
    let turn = turns(&scenario, Some(&[0])).remove(cell);
    let played = play(&scenario, turn, &programs, true);
    (scenario, played)
}

#[test]
fn equal_runs_give_equal_pages_that_need_no_network() {
    let pages = [killed(), killed()].map(|(scenario, played)| {
        assert_eq!(page_name(&scenario, &played), "event-time-kill-edge-8s-seed-0");
        page(&scenario, &played).expect("the journal was kept")
    });
    assert_eq!(pages[0], pages[1]);
    let html = pages[0].replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", "src=", "@import", "url(//"] {
        assert!(!html.contains(outside), "the page reaches out: {outside}");
    }
}

#[test]
fn no_fault_no_attempt_and_no_checkpoint_is_left_out() {
    let (scenario, played) = killed();
    let html = page(&scenario, &played).expect("the journal was kept");
    for shown in ["data-g=\"kill\"", "attempt 1", "attempt 2", "class=\"away\""] {
        assert!(html.contains(shown), "not on the page: {shown}");
    }
    let journal = played.journal.as_ref().expect("it was kept");
    let mut checkpoints = 0;
    for entry in journal.entries() {
        if let Fact::CheckpointTriggered { attempt, checkpoint, .. } = &entry.fact {
            let group = format!("data-g=\"c{attempt}-{checkpoint}\"");
            assert!(html.contains(&group), "checkpoint {checkpoint} is left out");
            checkpoints += 1;
        }
    }
    assert!(checkpoints > 5, "{checkpoints} checkpoints");
    assert!(html.contains("walk broken"), "the checkpoint under way when the node died");
    for judged in &played.judged {
        assert!(html.contains(judged.check), "no verdict of {}", judged.check);
    }
}

#[test]
fn several_jobs_have_lanes_and_each_is_led_to_from_its_savepoint() {
    let (scenario, played) = played("scenarios/07-side-by-side.toml", 0);
    let html = page(&scenario, &played).expect("the journal was kept");
    let count = |what: &str| html.matches(what).count();
    assert_eq!(count("class=\"savepoint\""), 1, "one is complete");
    assert_eq!(count("class=\"resumed\""), 2, "two jobs begin with it");
    assert_eq!(count("class=\"name\" x=\"8.00\"") - count(">oscon "), 8, "other lanes and strips");
    assert_eq!(count(">oscon "), 3, "a lane for each job");
}

#[test]
fn whatever_a_run_says_is_escaped() {
    let html = index(&[("<script>alert(1)</script>&\"".to_owned(), true)]);
    assert!(!html.contains("<script>alert"), "{html}");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;"), "{html}");
}
