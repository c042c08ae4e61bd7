//! The shape of a Rust file: its door, its length, and the few words that may not stand in it.
//! Looks at one file at a time and never at what it means. Who may import whom is in
//! [`crate::floors`]; clippy holds parameters and forbidden calls, by `.clippy.toml`.

use crate::source;
use crate::tree::Tree;

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 60;
const DOOR_SENTENCES_MIN: usize = 2;

/// Whether the whole file is a test, a bench or their helper.
pub fn is_test(path: &str) -> bool {
    let folder =
        |name: &str| path.starts_with(&format!("{name}/")) || path.contains(&format!("/{name}/"));
    folder("tests") || folder("benches") || path.ends_with("/tests.rs")
}

/// Files that are longer than a room may be, their tests not counted.
pub fn long_files(tree: &Tree) -> Vec<String> {
    let length = |text: &str| {
        let own = source::without_tests(&source::code(text));
        // A blanked line counts if it was a comment, and not if it was a test.
        let tests = own.lines().zip(source::code(text).lines()).filter(|(o, c)| o != c).count();
        text.lines().count() - tests
    };
    tree.rust()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (path, length(text)))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| {
            format!("{path}: {lines} lines without tests, at most {FILE_LINES_MAX}: split it")
        })
        .collect()
}

/// Functions that cannot be read in one breath; tests are functions too.
pub fn long_functions(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.rust() {
        for function in source::functions(&source::code(text)) {
            let lines = function.lines.len();
            if lines > FUNCTION_LINES_MAX {
                let (name, line) = (function.name, function.lines.start + 1);
                problems.push(format!(
                    "{path}:{line}: `{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}: let parts of it compute"
                ));
            }
        }
    }
    problems
}

/// Files that do not say at the door what they hold and what never happens in them.
pub fn closed_doors(tree: &Tree) -> Vec<String> {
    let door = |text: &str| {
        let lines = text.lines().take_while(|line| line.starts_with("//!"));
        lines.map(|line| line[3..].trim()).collect::<Vec<_>>().join(" ")
    };
    let sentences =
        |door: &str| door.split_whitespace().filter(|word| word.ends_with(['.', '?', '!'])).count();
    tree.rust()
        .filter(|(_, text)| sentences(&door(text)) < DOOR_SENTENCES_MIN)
        .map(|(path, _)| {
            format!("{path}: opens without a door: `//!`, what lives here, what never happens here, where to look next")
        })
        .collect()
}

/// Every `unwrap()` outside of tests.
pub fn unwraps(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| !is_test(path)) {
        let own = source::without_tests(&source::code(text));
        for (number, line) in own.lines().enumerate() {
            if line.contains(".unwrap()") {
                problems.push(format!(
                    "{path}:{}: `unwrap()`: use `?`, or `expect` with why it cannot fail",
                    number + 1
                ));
            }
        }
    }
    problems
}

/// Files whose `select!` is unbiased on purpose: leaks that are planted to be caught.
const PLANTED: &[&str] = &["tests/determinism.rs"];

/// Every `select!` that would poll its branches in a random order.
pub fn unbiased_selects(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| !PLANTED.contains(path)) {
        let code = source::code(text);
        for (at, word) in code.match_indices("select!") {
            let body = code[at + word.len()..].trim_start().trim_start_matches(['{', '(']);
            if !body.trim_start().starts_with("biased;") {
                let line = code[..at].matches('\n').count() + 1;
                problems.push(format!(
                    "{path}:{line}: `select!` without `biased;` polls in a random order"
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Tree {
        Tree::sample(&[("engine/core/src/a.rs", text)])
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let own = "// line\n".repeat(400);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "f();\n".repeat(100));
        assert_eq!(long_files(&one(&format!("{own}{tests}"))), [""; 0]);
        assert_eq!(long_files(&one(&format!("{own}x\n{tests}"))).len(), 1);
    }

    #[test]
    fn a_long_function_is_found() {
        let body = |lines: usize| format!("fn f() {{\n{}}}\n", "x();\n".repeat(lines - 2));
        assert_eq!(long_functions(&one(&body(60))), [""; 0]);
        assert_eq!(long_functions(&one(&body(61))).len(), 1);
    }

    #[test]
    fn a_file_without_a_door_is_found() {
        assert_eq!(closed_doors(&one("//! Holds it. Never does that.\nfn f() {}")), [""; 0]);
        assert_eq!(closed_doors(&one("//! One sentence.\nfn f() {}")).len(), 1);
        assert_eq!(closed_doors(&one("// Holds it. Never does that.\n")).len(), 1);
    }

    #[test]
    fn an_unwrap_is_found_in_code_and_only_there() {
        let fine =
            "// x.unwrap()\nf(\"x.unwrap()\");\n#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }";
        assert_eq!(unwraps(&one(fine)), [""; 0]);
        assert_eq!(unwraps(&one("fn f() { x.unwrap() }")).len(), 1);
    }

    #[test]
    fn an_unbiased_select_is_found() {
        assert_eq!(
            unbiased_selects(&one("select! {\n // first\n biased;\n a = b => c }")),
            [""; 0]
        );
        assert_eq!(unbiased_selects(&one("tokio::select! { a = b => c }")).len(), 1);
    }
}
