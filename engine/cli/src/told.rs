//! How what is found out is told: to a person in lines and columns, to a program as JSON.
//! Both are made of the same values, so that neither says what the other does not know; nothing here
//! depends on a terminal's width. What is told is said by each verb.

use chrono::{DateTime, SecondsFormat};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use slackwater_core::program::Program;
use slackwater_core::time::{EventTime, ProcessingTime};

use crate::exit::{Exit, Failure};
use crate::remote::Terminal;

/// A program as JSON tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramTold {
    /// Its name in the catalogue.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its settings, by name.
    pub settings: std::collections::BTreeMap<String, String>,
}

impl From<&Program> for ProgramTold {
    fn from(program: &Program) -> Self {
        let Program { name, version, settings } = program.clone();
        Self { name, version, settings }
    }
}

impl ProgramTold {
    /// `oscon@v1`.
    pub fn title(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// `wave=10 checkpoint=1s`.
    pub fn settings(&self) -> String {
        let settings = self.settings.iter().map(|(name, value)| format!("{name}={value}"));
        settings.collect::<Vec<_>>().join(" ")
    }
}

impl Terminal<'_> {
    /// Prints what is told: its text, line by line, or one JSON value.
    pub(crate) fn tell<T: Serialize>(
        &mut self,
        what: &T,
        as_json: bool,
        text: impl FnOnce(&T) -> Vec<String>,
    ) -> Result<(), Failure> {
        if !as_json {
            return text(what).iter().try_for_each(|line| self.print(line));
        }
        let json = serde_json::to_string_pretty(what);
        self.print(&json.map_err(|error| Failure::new(Exit::Environment, error))?)
    }
}

/// Lines of words under each other; the columns that hold numbers end under each other.
pub(crate) fn columns(rows: &[Vec<String>], numbers: &[usize]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for number in numbers {
        if let Some(column) = table.column_mut(*number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if rows.is_empty() {
        Vec::new()
    } else {
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// A moment for a person, in UTC.
pub(crate) fn moment(at: ProcessingTime) -> String {
    utc(at.as_millis())
}

/// An event time for a person: as it is, and in UTC if it looks like one.
pub(crate) fn event_time(at: EventTime) -> String {
    /// Ten years after the epoch: smaller numbers are those of tests and of counters.
    const PLAUSIBLE: i64 = 315_532_800_000;
    match at {
        EventTime::MIN | EventTime::MAX => at.to_string(),
        at if at.as_millis() < PLAUSIBLE => at.to_string(),
        at => format!("{at} ({})", utc(at.as_millis())),
    }
}

fn utc(millis: i64) -> String {
    let at = DateTime::from_timestamp_millis(millis);
    at.map_or_else(|| millis.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// `1 file`, `2 files`.
pub(crate) fn many(number: u64, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_and_numbers_end_under_each_other() {
        let rows = [["a", "7", "x"], ["longer", "1234", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows, &[1]), ["a          7  x", "longer  1234"]);
        assert_eq!(columns(&[], &[1]), Vec::<String>::new());
    }

    #[test]
    fn moments_are_told_in_utc_and_small_times_as_they_are() {
        assert_eq!(
            moment(ProcessingTime::from_millis(1_465_000_000_123)),
            "2016-06-04T00:26:40.123Z"
        );
        assert_eq!(event_time(EventTime::from_millis(5_000)), "5000");
        let real = event_time(EventTime::from_millis(1_465_000_000_000));
        assert_eq!(real, "1465000000000 (2016-06-04T00:26:40.000Z)");
        assert_eq!(event_time(EventTime::MAX), "MAX");
    }
}
