//! What InfluxDB's answers mean: kept, to be tried again, or refused for good and why.
//! Never looks at a clock and never sends: the number and the text of an answer are enough.
//! What follows from it: [`super::delivery`].

use serde::Deserialize;

use super::line::Lines;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Done,
    /// It may be done or not, and can be asked for again; why.
    Again(String),
    /// It was refused, and would be again; why, and what to do.
    Refused(String),
    /// The database is not there.
    NoDatabase,
}

/// The text of an error, or of the results of statements.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    error: Option<String>,
    results: Vec<Said>,
}

/// How much of an answer that is no JSON is told, in characters.
const TOLD_MAX: usize = 200;

/// The error in an answer, if there is one.
fn error(body: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Said>(body) {
        Ok(said) => said.error.or_else(|| said.results.into_iter().find_map(|said| said.error)),
        Err(_) if body.is_empty() => None,
        Err(_) => Some(String::from_utf8_lossy(body).chars().take(TOLD_MAX).collect()),
    }
}

/// What an answer to a write means.
pub(super) fn to_write(status: u16, body: &[u8], lines: &Lines) -> Verdict {
    let said = error(body).unwrap_or_default();
    match status {
        204 => Verdict::Done,
        404 if said.starts_with("database not found") => Verdict::NoDatabase,
        400 => Verdict::Refused(format!("{said}{}", line_of(&said, lines))),
        other => in_general(other, &said),
    }
}

/// What an answer to `CREATE DATABASE` means.
pub(super) fn to_create(status: u16, body: &[u8]) -> Verdict {
    match (status, error(body)) {
        (200, None) => Verdict::Done,
        (200, Some(said)) => Verdict::Refused(format!("the database cannot be created: {said}")),
        (other, said) => in_general(other, &said.unwrap_or_default()),
    }
}

fn in_general(status: u16, said: &str) -> Verdict {
    let and_said = if said.is_empty() { String::new() } else { format!(": {said}") };
    match status {
        401 | 403 => Verdict::Refused(format!(
            "it wants a user and a password ({status}{and_said}): set auth-enabled = false"
        )),
        413 => Verdict::Refused(format!("the request is too long for it (413{and_said})")),
        408 | 429 | 500..=599 => Verdict::Again(format!("it answered {status}{and_said}")),
        _ => Verdict::Refused(format!("it answered {status}{and_said}: expected an InfluxDB 1.x")),
    }
}

/// Which line it was, as far as the answer tells: the one that it quotes, or the first of the
/// series in which a field has another type.
fn line_of(said: &str, lines: &Lines) -> String {
    let text = String::from_utf8_lossy(&lines.text);
    let mut numbered = text.lines().zip(1..);
    let quoted = said.split_once("unable to parse '").map(|(_, rest)| rest);
    let series = said.split_once("on measurement \"").and_then(|(_, rest)| rest.split_once('"'));
    let is_it = |line: &str| match (quoted, series) {
        (Some(quoted), _) => quoted.starts_with(&format!("{line}'")),
        (None, Some((series, _))) => line.starts_with(series),
        (None, None) => false,
    };
    let found = numbered.find(|(line, _)| is_it(line));
    found.map_or(String::new(), |(line, number)| {
        format!(" (line {number} of {}: {line})", lines.count)
    })
}
