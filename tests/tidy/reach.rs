//! Finds Rust files that no crate includes: code that nobody compiles and nobody misses.
//! Follows `mod name;` from the roots that cargo knows; `#[path]` is not followed, because a file
//! lies where its name says. The text is taken apart by [`crate::source`].

use std::collections::BTreeSet;

use crate::source;
use crate::tree::Tree;

/// Rust files that are not reached from a library, a binary, a test, a bench or an example.
pub fn orphans(tree: &Tree) -> Vec<String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> =
        tree.rust().map(|(path, _)| path.to_owned()).filter(|path| is_root(path)).collect();
    while let Some(path) = open.pop() {
        for module in modules(tree.text(&path)) {
            open.extend(homes(&path, &module).into_iter().filter(|home| tree.has(home)));
        }
        reached.insert(path);
    }
    tree.rust()
        .filter(|(path, _)| !reached.contains(*path))
        .map(|(path, _)| format!("{path}: no crate includes it: delete it, or name it with `mod`"))
        .collect()
}

/// Whether cargo itself looks at this file.
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        ["build.rs"]
            | [.., "src", "lib.rs" | "main.rs"]
            | [.., "src", "bin", _]
            | [.., "tests" | "benches" | "examples", _]
            | [.., "tests" | "benches" | "examples", _, "main.rs"]
    )
}

/// The modules that a file declares to lie elsewhere.
fn modules(text: &str) -> Vec<String> {
    let code = source::code(text);
    let words: Vec<&str> = code.split_whitespace().collect();
    words
        .windows(2)
        .filter(|pair| pair[0] == "mod")
        .filter_map(|pair| pair[1].strip_suffix(';').map(str::to_owned))
        .collect()
}

/// Where module `name`, declared in `path`, may lie.
fn homes(path: &str, name: &str) -> [String; 2] {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    let folder =
        if is_root(path) || stem == "mod" { folder.to_owned() } else { format!("{folder}/{stem}") };
    [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orphan_is_found_and_what_is_included_is_not() {
        let tree = Tree::sample(&[
            ("engine/core/src/lib.rs", "pub mod a;\nmod b;\n// mod lost;"),
            ("engine/core/src/a.rs", "mod deep;"),
            ("engine/core/src/a/deep.rs", ""),
            ("engine/core/src/b/mod.rs", "#[cfg(test)]\nmod tests;"),
            ("engine/core/src/b/tests.rs", ""),
            ("engine/core/src/lost.rs", ""),
            ("tests/tidy/main.rs", "mod tree;"),
            ("tests/tidy/tree.rs", ""),
            ("tests/faults.rs", ""),
        ]);
        let problems = orphans(&tree);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("engine/core/src/lost.rs"));
    }
}
