//! Real departures, late as planes are: hourly windows per airport over the scheduled time, read
//! in the order in which the planes left. Nothing is dropped: a record that comes after its hour has
//! closed goes to a file of its own. The data is described in `tests/data/README.md`.

use slackwater::connect::csv::{OnBadRecord, Row};
use slackwater::prelude::*;

use crate::survival;

/// A line of the input: a departure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// The airport.
    pub key: String,
    /// The scheduled departure, in milliseconds since the epoch.
    pub event_ts_ms: i64,
    /// How many minutes late it left.
    pub value: i64,
    /// Its number.
    pub flight: String,
}

/// A line of `windows.csv`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hour {
    key: String,
    window_start: i64,
    window_end: i64,
    count: u64,
    sum: i64,
}

/// A line of `late.csv`: a departure and its place in the input.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Late {
    key: String,
    event_ts_ms: i64,
    value: i64,
    flight: String,
    record: u64,
}

/// Settings: `input` (a file), `out` (a folder), `bound` (how late a plane may be), and
/// `on_bad_record` (`fail` or `skip`); `checkpoint`, `storage`, `restarts` (none), `restart_delay` and
/// `latency` as of [`crate::oscon::oscon`]. With checkpoints the files are written in transactions.
///
/// # Errors
/// If a setting is missing or cannot be read.
pub fn flights(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let input: String = required(settings, "input")?;
    let out: String = required(settings, "out")?;
    let bound = settings.take_span("bound", mins(60))?;
    let on_bad_record = settings.take("on_bad_record", OnBadRecord::Fail)?;
    let checkpoints = survival::take(env, settings, 0)?;
    // One key group: results of one firing leave in the order of their keys, and so stand the rows.
    env.max_parallelism(1);

    let file = csv::source(input, |flight: &Flight| EventTime::from_millis(flight.event_ts_ms))
        .on_bad_record(on_bad_record);
    let hours = env
        .source("departures", file, Watermarks::bounded(bound))
        .key_by(|row: &Row<Flight>| row.value.key.clone())
        .window(tumbling(mins(60)))
        .fold("hours", (0u64, 0i64), |(count, sum), row| {
            *count += 1;
            *sum += row.value.value;
        });
    let windows = hours.results.map(|pane| Hour {
        key: pane.key,
        window_start: pane.window.start.as_millis(),
        window_end: pane.window.end.as_millis(),
        count: pane.value.0,
        sum: pane.value.1,
    });
    let columns = ["key", "window_start", "window_end", "count", "sum"];
    let file = csv::sink(format!("{out}/windows.csv"), columns);
    checkpoints.write(&windows, "windows-csv", file);
    let late =
        hours.late.map(|Row { record, value: Flight { key, event_ts_ms, value, flight } }| Late {
            key,
            event_ts_ms,
            value,
            flight,
            record,
        });
    let columns = ["key", "event_ts_ms", "value", "flight", "record"];
    let file = csv::sink(format!("{out}/late.csv"), columns);
    checkpoints.write(&late, "late-csv", file);
    Ok(())
}

fn required(settings: &mut Settings, name: &str) -> Result<String, PlanError> {
    settings.take_optional(name)?.ok_or_else(|| PlanError::BadParameter {
        name: name.to_owned(),
        message: "the job needs it".into(),
    })
}
