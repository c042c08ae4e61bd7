//! A served InfluxDB behind HTTP: `/ping`, `/write`, `/query`, their numbers, headers and bodies.
//! Never lets a page of another origin change anything, and tells of every row as a fact. What a peer
//! may take is bounded in [`slackwater_runtime::http`]; what is asked: [`super::query`].

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, USER_AGENT, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::point::{FieldValue, Point};
use slackwater_core::time::EventTime;
use slackwater_runtime::host::{Host, Listener, LocalFuture};
use slackwater_runtime::http::{self, Service};

use super::answer::Answer;
use super::line::{self, Clock};
use super::query::Question;
use super::select::Asked;
use super::store::{Store, Written};
use super::{Row, Value, time};
use crate::series::Stood;

/// A body is at most this long, in bytes, as with InfluxDB.
const BODY_MAX: usize = 25_000_000;
/// The InfluxDB whose shapes these are.
const VERSION: &str = "1.6.7";
const JSON: &str = "application/json";

/// An InfluxDB that has bound its port and serves once [`Influxd::run`] is polled.
pub struct Influxd {
    listener: Box<dyn Listener>,
    served: Served,
}

impl fmt::Debug for Influxd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Influxd(port {})", self.port())
    }
}

impl Influxd {
    /// Binds the port; 0 takes any.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn bind(host: Arc<dyn Host>, port: u16, store: Store) -> io::Result<Self> {
        let listener = host.listen(port).await?;
        Ok(Self { listener, served: Served { host, store } })
    }

    /// The port that it is bound to.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Serves until the future is dropped. A write returns when the disk has it: on a real host, this
    /// belongs on a thread of its own.
    ///
    /// # Errors
    /// If the listener fails for good.
    pub async fn run(self) -> io::Result<()> {
        http::serve(Arc::clone(&self.served.host), self.listener, Rc::new(self.served)).await
    }
}

/// Serves databases on a port until the future is dropped.
///
/// # Errors
/// If the port is taken, or the listener fails for good.
pub async fn serve(host: Arc<dyn Host>, port: u16, store: Store) -> io::Result<()> {
    Influxd::bind(host, port, store).await?.run().await
}

/// The databases behind their connections.
pub(super) struct Served {
    pub host: Arc<dyn Host>,
    pub store: Store,
}

impl Service for Served {
    fn body_max(&self, _: &Parts) -> usize {
        BODY_MAX
    }

    fn answer(self: Rc<Self>, head: Parts, body: Bytes) -> LocalFuture<Response<Bytes>> {
        let said = self.respond(&head, &body);
        Box::pin(std::future::ready(said))
    }

    fn too_long(&self, _: usize) -> Response<Bytes> {
        let mut said = refused(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        said.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        said
    }
}

impl Served {
    /// Answers a request.
    pub(super) fn respond(&self, head: &Parts, body: &[u8]) -> Response<Bytes> {
        let Parts { method, headers, .. } = head;
        let mut said = match (head.uri.path(), method) {
            ("/ping", &Method::GET | &Method::HEAD) => done(),
            ("/query", &Method::GET | &Method::POST) => self.query(head, body),
            ("/write", &Method::POST) => self.write(head, body),
            ("/ping" | "/query" | "/write", &Method::OPTIONS) => done(),
            ("/ping" | "/query" | "/write", _) => {
                plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
            }
            _ => plain(StatusCode::NOT_FOUND, "404 page not found\n"),
        };
        let told = said.headers_mut();
        told.insert("x-influxdb-build", HeaderValue::from_static("slackwater"));
        told.insert("x-influxdb-version", HeaderValue::from_static(VERSION));
        // A page of this machine may read; whoever reads from elsewhere asks without a page.
        if let Some(origin) = headers.get(ORIGIN).filter(|origin| is_of_this_machine(origin)) {
            told.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            told.insert(VARY, HeaderValue::from_static("origin"));
        }
        said
    }

    fn now(&self) -> i64 {
        self.host.wall().as_millis().saturating_mul(1_000_000)
    }

    fn query(&self, head: &Parts, body: &[u8]) -> Response<Bytes> {
        let mut parameters = Parameters::of(head.uri.query().unwrap_or_default().as_bytes());
        let form = header(&head.headers, &CONTENT_TYPE).unwrap_or_default();
        if form.starts_with("application/x-www-form-urlencoded") {
            parameters.0.extend(Parameters::of(body).0);
        }
        let Some(text) = parameters.get("q").filter(|text| !text.is_empty()) else {
            return refused(StatusCode::BAD_REQUEST, "missing required parameter \"q\"");
        };
        let epoch = parameters.get("epoch").filter(|unit| !unit.is_empty());
        // A unit that is not known counts as nanoseconds, as with InfluxDB.
        let epoch = epoch.map(|unit| time::epoch(unit).unwrap_or(1));
        let asked = Asked { now: self.now(), epoch };
        let reading = head.method == Method::GET;
        let question = Question { text, database: parameters.get("db"), asked, reading };
        let pretty = parameters.get("pretty") == Some("true");
        let statements = match question.statements() {
            Ok(statements) => statements,
            Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
        };
        if statements.iter().any(|statement| statement.changes()) && is_foreign(&head.headers) {
            return refused(StatusCode::FORBIDDEN, FOREIGN);
        }
        let told = question.answer(&self.store, &statements).told(pretty);
        response(StatusCode::OK, JSON, told)
    }

    fn write(&self, head: &Parts, body: &[u8]) -> Response<Bytes> {
        let bad = StatusCode::BAD_REQUEST;
        if is_foreign(&head.headers) {
            return refused(StatusCode::FORBIDDEN, FOREIGN);
        }
        let parameters = Parameters::of(head.uri.query().unwrap_or_default().as_bytes());
        let Some(database) = parameters.get("db").filter(|name| !name.is_empty()) else {
            return refused(bad, "database is required");
        };
        match self.store.view(database) {
            Ok(Some(_)) => {}
            Ok(None) => {
                let words = format!("database not found: {database:?}");
                return refused(StatusCode::NOT_FOUND, &words);
            }
            Err(error) => return refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
        if let Some(policy) = parameters.get("rp").filter(|rp| !matches!(*rp, "" | "autogen")) {
            let words = format!("retention policy not found: {policy}");
            return refused(StatusCode::INTERNAL_SERVER_ERROR, &words);
        }
        let packed = header(&head.headers, &CONTENT_ENCODING).filter(|how| *how != "identity");
        if let Some(how) = packed {
            let words = format!("a body in {how} is not read here: send it as it is");
            return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, &words);
        }
        let Ok(text) = std::str::from_utf8(body) else {
            return refused(bad, "unable to parse: the lines are no text in UTF-8");
        };
        let read = line::read(text, Clock::new(self.now(), parameters.get("precision")));
        let refusals = read.refused.join("\n");
        if read.rows.is_empty() && !refusals.is_empty() {
            return refused(bad, &refusals);
        }
        match self.store.write(database, read.rows) {
            Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            Ok(Written { kept, dropped }) => {
                let writer = header(&head.headers, &USER_AGENT).unwrap_or_default();
                self.tell(writer, kept);
                match dropped {
                    Some((why, count)) => {
                        refused(bad, &format!("partial write: {why} dropped={count}"))
                    }
                    None if refusals.is_empty() => done(),
                    None => refused(bad, &format!("partial write: {refusals} dropped=0")),
                }
            }
        }
    }

    fn tell(&self, writer: &str, kept: Vec<(Row, Stood)>) {
        if self.host.detail() < Detail::Flow {
            return;
        }
        for (row, stood) in kept {
            self.host.tell(Fact::PointWritten {
                point: point(row),
                writer: writer.to_owned(),
                overwrote: stood.overwrote(),
                differs: stood.differs(),
                transaction: String::new(),
            });
        }
    }
}

/// A row as the demo's sinks know it.
fn point(row: Row) -> Point {
    let field = |value| match value {
        Value::Float(float) => FieldValue::Float(float),
        Value::Integer(integer) => FieldValue::Integer(integer),
        Value::Text(text) => FieldValue::Text(text),
        Value::Boolean(boolean) => FieldValue::Integer(boolean.into()),
    };
    Point {
        key: row.series.tags.get("key").cloned().unwrap_or_default(),
        series: row.series.measurement,
        time: EventTime::from_millis(row.time.div_euclid(1_000_000)),
        fields: row.fields.into_iter().map(|(name, value)| (name, field(value))).collect(),
    }
}

/// What is said behind the question mark, or in a form.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

const FOREIGN: &str = "a page of another origin may not change anything here";

/// Whether a browser asks for a page of another origin; a program says nothing of that.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    let origin =
        header(headers, &ORIGIN).map(|origin| origin.split_once("://").map(|parts| parts.1));
    !site.is_none_or(|site| matches!(site, "same-origin" | "none"))
        || origin.is_some_and(|origin| origin != header(headers, &HOST))
}

fn is_of_this_machine(origin: &HeaderValue) -> bool {
    let place = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let name = place.map(|(_, place)| match place.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => place,
    });
    matches!(name, Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn response(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn done() -> Response<Bytes> {
    response(StatusCode::NO_CONTENT, JSON, Vec::new())
}

fn plain(status: StatusCode, words: &str) -> Response<Bytes> {
    response(status, "text/plain; charset=utf-8", words.into())
}

fn refused(status: StatusCode, words: &str) -> Response<Bytes> {
    let mut said = response(status, JSON, Answer::refused(words).told(false));
    if let Ok(value) = HeaderValue::from_str(words) {
        said.headers_mut().insert("x-influxdb-error", value);
    }
    said
}
