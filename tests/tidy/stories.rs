//! Scenarios and their accepted reports, facts and those who read them: each needs the other.
//! Plays nothing and compares no report: the suite of scenarios does. The list of probes is read
//! from the enum of facts itself.

use crate::shape::is_test;
use crate::source;
use crate::tree::Tree;

/// Facts that nobody asserts yet, each with the reason.
const NOT_YET_ASSERTED: &[(&str, &str)] = &[];

/// Where scenarios lie that are explored, not retold: what comes of them differs from seed to seed.
const EXPLORED: &str = "scenarios/swarm/";

/// Scenarios without an accepted report, and reports without a scenario.
pub fn pairs(tree: &Tree) -> Vec<String> {
    let with = |kind: &str| -> Vec<&str> {
        let files = tree.files().filter(|(path, _)| path.starts_with("scenarios/"));
        let files = files.filter(|(path, _)| !path.starts_with(EXPLORED));
        files.filter_map(|(path, _)| path.strip_suffix(kind)).collect()
    };
    let (stories, reports) = (with(".toml"), with(".snap"));
    let untold = stories.iter().filter(|story| !reports.contains(story));
    let unheard = reports.iter().filter(|report| !stories.contains(report));
    let mut problems: Vec<String> =
        untold.map(|story| format!("{story}.toml has no accepted report {story}.snap")).collect();
    problems.extend(unheard.map(|report| format!("{report}.snap is the report of no scenario")));
    problems
}

/// Facts that no check, scenario or test speaks of.
pub fn unasserted_facts(tree: &Tree) -> Vec<String> {
    let readers: Vec<(&str, String)> =
        tree.files().filter_map(|(path, text)| Some((path, reader(path, text)?))).collect();
    let read = |fact: &Named| {
        let variant = format!("Fact::{}", fact.variant);
        let probe = format!("\"{}\"", fact.probe);
        readers.iter().any(|(path, text)| {
            mentions(text, &variant) || text.contains(&probe) || in_story(path, text, fact.probe)
        })
    };
    let excused = |fact: &Named| NOT_YET_ASSERTED.iter().any(|(probe, _)| *probe == fact.probe);
    let facts = facts(tree.text("engine/core/src/fact.rs"));
    let mut problems = Vec::new();
    for fact in &facts {
        match (read(fact), excused(fact)) {
            (false, false) => problems.push(format!(
                "`{}` is told and nobody asserts it: a check, a scenario or a test must speak of it",
                fact.probe
            )),
            (true, true) => problems.push(format!("`{}` is asserted now: strike its excuse", fact.probe)),
            _ => {}
        }
    }
    problems
}

/// One fact of the enum.
#[derive(Debug, PartialEq, Eq)]
struct Named<'a> {
    variant: &'a str,
    probe: &'a str,
}

/// Reads the lines `Variant = "probe.name" { … }`.
fn facts(text: &str) -> Vec<Named<'_>> {
    text.lines()
        .filter_map(|line| {
            let (variant, rest) = line.trim().split_once(" = \"")?;
            let (probe, rest) = rest.split_once('"')?;
            let named = variant.chars().all(char::is_alphanumeric) && rest.trim().starts_with('{');
            named.then_some(Named { variant, probe })
        })
        .collect()
}

/// What of a file counts as reading facts: checks, scenarios, tests. Telling does not count.
fn reader(path: &str, text: &str) -> Option<String> {
    if path.starts_with("scenarios/") || path.starts_with("sim/src/check/") || is_test(path) {
        return Some(text.to_owned());
    }
    // The tests at the end of a file of the engine or the harness.
    let tests = path.ends_with(".rs") && path != "engine/core/src/fact.rs";
    let start = tests.then(|| text.find("#[cfg(test)]\nmod "))??;
    Some(text[start..].to_owned())
}

/// Whether `text` has `name` as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        !text[at + name.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}

/// Whether a scenario's file speaks of the probe.
fn in_story(path: &str, text: &str, probe: &str) -> bool {
    path.starts_with("scenarios/") && text.contains(probe)
}

/// Every `#[ignore]`: a test that does not run is not a test.
pub fn ignored_tests(tree: &Tree) -> Vec<String> {
    tree.rust()
        .filter(|(_, text)| source::code(text).contains("#[ignore"))
        .map(|(path, _)| format!("{path}: a test that is ignored: run it or delete it"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: &str = "facts! {\n    /// One.\n    GateIdle = \"watermark.idle\" { idle: bool }\n\
        \x20   /// Two.\n    Gate = \"gate\" {}\n}\nlet x = \"y\";";

    #[test]
    fn a_scenario_and_its_report_need_each_other() {
        let files = |names: &[&str]| -> Vec<(String, String)> {
            names.iter().map(|name| (format!("scenarios/{name}"), String::new())).collect()
        };
        for (names, problems) in [
            (&["sine.toml", "sine.snap"][..], 0),
            (&["sine.toml"], 1),
            (&["swarm/sine.toml"], 0),
            (&["sine.snap"], 1),
            (&["sine.toml", "sin.snap"], 2),
        ] {
            let files = files(names);
            let files: Vec<_> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
            assert_eq!(pairs(&Tree::sample(&files)).len(), problems, "{names:?}");
        }
    }

    #[test]
    fn facts_are_read_from_the_enum() {
        let expected = [("GateIdle", "watermark.idle"), ("Gate", "gate")];
        assert_eq!(facts(FACTS), expected.map(|(variant, probe)| Named { variant, probe }));
    }

    #[test]
    fn a_fact_that_nobody_asserts_is_found() {
        for (path, text, problems) in [
            ("engine/core/src/a.rs", "host.tell(Fact::GateIdle {}); host.tell(Fact::Gate {})", 2),
            ("sim/src/check/gates.rs", "Fact::GateIdle { .. } => {}", 1),
            ("tests/gates.rs", "seen(\"watermark.idle\"); seen(\"gate\")", 0),
            ("scenarios/gates.toml", "when = 'watermark.idle'", 1),
            ("engine/core/src/a.rs", "f();\n#[cfg(test)]\nmod tests {\n Fact::Gate {}; }", 1),
        ] {
            let tree = Tree::sample(&[("engine/core/src/fact.rs", FACTS), (path, text)]);
            assert_eq!(unasserted_facts(&tree).len(), problems, "{path}: {text}");
        }
    }

    #[test]
    fn an_ignored_test_is_found() {
        let check = |text: &str| ignored_tests(&Tree::sample(&[("a.rs", text)])).len();
        assert_eq!((check("#[test]\n#[ignore]\nfn a() {}"), check("// #[ignore]")), (1, 0));
    }
}
