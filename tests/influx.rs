//! The promise of the InfluxDB sink and of the dashboards over it, held against a real InfluxDB 1.x and
//! against the one that is served here: with processes of this machine, a task manager killed in the
//! middle, and every row read back over HTTP. Where no real one is installed
//! (`apt-get install influxdb`), that half says so and passes. Shapes of answers: `connect::influxd`.

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

mod processes;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use processes::{Desk, Node, free_port, installed};
use serde_json::Value as Json;

/// A database of its own.
struct Influx {
    server: Node,
    port: u16,
}

/// Which one.
#[derive(Copy, Clone, Debug)]
enum Which {
    Real,
    Served,
}

impl Influx {
    /// Starts one in the desk; `None`, with the reason, if there is none on this machine.
    fn start(desk: &Desk, which: Which) -> Option<Self> {
        match which {
            Which::Real => Self::real(desk),
            Which::Served => Some(Self::served(desk, 0)),
        }
    }

    fn served(desk: &Desk, port: u16) -> Self {
        let (server, said) = desk.node(&format!("series serve --port {port}"), "served at");
        let port = said.trim().rsplit(':').next().expect("a port").parse().expect("a number");
        Self { server, port }
    }

    fn real(desk: &Desk) -> Option<Self> {
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
        let influx = Self { server, port };
        while influx.try_ask("GET", "/ping", "").is_none() {
            std::thread::yield_now();
        }
        Some(influx)
    }

    /// The status and the body of an answer; `None` if nobody listens yet.
    fn try_ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        // HTTP/1.0: the answer ends with the connection, and comes in one piece.
        let kind = match path.starts_with("/query") && !body.is_empty() {
            true => "content-type: application/x-www-form-urlencoded\r\n",
            false => "",
        };
        let long = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nhost: localhost:{}\r\n{kind}content-length: {long}\r\n\r\n",
            self.port
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.write_all(body.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        let _ = stream.shutdown(Shutdown::Both);
        let status = answer.split(' ').nth(1)?.parse().expect("a status");
        Some((status, answer.split_once("\r\n\r\n").expect("a head").1.to_owned()))
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.try_ask(method, path, body).expect("it listens")
    }

    /// What a query of a database is answered with.
    fn query(&self, database: &str, query: &str) -> Json {
        let path = format!("/query?db={database}&epoch=ms&q={}", form(query));
        let (status, body) = self.ask("GET", &path, "");
        assert_eq!(status, 200, "{query}: {body}");
        let body: Json = serde_json::from_str(&body).expect("JSON");
        body["results"][0].clone()
    }

    /// The rows of a query of `sineWave`: times in ms, and values.
    fn rows(&self, query: &str) -> Vec<(i64, f64)> {
        rows(&self.query("sineWave", query)["series"][0]["values"])
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

fn form(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Rows of a time in ms and a number; others are left out.
fn rows(values: &Json) -> Vec<(i64, f64)> {
    let row = |row: &Json| Some((row[0].as_i64()?, row[1].as_f64()?));
    values.as_array().into_iter().flatten().filter_map(row).collect()
}

/// A job writes into the database while its task manager is killed: nothing is missing.
fn no_gap(which: Which) {
    let desk = Desk::new();
    let Some(influx) = Influx::start(&desk, which) else { return };
    let (_job_manager, at) = desk.job_manager("--store cluster");
    let (task_manager, _) = desk.node(&format!("taskmanager {at}"), "joins");
    let db = format!("http://127.0.0.1:{}/sineWave", influx.port);
    desk.good(&format!("run -d oscon {at} --set checkpoint=500ms --set db={db}"));
    influx.holds(20);
    task_manager.kill();
    let (_task_manager, _) = desk.node(&format!("taskmanager --name tm-2 {at}"), "joins");
    influx.holds(40);
    // A database that is killed has everything that it has confirmed.
    let influx = match which {
        Which::Real => influx,
        Which::Served => {
            let port = influx.port;
            influx.server.kill();
            Influx::served(&desk, port)
        }
    };
    influx.holds(60);
    let listed = desk.until(&format!("list --json {at}"), "RUNNING");
    let listed: Json = serde_json::from_str(&listed).expect("JSON");
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

#[test]
fn a_killed_task_manager_leaves_no_gap_in_a_real_influxdb() {
    no_gap(Which::Real);
}

#[test]
fn nor_in_the_one_that_is_served_also_if_that_is_killed_too() {
    no_gap(Which::Served);
}

/// Every request of a table that was recorded from InfluxDB 1.6.7 is answered so.
fn recorded(which: Which) {
    let desk = Desk::new();
    let Some(influx) = Influx::start(&desk, which) else { return };
    let table = fs::read_to_string("engine/connect/src/influxd/recorded.jsonl").expect("a table");
    for line in table.lines() {
        let (method, path, body, status, expected): (String, String, String, u16, String) =
            serde_json::from_str(line).expect("a request and its answer");
        let (found, answer) = influx.ask(&method, &path, &body);
        let parse = |text: &str| serde_json::from_str::<Json>(text);
        // Numbers are looked at in `connect::influxd`: a server may add them in any order.
        let shape = |text: &str| parse(text).map_or(text.to_owned(), |json| shape(&json));
        assert_eq!((found, shape(&answer)), (status, shape(&expected)), "{method} {path} {body}");
    }
}

/// An answer without the values of its numbers.
fn shape(json: &Json) -> String {
    match json {
        Json::Number(_) => "0".into(),
        Json::Array(all) => format!("{:?}", all.iter().map(shape).collect::<Vec<_>>()),
        Json::Object(all) => {
            let all = all.iter().map(|(name, value)| format!("{name}: {}", shape(value)));
            format!("{:?}", all.collect::<Vec<_>>())
        }
        other => other.to_string(),
    }
}

#[test]
fn the_recorded_answers_are_those_of_a_real_influxdb() {
    recorded(Which::Real);
}

#[test]
fn and_those_of_the_one_that_is_served() {
    recorded(Which::Served);
}

/// The queries of the dashboard for Grafana find what was written.
fn dashboard(which: Which) {
    let desk = Desk::new();
    let Some(influx) = Influx::start(&desk, which) else { return };
    influx.ask("POST", "/query", "q=CREATE+DATABASE+sineWave");
    let line =
        |series: &str, key: &str, time: i64| format!("{series},key={key} value=0.5 {time}\n");
    let lines: String = ["sensors", "summedSensors"]
        .iter()
        .flat_map(|series| ["pressure", "temp"].map(|key| line(series, key, 1_500_000_000_000)))
        .collect();
    assert_eq!(influx.ask("POST", "/write?db=sineWave&precision=ms", &lines).0, 204);
    let file = fs::read_to_string("docs/grafana/sensor-data.json").expect("a dashboard");
    let dashboard: Json = serde_json::from_str(&file).expect("JSON");
    let variable = &dashboard["templating"]["list"][0];
    let keys = influx.query("sineWave", variable["query"].as_str().expect("a query"));
    let expected = serde_json::json!([["key", "pressure"], ["key", "temp"]]);
    assert_eq!(keys["series"][0]["values"], expected);
    let key = variable["current"]["value"].as_str().expect("a key");
    let panels = dashboard["panels"].as_array().expect("panels");
    let titles: Vec<_> = panels.iter().filter_map(|panel| panel["title"].as_str()).collect();
    assert_eq!(titles, ["sensors", "summedSensors"]);
    for panel in panels {
        let query = panel["targets"][0]["query"].as_str().expect("a query");
        // As Grafana fills it in.
        let span = "time >= 1499999999000ms and time <= 1500000001000ms";
        let query = query.replace("$timeFilter", span).replace("$key", key);
        let found = influx.query("sineWave", &query)["series"].clone();
        assert_eq!(found[0]["tags"]["key"], key, "{query}");
        assert_eq!(rows(&found[0]["values"]), [(1_500_000_000_000, 0.5)], "{query}");
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{query}");
    }
}

#[test]
fn the_dashboard_for_grafana_finds_its_rows_in_a_real_influxdb() {
    dashboard(Which::Real);
}

#[test]
fn and_in_the_one_that_is_served() {
    dashboard(Which::Served);
}
