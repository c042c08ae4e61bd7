//! The project's own text files, by path, or a made-up handful of them.
//! Judges nothing: the checks take a tree and give the problems they found in it, so that each can
//! be shown a bad sample. What stands in a Rust file is taken apart in [`crate::source`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What is not ours: build output, history, stores of local runs.
const NOT_OURS: &[&str] = &["target", ".git", "slackwater-data"];
/// The kinds of text that are checked; `run` is `.ci/run`.
const TEXT: &[&str] = &["rs", "toml", "md", "snap", "journal", "run"];

/// Text files by path relative to the project's root, in order.
pub struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// The project as it lies on disk.
    pub fn of_project() -> Self {
        let mut tree = Self { files: BTreeMap::new() };
        tree.read(Path::new(env!("CARGO_MANIFEST_DIR")), "");
        tree
    }

    /// A made-up project.
    pub fn sample(files: &[(&str, &str)]) -> Self {
        Self {
            files: files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect(),
        }
    }

    /// The text at `path`; empty if there is none.
    pub fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// Whether there is a file at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Every file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every Rust file.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// Every manifest of a crate, parsed.
    pub fn manifests(&self) -> impl Iterator<Item = (&str, toml::Table)> {
        let named = |path: &str| path == "Cargo.toml" || path.ends_with("/Cargo.toml");
        self.files().filter(move |(path, _)| named(path)).map(|(path, text)| {
            (path, text.parse().unwrap_or_else(|e| panic!("{path} is not TOML: {e}")))
        })
    }

    fn read(&mut self, folder: &Path, prefix: &str) {
        let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{prefix}: {e}"));
        for entry in entries.map(|entry| entry.expect("the project can be listed")) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if path.is_dir() && !NOT_OURS.contains(&name.as_str()) {
                self.read(&path, &format!("{prefix}{name}/"));
            } else if path.is_file() && TEXT.contains(&name.rsplit('.').next().unwrap_or(&name)) {
                let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
                self.files.insert(format!("{prefix}{name}"), text);
            }
        }
    }
}
