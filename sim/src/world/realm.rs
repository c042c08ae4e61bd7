//! What all nodes of one world share: the cast, the links, the true time, the journal.
//! Nothing here takes a decision, and nothing outlives its world.
//! Nodes are in [`super::node`], links in [`super::net`]; the loop that moves time is [`super::stage`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slackwater_core::fact::{Detail, Down, Fact};

use super::Action;
use super::cue::{Cues, Deeds};
use super::director::{Director, Orders};
use super::link::Links;
use super::node::{Life, Node};
use super::pulse::Pulse;
use super::store::Objects;
use crate::fault::Fault;
use crate::journal::{Entry, Journal, NodeIndex};

/// One world, as its nodes share it.
pub(super) struct Realm {
    /// Where streams that begin now come from.
    seed: AtomicU64,
    pub(super) detail: Detail,
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) by_name: BTreeMap<String, usize>,
    pub(super) links: Links,
    pub(super) store: Objects,
    pub(super) pulse: Arc<Pulse>,
    /// Nanoseconds that tasks took, if anybody wants to know.
    pub(super) engine: Option<AtomicU64>,
    journal: Mutex<Journal>,
    tick_began_micros: AtomicU64,
    /// How far time is ahead of turmoil's, for all the ticks that were left out.
    leapt_micros: AtomicU64,
    steps: AtomicU64,
    cues: Mutex<Cues>,
    /// The next step that a cue waits for, and whether any waits for a fact: asked all the time.
    next_cue: AtomicU64,
    facts_cue: AtomicBool,
    /// Whether nothing befalls the world any more.
    is_calm: AtomicBool,
    director: Mutex<Option<Box<dyn Director>>>,
    /// What cues and the director have set off, each with its time; taken by the loop of time.
    due: Mutex<Vec<(Duration, Action)>>,
}

impl Realm {
    pub(super) fn new(
        seed: u64,
        detail: Detail,
        nodes: Vec<Arc<Node>>,
        net: (Links, Objects),
    ) -> Self {
        let (links, store) = net;
        let names = nodes.iter().map(|node| node.name.clone());
        Self {
            seed: AtomicU64::new(seed),
            detail,
            by_name: names.clone().zip(0..).collect(),
            links,
            store,
            pulse: Arc::default(),
            engine: None,
            journal: Mutex::new(Journal::new(names)),
            tick_began_micros: AtomicU64::new(0),
            leapt_micros: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            cues: Mutex::default(),
            next_cue: AtomicU64::new(u64::MAX),
            facts_cue: AtomicBool::new(false),
            is_calm: AtomicBool::new(false),
            director: Mutex::default(),
            due: Mutex::default(),
            nodes,
        }
    }

    /// The seed of streams that begin now.
    pub(super) fn seed(&self) -> u64 {
        self.seed.load(Ordering::Relaxed)
    }

    /// Lets luck be another from here on: every stream of the world begins anew, from this seed.
    pub(super) fn reseed(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
        self.links.reseed(seed, &self.nodes);
        self.nodes.iter().for_each(|node| node.reseed(seed));
        self.store.reseed();
    }

    /// Arms the cues of the world, before it begins.
    pub(super) fn arm(&self, cues: Cues, director: Option<Box<dyn Director>>) {
        *locked(&self.cues) = cues;
        *locked(&self.director) = director;
        self.note_cues();
    }

    /// Lets the director begin.
    pub(super) fn begin(&self) {
        let cast: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        self.give_out(self.ask(|director| director.begin(&cast)));
    }

    /// At how many steps each mark of the world was seen.
    pub(super) fn marks(&self) -> Vec<Option<u64>> {
        locked(&self.cues).seen()
    }

    fn note_cues(&self) {
        let (cues, director) = (locked(&self.cues), locked(&self.director));
        let asked = director.as_ref().map_or(u64::MAX, |director| director.next_step());
        self.next_cue.store(cues.next_step().min(asked), Ordering::Relaxed);
        let waits = cues.wait_for_facts() || director.is_some();
        self.facts_cue.store(waits, Ordering::Relaxed);
    }

    /// Asks the director, if there is one.
    fn ask(&self, what: impl FnOnce(&mut dyn Director) -> Orders) -> Orders {
        let orders = match &mut *locked(&self.director) {
            Some(director) => what(&mut **director),
            None => return Orders::new(),
        };
        self.note_cues();
        orders
    }

    /// The time of a timer has come.
    pub(super) fn on_timer(&self, timer: u64) {
        self.give_out(self.ask(|director| director.on_timer(timer)));
    }

    /// From now on nothing befalls the world.
    pub(super) fn calm_down(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    pub(super) fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.by_name.get(name).map(|index| &self.nodes[*index])
    }

    /// The true time: the running host's, or between ticks the tick's beginning.
    pub(super) fn now(&self) -> Duration {
        let tick = || Duration::from_micros(self.tick_began_micros.load(Ordering::Relaxed));
        turmoil::sim_elapsed().map_or_else(tick, |elapsed| elapsed + self.leapt())
    }

    /// How far time is ahead of turmoil's.
    pub(super) fn leapt(&self) -> Duration {
        Duration::from_micros(self.leapt_micros.load(Ordering::Relaxed))
    }

    /// Leaves out ticks in which nothing happens.
    pub(super) fn leap(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.leapt_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Completes after `span` of true time.
    pub(super) fn sleep(&self, span: Duration) -> impl Future<Output = ()> + use<> {
        self.pulse.sleep(self.now(), span)
    }

    pub(super) fn begin_tick(&self, now: Duration) {
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.tick_began_micros.store(micros, Ordering::Relaxed);
    }

    pub(super) fn tell(&self, node: NodeIndex, fact: Fact) {
        if self.detail == Detail::Off {
            return;
        }
        let time = self.now();
        if !self.facts_cue.load(Ordering::Relaxed) {
            return self.with_journal(|journal| journal.push(time, node, fact));
        }
        let entry = Entry { time, node, fact };
        let fired = self.fire(|cues| cues.on_fact(&entry, self.steps()));
        let orders = self.ask(|director| director.on_fact(&entry));
        self.with_journal(|journal| journal.push(entry.time, entry.node, entry.fact));
        fired.into_iter().for_each(|deeds| self.set_off(deeds));
        self.give_out(orders);
    }

    fn fire(&self, on: impl FnOnce(&mut Cues) -> Vec<Deeds>) -> Vec<Deeds> {
        let fired = on(&mut locked(&self.cues));
        self.note_cues();
        fired
    }

    /// Does at once what can be done within a step, and leaves the rest to the loop of time.
    fn set_off(&self, deeds: Deeds) {
        let now = self.now();
        for (delay, fault) in deeds {
            match &fault {
                Fault::Type { .. } => locked(&self.due).push((now + delay, fault.into())),
                _ if self.is_calm() => {}
                Fault::Kill { node } if delay.is_zero() => self.end(node, Down::Kill),
                Fault::Pause { node } if delay.is_zero() => self.pause(node),
                Fault::Began { name } if delay.is_zero() => self.tell_fault(name.clone(), true),
                _ => locked(&self.due).push((now + delay, fault.into())),
            }
        }
    }

    /// As [`Realm::set_off`], for what the director has ordered.
    fn give_out(&self, orders: Orders) {
        for (delay, action) in orders {
            match action {
                Action::Fault(fault) => self.set_off(vec![(delay, fault)]),
                other => locked(&self.due).push((self.now().saturating_add(delay), other)),
            }
        }
    }

    /// Tells that a fault begins, or that it is over: on the first node, as of the whole world.
    pub(super) fn tell_fault(&self, fault: String, begins: bool) {
        let fact = match begins {
            true => Fact::FaultBegan { fault },
            false => Fact::FaultEnded { fault },
        };
        self.tell(self.nodes[0].index, fact);
    }

    /// The deeds that have come due.
    pub(super) fn take_due(&self, now: Duration) -> Vec<Action> {
        let mut all = locked(&self.due);
        let mut due: Vec<_> = all.extract_if(.., |(time, _)| *time <= now).collect();
        due.sort_by_key(|(time, _)| *time);
        due.into_iter().map(|(_, action)| action).collect()
    }

    /// When the next deed comes due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        locked(&self.due).iter().map(|(time, _)| *time).min()
    }

    /// Ends a node's process. A machine that goes dark is parted from its peers by the caller.
    pub(super) fn end(&self, node: &str, how: Down) {
        let Some(node) = self.node(node) else { return };
        let life = if how == Down::PowerLoss { Life::Dark } else { Life::Down };
        match node.life() {
            Life::Dark => return,
            Life::Down if life == Life::Down => return,
            Life::Down | Life::Up | Life::Paused => {}
        }
        node.end(life);
        self.pulse.stir();
        self.tell(node.index, Fact::NodeDown { node: node.name.clone(), how });
    }

    pub(super) fn pause(&self, node: &str) {
        let Some(node) = self.node(node) else { return };
        if node.life() == Life::Up {
            node.pause();
            let fact = Fact::NodeDown { node: node.name.clone(), how: Down::Pause };
            self.tell(node.index, fact);
        }
    }

    pub(super) fn with_journal<T>(&self, use_it: impl FnOnce(&mut Journal) -> T) -> T {
        use_it(&mut locked(&self.journal))
    }

    /// Counts a step that is about to be taken, and does what waits for it: whether anything did.
    pub(super) fn count_step(&self) -> bool {
        let step = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        let is_cue = step >= self.next_cue.load(Ordering::Relaxed);
        if is_cue {
            let fired = self.fire(|cues| cues.on_step(step));
            let orders = self.ask(|director| director.on_step(step));
            fired.into_iter().for_each(|deeds| self.set_off(deeds));
            self.give_out(orders);
        }
        is_cue
    }

    /// How many steps there were: polls of gated tasks, segments that arrived, operations of the
    /// store.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
