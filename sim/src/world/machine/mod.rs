//! The other backend of a world: processes of this machine, its sockets, its disk and its clock.
//! Does to them what a real machine can: starts, kills, stops and continues processes, and types
//! lines; draws nothing, and never pretends that what it cannot do was done. The loop of virtual time
//! that it stands beside is [`super::stage`]; a single node is in [`node`].
#![expect(clippy::disallowed_methods, reason = "the machine's own threads and files")]

mod node;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use slackwater_cli::rehearsal::Part;
use slackwater_core::fact::{Detail, Down, Fact};
use slackwater_core::time::span_millis;
use slackwater_runtime::host::real::since_epoch;

use self::node::{Life, Node, Told};
use super::cluster::{CLIENT, STORE};
use super::cue::Cues;
use super::director::{Director, Orders};
use super::{Action, EPOCH, End, Main, Run, Stop, Watch, World};
use crate::fault::Fault;
use crate::journal::{Entry, Journal, NodeIndex};

/// How long nodes have to be there before the story begins.
const OVERTURE: Duration = Duration::from_millis(1_500);

/// What cannot be written to, as in the simulator's store.
const READ_ONLY: &str = "readonly";

/// How long the loop waits at most before it looks again.
const GLANCE: Duration = Duration::from_millis(2);

/// What of a world runs as processes, and where.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The binary that every process runs.
    pub program: PathBuf,
    /// By node: the words behind the name of the binary. Other nodes run within this process.
    pub lines: BTreeMap<String, Vec<String>>,
    /// How many workers every task manager has.
    pub workers: u32,
    /// How many credits every channel between tasks has.
    pub credits: u32,
    /// An empty folder for tapes, output and the object store.
    pub folder: PathBuf,
}

/// Runs a world on processes until it ends; they are gone then.
///
/// # Errors
/// If the machine refuses what a node needs.
///
/// # Panics
/// If an action names a node that is not in the world.
pub(super) fn run(world: World, machine: &Machine) -> io::Result<Run> {
    Floor::furnish(machine)?;
    let mut floor = Floor::build(world, machine)?;
    floor.open()?;
    let end = floor.play();
    // Processes end with their nodes.
    let Floor { nodes, journal, .. } = floor;
    drop(nodes);
    let end = end?;
    let names = journal.nodes().to_vec();
    let mut entries = journal.entries().to_vec();
    // What two processes told at almost the same time has come in any order.
    entries.sort_by_key(|entry| entry.time);
    let time = entries.last().map_or(Duration::ZERO, |entry| entry.time);
    Ok(Run {
        journal: Journal::of(names, entries),
        time,
        steps: 0,
        marks: Vec::new(),
        cpu: Duration::ZERO,
        engine: Duration::ZERO,
        end,
        store: BTreeMap::new(),
    })
}

/// A world on the floor of this machine.
struct Floor {
    nodes: Vec<Node>,
    journal: Journal,
    cues: Cues,
    director: Option<Box<dyn Director>>,
    due: Vec<(Duration, Action)>,
    lines: BTreeMap<String, Main>,
    stops: Vec<(Stop, Watch)>,
    limit: Duration,
    rest: Duration,
    ended: Option<(Duration, End)>,
    is_calm: bool,
    /// How far the clocks of the story are ahead of the machine's, in ms.
    ahead: i64,
    heard: Receiver<Told>,
    _hearing: Sender<Told>,
}

impl Floor {
    fn build(world: World, machine: &Machine) -> io::Result<Self> {
        let begins = since_epoch(0) + OVERTURE;
        let ahead = EPOCH.as_millis() - span_millis(begins);
        let (hearing, heard) = channel();
        let names: Vec<String> = world.nodes.iter().map(|(name, _)| name.clone()).collect();
        let cast: BTreeMap<String, IpAddr> = names.iter().cloned().zip(addresses()).collect();
        let nodes = world.nodes.into_iter().zip(0..).map(|((name, main), index)| {
            let offset = world.clocks.get(&name).map_or(0, |clocks| clocks.offset_ms);
            let part = Part {
                at: cast[&name],
                cast: cast.clone(),
                ahead: ahead + offset,
                tape: None,
                workers: Some(machine.workers),
                credits: Some(machine.credits),
                root: (machine.folder.join("store"), STORE.to_owned()),
            };
            let role = match machine.lines.get(&name) {
                Some(line) => node::Role::process(machine, line),
                None => node::Role::within(main, world.seed, hearing.clone()),
            };
            Node::new(NodeIndex(index), name, part, role)
        });
        Ok(Self {
            nodes: nodes.collect(),
            journal: Journal::new(names),
            cues: Cues::new(world.cues, world.marks),
            director: world.director,
            due: world.script,
            lines: world.lines,
            stops: world.stops,
            limit: world.limit,
            rest: world.rest,
            ended: None,
            is_calm: false,
            ahead,
            heard,
            _hearing: hearing,
        })
    }

    /// The time since the story began; zero before.
    fn now(&self) -> Duration {
        self.of_story(since_epoch(self.ahead))
    }

    fn of_story(&self, since_1970: Duration) -> Duration {
        let began = Duration::from_millis(EPOCH.as_millis().unsigned_abs());
        since_1970.saturating_sub(began)
    }

    /// Makes the store: of its folders, nothing can be written to [`READ_ONLY`].
    fn furnish(machine: &Machine) -> io::Result<()> {
        let root = machine.folder.join("store");
        std::fs::create_dir(&root)?;
        // Root may write to every folder, and to none that is a file.
        std::fs::write(root.join(READ_ONLY), "")
    }

    /// Starts every node, and lets the director begin.
    fn open(&mut self) -> io::Result<()> {
        for index in 0..self.nodes.len() {
            self.start(index)?;
        }
        let cast = self.journal.nodes().to_vec();
        let orders = self.director.as_mut().map_or_else(Orders::new, |one| one.begin(&cast));
        self.give_out(orders);
        // The story begins when its clocks say so; its nodes are there by then.
        std::thread::sleep(Duration::from_millis((EPOCH.as_millis() as u64).saturating_sub(
            u64::try_from(since_epoch(self.ahead).as_millis()).unwrap_or(u64::MAX),
        )));
        Ok(())
    }

    fn play(&mut self) -> io::Result<End> {
        loop {
            let now = self.now();
            match &self.ended {
                Some((at, end)) if now >= *at + self.rest => return Ok(end.clone()),
                None if now >= self.limit => return Ok(End::Limit),
                _ => {}
            }
            self.due.sort_by_key(|(time, _)| *time);
            let come = self.due.partition_point(|(time, _)| *time <= now);
            for (_, action) in self.due.drain(..come).collect::<Vec<_>>() {
                self.perform(action)?;
            }
            self.listen()?;
            self.look_after()?;
        }
    }

    /// Takes in what was told since the last time, and sets off what waits for it.
    fn listen(&mut self) -> io::Result<()> {
        let mut told = Vec::new();
        match self.heard.recv_timeout(GLANCE) {
            Ok(one) => told.push(one),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        told.extend(self.heard.try_iter());
        for node in &mut self.nodes {
            told.extend(node.read()?);
        }
        told.sort_by_key(|(at, ..)| *at);
        for (at, node, fact) in told {
            let time = self.of_story(at);
            self.tell(time, node, fact);
        }
        let fresh = self.journal.settle();
        let stops = &mut self.stops;
        let mut ended = stops.iter_mut().filter_map(|(stop, watch)| {
            let hits = fresh.iter().filter(|entry| watch(entry)).count();
            (hits > 0).then_some(End::Stopped(*stop))
        });
        if let (Some(end), None) = (ended.next(), &self.ended) {
            drop(ended);
            self.ended = Some((self.now(), end));
        }
        Ok(())
    }

    /// A fact of the journal: also of who may wait for it.
    fn tell(&mut self, time: Duration, node: NodeIndex, fact: Fact) {
        let entry = Entry { time, node, fact };
        let fired = self.cues.on_fact(&entry, 0);
        let orders = self.director.as_mut().map_or_else(Orders::new, |one| one.on_fact(&entry));
        self.journal.push(entry.time, entry.node, entry.fact);
        let now = self.now();
        let fired = fired.into_iter().flatten();
        self.due.extend(fired.map(|(delay, fault)| (now + delay, Action::Fault(fault))));
        self.give_out(orders);
    }

    fn give_out(&mut self, orders: Orders) {
        let now = self.now();
        self.due.extend(orders.into_iter().map(|(delay, act)| (now.saturating_add(delay), act)));
    }

    /// Notices processes that have ended by themselves.
    fn look_after(&mut self) -> io::Result<()> {
        for index in 0..self.nodes.len() {
            if let Some(words) = self.nodes[index].ended()? {
                let node = self.nodes[index].name.clone();
                let place = self.nodes[index].index;
                let (time, how) = (self.now(), Down::Exit);
                if !words.is_empty() {
                    let fact = Fact::Panicked { task: node.clone(), message: words };
                    self.tell(time, place, fact);
                }
                self.tell(time, place, Fact::NodeDown { node, how });
            }
        }
        Ok(())
    }

    fn perform(&mut self, action: Action) -> io::Result<()> {
        match action {
            Action::Fault(Fault::Type { step, .. }) => {
                let main = self.lines.get(&step).cloned();
                let main = main.expect("what is typed was given before");
                self.run_beside(CLIENT, main);
            }
            Action::Run { node, main } => self.run_beside(&node, main),
            Action::Timer(timer) => {
                let orders =
                    self.director.as_mut().map_or_else(Orders::new, |one| one.on_timer(timer));
                self.give_out(orders);
            }
            Action::Fault(_) if self.is_calm => {}
            Action::Fault(fault) => self.befall(fault)?,
        }
        Ok(())
    }

    fn befall(&mut self, fault: Fault) -> io::Result<()> {
        match fault {
            Fault::Kill { node } => self.kill(self.place(&node)),
            Fault::Pause { node } => self.pause(self.place(&node)),
            Fault::Resume { node } => self.resume(self.place(&node)),
            Fault::Start { node } => self.start(self.place(&node)),
            Fault::Calm { dead } => self.calm(&dead),
            Fault::Began { name } => {
                self.tell(self.now(), NodeIndex(0), Fact::FaultBegan { fault: name });
                Ok(())
            }
            Fault::Ended { name } => {
                self.tell(self.now(), NodeIndex(0), Fact::FaultEnded { fault: name });
                Ok(())
            }
            other => Err(io::Error::other(format!("a machine cannot do this: {other}"))),
        }
    }

    fn run_beside(&mut self, node: &str, main: Main) {
        let place = self.place(node);
        self.nodes[place].run_beside(main);
    }

    fn place(&self, node: &str) -> usize {
        let place = self.nodes.iter().position(|one| one.name == node);
        place.unwrap_or_else(|| panic!("an action names node {node:?}, which is not in the world"))
    }

    /// Begins the next incarnation of a node that is down; any other goes on as it is.
    fn start(&mut self, index: usize) -> io::Result<()> {
        if self.nodes[index].life() != Life::Down {
            return Ok(());
        }
        let (time, place) = (self.now(), self.nodes[index].index);
        let (node, incarnation) = (self.nodes[index].name.clone(), self.nodes[index].next());
        self.tell(time, place, Fact::NodeStarted { node, incarnation });
        self.nodes[index].start()
    }

    fn kill(&mut self, index: usize) -> io::Result<()> {
        if self.nodes[index].life() == Life::Down {
            return Ok(());
        }
        let before = self.now();
        self.nodes[index].kill()?;
        self.went_down(index, before, Down::Kill)
    }

    fn pause(&mut self, index: usize) -> io::Result<()> {
        if self.nodes[index].life() != Life::Up {
            return Ok(());
        }
        let before = self.now();
        self.nodes[index].signal(rustix::process::Signal::STOP)?;
        self.went_down(index, before, Down::Pause)
    }

    /// Tells that a node fell silent: behind the last thing it said, and before others can notice.
    fn went_down(&mut self, index: usize, before: Duration, how: Down) -> io::Result<()> {
        let last = self.nodes[index].read()?;
        let last = last.into_iter().map(|(at, place, fact)| (self.of_story(at), place, fact));
        let mut time = before;
        for (at, place, fact) in last.collect::<Vec<_>>() {
            time = time.max(at);
            self.tell(at, place, fact);
        }
        let (node, place) = (self.nodes[index].name.clone(), self.nodes[index].index);
        self.tell(time, place, Fact::NodeDown { node, how });
        Ok(())
    }

    fn resume(&mut self, index: usize) -> io::Result<()> {
        if self.nodes[index].life() != Life::Paused {
            return Ok(());
        }
        let (time, place) = (self.now(), self.nodes[index].index);
        self.tell(time, place, Fact::NodeResumed { node: self.nodes[index].name.clone() });
        self.nodes[index].signal(rustix::process::Signal::CONT)
    }

    /// Lets everybody go on who is not to stay dead; nothing befalls the world any more.
    fn calm(&mut self, dead: &[String]) -> io::Result<()> {
        for index in 0..self.nodes.len() {
            match dead.contains(&self.nodes[index].name) {
                true => self.kill(index)?,
                false => {
                    self.resume(index)?;
                    self.start(index)?;
                }
            }
        }
        self.is_calm = true;
        self.tell(self.now(), NodeIndex(0), Fact::WorldCalm { dead: dead.join(" ") });
        Ok(())
    }
}

/// Addresses of this machine that no other world uses: one for each node, so that every node has
/// every port to itself.
fn addresses() -> impl Iterator<Item = IpAddr> {
    static WORLDS: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(7) + WORLDS.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = number.to_be_bytes();
    (1..=250).map(move |node| IpAddr::V4(Ipv4Addr::new(127, 64 + high % 128, low, node)))
}

/// How much nodes tell.
const DETAIL: Detail = Detail::Records;
