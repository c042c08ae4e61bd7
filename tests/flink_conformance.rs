//! What Apache Flink 2.3.0 itself gives for twenty cases of event time is what our operators give:
//! every row, every bit, every watermark, whatever the size of the batches and with chains or not.
//! The cases are in `tests/data/flink`, with how they were made and how they are compared.
#![expect(clippy::disallowed_methods, reason = "reads the recorded cases")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::element::Batch;
use slackwater_core::time::{EventTime, ms, secs};
use slackwater_dataflow::harness::{Element, Harness};
use slackwater_dataflow::stream::Stream;
use slackwater_dataflow::watermark::Watermarks;
use slackwater_dataflow::window::{Pane, Tumbling, tumbling};

/// Batches of so many lines, in chains or not.
const SHAPES: [(usize, bool); 6] =
    [(1, true), (7, true), (1024, true), (1, false), (7, false), (1024, false)];

/// A record, and the how-manieth it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Given {
    key: String,
    value: f64,
    time: i64,
    record: usize,
}

enum Line {
    Record(Given),
    Watermark(i64),
}

#[derive(Deserialize)]
struct CaseFile {
    watermark: WatermarkRule,
}

#[derive(Clone, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
enum WatermarkRule {
    EveryN { bound_ms: u64, every_n: usize },
    Explicit,
}

struct Case {
    folder: PathBuf,
    lines: Vec<Line>,
    rule: WatermarkRule,
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let file = fs::read_to_string(folder.join("case.json")).expect("a case");
        let file: CaseFile = serde_json::from_str(&file).expect("a case");
        let mut lines = Vec::new();
        let mut record = 0;
        for line in csv::Reader::from_path(folder.join("input.csv")).expect("input").records() {
            let line = line.expect("a line");
            let time = line[1].parse().expect("a time");
            if &line[0] == "#WM" {
                lines.push(Line::Watermark(time));
                continue;
            }
            record += 1;
            let (key, value) = (line[0].to_owned(), line[2].parse().expect("a value"));
            lines.push(Line::Record(Given { key, value, time, record }));
        }
        Self { folder, lines, rule: file.watermark }
    }

    /// The rows that Flink gave, only these columns.
    fn expected(&self, operator: &str, columns: &[&str]) -> Vec<String> {
        let path = self.folder.join(format!("expected_{operator}.csv"));
        let mut reader = csv::Reader::from_path(path).expect("expected rows");
        let headers = reader.headers().expect("a header").clone();
        let place = |column: &&str| headers.iter().position(|h| h == *column).expect("a column");
        let places: Vec<usize> = columns.iter().map(place).collect();
        let rows = reader.records().map(|row| {
            let row = row.expect("a row");
            places.iter().map(|place| row[*place].to_owned()).collect::<Vec<_>>().join(",")
        });
        rows.collect()
    }

    /// Every watermark, with how many records came before it: told by the text of the rule alone.
    fn watermarks(&self) -> Vec<(i64, usize)> {
        let (mut greatest, mut records, mut said) = (i64::MIN, 0, Vec::<(i64, usize)>::new());
        for line in &self.lines {
            let watermark = match (line, &self.rule) {
                (Line::Watermark(watermark), _) => *watermark,
                (Line::Record(given), rule) => {
                    greatest = greatest.max(given.time);
                    records = given.record;
                    match rule {
                        WatermarkRule::EveryN { bound_ms, every_n } if records % every_n == 0 => {
                            greatest - *bound_ms as i64 - 1
                        }
                        _ => continue,
                    }
                }
            };
            if said.last().is_none_or(|last| last.0 < watermark) {
                said.push((watermark, records));
            }
        }
        said.push((i64::MAX, records));
        said
    }

    /// The generator that follows the rule; `None` if the input brings its own.
    fn generator(&self) -> Option<Watermarks<Given>> {
        match self.rule {
            WatermarkRule::Explicit => None,
            WatermarkRule::EveryN { bound_ms, every_n: 1 } => {
                Some(Watermarks::bounded(ms(bound_ms)))
            }
            WatermarkRule::EveryN { bound_ms, every_n } => {
                let mut greatest = EventTime::MIN;
                Some(Watermarks::punctuated(move |given: &Given, time: EventTime| {
                    greatest = greatest.max(time);
                    given.record.is_multiple_of(every_n).then(|| greatest.minus(ms(bound_ms + 1)))
                }))
            }
        }
    }
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flink");
    let entries = fs::read_dir(root).expect("cases").map(|entry| entry.expect("a case").path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.into_iter().map(Case::read).collect()
}

/// Plays a case in batches of `rows` lines.
fn play<O, L>(case: &Case, rows: usize, harness: Harness<Given, O, L>) -> Harness<Given, O, L>
where
    O: slackwater_core::Data,
    L: slackwater_core::Data,
{
    let mut harness = match case.generator() {
        Some(generator) => harness.marked_by(&generator),
        None => harness,
    };
    for lines in case.lines.chunks(rows) {
        let mut batch = Batch::default();
        for line in lines {
            match line {
                Line::Record(given) => {
                    batch.push(EventTime::from_millis(given.time), given.clone());
                }
                Line::Watermark(watermark) => batch.mark(EventTime::from_millis(*watermark)),
            }
        }
        harness.batch(batch);
    }
    harness.end();
    harness
}

/// What a pane of the tests remembers of its records.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Seen {
    count: u64,
    sum: f64,
    /// The sum that begins with the first value instead of zero.
    reduced: f64,
    first_time: i64,
    greatest: f64,
    time_of_greatest: i64,
    last_record: usize,
}

fn see(seen: &mut Seen, given: Given) {
    let first = seen.count == 0;
    seen.count += 1;
    seen.sum += given.value;
    seen.reduced = if first { given.value } else { seen.reduced + given.value };
    if first {
        seen.first_time = given.time;
    }
    if first || given.value > seen.greatest {
        (seen.greatest, seen.time_of_greatest) = (given.value, given.time);
    }
    seen.last_record = given.record;
}

/// A pane, and when and why it left.
struct Fired {
    pane: Pane<String, Seen>,
    watermark: String,
    after_record: usize,
    cause: &'static str,
}

/// Finds out when and why each pane left: a pane whose window had passed was fired by its last
/// record, every other by the next watermark.
fn fired(case: &Case, elements: Vec<Element<Pane<String, Seen>>>) -> Vec<Fired> {
    let watermarks = case.watermarks();
    let records_before: BTreeMap<_, _> = watermarks.iter().copied().collect();
    let (mut fired, mut waiting, mut passed) = (Vec::new(), Vec::new(), Vec::new());
    for element in elements {
        match element {
            Element::Record(time, pane) => {
                assert_eq!(time, pane.window.last(), "a pane is stamped with its last millisecond");
                match passed.last().copied().filter(|last| pane.window.last() <= *last) {
                    None => waiting.push(pane),
                    Some(watermark) => {
                        assert!(waiting.is_empty(), "no record comes between a watermark's panes");
                        let after_record = pane.value.last_record;
                        let watermark = watermark.to_string();
                        fired.push(Fired { pane, watermark, after_record, cause: "element" });
                    }
                }
            }
            Element::Watermark(watermark) => {
                passed.push(watermark);
                let after_record = records_before[&watermark.as_millis()];
                let cause = if watermark == EventTime::MAX { "end" } else { "watermark" };
                let watermark = watermark.to_string();
                fired.extend(waiting.drain(..).map(|pane| {
                    let watermark = watermark.clone();
                    Fired { pane, watermark, after_record, cause }
                }));
            }
            Element::Signal(_) => {}
        }
    }
    assert!(waiting.is_empty(), "every pane leaves before the watermark that fires it");
    let passed: Vec<_> = passed.into_iter().map(EventTime::as_millis).collect();
    let expected: Vec<_> = watermarks.into_iter().map(|(watermark, _)| watermark).collect();
    assert_eq!(passed, expected, "every watermark goes on, and no other");
    fired
}

fn sorted(rows: impl Iterator<Item = String>) -> Vec<String> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    rows
}

/// Sorts the rows of each sweep of timers: those that agree in their last columns.
fn swept(rows: Vec<String>, columns: usize) -> Vec<String> {
    let sweep = |row: &String| -> Vec<String> {
        row.rsplit(',').take(columns).map(str::to_owned).collect()
    };
    let sweeps = rows.chunk_by(|a, b| sweep(a) == sweep(b));
    sweeps.flat_map(|sweep| sorted(sweep.iter().cloned())).collect()
}

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

/// A way to show a fired pane, and Flink's columns that say the same.
type Shown = (&'static str, &'static [&'static str], fn(&Fired) -> String);

const ALL: &[&str] = &[
    "key",
    "window_start",
    "window_end",
    "count",
    "sum_bits",
    "watermark",
    "after_record",
    "cause",
];

fn all(fired: &Fired) -> String {
    let Fired { pane, watermark, after_record, cause } = fired;
    let (window, seen) = (pane.window, &pane.value);
    let (sum, start, end) = (bits(seen.sum), window.start, window.end);
    format!("{},{start},{end},{},{sum},{watermark},{after_record},{cause}", pane.key, seen.count)
}

/// Holds every case, batch size and chaining against Flink, and gives how many rows were compared.
fn check(windows: Tumbling, late: Option<&str>, shown: &[Shown]) -> usize {
    let mut compared = 0;
    for case in cases() {
        for (batch, chaining) in SHAPES {
            let harness = Harness::with(
                move |env| {
                    env.chaining(chaining);
                },
                move |given: Stream<Given>| {
                    let keyed = given.key_by(|given| given.key.clone());
                    keyed.window(windows).fold("windows", Seen::default(), see)
                },
            );
            let mut harness = play(&case, batch, harness);
            let about = |operator: &str| format!("{operator} of {:?} by {batch}", case.folder);
            let fired = fired(&case, harness.take());
            for (operator, columns, show) in shown {
                // The columns that name a sweep stand last: all three, or the number alone.
                let names = if columns.contains(&"cause") { 3 } else { 1 };
                let expected = swept(case.expected(operator, columns), names);
                let rows = swept(fired.iter().map(show).collect(), names);
                assert_eq!(rows, expected, "{}", about(operator));
                compared += expected.len();
            }
            if let Some(operator) = late {
                let expected = case.expected(operator, LATE);
                assert_eq!(late_rows(harness.take_late()), expected, "{}", about(operator));
                compared += expected.len();
            }
        }
    }
    compared
}

const LATE: &[&str] = &["key", "event_ts_ms", "watermark", "after_record"];

fn late_rows(elements: Vec<Element<Given>>) -> Vec<String> {
    let mut watermark = EventTime::MIN;
    let mut rows = Vec::new();
    for element in elements {
        match element {
            Element::Watermark(passed) => watermark = passed,
            Element::Record(time, Given { key, record, .. }) => {
                rows.push(format!("{key},{time},{watermark},{record}"));
            }
            Element::Signal(_) => {}
        }
    }
    rows
}

fn second() -> Tumbling {
    tumbling(secs(1))
}

#[test]
fn tumbling_windows_give_what_flink_gives() {
    let compared = check(second(), Some("tumbling_1s_late"), &[("tumbling_1s", ALL, all)]);
    assert!(compared > 1_000, "only {compared} rows were compared");
}

#[test]
fn windows_that_begin_elsewhere_give_what_flink_gives() {
    let windows = second().offset(ms(250));
    let shown: &[Shown] = &[("tumbling_1s_offset250", ALL, all)];
    let compared = check(windows, Some("tumbling_1s_offset250_late"), shown);
    assert!(compared > 1_000, "only {compared} rows were compared");
}

#[test]
fn allowed_lateness_fires_again_record_by_record_as_flink_does() {
    let windows = second().allowed_lateness(Duration::from_secs(1));
    let shown: &[Shown] = &[("tumbling_1s_lateness1s", ALL, all)];
    let compared = check(windows, Some("tumbling_1s_lateness1s_late"), shown);
    assert!(compared > 1_000, "only {compared} rows were compared");
}

#[test]
fn folds_keep_the_fields_that_flinks_aggregations_keep() {
    const REDUCED: &[&str] = &[
        "key",
        "window_start",
        "window_end",
        "ts_field",
        "value_bits",
        "watermark",
        "after_record",
        "cause",
    ];
    const FIELDS: &[&str] = &["key", "event_ts_ms", "sum_bits", "after_record"];
    fn fields(fired: &Fired, time: i64, value: f64) -> String {
        format!("{},{time},{},{}", fired.pane.key, bits(value), fired.after_record)
    }
    let shown: &[Shown] = &[
        ("tumbling_1s_reduce_first_ts", REDUCED, |fired| {
            let Fired { pane, watermark, after_record, cause } = fired;
            let (window, seen) = (pane.window, &pane.value);
            let (start, end, sum) = (window.start, window.end, bits(seen.reduced));
            let time = seen.first_time;
            format!("{},{start},{end},{time},{sum},{watermark},{after_record},{cause}", pane.key)
        }),
        ("tumbling_1s_sumfield", FIELDS, |fired| {
            fields(fired, fired.pane.value.first_time, fired.pane.value.reduced)
        }),
        ("tumbling_1s_maxfield", FIELDS, |fired| {
            fields(fired, fired.pane.value.first_time, fired.pane.value.greatest)
        }),
        ("tumbling_1s_maxBy", FIELDS, |fired| {
            fields(fired, fired.pane.value.time_of_greatest, fired.pane.value.greatest)
        }),
    ];
    let compared = check(second(), None, shown);
    assert!(compared > 1_000, "only {compared} rows were compared");
}

#[test]
fn the_sum_of_the_library_has_the_bits_of_flinks() {
    let mut compared = 0;
    for case in cases() {
        let expected = case.expected("tumbling_1s", &["key", "window_start", "sum_bits"]);
        let expected = sorted(expected.into_iter());
        for (batch, _) in SHAPES {
            let harness = Harness::new(move |given: Stream<Given>| {
                given.key_by(|given| given.key.clone()).window(second()).sum("sum", |g| g.value)
            });
            let panes = play(&case, batch, harness).output().into_iter();
            let row =
                |p: Pane<String, f64>| format!("{},{},{}", p.key, p.window.start, bits(p.value));
            assert_eq!(sorted(panes.map(row)), expected, "{:?} by {batch}", case.folder);
            compared += expected.len();
        }
    }
    assert!(compared > 1_000, "only {compared} rows were compared");
}

#[test]
fn a_keyed_state_gives_what_flink_gives_record_by_record() {
    const COLUMNS: &[&str] = &["key", "event_ts_ms", "sum_bits", "watermark", "after_record"];
    let mut compared = 0;
    for case in cases() {
        let expected = case.expected("running_sum", COLUMNS);
        for (batch, chaining) in SHAPES {
            let harness = Harness::with(
                move |env| {
                    env.chaining(chaining);
                },
                move |given: Stream<Given>| {
                    let keyed = given.key_by(|given| given.key.clone());
                    keyed.scan("running_sum", 0.0, |sum: &mut f64, given| {
                        *sum += given.value;
                        (given, *sum)
                    })
                },
            );
            let mut watermark = EventTime::MIN;
            let mut rows = Vec::new();
            for element in play(&case, batch, harness).take() {
                match element {
                    Element::Watermark(passed) => watermark = passed,
                    Element::Record(time, (given, sum)) => {
                        let Given { key, record, .. } = given;
                        rows.push(format!("{key},{time},{},{watermark},{record}", bits(sum)));
                    }
                    Element::Signal(_) => {}
                }
            }
            assert_eq!(rows, expected, "{:?} by {batch}", case.folder);
            compared += expected.len();
        }
    }
    assert!(compared > 1_000, "only {compared} rows were compared");
}
