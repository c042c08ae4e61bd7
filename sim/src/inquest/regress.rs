//! The scenario file of a shrunk failure: its title, its story in words, where it was found, and the
//! document itself, to be read and edited by people.
//! Nothing of the machine, the day or the code stands in it, so that the same failure is the same
//! file. How a document is laid out is [`super::write`]'s.

use std::time::Duration;

use toml::{Table, Value};

use super::document::{elements, number, span};
use super::{Size, write};
use crate::scenario::Trouble;

/// What a file is made of beside its document.
pub(super) struct Found<'a> {
    /// The name it will have, without ending.
    pub(super) name: &'a str,
    /// The file that failed, as it was named.
    pub(super) file: &'a str,
    /// The cell of its matrix.
    pub(super) cell: &'a str,
    /// Under which seed.
    pub(super) seed: u64,
    /// What is wrong.
    pub(super) trouble: &'a Trouble,
    /// How large the run was, and is.
    pub(super) sizes: (Size, Size),
    /// How many runs it took.
    pub(super) replays: usize,
}

/// The text of the file.
pub(super) fn text(document: &Table, found: &Found<'_>) -> String {
    let mut document = document.clone();
    let happens = elements(&document, "fault").into_iter().map(happens).collect::<Vec<_>>();
    let breaks = found.trouble.check.map_or("it fails", |check| check);
    let title = match happens.len() {
        0 => format!("{}: {breaks} breaks, and nothing has to befall it", found.name),
        1 | 2 => {
            let short = elements(&document, "fault").into_iter().map(deed).collect::<Vec<_>>();
            format!("{}: {breaks} breaks when {}", found.name, short.join(" and "))
        }
        more => format!("{}: {breaks} breaks after {more} faults", found.name),
    };
    let what = short(found.trouble.what.lines().next().unwrap_or_default());
    let story = match happens.is_empty() {
        true => format!("Nothing befalls it. What is seen: {what}."),
        false => format!("{}. What is seen: {what}.", happens.join(". ")),
    };
    let seed = format!("{:#x}", found.seed);
    let mut origin = Table::new();
    origin.insert("seed".to_owned(), seed.clone().into());
    origin.insert("file".to_owned(), name(found.file).into());
    let all = [
        ("title", Value::from(title)),
        ("story", story.into()),
        ("tags", vec!["regress"].into()),
        ("found", origin.into()),
    ];
    all.into_iter().for_each(|(key, value)| {
        document.insert(key.to_owned(), value);
    });
    format!("{}{}", header(found, &seed), write::text(&document))
}

/// As much of a message as fits into a story.
fn short(message: &str) -> String {
    const MOST: usize = 160;
    match message.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} …", message[..end].trim_end()),
        None => message.to_owned(),
    }
}

/// One line, as a person would put it.
fn header(found: &Found<'_>, seed: &str) -> String {
    let (before, after) = found.sizes;
    let cell = match found.cell {
        "" => String::new(),
        cell => format!(" [{cell}]"),
    };
    let mut sizes = vec![change("fault", before.faults as u64, after.faults as u64)];
    if before.steps > 0 {
        sizes.push(change("step", before.steps as u64, after.steps as u64));
    }
    sizes.push(change("node", before.nodes.into(), after.nodes.into()));
    let seconds = |length: Duration| length.as_secs_f64();
    sizes.push(format!("{:.0} s -> {:.0} s", seconds(before.length), seconds(after.length)));
    format!(
        "# Written by `shrink` from {}{cell} seed {seed} ({}, {} replays). Safe to edit.\n",
        name(found.file),
        sizes.join(", "),
        found.replays
    )
}

fn change(what: &str, before: u64, after: u64) -> String {
    format!("{before} {what}{} -> {after}", if before == 1 { "" } else { "s" })
}

/// A file without the folders above its scenarios.
fn name(file: &str) -> String {
    match file.rsplit_once("scenarios/") {
        Some((_, inside)) => inside.to_owned(),
        None => file.rsplit('/').next().unwrap_or(file).to_owned(),
    }
}

/// A fault in a sentence: when, who, what, for how long.
fn happens(fault: &Table) -> String {
    let when = moment(fault);
    let down = span(fault, "down").map(|span| format!(", and is back {} later", words(span)));
    let lasts = span(fault, "for").map(|span| format!(", for {}", words(span)));
    format!("{when} {}{}", deed(fault), down.or(lasts).unwrap_or_default())
}

/// A span in a sentence: `3.5 s`, `40 ms`.
fn words(span: Duration) -> String {
    match span.as_millis() {
        millis @ ..1_000 => format!("{millis} ms"),
        _ => format!("{} s", span.as_secs_f64()),
    }
}

fn moment(fault: &Table) -> String {
    let Some(when) = fault.get("when").and_then(Value::as_table) else { return "At first".into() };
    let text = |key: &str| when.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let key = ["at", "event", "message", "inside", "after", "event_time"]
        .into_iter()
        .find(|key| when.contains_key(*key));
    let delay = span(when, "delay").filter(|delay| !delay.is_zero());
    let delay = delay.map_or_else(String::new, |delay| format!(", {} later", words(delay)));
    let nth = number(when, "nth").filter(|nth| *nth > 1);
    let nth = nth.map_or_else(String::new, |nth| format!(" number {nth}"));
    let fields = when.get("where").and_then(Value::as_table).into_iter().flatten();
    let fields = fields.map(|(key, value)| format!(" {key}={}", plain(value))).collect::<String>();
    match key {
        Some("at") => format!("At {}", words(span(when, "at").unwrap_or_default())),
        Some("event_time") => format!("At event time {}", text("event_time")),
        Some("after") => format!("After {}{delay}", text("after")),
        Some(key) => {
            let what = when.get(key).map(plain).unwrap_or_default();
            format!("At {what}{fields}{nth}{delay}")
        }
        None => "At some time".into(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(".."),
        other => other.to_string(),
    }
}

/// What a fault does, in words.
fn deed(fault: &Table) -> String {
    let name = |path: &[&str]| {
        let mut at = fault;
        for key in path {
            at = at.get(*key)?.as_table()?;
        }
        let role = at.get("role")?.as_str()?;
        let pick = at.get("pick").and_then(Value::as_integer).unwrap_or(0);
        Some(match role {
            "task_manager" => format!("tm-{}", pick + 1),
            "job_manager" if pick == 0 => "jm".to_owned(),
            "job_manager" => format!("jm-{}", pick + 1),
            "series_database" => "db".to_owned(),
            other => other.to_owned(),
        })
    };
    let on = name(&["on"]).unwrap_or_else(|| "somebody".to_owned());
    let peer = name(&["on", "peer"]).unwrap_or_else(|| "somebody".to_owned());
    let by = fault.get("by").and_then(Value::as_str).unwrap_or_default();
    let object = fault.get("object").and_then(Value::as_str).unwrap_or("object");
    match fault.get("do").and_then(Value::as_str).unwrap_or_default() {
        "crash" => format!("{on} is killed"),
        "power_loss" => format!("{on} loses power"),
        "pause" => format!("{on} is paused"),
        "partition" => format!("nothing passes between {on} and {peer}"),
        "partition_one_way" => format!("nothing passes from {on} to {peer}"),
        "reset" => format!("the connections of {on} and {peer} are reset"),
        "half_open" => format!("{on} loses its connections to {peer}, which does not know"),
        "slow" => format!("{on} answers {by} later"),
        "delay" => format!("everything between {on} and {peer} takes {by} longer"),
        "clock_step" => format!("the clock of {on} jumps by {by}"),
        "clock_drift" => format!("the clock of {on} drifts"),
        "store_slow" => format!("the store answers {by} later"),
        "store_refuse" => "the store refuses everything".to_owned(),
        "store_full" => "the store is full".to_owned(),
        "store_tear" => format!("the newest put of {on} is cut in half"),
        "store_flip" => format!("a bit of a {object} is flipped"),
        "store_delete" => format!("a {object} is deleted"),
        "store_foreign" => format!("a {object} is replaced by another job's"),
        other => format!("{other} befalls {on}"),
    }
}
