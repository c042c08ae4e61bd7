//! Whether a record is late does not depend on how records are batched (semantics rule 3): 26,483
//! real departures, out of order, in batches of every size give the same windows and late records.
//! The data and what is expected of it are described in `tests/data/README.md`.

use serde::{Deserialize, Serialize};
use slackwater_core::element::Batch;
use slackwater_core::time::{EventTime, mins};
use slackwater_dataflow::harness::{Element, Harness};
use slackwater_dataflow::stream::Stream;
use slackwater_dataflow::watermark::{Generators, Quantum, Watermarks};
use slackwater_dataflow::window::tumbling;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Departure {
    key: String,
    event_ts_ms: i64,
    value: i64,
    flight: String,
}

fn data(file: &str) -> csv::Reader<std::fs::File> {
    let path = format!("{}/tests/data/flights-2013-01.{file}", env!("CARGO_MANIFEST_DIR"));
    csv::Reader::from_path(path).expect("the data")
}

fn departures() -> Vec<Departure> {
    data("csv").deserialize().map(|line| line.expect("a departure")).collect()
}

fn lines(file: &str) -> Vec<String> {
    let line = |line: csv::StringRecord| line.iter().collect::<Vec<_>>().join(",");
    data(file).into_records().map(|record| line(record.expect("a line"))).collect()
}

/// Windows, late records, and how many watermarks it took.
struct Outcome {
    windows: Vec<String>,
    late: Vec<String>,
    marks: usize,
}

fn play(departures: &[Departure], rows: usize, quantum: Quantum) -> Outcome {
    let hour = tumbling(mins(60));
    let watermarks = Watermarks::bounded(mins(60));
    let mut generators = Generators::new(&watermarks, &[0], quantum);
    let mut h = Harness::new(move |departures: Stream<(u64, Departure)>| {
        let keyed = departures.key_by(|(_, departure)| departure.key.clone());
        keyed.window(hour).fold("hours", (0, 0), |(count, sum): &mut (i64, i64), (_, departure)| {
            *count += 1;
            *sum += departure.value;
        })
    });
    let mut marks = 0;
    for numbered in (1u64..).zip(departures).collect::<Vec<_>>().chunks(rows) {
        let mut batch = Batch::default();
        for (number, departure) in numbered {
            let time = EventTime::from_millis(departure.event_ts_ms);
            batch.push(time, (*number, (*departure).clone()));
        }
        generators.on_records(0, &mut batch);
        marks += batch.marks.len();
        h.batch(batch);
    }
    let panes = h.end().output();
    let mut panes: Vec<_> = panes.iter().map(|p| (p.window, p.key.clone(), p.value)).collect();
    panes.sort();
    let windows = panes.into_iter().map(|(window, key, (count, sum))| {
        format!("{key},{},{},{count},{sum}", window.start, window.end)
    });
    let late = h.take_late().into_iter().filter_map(|element| match element {
        Element::Record(time, (number, Departure { key, value, flight, .. })) => {
            Some(format!("{key},{time},{value},{flight},{number}"))
        }
        _ => None,
    });
    Outcome { windows: windows.collect(), late: late.collect(), marks }
}

#[test]
fn the_same_departures_are_late_in_batches_of_every_size() {
    let departures = departures();
    let (windows, late) = (lines("expected-windows.csv"), lines("expected-late.csv"));
    assert_eq!((departures.len(), windows.len(), late.len()), (26_483, 1_642, 1_067));
    for rows in [1, 7, 100, 1_024, departures.len()] {
        let outcome = play(&departures, rows, Quantum::of_millis(3_600_000));
        assert_eq!(outcome.windows, windows, "batches of {rows}");
        assert_eq!(outcome.late, late, "batches of {rows}");
        assert_eq!(outcome.marks, 589, "one for each hour with a departure: batches of {rows}");
    }
}

#[test]
fn a_watermark_that_crosses_no_hour_changes_nothing() {
    let departures = departures();
    let hourly = play(&departures, 1_024, Quantum::of_millis(3_600_000));
    let every = play(&departures, 1_024, Quantum::EVERY);
    assert!(every.marks > hourly.marks, "{} and {}", every.marks, hourly.marks);
    assert_eq!((every.windows, every.late), (hourly.windows, hourly.late));
}
