//! From the declared operators to a plan: chains, vertices in topological order, edges and ports.
//! A pure function of the declarations: equal programs give equal graphs in every process.
//! What a vertex does when it is opened is in [`super::open`].
//!
//! As in Flink, an operator joins the chain of the one that feeds it if that is its only input,
//! records are handed on without repartitioning, both have the same parallelism, and chaining is on.

use std::collections::BTreeMap;
use std::sync::Arc;

use slackwater_core::checkpoint::{CheckpointConfig, INLINE};
use slackwater_core::graph::{Edge, JobGraph, OperatorInfo, OperatorKind, TWO_PHASE, Vertex};
use slackwater_core::id::VertexId;

use super::env::Draft;
use super::layout::Layout;
use super::node::{Code, Exit, Node, Route};
use super::open::{Branch, ChainCode, Fan, Member, PortCode, Way};
use crate::operator::tap::Tapped;
use crate::packet::ElementCodec;
use crate::state::Upgrade;
use crate::task::{Plan, PlanError, VertexCode};

/// Translates what has been declared.
pub(super) fn translate(draft: &Draft) -> Result<Plan, PlanError> {
    check(draft)?;
    let layout = Layout::new(draft, parallelisms(draft)?);
    let (mut vertices, mut codes) = (Vec::new(), Vec::<Arc<dyn VertexCode>>::new());
    let mut edges = Edges::default();
    for (id, &head) in (0u32..).zip(&layout.heads) {
        let mut chain = Growing {
            layout: &layout,
            edges: &mut edges,
            id: VertexId(id),
            out: ChainParts::default(),
        };
        let entry = chain.enter(head)?;
        let ChainParts { operators, members, ports, upgrades } = chain.out;
        let parallelism = layout.parallelism[head];
        let source = match &draft.nodes[head].code {
            Code::Source(open) => Some((draft.nodes[head].uid_or_name(), open.clone())),
            _ => None,
        };
        let name = layout.chain_name(head);
        vertices.push(Vertex { id: VertexId(id), name, parallelism, operators });
        codes.push(Arc::new(ChainCode {
            parallelism,
            max_parallelism: draft.max_parallelism,
            clock: draft.clock,
            batch_rows: draft.batch_rows,
            quantum: layout.visible_from(head),
            source,
            entry,
            members,
            ports,
            upgrades,
        }));
    }
    let graph = JobGraph {
        name: draft.name.clone(),
        max_parallelism: draft.max_parallelism,
        restart: draft.restart,
        checkpoints: checkpoints(draft),
        latency_every: draft.latency_every,
        vertices,
        edges: edges.edges,
    };
    Ok(Plan { graph, vertices: codes, codecs: edges.codecs })
}

/// Refuses what no graph can be made of.
fn check(draft: &Draft) -> Result<(), PlanError> {
    if let Some(mistake) = draft.mistakes.first() {
        return Err(bad(mistake.clone()));
    }
    if !draft.nodes.iter().any(|node| node.kind == OperatorKind::Source) {
        return Err(bad(format!("job {:?} reads nothing: give it a source", draft.name)));
    }
    check_two_phase(draft)?;
    if draft.max_parallelism == 0 || draft.batch_rows == 0 {
        return Err(bad("max_parallelism and batch_rows are at least 1".to_owned()));
    }
    let mut seen = BTreeMap::new();
    for node in &draft.nodes {
        if let Some(idle) = node.idle_rule() {
            return Err(bad(format!(
                "{} holds no state of the type {idle}: what is migrated or looked at is the value of \
                 its state, of the type that it has there",
                node.described()
            )));
        }
        let Some(own) = &node.uid else {
            if !node.formerly.is_empty() {
                return Err(bad(format!(
                    "{} has no uid, and so had none: only what holds state has",
                    node.described()
                )));
            }
            continue;
        };
        for uid in node.formerly.iter().chain([own]) {
            if uid.0.is_empty() {
                return Err(bad(format!(
                    "the uid given at {} is empty: state is found by it",
                    node.at
                )));
            }
            if let Some(first) = seen.insert(uid, node.at) {
                return Err(bad(format!(
                    "uid {:?} is given twice, at {first} and at {}: state is found by it, so every \
                 operator needs its own",
                    uid.0, node.at
                )));
            }
        }
    }
    Ok(())
}

/// A two-phase sink of a job without end needs checkpoints (semantics rule 19): without them nothing
/// that it writes would ever be seen.
fn check_two_phase(draft: &Draft) -> Result<(), PlanError> {
    let commits = draft.checkpoints.as_ref().is_some_and(|config| config.interval.is_some());
    let sink = draft.nodes.iter().find(|node| node.note == TWO_PHASE);
    match (sink, draft.unbounded.first()) {
        (Some(sink), Some(source)) if !commits => Err(bad(format!(
            "sink {} commits when a checkpoint completes, none is taken, and source {source:?} may \
             never end: take checkpoints at an interval, or use a sink that is not two-phase",
            sink.described()
        ))),
        _ => Ok(()),
    }
}

/// What was asked for. A two-phase sink commits by a checkpoint, and several of them by the same one:
/// each at its own end would let a failure between two ends replay what the first has committed. So a
/// job that ends takes one at its end, small enough for the job manager to keep.
fn checkpoints(draft: &Draft) -> Option<CheckpointConfig> {
    let commits = draft.nodes.iter().any(|node| node.note == TWO_PHASE);
    let last = || CheckpointConfig { storage: INLINE.to_owned(), ..CheckpointConfig::default() };
    draft.checkpoints.clone().or_else(|| commits.then(last))
}

/// How many subtasks each operator has.
fn parallelisms(draft: &Draft) -> Result<Vec<u32>, PlanError> {
    draft.nodes.iter().map(|node| parallelism(draft, node)).collect()
}

fn parallelism(draft: &Draft, node: &Node) -> Result<u32, PlanError> {
    let most = node.limit.as_ref().map_or(u32::MAX, |(most, _)| *most);
    let parallelism = node.parallelism.unwrap_or(draft.parallelism.min(most));
    let groups = draft.max_parallelism;
    if let Some((0, why)) = &node.limit {
        return Err(bad(format!("{} cannot run: {why}", node.described())));
    }
    if parallelism == 0 {
        return Err(bad(format!("{} has parallelism 0: at least 1 is needed", node.described())));
    }
    if parallelism > u32::from(groups) {
        return Err(bad(format!(
            "{} has parallelism {parallelism}, more than the {groups} key groups of the job: lower \
             it, or raise max_parallelism",
            node.described()
        )));
    }
    match &node.limit {
        Some((most, why)) if parallelism > *most => Err(bad(format!(
            "{} cannot have parallelism {parallelism}, at most {most}: {why}",
            node.described()
        ))),
        _ => Ok(parallelism),
    }
}

fn bad(message: String) -> PlanError {
    PlanError::BadGraph { message }
}

/// The edges of all vertices, in the order of their senders and ports.
#[derive(Default)]
struct Edges {
    edges: Vec<Edge>,
    codecs: Vec<Arc<dyn ElementCodec>>,
}

/// What a chain is made of.
#[derive(Default)]
struct ChainParts {
    operators: Vec<OperatorInfo>,
    members: Vec<Member>,
    ports: Vec<PortCode>,
    upgrades: Vec<Upgrade>,
}

/// A chain under construction.
struct Growing<'a> {
    layout: &'a Layout<'a>,
    edges: &'a mut Edges,
    id: VertexId,
    out: ChainParts,
}

impl Growing<'_> {
    /// Grows the whole chain from its head; gives the way into it.
    fn enter(&mut self, head: usize) -> Result<Way, PlanError> {
        let node = &self.layout.draft.nodes[head];
        if let Code::Source(_) = node.code {
            let number = self.list(node);
            return Ok(Way::Stream(self.fan((head, number), 0)?));
        }
        if let Code::Connect(make) = &node.code {
            let number = self.list(node);
            let outputs = self.fans((head, number))?;
            return Ok(Way::Connected { make: make.clone(), outputs });
        }
        let link = &node.inputs[0];
        let carried = self.layout.draft.nodes[link.from].outputs[link.output].clone();
        let number = self.next_number();
        let branches = vec![self.join(head)?];
        let tapped = Tapped { from: None, to: vec![number], dropped: false };
        Ok(Way::Stream(Fan { carried, branches, tapped }))
    }

    /// Everything that reads an operator, by output.
    fn fans(&mut self, node: (usize, u32)) -> Result<Vec<Fan>, PlanError> {
        let outputs = self.layout.draft.nodes[node.0].outputs.len();
        (0..outputs).map(|output| self.fan(node, output)).collect()
    }

    /// Everything that reads one output: chained operators, sinks, edges.
    fn fan(&mut self, (node, number): (usize, u32), output: usize) -> Result<Fan, PlanError> {
        let carried = self.layout.draft.nodes[node].outputs[output].clone();
        let (mut branches, mut to) = (Vec::new(), Vec::new());
        for &(reader, input) in &self.layout.readers[node][output] {
            branches.push(match self.layout.chained_to(reader) {
                Some(_) => {
                    to.push(self.next_number());
                    self.join(reader)?
                }
                None => self.leave(node, output, (reader, input))?,
            });
        }
        // What stands beside the results and has no reader is dropped: late records.
        let dropped = output > 0 && branches.is_empty();
        let tapped = Tapped { from: Some(number), to, dropped };
        Ok(Fan { carried, branches, tapped })
    }

    /// The number in the chain that the next operator gets.
    fn next_number(&self) -> u32 {
        self.out.operators.len() as u32
    }

    /// Takes an operator, and what is chained behind it, into the chain.
    fn join(&mut self, node: usize) -> Result<Branch, PlanError> {
        let declared = &self.layout.draft.nodes[node];
        let number = self.list(declared);
        match &declared.code {
            Code::Sink(open) => {
                let (uid, open) = (declared.uid_or_name(), open.clone());
                let sink = PortCode::Sink { uid, operator: number, open };
                Ok(Branch::Port { exit: self.port(sink, 1), route: Route::Forward })
            }
            Code::Stage(make) => {
                let outputs = self.fans((node, number))?;
                self.out.members.push(Member { operator: number, make: make.clone(), outputs });
                Ok(Branch::Member(self.out.members.len() - 1))
            }
            Code::Source(_) => unreachable!("a source reads no stream"),
            Code::Connect(_) => unreachable!("what reads two streams begins a chain"),
        }
    }

    /// Adds the edge to an operator of another vertex.
    fn leave(
        &mut self,
        node: usize,
        output: usize,
        (reader, input): (usize, usize),
    ) -> Result<Branch, PlanError> {
        let layout = self.layout;
        let (senders, receivers) = (layout.parallelism[node], layout.parallelism[reader]);
        let route = &layout.draft.nodes[reader].inputs[input].route;
        let partition = route.partition(senders, receivers);
        let codec = layout.draft.nodes[node].outputs[output].codec().map_err(|error| {
            bad(format!("{} feeds another task: {error}", layout.draft.nodes[node].described()))
        })?;
        let exit = self.port(PortCode::Edge(self.edges.edges.len() as u32), receivers);
        self.edges.edges.push(Edge {
            from: self.id,
            port: exit.port,
            to: VertexId(layout.vertex[reader]),
            input: layout.draft.nodes[reader].inputs[input].input,
            partition,
            schema: codec.schema().fingerprint(),
        });
        self.edges.codecs.push(codec);
        let route = match route {
            Route::Forward if senders != receivers => Route::Rebalance,
            route => route.clone(),
        };
        Ok(Branch::Port { exit, route })
    }

    fn port(&mut self, code: PortCode, receivers: u32) -> Exit {
        let port = self.out.ports.len() as u32;
        self.out.ports.push(code);
        Exit { port, receivers, max_parallelism: self.layout.draft.max_parallelism }
    }

    /// Lists an operator of the chain; gives its number.
    fn list(&mut self, node: &Node) -> u32 {
        let number = self.next_number();
        self.out.operators.push(OperatorInfo {
            kind: node.kind,
            name: node.name.clone(),
            uid: node.uid.clone(),
            note: node.note.clone(),
            states: node.declared(),
            formerly: node.formerly.clone(),
        });
        if node.uid.is_some() {
            self.out.upgrades.push(node.upgrade());
        }
        number
    }
}
