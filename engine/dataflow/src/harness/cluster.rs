//! All tasks of a plan on one thread, fed until nothing moves. Not the runtime: no channels, no
//! credits, no waiting; a packet is handed on as soon as it leaves. Gates and chains are the real
//! ones, and outputs are bounded to one packet a call, so that stages that can stop half-way do.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::element::{Barrier, BarrierKind, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, VertexId};
use slackwater_core::time::ProcessingTime;

use crate::connector::Outside;
use crate::gate::Gate;
use crate::operator::{Context, Counts, Outgoing, Outputs, Progress, Step};
use crate::packet::Packet;
use crate::state::{Fork, Restored, Section, Upgrade, sections};
use crate::task::{Chain, Plan, Port};

/// The tasks of a plan, and what has left them.
pub(super) struct Cluster {
    plan: Plan,
    /// By vertex and index.
    tasks: Vec<Vec<Task>>,
    clock: ProcessingTime,
    /// The inputs that have ended.
    ended: BTreeSet<u32>,
    facts: RefCell<Vec<Fact>>,
    /// By the uid of the sink.
    taken: BTreeMap<String, Vec<Packet>>,
    /// What was kept as barriers passed.
    kept: Vec<Box<dyn Fork>>,
    /// How many snapshots have been taken.
    snapshots: u64,
}

struct Task {
    execution: Execution,
    chain: Box<dyn Chain>,
    ports: Vec<Port>,
    /// `None` for the input.
    gate: Option<Gate>,
    /// The logical input of each channel.
    inputs: Vec<u32>,
    counts: Counts,
    /// What its operators declare of state that an earlier program has left.
    upgrades: Vec<Upgrade>,
}

/// A packet on its way to a channel of a task.
struct Moving {
    vertex: u32,
    index: u32,
    channel: usize,
    packet: Packet,
}

/// What a task is asked to do.
enum Call {
    Take(u32, Packet),
    Timers,
}

impl Cluster {
    /// Opens every task.
    pub(super) fn start(plan: Plan) -> Self {
        Self {
            tasks: Self::open(&plan),
            plan,
            clock: ProcessingTime::from_millis(0),
            ended: BTreeSet::new(),
            facts: RefCell::default(),
            taken: BTreeMap::new(),
            kept: Vec::new(),
            snapshots: 0,
        }
    }

    fn open(plan: &Plan) -> Vec<Vec<Task>> {
        let vertices = plan.graph.vertices.iter().zip(&plan.vertices);
        let tasks = vertices.map(|(vertex, code)| {
            let open = |index| {
                let subtask = Subtask { vertex: vertex.id, index };
                let (epoch, attempt) = (JobEpoch(1), Attempt(1));
                let execution = Execution { job: JobId(1), epoch, attempt, subtask };
                let instance = code.open(execution, &Outside(Arc::new(()))).expect("taps open");
                let edges = plan.graph.inputs(vertex.id);
                let inputs: Vec<u32> = edges
                    .flat_map(|(_, edge)| vec![edge.input; plan.graph.senders(edge, index).len()])
                    .collect();
                let gate = (!inputs.is_empty()).then(|| Gate::new(inputs.len()));
                let (chain, ports) = (instance.chain, instance.ports);
                let (counts, upgrades) = (Counts::of(vertex), instance.upgrades);
                counts.declare(instance.declared);
                Task { execution, chain, ports, gate, inputs, counts, upgrades }
            };
            (0..vertex.parallelism).map(open).collect()
        });
        tasks.collect()
    }

    /// Sends a barrier through every task, as a checkpoint does; what the operators keep.
    pub(super) fn snapshot(&mut self) -> Vec<Section> {
        self.snapshots += 1;
        let checkpoint = CheckpointId(self.snapshots);
        let barrier = Barrier { checkpoint, kind: BarrierKind::Checkpoint };
        let sources = self.plan.graph.sources().map(|source| source.id.0);
        let speaking: Vec<_> = sources.filter(|source| !self.ended.contains(source)).collect();
        for source in speaking {
            self.push(source, Packet::Signal(Signal::Barrier(barrier)));
        }
        let mut all = Vec::new();
        for mut fork in std::mem::take(&mut self.kept) {
            all.extend(sections(&mut *fork).unwrap_or_else(|refused| panic!("{refused}")));
        }
        all
    }

    /// What all subtasks have counted under a name.
    pub(super) fn counted(&self, name: &str) -> u64 {
        let read = |task: &Task| task.counts.read(task.execution, Duration::ZERO);
        let tasks = self.tasks.iter().flatten().map(read);
        let operators = tasks.flat_map(|told| told.operators);
        let declared = operators.flat_map(|operator| operator.declared);
        declared.filter(|own| own.name == name).map(|own| own.count).sum()
    }

    /// Another plan of the same operators, whose tasks wait for state.
    pub(super) fn plan_anew(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// The shape of what runs.
    pub(super) fn graph(&self) -> &JobGraph {
        &self.plan.graph
    }

    /// Opens every task anew, with the state of these sections: made into what the operators of
    /// today take up, as a worker does it. If it is refused, they have begun with nothing.
    pub(super) fn restore(&mut self, sections: &[Section]) -> Result<(), String> {
        self.ended.clear();
        self.tasks = Self::open(&self.plan);
        let done = self.tasks.iter_mut().flatten().try_for_each(|task| task.restore(sections));
        if done.is_err() {
            self.tasks = Self::open(&self.plan);
        }
        done
    }

    /// Gives a packet to an input, by its vertex, and lets everything come to rest.
    pub(super) fn push(&mut self, input: u32, packet: Packet) {
        if let Packet::Signal(Signal::EndOfInput) = packet {
            self.ended.insert(input);
        }
        let left = self.call(input, 0, Call::Take(0, packet));
        self.settle(left);
    }

    /// Fires what is due until `now`, in the order of time and tasks.
    pub(super) fn advance_clock(&mut self, now: ProcessingTime) {
        assert!(now >= self.clock, "processing time never goes back");
        while let Some((due, vertex, index)) = self.next_timer().filter(|next| next.0 <= now) {
            self.clock = due.max(self.clock);
            let left = self.call(vertex, index, Call::Timers);
            self.settle(left);
        }
        self.clock = now;
    }

    /// Processing time.
    pub(super) fn clock(&self) -> ProcessingTime {
        self.clock
    }

    pub(super) fn take(&mut self, uid: &str) -> Vec<Packet> {
        self.taken.remove(uid).unwrap_or_default()
    }

    pub(super) fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(self.facts.get_mut())
    }

    fn next_timer(&self) -> Option<(ProcessingTime, u32, u32)> {
        let tasks = self.tasks.iter().flatten();
        let timers = tasks.filter_map(|task| {
            let Subtask { vertex, index } = task.execution.subtask;
            Some((task.chain.next_timer()?, vertex.0, index))
        });
        timers.min()
    }

    /// Hands packets on, first come first served, until none is left.
    fn settle(&mut self, mut moving: VecDeque<Moving>) {
        while let Some(Moving { vertex, index, channel, packet }) = moving.pop_front() {
            let mut merged = Vec::new();
            let task = &mut self.tasks[vertex as usize][index as usize];
            let (gate, input) = (&mut task.gate, task.inputs[channel]);
            gate.as_mut().expect("an edge ends at a gate").accept(channel, packet, &mut merged);
            for packet in merged {
                moving.extend(self.call(vertex, index, Call::Take(input, packet)));
            }
        }
    }

    /// One call into a chain, and what left it.
    fn call(&mut self, vertex: u32, index: u32, call: Call) -> VecDeque<Moving> {
        let mut moving = VecDeque::new();
        let mut call = Some(call);
        loop {
            let task = &mut self.tasks[vertex as usize][index as usize];
            let mut outputs = Outputs { limit: 1, ..Outputs::default() };
            let facts = &self.facts;
            let tell = move |fact| facts.borrow_mut().push(fact);
            let told: (Detail, &dyn Fn(Fact)) = (Detail::Records, &tell);
            let mut cx = Context::new(task.execution, self.clock, told, &mut outputs, &task.counts);
            let progress = match call.take() {
                Some(call) => step(task.chain.as_mut(), call, &mut cx).map(|()| Progress::More),
                None => task.chain.resume(&mut cx),
            };
            let progress = progress.unwrap_or_else(|failed| panic!("{failed}"));
            self.kept.append(&mut outputs.kept);
            for outgoing in outputs.pending {
                self.leave(VertexId(vertex), index, outgoing, &mut moving);
            }
            if progress == Progress::Done {
                return moving;
            }
        }
    }

    /// Sends a packet where its port leads.
    fn leave(
        &mut self,
        vertex: VertexId,
        index: u32,
        Outgoing { port, channel, packet }: Outgoing,
        moving: &mut VecDeque<Moving>,
    ) {
        let task = &self.tasks[vertex.0 as usize][index as usize];
        match &task.ports[port as usize] {
            // A barrier means nothing to a reader of the stream.
            Port::Sink(_) if matches!(packet, Packet::Signal(Signal::Barrier(_))) => {}
            Port::Sink(sink) => {
                self.taken.entry(sink.uid().0.clone()).or_default().push(packet);
            }
            Port::Edge(edge) => {
                let receivers =
                    self.plan.graph.receivers(&self.plan.graph.edges[*edge as usize], index);
                match (channel, packet) {
                    (Some(channel), packet) => {
                        let to = receivers[channel as usize];
                        moving.push_back(self.addressed((*edge, index, to), packet));
                    }
                    (None, Packet::Signal(signal)) => moving.extend(
                        receivers
                            .into_iter()
                            .map(|to| self.addressed((*edge, index, to), Packet::Signal(signal))),
                    ),
                    (None, Packet::Batch(_)) => unreachable!("a batch goes to one channel"),
                }
            }
        }
    }

    /// Finds the channel of the receiver's gate: edges in order, and senders in order within one.
    fn addressed(&self, (edge, from, to): (u32, u32, u32), packet: Packet) -> Moving {
        let vertex = self.plan.graph.edges[edge as usize].to;
        let before = self.plan.graph.inputs(vertex).take_while(|(index, _)| *index < edge);
        let before: usize = before.map(|(_, edge)| self.plan.graph.senders(edge, to).len()).sum();
        let senders = self.plan.graph.senders(&self.plan.graph.edges[edge as usize], to);
        let place = senders.iter().position(|sender| *sender == from);
        let place = place.expect("a receiver knows its senders");
        Moving { vertex: vertex.0, index: to, channel: before + place, packet }
    }
}

impl Task {
    fn restore(&mut self, left: &[Section]) -> Result<(), String> {
        let upgraded = self.upgrades.iter().try_fold(left.to_vec(), |left, own| own.apply(left));
        let sections = upgraded.map_err(|unfit| unfit.to_string())?;
        let restored = Restored { sections, ..Restored::default() };
        self.chain.restore(&restored).map_err(|refused| refused.to_string())
    }
}

fn step(chain: &mut dyn Chain, call: Call, cx: &mut Context<'_>) -> Step {
    match call {
        Call::Take(input, Packet::Batch(batch)) => chain.batch(input, batch, cx),
        Call::Take(_, Packet::Signal(signal)) => chain.signal(signal, cx),
        Call::Timers => chain.on_timers(cx),
    }
}
