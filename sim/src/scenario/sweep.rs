//! A sweep: the same story once for every instant of a window and every victim, killed there.
//! Nothing is drawn and nothing is judged here: a run without the kill shows where the steps are,
//! and every instant is then a run of its own. Played by [`super::player`].

use std::fmt;
use std::time::Duration;

use serde_spanned::Spanned;

use super::drawn::{Drawn, Moment};
use super::fault::SweepPart;
use crate::fault::Fault;
use crate::journal::{Entry, Journal};
use crate::world::{Cue, Run, World, fact};

/// One instant at which one victim is killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instant {
    /// The which, from 0, over all victims of one seed.
    pub number: usize,
    /// The node.
    pub victim: String,
    /// When.
    pub moment: Moment,
    /// How long it is away; `None`: for good.
    pub down: Option<Duration>,
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instant {}: {}", self.number, self.fault())
    }
}

impl Instant {
    /// The kill, as a fault like any other.
    pub fn fault(&self) -> Drawn {
        let node = || self.victim.clone();
        let end = self.down.map(|down| (down, vec![Fault::Start { node: node() }]));
        let begin = vec![Fault::Kill { node: node() }];
        Drawn {
            name: "sweep".to_owned(),
            moment: self.moment.clone(),
            begin,
            end,
            until: None,
            whom: Vec::new(),
        }
    }
}

/// Marks the steps at which the window of a sweep begins and ends, for [`instants`].
pub(super) fn mark(world: World, sweep: &SweepPart) -> World {
    let Some(window) = &sweep.window else { return world };
    let checkpoint = sweep.checkpoint.map(|id| ("checkpoint".to_owned(), id.to_string()));
    let fields: Vec<_> = checkpoint.into_iter().collect();
    let (from, to) = window.get_ref();
    [from, to].into_iter().fold(world, |world, probe| match fact(probe, &fields, 1) {
        Cue::Fact(watch) => world.mark(watch),
        Cue::Step(_) => world,
    })
}

/// Every instant of a sweep, by victim and then by time. `base` is a run without the kill.
///
/// # Errors
/// If the window never opened or never closed.
pub(super) fn instants(
    sweep: &SweepPart,
    base: &Run,
    running: Duration,
) -> Result<Vec<Instant>, String> {
    let moments: Vec<Moment> = match (&sweep.window, &sweep.times, &sweep.between) {
        (Some(window), ..) => {
            let (from, to) = window.get_ref();
            match base.marks[..] {
                [Some(first), Some(last)] if first < last => {
                    (first + 1..=last).map(Moment::Step).collect()
                }
                _ => return Err(format!("no step lies between {from} and {to} of this sweep")),
            }
        }
        (None, Some(times), Some((from, to))) => {
            let times = *times.get_ref();
            let step = (to.0 - from.0) / times;
            (0..times).map(|n| Moment::At(running + from.0 + step * n)).collect()
        }
        _ => Vec::new(),
    };
    let of_victim = |victim: &Spanned<String>| {
        let victim = victim.get_ref().clone();
        moments.iter().map(move |moment| (victim.clone(), moment.clone()))
    };
    let all = sweep.victims.iter().flat_map(of_victim);
    let down = sweep.down.map(|down| down.0);
    let instant = |(number, (victim, moment))| Instant { number, victim, moment, down };
    Ok(all.enumerate().map(instant).collect())
}

/// Where the story of a run with a kill differs from the one without it before the kill: then the
/// world is not deterministic, and the instant is not the one that was meant.
pub(super) fn diverged(base: &Journal, run: &Journal, tick: Duration) -> Option<String> {
    let killed = run.entries().iter().find(|entry| entry.fact.probe() == "node.down")?.time;
    // Within a tick facts are sorted by time, so that of the kill's own tick some may be gone.
    let ticks = killed.as_micros() / tick.as_micros().max(1);
    let begin = Duration::from_micros(u64::try_from(ticks * tick.as_micros()).unwrap_or(u64::MAX));
    let before = |entries: &[Entry]| entries.partition_point(|entry| entry.time < begin);
    let (ours, theirs) = (before(run.entries()), before(base.entries()));
    let at = (0..ours.max(theirs)).find(|&at| run.entries().get(at) != base.entries().get(at))?;
    let line = |journal: &Journal| {
        journal.entries().get(at).map_or("nothing".to_owned(), |e| journal.line(e).to_string())
    };
    Some(format!(
        "before the kill the story is another at line {}\n  without: {}\n  with:    {}",
        at + 1,
        line(base),
        line(run)
    ))
}
