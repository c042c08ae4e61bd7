//! The promise of `/metrics`, held against a real Prometheus: it scrapes a cluster of processes of this
//! machine and answers what is asked of it. It is started here, on a port and in a folder of its own;
//! where none is installed (`apt-get install prometheus`), this says so and passes. What is on the page is
//! tested in `tests/rest_metrics.rs`.

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

mod processes;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use processes::{Desk, Node, free_port, installed};
use serde_json::Value;

/// The body of an answer; `None` if nobody listens yet.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    // HTTP/1.0: the answer ends with the connection, and comes in one piece.
    let head = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// Asks until the answer is a good one.
fn until<T>(port: u16, path: &str, good: impl Fn(String) -> Option<T>) -> T {
    loop {
        if let Some(found) = get(port, path).and_then(&good) {
            return found;
        }
        std::thread::yield_now();
    }
}

/// A Prometheus that scrapes `rest` every second.
fn start(desk: &Desk, prometheus: std::path::PathBuf, rest: u16) -> (Node, u16) {
    desk.write(
        "prometheus.yml",
        &format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: slackwater\n    \
             static_configs:\n      - targets: [\"127.0.0.1:{rest}\"]\n"
        ),
    );
    let port = free_port();
    let line = format!(
        "--config.file=prometheus.yml --storage.tsdb.path=tsdb --web.listen-address=127.0.0.1:{port}"
    );
    (Node::silent(desk.program(prometheus, &line)), port)
}

/// What a query answers, once it has an answer: the labels and the value of each sample.
fn asked(port: u16, query: &str, wanted: usize) -> Vec<(Value, f64)> {
    let form = form_urlencoded::byte_serialize(query.as_bytes()).collect::<String>();
    until(port, &format!("/api/v1/query?query={form}"), |body| {
        let body: Value = serde_json::from_str(&body).ok()?;
        let samples = body["data"]["result"].as_array()?;
        let value = |sample: &Value| sample["value"][1].as_str()?.parse::<f64>().ok();
        let told: Vec<_> = samples
            .iter()
            .map(|own| Some((own["metric"].clone(), value(own)?)))
            .collect::<Option<_>>()?;
        (told.len() >= wanted && told.iter().all(|(_, value)| *value > 0.0)).then_some(told)
    })
}

#[test]
fn a_real_prometheus_scrapes_the_cluster_and_answers_with_rates() {
    let Some(prometheus) = installed("prometheus") else {
        eprintln!("skipped: there is no prometheus here; apt-get install prometheus");
        return;
    };
    let desk = Desk::new();
    let (db, rest) = (free_port(), free_port());
    let local = format!("run oscon --local --data db --db-port {db}");
    let (_database, _) = desk.node(&local, "oscon RUNNING");
    let (_job_manager, at) = desk.job_manager(&format!("--rest-port {rest}"));
    let (_task_manager, _) = desk.node(&format!("taskmanager {at}"), "joins");
    desk.good(&format!("run -d oscon {at} --set latency=200ms --set db=localhost:{db}"));
    let (_prometheus, port) = start(&desk, prometheus, rest);

    let rate = r#"rate(slackwater_operator_records_in_total{operator="sawTooth"}[10s])"#;
    let [(labels, by_second)] = &asked(port, rate, 1)[..] else { panic!("one subtask") };
    assert_eq!((&labels["job_name"], &labels["subtask"]), (&"oscon".into(), &"0".into()));
    assert!((1.0..100.0).contains(by_second), "ten ticks a second: {by_second}");
    // What its program counts, and how long records take, are there as well.
    let datapoints = asked(port, "slackwater_user_datapoints_total", 3);
    assert_eq!(datapoints.len(), 3, "one for each sensor: {datapoints:?}");
    let latency = "histogram_quantile(0.99, sum by (le) (\
                   slackwater_operator_latency_seconds_bucket{operator=\"sensors-sink\"}))";
    assert!(asked(port, latency, 1)[0].1 < 60.0);

    // What a person reads is what the linter likes.
    let page = get(rest, "/metrics").expect("it listens");
    if let Some(promtool) = installed("promtool") {
        let mut lint = desk.program(promtool, "check metrics");
        let mut lint = lint.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        lint.stdin.take().expect("piped").write_all(page.as_bytes()).expect("it reads");
        let said = lint.wait_with_output().expect("it ends");
        let words = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success(), "{words}\n{page}");
    }
}
