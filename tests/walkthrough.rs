//! What a newcomer types, typed: the binary runs the demo and the flights, and its output is judged
//! from outside. Nothing is reached around: arguments in, files, text and exit codes out.
//! The walkthrough's acts under faults are scenarios; these are the ones on real sockets.

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

mod processes;

use std::f64::consts::TAU;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use processes::Desk;

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    path.display().to_string()
}

#[test]
fn the_flights_are_counted_exactly_and_the_late_ones_are_all_there() {
    flights_are_exact("");
}

#[test]
fn the_flights_are_the_same_when_they_are_written_in_transactions() {
    flights_are_exact("--set checkpoint=100ms");
}

fn flights_are_exact(more: &str) {
    let desk = Desk::new();
    let input = data("flights-2013-01.csv");
    let command = format!("run flights --local --input {input} --bound 60m --out out {more}");
    let said = desk.types(&command);
    assert_eq!(said.code, Some(0), "{said:?}");
    for count in ["26483 read", "1642 written to windows-csv", "1067 written to late-csv"] {
        assert!(said.out.contains(count), "{count}: {}", said.out);
    }
    for file in ["windows", "late"] {
        let expected = data(&format!("flights-2013-01.expected-{file}.csv"));
        let expected = std::fs::read_to_string(expected).expect("committed");
        let found = desk.read(&format!("out/{file}.csv"));
        let differs =
            found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert_eq!(differs, None, "{file}.csv");
        assert_eq!(found, expected, "{file}.csv");
    }
}

#[test]
fn points_in_transactions_are_seen_with_the_checkpoint_that_holds_them() {
    let desk = Desk::new();
    let settings = "--set checkpoint=500ms --set sink=two_phase --set latency=50ms";
    let said = desk.types(&format!("run oscon --local --data data --for 4s {settings}"));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains(" checkpoints, the last "), "{}", said.out);
    assert!(said.out.contains("ms at p99"), "{}", said.out);
    let sensors = desk.series("data", "sensors");
    let pressure: Vec<_> = sensors.keys().filter(|(key, _)| key == "pressure").collect();
    assert!(pressure.len() >= 10, "{} readings", pressure.len());
    let (_, start) = pressure[0];
    let grid: Vec<_> = (0..pressure.len() as i64).map(|step| start + step * 100).collect();
    assert_eq!(pressure.iter().map(|(_, time)| *time).collect::<Vec<_>>(), grid);
}

#[test]
fn the_demo_stores_its_sine_and_every_second_of_it_sums_to_zero() {
    let desk = Desk::new();
    let said = desk.types("run oscon --local --data data --for 4s");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("oscon CANCELED") && said.out.contains("0 late"), "{}", said.out);

    let sensors = desk.series("data", "sensors");
    let pressure: Vec<_> = sensors.iter().filter(|((key, _), _)| key == "pressure").collect();
    assert!(pressure.len() >= 30, "{} readings", pressure.len());
    let (_, start) = pressure[0].0;
    assert_eq!(start % 1_000, 0);
    for (step, ((_, time), value)) in pressure.iter().enumerate() {
        assert_eq!(*time, start + step as i64 * 100);
        let phase = (step % 10) as f64 / 10.0;
        assert_eq!(**value, (phase * TAU).sin());
        assert_eq!(sensors[&("temp".to_owned(), *time)], phase);
        assert_eq!(sensors[&("door".to_owned(), *time)], f64::from(u8::from(phase > 0.4)));
    }
    let sums = desk.series("data", "summedSensors");
    assert!(sums.len() >= 6, "{sums:?}");
    for ((key, time), sum) in sums {
        let expected = [("pressure", 0.0), ("temp", 4.5), ("door", 5.0)];
        let expected = expected.iter().find(|(of, _)| *of == key).expect("a sensor").1;
        assert!((sum - expected).abs() < 1e-9, "{key} at {time}: {sum}");
        assert_eq!(time % 1_000, 0, "stamped with the window's start");
    }
}

#[test]
fn ctrl_c_stops_the_demo_cleanly_and_says_where_its_data_is() {
    let desk = Desk::new();
    let mut command = desk.command("run oscon --local --data data");
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("sum of pressure") {
        line.clear();
        assert_ne!(out.read_line(&mut line).expect("text"), 0, "it ended by itself");
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{rest}");
    assert!(rest.contains("oscon CANCELED") && rest.contains("the series are in data"), "{rest}");
    assert!(!desk.series("data", "summedSensors").is_empty());
}

#[test]
fn under_processing_time_and_jitter_the_sums_are_not_zero() {
    let desk = Desk::new();
    let faster = "--set every=10ms --set jitter=100ms --set wave=100";
    let said = desk
        .types(&format!("run oscon --local --data data --for 4s --set time=processing {faster}"));
    assert_eq!(said.code, Some(0), "{said:?}");
    let sums = desk.series("data", "summedSensors");
    let pressure: Vec<f64> =
        sums.iter().filter(|((key, _), _)| key == "pressure").map(|(_, sum)| *sum).collect();
    assert!(pressure.iter().skip(1).any(|sum| sum.abs() > 1e-9), "{pressure:?}");
}

#[test]
fn two_jobs_share_a_cluster_and_a_log_between_them() {
    let desk = Desk::new();
    let disorder = "--set sensor-simulator.out_of_order=500ms";
    let said = desk
        .types(&format!("run sensor-simulator oscon-log --local --data data --for 4s {disorder}"));
    assert_eq!(said.code, Some(0), "{said:?}");
    for ended in ["sensor-simulator CANCELED", "oscon-log CANCELED"] {
        assert!(said.out.contains(ended), "{}", said.out);
    }
    let sums = desk.series("data", "summedSensors");
    let pressure: Vec<_> = sums.iter().filter(|((key, _), _)| key == "pressure").collect();
    assert!(!pressure.is_empty() && pressure.iter().all(|(_, sum)| sum.abs() < 1e-9), "{sums:?}");
}

#[test]
fn a_task_manager_of_another_version_is_told_so_and_ends_with_a_code_of_its_own() {
    let desk = Desk::new();
    let (job_manager, at) = desk.job_manager("");
    let said = desk.types(&format!("taskmanager {at} --protocol 99"));
    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.err.contains("run the same release on both"), "{}", said.err);
    assert_eq!(job_manager.interrupt().code(), Some(0));
}

#[test]
fn what_cannot_be_understood_is_answered_with_the_nearest_name() {
    let desk = Desk::new();
    let cases = [
        ("run osocn --local", r#"error: unknown job "osocn": did you mean "oscon"?"#),
        ("run oscon --local --set wvae=3", r#"parameter "wvae": unknown, did you mean "wave"?"#),
        ("run oscon --local --set wave=x", r#"parameter "wave": cannot read "x""#),
        ("run oscon --local --set time=evnet", r#"expected "event" or "processing""#),
        ("run oscon --local --set wave", "expected NAME=VALUE"),
        ("run oscon --local --for 5", r#"expected a span such as "100ms""#),
        ("run flights --local --out out", r#"parameter "input": the job needs it"#),
        ("run oscon --local --set led.wave=3", r#"no job "led" is run here"#),
        ("run --local", "<JOB>"),
        ("run oscon", "add --local"),
        ("rnu", "unrecognized subcommand"),
    ];
    for (line, words) in cases {
        let said = desk.types(line);
        assert_eq!(said.code, Some(2), "{line}: {said:?}");
        assert!(said.err.contains(words), "{line}: {}", said.err);
        assert_eq!(said.out, "", "{line}");
    }
}

#[test]
fn a_bad_record_fails_the_job_by_line_and_column_or_is_skipped_by_request() {
    let desk = Desk::new();
    desk.write("bad.csv", "key,event_ts_ms,value,flight\nEWR,1,2,a\nEWR,x,2,b\nJFK,3,4,c\n");
    let cause = r#"bad.csv, line 3, column 2 ("event_ts_ms"): expected a whole number"#;
    let run = "run flights --local --input bad.csv --out out";
    let failed = desk.types(run);
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(failed.err.contains(cause), "{}", failed.err);
    let skipped = desk.types(&format!("{run} --on-bad-record skip"));
    assert_eq!(skipped.code, Some(0), "{skipped:?}");
    assert!(skipped.out.contains("1 skipped") && skipped.out.contains(cause), "{}", skipped.out);
    assert_eq!(desk.read("out/windows.csv").lines().count(), 3);

    for (input, words) in [("none.csv", "cannot read none.csv"), (".", ". is not a file")] {
        let said = desk.types(&format!("run flights --local --input {input} --out out"));
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.err.contains(words), "{}", said.err);
    }
    desk.write("header.csv", "key,time,value,flight\nEWR,1,2,a\n");
    let said = desk.types("run flights --local --input header.csv --out out");
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains(r#"expected a column "event_ts_ms" in the header"#), "{}", said.err);
}

#[test]
fn a_port_in_use_and_a_folder_that_cannot_be_are_named() {
    let desk = Desk::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    desk.write("file", "not a folder");
    let cases = [
        (format!("run oscon --local --port {port}"), "choose another --port"),
        (format!("run oscon --local --db-port {port}"), "choose another --db-port"),
        ("run oscon --local --data file".into(), "cannot write to --data file"),
    ];
    for (line, words) in cases {
        let said = desk.types(&line);
        assert_eq!(said.code, Some(5), "{line}: {said:?}");
        assert!(said.err.contains(words), "{line}: {}", said.err);
    }
    let input = data("flights-2013-01.csv");
    let said = desk.types(&format!("run flights --local --input {input} --out file"));
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(said.err.contains("cannot write file/"), "{}", said.err);

    desk.write("series.redb", &"no store at all".repeat(400));
    let cases = [
        ("nowhere", "nowhere/series.redb: No such file"),
        (".", "./series.redb is not a series store"),
    ];
    for (folder, words) in cases {
        let said = desk.types(&format!("series export --data {folder}"));
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.err.contains(words), "{}", said.err);
    }
}
