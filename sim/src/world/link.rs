//! The links between simulated nodes: their delays, what is held, and connections that break.
//! A segment is never lost on a link that is whole, and never overtakes another of its connection.
//! Delays are drawn from a stream of the link's own. Connections over a link are [`super::net`]'s.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use slackwater_core::random::RandomStream;

use super::node::Node;

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

    /// The same, and so much longer.
    pub fn longer(self, by: Duration) -> Self {
        match self {
            Self::Uniform { min, max } => Self::Uniform { min: min + by, max: max + by },
            Self::Exponential { min, mean, max } => {
                Self::Exponential { min: min + by, mean, max: max + by }
            }
        }
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
    /// What a slow node adds to it, by end.
    slow: [Duration; 2],
    /// Whether what is sent towards this end is held.
    held: [bool; 2],
    /// Readers that wait, by connection: whatever befalls the link must be heard by them.
    parked: BTreeMap<u64, Waker>,
    connections: u64,
    /// How often the connections were broken, and how the last time.
    breaks: u64,
    broken: Broken,
}

/// What became of the connections that were there when a link broke.
#[derive(Copy, Clone)]
enum Broken {
    /// Reset at both ends.
    Reset,
    /// Gone for one end; this one does not know.
    Unaware(usize),
}

/// What a connection is told by its link.
pub(super) enum Flow {
    Open,
    Held,
    Reset,
    Silent,
}

impl Link {
    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The delay of the current tick.
    pub(super) fn delay(&self) -> Duration {
        let state = self.state();
        state.now + state.slow[0] + state.slow[1]
    }

    fn side(&self, node: usize) -> usize {
        usize::from(self.ends.0 != node)
    }

    /// Adds to the delay of everything that leaves or reaches `node`.
    pub(super) fn slow_down(&self, node: usize, by: Duration) {
        self.state().slow[self.side(node)] = by;
    }

    /// Holds what is sent to `node`.
    pub(super) fn hold(&self, node: usize) {
        self.state().held[self.side(node)] = true;
    }

    /// Lets go what was held, both ways.
    pub(super) fn release(&self) {
        self.state().held = [false; 2];
        self.wake();
    }

    /// Breaks every connection: for both ends, or unknown to one of them.
    pub(super) fn break_connections(&self, unaware: Option<usize>) {
        let broken = unaware.map_or(Broken::Reset, |node| Broken::Unaware(self.side(node)));
        let mut state = self.state();
        state.breaks += 1;
        state.broken = broken;
        drop(state);
        self.wake();
    }

    fn wake(&self) {
        let parked = std::mem::take(&mut self.state().parked);
        parked.into_values().for_each(Waker::wake);
    }

    /// A number for a new connection, and how often the link was broken before.
    pub(super) fn connect(&self) -> (u64, u64) {
        let mut state = self.state();
        state.connections += 1;
        (state.connections, state.breaks)
    }

    /// Whether a call through this link would hang.
    pub(super) fn is_held(&self) -> bool {
        self.state().held.contains(&true)
    }

    /// What a connection made after `born` breaks may do at the end of `node`.
    pub(super) fn flow(&self, node: usize, born: u64) -> Flow {
        let (state, side) = (self.state(), self.side(node));
        match state.broken {
            _ if state.breaks == born && state.held[side] => Flow::Held,
            _ if state.breaks == born => Flow::Open,
            Broken::Unaware(unaware) if unaware == side => Flow::Silent,
            Broken::Unaware(_) | Broken::Reset => Flow::Reset,
        }
    }

    pub(super) fn park(&self, connection: u64, cx: &Context<'_>) {
        self.state().parked.insert(connection, cx.waker().clone());
    }

    pub(super) fn leave(&self, connection: u64) {
        self.state().parked.remove(&connection);
    }

    pub(super) fn mark(&self) {
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
    pub(super) fn redraw(&self) {
        let due = self.used.swap(false, Ordering::Relaxed) && !self.state().delay.is_fixed();
        if due {
            self.draw();
        }
    }
}

/// The stream of the delays of a link.
fn stream(seed: u64, a: &str, b: &str) -> RandomStream {
    RandomStream::named(seed, &format!("net/{a}/{b}"))
}

impl Links {
    /// Begins the stream of every link anew.
    pub(super) fn reseed(&self, seed: u64, nodes: &[Arc<Node>]) {
        for link in &self.links {
            let (a, b) = link.ends;
            link.state().draws = stream(seed, &nodes[a].name, &nodes[b].name);
        }
    }

    pub(super) fn new(seed: u64, names: &[&str], delay: Delay) -> Self {
        let mut links = Vec::new();
        for (b, name_b) in names.iter().enumerate() {
            for (a, name_a) in names[..b].iter().enumerate() {
                let mut draws = stream(seed, name_a, name_b);
                let state = LinkState {
                    delay,
                    now: delay.draw(&mut draws),
                    draws,
                    slow: [Duration::ZERO; 2],
                    held: [false; 2],
                    parked: BTreeMap::new(),
                    connections: 0,
                    breaks: 0,
                    broken: Broken::Reset,
                };
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

    /// The places of all links of a node.
    pub(super) fn of(&self, node: usize) -> impl Iterator<Item = usize> {
        let ends = self.links.iter().map(|link| link.ends).enumerate();
        let own = ends.filter(move |(_, ends)| ends.0 == node || ends.1 == node);
        own.map(|(place, _)| place)
    }

    pub(super) fn all(&self) -> &[Arc<Link>] {
        &self.links
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
