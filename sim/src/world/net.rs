//! The network between simulated nodes: connections that fail as a kernel's do.
//! Nothing is delayed or broken here of its own accord: each connection asks its [`super::link`].
//! turmoil carries the bytes; here stands what it does not model (refusal by a dead process, the
//! silence of a dark or stopped machine, resets, loopback). Used by [`super::host`].

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, select};
use slackwater_runtime::host::{Accepted, Conn, Listener};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use turmoil::net::{TcpListener, TcpStream};

use super::link::{Flow, Link};
use super::node::{Admission, Life, Node};
use super::realm::Realm;

/// Connects `from` to `address`, or fails within `within` (true time).
pub(super) async fn dial(
    realm: Arc<Realm>,
    from: Arc<Node>,
    address: String,
    within: Duration,
) -> io::Result<Conn> {
    let call = pin!(dial_unbounded(&realm, &from, &address));
    match select(call, pin!(realm.sleep(within))).await {
        Either::Left((connected, _)) => connected,
        Either::Right(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")))
        }
    }
}

async fn dial_unbounded(realm: &Arc<Realm>, from: &Node, address: &str) -> io::Result<Conn> {
    let (name, port) = parse(address)?;
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("no host is called {name:?}"));
    let to = realm.node(name).ok_or_else(unknown)?;
    let refused = || {
        let text = format!("{address}: connection refused");
        io::Error::new(io::ErrorKind::ConnectionRefused, text)
    };
    let ends = (usize::from(from.index.0), usize::from(to.index.0));
    let Some(link) = realm.links.between(ends.0, ends.1) else {
        let door = to.door(port).ok_or_else(refused)?;
        let (ours, theirs) = tokio::io::duplex(LOOPBACK_BYTES);
        door.send(theirs).map_err(|_| refused())?;
        return Ok(Box::new(ours));
    };
    // turmoil queues the call of a peer that nobody answers and panics at the 65th: we do not call.
    while matches!(to.life(), Life::Paused | Life::Dark) || link.is_held() {
        realm.sleep(ANSWER_POLL).await;
    }
    link.mark();
    // A refused turmoil connect leaks a port, so a refusal that is known is made here.
    if to.door(port).is_none() {
        realm.sleep(link.delay() * 2).await;
        return Err(refused());
    }
    let stream = TcpStream::connect((name, port)).await?;
    Ok(Box::new(Wire::new(realm, stream, link, ends.0)))
}

/// What a loopback connection holds before its writer waits.
const LOOPBACK_BYTES: usize = 64 * 1024;

/// How often a caller looks whether a silent machine speaks again.
const ANSWER_POLL: Duration = Duration::from_millis(20);

fn parse(address: &str) -> io::Result<(&str, u16)> {
    let parts = address.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    let malformed = || {
        let text = format!("expected an address such as \"jm:6123\", found {address:?}");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    };
    parts.ok_or_else(malformed)
}

/// Binds a port of `node`.
pub(super) async fn listen(
    realm: Arc<Realm>,
    node: Arc<Node>,
    port: u16,
) -> io::Result<Box<dyn Listener>> {
    let inner = TcpListener::bind(("0.0.0.0", port)).await?;
    let port = inner.local_addr()?.port();
    let (door, loopback) = mpsc::unbounded_channel();
    node.open(port, door);
    let incarnation = node.incarnation();
    Ok(Box::new(Port { inner, loopback, port, incarnation, realm, node }))
}

struct Port {
    inner: TcpListener,
    loopback: mpsc::UnboundedReceiver<DuplexStream>,
    port: u16,
    incarnation: u32,
    realm: Arc<Realm>,
    node: Arc<Node>,
}

impl Listener for Port {
    fn port(&self) -> u16 {
        self.port
    }

    fn accept(&mut self) -> Accepted<'_> {
        Box::pin(async move {
            let (outer, inner) = (self.inner.accept(), self.loopback.recv());
            match select(Box::pin(outer), Box::pin(inner)).await {
                Either::Left((accepted, _)) => {
                    let (stream, peer) = accepted?;
                    let name = turmoil::reverse_lookup(peer.ip()).unwrap_or_default();
                    let peer = self.realm.by_name.get(&name).copied().unwrap_or(usize::MAX);
                    let here = usize::from(self.node.index.0);
                    let link = self.realm.links.between(here, peer);
                    let link = link.ok_or_else(|| io::Error::other("a peer of another world"))?;
                    let wire = Wire::new(&self.realm, stream, link, here);
                    Ok((Box::new(wire) as Conn, name))
                }
                Either::Right((Some(conn), _)) => {
                    Ok((Box::new(conn) as Conn, self.node.name.clone()))
                }
                Either::Right((None, _)) => Err(io::Error::other("the process has ended")),
            }
        })
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.node.close(self.port, self.incarnation);
    }
}

/// A connection between two nodes; notes when its link is used, and obeys what befalls it.
struct Wire {
    stream: TcpStream,
    link: Arc<Link>,
    realm: Arc<Realm>,
    /// The node at this end.
    here: usize,
    id: u64,
    /// How often the link had been broken when the connection was made.
    born: u64,
    /// Whether the piece of data that a reset leaves has been read.
    torn: bool,
}

/// What a reader still gets of data that a reset cuts, in bytes: less than a frame's head.
const PIECE: usize = 3;

impl Wire {
    fn new(realm: &Arc<Realm>, stream: TcpStream, link: &Arc<Link>, here: usize) -> Self {
        let (link, realm) = (Arc::clone(link), Arc::clone(realm));
        let (id, born) = link.connect();
        Self { stream, link, realm, here, id, born, torn: false }
    }

    fn flow(&self) -> Flow {
        self.link.flow(self.here, self.born)
    }

    /// Reads a piece of what is there, once; then the reset.
    fn read_torn(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        if !std::mem::replace(&mut self.torn, true) {
            let mut piece = [0; PIECE];
            let room = buf.remaining().min(PIECE);
            let mut piece = ReadBuf::new(&mut piece[..room]);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut piece);
            if matches!(read, Poll::Ready(Ok(()))) && !piece.filled().is_empty() {
                buf.put_slice(piece.filled());
                return Ok(());
            }
        }
        Err(reset())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.link.leave(self.id);
    }
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer")
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.flow() {
            Flow::Open => {}
            Flow::Reset => return Poll::Ready(self.read_torn(cx, buf)),
            Flow::Held | Flow::Silent => {
                self.link.park(self.id, cx);
                return Poll::Pending;
            }
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            let cued = self.realm.count_step();
            let node = &self.realm.nodes[self.here];
            if cued && node.look(node.incarnation(), cx.waker()) != Admission::Pass {
                // The process ended as the segment arrived: nobody reads it.
                buf.set_filled(before);
                return Poll::Pending;
            }
        }
        if read.is_pending() {
            // Whatever breaks the link later must be heard by a reader that sleeps.
            self.link.park(self.id, cx);
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.flow() {
            Flow::Open | Flow::Held => {}
            Flow::Reset => return Poll::Ready(Err(reset())),
            Flow::Silent => return Poll::Ready(Ok(buf.len())),
        }
        self.link.mark();
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
