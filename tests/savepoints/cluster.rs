//! Walkthrough sections 6 and 7 with processes of this machine: a savepoint, the end of the job, and
//! the same job again from there, with another wave. Nothing is waited for by the clock: lines are
//! typed again until they are answered. What is asked of savepoints that are there is in [`super`].

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use super::Desk;
use super::processes::free_port;

impl Desk {
    /// What a savepoint says of itself.
    fn shown(&self, path: &str) -> serde_json::Value {
        let json = self.good(&format!("savepoint show --verify --json {path}"));
        serde_json::from_str(&json).expect("JSON")
    }

    /// How many ticks had been read when a savepoint was taken.
    fn ticks(&self, path: &str) -> usize {
        let shown = self.shown(path);
        let offset = shown["operators"][0]["splits"][0]["offset"].as_u64();
        offset.expect("the first operator is the source") as usize
    }

    /// The folder of a savepoint that a line takes: relative, for a desk may be called otherwise.
    fn taken(&self, line: &str) -> String {
        let said = self.until(line, "savepoint");
        let path = said.lines().last().expect("a path");
        path.rsplit_once("DESK/").expect("in the desk").1.to_owned()
    }

    /// The values of a sensor, by time.
    fn sensor(&self, series: &str, key: &str) -> BTreeMap<i64, f64> {
        let rows = self.series("db", series).into_iter();
        rows.filter(|((of, _), _)| of == key).map(|((_, time), value)| (time, value)).collect()
    }
}

#[test]
fn a_job_goes_on_from_an_older_savepoint_with_another_wave_and_no_gap() {
    let desk = Desk::new();
    let db = free_port();
    let (database, _) =
        desk.node(&format!("run oscon --local --data db --db-port {db}"), "oscon RUNNING");
    let (_job_manager, at) = desk.job_manager("--store cluster --savepoints sp");
    let (_task_manager, _) = desk.node(&format!("taskmanager {at}"), "joins");

    let job =
        format!("run -d oscon {at} --set checkpoint=500ms --set tag=-ab --set db=localhost:{db}");
    let old = desk.good(&format!("{job} --set wave=10"));
    let old = old.trim().rsplit(' ').next().expect("an id").to_owned();
    desk.until(&format!("list {at}"), "RUNNING");
    let first = desk.taken(&format!("savepoint {old} {at}"));
    desk.good(&format!("savepoint tag {first} before-100"));
    let last = desk.taken(&format!("stop {old} {at}"));
    let (cut, end) = (desk.ticks("sp/before-100"), desk.ticks(&last));
    assert_eq!(desk.shown(&last)["ending"], "stop");
    desk.until(&format!("list -a {at}"), "FINISHED");

    let plan = "plan oscon --set checkpoint=500ms --set wave=100 --against sp/before-100";
    assert!(desk.good(plan).ends_with("it fits: nothing is lost\n"));
    let new = desk.good(&format!("{job} --set wave=100 -s sp/before-100"));
    let new = new.trim().rsplit(' ').next().expect("an id").to_owned();
    assert_ne!(new, old);
    desk.until(&format!("list {at}"), "RUNNING");
    while desk.ticks(&desk.taken(&format!("savepoint {new} {at}"))) < end + 15 {}
    let end = desk.ticks(&desk.taken(&format!("stop {new} {at}")));
    desk.shown("sp/before-100");
    let listed = desk.good(&format!("list -a --json {at}"));
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    database.interrupt();

    let phases: Vec<(i64, f64)> = desk.sensor("sensors-ab", "temp").into_iter().collect();
    let start = phases.first().expect("a first tick").0;
    let phase = |tick: usize| match tick < cut {
        true => (tick % 10) as f64 / 10.0,
        false => ((cut % 10 + tick - cut) % 100) as f64 / 100.0,
    };
    let expected: Vec<_> = (0..end).map(|tick| (start + tick as i64 * 100, phase(tick))).collect();
    assert_eq!(phases, expected, "no gap, the old wave before tick {cut}, the new one from there");

    let sums = desk.sensor("summedSensors-ab", "pressure");
    assert!(sums.len() + 1 >= end / 10, "{} sums of {end} ticks", sums.len());
    for (second, sum) in sums {
        let ticks = phases.iter().filter(|(at, _)| (second..second + 1_000).contains(at));
        let expected: f64 = ticks.map(|(_, phase)| (phase * TAU).sin()).sum();
        assert!((sum - expected).abs() < 1e-9, "{second}: {sum}, and not {expected}");
    }
}

#[test]
fn a_local_run_takes_savepoints_and_goes_on_from_them() {
    let desk = Desk::new();
    let port = free_port();
    let run = "run oscon --local --data db --set checkpoint=manual";
    let (local, _) = desk.node(&format!("{run} --port {port}"), "oscon RUNNING");
    let at = format!("--job-manager localhost:{port}");
    let listed = desk.until(&format!("list --json {at}"), "RUNNING");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let job = listed[0]["id"].as_str().expect("an id").to_owned();
    let stopped = desk.taken(&format!("stop {job} {at}"));
    drop(local);
    assert!(stopped.starts_with("db/savepoints/savepoint-"), "{stopped}");
    let ticks = desk.ticks(&stopped);
    let said = desk.good(&format!("{run} --for 1s -s {stopped}"));
    assert!(said.contains("oscon CANCELED"), "{said}");
    let phases: Vec<_> = desk.sensor("sensors", "temp").into_iter().collect();
    assert!(phases.len() > ticks, "{} ticks behind {ticks}", phases.len());
    let start = phases.first().expect("a first tick").0;
    for (tick, (at, phase)) in phases.into_iter().enumerate() {
        assert_eq!((at, phase), (start + tick as i64 * 100, (tick % 10) as f64 / 10.0));
    }
    let none = desk.refused(&format!("{run} -s none"), 3);
    assert!(none.contains("DESK/none is no savepoint"), "{none}");
}
