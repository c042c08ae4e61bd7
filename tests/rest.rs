//! The promise of REST: what Flink's command line asks is answered as Flink answers it.
//! Never compares what can only be true of one of the two: ids, times and sizes are compared by kind.
//! The recordings are explained in `tests/data/flink-rest`; the server is `slackwater-rest`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use slackwater::prelude::*;
use slackwater_core::id::JobId;
use slackwater_core::program::Program;
use slackwater_rest::{PORT, Rest, RestConfig};
use slackwater_runtime::client::Client;
use slackwater_runtime::host::Host;
use slackwater_runtime::wire::handshake::Handshake;
use slackwater_sim::fault::Fault;
use slackwater_sim::world::cluster::Cluster;
use slackwater_sim::world::{Action, Main, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A call as it was recorded.
#[derive(Clone, Deserialize)]
struct Call {
    #[serde(default)]
    verb: String,
    method: String,
    path: String,
    body: String,
    status: u16,
    answer: Value,
}

fn recorded(text: &str) -> Vec<Call> {
    serde_json::from_str(text).expect("the recording is JSON")
}

/// What was seen by a client inside a world.
type Seen<T> = Arc<Mutex<Vec<T>>>;

fn config() -> RestConfig {
    RestConfig {
        port: PORT,
        job_manager: "jm:6123".into(),
        handshake: Handshake::default(),
        exposed: false,
        token: None,
        settings: vec![("rest.port".into(), PORT.to_string())],
    }
}

/// A cluster with REST on a node of its own, and `client` run on another from the third second on.
fn world(config: RestConfig, client: Main) -> World {
    let serve: Main = Arc::new(move |host| {
        let config = config.clone();
        Box::pin(async move {
            let rest = Rest::bind(host, config).await.expect("a port that nobody has");
            rest.serve().await.expect("the node lives");
        })
    });
    Cluster::new(Arc::new(slackwater_jobs::catalog()))
        .task_managers(1, 2)
        .on(World::new(7).limit(secs(120)))
        .node("rest", serve)
        .at(secs(3), Action::Run { node: "client".into(), main: client })
}

/// Sends bytes and reads until the peer closes; what it said.
async fn raw(host: &dyn Host, bytes: &[u8]) -> String {
    let mut conn = host.connect(&format!("rest:{PORT}"), secs(5)).await.expect("it listens");
    conn.write_all(bytes).await.expect("it reads");
    let mut said = Vec::new();
    // A server that closes early may reset what is on its way: what it said before counts.
    let _ = conn.read_to_end(&mut said).await;
    String::from_utf8(said).expect("text")
}

/// Asks as Flink's command line does: one connection for each call.
async fn ask(
    host: &dyn Host,
    method: &str,
    path: &str,
    (headers, body): (&str, &str),
) -> (u16, Value) {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: rest\r\nconnection: close\r\n{headers}content-length: \
         {length}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{body}"
    );
    let said = raw(host, head.as_bytes()).await;
    let (head, body) = said.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
}

/// What an object is keyed by, if its keys are ids: then only its values matter.
fn is_by_id(map: &serde_json::Map<String, Value>) -> bool {
    let is_id = |key: &String| key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit());
    !map.is_empty() && map.keys().all(is_id)
}

/// Where our answer is of another kind than Flink's.
fn differences(path: &str, flink: &Value, ours: &Value, found: &mut Vec<String>) {
    // What is in them depends on the job, not on who runs it.
    const FREE: [&str; 3] = ["aggregated", "status-duration", "user-config"];
    match (flink, ours) {
        // What is null in one job may be there in another.
        (Value::Null, _) | (Value::Bool(_), Value::Bool(_)) => {}
        (Value::Number(_), Value::Number(_)) | (Value::String(_), Value::String(_)) => {}
        // What is not a number is told in letters.
        (Value::Number(_), Value::String(text)) if text == "NaN" => {}
        (Value::String(text), Value::Number(_)) if text == "NaN" => {}
        (Value::Array(flink), Value::Array(ours)) => match (flink.first(), ours.first()) {
            (Some(flink), Some(ours)) => differences(&format!("{path}[0]"), flink, ours, found),
            _ if path.ends_with("garbageCollectors") => {}
            (Some(_), None) => found.push(format!("{path}: is empty")),
            (None, _) => {}
        },
        (Value::Object(flink), Value::Object(ours)) if is_by_id(flink) => {
            let values = (flink.values().next(), ours.values().next());
            match values {
                (Some(flink), Some(ours)) => differences(&format!("{path}.*"), flink, ours, found),
                _ => found.push(format!("{path}: is empty")),
            }
        }
        (Value::Object(flink), Value::Object(ours)) => {
            for (key, flink) in flink.iter().filter(|(key, _)| !FREE.contains(&key.as_str())) {
                match ours.get(key) {
                    Some(ours) => differences(&format!("{path}.{key}"), flink, ours, found),
                    None => found.push(format!("{path}.{key}: is missing")),
                }
            }
            let more = ours.keys().filter(|key| !flink.contains_key(*key));
            found.extend(more.map(|key| format!("{path}.{key}: Flink has no such name")));
        }
        _ => found.push(format!("{path}: {ours} is not of the kind of {flink}")),
    }
}

/// Asks what was recorded, with `names` of ours for what is named in it.
async fn replay(
    host: &dyn Host,
    call: &Call,
    names: &BTreeMap<String, String>,
) -> (Value, Vec<String>) {
    let named = |text: &str| {
        names.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    };
    let (path, body) = (named(&call.path), named(&call.body));
    let about = format!("{} {} {}", call.verb, call.method, call.path);
    let mut found = Vec::new();
    loop {
        let (status, answer) = ask(host, &call.method, &path, ("", &body)).await;
        let pending = |answer: &Value| answer["status"]["id"] == "IN_PROGRESS";
        if pending(&answer) && !pending(&call.answer) {
            host.sleep(Duration::from_millis(100)).await;
            continue;
        }
        if status != call.status {
            found.push(format!("{about}: status {status}, Flink's is {}: {answer}", call.status));
        }
        differences("", &call.answer, &answer, &mut found);
        if let Some(error) = call.answer["errors"][0].as_str() {
            let expected = named(error);
            if answer["errors"][0] != json!(expected) {
                found.push(format!("it says {}, Flink says {expected:?}", answer["errors"][0]));
            }
        }
        let found = found.iter().map(|difference| format!("{about}: {difference}")).collect();
        return (answer, found);
    }
}

/// Submits a job, and waits until every task of it runs.
async fn start(host: &Arc<dyn Host>, number: usize) -> String {
    let program = Program::named("oscon").set("checkpoint", "1s");
    let id = JobId(host.random(&format!("job-id/{number}")).next_u128());
    let mut client =
        Client::connect(&**host, "jm:6123", Handshake::default()).await.expect("it leads");
    let job = client.submit(&**host, id, program).await.expect("it is taken");
    loop {
        let (_, told) = ask(&**host, "GET", &format!("/jobs/{job}"), ("", "")).await;
        if told["status-counts"]["RUNNING"].as_u64() > Some(0) && told["state"] == "RUNNING" {
            return job.to_string();
        }
        host.sleep(Duration::from_millis(100)).await;
    }
}

/// Runs a client in a world; what it has noted.
fn noted<T: Send + 'static>(
    config: RestConfig,
    client: impl AsyncFn(Arc<dyn Host>, Seen<T>) + Send + Sync + Copy + 'static,
) -> Vec<T> {
    noted_in(|world| world, config, client)
}

/// The same in a world that something befalls.
fn noted_in<T: Send + 'static>(
    befall: impl FnOnce(World) -> World,
    config: RestConfig,
    client: impl AsyncFn(Arc<dyn Host>, Seen<T>) + Send + Sync + Copy + 'static,
) -> Vec<T> {
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    let main: Main = Arc::new(move |host| {
        let notes = Arc::clone(&notes);
        Box::pin(async move { client(host, notes).await })
    });
    let run = befall(world(config, main)).run();
    let panicked = run.journal.entries().iter().find(|entry| entry.fact.probe() == "panic");
    assert!(panicked.is_none(), "{}", run.journal.line(panicked.expect("one")));
    drop(run);
    let mut seen = seen.lock().expect("nobody panicked");
    std::mem::take(&mut *seen)
}

fn note<T>(seen: &Seen<T>, what: T) {
    seen.lock().expect("nobody panicked").push(what);
}

#[test]
fn what_flinks_command_line_asks_is_answered_as_it_expects() {
    let seen = noted(config(), async |host, seen| {
        let mut names =
            BTreeMap::from([("file:///var/flink".into(), "file:///slackwater/flink".into())]);
        let mut job = String::new();
        for call in recorded(include_str!("data/flink-rest/cli.json")) {
            // Flink has no place for a savepoint without a folder; ours has: the job manager.
            if call.verb == "04_savepoint_no_dir" {
                continue;
            }
            if ["03_list", "10_list_r", "13_savepoint_detached"].contains(&call.verb.as_str()) {
                job = start(&host, names.len()).await;
            }
            let of_job = call.path.strip_prefix("/v1/jobs/");
            let theirs = of_job.and_then(|path| path.split(['/', '?']).next());
            let theirs = theirs.filter(|id| id.len() == 32 && !id.starts_with("0000"));
            theirs.map(|theirs| names.insert(theirs.to_owned(), job.clone()));
            let (answer, found) = replay(&*host, &call, &names).await;
            if let (Some(theirs), Some(ours)) = (
                call.answer["operation"]["location"].as_str(),
                answer["operation"]["location"].as_str(),
            ) {
                names.insert(theirs.to_owned(), ours.to_owned());
            }
            if let (Some(theirs), Some(ours)) =
                (call.answer["request-id"].as_str(), answer["request-id"].as_str())
            {
                names.insert(theirs.to_owned(), ours.to_owned());
            }
            note(&seen, (call.verb, found));
        }
    });
    assert!(seen.len() > 15, "only {} calls were replayed", seen.len());
    let found: Vec<String> = seen.into_iter().flat_map(|(_, found)| found).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_monitoring_api_has_the_names_and_kinds_of_flinks() {
    let seen = noted(config(), async |host, seen| {
        let job = start(&host, 0).await;
        host.sleep(secs(3)).await;
        let (_, detail) = ask(&*host, "GET", &format!("/jobs/{job}"), ("", "")).await;
        let (_, told) = ask(&*host, "GET", &format!("/jobs/{job}/checkpoints"), ("", "")).await;
        let checkpoint = told["latest"]["completed"]["id"].to_string();
        let vertex = detail["vertices"][1]["id"].as_str().expect("a vertex").to_owned();
        let mut names = BTreeMap::from([
            ("fe6499c0629645f1b3614b3e329fa84e".into(), job),
            ("82c1de4be26a18492be8821779154e5f".into(), vertex),
            ("localhost:37451-fa718c".into(), "tm-1".into()),
            ("details/13".into(), format!("details/{checkpoint}")),
            ("file:///var/flink".into(), "file:///slackwater/flink".into()),
        ]);
        for call in recorded(include_str!("data/flink-rest/calls.json")) {
            let mut call = call;
            // The recording's own names for what was asked before.
            if call.path.ends_with("/savepoints/fb08bd6a565d91eba822c23636d8a246")
                && call.answer["operation"].is_null()
            {
                continue;
            }
            // Its applications are keyed by the states that their jobs happen to be in.
            if call.path == "/applications/overview" {
                continue;
            }
            // Its savepoint may be there before it is asked for.
            if call.answer["operation"].is_null() && call.answer["status"]["id"] == "IN_PROGRESS" {
                continue;
            }
            call.verb = "api".into();
            let (answer, found) = replay(&*host, &call, &names).await;
            if let (Some(theirs), Some(ours)) =
                (call.answer["request-id"].as_str(), answer["request-id"].as_str())
            {
                names.insert(theirs.to_owned(), ours.to_owned());
            }
            note(&seen, found);
        }
    });
    assert!(seen.len() > 40, "only {} calls were replayed", seen.len());
    let found: Vec<String> = seen.into_iter().flatten().collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_cannot_be_right_is_refused_and_nobody_is_starved() {
    let seen = noted(config(), async |host, seen| {
        let long = format!("GET /overview HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(40_000));
        let many = format!("GET /overview HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
        let body = format!("POST /jobs/{:032}/stop HTTP/1.1\r\ncontent-length: 9999999\r\n\r\n", 1);
        let body = format!("{body}{}", "x".repeat(2 << 20));
        let started = host.elapsed();
        // Half a request, and silence; many of them at once.
        let mut idle = Vec::new();
        for _ in 0..300 {
            let mut conn = host.connect(&format!("rest:{PORT}"), secs(5)).await.expect("listens");
            conn.write_all(b"GET /over").await.expect("it reads");
            idle.push(conn);
        }
        let (status, _) = ask(&*host, "GET", "/overview", ("", "")).await;
        note(&seen, format!("beside 300 half-open ones: {status}"));
        let mut last = idle.pop().expect("one");
        let mut said = Vec::new();
        let _ = last.read_to_end(&mut said).await;
        let waited = host.elapsed() - started < secs(30);
        note(&seen, format!("a slow one is closed: {waited}"));
        for bytes in [long, many, body, "nonsense\r\n\r\n".into()] {
            let said = raw(&*host, bytes.as_bytes()).await;
            note(&seen, said.lines().next().unwrap_or("closed").to_owned());
        }
    });
    let expected = [
        "beside 300 half-open ones: 200",
        "a slow one is closed: true",
        "HTTP/1.1 431 Request Header Fields Too Large",
        "HTTP/1.1 431 Request Header Fields Too Large",
        "HTTP/1.1 413 Payload Too Large",
        "HTTP/1.1 400 Bad Request",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn strangers_and_pages_of_another_origin_change_nothing() {
    let exposed = RestConfig { exposed: true, ..config() };
    let guarded = RestConfig { token: Some("secret".into()), ..config() };
    for (config, expected) in [
        (config(), [404, 404, 404, 403, 403]),
        (exposed, [403, 403, 403, 403, 403]),
        (guarded, [401, 404, 401, 403, 403]),
    ] {
        let seen = noted(config, async |host, seen| {
            let job = "/v1/jobs/00000000000000000000000000000001?mode=cancel";
            for headers in [
                "",
                "authorization: Bearer secret\r\n",
                "authorization: Bearer secrets\r\n",
                "origin: http://evil\r\n",
                "sec-fetch-site: cross-site\r\n",
            ] {
                note(&seen, ask(&*host, "PATCH", job, (headers, "{}")).await.0);
            }
            assert_eq!(ask(&*host, "GET", "/overview", ("", "")).await.0, 200, "may be read");
        });
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_job_that_starts_again_says_so_and_why() {
    let kill = |world: World| world.at(secs(20), Fault::Kill { node: "tm-1".into() });
    let seen = noted_in(kill, config(), async |host, seen| {
        let job = start(&host, 0).await;
        note(&seen, json!(job));
        loop {
            let (_, told) = ask(&*host, "GET", &format!("/jobs/{job}/exceptions"), ("", "")).await;
            if told["exceptionHistory"]["entries"][0].is_object() {
                let (_, jobs) = ask(&*host, "GET", "/jobs/overview", ("", "")).await;
                note(&seen, jobs["jobs"][0]["state"].clone());
                return note(&seen, told["exceptionHistory"]["entries"][0].clone());
            }
            host.sleep(secs(1)).await;
        }
    });
    let [_, state, failure] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(state, "RESTARTING");
    let cause = failure["stacktrace"].as_str().expect("words");
    assert!(cause.starts_with("task manager tm-1 was lost"), "{cause}");
    assert_eq!(failure["taskName"], Value::Null, "it is no task's fault");
}
