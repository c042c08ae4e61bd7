//! The promise of a run's picture: what was not written is a gap, whoever was away is shaded, and the
//! axis shows the span that was asked for. That equal runs give equal bytes is seen by the pictures of
//! README.md, which `tests/readme` draws once more. What they look like is for a person to see.

use std::path::Path;
use std::sync::Arc;

use slackwater_dataflow::task::Programs;
use slackwater_sim::report::{Shown, curves};
use slackwater_sim::scenario::{play, turns};
use slackwater_sim::verb::files::read;

fn drawn(path: &str, shown: &Shown<'_>) -> Option<String> {
    let programs: Arc<dyn Programs> = Arc::new(slackwater_jobs::catalog());
    let scenario = read(Path::new(path), &programs).expect("the scenario is read");
    let turn = turns(&scenario, Some(&[0])).remove(0);
    curves(&scenario, &play(&scenario, turn, &programs, true), shown)
}

const PRESSURE: Shown<'_> = Shown { key: Some("pressure"), series: &[], span: None };

#[test]
fn a_gap_parts_the_line_and_whoever_was_away_is_shaded() {
    for (story, lines) in [("05-crash-without-checkpoints", 4), ("05-kill-with-checkpoints", 2)] {
        let svg = drawn(&format!("scenarios/{story}.toml"), &PRESSURE).expect("it wrote something");
        let count = |what: &str| svg.matches(what).count();
        assert_eq!(count("class=\"line s0\""), lines, "{story}: lines of two series");
        assert_eq!(count("class=\"away\""), 1, "{story}");
        assert!(svg.contains(">kill-tm<") && svg.contains(">tm-1 away<"), "{story}");
    }
}

#[test]
fn a_key_a_series_and_a_span_can_be_chosen() {
    let story = "scenarios/03-sine.toml";
    let all = drawn(story, &Shown::default()).expect("it wrote something");
    for key in ["door", "pressure", "temp"] {
        assert_eq!(all.matches(&format!(">{key}<")).count(), 2, "{key}, in both series");
    }
    let only = ["summedSensors".to_owned()];
    let chosen = Shown { series: &only, span: Some((5.0, 9.0)), ..PRESSURE };
    let chosen = drawn(story, &chosen).expect("it wrote something");
    assert!(chosen.contains(">9<") && !chosen.contains(">4<") && !chosen.contains(">sensors<"));
    assert_eq!(chosen.matches("<circle").count(), 5, "the sums of five seconds");
}

#[test]
fn the_order_of_arrival_is_drawn_where_the_scenario_shows_it() {
    let svg = drawn("scenarios/04-out-of-order.toml", &Shown::default()).expect("elements arrived");
    assert!(svg.contains("class=\"crossed\"") && svg.contains("class=\"window odd\""));
}

#[test]
fn there_is_no_picture_of_nothing() {
    let nobody = Shown { key: Some("nobody"), ..Shown::default() };
    assert_eq!(drawn("scenarios/03-sine.toml", &nobody), None);
}
