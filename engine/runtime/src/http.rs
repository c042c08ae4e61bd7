//! HTTP/1.1 served over the host's network, on the host's tasks: connections, and what a peer may take.
//! Never lets a peer hold what others need: bodies, heads, connections and the time for each request
//! are bounded. What is answered is a [`Service`]'s: REST, InfluxDB's shape.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::host::{Conn, Host, Listener, LocalFuture, TaskHandle};

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

/// What is answered. An answer with the header `connection: close` ends its connection.
pub trait Service {
    /// How long the body of a request with this head may be, in bytes.
    fn body_max(&self, head: &Parts) -> usize;

    /// The answer to a request that is there as a whole.
    fn answer(self: Rc<Self>, head: Parts, body: Bytes) -> LocalFuture<Response<Bytes>>;

    /// The answer to one whose body is longer than `most` bytes, or was cut short.
    fn too_long(&self, most: usize) -> Response<Bytes>;
}

/// Serves until it is dropped; its connections end with it.
///
/// # Errors
/// If the listener fails for good.
pub async fn serve(
    host: Arc<dyn Host>,
    mut listener: Box<dyn Listener>,
    service: Rc<dyn Service>,
) -> io::Result<()> {
    let open = Connections::default();
    loop {
        let (conn, _) = listener.accept().await?;
        open.make_room();
        let pace = Rc::new(Pace::from(host.elapsed()));
        let talk = converse(Arc::clone(&host), Rc::clone(&service), conn, Rc::clone(&pace));
        let closed = open.closing();
        let task = host.spawn(
            "http connection",
            Box::pin(async move {
                talk.await;
                drop(closed);
            }),
        );
        open.add(task, pace);
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

async fn converse(host: Arc<dyn Host>, service: Rc<dyn Service>, conn: Conn, pace: Rc<Pace>) {
    let (clock, own) = (Arc::clone(&host), Rc::clone(&pace));
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, host, pace) = (Rc::clone(&service), Arc::clone(&host), Rc::clone(&pace));
        async move {
            let answered = take(&*host, service, &pace, request).await;
            pace.answered(host.elapsed());
            Ok::<_, Infallible>(answered.map(Full::new))
        }
    });
    let mut http = http1::Builder::new();
    // The date would be read from a clock that is not the host's.
    http.auto_date_header(false).max_headers(HEADERS_MAX).max_buf_size(HEAD_MAX);
    let served = http.serve_connection(TokioIo::new(conn), answer);
    tokio::select! {
        biased;
        // A connection that breaks is the peer's affair: it asks again.
        _ = served => {}
        () = own.runs_out(&*clock) => {}
    }
}

async fn take(
    host: &dyn Host,
    service: Rc<dyn Service>,
    pace: &Pace,
    request: Request<Incoming>,
) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let most = service.body_max(&head);
    match Limited::new(body, most).collect().await {
        Ok(body) => {
            pace.asked(host.elapsed());
            service.answer(head, body.to_bytes()).await
        }
        Err(_) => service.too_long(most),
    }
}
