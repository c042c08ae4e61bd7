//! The port of the REST server, and its answers as HTTP has them.
//! Never decides what is answered: that is [`crate::api`]'s. What a peer may take of connections,
//! bytes and time is bounded in [`slackwater_runtime::http`].

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use slackwater_runtime::host::{Host, Listener, LocalFuture};
use slackwater_runtime::http::{self, Service};

use crate::api::{Api, RestConfig};
use crate::panels::Panels;
use crate::reply::Reply;

/// A request's body is at most this long, in bytes.
const BODY_MAX: usize = 1 << 20;

/// What every answer says to a browser: a page of ours loads only what is served here, nobody frames
/// it, and nothing is kept or taken for what it is not.
const GUARDS: [(HeaderName, &str); 4] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src \
         'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// A REST server that has bound its port.
pub struct Rest {
    listener: Box<dyn Listener>,
    api: Api,
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
        Ok(Self { listener, api: Api::new(host, config) })
    }

    /// Reads the series that jobs write through `panels`, for the dashboard.
    pub fn with_panels(mut self, panels: Box<dyn Panels>) -> Self {
        self.api.panels = Some(panels);
        self
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Serves until it is dropped; its connections end with it.
    ///
    /// # Errors
    /// If the listener fails for good.
    pub async fn serve(self) -> io::Result<()> {
        http::serve(Arc::clone(&self.api.host), self.listener, Rc::new(self.api)).await
    }
}

impl Service for Api {
    fn body_max(&self, _: &Parts) -> usize {
        BODY_MAX
    }

    fn answer(self: Rc<Self>, head: Parts, body: Bytes) -> LocalFuture<Response<Bytes>> {
        Box::pin(async move { said(Api::answer(&self, &head, &body).await) })
    }

    fn too_long(&self, most: usize) -> Response<Bytes> {
        let why = format!("The request is longer than {most} bytes, or was cut short.");
        said(Reply::error(StatusCode::PAYLOAD_TOO_LARGE, &why).last())
    }
}

fn said(reply: Reply) -> Response<Bytes> {
    let Reply { status, content_type, body, last } = reply;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
