//! The loop of time: builds the world on turmoil, does the deeds that are due, steps, settles.
//! It never looks into a process and never draws: nodes and links bring their own streams.
//! What is run is described in [`super`]; one fresh thread per world keeps worlds apart.

use std::iter::Peekable;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use std::vec::IntoIter;

use slackwater_core::fact::{Down, Fact};
use slackwater_core::random::RandomStream;
use turmoil::Sim;

use super::cue::Cues;
use super::gate::message;
use super::link::{Link, Links};
use super::node::{Life, Node, Shuffle};
use super::realm::Realm;
use super::store::Objects;
use super::supervisor::{Call, Desk, supervise};
use super::{Action, EPOCH, End, Main, Run, Stop, Watch, World};
use crate::fault::Fault;

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
    script: Peekable<IntoIter<(Duration, Action)>>,
    stops: Vec<(Stop, Watch)>,
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
            .rng_seed(RandomStream::named(world.seed, "turmoil").next_u64())
            .build();
        let cast = (world.nodes.into_iter().zip(&realm.nodes))
            .map(|((_, main), node)| seat(&mut sim, &realm, node, main))
            .collect();
        let script = world.script.into_iter().peekable();
        let World { limit, step_limit, other_luck, stops, rest, .. } = world;
        let ended = None;
        Self { realm, sim, cast, limit, step_limit, other_luck, script, stops, rest, ended }
    }

    fn play(mut self) -> Run {
        for index in 0..self.realm.links.all().len() {
            self.apply_delay(index);
        }
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
        let time = self.sim.elapsed();
        let journal = self.realm.with_journal(std::mem::take);
        let (steps, store) = (self.realm.steps(), self.realm.store.snapshot());
        let marks = self.realm.marks();
        Run { journal, time, steps, marks, cpu: Duration::ZERO, end, store }
    }

    /// One tick.
    fn step(&mut self) -> Option<End> {
        let now = self.sim.elapsed();
        match &self.ended {
            Some((at, end)) if now >= *at + self.rest => return Some(end.clone()),
            None if now >= self.limit => return Some(End::Limit),
            None if self.realm.steps() >= self.step_limit => return Some(End::Limit),
            _ => {}
        }
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
        match catch_unwind(AssertUnwindSafe(|| self.sim.step())) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Some(End::Broken(error.to_string())),
            Err(payload) => return Some(End::Broken(message(payload.as_ref()))),
        }
        for index in 0..self.realm.links.all().len() {
            if self.realm.links.all()[index].redraw() {
                self.apply_delay(index);
            }
        }
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
        (self.sim.elapsed() >= *at + self.rest).then(|| end.clone())
    }

    fn apply_delay(&self, link: usize) {
        let link = &self.realm.links.all()[link];
        let (a, b) = link.ends;
        self.sim.set_link_latency(self.cast[a].ip, self.cast[b].ip, link.delay());
    }

    fn perform(&mut self, action: Action) {
        match action {
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
                for (index, link) in self.realm.links.all().iter().enumerate() {
                    if link.ends.0 == node || link.ends.1 == node {
                        link.slow_down(node, by);
                        self.apply_delay(index);
                    }
                }
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
            | Fault::Began { .. }
            | Fault::Ended { .. } => {}
        }
    }

    fn on_link(&self, between: &(String, String), deed: impl FnOnce(&Link)) {
        let (a, b) = (self.place(&between.0), self.place(&between.1));
        let link = self.realm.links.between(a, b).expect("a link has two different ends");
        deed(link);
        self.sim.set_link_latency(self.cast[a].ip, self.cast[b].ip, link.delay());
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
    let realm = Realm::new(world.seed, world.detail, nodes.collect(), net);
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
fn thread_cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}
