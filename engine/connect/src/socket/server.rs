//! A server of lines: what one caller says, all the others are told. For tests and simulated worlds;
//! people use `nc -lk 9999`, or `ncat --broker -l 9999`, which is this one's elder brother.
//! Keeps nothing: who is not connected when a line is said never hears of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use slackwater_runtime::host::{Conn, Host, Listener, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio_util::codec::{Decoder, LinesCodec};

use super::LINE_MAX;

/// The port on which people let their control server listen.
pub const PORT: u16 = 9999;
/// How many lines may wait for a caller who does not read.
const WAITING_MAX: usize = 1024;
/// How long a saying may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that has bound its port and serves once [`LineServer::run`] is polled.
pub struct LineServer {
    host: Arc<dyn Host>,
    listener: Box<dyn Listener>,
    callers: Callers,
}

/// Whom to tell, by the order of their coming.
type Callers = Rc<RefCell<BTreeMap<u64, mpsc::Sender<Rc<str>>>>>;

impl LineServer {
    /// Binds the port; 0 takes any.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn bind(host: Arc<dyn Host>, port: u16) -> io::Result<Self> {
        let listener = host.listen(port).await?;
        Ok(Self { host, listener, callers: Rc::default() })
    }

    /// The port that it is bound to.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Serves until the future is dropped or the listener fails.
    pub async fn run(mut self) -> io::Error {
        let next = Cell::new(0);
        loop {
            let conn = match self.listener.accept().await {
                Ok((conn, _)) => conn,
                Err(error) => return error,
            };
            let id = next.replace(next.get() + 1);
            let (reader, writer) = split(conn);
            let (tell, told) = mpsc::channel(WAITING_MAX);
            self.callers.borrow_mut().insert(id, tell);
            let callers = Rc::clone(&self.callers);
            let hears = async move {
                hear(id, reader, &callers).await;
                callers.borrow_mut().remove(&id);
            };
            // Both end with their connection; nobody waits for them.
            let _ends_with_its_caller = self.host.spawn("hear lines", Box::pin(hears));
            let _ends_with_its_caller =
                self.host.spawn("tell lines", Box::pin(tell_all(writer, told)));
        }
    }
}

/// Binds the port and serves it.
///
/// # Errors
/// If the port is taken, or the listener fails.
pub async fn serve(host: Arc<dyn Host>, port: u16) -> io::Result<()> {
    Err(LineServer::bind(host, port).await?.run().await)
}

/// Says one line to the server at `address`, as a person does with `nc`.
///
/// # Errors
/// If nobody listens there, or the connection ends.
pub async fn say(host: &dyn Host, address: &str, line: &str) -> io::Result<()> {
    let mut conn = host.connect(address, PATIENCE).await?;
    let said = async {
        conn.write_all(format!("{line}\n").as_bytes()).await?;
        conn.shutdown().await?;
        // Until the server has read it all: it answers the end with its own.
        while conn.read(&mut [0; 64]).await? > 0 {}
        Ok(())
    };
    let slow = || io::Error::new(io::ErrorKind::TimedOut, format!("{address} takes no line"));
    within(host, PATIENCE, said).await.unwrap_or_else(|| Err(slow()))
}

/// Passes on what a caller says until he ends, or says more in a line than anyone reads.
async fn hear(id: u64, mut reader: ReadHalf<Conn>, callers: &Callers) {
    let (mut lines, mut unread) = (LinesCodec::new_with_max_length(LINE_MAX), BytesMut::new());
    while let Ok(1..) = reader.read_buf(&mut unread).await {
        loop {
            let line: Rc<str> = match lines.decode(&mut unread) {
                Ok(Some(line)) => line.into(),
                Ok(None) => break,
                Err(_) => return,
            };
            // Who does not read while a thousand lines are said is told no more.
            let told = |other: &u64, tell: &mut mpsc::Sender<Rc<str>>| {
                *other == id || tell.try_send(Rc::clone(&line)).is_ok()
            };
            callers.borrow_mut().retain(told);
        }
    }
}

/// Writes to a caller what the others have said.
async fn tell_all(mut writer: WriteHalf<Conn>, mut told: mpsc::Receiver<Rc<str>>) {
    while let Some(line) = told.recv().await {
        if writer.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return;
        }
    }
    // The caller has ended, or was too slow; that the server ends too says that all was read.
    let _gone_already = writer.shutdown().await;
}
