//! Serves a series store on a port of its host: one reply per write request, after the store has
//! the points. Tells of every point as a fact, with its writer and whether it overwrote one.
//! Decides nothing about rows: that is the store's. The writing side is [`super::sink`].

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::point::Point;
use slackwater_core::time::EventTime;
use slackwater_runtime::host::Host;
use slackwater_runtime::wire::handshake::Role;

use super::{SeriesStore, StoreError};
use crate::request::Server;

/// What is asked of the database.
#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    /// Keep these points.
    Write(Vec<Point>),
    /// Give the visible rows of a series from this time on.
    Rows(String, EventTime),
}

/// What it answers.
#[derive(Serialize, Deserialize)]
pub(super) enum Reply {
    /// So many points are kept.
    Written(u64),
    /// The rows.
    Rows(Vec<Point>),
}

/// A series database that has bound its port and serves once [`SeriesServer::run`] is polled.
pub struct SeriesServer {
    host: Arc<dyn Host>,
    server: Server,
}

impl SeriesServer {
    /// Binds the port; 0 takes any.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn bind(host: Arc<dyn Host>, port: u16) -> io::Result<Self> {
        let server = Server::bind(host.clone(), Role::Series, port).await?;
        Ok(Self { host, server })
    }

    /// The port that it is bound to.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Serves until the future is dropped or the listener fails.
    pub async fn run(self, store: impl SeriesStore) -> io::Error {
        let Self { host, server } = self;
        let store = Arc::new(store);
        server
            .run(move |writer: Rc<str>, request: Request| {
                let (host, store) = (host.clone(), Arc::clone(&store));
                async move { answer(host.as_ref(), store.as_ref(), &writer, request) }
            })
            .await
    }
}

/// Serves a store on a port until the future is dropped.
///
/// # Errors
/// If the port is taken, or the listener fails.
pub async fn serve(host: Arc<dyn Host>, port: u16, store: impl SeriesStore) -> io::Result<()> {
    let server = SeriesServer::bind(host, port).await?;
    Err(server.run(store).await)
}

fn answer(
    host: &dyn Host,
    store: &dyn SeriesStore,
    writer: &str,
    request: Request,
) -> Result<Reply, String> {
    let words = |error: StoreError| error.to_string();
    match request {
        Request::Rows(series, since) => store.rows(&series, since).map(Reply::Rows).map_err(words),
        Request::Write(points) => {
            let stood = store.write(writer, &points).map_err(words)?;
            let written = points.len() as u64;
            if host.detail() >= Detail::Flow {
                for (point, overwrote) in points.into_iter().zip(stood) {
                    host.tell(Fact::PointWritten { point, writer: writer.to_owned(), overwrote });
                }
            }
            Ok(Reply::Written(written))
        }
    }
}
