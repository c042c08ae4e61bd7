//! Segments under way between nodes: how many on each link, and when each of them arrives.
//! turmoil carries them and never lets one arrive of its own accord (its latency is beyond every
//! world): they are let go here, at the beginning of the tick in which the time of each has come.
//! How long a segment takes is its [`super::link`]'s to say; the loop of time is [`super::stage`].

use std::collections::VecDeque;
use std::time::Duration;

use turmoil::Sim;

use super::link::Links;

/// Longer than any world lasts: what turmoil takes to deliver a segment by itself.
pub(super) const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// By link, in the order of sending: when each segment arrives.
pub(super) struct Flights {
    tick: Duration,
    links: Vec<VecDeque<Duration>>,
}

impl Flights {
    pub(super) fn new(tick: Duration, links: &Links) -> Self {
        Self { tick, links: links.all().iter().map(|_| VecDeque::new()).collect() }
    }

    /// When the next segment arrives.
    pub(super) fn next(&self) -> Option<Duration> {
        self.links.iter().flatten().min().copied()
    }

    /// Lets every segment arrive in the tick that begins now whose time has come.
    pub(super) fn land(&mut self, sim: &Sim<'_>, now: Duration) {
        if self.next().is_none_or(|next| next > now) {
            return;
        }
        // turmoil numbers its links as we do: each new node with all before it.
        sim.links(|links| {
            for (link, flights) in links.zip(&mut self.links) {
                for (segment, arrival) in link.zip(flights.iter()) {
                    if *arrival <= now {
                        segment.deliver();
                    }
                }
                flights.retain(|arrival| *arrival > now);
            }
        });
    }

    /// Takes in what was sent in the tick that began at `now`, before the delays of the next one.
    pub(super) fn take_off(&mut self, sim: &Sim<'_>, links: &Links, now: Duration) {
        let tick = self.tick;
        sim.links(|sent| {
            for ((segments, flights), link) in sent.zip(&mut self.links).zip(links.all()) {
                let fresh = segments.count().saturating_sub(flights.len());
                if fresh > 0 {
                    let arrival = now + up_to_tick(link.delay(), tick);
                    flights.extend(std::iter::repeat_n(arrival, fresh));
                }
            }
        });
    }

    /// Whatever was on this link is lost.
    pub(super) fn lose(&mut self, link: usize) {
        self.links[link].clear();
    }
}

/// The first border of a tick that is not before `time`.
pub(super) fn up_to_tick(time: Duration, tick: Duration) -> Duration {
    ticks(time.as_nanos().div_ceil(tick.as_nanos()), tick)
}

/// The last border of a tick before `time`.
pub(super) fn before_tick(time: Duration, tick: Duration) -> Duration {
    ticks(time.as_nanos().saturating_sub(1) / tick.as_nanos(), tick)
}

fn ticks(number: u128, tick: Duration) -> Duration {
    tick.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX))
}
