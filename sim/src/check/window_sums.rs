//! The sums of the demo, held against closed forms: the one of the wave, and zero.
//! Knows the wave only from its number of steps and the ticks that sources emitted, and whose state
//! each job began with ([`super::tick_windows`]); never reads what a job computed on the way. Rows that never came are [`super::no_loss`]'s as well.

use std::time::Duration;

use slackwater_core::time::EventTime;

use super::evidence::{Rows, float, seconds};
use super::tick_windows::{TickWindows, Windows};
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};

/// Every sum is what its ticks make it.
pub(super) const EXPECTED: Check = Check {
    name: "window_sums_expected",
    about: "every visible sum equals the closed form of the wave over the ticks of its window",
    keys: &[
        ("series", Kind::Text),
        ("wave", Kind::Number),
        ("tolerance", Kind::Number),
        ("window", Kind::Span),
    ],
    measures: &["windows"],
    needs: Needs::Run,
    judge: expected,
};

/// Every sum of one key is zero.
pub(super) const ZERO: Check = Check {
    name: "window_sums_zero",
    about: "every complete window of one key sums to zero",
    keys: &[("series", Kind::Text), ("key", Kind::Text), ("tolerance", Kind::Number)],
    measures: &["non_zero", "max_abs", "windows"],
    needs: Needs::Run,
    judge: zero,
};

/// The keys of the sensors.
const KEYS: [&str; 4] = ["door", "pressure", "temp", "turns"];

fn expected(run: &Evidence<'_>, args: &Args) -> Outcome {
    let series = args.text("series", "summedSensors");
    let tolerance = args.number("tolerance", 1e-9);
    let wave = (args.number("wave", 10.0) as u64).max(1);
    let size = args.span("window", Duration::from_secs(1)).as_millis() as i64;
    let all = match TickWindows::of(run, wave, size) {
        Ok(all) => all,
        Err(broken) => return Outcome::saw(1, "").broken_by(Some(broken)),
    };
    let (mut seen, mut due, mut wrong, mut missing) = (0, 0, Vec::new(), None);
    for (tag, windows) in &all.windows {
        let series = format!("{series}{tag}");
        let (rows, of_tag) = (run.rows(&series), all.due(run, windows));
        seen += rows.len();
        due += of_tag.len();
        wrong.extend(first_wrong((&series, &rows), windows, &of_tag, tolerance));
        missing = missing.or_else(|| first_missing((&series, &rows), windows, &of_tag));
    }
    // The first to become visible, whatever its key.
    let wrong = wrong.into_iter().min_by_key(|broken| broken.at);
    Outcome::saw(seen as u64, format!("{seen} sums of {due} windows"))
        .measured("windows", due as f64)
        .broken_by(wrong)
        .broken_by(missing)
}

/// The first row that is not what its ticks make it, or that has none.
fn first_wrong(
    (series, rows): (&str, &Rows),
    windows: &Windows,
    due: &[i64],
    tolerance: f64,
) -> Option<Broken> {
    let wrong = rows.iter().filter_map(|((key, start), row)| {
        let name = describe(series, key, *start, rows);
        let Some(window) = windows.get(&start.as_millis()) else {
            let what = format!("{name} stands there, and no tick fell into it");
            return Some(Broken::at(row.at, what));
        };
        let Some(wanted) = window.sum(key) else {
            return Some(Broken::at(row.at, format!("{name} has a key that no sensor has")));
        };
        let found = float(&row.point, "value").unwrap_or(f64::NAN);
        let close = |wanted: f64| (found - wanted).abs() <= tolerance;
        // What a job before had made of it stands until the next has made it anew.
        let stands = || window.older().filter_map(|older| older.sum(key)).any(close);
        let is_due = due.binary_search(&start.as_millis()).is_ok();
        (!close(wanted) && (is_due || !stands()))
            .then(|| Broken::at(row.at, format!("{name} is {found:.9}, want {wanted:.9}")))
    });
    wrong.min_by_key(|broken| broken.at)
}

fn first_missing((series, rows): (&str, &Rows), windows: &Windows, due: &[i64]) -> Option<Broken> {
    due.iter().find_map(|start| {
        let window = windows.get(start)?;
        let start = EventTime::from_millis(*start);
        let stands = |key: &str| rows.contains_key(&(key.to_owned(), start));
        let absent = KEYS.into_iter().find(|key| window.sum(key).is_some() && !stands(key))?;
        Some(Broken::somewhere(format!("{} is missing", describe(series, absent, start, rows))))
    })
}

/// A window's name: its place counted from the first one of the series.
fn describe(series: &str, key: &str, start: EventTime, rows: &Rows) -> String {
    let first = rows.keys().map(|(_, start)| start.as_millis()).min().unwrap_or(start.as_millis());
    let from = seconds(start.as_millis() - first);
    format!("{series}: window {from} s after the first, key={key}")
}

fn zero(run: &Evidence<'_>, args: &Args) -> Outcome {
    let series = args.text("series", "summedSensors");
    let key = args.text("key", "pressure");
    let tolerance = args.number("tolerance", 1e-9);
    let rows = run.rows(series);
    let mine: Vec<_> = rows.iter().filter(|((own, _), _)| own == key).collect();
    // The first and the last window may be cut by the beginning and the end of the run.
    let complete = mine.get(1..mine.len().saturating_sub(1)).unwrap_or_default();
    let sum = |row: &super::Visible| float(&row.point, "value").unwrap_or(f64::NAN).abs();
    let off = |row: &super::Visible| sum(row) > tolerance || sum(row).is_nan();
    let wrong: Vec<_> = complete.iter().filter(|(_, row)| off(row)).collect();
    let max_abs = complete.iter().map(|(_, row)| sum(row)).fold(0.0, f64::max);
    let windows = complete.len();
    let share = wrong.len() as f64 / windows.max(1) as f64;
    let first = wrong.first().map(|((key, start), row)| {
        let found = float(&row.point, "value").unwrap_or(f64::NAN);
        let window = describe(series, key, *start, &rows);
        let many = format!("{} of {windows} windows", wrong.len());
        Broken::at(row.at, format!("{window} is {found:.4}, want 0; {many}"))
    });
    Outcome::saw(windows as u64, format!("{} of {windows} windows are not zero", wrong.len()))
        .measured("non_zero", share)
        .measured("max_abs", max_abs)
        .measured("windows", windows as f64)
        .broken_by(first)
}
