//! The moves by which a settled document is made smaller: values at paths, spans, targets.
//! Knows the keys of a scenario file and plays nothing; whether what comes out means anything is
//! asked by reading it. What is tried, and in which order, is [`super::shrink`]'s.

use std::time::Duration;

use slackwater_core::time::parse_span;
use toml::{Table, Value};

/// The value at a path such as `cluster.net.delay`; of several jobs, the first one's.
pub(super) fn at<'t>(document: &'t Table, path: &str) -> Option<&'t Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = document.get(first)?;
    match (rest, value) {
        ("", value) => Some(value),
        (rest, Value::Table(table)) => at(table, rest),
        (rest, Value::Array(all)) => at(all.first()?.as_table()?, rest),
        _ => None,
    }
}

/// The same, to be changed.
pub(super) fn at_mut<'t>(document: &'t mut Table, path: &str) -> Option<&'t mut Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = document.get_mut(first)?;
    match (rest, value) {
        ("", value) => Some(value),
        (rest, Value::Table(table)) => at_mut(table, rest),
        (rest, Value::Array(all)) => at_mut(all.first_mut()?.as_table_mut()?, rest),
        _ => None,
    }
}

/// The document with another value at a path; tables on the way are made.
pub(super) fn with(document: &Table, path: &str, value: impl Into<Value>) -> Table {
    let mut document = document.clone();
    put(&mut document, path, value.into());
    document
}

fn put(table: &mut Table, path: &str, value: Value) {
    let Some((first, rest)) = path.split_once('.') else {
        table.insert(path.to_owned(), value);
        return;
    };
    let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
    match inner {
        Value::Table(inner) => put(inner, rest, value),
        Value::Array(all) => {
            if let Some(Value::Table(inner)) = all.first_mut() {
                put(inner, rest, value);
            }
        }
        _ => {}
    }
}

/// The document without a key.
pub(super) fn without(document: &Table, path: &str) -> Option<Table> {
    let mut document = document.clone();
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let table = if parent.is_empty() {
        Some(&mut document)
    } else {
        at_mut(&mut document, parent).and_then(Value::as_table_mut)
    };
    table?.remove(key)?;
    Some(document)
}

/// A whole number at a path, also if it is written as text.
pub(super) fn number(document: &Table, path: &str) -> Option<i64> {
    let value = at(document, path)?;
    value.as_integer().or_else(|| value.as_str()?.parse().ok())
}

/// A span of time at a path.
pub(super) fn span(document: &Table, path: &str) -> Option<Duration> {
    parse_span(at(document, path)?.as_str()?).ok()
}

/// A span as a person writes it.
pub(super) fn shown(span: Duration) -> String {
    match span.as_millis() {
        millis if millis > 0 && millis % 60_000 == 0 && millis >= 600_000 => {
            format!("{}m", millis / 60_000)
        }
        millis if millis > 0 && millis % 1_000 == 0 => format!("{}s", millis / 1_000),
        millis => format!("{millis}ms"),
    }
}

/// The elements of an array of tables.
pub(super) fn elements<'t>(document: &'t Table, key: &str) -> Vec<&'t Table> {
    let all = document.get(key).and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_table).collect()
}

/// Changes every element of an array of tables.
pub(super) fn each(document: &mut Table, key: &str, mut change: impl FnMut(&mut Table)) {
    if let Some(Value::Array(all)) = document.get_mut(key) {
        all.iter_mut().filter_map(Value::as_table_mut).for_each(&mut change);
    }
}

/// The document with only these elements of an array of tables.
pub(super) fn only(document: &Table, key: &str, places: &[usize]) -> Table {
    let mut document = document.clone();
    if let Some(Value::Array(all)) = document.get_mut(key) {
        let kept = places.iter().filter_map(|place| all.get(*place).cloned()).collect::<Vec<_>>();
        *all = kept;
    }
    if elements(&document, key).is_empty() {
        document.remove(key);
    }
    document
}

/// The time since every job ran at which a fault happens, if it happens at a time.
pub(super) fn time_of(fault: &Table) -> Option<Duration> {
    span(fault, "when.at")
}

/// The document with everything that has a time of its own from `from` on so much earlier.
pub(super) fn earlier(document: &Table, from: Duration, by: Duration) -> Table {
    let mut document = document.clone();
    for key in ["fault", "step"] {
        each(&mut document, key, |part| {
            let time = time_of(part).filter(|time| *time >= from);
            let when = part.get_mut("when").and_then(Value::as_table_mut);
            if let (Some(time), Some(when)) = (time, when) {
                when.insert("at".to_owned(), shown(time.saturating_sub(by)).into());
            }
        });
    }
    for path in ["run.stop.time", "run.stop.event_time", "calm.from.at", "calm.from.event_time"] {
        let Some(span) = span(&document, path) else { continue };
        document = with(&document, path, shown(span.saturating_sub(by)));
    }
    document
}

#[cfg(test)]
mod tests {
    use slackwater_core::time::{ms, secs};

    use super::*;

    #[test]
    fn what_is_earlier_keeps_its_distances() {
        let text = "[run]\nstop = { time = \"40s\" }\n[[fault]]\nwhen = { at = \"9s\" }\n\
                    [[fault]]\nwhen = { at = \"12500ms\" }\n[[fault]]\nwhen = { event = \"x\" }\n";
        let document: Table = text.parse().expect("TOML");
        let earlier = earlier(&document, secs(10), secs(8));
        let times: Vec<_> = elements(&earlier, "fault").into_iter().map(time_of).collect();
        assert_eq!(times, [Some(secs(9)), Some(ms(4_500)), None]);
        assert_eq!(span(&earlier, "run.stop.time"), Some(secs(32)));
    }

    #[test]
    fn spans_are_written_as_a_person_would() {
        let spans = [ms(0), ms(1_500), secs(90), secs(600)].map(shown);
        assert_eq!(spans, ["0ms", "1500ms", "90s", "10m"]);
    }
}
