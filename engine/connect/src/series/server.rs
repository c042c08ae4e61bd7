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

use super::transaction::{Happened, OpenTransaction, Party, Refusal, Step};
use super::{SeriesStore, Stood, StoreError};
use crate::request::Server;

/// What is asked of the database.
#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    /// Keep these points.
    Write(Vec<Point>),
    /// Give the visible rows of a series from this time on.
    Rows(String, EventTime),
    /// Make a step of a transaction.
    Transact(Party, Step),
    /// Name the transactions that are neither committed nor aborted.
    Open,
}

/// What it answers.
#[derive(Serialize, Deserialize)]
pub(super) enum Reply {
    /// So many points are kept.
    Written(u64),
    /// The rows.
    Rows(Vec<Point>),
    /// The step was made.
    Stepped,
    /// What should be committed is not there; in words.
    Lost(String),
    /// The transactions.
    Open(Vec<OpenTransaction>),
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
        Request::Open => store.open_transactions().map(Reply::Open).map_err(words),
        Request::Transact(party, step) => transact(host, store, &party, step),
        Request::Write(points) => {
            let stood = store.write(writer, &points).map_err(words)?;
            let written = points.len() as u64;
            tell_written(host, (writer, ""), points.into_iter().zip(stood));
            Ok(Reply::Written(written))
        }
    }
}

fn transact(
    host: &dyn Host,
    store: &dyn SeriesStore,
    party: &Party,
    step: Step,
) -> Result<Reply, String> {
    let writer = party.writer();
    match store.step(party, step) {
        Ok(happened) => {
            happened.into_iter().for_each(|happened| tell_happened(host, &writer, happened));
            Ok(Reply::Stepped)
        }
        Err(Refusal::Lost(words)) => Ok(Reply::Lost(words)),
        Err(Refusal::Fenced { id, cause }) => {
            host.tell(Fact::TransactionFenced { id, writer, cause: cause.clone() });
            Err(cause)
        }
        Err(Refusal::Store(error)) => Err(error.to_string()),
    }
}

fn tell_happened(host: &dyn Host, asked: &str, happened: Happened) {
    let asker = asked.to_owned();
    match happened {
        Happened::Staged { id, rows } => {
            if host.detail() >= Detail::Flow {
                host.tell(Fact::TransactionStaged { id, writer: asker, rows });
            }
        }
        Happened::Prepared { id, checkpoint, rows } => {
            host.tell(Fact::TransactionPrepared { id, writer: asker, checkpoint, rows });
        }
        Happened::Aborted { id, rows } => {
            host.tell(Fact::TransactionAborted { id, writer: asker, rows });
        }
        Happened::CommittedAgain { id, checkpoint, rows } => {
            let (writer, again) = (asker, true);
            host.tell(Fact::TransactionCommitted { id, writer, checkpoint, rows, again });
        }
        Happened::Committed { id, checkpoint, writer, shown } => {
            let (rows, again) = (shown.len() as u64, false);
            let name = id.clone();
            host.tell(Fact::TransactionCommitted { id, writer: asker, checkpoint, rows, again });
            tell_written(host, (&writer, &name), shown);
        }
    }
}

fn tell_written(
    host: &dyn Host,
    (writer, transaction): (&str, &str),
    written: impl IntoIterator<Item = (Point, Stood)>,
) {
    if host.detail() < Detail::Flow {
        return;
    }
    for (point, stood) in written {
        host.tell(Fact::PointWritten {
            point,
            writer: writer.to_owned(),
            overwrote: stood.overwrote(),
            differs: stood.differs(),
            transaction: transaction.to_owned(),
        });
    }
}
