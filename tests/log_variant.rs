//! The demo in two jobs with a log between them, on one simulated cluster (walkthrough W44, W45):
//! disorder within the watermark's bound changes no sum, disorder beyond it loses nothing in silence.
//! The same jobs under faults are scenarios; the log itself is tried in `slackwater-connect`.

use std::collections::BTreeMap;
use std::sync::Arc;

use slackwater::connect::log::MemoryLog;
use slackwater::connect::series::MemoryStore;
use slackwater::core::codec::decode_message;
use slackwater::prelude::*;
use slackwater_jobs::oscon::Reading;
use slackwater_sim::world::World;
use slackwater_sim::world::cluster::{Cluster, cancel, submit};

/// What both jobs left behind.
struct Left {
    /// Arrival order, over all partitions.
    readings: Vec<Reading>,
    store: MemoryStore,
}

/// Runs the pair for half a minute of event time, with this setting of the simulator, in one second
/// of `slowdown`.
fn pair(seed: u64, settings: &[(&str, &str)], slowdown: u64) -> Left {
    let reader = Program::named("oscon-log").set("partitions", 2).set("readers", 2);
    run(seed, settings, slowdown, reader)
}

fn run(seed: u64, settings: &[(&str, &str)], slowdown: u64, reader: Program) -> Left {
    let (log, store) = (MemoryLog::default(), MemoryStore::default());
    let simulator = Program::named("sensor-simulator").set("until", "30s").set("partitions", 2);
    let simulator = simulator.set("slowdown", slowdown);
    let simulator = settings.iter().fold(simulator, |job, (name, value)| job.set(*name, value));
    let mut cluster = Cluster::new(Arc::new(slackwater_jobs::catalog())).task_managers(2, 2);
    cluster.store = store.clone();
    cluster
        .log(log.clone())
        .on(World::new(seed))
        .at(ms(500), submit("simulator", simulator))
        .at(ms(700), submit("reader", reader))
        .at(secs(8 + 30 * slowdown), cancel("reader"))
        .until_jobs_are_final(2)
        .limit(secs(30 + 30 * slowdown))
        .run();
    let records = (0..2).flat_map(|partition| log.records("sensors", partition));
    let readings = records.map(|bytes| decode_message(&bytes).expect("a reading")).collect();
    Left { readings, store }
}

impl Left {
    fn series(&self, name: &str) -> BTreeMap<(String, EventTime), f64> {
        let rows = self.store.table().into_iter().filter(|point| point.series == name);
        rows.map(|point| {
            let Some(FieldValue::Float(value)) = point.field("value") else { panic!("{point}") };
            ((point.key.clone(), point.time), *value)
        })
        .collect()
    }

    /// How many readings of a partition came after one with a later time.
    fn overtaken(&self) -> usize {
        let mut greatest = BTreeMap::new();
        let came_late = |reading: &&Reading| {
            let greatest = greatest.entry(reading.key.clone()).or_insert(reading.at);
            let late = reading.at < *greatest;
            *greatest = reading.at.max(*greatest);
            late
        };
        self.readings.iter().filter(came_late).count()
    }

    /// How many sums are not what ten readings of a second sum to.
    fn wrong_sums(&self) -> usize {
        let sums = self.series("summedSensors");
        assert!(sums.len() >= 3 * 27, "{} sums", sums.len());
        let expected = |key: &str| match key {
            "pressure" => 0.0,
            "temp" => 4.5,
            _ => 5.0,
        };
        sums.iter().filter(|((key, _), sum)| (*sum - expected(key)).abs() > 1e-9).count()
    }
}

#[test]
fn disorder_within_the_bound_changes_no_sum_at_any_speed() {
    for (seed, slowdown) in [(1, 1), (2, 1), (3, 2)] {
        let left = pair(seed, &[("out_of_order", "800ms")], slowdown);
        assert_eq!(left.readings.len(), 900, "seed {seed}");
        let overtaken = left.overtaken();
        assert!(overtaken * 10 > 900 * 3, "seed {seed}: {overtaken} of 900 were overtaken");
        assert_eq!(left.wrong_sums(), 0, "seed {seed}");
        assert_eq!(left.series("sensors").len(), 900, "seed {seed}");
        assert_eq!(left.series("lateSensors").len(), 0, "seed {seed}");
    }
}

#[test]
fn a_partition_that_never_speaks_holds_event_time_until_it_is_idle() {
    // The sensors are written to two partitions; the reader expects a third.
    let reader = Program::named("oscon-log").set("partitions", 3).set("readers", 3);
    let waits = run(5, &[], 1, reader.clone());
    assert_eq!((waits.series("sensors").len(), waits.series("summedSensors").len()), (900, 0));
    let goes_on = run(5, &[], 1, reader.set("idle_after", "2s"));
    assert_eq!(goes_on.wrong_sums(), 0);
}

#[test]
fn disorder_beyond_the_bound_is_late_counted_and_kept() {
    let left = pair(4, &[("out_of_order", "4s")], 1);
    let late = left.series("lateSensors");
    assert!(!late.is_empty() && left.wrong_sums() > 0);
    // Conservation: what is in no sum is in the late series, or in a window that is still open.
    let readings = left.series("sensors");
    assert_eq!(readings.len(), 900);
    for ((key, start), sum) in left.series("summedSensors") {
        let of_window = |((of, at), _): &(&(String, EventTime), &f64)| {
            *of == key && *at >= start && *at < start.plus(secs(1))
        };
        let all: f64 = readings.iter().filter(of_window).map(|(_, value)| value).sum();
        let lost: f64 = late.iter().filter(of_window).map(|(_, value)| value).sum();
        assert!((all - lost - sum).abs() < 1e-9, "{key} at {start}: {all} - {lost} != {sum}");
    }
}
