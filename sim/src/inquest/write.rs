//! A settled document as a scenario file that a person would have written: parts in the order of a
//! story, keys that belong together in one column, spans in the largest unit that fits.
//! Decides nothing: what stands in the file is the document's, what stands above it is
//! [`super::regress`]'s.

use std::fmt::Write;
use std::time::Duration;

use slackwater_core::time::parse_span;
use toml::{Table, Value};

use super::document::shown;

/// Keys in the order in which they are read; others follow by name.
const ORDER: [&str; 63] = [
    "format",
    "title",
    "story",
    "tags",
    "found",
    "seeds",
    "stop",
    "limit",
    "rest",
    "determinism",
    "job_managers",
    "task_managers",
    "slots",
    "workers",
    "credits",
    "buffers",
    "tick",
    "shuffle",
    "net",
    "clock",
    "log",
    "program",
    "version",
    "set",
    "name",
    "check",
    "must",
    "label",
    "run",
    "when",
    "do",
    "role",
    "pick",
    "peer",
    "on",
    "links",
    "ways",
    "where",
    "down",
    "for",
    "by",
    "ppm",
    "disk",
    "object",
    "until",
    "says",
    "keep",
    "job",
    "at",
    "event_time",
    "event",
    "message",
    "inside",
    "after",
    "nth",
    "delay",
    "shape",
    "at_least",
    "at_most",
    "within",
    "from",
    "file",
    "seed",
];

/// Parts in the order of a file.
const PARTS: [&str; 7] = ["run", "cluster", "job", "step", "fault", "calm", "expect"];

/// The text of a scenario file, without what stands above it.
pub(crate) fn text(document: &Table) -> String {
    let is_part = |key: &str| PARTS.contains(&key);
    let top: Table = document
        .iter()
        .filter(|(key, _)| !is_part(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut text = block(&top);
    for part in PARTS {
        match document.get(part) {
            Some(Value::Table(table)) => {
                let _ = write!(text, "\n[{part}]\n{}", block(table));
            }
            Some(Value::Array(all)) => {
                text.push('\n');
                for table in all.iter().filter_map(Value::as_table) {
                    let _ = write!(text, "[[{part}]]\n{}", block(table));
                }
            }
            _ => {}
        }
    }
    text
}

/// The keys of a table, one a line, with their values in one column.
fn block(table: &Table) -> String {
    let keys = sorted(table);
    let width = keys.iter().map(|(key, _)| bare(key).len()).max().unwrap_or(0);
    let mut text = String::new();
    for (key, value) in keys {
        let _ = writeln!(text, "{:<width$} = {}", bare(key), inline(value));
    }
    text
}

fn sorted(table: &Table) -> Vec<(&String, &Value)> {
    let mut keys: Vec<_> = table.iter().collect();
    let place = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
    keys.sort_by_key(|(key, _)| (place(key), (*key).clone()));
    keys
}

/// A key, in quotes if it needs them.
fn bare(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !key.is_empty() && key.chars().all(is_bare) {
        true => key.to_owned(),
        false => Value::from(key).to_string(),
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let keys = sorted(table).into_iter();
            let keys = keys.map(|(key, value)| format!("{} = {}", bare(key), inline(value)));
            format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
        }
        Value::Array(all) => {
            format!("[{}]", all.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => Value::from(tidy(text)).to_string(),
        other => other.to_string(),
    }
}

/// A span in the largest unit that fits; any other text as it is.
fn tidy(text: &str) -> String {
    match parse_span(text) {
        Ok(span) if text.ends_with("ms") && span > Duration::ZERO => shown(span),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_from_the_top_and_means_the_same() {
        let document: Table = r#"
            title = "a \"b\""
            format = 1
            [[fault]]
            do = "crash"
            name = "kill"
            when = { at = "1500ms" }
            on = { pick = 1, role = "task_manager" }
            down = "2000ms"
            [run]
            stop = "finished"
            seeds = [7]
            limit = { sim = "60s" }
        "#
        .parse()
        .expect("TOML");
        let text = text(&document);
        let expected = "format = 1\ntitle  = \"a \\\"b\\\"\"\n\n[run]\nseeds = [7]\nstop  = \"finished\"\n\
                        limit = { sim = \"60s\" }\n\n[[fault]]\nname = \"kill\"\nwhen = { at = \"1500ms\" }\n\
                        do   = \"crash\"\non   = { role = \"task_manager\", pick = 1 }\ndown = \"2s\"\n";
        let expected = expected.replace("\"a \\\"b\\\"\"", "'a \"b\"'");
        assert_eq!(text, expected);
        let again: Table = text.parse().expect("TOML");
        assert_eq!(again["title"], document["title"]);
    }
}
