//! The lint wall of `.clippy.toml`: every ban says why and what to use instead, the bans that
//! determinism stands on are all there, and whoever opens a door in the wall says why.
//! Calls are found by clippy, never here. Which crates stand behind the wall is in [`crate::floors`].

use crate::source;
use crate::tree::Tree;

/// Without these a run is not equal to its replay.
const MUST_BE_BANNED: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "tokio::time::sleep",
    "tokio::time::timeout",
    "std::thread::spawn",
    "std::thread::sleep",
    "tokio::spawn",
    "tokio::task::spawn_blocking",
    "rand::rng",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::hash::RandomState",
];

/// Bans without a reason or a replacement, and bans that are missing.
pub fn bans(tree: &Tree) -> Vec<String> {
    let wall: toml::Table = match tree.text(".clippy.toml").parse() {
        Ok(wall) => wall,
        Err(e) => return vec![format!(".clippy.toml is not TOML: {e}")],
    };
    let mut problems = Vec::new();
    let mut banned = Vec::new();
    for list in ["disallowed-methods", "disallowed-types", "disallowed-macros"] {
        for ban in wall.get(list).and_then(toml::Value::as_array).into_iter().flatten() {
            let word = |key: &str| ban.get(key).and_then(toml::Value::as_str).unwrap_or_default();
            let (path, reason) = (word("path"), word("reason"));
            let answered = reason
                .split_once(": use ")
                .is_some_and(|(why, instead)| !why.trim().is_empty() && !instead.trim().is_empty());
            if !answered {
                problems.push(format!(".clippy.toml: the ban of `{path}` needs \"why: use `…`\""));
            }
            banned.push(path.to_owned());
        }
    }
    let missing = MUST_BE_BANNED.iter().filter(|path| !banned.iter().any(|ban| ban == *path));
    problems.extend(missing.map(|path| format!(".clippy.toml: `{path}` must be banned")));
    problems
}

/// Doors in the wall that nobody explains: `allow` instead of `expect`, or no reason.
pub fn unexplained_doors(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.rust() {
        let code = source::code(text);
        for (at, word) in code.match_indices("clippy::disallowed_") {
            let open = code[..at].rfind('[').unwrap_or(0);
            let close = at + code[at..].find(']').unwrap_or(word.len());
            let attribute = &code[open..close];
            if attribute.contains("allow(") || !attribute.contains("reason =") {
                let line = code[..at].matches('\n').count() + 1;
                problems.push(format!(
                    "{path}:{line}: a door in the wall is opened by `expect(…, reason = \"…\")`"
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(entry: &str) -> Tree {
        let all = MUST_BE_BANNED
            .iter()
            .map(|path| format!("{{ path = \"{path}\", reason = \"it leaks: use `host`\" }},\n"))
            .collect::<String>();
        let text = format!("disallowed-methods = [\n{all}{entry}]");
        Tree::sample(&[(".clippy.toml", &text)])
    }

    #[test]
    fn a_ban_that_does_not_say_what_to_use_is_found() {
        assert_eq!(bans(&wall("")), [""; 0]);
        for entry in [
            "\"std::fs::read\"",
            "{ path = \"std::fs::read\" }",
            "{ path = \"std::fs::read\", reason = \"the host owns the files\" }",
            "{ path = \"std::fs::read\", reason = \": use `host`\" }",
        ] {
            assert_eq!(bans(&wall(entry)).len(), 1, "{entry}");
        }
    }

    #[test]
    fn a_ban_that_was_lifted_is_found() {
        let tree = Tree::sample(&[(".clippy.toml", "disallowed-methods = []")]);
        assert_eq!(bans(&tree).len(), MUST_BE_BANNED.len());
    }

    #[test]
    fn a_door_without_a_reason_is_found() {
        let check = |text: &str| unexplained_doors(&Tree::sample(&[("a.rs", text)])).len();
        assert_eq!(check("#[expect(clippy::disallowed_methods, reason = \"the real clock\")]"), 0);
        assert_eq!(check("#[expect(clippy::disallowed_methods)]"), 1);
        assert_eq!(check("#![allow(clippy::disallowed_types, reason = \"lazy\")]"), 1);
    }
}
