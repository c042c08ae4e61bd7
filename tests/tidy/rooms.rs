//! Holds the list of rooms in ARCHITECTURE.md against the modules of the crates.
//! Looks at the first level only: how a room is divided is its own affair. The floors that the
//! rooms stand on are in [`crate::floors`].

use std::collections::BTreeSet;

use crate::source;
use crate::tree::Tree;

/// Rooms of the map that do not exist, and modules that are not on the map.
pub fn rooms(tree: &Tree) -> Vec<String> {
    let (mapped, built) = (mapped(tree.text("ARCHITECTURE.md")), built(tree));
    let absent = mapped.difference(&built);
    let unmapped = built.difference(&mapped);
    let mut problems: Vec<String> = absent
        .map(|room| format!("ARCHITECTURE.md has a room `{room}`, which does not exist"))
        .collect();
    problems
        .extend(unmapped.map(|room| format!("ARCHITECTURE.md has no row for the room `{room}`")));
    problems
}

/// The first cells of rows such as `| core::time | … |`, with or without backticks.
fn mapped(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|line| line.trim_matches('|').split('|').next());
    let rooms = cells.flat_map(|cell| cell.split(',')).map(|room| room.trim().trim_matches('`'));
    rooms.filter(|room| room.contains("::")).map(str::to_owned).collect()
}

/// Every module that a library declares in its root, private ones and tests left out.
fn built(tree: &Tree) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (path, text) in tree.rust() {
        let Some(folder) = path.strip_suffix("/src/lib.rs") else { continue };
        let name = folder.rsplit('/').next().unwrap_or(folder);
        for line in source::code(text).lines() {
            let module = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'));
            rooms.extend(module.map(|module| format!("{name}::{module}")));
        }
    }
    rooms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_is_only_on_the_map_and_one_that_is_not_are_found() {
        let lib = "pub mod time;\npub mod key;\nmod private;\n// pub mod gone;\n";
        for (map, problems) in [
            ("| `core::time` | a |\n| `core::key` | b |", 0),
            ("| `core::time`, `core::key` | a |", 0),
            ("| `core::time` | a |", 1),
            ("| `core::time` | a |\n| `core::kye` | b |", 2),
        ] {
            let files = [("ARCHITECTURE.md", map), ("engine/core/src/lib.rs", lib)];
            assert_eq!(rooms(&Tree::sample(&files)).len(), problems, "{map}");
        }
    }
}
