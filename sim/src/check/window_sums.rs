//! The sums of the demo, held against closed forms: the one of the wave, and zero.
//! Knows the wave only from its number of steps and the ticks that the source emitted; never reads
//! what the job computed on the way. Rows that never came are [`super::no_loss`]'s as well.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::id::{Attempt, JobEpoch};
use slackwater_core::time::EventTime;

use super::evidence::{Rows, float, seconds, window_of};
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
const KEYS: [&str; 3] = ["door", "pressure", "temp"];

/// The ticks of one window, each with its step of the wave.
#[derive(Default)]
struct Expected {
    attempt: (JobEpoch, Attempt),
    ticks: BTreeMap<EventTime, u64>,
}

impl Expected {
    /// What one key sums to; `None` for a key that no sensor has.
    fn sum(&self, key: &str, wave: u64) -> Option<f64> {
        let value: fn(f64) -> f64 = match key {
            "temp" => |phase| phase,
            "pressure" => |phase| (phase * TAU).sin(),
            "door" => |phase| f64::from(u8::from(phase > 0.4)),
            _ => return None,
        };
        Some(self.ticks.values().map(|step| value(*step as f64 / wave as f64)).sum())
    }
}

fn expected(run: &Evidence<'_>, args: &Args) -> Outcome {
    let series = args.text("series", "summedSensors");
    let tolerance = args.number("tolerance", 1e-9);
    let wave = (args.number("wave", 10.0) as u64).max(1);
    let size = args.span("window", Duration::from_secs(1)).as_millis() as i64;
    let windows = match expected_windows(run, wave, size) {
        Ok(windows) => windows,
        Err(broken) => return Outcome::saw(1, "").broken_by(Some(broken)),
    };
    let rows = run.rows(series);
    let wrong = rows.iter().filter_map(|((key, start), row)| {
        let window = describe(series, key, *start, &rows);
        let Some(expected) = windows.get(&start.as_millis()) else {
            return Some(Broken::at(
                row.at,
                format!("{window} stands there, and no tick fell into it"),
            ));
        };
        let Some(wanted) = expected.sum(key, wave) else {
            return Some(Broken::at(row.at, format!("{window} has a key that no sensor has")));
        };
        let found = float(&row.point, "value").unwrap_or(f64::NAN);
        let close = (found - wanted).abs() <= tolerance;
        (!close).then(|| Broken::at(row.at, format!("{window} is {found:.9}, want {wanted:.9}")))
    });
    // The first to become visible, whatever its key.
    let wrong = wrong.min_by_key(|broken| broken.at);
    let due = windows_due(run, &windows, size);
    let missing = due.iter().find_map(|start| {
        let absent = KEYS
            .into_iter()
            .find(|key| !rows.contains_key(&((*key).to_owned(), EventTime::from_millis(*start))))?;
        let start = EventTime::from_millis(*start);
        Some(Broken::somewhere(format!("{} is missing", describe(series, absent, start, &rows))))
    });
    let summary = format!("{} sums of {} windows", rows.len(), due.len());
    Outcome::saw(rows.len() as u64, summary)
        .measured("windows", due.len() as f64)
        .broken_by(wrong)
        .broken_by(missing)
}

/// The windows of every tick. Of several attempts the newest that ticked in a window counts; the
/// ticks before it count as well if it began with a checkpoint, which holds them.
fn expected_windows(
    run: &Evidence<'_>,
    wave: u64,
    size: i64,
) -> Result<BTreeMap<i64, Expected>, Broken> {
    let restored = run.restored();
    let mut windows = BTreeMap::<i64, Expected>::new();
    for emitted in run.emitted::<EventTime>("ticks")? {
        let attempt = (emitted.task.epoch, emitted.task.attempt);
        for (index, tick) in emitted.batch.values.iter().enumerate() {
            let window = windows.entry(window_of(*tick, size)).or_default();
            if window.attempt != attempt {
                window.attempt = attempt;
                if !restored.contains(&(emitted.task.job, emitted.task.attempt)) {
                    window.ticks.clear();
                }
            }
            window.ticks.insert(*tick, (emitted.offset + index as u64) % wave);
        }
    }
    Ok(windows)
}

/// The windows that must be visible by now: those of the newest attempt, and of the ones before it
/// as long as each began with a checkpoint; all of them if the jobs have finished, else those whose
/// end every watermark has passed for a second.
fn windows_due(run: &Evidence<'_>, windows: &BTreeMap<i64, Expected>, size: i64) -> Vec<i64> {
    let restored: BTreeSet<Attempt> = run.restored().into_iter().map(|(_, a)| a).collect();
    let attempts = windows.values().map(|window| window.attempt);
    let first = attempts.filter(|(_, attempt)| !restored.contains(attempt)).max();
    let horizon = if run.finished() { i64::MAX } else { watermark(run).saturating_sub(1_000) };
    let mine = windows.iter().filter(|(_, window)| Some(window.attempt) >= first);
    mine.map(|(start, _)| *start).filter(|start| start + size <= horizon).collect()
}

/// The least watermark of the tasks that hold windows, in their newest attempt.
fn watermark(run: &Evidence<'_>) -> i64 {
    let newest = run.newest();
    let mut tasks = BTreeMap::new();
    for fact in run.facts() {
        match fact {
            Fact::RecordWindowed { task, .. } => {
                tasks.entry(*task).or_insert(i64::MIN);
            }
            Fact::WatermarkAdvanced { task, watermark } => {
                tasks.entry(*task).and_modify(|known| *known = watermark.as_millis());
            }
            _ => {}
        }
    }
    let current =
        tasks.iter().filter(|(task, _)| newest.get(&task.job) == Some(&(task.epoch, task.attempt)));
    current.map(|(_, watermark)| *watermark).min().unwrap_or(i64::MIN)
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
