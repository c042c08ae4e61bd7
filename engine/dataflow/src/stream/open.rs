//! Opens one subtask of a vertex: its connectors, and its stages linked from the last to the first.
//! Happens on the worker that runs it; makes no decision, all were made by [`super::translate`].
//! The result is driven by `runtime::task`.

use std::rc::Rc;
use std::sync::Arc;

use slackwater_core::graph::Uid;
use slackwater_core::id::Execution;
use slackwater_core::time::Clock;

use super::node::{
    Carried, Erased, Exit, MakeHead, MakeSink, MakeSource, MakeStage, Route, Site, SourceSite,
};
use crate::connector::{ConnectorError, Outside};
use crate::metric::Opened;
use crate::operator::tap::Tapped;
use crate::state::Upgrade;
use crate::task::{Instance, Port, VertexCode, opening};
use crate::watermark::Quantum;

/// What operators declared that they count, each by its number in the chain.
type Declarations = Vec<(u32, Vec<Opened>)>;

/// The code of one vertex.
pub(super) struct ChainCode {
    pub parallelism: u32,
    pub max_parallelism: u16,
    pub clock: Clock,
    pub batch_rows: usize,
    pub quantum: Quantum,
    /// Only if the vertex begins with a source.
    pub source: Option<(Uid, MakeSource)>,
    /// The way into the chain.
    pub entry: Way,
    /// The chained operators; one stands behind those that it feeds.
    pub members: Vec<Member>,
    pub ports: Vec<PortCode>,
    /// What the operators declare of state that an earlier program has left.
    pub upgrades: Vec<Upgrade>,
}

/// The way into a chain.
pub(super) enum Way {
    /// Of one stream, or of a union.
    Stream(Fan),
    /// Of two connected streams, into one operator.
    Connected { make: MakeHead, outputs: Vec<Fan> },
}

/// An operator of a chain.
pub(super) struct Member {
    /// Its number in the chain.
    pub operator: u32,
    pub make: MakeStage,
    /// By output.
    pub outputs: Vec<Fan>,
}

/// Everything that reads one stream within a chain.
pub(super) struct Fan {
    pub carried: Arc<dyn Carried>,
    pub branches: Vec<Branch>,
    /// For whom is counted what passes.
    pub tapped: Tapped,
}

/// One reader of a stream.
pub(super) enum Branch {
    /// An operator of the same chain, by its index.
    Member(usize),
    /// A sink or an edge.
    Port { exit: Exit, route: Route },
}

/// Where a port leads.
pub(super) enum PortCode {
    Edge(u32),
    /// `operator`: its number in the chain.
    Sink {
        uid: Uid,
        operator: u32,
        open: MakeSink,
    },
}

impl VertexCode for ChainCode {
    fn open(&self, task: Execution, outside: &Outside) -> Result<Instance, ConnectorError> {
        let mut declared = Vec::new();
        let ports = self.ports.iter().map(|port| self.port(port, (task, outside), &mut declared));
        let ports = ports.collect::<Result<_, _>>()?;
        let source = match &self.source {
            Some((uid, open)) => {
                let site = SourceSite { batch_rows: self.batch_rows, quantum: self.quantum };
                let opening = opening(uid, task, self.parallelism, outside);
                let metrics = Rc::clone(&opening.metrics);
                let source = open(opening, site)?;
                declared.push((0, metrics.take()));
                Some(source)
            }
            None => None,
        };
        let site = Site {
            task,
            parallelism: self.parallelism,
            max_parallelism: self.max_parallelism,
            clock: self.clock,
            metrics: Rc::default(),
        };
        let chain = match &self.entry {
            Way::Stream(fan) => fan.carried.entry(self.fan(fan, &site, &mut declared)),
            Way::Connected { make, outputs } => {
                let outputs = self.fans(outputs, &site, &mut declared);
                let chain = make(&site, outputs);
                declared.push((0, site.metrics.take()));
                chain
            }
        };
        let upgrades = self.upgrades.clone();
        Ok(Instance { subtask: task.subtask, source, chain, ports, upgrades, declared })
    }
}

impl ChainCode {
    fn port(
        &self,
        port: &PortCode,
        (task, outside): (Execution, &Outside),
        declared: &mut Declarations,
    ) -> Result<Port, ConnectorError> {
        Ok(match port {
            PortCode::Edge(edge) => Port::Edge(*edge),
            PortCode::Sink { uid, operator, open } => {
                let opening = opening(uid, task, self.parallelism, outside);
                let metrics = Rc::clone(&opening.metrics);
                let sink = open(opening)?;
                declared.push((*operator, metrics.take()));
                Port::Sink(sink)
            }
        })
    }

    fn fan(&self, fan: &Fan, site: &Site, declared: &mut Declarations) -> Erased {
        let mut branch = |branch: &Branch| match branch {
            Branch::Member(index) => self.member(&self.members[*index], site, declared),
            Branch::Port { exit, route: Route::Hash(router) } => router(exit),
            Branch::Port { exit, route: Route::Rebalance } => fan.carried.spread(exit),
            Branch::Port { exit, route: Route::Forward } => fan.carried.exit(exit),
        };
        let branches = fan.branches.iter().map(&mut branch).collect();
        fan.carried.tap(&fan.tapped, fan.carried.fan_out(branches))
    }

    fn member(&self, member: &Member, site: &Site, declared: &mut Declarations) -> Erased {
        let outputs = self.fans(&member.outputs, site, declared);
        let stage = (member.make)(site, outputs);
        declared.push((member.operator, site.metrics.take()));
        stage
    }

    fn fans(&self, outputs: &[Fan], site: &Site, declared: &mut Declarations) -> Vec<Erased> {
        outputs.iter().map(|fan| self.fan(fan, site, declared)).collect()
    }
}
