//! The promise of the InfluxDB sink, held against a real InfluxDB 1.x: with processes of this machine,
//! a task manager killed in the middle, and every row read back over HTTP. The server is started here,
//! on a port and in a folder of its own; where none is installed (`apt-get install influxdb`), this says
//! so and passes. What lines and answers mean without a server is tested in `slackwater-connect`.

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

mod processes;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use processes::{Desk, Node, free_port, installed};

/// An InfluxDB of its own.
struct Influx {
    _server: Node,
    port: u16,
}

impl Influx {
    /// Starts one in the desk; `None`, with the reason, if there is none on this machine.
    fn start(desk: &Desk) -> Option<Self> {
        let Some(influxd) = installed("influxd") else {
            eprintln!("skipped: there is no influxd here; apt-get install influxdb");
            return None;
        };
        let (port, backup) = (free_port(), free_port());
        let dir = desk.at("influx").display().to_string();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{backup}\"\n\
             [meta]\ndir = \"{dir}/meta\"\n[data]\ndir = \"{dir}/data\"\nwal-dir = \"{dir}/wal\"\n\
             [monitor]\nstore-enabled = false\n[http]\nbind-address = \"127.0.0.1:{port}\"\n"
        );
        desk.write("influx.conf", &config);
        let server = Node::silent(desk.program(influxd, "-config influx.conf"));
        let influx = Self { _server: server, port };
        while influx.try_ask("GET", "/ping").is_none() {
            std::thread::yield_now();
        }
        Some(influx)
    }

    /// The status and the body of an answer; `None` if nobody listens yet.
    fn try_ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        // HTTP/1.0: the answer ends with the connection, and comes in one piece.
        let head = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        let _ = stream.shutdown(Shutdown::Both);
        let status = answer.split(' ').nth(1)?.parse().expect("a status");
        Some((status, answer.split_once("\r\n\r\n").expect("a head").1.to_owned()))
    }

    /// The rows of a query of `sineWave`: times in ms, and values.
    fn rows(&self, query: &str) -> Vec<(i64, f64)> {
        let form =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let path = format!("/query?db=sineWave&epoch=ms&q={}", form(query));
        let (status, body) = self.try_ask("GET", &path).expect("it listens");
        assert_eq!(status, 200, "{query}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let values = &body["results"][0]["series"][0]["values"];
        let rows = values.as_array().cloned().unwrap_or_default();
        let row = |row: serde_json::Value| (row[0].as_i64().expect("ms"), row[1].as_f64());
        rows.into_iter().map(row).map(|(time, value)| (time, value.expect("a number"))).collect()
    }

    fn of_pressure(&self, series: &str) -> Vec<(i64, f64)> {
        self.rows(&format!(r#"SELECT "value" FROM "{series}" WHERE "key" = 'pressure'"#))
    }

    /// Waits until so many readings of the pressure are there.
    fn holds(&self, readings: usize) {
        while self.of_pressure("sensors").len() < readings {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_killed_task_manager_leaves_no_gap_in_a_real_influxdb() {
    let desk = Desk::new();
    let Some(influx) = Influx::start(&desk) else { return };
    let (_job_manager, at) = desk.job_manager("--store cluster");
    let (task_manager, _) = desk.node(&format!("taskmanager {at}"), "joins");
    let db = format!("http://127.0.0.1:{}/sineWave", influx.port);
    desk.good(&format!("run -d oscon {at} --set checkpoint=500ms --set db={db}"));
    influx.holds(20);
    task_manager.kill();
    let (_task_manager, _) = desk.node(&format!("taskmanager --name tm-2 {at}"), "joins");
    influx.holds(60);
    let listed = desk.until(&format!("list --json {at}"), "RUNNING");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let job = listed[0]["id"].as_str().expect("an id");
    desk.good(&format!("cancel {job} {at}"));

    let readings = influx.of_pressure("sensors");
    let start = readings[0].0;
    for (step, (time, value)) in readings.iter().enumerate() {
        assert_eq!(*time, start + step as i64 * 100, "a reading is missing before {time}");
        let phase = (step % 10) as f64 / 10.0;
        assert_eq!(*value, (phase * std::f64::consts::TAU).sin(), "at {time}");
    }
    let sums = influx.of_pressure("summedSensors");
    assert!(sums.len() >= 5, "{sums:?}");
    for (second, (time, sum)) in sums.iter().enumerate() {
        assert_eq!(*time, start + second as i64 * 1_000, "a second is missing before {time}");
        assert!(sum.abs() < 1e-9, "{sum} at {time}");
    }
}
