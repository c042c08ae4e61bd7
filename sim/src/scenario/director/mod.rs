//! The director of a scenario: faults whose time, or whose victim, only the run can tell.
//! Plain code: facts, steps and timers in, orders out. Whatever is drawn comes from streams that the
//! faults name; what is known of the world comes from its facts. Faults whose time and victim stand
//! in the file are given to the world as they are, in [`super::schedule`].

mod cast;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::random::RandomStream;
use slackwater_core::time::{EventTime, span_millis};

use self::cast::{Cast, Meant};
use super::drawn::{Drawn, Moment};
use super::schedule::windows_reach;
use crate::check::is_called;
use crate::fault::Fault;
use crate::journal::Entry;
use crate::world::{Action, Cue, Director, EPOCH, Mark, Orders, fact};

/// Directs the faults of one run.
pub(super) struct Story {
    parts: Vec<Part>,
    cast: Cast,
}

/// A fault, and how far it is.
struct Part {
    drawn: Drawn,
    random: RandomStream,
    begins: Option<Mark>,
    ends: Option<Mark>,
    state: State,
    /// Who sent a message and to whom, where one set it off.
    link: Option<(String, String)>,
    /// Who stands for whom, once it has begun.
    meant: BTreeMap<String, String>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    Waits,
    Comes,
    /// Its time has come, and nobody has had to do yet with what its victim had to do with.
    Looks,
    Lasts,
    Over,
}

impl Story {
    /// Directs those of the faults that need it; `None` if none does.
    pub(super) fn of(faults: &[Drawn], seed: u64) -> Option<Self> {
        let directed = faults.iter().filter(|fault| fault.is_directed());
        let parts: Vec<Part> = directed.map(|fault| Part::new(fault.clone(), seed)).collect();
        let asked = parts.iter().flat_map(|part| &part.drawn.whom);
        let cast = Cast::new(asked.filter_map(|whom| whom.touched_by.clone()));
        (!parts.is_empty()).then_some(Self { parts, cast })
    }

    fn start(&mut self, index: usize) -> Orders {
        let part = &mut self.parts[index];
        part.state = State::Comes;
        let Some(meant) = part.resolve(&self.cast) else {
            if part.drawn.whom.iter().any(|whom| self.cast.is_untouched(whom)) {
                part.state = State::Looks;
            }
            return Orders::new();
        };
        part.meant = meant;
        part.state = State::Lasts;
        let began = part.drawn.began();
        let deeds = part.drawn.begin.iter().map(|deed| part.meant(deed));
        let now = began.into_iter().chain(deeds).map(|deed| (Duration::ZERO, deed.into()));
        let mut orders: Orders = now.collect();
        if let Some((after, _)) = &part.drawn.end
            && *after < Duration::MAX
        {
            orders.push((*after, Action::Timer(timer(index, true))));
        }
        orders
    }

    fn end(&mut self, index: usize) -> Orders {
        let part = &mut self.parts[index];
        if part.state != State::Lasts {
            return Orders::new();
        }
        part.state = State::Over;
        let deeds = part.drawn.end.iter().flat_map(|(_, deeds)| deeds);
        let ended = Fault::Ended { name: part.drawn.name.clone() };
        let now = deeds.map(|deed| part.meant(deed)).chain([ended]);
        now.map(|deed| (Duration::ZERO, deed.into())).collect()
    }
}

/// The number of the timer at which a fault begins or ends.
fn timer(index: usize, ends: bool) -> u64 {
    index as u64 * 2 + u64::from(ends)
}

impl Director for Story {
    fn begin(&mut self, cast: &[String]) -> Orders {
        self.cast.enter(cast);
        let at = (0..).zip(&self.parts).filter_map(|(index, part)| match part.drawn.moment {
            Moment::At(at) => Some((at, Action::Timer(timer(index, false)))),
            _ => None,
        });
        at.collect()
    }

    fn on_fact(&mut self, entry: &Entry) -> Orders {
        self.cast.note(entry);
        let mut orders = Orders::new();
        for index in 0..self.parts.len() {
            let part = &mut self.parts[index];
            let hit = |mark: &mut Option<Mark>| mark.as_mut().is_some_and(|mark| mark(entry));
            match part.state {
                State::Waits if hit(&mut part.begins) => {
                    part.link = self.cast.link(entry);
                    let delay = part.drawn.moment.delay();
                    match delay.is_zero() {
                        true => orders.extend(self.start(index)),
                        false => {
                            part.state = State::Comes;
                            orders.push((delay, Action::Timer(timer(index, false))));
                        }
                    }
                }
                State::Looks => orders.extend(self.start(index)),
                State::Lasts if hit(&mut part.ends) => orders.extend(self.end(index)),
                _ => {}
            }
        }
        orders
    }

    fn next_step(&self) -> u64 {
        let steps = self.parts.iter().filter(|part| part.state == State::Waits);
        steps.filter_map(|part| part.drawn.moment.step()).min().unwrap_or(u64::MAX)
    }

    fn on_step(&mut self, step: u64) -> Orders {
        let mut orders = Orders::new();
        for index in 0..self.parts.len() {
            let part = &self.parts[index];
            if part.state == State::Waits && part.drawn.moment.step() == Some(step) {
                orders.extend(self.start(index));
            }
        }
        orders
    }

    fn on_timer(&mut self, timer: u64) -> Orders {
        let index = usize::try_from(timer / 2).unwrap_or(usize::MAX);
        match (index < self.parts.len(), timer % 2) {
            (true, 0) => self.start(index),
            (true, _) => self.end(index),
            (false, _) => Orders::new(),
        }
    }
}

impl Part {
    fn new(drawn: Drawn, seed: u64) -> Self {
        let random = RandomStream::named(seed, &format!("fault/{}/on", drawn.name));
        let begins = mark(&drawn.moment);
        let ends = drawn.until.as_ref().and_then(mark);
        let (link, meant) = (None, BTreeMap::new());
        Self { drawn, random, begins, ends, state: State::Waits, link, meant }
    }

    /// Who stands for each of those that are spoken of; `None` if there is nobody now.
    fn resolve(&mut self, cast: &Cast) -> Option<BTreeMap<String, String>> {
        let mut meant = BTreeMap::new();
        for whom in &self.drawn.whom {
            let Meant { nodes, pick } = cast.meant(whom, self.link.as_ref());
            let free: Vec<&String> =
                nodes.iter().filter(|node| !meant.values().any(|other| other == *node)).collect();
            let place = match pick {
                Some(number) => usize::try_from(number).unwrap_or(usize::MAX),
                None => self.random.below(free.len() as u64) as usize,
            };
            meant.insert(whom.called.clone(), (*free.get(place)?).clone());
        }
        Some(meant)
    }

    /// A deed, done to those who are meant.
    fn meant(&self, deed: &Fault) -> Fault {
        let mut deed = deed.clone();
        for node in deed.nodes_mut() {
            if let Some(meant) = self.meant.get(node) {
                node.clone_from(meant);
            }
        }
        deed
    }
}

/// What a moment waits for, if it waits for a fact.
fn mark(moment: &Moment) -> Option<Mark> {
    match moment {
        Moment::At(_) | Moment::Step(_) | Moment::Inside { .. } => None,
        Moment::EventTime { at, .. } => {
            let time = EPOCH.as_millis() + span_millis(*at);
            Some(windows_reach(EventTime::from_millis(time)))
        }
        Moment::Fact { probe, fields, nth, .. } => match fact(probe, fields, *nth) {
            Cue::Fact(mark) => Some(mark),
            Cue::Step(_) => None,
        },
        Moment::After { name, .. } => {
            let name = name.clone();
            Some(Box::new(move |entry| match &entry.fact {
                Fact::FaultBegan { fault: began } | Fact::StepDone { step: began, .. } => {
                    is_called(began, &name)
                }
                Fact::WorldCalm { .. } => name == "calm",
                _ => false,
            }))
        }
    }
}
