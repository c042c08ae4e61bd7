//! Derives the channels of this worker's tasks from the job graph and the placement of its tasks.
//! Equal deployments give equal wires on every worker: both ends of a channel are named alike.
//! What the wires are made of is in [`crate::exchange`].

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use slackwater_core::id::{ChannelId, Execution, Subtask, WorkerId};
use slackwater_dataflow::operator::Counts;
use slackwater_dataflow::task::Plan;

use crate::deployment::{Deployment, Placed};
use crate::exchange::{Alarm, AttemptKey, ExchangeConfig, Inbound, Inbox, Link, Outbound, Route};
use crate::host::{Host, LocalFuture};
use crate::task::{Mailbox, Snapshots, Wires};
use crate::worker::Seat;

/// Where the wires lie.
#[derive(Copy, Clone)]
pub(super) struct Site<'a> {
    pub host: &'a Arc<dyn Host>,
    pub seat: &'a Seat,
    pub config: &'a ExchangeConfig,
    /// How the tasks take part in checkpoints, if there are any.
    pub snapshots: Option<&'a Snapshots>,
}

/// The tasks of an attempt on this worker, wired, and the connections that they need.
pub(super) struct Wired {
    pub tasks: Vec<WiredTask>,
    pub inbound: BTreeMap<ChannelId, Inbound>,
    pub links: Vec<LocalFuture<()>>,
}

/// A task that is ready to start.
pub(super) struct WiredTask {
    pub execution: Execution,
    pub wires: Wires,
    pub alarm: Rc<Alarm>,
}

/// The receiving end of a task.
struct Receiving {
    inbox: Rc<Inbox>,
    channels: Vec<ChannelId>,
    inputs: Vec<u32>,
    alarm: Rc<Alarm>,
    counts: Arc<Counts>,
}

/// Makes every channel of this worker's tasks.
///
/// # Errors
/// If graph and placement do not fit together.
pub(super) fn wire(
    site: Site<'_>,
    key: AttemptKey,
    deployment: &Deployment,
    plan: &Plan,
) -> Result<Wired, String> {
    let wiring = Wiring {
        site,
        key,
        plan,
        placement: deployment.placement.iter().map(|placed| (placed.subtask, placed)).collect(),
    };
    wiring.check(&deployment.subtasks)?;
    let receiving: BTreeMap<_, _> =
        deployment.subtasks.iter().map(|&subtask| (subtask, wiring.receiving(subtask))).collect();
    let mut links = BTreeMap::new();
    let mut tasks = Vec::new();
    for (&subtask, end) in &receiving {
        let outputs = wiring.sending(subtask, &receiving, &mut links);
        let is_fed = !end.channels.is_empty();
        let inputs = is_fed.then(|| (Rc::clone(&end.inbox), end.inputs.clone()));
        let alarm = Rc::clone(&end.alarm);
        let execution = key.execution(subtask);
        site.seat.meters.begin(execution, Arc::clone(&end.counts));
        tasks.push(WiredTask {
            execution,
            wires: Wires {
                inputs,
                outputs,
                counts: Arc::clone(&end.counts),
                orders: Mailbox::new(),
                snapshots: site.snapshots.cloned(),
                halted: deployment.restore.as_ref().is_some_and(|point| point.halted),
            },
            alarm,
        });
    }
    let inbound = wiring.inbound(&receiving);
    let run =
        |link: Rc<Link>| Box::pin(link.run(Arc::clone(site.host), *site.config)) as LocalFuture<()>;
    Ok(Wired { tasks, inbound, links: links.into_values().map(run).collect() })
}

struct Wiring<'a> {
    site: Site<'a>,
    key: AttemptKey,
    plan: &'a Plan,
    placement: BTreeMap<Subtask, &'a Placed>,
}

impl Wiring<'_> {
    /// Every subtask of the graph is placed, and ours are placed here.
    fn check(&self, ours: &[Subtask]) -> Result<(), String> {
        for vertex in &self.plan.graph.vertices {
            for index in 0..vertex.parallelism {
                let subtask = Subtask { vertex: vertex.id, index };
                if !self.placement.contains_key(&subtask) {
                    return Err(format!("the deployment places no {subtask}"));
                }
            }
        }
        let here = self.placement.values().filter(|placed| placed.worker == self.site.seat.id);
        if let Some(left_out) = here.map(|placed| placed.subtask).find(|s| !ours.contains(s)) {
            return Err(format!("the deployment places {left_out} here and does not start it"));
        }
        for subtask in ours {
            let placed = self.placement.get(subtask);
            let exists = (subtask.vertex.0 as usize) < self.plan.graph.vertices.len();
            if !exists || placed.is_none_or(|placed| placed.worker != self.site.seat.id) {
                return Err(format!("the deployment places {subtask} on another worker"));
            }
        }
        Ok(())
    }

    fn worker_of(&self, vertex: slackwater_core::id::VertexId, index: u32) -> &Placed {
        self.placement[&Subtask { vertex, index }]
    }

    /// The channels into a task are numbered across all of its inputs: edge by edge, sender by
    /// sender.
    fn receiving(&self, subtask: Subtask) -> Receiving {
        let (mut channels, mut inputs) = (Vec::new(), Vec::new());
        for (index, edge) in self.plan.graph.inputs(subtask.vertex) {
            for from in self.plan.graph.senders(edge, subtask.index) {
                channels.push(ChannelId { edge: index, from, to: subtask.index });
                inputs.push(edge.input);
            }
        }
        let inbox = Inbox::new(channels.len(), self.site.config.credits);
        let counts = Arc::new(Counts::of(self.plan.graph.vertex(subtask.vertex)));
        Receiving { inbox, channels, inputs, alarm: Rc::new(Alarm::default()), counts }
    }

    /// The channels out of a task, by edge.
    fn sending(
        &self,
        subtask: Subtask,
        receiving: &BTreeMap<Subtask, Receiving>,
        links: &mut BTreeMap<WorkerId, Rc<Link>>,
    ) -> BTreeMap<u32, Vec<Outbound>> {
        let task = self.key.execution(subtask);
        let mut outputs = BTreeMap::new();
        for (index, edge) in self.plan.graph.outputs(subtask.vertex) {
            let mut channels = Vec::new();
            for to in self.plan.graph.receivers(edge, subtask.index) {
                let channel = ChannelId { edge: index, from: subtask.index, to };
                let placed = self.worker_of(edge.to, to);
                if placed.worker == self.site.seat.id {
                    let end = &receiving[&placed.subtask];
                    let number = end.channels.iter().position(|other| *other == channel);
                    let number = number.expect("senders and receivers of an edge are each other's");
                    let inbox = Rc::clone(&end.inbox);
                    channels.push(Outbound::local(task, channel, inbox, number as u32));
                } else {
                    let link = links.entry(placed.worker.clone());
                    let link = link.or_insert_with(|| Link::new(self.route(placed)));
                    let codec = Arc::clone(&self.plan.codecs[index as usize]);
                    let alarm = Rc::clone(&receiving[&subtask].alarm);
                    channels.push(link.add(task, channel, codec, alarm));
                }
            }
            outputs.insert(index, channels);
        }
        outputs
    }

    fn route(&self, placed: &Placed) -> Route {
        let Seat { id: from, neighbours, .. } = self.site.seat.clone();
        let (to, address) = (placed.worker.clone(), placed.address.clone());
        Route { key: self.key, from, to, address, neighbours }
    }

    /// The channels that come from other workers.
    fn inbound(&self, receiving: &BTreeMap<Subtask, Receiving>) -> BTreeMap<ChannelId, Inbound> {
        let mut inbound = BTreeMap::new();
        for end in receiving.values() {
            for (number, channel) in (0u32..).zip(&end.channels) {
                let edge = &self.plan.graph.edges[channel.edge as usize];
                if self.worker_of(edge.from, channel.from).worker != self.site.seat.id {
                    let lane = Inbound {
                        inbox: Rc::clone(&end.inbox),
                        index: number,
                        codec: Arc::clone(&self.plan.codecs[channel.edge as usize]),
                        alarm: Rc::clone(&end.alarm),
                        counts: Arc::clone(&end.counts),
                    };
                    inbound.insert(*channel, lane);
                }
            }
        }
        inbound
    }
}
