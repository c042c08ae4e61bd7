//! The connections of the REST server: HTTP/1.1 over the host's network, on the host's tasks.
//! Never lets a peer hold what others need: bodies, headers, connections and the time for each
//! request are bounded. What is answered is [`crate::api`]'s.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use slackwater_runtime::host::{Conn, Host, Listener, TaskHandle};

use crate::api::{Api, RestConfig};
use crate::reply::Reply;

/// A request's body is at most this long, in bytes.
pub(crate) const BODY_MAX: usize = 1 << 20;

/// The head of a request is at most this long, in bytes.
const HEAD_MAX: usize = 16 << 10;

/// So many headers a request may have.
const HEADERS_MAX: usize = 64;

/// So many connections are open at once; one more, and the one that has waited longest is closed.
const CONNECTIONS_MAX: usize = 256;

/// From the last answer, or the beginning, until a request is there as a whole.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// From the request until its answer: longer than a client of the job manager waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A REST server that has bound its port.
pub struct Rest {
    listener: Box<dyn Listener>,
    api: Rc<Api>,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rest(port {})", self.port())
    }
}

impl Rest {
    /// Binds the port.
    ///
    /// # Errors
    /// If it is taken.
    pub async fn bind(host: Arc<dyn Host>, config: RestConfig) -> io::Result<Self> {
        let listener = host.listen(config.port).await?;
        Ok(Self { listener, api: Rc::new(Api::new(host, config)) })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Serves until it is dropped; its connections end with it.
    ///
    /// # Errors
    /// If the listener fails for good.
    pub async fn serve(mut self) -> io::Result<()> {
        let open = Connections::default();
        loop {
            let (conn, _) = self.listener.accept().await?;
            open.make_room();
            let pace = Rc::new(Pace::from(self.api.host.elapsed()));
            let talk = converse(Rc::clone(&self.api), conn, Rc::clone(&pace));
            let closed = open.closing();
            let task = self.api.host.spawn(
                "rest connection",
                Box::pin(async move {
                    talk.await;
                    drop(closed);
                }),
            );
            open.add(task, pace);
        }
    }
}

/// What is asked of a peer's pace: until when what is next must be there.
struct Pace {
    until: Cell<Duration>,
    /// Whether it is the peer that is waited for.
    waits: Cell<bool>,
}

impl Pace {
    fn from(now: Duration) -> Self {
        Self { until: Cell::new(now + REQUEST_WITHIN), waits: Cell::new(true) }
    }

    fn asked(&self, now: Duration) {
        self.until.set(now + ANSWER_WITHIN);
        self.waits.set(false);
    }

    fn answered(&self, now: Duration) {
        self.until.set(now + REQUEST_WITHIN);
        self.waits.set(true);
    }

    /// Completes when the peer was too slow.
    async fn runs_out(&self, host: &dyn Host) {
        loop {
            let left = self.until.get().saturating_sub(host.elapsed());
            if left.is_zero() {
                return;
            }
            host.sleep(left).await;
        }
    }
}

type Open = Rc<RefCell<(u64, BTreeMap<u64, (TaskHandle, Rc<Pace>)>)>>;

/// The connections that are open; they end with it.
#[derive(Default)]
struct Connections(Open);

/// Takes a connection out of the list when it is over.
struct Closing(Open, u64);

impl Connections {
    /// If there are too many, ends the one whose peer has been waited for longest.
    fn make_room(&self) {
        let mut open = self.0.borrow_mut();
        if open.1.len() < CONNECTIONS_MAX {
            return;
        }
        let slowness = |pace: &Pace| (!pace.waits.get(), pace.until.get());
        let slowest = open.1.iter().min_by_key(|(_, (_, pace))| slowness(pace));
        let Some(slowest) = slowest.map(|(number, _)| *number) else { return };
        if let Some((task, _)) = open.1.remove(&slowest) {
            task.abort();
        }
    }

    fn closing(&self) -> Closing {
        let mut open = self.0.borrow_mut();
        open.0 += 1;
        Closing(Rc::clone(&self.0), open.0)
    }

    fn add(&self, task: TaskHandle, pace: Rc<Pace>) {
        let mut open = self.0.borrow_mut();
        let number = open.0;
        open.1.insert(number, (task, pace));
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.0.borrow().1.values().for_each(|(task, _)| task.abort());
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        // Borrowed: whoever ends this connection has taken it out, or takes them all out.
        if let Ok(mut open) = self.0.try_borrow_mut() {
            open.1.remove(&self.1);
        }
    }
}

async fn converse(api: Rc<Api>, conn: Conn, pace: Rc<Pace>) {
    let (host, own) = (Arc::clone(&api.host), Rc::clone(&pace));
    let service = service_fn(move |request: Request<Incoming>| {
        let (api, pace) = (Rc::clone(&api), Rc::clone(&pace));
        async move {
            let reply = take(&api, &pace, request).await;
            pace.answered(api.host.elapsed());
            Ok::<_, Infallible>(said(reply))
        }
    });
    let mut http = http1::Builder::new();
    // The date would be read from a clock that is not the host's.
    http.auto_date_header(false).max_headers(HEADERS_MAX).max_buf_size(HEAD_MAX);
    let served = http.serve_connection(TokioIo::new(conn), service);
    tokio::select! {
        biased;
        // A connection that breaks is the peer's affair: it asks again.
        _ = served => {}
        () = own.runs_out(&*host) => {}
    }
}

async fn take(api: &Api, pace: &Pace, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            let why = format!("The request is longer than {BODY_MAX} bytes, or was cut short.");
            return Reply::error(StatusCode::PAYLOAD_TOO_LARGE, &why).last();
        }
    };
    pace.asked(api.host.elapsed());
    api.answer(&head, &body).await
}

fn said(reply: Reply) -> Response<Full<Bytes>> {
    let Reply { status, content_type, body, last } = reply;
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
