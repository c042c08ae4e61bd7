//! The papers: commands in README.md, the steps of `.ci/run`, the changelog, and words that belong
//! to somebody's machine. Asks the binary what it understands and never runs a command:
//! `tests/readme.rs` runs those that end by themselves.

use crate::tree::Tree;

/// How commands of the project start in README.md.
const RUN: [&str; 2] = ["cargo run --release -- ", "slackwater "];

/// The lines of README.md that a reader is meant to type, continued lines joined.
pub fn commands(readme: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    let joined = readme.replace("\\\n", " ");
    for line in joined.lines() {
        match line.strip_prefix("```") {
            Some(kind) => inside = !inside && kind.trim() == "sh",
            None if inside && !line.trim().is_empty() && !line.starts_with('#') => {
                let command = line.split("  #").next().unwrap_or(line);
                commands.push(command.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            None => {}
        }
    }
    commands
}

/// Commands whose verb or flags `help` does not know; `help` gives the text of `VERB --help`.
pub fn unknown_commands(readme: &str, help: impl Fn(&[&str]) -> Option<String>) -> Vec<String> {
    let mut problems = Vec::new();
    for command in commands(readme) {
        let Some(arguments) = RUN.iter().find_map(|run| command.strip_prefix(run)) else {
            continue;
        };
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let verbs = words.iter().take_while(|word| !word.starts_with('-')).count();
        let Some(text) = help(&words[..verbs]) else {
            problems.push(format!("README.md: `{command}`: there is no verb `{}`", words[0]));
            continue;
        };
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap_or(flag);
            if !has_word(&text, flag) {
                problems.push(format!("README.md: `{command}`: there is no `{flag}`"));
            }
        }
    }
    problems
}

fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '-';
    text.split(|c| !part(c)).any(|found| found == word)
}

/// Rust in README.md that stands in no example, and so may not compile.
pub fn stray_code(tree: &Tree) -> Vec<String> {
    let blocks = tree.text("README.md").split("```rust\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("\n```").next());
    let shown = |block: &str| {
        let examples = tree.rust().filter(|(path, _)| path.starts_with("examples/"));
        examples.map(|(_, text)| text).any(|text| text.contains(block))
    };
    blocks
        .filter(|block| !shown(block))
        .map(|block| {
            let first = block.lines().next().unwrap_or_default();
            format!("README.md: the code that begins with `{first}` stands in no example")
        })
        .collect()
}

/// What a reader is told to run and `.ci/run` does not.
pub fn ci_misses(tree: &Tree) -> Vec<String> {
    let steps: Vec<&str> = tree.text(".ci/run").lines().map(str::trim).collect();
    let told = commands(tree.text("README.md"));
    let cargos = ["cargo test", "cargo run --example"];
    let ours = |command: &&String| cargos.iter().any(|cargo| command.starts_with(cargo));
    let promised: Vec<&String> = told.iter().filter(ours).collect();
    let stories = format!("{}check scenarios", RUN[0]);
    let mut problems = Vec::new();
    if !told.iter().any(|command| command == "cargo test") || !told.contains(&stories) {
        problems
            .push(format!("README.md must tell its two commands: `cargo test` and `{stories}`"));
    }
    for command in promised.into_iter().chain([&stories]) {
        if !steps.contains(&command.as_str()) {
            problems.push(format!(".ci/run has no line `{command}`, which README.md promises"));
        }
    }
    problems
}

/// A changelog that does not say what comes next.
pub fn changelog(tree: &Tree) -> Vec<String> {
    let text = tree.text("CHANGELOG.md");
    let section = text.split_once("## Unreleased").map(|(_, rest)| rest.split("\n## ").next());
    match section.flatten() {
        None => vec!["CHANGELOG.md has no section `## Unreleased`".to_owned()],
        Some(section) if !section.contains("\n- ") => {
            vec!["CHANGELOG.md: `## Unreleased` says nothing a user can do".to_owned()]
        }
        Some(_) => vec![],
    }
}

/// Paths that exist on one machine only.
pub fn machine_paths(tree: &Tree) -> Vec<String> {
    let places = ["/work/", "/home/", "/root/", "/Users/", "/tmp/"];
    let mut problems = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !path.starts_with("tests/tidy/")) {
        for (number, line) in text.lines().enumerate() {
            // A path starts a word; `/tmp/` inside of another path or address is none.
            let starts = |at: usize| {
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~>}".contains(c))
            };
            let found =
                places.iter().find(|place| line.match_indices(**place).any(|(at, _)| starts(at)));
            if let Some(place) = found {
                problems
                    .push(format!("{path}:{}: `{place}…` is a place on one machine", number + 1));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "text\n```sh\n# a comment\ncargo test\ncargo run --release -- check \\\n  scenarios  # all\n\
        ```\n```rust\ncargo test --nonsense\n```\n";

    #[test]
    fn commands_are_the_lines_of_shell_blocks() {
        assert_eq!(commands(README), ["cargo test", "cargo run --release -- check scenarios"]);
    }

    #[test]
    fn a_command_that_the_binary_does_not_know_is_found() {
        let help =
            |verb: &[&str]| (verb[0] == "run").then(|| "  --local  --input <FILE>".to_owned());
        for (command, problems) in [
            ("run oscon --local", 0),
            ("run flights --input=x --loca", 1),
            ("walk oscon", 1),
            ("run oscon --out x", 1),
        ] {
            let readme = format!("```sh\ncargo run --release -- {command}\n```");
            assert_eq!(unknown_commands(&readme, help).len(), problems, "{command}");
        }
    }

    #[test]
    fn code_that_stands_in_no_example_is_found() {
        let check = |example: &str| {
            let readme = "text\n```rust\nfn f() {\n    g();\n}\n```\n";
            stray_code(&Tree::sample(&[("README.md", readme), ("examples/a.rs", example)])).len()
        };
        assert_eq!(check("use x;\n\nfn f() {\n    g();\n}\n"), 0);
        assert_eq!(check("fn f() {\n    h();\n}\n"), 1);
    }

    #[test]
    fn a_promise_that_ci_does_not_keep_is_found() {
        let check =
            |ci: &str| ci_misses(&Tree::sample(&[("README.md", README), (".ci/run", ci)])).len();
        assert_eq!(check("cargo test\ncargo run --release -- check scenarios\n"), 0);
        assert_eq!(check("cargo test --lib\ncargo run --release -- check scenarios\n"), 1);
        assert_eq!(check(""), 2);
        assert_eq!(ci_misses(&Tree::sample(&[])).len(), 2);
    }

    #[test]
    fn a_changelog_without_news_is_found() {
        let check = |text: &str| changelog(&Tree::sample(&[("CHANGELOG.md", text)])).len();
        assert_eq!(check("# Changelog\n\n## Unreleased\n\n- run a job\n\n## 0.1\n"), 0);
        assert_eq!(check("# Changelog\n\n## Unreleased\n\n## 0.1\n\n- run a job\n"), 1);
        assert_eq!(check("# Changelog\n"), 1);
    }

    #[test]
    fn a_path_of_somebodys_machine_is_found() {
        let check = |text: &str| machine_paths(&Tree::sample(&[("a.md", text)])).len();
        assert_eq!(check("see /home/me/notes"), 1);
        assert_eq!(check("out = \"/tmp/x\""), 1);
        assert_eq!(check("target/tmp/x and https://a.org/home/x"), 0);
    }
}
