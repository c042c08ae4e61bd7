//! The promise of metrics: what is shown of a job is what happened in it, and where.
//! Never looks at a clock that a machine has: every world here is played on one seed.
//! The servers are `slackwater-rest`; what is counted is in `slackwater_dataflow::metric`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use slackwater::prelude::*;
use slackwater_core::id::JobId;
use slackwater_core::program::Program;
use slackwater_rest::{PORT, Rest, RestConfig};
use slackwater_runtime::client::Client;
use slackwater_runtime::host::Host;
use slackwater_runtime::wire::handshake::Handshake;
use slackwater_sim::world::cluster::Cluster;
use slackwater_sim::world::{Action, Main, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn config() -> RestConfig {
    RestConfig {
        port: PORT,
        job_manager: "jm:6123".into(),
        handshake: Handshake::default(),
        exposed: false,
        token: None,
        settings: Vec::new(),
    }
}

/// A client of the cluster, and what it has noted.
#[derive(Clone)]
struct Visitor {
    host: Arc<dyn Host>,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Visitor {
    async fn get(&self, path: &str) -> Value {
        let text = self.text(path).await;
        serde_json::from_str(&text).unwrap_or_else(|_| json!(text))
    }

    async fn text(&self, path: &str) -> String {
        let address = format!("rest:{PORT}");
        let mut conn = self.host.connect(&address, secs(5)).await.expect("it listens");
        let head = format!("GET {path} HTTP/1.1\r\nhost: rest\r\nconnection: close\r\n\r\n");
        conn.write_all(head.as_bytes()).await.expect("it reads");
        let mut said = String::new();
        conn.read_to_string(&mut said).await.expect("text");
        said.split_once("\r\n\r\n").expect("an answer").1.to_owned()
    }

    /// Submits a program; gives the path of its job.
    async fn submit(&self, program: Program) -> String {
        let id = JobId(self.host.random("job-id").next_u128());
        let connected = Client::connect(&*self.host, "jm:6123", Handshake::default()).await;
        let mut client = connected.expect("it leads");
        client.submit(&*self.host, id, program).await.expect("it is taken");
        format!("/jobs/{id}")
    }

    async fn sleep(&self, span: Duration) {
        self.host.sleep(span).await;
    }

    fn note(&self, what: Value) {
        self.seen.lock().expect("nobody panicked").push(what);
    }
}

/// What a visitor notes in a cluster with this catalogue.
fn noted(
    catalog: Catalog,
    visit: impl AsyncFn(Visitor) + Send + Sync + Copy + 'static,
) -> Vec<Value> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let main: Main = Arc::new(move |host| {
        let visitor = Visitor { host, seen: Arc::clone(&notes) };
        Box::pin(async move { visit(visitor).await })
    });
    let serve: Main = Arc::new(move |host| {
        Box::pin(async move {
            let rest = Rest::bind(host, config()).await.expect("a port that nobody has");
            rest.serve().await.expect("the node lives");
        })
    });
    let run = Cluster::new(Arc::new(catalog))
        .task_managers(1, 2)
        .on(World::new(7).limit(secs(120)))
        .node("rest", serve)
        .at(secs(3), Action::Run { node: "client".into(), main })
        .run();
    let panicked = run.journal.entries().iter().find(|entry| entry.fact.probe() == "panic");
    assert!(panicked.is_none(), "{}", run.journal.line(panicked.expect("one")));
    drop(run);
    let mut seen = seen.lock().expect("nobody panicked");
    std::mem::take(&mut *seen)
}

/// The operator of this name.
fn operator<'a>(operators: &'a Value, name: &str) -> &'a Value {
    let all = operators.as_array().expect("a list");
    all.iter().find(|told| told["name"] == name).unwrap_or_else(|| panic!("{name}: {operators}"))
}

#[test]
fn the_operators_of_the_demo_have_its_names_and_what_each_was_given_and_gave_on() {
    let seen = noted(slackwater_jobs::catalog(), async |visitor| {
        let job = visitor.submit(Program::named("oscon").set("until", "20s")).await;
        visitor.sleep(secs(12)).await;
        visitor.note(visitor.get(&format!("{job}/operators")).await);
        visitor.sleep(secs(20)).await;
        visitor.note(visitor.get(&format!("{job}/operators")).await);
    });
    let [running, ended] = &seen[..] else { panic!("{seen:?}") };
    let names: Vec<&str> = running
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|told| told["name"].as_str())
        .collect();
    let expected = [
        "test data",
        "sawTooth",
        "assignKey(temp)",
        "sineWave",
        "assignKey(pressure)",
        "squareWave",
        "assignKey(door)",
        "sensors-sink",
        "sum(1 s)",
        "summed-sensors-sink",
        "late-sensors-sink",
    ];
    assert_eq!(names, expected);
    for name in ["sawTooth", "sineWave", "assignKey(door)"] {
        let told = operator(running, name);
        assert_eq!(told["records-in-per-second"], 10.0, "{told}");
        assert_eq!(told["records-in"], told["records-out"], "{told}");
        assert!(told["watermark"].is_i64() && told["idle"] == 1000, "{told}");
    }
    assert_eq!(operator(running, "sum(1 s)")["records-in-per-second"], 30.0);
    // Twenty seconds of ten ticks, three sensors, and a sum for each of them by the second.
    for (name, records_in, records_out) in [
        ("test data", 0, 200),
        ("sawTooth", 200, 200),
        ("sensors-sink", 600, 0),
        ("sum(1 s)", 600, 60),
        ("summed-sensors-sink", 60, 0),
        ("late-sensors-sink", 0, 0),
    ] {
        let told = operator(ended, name);
        let found = (told["records-in"].clone(), told["records-out"].clone());
        assert_eq!(found, (json!(records_in), json!(records_out)), "{told}");
        assert_eq!(told["records-in-per-second"], 0.0, "{told}");
    }
}
