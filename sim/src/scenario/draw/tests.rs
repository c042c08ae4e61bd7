//! What a seed decides, and what it leaves as it is written.
//! No world is played here: documents are compared as text.

use super::super::tests::read;
use super::super::{Scenario, Turn};

const SWARM: &str = r#"format = 1
title = "a wave under weather"

[run]
seeds = "0..4"
stop = { time = "60s" }
limit = { sim = "90s" }

[cluster]
task_managers = 2

[job]
program = "wave"

[swarm]
omit = 0.5
require = "task_managers * slots >= steps"
"cluster.task_managers" = { range = [1, 5] }
"cluster.slots" = { range = [1, 4] }
"cluster.net.delay" = { one_of = ["0ms..1ms", "1ms..50ms"] }
"job.set.steps" = { range = [1, 8] }

[[fault]]
name = "crash"
when = { chance = 0.1, per = "1s" }
do = "crash"
on = { role = "any", pick = "any" }
down = "0s..30s"

[[fault]]
name = "slow"
when = { at = "1s..9s" }
do = "slow"
by = { one_of = ["10ms", "1s"] }
for = "1s..5s"
on = { role = "series_database" }

[[fault]]
name = "cut"
when = { at = "3s" }
odds = 0.5
do = { one_of = ["partition", "reset"] }

[[expect]]
check = "conservation"
"#;

fn settled(scenario: &Scenario, seed: u64) -> toml::Table {
    let turn = Turn { cell: 0, place: 0, seed };
    scenario.settled(turn).map_err(|mistake| mistake.render()).expect("a document")
}

fn good(text: &str) -> Scenario {
    read(text).map_err(|mistake| mistake.render()).expect("a good file")
}

fn number(table: &toml::Table, path: &str) -> i64 {
    let value = path.split('.').fold(toml::Value::Table(table.clone()), |at, key| at[key].clone());
    value.as_integer().expect("a number")
}

#[test]
fn what_is_settled_is_settled_for_good() {
    let scenario = good(SWARM);
    for seed in 0..40 {
        let first = settled(&scenario, seed);
        let text = toml::to_string(&first).expect("text");
        assert_eq!(settled(&good(&text), seed), first);
        assert_eq!(
            settled(&good(&text), seed + 1).get("fault"),
            first.get("fault"),
            "nothing is left to draw"
        );
        for word in ["swarm", "one_of", "chance", "odds", "\"any\"", "range"] {
            assert!(!text.contains(word), "{word} in\n{text}");
        }
    }
}

#[test]
fn every_draw_meets_what_the_swarm_requires_and_uses_what_it_offers() {
    let scenario = good(SWARM);
    let documents: Vec<_> = (0..200).map(|seed| settled(&scenario, seed)).collect();
    for document in &documents {
        let slots = number(document, "cluster.task_managers") * number(document, "cluster.slots");
        assert!(slots >= number(document, "job.set.steps"));
    }
    let has = |name: &str| {
        let named =
            |fault: &&toml::Value| fault["name"].as_str().is_some_and(|n| n.starts_with(name));
        let faults = |document: &toml::Table| document.get("fault").cloned();
        documents
            .iter()
            .filter(|d| {
                faults(d)
                    .iter()
                    .flat_map(|f| f.as_array().expect("a list").clone())
                    .any(|f| named(&&f))
            })
            .count()
    };
    assert!((70..130).contains(&has("slow")), "half are left out: {}", has("slow"));
    assert!((30..70).contains(&has("cut")), "and half of the others by odds: {}", has("cut"));
}

#[test]
fn one_more_fault_moves_no_other() {
    let with = SWARM.replacen("[[fault]]\nname = \"slow\"", "[[fault]]\nname = \"more\"\nwhen = { at = \"1s..5s\" }\ndo = \"store_full\"\n\n[[fault]]\nname = \"slow\"", 1);
    let (with, without) = (good(&with), good(SWARM));
    for seed in 0..20 {
        let others = |document: &toml::Table| -> Vec<toml::Value> {
            let all = document.get("fault").and_then(|f| f.as_array().cloned()).unwrap_or_default();
            all.into_iter().filter(|fault| fault["name"].as_str() != Some("more")).collect()
        };
        assert_eq!(others(&settled(&with, seed)), others(&settled(&without, seed)));
    }
}

#[test]
fn chance_becomes_faults_at_times_of_which_none_must_fire() {
    let scenario = good(&SWARM.replace("omit = 0.5\n", ""));
    let document = settled(&scenario, 3);
    let faults = document["fault"].as_array().expect("faults");
    let crashes: Vec<_> = faults.iter().filter(|f| f["do"].as_str() == Some("crash")).collect();
    assert!((1..20).contains(&crashes.len()), "a tenth of 60 seconds: {}", crashes.len());
    for (crash, number) in crashes.iter().zip(1..) {
        assert_eq!(crash["name"].as_str(), Some(format!("crash-{number}").as_str()));
        assert_eq!(crash["must_fire"].as_bool(), Some(false));
        assert!(crash["when"]["at"].as_str().is_some_and(|at| at.ends_with("ms")));
        assert!(crash["on"]["role"].as_str() != Some("any"));
    }
}

#[test]
fn what_cannot_be_drawn_is_told_at_its_place() {
    let cases = [
        ("[1, 8]", "[9, 8]", (21, 19), "write { range = [FROM, TO] }"),
        (
            ">= steps",
            ">= stepz",
            (17, 11),
            "the condition speaks of \"stepz\", which nobody says; did you mean `steps`?",
        ),
        (
            "\"cluster.slots\"",
            "\"cluster.slotz\"",
            (19, 1),
            "unknown field `slotz`; did you mean `slots`?",
        ),
        ("\"cluster.slots\"", "slots", (19, 1), "`slots` of [swarm] is no path"),
        ("\"1ms..50ms\"]", "\"50ms..1ms\"]", (20, 47), "the range \"50ms..1ms\" runs backwards"),
        ("chance = 0.1", "chance = 1.1", (25, 19), "`chance` is a chance between 0 and 1"),
        (", per = \"1s\"", "", (25, 8), "a chance is one per span of time"),
        (
            "\"partition\", \"reset\"",
            "\"partition\", \"rest\"",
            (42, 31),
            "unknown variant `rest`; did you mean `reset`?",
        ),
        ("omit = 0.5", "omit = 5", (16, 8), "`omit` is a chance between 0 and 1"),
    ];
    for (from, to, place, expected) in cases {
        assert!(SWARM.contains(from), "{from}");
        let mistake = read(&SWARM.replacen(from, to, 1)).expect_err(to);
        let help = miette::Diagnostic::help(&mistake).map_or(String::new(), |h| format!("; {h}"));
        let text = format!("{mistake}{help}");
        assert!(text.starts_with(expected), "{from} -> {to}: {text}");
        assert_eq!(mistake.place(), place, "{from} -> {to}: {text}");
    }
}

#[test]
fn a_condition_that_nothing_meets_is_an_error_of_the_turn() {
    let text = SWARM.replace("task_managers * slots >= steps", "slots > 9");
    let turn = Turn { cell: 0, place: 0, seed: 0 };
    let mistake = good(&text).settled(turn).expect_err("no draw");
    assert_eq!(mistake.to_string(), "1000 draws, and this held for none");
}

#[test]
fn a_swizzle_stops_links_one_by_one_and_starts_them_in_another_order() {
    let swizzle = "name = \"swizzle\"\nwhen = { at = \"2s\" }\ndo = \"swizzle\"\non = { links = \"all\" }\nfor = \"9s\"\n";
    let text = SWARM.replace("omit = 0.5\n", "");
    let text = text.replacen("[[expect]]", &format!("[[fault]]\n{swizzle}\n[[expect]]"), 1);
    let document = settled(&good(&text), 5);
    let millis = |value: &toml::Value| -> u64 {
        let text = value.as_str().expect("a span").strip_suffix("ms").expect("milliseconds");
        text.parse().expect("a number")
    };
    let faults = document["fault"].as_array().expect("faults").iter();
    let links: Vec<_> = faults
        .filter(|fault| fault["name"].as_str().is_some_and(|name| name.starts_with("swizzle-")))
        .map(|fault| (millis(&fault["when"]["at"]), millis(&fault["for"])))
        .collect();
    let nodes = 2 + number(&document, "cluster.task_managers") as usize;
    assert_eq!(links.len(), nodes * (nodes - 1) / 2, "every pair of nodes");
    assert!(links.is_sorted_by_key(|(stops, _)| *stops));
    let starts: Vec<u64> = links.iter().map(|(stops, lasts)| stops + lasts).collect();
    assert!(!starts.is_sorted(), "in another order: {starts:?}");
    let last_stop = links.iter().map(|(stops, _)| *stops).max();
    assert!(starts.iter().min() >= last_stop.as_ref(), "all are down at once");
    assert!(starts.iter().all(|start| *start <= 11_000));
}

#[test]
fn what_is_expected_of_a_fault_that_does_not_come_is_not_expected() {
    let expect = "[[expect]]\ncheck = \"recovered\"\nfrom = { healed = \"cut\" }\n";
    let scenario = good(&format!("{SWARM}{expect}"));
    for seed in 0..20 {
        let document = settled(&scenario, seed);
        let has = |key: &str, word: &str| {
            document.get(key).is_some_and(|all| all.to_string().contains(word))
        };
        assert_eq!(has("fault", "\"cut\""), has("expect", "recovered"), "seed {seed}");
    }
}
