//! Holds the table of floors in ARCHITECTURE.md against the manifests.
//! Says nothing about rooms inside a crate: rustc holds those. A crate's short name is the last
//! part of its folder; the facade `slackwater` is `api`, and the root package is `root`.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Tree;

/// A crate as the table or its manifest describes it.
#[derive(Debug, PartialEq, Eq)]
struct Floor {
    number: u32,
    imports: BTreeSet<String>,
}

/// Where table and manifests disagree, and who imports upwards.
pub fn floors(tree: &Tree) -> Vec<String> {
    let table = table(tree.text("ARCHITECTURE.md"));
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (path, manifest) in tree.manifests() {
        let name = short(manifest["package"]["name"].as_str().unwrap_or(path));
        let Some(floor) = table.get(&name) else {
            problems.push(format!("{path}: crate `{name}` has no row in the table of floors"));
            continue;
        };
        let ours = imports(&manifest, "dependencies");
        if ours != floor.imports {
            problems.push(format!(
                "{path}: imports {ours:?}, but the table of floors says {:?}",
                floor.imports
            ));
        }
        let tested_with = imports(&manifest, "dev-dependencies");
        for below in ours.iter().chain(&tested_with) {
            if table.get(below).is_none_or(|below| below.number >= floor.number) {
                problems.push(format!("{path}: `{below}` does not stand below `{name}`"));
            }
        }
        seen.insert(name);
    }
    problems.extend(table.keys().filter(|name| !seen.contains(*name)).map(|name| {
        format!("ARCHITECTURE.md: the table of floors has a row for `{name}`, which does not exist")
    }));
    problems
}

/// Mentions of the simulator in the engine: without the folder `sim` the engine must build.
pub fn engine_names_sim(tree: &Tree) -> Vec<String> {
    let names = |path: &str, text: &str| {
        path.starts_with("engine/")
            && ((path.ends_with("Cargo.toml") && text.contains("slackwater-sim"))
                || crate::source::code(text).contains("slackwater_sim"))
    };
    tree.files()
        .filter(|(path, text)| names(path, text))
        .map(|(path, _)| format!("{path}: the engine cannot tell whether it is simulated"))
        .collect()
}

/// Crates that do not stand behind the lint wall.
pub fn outside_the_wall(tree: &Tree) -> Vec<String> {
    let inside = |manifest: &toml::Table| {
        manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool()) == Some(true)
    };
    tree.manifests()
        .filter(|(_, manifest)| !inside(manifest))
        .map(|(path, _)| format!("{path}: without `[lints] workspace = true` no lint holds"))
        .collect()
}

/// Reads `| floor | folder | imports | … |`; rows of other tables have no number in front.
fn table(text: &str) -> BTreeMap<String, Floor> {
    let mut floors = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, folder, imports, ..] = cells.as_slice() else { continue };
        let Ok(number) = number.parse() else { continue };
        let folder = folder.trim_matches('`');
        let name = folder.rsplit('/').next().unwrap_or(folder).to_owned();
        let imports =
            imports.split_whitespace().filter(|word| *word != "–").map(str::to_owned).collect();
        floors.insert(name, Floor { number, imports });
    }
    floors
}

/// The crates of the house that a manifest's section names.
fn imports(manifest: &toml::Table, section: &str) -> BTreeSet<String> {
    let Some(section) = manifest.get(section).and_then(toml::Value::as_table) else {
        return BTreeSet::new();
    };
    section.keys().filter(|name| name.starts_with("slackwater")).map(|name| short(name)).collect()
}

fn short(package: &str) -> String {
    match package {
        "slackwater" => "api".to_owned(),
        "slackwater-bin" => "root".to_owned(),
        other => other.trim_start_matches("slackwater-").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "| floor | crate | imports | one line |\n|---|---|---|---|\n\
        | 0 | `engine/core` | – | nouns |\n| 1 | `engine/dataflow` | core | data |\n\
        | 1 | `engine/control` | core | control |\n";

    /// The problems of a house whose `control` has these dependencies.
    fn check(dependencies: &str) -> Vec<String> {
        let control = format!("[package]\nname = \"slackwater-control\"\n{dependencies}");
        floors(&Tree::sample(&[
            ("ARCHITECTURE.md", TABLE),
            ("engine/core/Cargo.toml", "[package]\nname = \"slackwater-core\""),
            (
                "engine/dataflow/Cargo.toml",
                "[package]\nname = \"slackwater-dataflow\"\n[dependencies]\nslackwater-core.workspace = true",
            ),
            ("engine/control/Cargo.toml", &control),
        ]))
    }

    #[test]
    fn a_house_that_fits_its_map_is_left_alone() {
        assert_eq!(
            check("[dependencies]\nslackwater-core.workspace = true\nserde = \"1\""),
            [""; 0]
        );
    }

    #[test]
    fn a_wall_that_was_broken_is_found() {
        for (dependencies, problems) in [
            ("", 1),
            ("[dependencies]\nslackwater-core = {}\nslackwater-dataflow = {}", 2),
            (
                "[dependencies]\nslackwater-core = {}\n[dev-dependencies]\nslackwater-dataflow = {}",
                1,
            ),
            ("[dependencies]\nslackwater-core = {}\nslackwater-attic = {}", 2),
        ] {
            let found = check(dependencies);
            assert_eq!(found.len(), problems, "{dependencies}: {found:?}");
        }
    }

    #[test]
    fn a_room_without_a_row_and_a_row_without_a_room_are_found() {
        let tree = Tree::sample(&[
            ("ARCHITECTURE.md", TABLE),
            ("engine/attic/Cargo.toml", "[package]\nname = \"slackwater-attic\""),
        ]);
        assert_eq!(floors(&tree).len(), 4);
    }

    #[test]
    fn an_engine_that_names_the_simulator_is_found() {
        let tree = Tree::sample(&[
            ("engine/core/Cargo.toml", "[dev-dependencies]\nslackwater-sim = {}"),
            ("engine/core/src/lib.rs", "use slackwater_sim::World;"),
            ("engine/core/src/door.rs", "// slackwater_sim is next door\n"),
            ("sim/src/lib.rs", "use slackwater_sim::World;"),
        ]);
        assert_eq!(engine_names_sim(&tree).len(), 2);
    }

    #[test]
    fn a_crate_without_lints_is_found() {
        let tree = Tree::sample(&[
            ("engine/core/Cargo.toml", "[package]\nname = \"a\"\n[lints]\nworkspace = true"),
            ("engine/control/Cargo.toml", "[package]\nname = \"b\""),
        ]);
        assert_eq!(outside_the_wall(&tree).len(), 1);
    }
}
