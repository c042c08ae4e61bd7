//! The loop of time: builds the world on turmoil, does the deeds that are due, steps, settles.
//! It never looks into a process and never draws: nodes and links bring their own streams.
//! What is run is described in [`super`]; one fresh thread per world keeps worlds apart.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use std::vec::IntoIter;

use slackwater_core::fact::{Down, Fact};
use slackwater_core::random::RandomStream;
use turmoil::Sim;

use super::cluster::CLIENT;
use super::cue::Cues;
use super::flights::{Flights, NEVER, before_tick, up_to_tick};
use super::gate::message;
use super::link::{Link, Links};
use super::node::{Life, Node, Shuffle};
use super::realm::Realm;
use super::store::Objects;
use super::supervisor::{Call, Desk, supervise};
use super::{Action, EPOCH, End, Main, Run, Stop, Watch, World};
use crate::fault::Fault;

mod calm;

#[expect(clippy::disallowed_methods, reason = "one thread per world: nothing is shared with it")]
pub(super) fn run(world: World) -> Run {
    // Thread-locals of a world (turmoil's, tokio's) die with its thread.
    let thread = std::thread::Builder::new().name(format!("world {:#x}", world.seed));
    let spawned = thread.spawn(move || {
        let before = thread_cpu();
        let run = Stage::build(world).play();
        Run { cpu: thread_cpu().saturating_sub(before), ..run }
    });
    let joined = spawned.expect("the system gives a thread").join();
    joined.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

struct Stage {
    realm: Arc<Realm>,
    sim: Sim<'static>,
    cast: Vec<Player>,
    limit: Duration,
    step_limit: u64,
    other_luck: Option<(Duration, u64)>,
    tick: Duration,
    flights: Flights,
    script: Peekable<IntoIter<(Duration, Action)>>,
    stops: Vec<(Stop, Watch)>,
    /// What a person does at the client, by step.
    lines: BTreeMap<String, Main>,
    /// How long the world goes on once it has ended, and since when and why it has.
    rest: Duration,
    ended: Option<(Duration, End)>,
}

/// A node from outside: where it is, what it runs, how its supervisor is called.
struct Player {
    node: Arc<Node>,
    ip: IpAddr,
    main: Option<Main>,
    desk: Arc<Desk>,
}

impl Stage {
    fn build(mut world: World) -> Self {
        world.script.sort_by_key(|(time, _)| *time);
        let realm = realm(&mut world);
        let cues = (std::mem::take(&mut world.cues), std::mem::take(&mut world.marks));
        realm.arm(Cues::new(cues.0, cues.1), world.director.take());
        let mut sim = turmoil::Builder::new()
            .epoch(UNIX_EPOCH + Duration::from_millis(EPOCH.as_millis().unsigned_abs()))
            .simulation_duration(Duration::MAX)
            .tick_duration(world.tick)
            .min_message_latency(NEVER)
            .max_message_latency(NEVER)
            .rng_seed(RandomStream::named(world.seed, "turmoil").next_u64())
            .build();
        let cast = (world.nodes.into_iter().zip(&realm.nodes))
            .map(|((_, main), node)| seat(&mut sim, &realm, node, main))
            .collect();
        let script = world.script.into_iter().peekable();
        let World { limit, step_limit, other_luck, tick, stops, lines, rest, .. } = world;
        let flights = Flights::new(tick, &realm.links);
        Self {
            realm,
            sim,
            cast,
            limit,
            step_limit,
            other_luck,
            tick,
            flights,
            script,
            stops,
            lines,
            rest,
            ended: None,
        }
    }

    fn play(mut self) -> Run {
        for index in 0..self.cast.len() {
            self.start(index);
        }
        self.realm.store.tell(&self.realm);
        self.realm.begin();
        let end = loop {
            if let Some(end) = self.step() {
                break end;
            }
        };
        let time = self.now();
        let journal = self.realm.with_journal(std::mem::take);
        let (steps, store) = (self.realm.steps(), self.realm.store.snapshot());
        let marks = self.realm.marks();
        let engine = self.realm.engine.as_ref().map_or(0, |nanos| nanos.load(Ordering::Relaxed));
        let (cpu, engine) = (Duration::ZERO, Duration::from_nanos(engine));
        Run { journal, time, steps, marks, cpu, engine, end, store }
    }

    fn now(&self) -> Duration {
        self.sim.elapsed() + self.realm.leapt()
    }

    /// Why the world is over, if it is.
    fn over(&self) -> Option<End> {
        let now = self.now();
        match &self.ended {
            Some((at, end)) => (now >= *at + self.rest).then(|| end.clone()),
            None if now >= self.limit => Some(End::Limit),
            None => (self.realm.steps() >= self.step_limit).then_some(End::Limit),
        }
    }

    /// Leaves out the ticks before the next one in which anything happens.
    fn leap(&mut self) {
        let now = self.now();
        if !self.realm.pulse.is_still() {
            return;
        }
        let up = |time| up_to_tick(time, self.tick);
        let end = match &self.ended {
            // The last tick ends when it is over.
            Some((at, _)) => before_tick(*at + self.rest, self.tick),
            None => up(self.limit),
        };
        let comes = [
            self.flights.next(),
            // A timer on the border of two ticks fires at the end of the first.
            self.realm.pulse.next_timer(now).map(|time| before_tick(time, self.tick)),
            self.script.peek().map(|(time, _)| up(*time)),
            self.other_luck.map(|(from, _)| up(from)),
            self.realm.next_due().map(up),
            self.realm.store.next().map(up),
        ];
        let next = comes.into_iter().flatten().fold(end, Duration::min);
        if next > now {
            let span = next - now;
            self.cast.iter().for_each(|player| player.desk.advance(span));
            self.realm.leap(span);
        }
    }

    /// One tick.
    fn step(&mut self) -> Option<End> {
        if let Some(end) = self.over() {
            return Some(end);
        }
        self.leap();
        if let Some(end) = self.over() {
            return Some(end);
        }
        let now = self.now();
        self.realm.begin_tick(now);
        if let Some((_, seed)) = self.other_luck.take_if(|(from, _)| now >= *from) {
            self.realm.reseed(seed);
        }
        self.realm.store.settle(&self.realm, now);
        while let Some((_, action)) = self.script.next_if(|(time, _)| *time <= now) {
            self.perform(action);
        }
        for action in self.realm.take_due(now) {
            self.perform(action);
        }
        self.flights.land(&self.sim, now);
        self.realm.pulse.begin_tick();
        match catch_unwind(AssertUnwindSafe(|| self.sim.step())) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Some(End::Broken(error.to_string())),
            Err(payload) => return Some(End::Broken(message(payload.as_ref()))),
        }
        self.flights.take_off(&self.sim, &self.realm.links, now);
        self.realm.links.all().iter().for_each(|link| link.redraw());
        let stops = &mut self.stops;
        let ended = self.realm.with_journal(|journal| {
            let fresh = journal.settle();
            // Every watch sees every fact, also behind the one that ends the world.
            let mut ended = stops.iter_mut().filter_map(|(stop, watch)| {
                let hits = fresh.iter().filter(|entry| watch(entry)).count();
                (hits > 0).then_some(End::Stopped(*stop))
            });
            ended.next()
        });
        if let (Some(end), None) = (ended, &self.ended) {
            self.ended = Some((now, end));
        }
        let (at, end) = self.ended.as_ref()?;
        (self.now() >= *at + self.rest).then(|| end.clone())
    }

    fn perform(&mut self, action: Action) {
        self.realm.pulse.stir();
        match action {
            Action::Fault(Fault::Type { step, .. }) => {
                let line = self.lines.get(&step).cloned();
                self.run_beside(self.place(CLIENT), line.expect("what is typed was given before"));
            }
            Action::Fault(_) if self.realm.is_calm() => {}
            Action::Fault(Fault::Calm { dead }) => self.calm(&dead),
            Action::Run { node, main } => self.run_beside(self.place(&node), main),
            Action::Timer(timer) => self.realm.on_timer(timer),
            Action::Fault(Fault::Kill { node }) => self.end(self.place(&node), Down::Kill),
            Action::Fault(Fault::PowerLoss { node }) => {
                self.end(self.place(&node), Down::PowerLoss)
            }
            Action::Fault(Fault::Pause { node }) => self.realm.pause(&node),
            Action::Fault(Fault::Resume { node }) => self.resume(self.place(&node)),
            Action::Fault(Fault::Start { node }) => self.start(self.place(&node)),
            Action::Fault(Fault::Began { name }) => self.realm.tell_fault(name, true),
            Action::Fault(Fault::Ended { name }) => self.realm.tell_fault(name, false),
            Action::Fault(fault) => {
                let deed = fault.to_string();
                self.befall(fault);
                self.realm.tell(self.realm.nodes[0].index, Fact::FaultDone { deed });
            }
        }
    }

    /// Deeds done to links, clocks and the store.
    fn befall(&self, fault: Fault) {
        match fault {
            Fault::Store(fault) => self.realm.store.befall(&self.realm, fault),
            Fault::Delay { between, delay } => {
                self.on_link(&between, |link| link.set(delay));
            }
            Fault::Hold { from, to } => {
                let node = self.place(&to);
                self.on_link(&(from, to), |link| link.hold(node));
            }
            Fault::Release { between } => self.on_link(&between, Link::release),
            Fault::Reset { between } => {
                self.on_link(&between, |link| link.break_connections(None));
            }
            Fault::HalfOpen { gone, unaware } => {
                let node = self.place(&unaware);
                self.on_link(&(gone, unaware), |link| link.break_connections(Some(node)));
            }
            Fault::Slow { node, by } => {
                let node = self.place(&node);
                let links = &self.realm.links;
                links.of(node).for_each(|link| links.all()[link].slow_down(node, by));
            }
            Fault::ClockStep { node, by_ms } => {
                self.cast[self.place(&node)].node.step_clock(by_ms);
            }
            Fault::ClockDrift { node, ppm } => {
                let now = self.realm.now();
                self.cast[self.place(&node)].node.set_drift(now, ppm);
            }
            Fault::Kill { .. }
            | Fault::PowerLoss { .. }
            | Fault::Pause { .. }
            | Fault::Resume { .. }
            | Fault::Start { .. }
            | Fault::Type { .. }
            | Fault::Calm { .. }
            | Fault::Began { .. }
            | Fault::Ended { .. } => {}
        }
    }

    fn on_link(&self, between: &(String, String), deed: impl FnOnce(&Link)) {
        let (a, b) = (self.place(&between.0), self.place(&between.1));
        let link = self.realm.links.between(a, b).expect("a link has two different ends");
        deed(link);
    }

    fn place(&self, node: &str) -> usize {
        let place = self.realm.by_name.get(node);
        *place.unwrap_or_else(|| panic!("an action names node {node:?}, which is not in the world"))
    }

    /// Begins the next incarnation of a node that is down; any other goes on as it is.
    fn start(&mut self, index: usize) {
        let node = Arc::clone(&self.cast[index].node);
        match node.life() {
            Life::Up | Life::Paused => return,
            Life::Dark => self.for_lit_peers(index, |sim, a, b| sim.repair(a, b)),
            Life::Down => {}
        }
        let incarnation = node.begin();
        let began = self.realm.now();
        self.realm.tell(node.index, Fact::NodeStarted { node: node.name.clone(), incarnation });
        if let Some(main) = self.cast[index].main.clone() {
            self.call(index, Call { main, incarnation, began, is_process: true });
        }
    }

    fn run_beside(&mut self, index: usize, main: Main) {
        let incarnation = self.cast[index].node.incarnation();
        let began = self.realm.now();
        self.call(index, Call { main, incarnation, began, is_process: false });
    }

    fn call(&mut self, index: usize, call: Call) {
        let player = &self.cast[index];
        self.realm.pulse.stir();
        player.desk.put(call);
        player.node.bell.notify_one();
        if !self.sim.is_host_running(player.ip) {
            self.sim.bounce(player.ip);
        }
    }

    fn end(&mut self, index: usize, how: Down) {
        let node = Arc::clone(&self.cast[index].node);
        if how == Down::PowerLoss && node.life() != Life::Dark {
            // Before the process ends: a machine without power says no goodbyes.
            self.for_lit_peers(index, |sim, a, b| sim.partition(a, b));
            self.realm.links.of(index).for_each(|link| self.flights.lose(link));
        }
        self.realm.end(&node.name, how);
    }

    fn for_lit_peers(&self, index: usize, deed: impl Fn(&Sim<'static>, IpAddr, IpAddr)) {
        let lit = self.cast.iter().filter(|peer| peer.node.life() != Life::Dark);
        let ip = self.cast[index].ip;
        lit.filter(|peer| peer.ip != ip).for_each(|peer| deed(&self.sim, ip, peer.ip));
    }

    fn resume(&mut self, index: usize) {
        let node = &self.cast[index].node;
        if node.life() == Life::Paused {
            node.resume();
            self.realm.tell(node.index, Fact::NodeResumed { node: node.name.clone() });
        }
    }
}

fn realm(world: &mut World) -> Arc<Realm> {
    let names: Vec<&str> = world.nodes.iter().map(|(name, _)| name.as_str()).collect();
    let nodes = names.iter().zip(0..).map(|(name, index)| {
        let clocks = world.clocks.get(*name).copied().unwrap_or_default();
        let draws = Shuffle::stream(world.seed, name);
        Arc::new(Node::new(index, name, clocks, Shuffle { chance: world.shuffle, draws }))
    });
    let links = Links::new(world.seed, &names, world.delay);
    let net = (links, Objects::new(std::mem::take(&mut world.store), world.detail));
    let mut realm = Realm::new(world.seed, world.detail, nodes.collect(), net);
    realm.engine = world.timed.then(AtomicU64::default);
    assert_eq!(realm.by_name.len(), realm.nodes.len(), "every node has its own name");
    Arc::new(realm)
}

/// Gives a node its turmoil host, on which nothing but a supervisor runs.
fn seat(
    sim: &mut Sim<'static>,
    realm: &Arc<Realm>,
    node: &Arc<Node>,
    main: Option<Main>,
) -> Player {
    let desk = Arc::new(Desk::default());
    let shared = (Arc::clone(realm), Arc::clone(node), Arc::clone(&desk));
    let stays = main.is_some();
    sim.host(node.name.as_str(), move || {
        let (realm, node, desk) = shared.clone();
        supervise(realm, node, desk, stays)
    });
    let ip = sim.lookup(node.name.as_str());
    Player { node: Arc::clone(node), ip, main, desk }
}

/// Processor time of this thread.
pub(super) fn thread_cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}
