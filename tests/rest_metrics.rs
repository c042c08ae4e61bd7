//! The promise of metrics: what is shown of a job is what happened in it, and where.
//! Never looks at a clock that a machine has: every world here is played on one seed.
//! The servers are `slackwater-rest`; what is counted is in `slackwater_dataflow::metric`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use slackwater::dataflow::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Sink, SinkContract, SinkWriter,
};
use slackwater::prelude::*;
use slackwater_core::element::Batch;
use slackwater_core::fact::Fact;
use slackwater_core::id::JobId;
use slackwater_core::program::Program;
use slackwater_rest::{PORT, Rest, RestConfig};
use slackwater_runtime::client::Client;
use slackwater_runtime::host::{Host, of};
use slackwater_runtime::wire::handshake::Handshake;
use slackwater_sim::fault::Fault;
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
        let id = JobId(self.host.random(&format!("job-id/{program:?}")).next_u128());
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
    noted_and_written(catalog, visit).0
}

/// The same, and how many points of each series the database has in its ledger.
fn noted_and_written(
    catalog: Catalog,
    visit: impl AsyncFn(Visitor) + Send + Sync + Copy + 'static,
) -> (Vec<Value>, BTreeMap<String, u64>) {
    noted_in(|world| world, catalog, visit)
}

/// The same in a world that something befalls.
fn noted_in(
    befall: impl FnOnce(World) -> World,
    catalog: Catalog,
    visit: impl AsyncFn(Visitor) + Send + Sync + Copy + 'static,
) -> (Vec<Value>, BTreeMap<String, u64>) {
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
    let world = Cluster::new(Arc::new(catalog))
        .task_managers(1, 2)
        .on(World::new(7).limit(secs(120)))
        .node("rest", serve)
        .at(secs(3), Action::Run { node: "client".into(), main });
    let run = befall(world).run();
    let panicked = run.journal.entries().iter().find(|entry| entry.fact.probe() == "panic");
    assert!(panicked.is_none(), "{}", run.journal.line(panicked.expect("one")));
    let mut written = BTreeMap::<String, u64>::new();
    for entry in run.journal.entries() {
        if let Fact::PointWritten { point, .. } = &entry.fact {
            *written.entry(point.series.clone()).or_default() += 1;
        }
    }
    drop(run);
    let mut seen = seen.lock().expect("nobody panicked");
    (std::mem::take(&mut *seen), written)
}

/// The operator of this name.
fn operator<'a>(operators: &'a Value, name: &str) -> &'a Value {
    let all = operators.as_array().expect("a list");
    all.iter().find(|told| told["name"] == name).unwrap_or_else(|| panic!("{name}: {operators}"))
}

/// The names of the demo, in the order of its graph.
const DEMO: [&str; 11] = [
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

#[test]
fn the_operators_of_the_demo_have_its_names_and_what_each_was_given_and_gave_on() {
    let (seen, written) = noted_and_written(slackwater_jobs::catalog(), async |visitor| {
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
    assert_eq!(names, DEMO);
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
    for (sink, series) in [("sensors-sink", "sensors"), ("summed-sensors-sink", "summedSensors")] {
        assert_eq!(
            operator(ended, sink)["records-in"],
            json!(written[series]),
            "the ledger has them"
        );
    }
    let declared = &operator(ended, "assignKey(door)")["declared"];
    let expected = json!({ "subtask": 0, "count": 200, "per-second": 0.0 });
    assert_eq!(
        (&declared[0]["name"], &declared[0]["subtasks"][0]),
        (&json!("datapoints"), &expected)
    );
    let throughput = &operator(running, "assignKey(temp)")["declared"][1];
    assert_eq!((&throughput["kind"], &throughput["per-second"]), (&json!("meter"), &json!(10.0)));
}

/// A metric's value.
fn value(metrics: &Value, name: &str) -> f64 {
    let all = metrics.as_array().expect("a list");
    let found = all.iter().find(|told| told["id"] == name);
    let found = found.unwrap_or_else(|| panic!("{name}: {metrics}"));
    found["value"].as_str().and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn a_vertex_has_flinks_metrics_and_they_agree_with_its_totals() {
    let seen = noted(slackwater_jobs::catalog(), async |visitor| {
        let program = Program::named("oscon").set("parallelism", "2").set("checkpoint", "1s");
        let job = visitor.submit(program).await;
        visitor.sleep(secs(15)).await;
        let detail = visitor.get(&job).await;
        let window = &detail["vertices"][2];
        let path = format!("{job}/vertices/{}", window["id"].as_str().expect("an id"));
        visitor.note(detail.clone());
        visitor.note(visitor.get(&format!("{path}/metrics?get=0.numRecordsIn,1.numRecordsIn,0.sum(1_s).numRecordsIn,0.currentInputWatermark,nonsense")).await);
        visitor.note(
            visitor.get(&format!("{path}/subtasks/metrics?get=numRecordsIn&agg=sum,max")).await,
        );
        visitor.note(
            visitor.get(&format!("{path}/subtasks/metrics?get=numRecordsIn&agg=middle")).await,
        );
        visitor.note(visitor.get(&format!("{path}/watermarks")).await);
        visitor.note(visitor.get(&format!("{path}/backpressure")).await);
        visitor.note(visitor.get("/jobs/metrics?get=numberOfCompletedCheckpoints&agg=sum").await);
        visitor.note(visitor.get("/taskmanagers/tm-1").await);
    });
    let [detail, two, sum, refused, watermarks, pressure, jobs, task_manager] = &seen[..] else {
        panic!("{seen:?}")
    };
    let of_window = &detail["vertices"][2]["metrics"];
    assert_eq!(two.as_array().map(Vec::len), Some(4), "what nobody knows is left out: {two}");
    let both = value(two, "0.numRecordsIn") + value(two, "1.numRecordsIn");
    assert_eq!(value(two, "0.numRecordsIn"), value(two, "0.sum(1_s).numRecordsIn"));
    assert_eq!(of_window["read-records"], json!(both as u64));
    assert_eq!(of_window["read-records-complete"], true);
    assert_eq!(detail["vertices"][0]["metrics"]["read-records"], 0, "a source reads from nobody");
    assert!(both > 300.0, "{both}");
    assert_eq!(sum[0]["sum"], json!(both));
    assert!(sum[0].get("min").is_none() && sum[0]["max"].is_f64(), "{sum}");
    let words = refused["errors"][0].as_str().expect("words");
    assert!(words.contains("(agg) from value \"middle\""), "{words}");
    assert_eq!(watermarks.as_array().map(Vec::len), Some(2), "{watermarks}");
    assert_eq!(pressure["backpressureLevel"], "ok", "{pressure}");
    assert!(pressure["subtasks"][1]["idleRatio"].as_f64() > Some(0.9), "{pressure}");
    assert!(jobs[0]["sum"].as_f64() > Some(10.0), "{jobs}");
    assert!(task_manager["timeSinceLastHeartbeat"].as_i64() > Some(0), "{task_manager}");
}

/// Takes half a second for whatever it is given at once.
struct Slow;

struct SlowWriter(Arc<dyn Host>);

impl Sink for Slow {
    type Item = u64;
    type Writer = SlowWriter;

    fn contract(&self) -> SinkContract {
        SinkContract::AtLeastOnce
    }

    fn open(&self, opening: Opening) -> Result<SlowWriter, ConnectorError> {
        Ok(SlowWriter(of(&opening.outside)))
    }
}

impl SinkWriter for SlowWriter {
    type Item = u64;

    fn write(&mut self, _: Batch<u64>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async {
            self.0.sleep(ms(500)).await;
            Ok(())
        })
    }

    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(async { Ok(flush.confirmed(0)) })
    }
}

fn numbers(rows: u64, every: Duration) -> generate::Generate<u64> {
    generate::source(1, rows, |_, at| (EventTime::from_millis(at as i64 * 100), at)).every(every)
}

/// A source and a slow sink, and beside them a source and a sink that has time.
fn slow_and_quick(env: &Env, _: &mut Settings) -> Result<(), PlanError> {
    env.chaining(false);
    for (name, every) in [("slow", ms(10)), ("quick", ms(1_000))] {
        let source = numbers(100_000, every);
        let read = env.source(&format!("{name}-source"), source, Watermarks::ascending());
        read.sink(&format!("{name}-sink"), Slow);
    }
    Ok(())
}

#[test]
fn a_slow_sink_is_busy_the_task_before_it_waits_for_it_and_no_other_does() {
    let catalog = Catalog::new().job("slow", "v1", slow_and_quick);
    let seen = noted(catalog, async |visitor| {
        let job = visitor.submit(Program::named("slow")).await;
        visitor.sleep(secs(40)).await;
        visitor.note(visitor.get(&format!("{job}/operators")).await);
        let detail = visitor.get(&job).await;
        for vertex in detail["vertices"].as_array().expect("a list") {
            let id = vertex["id"].as_str().expect("an id");
            let told = visitor.get(&format!("{job}/vertices/{id}/backpressure")).await;
            visitor.note(json!([vertex["name"], told["backpressureLevel"]]));
        }
    });
    let all = &seen[0];
    let share = |name: &str, of: &str| operator(all, name)[of].as_u64().expect("measured");
    assert!(share("slow-sink", "busy") > 950, "{all}");
    assert_eq!(share("slow-sink", "backpressured"), 0, "{all}");
    assert!(share("slow-source", "backpressured") > 900, "{all}");
    for name in ["quick-source", "quick-sink"] {
        assert_eq!(share(name, "backpressured"), 0, "{all}");
    }
    assert!(share("quick-sink", "idle") > 400, "it works half of the time: {all}");
    let expected = [
        json!(["slow-source", "high"]),
        json!(["quick-source", "ok"]),
        json!(["slow-sink", "ok"]),
        json!(["quick-sink", "ok"]),
    ];
    for line in &expected {
        assert!(seen.contains(line), "{line}: {seen:?}");
    }
}

/// Numbers of which every tenth comes five seconds late; the late ones are read once, and left once.
fn lateness(env: &Env, _: &mut Settings) -> Result<(), PlanError> {
    let late = |at: u64| if at % 10 == 9 { at * 100 - at.min(50) * 100 } else { at * 100 };
    let source =
        generate::source(1, 300, move |_, at| (EventTime::from_millis(late(at) as i64), at));
    let read = env.source("numbers", source.every(ms(50)), Watermarks::ascending());
    let keyed = read.key_by(|number| number % 2);
    for (name, is_read) in [("read", true), ("left", false)] {
        let out = keyed.window(tumbling(secs(1))).sum(name, |number| *number);
        let point = |pane: &Pane<u64, u64>| {
            Point::new(
                "sums",
                pane.key.to_string(),
                pane.window.start,
                [("v", (pane.value as i64).into())],
            )
        };
        out.results.sink(&format!("{name}-sums"), series::sink(point).tagged(name));
        if is_read {
            let point = |number: &u64| {
                let at = EventTime::from_millis(*number as i64);
                Point::new("late", "n", at, [("v", (*number as i64).into())])
            };
            out.late.sink("late-numbers", series::sink(point));
        } else {
            out.late.discard();
        }
    }
    Ok(())
}

#[test]
fn late_records_are_counted_where_they_are_late_and_the_late_stream_has_as_many() {
    let catalog = Catalog::new().job("lateness", "v1", lateness);
    let (seen, written) = noted_and_written(catalog, async |visitor| {
        let job = visitor.submit(Program::named("lateness")).await;
        visitor.sleep(secs(40)).await;
        visitor.note(visitor.get(&format!("{job}/operators")).await);
    });
    let all = &seen[0];
    let count = |name: &str, of: &str| operator(all, name)[of].as_u64().expect("counted");
    assert!(written["late"] > 20, "{written:?}");
    for (name, dropped) in [("read", 0), ("left", written["late"])] {
        assert_eq!(count(name, "late-records"), written["late"], "{all}");
        assert_eq!(count(name, "late-records-dropped"), dropped, "{all}");
    }
    assert_eq!(count("late-numbers", "records-in"), written["late"], "{all}");
    assert_eq!(operator(all, "read")["watermark"], json!(i64::MAX), "its input has ended");
}

#[test]
fn markers_measure_the_way_to_each_operator_and_enter_no_window() {
    let seen = noted(slackwater_jobs::catalog(), async |visitor| {
        for latency in [Some("1s"), None] {
            let program = Program::named("oscon").set("until", "20s");
            let program =
                latency.iter().fold(program, |program, every| program.set("latency", every));
            let job = visitor.submit(program).await;
            visitor.sleep(secs(15)).await;
            visitor.note(visitor.get(&format!("{job}/operators")).await);
            let window = format!("{job}/vertices/00000003000000000000000000000000");
            visitor.note(visitor.get(&format!("{window}/subtasks/0/metrics")).await);
            visitor.note(json!(visitor.text("/metrics").await));
            visitor.sleep(secs(15)).await;
            visitor.note(visitor.get(&format!("{job}/operators")).await);
        }
    });
    let [with, names, page, ended, without, none, bare, as_ended] = &seen[..] else {
        panic!("{seen:?}")
    };
    for name in ["sawTooth", "sum(1 s)", "sensors-sink", "summed-sensors-sink"] {
        let told = &operator(with, name)["latencies"][0];
        assert!(told["count"].as_u64() > Some(10), "{name}: {told}");
        assert!(told["p99"].as_f64() < Some(1_000.0), "{name}: {told}");
        assert_eq!(operator(without, name)["latencies"], json!([]), "off by default");
        // What is counted and what is in the windows is the same with markers and without.
        let counts = |all: &Value| operator(all, name)["records-in"].clone();
        assert_eq!(counts(ended), counts(as_ended), "{name}");
    }
    let is_named =
        |names: &Value| names.to_string().contains("operator_subtask_index.0.latency_p99");
    assert!(is_named(names) && !is_named(none), "{names}");
    let bucket = "slackwater_operator_latency_seconds_bucket{";
    let is_there = |page: &Value| page.as_str().expect("text").contains(bucket);
    assert!(is_there(page) && !is_there(bare), "{page}");
}

#[test]
fn what_is_counted_begins_at_zero_in_every_attempt() {
    let befall = |world: World| {
        let world = world.at(secs(20), Fault::Kill { node: "tm-1".into() });
        world.at(secs(25), Fault::Start { node: "tm-1".into() })
    };
    let (seen, _) = noted_in(befall, slackwater_jobs::catalog(), async |visitor| {
        let job = visitor.submit(Program::named("oscon").set("checkpoint", "1s")).await;
        for wait in [14, 6, 14] {
            visitor.sleep(secs(wait)).await;
            let told = visitor.get(&format!("{job}/operators")).await;
            visitor.note(operator(&told, "assignKey(door)")["declared"][0]["count"].clone());
            visitor.note(operator(&told, "sawTooth")["records-in"].clone());
            visitor.note(operator(&told, "sawTooth")["records-in-per-second"].clone());
            visitor.note(visitor.get(&format!("{job}/metrics?get=numRestarts")).await);
        }
    });
    let [before, records_before, rate, none, .., while_down, _, after, records_after, again, one] =
        &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((before, after), (records_before, records_after), "{seen:?}");
    assert_eq!([rate, while_down, again], [10.0, 0.0, 10.0], "nothing moves while it is down");
    assert_eq!((value(none, "numRestarts"), value(one, "numRestarts")), (0.0, 1.0));
    // Down for five seconds and more: what came after the last checkpoint is read again, in a burst.
    let (before, after) = (before.as_u64().expect("counted"), after.as_u64().expect("counted"));
    assert!((100..=200).contains(&before), "{before}");
    assert!(
        after > 100 && after < before + 100,
        "it began with nothing, not with {before}: {after}"
    );
}
