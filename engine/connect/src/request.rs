//! Requests and replies over one connection, numbered, in order: what the series database and the
//! partitioned log speak. Nothing here knows what is asked; a lost connection is never mended here,
//! it fails the task, and the restart opens a new one. Frames and handshake: `runtime::wire`.

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use slackwater_core::codec::{decode_message, encode_message};
use slackwater_dataflow::connector::ConnectorError;
use slackwater_runtime::host::{Conn, Host, Listener, within};
use slackwater_runtime::wire::frame::{FrameReader, FrameWriter};
use slackwater_runtime::wire::handshake::{Handshake, Hello, Role};

/// How long a connection may take to open, and the other side to take or give a frame.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request or a reply with its number.
#[derive(Serialize, Deserialize)]
struct Numbered<B> {
    number: u64,
    body: B,
}

/// The asking side: requests of type `Q`, replies of type `R`.
pub(crate) struct Line<Q, R> {
    host: Arc<dyn Host>,
    address: String,
    reader: FrameReader,
    writer: FrameWriter,
    sent: u64,
    answered: u64,
    of: PhantomData<fn(Q) -> R>,
}

impl<Q: Serialize, R: DeserializeOwned> Line<Q, R> {
    /// Connects to `address` as `name`, which the other side writes beside what it is given.
    pub(crate) async fn open(
        host: Arc<dyn Host>,
        role: Role,
        address: &str,
        name: &str,
    ) -> Result<Self, ConnectorError> {
        let trouble = |error: &dyn std::fmt::Display| {
            ConnectorError::passing(format!("cannot reach the {role} server at {address}: {error}"))
        };
        let conn = host.connect(address, PATIENCE).await.map_err(|error| trouble(&error))?;
        let hello = Hello::new(role, name, &());
        let ((), reader, writer) = Handshake::default()
            .offer(host.as_ref(), conn, address, &hello)
            .await
            .map_err(|error| trouble(&error))?;
        let address = address.to_owned();
        Ok(Self { host, address, reader, writer, sent: 0, answered: 0, of: PhantomData })
    }

    /// How many requests have no reply yet.
    pub(crate) fn open_requests(&self) -> u64 {
        self.sent - self.answered
    }

    /// Sends a request without waiting for its reply.
    pub(crate) async fn post(&mut self, body: &Q) -> Result<(), ConnectorError> {
        let frame = encode_message(&Numbered { number: self.sent, body })
            .map_err(|error| self.lost(&error))?;
        let sent = within(self.host.as_ref(), PATIENCE, self.writer.send(&frame)).await;
        match sent {
            Some(Ok(())) => self.sent += 1,
            Some(Err(error)) => return Err(self.lost(&error)),
            None => return Err(self.lost(&"it takes no more data")),
        }
        Ok(())
    }

    /// Waits for the next reply, at most `patience` longer than any reply may take.
    pub(crate) async fn reply(&mut self, patience: Duration) -> Result<R, ConnectorError> {
        let read = within(self.host.as_ref(), PATIENCE + patience, self.reader.read()).await;
        let frame = match read {
            Some(Ok(Some(frame))) => frame,
            Some(Ok(None)) => return Err(self.lost(&"it closed the connection")),
            Some(Err(error)) => return Err(self.lost(&error)),
            None => return Err(self.lost(&"it does not answer")),
        };
        let reply: Numbered<Result<R, String>> =
            decode_message(&frame).map_err(|error| self.lost(&error))?;
        if reply.number != self.answered {
            return Err(self.lost(&"it answered another request"));
        }
        self.answered += 1;
        reply.body.map_err(|why| ConnectorError::passing(format!("{}: {why}", self.address)))
    }

    fn lost(&self, why: &dyn std::fmt::Display) -> ConnectorError {
        ConnectorError::passing(format!("lost the server at {}: {why}", self.address))
    }
}

/// The answering side: a bound port.
pub(crate) struct Server {
    host: Arc<dyn Host>,
    listener: Box<dyn Listener>,
    role: Role,
}

impl Server {
    pub(crate) async fn bind(host: Arc<dyn Host>, role: Role, port: u16) -> io::Result<Self> {
        let listener = host.listen(port).await?;
        Ok(Self { host, listener, role })
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Answers every caller, each in a task of its own, until dropped. `answer` is given the
    /// caller's name and the request; what it refuses is sent back as words.
    pub(crate) async fn run<Q, R, F>(
        mut self,
        answer: impl Fn(Rc<str>, Q) -> F + 'static,
    ) -> io::Error
    where
        Q: DeserializeOwned + 'static,
        R: Serialize + 'static,
        F: Future<Output = Result<R, String>>,
    {
        let answer = Rc::new(answer);
        loop {
            let (conn, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => return error,
            };
            let (host, role, answer) = (self.host.clone(), self.role, Rc::clone(&answer));
            let caller = async move {
                let greeted = receive(host.as_ref(), role, conn, &peer).await;
                if let Some((name, reader, writer)) = greeted {
                    answer_all(host.as_ref(), (reader, writer), |q| answer(name.clone(), q)).await;
                }
            };
            // The task ends with its connection; nobody waits for it.
            let _ended_by_its_peer = self.host.spawn("answer", Box::pin(caller));
        }
    }
}

async fn receive(
    host: &dyn Host,
    role: Role,
    conn: Conn,
    peer: &str,
) -> Option<(Rc<str>, FrameReader, FrameWriter)> {
    let caller = Handshake::default().receive(host, conn, peer).await.ok()?;
    if caller.hello.role != role {
        let other = caller.hello.role;
        caller.refuse(host, &format!("this is a {role} server, not one for a {other}")).await;
        return None;
    }
    let name = Rc::from(caller.hello.name.as_str());
    let (reader, writer) = caller.welcome(host, &()).await.ok()?;
    Some((name, reader, writer))
}

/// Answers one caller until the connection ends; a request that cannot be read ends it.
async fn answer_all<Q, R, F>(
    host: &dyn Host,
    (mut reader, mut writer): (FrameReader, FrameWriter),
    answer: impl Fn(Q) -> F,
) where
    Q: DeserializeOwned,
    R: Serialize,
    F: Future<Output = Result<R, String>>,
{
    while let Ok(Some(frame)) = reader.read().await {
        let Ok(Numbered { number, body }) = decode_message::<Numbered<Q>>(&frame) else { return };
        let reply = Numbered { number, body: answer(body).await };
        let Ok(frame) = encode_message(&reply) else { return };
        let sent = within(host, PATIENCE, writer.send(&frame)).await;
        if !matches!(sent, Some(Ok(()))) {
            return;
        }
    }
}
