//! The served InfluxDB against what a real one answered: `recorded.jsonl`, taken from InfluxDB 1.6.7.
//! Numbers are compared with room for the order in which they were added; everything else to the byte.
//! The same requests go to a real server, where there is one, in the root's `tests/influx`.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response};
use serde_json::Value as Json;
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::RealHost;

use super::server::Served;
use super::store::Store;

fn served() -> Served {
    let host: Arc<dyn Host> = Arc::new(RealHost::named("db").expect("a host"));
    Served { host, store: Store::memory() }
}

fn ask(served: &Served, (method, path, body): (&str, &str, &str)) -> Response<Bytes> {
    ask_with(served, (method, path, body), &[])
}

fn ask_with(
    served: &Served,
    (method, path, body): (&str, &str, &str),
    headers: &[(&'static str, &'static str)],
) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    if path.starts_with("/query") && !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let head = request.body(()).expect("a request").into_parts().0;
    served.respond(&head, body.as_bytes())
}

fn text(said: &Response<Bytes>) -> &str {
    std::str::from_utf8(said.body()).expect("text")
}

/// Whether two answers are the same, but for the last digits of numbers.
fn alike(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => {
            let (one, other) = (one.as_f64().expect("64 bits"), other.as_f64().expect("64 bits"));
            (one - other).abs() <= 1e-12 * one.abs().max(other.abs())
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let same = |(name, one)| other.get(name).is_some_and(|other| alike(one, other));
            one.len() == other.len() && one.iter().all(same)
        }
        (one, other) => one == other,
    }
}

#[test]
fn what_a_real_influxdb_answered_is_answered_here_too() {
    let served = served();
    let mut differ = Vec::new();
    for line in include_str!("recorded.jsonl").lines() {
        let (method, path, body, status, expected): (String, String, String, u16, String) =
            serde_json::from_str(line).expect("a request and its answer");
        let said = ask(&served, (&method, &path, &body));
        let (found, parsed) = (text(&said), serde_json::from_str::<Json>);
        let same = match (parsed(&expected), parsed(found)) {
            (Ok(expected), Ok(found)) => alike(&expected, &found),
            _ => expected == found,
        };
        if (said.status().as_u16(), same) != (status, true) {
            differ.push(format!(
                "{method} {path} {body}\n  {status} {expected}  {} {found}",
                said.status()
            ));
        }
    }
    assert!(differ.is_empty(), "{}\n{} differ", differ.join("\n"), differ.len());
}

#[test]
fn a_page_of_another_origin_reads_nothing_and_changes_nothing() {
    let served = served();
    let check = |headers: &[(&'static str, &'static str)], status: u16, allowed: Option<&str>| {
        for path in ["/query?q=CREATE+DATABASE+a", "/query?q=DROP+DATABASE+a"] {
            let said = ask_with(&served, ("GET", path, ""), headers);
            assert_eq!(said.status().as_u16(), status, "{headers:?}");
            let told = said.headers().get("access-control-allow-origin");
            assert_eq!(told.map(|origin| origin.to_str().expect("text")), allowed, "{headers:?}");
        }
    };
    let here = ("host", "localhost:8086");
    check(&[here], 200, None);
    check(&[here, ("sec-fetch-site", "none")], 200, None);
    check(&[here, ("sec-fetch-site", "cross-site")], 403, None);
    check(&[here, ("origin", "http://evil")], 403, None);
    check(&[here, ("origin", "http://localhost.evil:8081")], 403, None);
    check(&[here, ("origin", "http://localhost:8086")], 200, Some("http://localhost:8086"));
    // Our own page may look, on another port, and change nothing.
    let page = ("origin", "http://localhost:8081");
    check(&[here, page], 403, Some("http://localhost:8081"));
    let looked = ask_with(&served, ("GET", "/query?q=SHOW+DATABASES", ""), &[here, page]);
    assert_eq!(looked.status().as_u16(), 200);
    let written = ask_with(&served, ("POST", "/write?db=a", "x v=1"), &[here, page]);
    assert_eq!(written.status().as_u16(), 403);
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    let served = served();
    let check = |query: &str, words: &str| {
        let form: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let said = ask(&served, ("POST", &format!("/query?db=d&q={form}"), ""));
        assert!(text(&said).contains(words), "{query}: {}", text(&said));
    };
    check("CREATE DATABASE d", r#"{"results":[{"statement_id":0}]}"#);
    check("DELETE FROM x", "DELETE is not served here");
    check("SHOW USERS", "USERS is not served here");
    check("DROP SERIES FROM x", "SERIES is not served here");
    check("SELECT a * 2 FROM x", "* in a SELECT is not served here");
    check("SELECT count(*) FROM x", "count(*) is not served here");
    check("SELECT percentile(a, 9) FROM x", "percentile(9) is not served here");
    check("SELECT derivative(a) FROM x", "derivative() is not served here");
    check("SELECT a FROM (SELECT a FROM x)", "a query in a query is not served here");
    check("SELECT a INTO y FROM x", "INTO is not served here");
    check("SELECT a FROM x, e..y", "a SELECT from two databases is not served here");
    check("SELECT a FROM x WHERE a = b", "a can be compared with a text or a number only");
    check(
        &format!("SELECT a FROM x WHERE {}", "(".repeat(99)),
        "more than 64 parentheses are open",
    );
    check("SELECT a FROM x WHERE t =~ /(/", "error parsing regexp");
    let packed = ask_with(&served, ("POST", "/write?db=d", "x"), &[("content-encoding", "gzip")]);
    assert_eq!(packed.status().as_u16(), 415);
}

#[test]
fn too_many_windows_are_refused_and_the_present_ends_the_last() {
    let served = served();
    let query = |text: &str| {
        let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let said = ask(&served, ("POST", &format!("/query?db=d&epoch=s&q={form}"), ""));
        serde_json::from_slice::<Json>(said.body()).expect("JSON")["results"][0].clone()
    };
    query("CREATE DATABASE d");
    ask(&served, ("POST", "/write?db=d&precision=s", "x v=1 0\nx v=2"));
    let many = query("SELECT mean(v) FROM x GROUP BY time(1s)");
    let words = many["error"].as_str().expect("words");
    assert!(words.starts_with("max-select-buckets limit exceeded: ("), "{words}");
    let recent = query("SELECT sum(v) FROM x WHERE time > now() - 1h GROUP BY time(1h) fill(none)");
    assert_eq!(recent["series"][0]["values"].as_array().map(Vec::len), Some(1), "{recent}");
    assert_eq!(recent["series"][0]["values"][0][1], 2);
}

#[test]
fn what_was_confirmed_is_there_after_the_file_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("influx.redb");
    let host = served().host;
    let open = || Served { host: host.clone(), store: Store::open(&file).expect("opens") };
    let first = open();
    ask(&first, ("POST", "/query?q=CREATE+DATABASE+d", ""));
    assert_eq!(
        ask(&first, ("POST", "/write?db=d", "x,k=a v=1i 5\nx v=2i 7")).status().as_u16(),
        204
    );
    let taken = Store::open(&file).expect_err("taken");
    assert!(taken.0.contains("another process"), "{taken}");
    drop(first);
    let said = ask(&open(), ("GET", "/query?db=d&epoch=ns&q=SELECT+*+FROM+x", ""));
    assert!(text(&said).contains(r#""values":[[5,"a",1],[7,null,2]]"#), "{}", text(&said));
}
