//! HTTP/1.1 to one server, over the host's network: one request at a time on one connection.
//! Never tries again and never follows: a request that fails closes the connection, and the next one
//! opens another. Who decides what to send: [`super::delivery`].

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use slackwater_runtime::host::{Host, TaskHandle, within};

use super::{ANSWER_WITHIN, CONNECT_WITHIN};

/// An answer is at most this long, in bytes.
const ANSWER_MAX: usize = 16 << 20;

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    method: Method,
    path: String,
    content_type: &'static str,
    body: Bytes,
}

impl Ask {
    /// `GET` of a path with its query.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), content_type: "", body: Bytes::new() }
    }

    /// `POST` of lines in InfluxDB's line protocol, timestamps in milliseconds.
    pub fn write(database: &str, lines: Bytes) -> Self {
        let path = format!("/write?{}", form(&[("db", database), ("precision", "ms")]));
        Self { method: Method::POST, path, content_type: "text/plain; charset=utf-8", body: lines }
    }

    /// `POST` of a query, with further parameters such as `("db", "oscon")` and `("epoch", "ms")`.
    pub fn query(query: &str, parameters: &[(&str, &str)]) -> Self {
        let path = match parameters {
            [] => "/query".to_owned(),
            some => format!("/query?{}", form(some)),
        };
        let content_type = "application/x-www-form-urlencoded";
        let body = Bytes::from(form(&[("q", query)]));
        Self { method: Method::POST, path, content_type, body }
    }
}

/// Names and values as a query of a path has them.
pub fn form(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its number, such as 204.
    pub status: u16,
    /// Its text.
    pub body: Bytes,
}

/// One connection, opened when first needed.
pub struct Client {
    host: Arc<dyn Host>,
    address: String,
    name: String,
    session: Option<Session>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.address)
    }
}

struct Session {
    sender: SendRequest<Full<Bytes>>,
    connection: TaskHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Client {
    /// One for the server at `host:port`, which is told `name`: who asks.
    pub fn new(host: Arc<dyn Host>, address: impl Into<String>, name: impl Into<String>) -> Self {
        Self { host, address: address.into(), name: name.into(), session: None }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// In words, if there is no connection or no answer; whether the request was heard is then not
    /// known.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it open whether the request was heard, and closes the connection
    /// with the next one.
    pub async fn ask(&mut self, ask: Ask) -> Result<Answer, String> {
        let host = Arc::clone(&self.host);
        // Taken: whatever goes wrong, also a drop of this future, ends the connection.
        let open = self.session.take().filter(|session| !session.sender.is_closed());
        let mut session = match open {
            Some(session) => session,
            None => self.open().await?,
        };
        let request = self.request(ask)?;
        let answered = within(&*host, ANSWER_WITHIN, answer(&mut session, request)).await;
        let late = || Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs()));
        let answer = answered.unwrap_or_else(late)?;
        self.session = Some(session);
        Ok(answer)
    }

    async fn open(&self) -> Result<Session, String> {
        let conn = self.host.connect(&self.address, CONNECT_WITHIN).await;
        let conn = conn.map_err(|error| format!("cannot connect: {error}"))?;
        let shaken = http1::handshake(TokioIo::new(conn)).await;
        let (sender, connection) = shaken.map_err(|error| error.to_string())?;
        let driven = async move {
            // What breaks it is told to whoever has asked.
            let _ = connection.await;
        };
        let connection = self.host.spawn("http connection", Box::pin(driven));
        Ok(Session { sender, connection })
    }

    fn request(&self, ask: Ask) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(HOST, &self.address)
            .header(USER_AGENT, &self.name);
        if !ask.content_type.is_empty() {
            request = request.header(CONTENT_TYPE, ask.content_type);
        }
        request.body(Full::new(ask.body)).map_err(|error| error.to_string())
    }
}

async fn answer(session: &mut Session, request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let lost = |error: hyper::Error| format!("lost the connection: {error}");
    session.sender.ready().await.map_err(lost)?;
    let response = session.sender.send_request(request).await.map_err(lost)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
    let body = body.map_err(|error| format!("the answer was cut short: {error}"))?;
    Ok(Answer { status, body: body.to_bytes() })
}
