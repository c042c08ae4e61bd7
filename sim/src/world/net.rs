//! The network between simulated nodes: delays per link, and connections that fail as a kernel's do.
//! A segment is never lost on a link that is whole, and never overtakes another of its connection.
//! turmoil carries the bytes; here stand the delays and what turmoil does not model (refusal by a
//! dead process, the silence of a dark or stopped machine, loopback). Used by [`super::host`].

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, select};
use slackwater_core::random::RandomStream;
use slackwater_runtime::host::{Accepted, Conn, Listener};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use turmoil::net::{TcpListener, TcpStream};

use super::node::{Life, Node};
use super::realm::Realm;

/// How long a segment is on its way. Resolution: 1 ms and the world's tick, whichever is coarser.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Anything between the two, each as likely.
    Uniform {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// Mostly short, now and then long: `min` plus an exponential of `mean`, cut at `max`.
    Exponential {
        /// The shortest.
        min: Duration,
        /// What it is longer than that on average, before the cut.
        mean: Duration,
        /// The longest.
        max: Duration,
    },
}

impl Delay {
    /// Always this long.
    pub fn fixed(delay: Duration) -> Self {
        Self::Uniform { min: delay, max: delay }
    }

    fn draw(self, stream: &mut RandomStream) -> Duration {
        let drawn = match self {
            Self::Uniform { min, max } => {
                let span = max.saturating_sub(min).as_micros() as u64;
                min + Duration::from_micros(stream.below(span + 1))
            }
            Self::Exponential { min, mean, max } => {
                (min + mean.mul_f64(-(1.0 - stream.unit()).ln())).min(max)
            }
        };
        // Below 1 ms a message could arrive within the tick in which it was sent.
        drawn.max(Duration::from_millis(1))
    }

    fn is_fixed(self) -> bool {
        matches!(self, Self::Uniform { min, max } if min == max)
    }
}

/// The links of a world: one per unordered pair of nodes.
pub(super) struct Links {
    nodes: usize,
    links: Vec<Arc<Link>>,
}

/// One link. Its delay holds for every segment of a tick and is drawn anew after a tick with traffic.
pub(super) struct Link {
    pub(super) ends: (usize, usize),
    state: Mutex<LinkState>,
    used: AtomicBool,
}

struct LinkState {
    delay: Delay,
    now: Duration,
    draws: RandomStream,
}

impl Link {
    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The delay of the current tick.
    pub(super) fn delay(&self) -> Duration {
        self.state().now
    }

    fn mark(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// Changes the distribution, and draws.
    pub(super) fn set(&self, delay: Delay) {
        self.state().delay = delay;
        self.draw();
    }

    fn draw(&self) {
        let state = &mut *self.state();
        state.now = state.delay.draw(&mut state.draws);
    }

    /// Draws anew if the link was used since the last call and its delay varies.
    pub(super) fn redraw(&self) -> bool {
        let due = self.used.swap(false, Ordering::Relaxed) && !self.state().delay.is_fixed();
        if due {
            self.draw();
        }
        due
    }
}

impl Links {
    pub(super) fn new(seed: u64, names: &[&str], delay: Delay) -> Self {
        let mut links = Vec::new();
        for (b, name_b) in names.iter().enumerate() {
            for (a, name_a) in names[..b].iter().enumerate() {
                let mut draws = RandomStream::named(seed, &format!("net/{name_a}/{name_b}"));
                let state = LinkState { delay, now: delay.draw(&mut draws), draws };
                let used = AtomicBool::new(false);
                links.push(Arc::new(Link { ends: (a, b), state: Mutex::new(state), used }));
            }
        }
        Self { nodes: names.len(), links }
    }

    /// The link between two different nodes.
    pub(super) fn between(&self, a: usize, b: usize) -> Option<&Arc<Link>> {
        let (low, high) = (a.min(b), a.max(b));
        if low == high || high >= self.nodes {
            None
        } else {
            self.links.get(high * (high - 1) / 2 + low)
        }
    }

    pub(super) fn all(&self) -> &[Arc<Link>] {
        &self.links
    }
}

/// Connects `from` to `address`, or fails within `within` (true time).
pub(super) async fn dial(
    realm: Arc<Realm>,
    from: Arc<Node>,
    address: String,
    within: Duration,
) -> io::Result<Conn> {
    let call = pin!(dial_unbounded(&realm, &from, &address));
    match select(call, pin!(sleep(within))).await {
        Either::Left((connected, _)) => connected,
        Either::Right(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")))
        }
    }
}

async fn dial_unbounded(realm: &Realm, from: &Node, address: &str) -> io::Result<Conn> {
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
    while matches!(to.life(), Life::Paused | Life::Dark) {
        sleep(ANSWER_POLL).await;
    }
    link.mark();
    // A refused turmoil connect leaks a port, so a refusal that is known is made here.
    if to.door(port).is_none() {
        sleep(link.delay() * 2).await;
        return Err(refused());
    }
    let stream = TcpStream::connect((name, port)).await?;
    Ok(Box::new(Wire { stream, link: Arc::clone(link) }))
}

/// Completes after `span` of true time.
#[expect(
    clippy::disallowed_methods,
    reason = "the simulated host's own clock: turmoil pauses tokio's"
)]
pub(super) fn sleep(span: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(span)
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
                    let link = self.realm.links.between(usize::from(self.node.index.0), peer);
                    let link = link.ok_or_else(|| io::Error::other("a peer of another world"))?;
                    Ok((Box::new(Wire { stream, link: Arc::clone(link) }) as Conn, name))
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

/// A connection between two nodes; notes when its link is used.
struct Wire {
    stream: TcpStream,
    link: Arc<Link>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_stays_within_its_range() {
        let ms = Duration::from_millis;
        let mut stream = RandomStream::named(1, "delay");
        for delay in [
            Delay::Uniform { min: ms(2), max: ms(9) },
            Delay::Exponential { min: ms(2), mean: ms(3), max: ms(9) },
        ] {
            let drawn: Vec<_> = (0..500).map(|_| delay.draw(&mut stream)).collect();
            assert!(drawn.iter().all(|drawn| (ms(2)..=ms(9)).contains(drawn)), "{delay:?}");
            assert!(drawn.iter().any(|drawn| *drawn < ms(3)), "{delay:?}");
            assert!(drawn.iter().any(|drawn| *drawn > ms(8)), "{delay:?}");
        }
    }

    #[test]
    fn every_pair_of_nodes_has_its_own_link() {
        let links = Links::new(1, &["a", "b", "c", "d"], Delay::fixed(Duration::from_millis(1)));
        for a in 0..4 {
            for b in 0..a {
                let link = links.between(a, b).expect("two nodes");
                assert_eq!(link.ends, (b, a));
                assert!(Arc::ptr_eq(link, links.between(b, a).expect("two nodes")));
            }
            assert!(links.between(a, a).is_none());
        }
        assert_eq!(links.all().len(), 6);
    }
}
