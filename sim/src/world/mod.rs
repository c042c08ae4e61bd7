//! A whole cluster on one seed: simulated nodes, network, clocks and disks, and the loop of time.
//! No wall clock, no randomness of the operating system, no thread but the one a world runs on;
//! equal worlds give equal journals. The engine's roles are put on nodes by [`cluster`]; deeds are
//! in [`crate::fault`]. turmoil is the one backend; a second would take the place of `stage` and
//! `net` beneath [`World::run`] and leave nodes, gates, disks and everything outside as they are.

pub mod cluster;
mod cue;
mod delivered;
mod director;
mod disk;
mod flights;
mod gate;
mod host;
mod link;
mod machine;
mod net;
mod node;
pub mod person;
mod pulse;
mod realm;
mod stage;
mod store;
mod supervisor;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::Detail;
use slackwater_runtime::host::{Host, LocalFuture};

use crate::fault::Fault;
use crate::journal::{Entry, Journal};

pub use cue::{Cue, Deeds, Mark};
pub use director::{Director, Orders};
pub use host::EPOCH;
pub use link::Delay;
pub use machine::Machine;
pub use node::Clocks;
pub use watch::fact;

/// What a process runs: called once per incarnation, on the world's thread.
pub type Main = Arc<dyn Fn(Arc<dyn Host>) -> LocalFuture<()> + Send + Sync>;

/// Whether a world may end: sees every fact once, in order.
pub type Watch = Box<dyn FnMut(&Entry) -> bool + Send>;

/// A world to be run: who is in it, what befalls it, when it ends.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use slackwater_sim::world::{End, World};
///
/// let run = World::new(7)
///     .node("alone", Arc::new(|host| Box::pin(async move { host.sleep(Duration::from_secs(5)).await })))
///     .limit(Duration::from_secs(9))
///     .run();
/// assert_eq!(run.end, End::Limit);
/// assert_eq!(run.journal.entries().last().expect("its end").fact.probe(), "node.down");
/// ```
pub struct World {
    seed: u64,
    tick: Duration,
    detail: Detail,
    shuffle: f64,
    delay: Delay,
    limit: Duration,
    step_limit: u64,
    other_luck: Option<(Duration, u64)>,
    nodes: Vec<(String, Option<Main>)>,
    clocks: BTreeMap<String, Clocks>,
    script: Vec<(Duration, Action)>,
    cues: Vec<(Cue, Deeds)>,
    director: Option<Box<dyn Director>>,
    lines: BTreeMap<String, Main>,
    marks: Vec<Mark>,
    stops: Vec<(Stop, Watch)>,
    rest: Duration,
    timed: bool,
    store: BTreeMap<String, Vec<u8>>,
}

/// Something that happens at a time.
pub enum Action {
    /// A deed of the world.
    Fault(Fault),
    /// A program is run on a node beside its process, such as a client on the `client` node; on a
    /// node that is down, nothing is.
    Run {
        /// The node.
        node: String,
        /// What is run.
        main: Main,
    },
    /// The director is asked again.
    Timer(u64),
}

impl From<Fault> for Action {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What a world waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Every submitted job has reached a final state.
    JobsFinal,
    /// The watermark was reached.
    Watermark,
    /// Whatever the watch was told to look for.
    Seen,
}

/// Why a world ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// What was waited for has come.
    Stopped(Stop),
    /// The limit of virtual time: a failure, unless nothing was waited for.
    Limit,
    /// The world itself broke.
    Broken(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(Stop::JobsFinal) => f.write_str("every job has ended"),
            Self::Stopped(Stop::Watermark) => f.write_str("the watermark was reached"),
            Self::Stopped(Stop::Seen) => f.write_str("what was waited for has come"),
            Self::Limit => f.write_str("the limit of virtual time was reached"),
            Self::Broken(why) => write!(f, "the world broke: {why}"),
        }
    }
}

/// What came of a world.
#[derive(Clone, Debug)]
pub struct Run {
    /// Every fact, in order.
    pub journal: Journal,
    /// Virtual time that went by.
    pub time: Duration,
    /// Polls of gated tasks, segments that arrived, operations of the store.
    pub steps: u64,
    /// By [`World::mark`], in order: at how many steps it was seen; `None` if it never was.
    pub marks: Vec<Option<u64>>,
    /// Processor time that was spent. Not reproducible: for reports of speed only.
    pub cpu: Duration,
    /// How much of it tasks of the engine took, with the facts they told: zero unless the world was
    /// [`World::timed`].
    pub engine: Duration,
    /// Why it ended.
    pub end: End,
    /// What lay in the object store then, by path: [`World::store`] begins another world with it.
    pub store: BTreeMap<String, Vec<u8>>,
}

impl World {
    /// An empty world: ticks of 10 ms, delays of 1 to 30 ms, exact clocks, no shuffling, facts at
    /// [`Detail::Records`], and a limit of 60 s.
    pub fn new(seed: u64) -> Self {
        let ms = Duration::from_millis;
        Self {
            seed,
            tick: ms(10),
            detail: Detail::Records,
            shuffle: 0.0,
            delay: Delay::Uniform { min: ms(1), max: ms(30) },
            limit: Duration::from_secs(60),
            step_limit: u64::MAX,
            other_luck: None,
            nodes: Vec::new(),
            clocks: BTreeMap::new(),
            script: Vec::new(),
            cues: Vec::new(),
            director: None,
            lines: BTreeMap::new(),
            marks: Vec::new(),
            stops: Vec::new(),
            rest: Duration::ZERO,
            timed: false,
            store: BTreeMap::new(),
        }
    }

    /// How far time moves in one step; whole milliseconds. Messages arrive on its borders.
    #[must_use]
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick.max(Duration::from_millis(1));
        self
    }

    /// Which facts are told.
    #[must_use]
    pub fn detail(mut self, detail: Detail) -> Self {
        self.detail = detail;
        self
    }

    /// The chance, below 1, that a task which may go on lets another go first: explores interleavings.
    #[must_use]
    pub fn shuffle(mut self, chance: f64) -> Self {
        self.shuffle = chance.clamp(0.0, 0.9);
        self
    }

    /// How long segments take on every link; [`Fault::Delay`] at time 0 sets one link apart.
    #[must_use]
    pub fn delay(mut self, delay: Delay) -> Self {
        self.delay = delay;
        self
    }

    /// The virtual time after which the world ends in any case.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Ends the world before its next tick once there were so many steps; there is no such end unless
    /// given.
    #[must_use]
    pub fn step_limit(mut self, steps: u64) -> Self {
        self.step_limit = steps;
        self
    }

    /// The clocks of a node.
    #[must_use]
    pub fn clocks(mut self, node: impl Into<String>, clocks: Clocks) -> Self {
        self.clocks.insert(node.into(), clocks);
        self
    }

    /// Adds a node whose process starts at time 0.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>, main: Main) -> Self {
        self.nodes.push((name.into(), Some(main)));
        self
    }

    /// Adds a node without a process of its own: programs are run on it by [`Action::Run`].
    #[must_use]
    pub fn idle_node(mut self, name: impl Into<String>) -> Self {
        self.nodes.push((name.into(), None));
        self
    }

    /// What lies in the object store when the world begins: what another world left there.
    #[must_use]
    pub fn store(mut self, bytes: BTreeMap<String, Vec<u8>>) -> Self {
        self.store = bytes;
        self
    }

    /// Adds an action at a virtual time; it is done at the beginning of the tick that holds it.
    #[must_use]
    pub fn at(mut self, time: Duration, action: impl Into<Action>) -> Self {
        self.script.push((time, action.into()));
        self
    }

    /// Lets deeds wait for a cue. A kill or a pause without delay is done at the very step; any
    /// other deed at the beginning of the tick in which its time has come.
    #[must_use]
    pub fn on(mut self, cue: Cue, deeds: Deeds) -> Self {
        self.cues.push((cue, deeds));
        self
    }

    /// Lets somebody decide while it runs; of several, the last.
    #[must_use]
    pub fn directed_by(mut self, director: Box<dyn Director>) -> Self {
        self.director = Some(director);
        self
    }

    /// What a person does at the client when [`Fault::Type`] names this step.
    #[must_use]
    pub fn line(mut self, step: impl Into<String>, main: Main) -> Self {
        self.lines.insert(step.into(), main);
        self
    }

    /// Notes in [`Run::marks`] how many steps there were at the first fact for which the watch says
    /// yes.
    #[must_use]
    pub fn mark(mut self, watch: Mark) -> Self {
        self.marks.push(watch);
        self
    }

    /// Ends the world when the watch says so; of several, the first.
    #[must_use]
    pub fn until(mut self, stop: Stop, watch: Watch) -> Self {
        self.stops.push((stop, watch));
        self
    }

    /// Lets the world go on for so long after what was waited for has come: time to tidy up in.
    #[must_use]
    pub fn rest(mut self, span: Duration) -> Self {
        self.rest = span;
        self
    }

    /// Lets luck be another from a time on: whatever is drawn from then on comes from this seed. Up
    /// to then the world is the same.
    #[must_use]
    pub fn other_luck(mut self, from: Duration, seed: u64) -> Self {
        self.other_luck = Some((from, seed));
        self
    }

    /// Measures the processor time of the engine's tasks, which costs some itself.
    #[must_use]
    pub fn timed(mut self) -> Self {
        self.timed = true;
        self
    }

    /// Runs the world to its end, on a fresh thread of its own.
    ///
    /// # Panics
    /// If two nodes share a name, or an action names a node that is not in the world.
    pub fn run(self) -> Run {
        stage::run(self)
    }

    /// Runs the world on processes of this machine instead, in its time, to its end: delays of links,
    /// ticks and shuffling are the machine's own then.
    ///
    /// # Errors
    /// If the machine refuses what a node needs.
    ///
    /// # Panics
    /// If an action names a node that is not in the world.
    pub fn run_on(self, machine: &Machine) -> std::io::Result<Run> {
        machine::run(self, machine)
    }
}

#[cfg(test)]
mod tests;
