//! The receiving side of a worker: takes connections, checks to which attempt they belong, and
//! puts what they bring into inboxes. Never lets a frame of a dead attempt or of an unknown channel
//! through, and takes no connection's end for a channel's. Senders are [`super::Link`]s.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use slackwater_core::fact::Fact;
use slackwater_core::id::{Attempt, ChannelId, JobEpoch, JobId, WorkerId};
use slackwater_dataflow::operator::Counts;
use slackwater_dataflow::packet::ElementCodec;
use tokio::sync::Notify;

use super::connection::{Connection, Peer};
use super::head::{Granted, Opening};
use super::inbox::Inbox;
use super::pipe::{Neighbours, Visit, pipe};
use super::{Alarm, AttemptKey, ExchangeConfig};
use crate::host::{Conn, Host, Listener, TaskHandle, within};
use crate::wire::handshake::{Handshake, Role};

/// The receiving end of one channel from another worker.
#[derive(Clone)]
pub struct Inbound {
    /// The inbox of the receiving task.
    pub inbox: Rc<Inbox>,
    /// The channel's number within the task.
    pub index: u32,
    /// How its batches are read.
    pub codec: Arc<dyn ElementCodec>,
    /// How the receiving task learns of a loss.
    pub alarm: Rc<Alarm>,
    /// What the receiving task counts.
    pub counts: Arc<Counts>,
}

/// Takes the exchange connections of a worker.
pub struct Entrance {
    host: Arc<dyn Host>,
    config: ExchangeConfig,
    jobs: RefCell<BTreeMap<JobId, Admitted>>,
    changed: Notify,
}

/// The newest attempt of a job that this worker has heard of.
struct Admitted {
    epoch: JobEpoch,
    attempt: Attempt,
    /// By channel; `None` once a connection carries it. Empty after the attempt has ended.
    lanes: BTreeMap<ChannelId, Option<Inbound>>,
    connections: Vec<TaskHandle>,
    is_over: bool,
    /// The port of another process on this host, where its tasks are.
    moved: Option<u16>,
}

/// Where an opening leads.
enum Found {
    /// To these channels.
    Here(BTreeMap<ChannelId, Inbound>),
    /// To this port of the host.
    There(u16),
}

impl Entrance {
    /// An entrance that admits nobody yet.
    pub fn new(host: Arc<dyn Host>, config: ExchangeConfig) -> Rc<Self> {
        Rc::new(Self { host, config, jobs: RefCell::default(), changed: Notify::new() })
    }

    /// Lets the connections of an attempt in, for these channels. An older attempt of the job is
    /// over with this.
    pub fn admit(&self, key: AttemptKey, lanes: BTreeMap<ChannelId, Inbound>) {
        let AttemptKey { job, epoch, attempt } = key;
        self.dismiss(job);
        let lanes = lanes.into_iter().map(|(channel, lane)| (channel, Some(lane))).collect();
        let (connections, is_over, moved) = (Vec::new(), false, None);
        let admitted = Admitted { epoch, attempt, lanes, connections, is_over, moved };
        self.jobs.borrow_mut().insert(job, admitted);
        self.changed.notify_waiters();
    }

    /// Sends whoever comes for an attempt to another port of this host, where its tasks are.
    pub fn move_on(&self, key: AttemptKey, port: u16) {
        self.admit(key, BTreeMap::new());
        if let Some(admitted) = self.jobs.borrow_mut().get_mut(&key.job) {
            admitted.moved = Some(port);
        }
    }

    /// Ends the connections of a job's current attempt; later ones of it are fenced.
    pub fn dismiss(&self, job: JobId) {
        if let Some(admitted) = self.jobs.borrow_mut().get_mut(&job) {
            admitted.is_over = true;
            admitted.lanes.clear();
            admitted.connections.drain(..).for_each(|connection| connection.abort());
        }
        self.changed.notify_waiters();
    }

    /// Admits no further connections for a job's current attempt, whose tasks have all finished.
    /// Those that are open end by themselves, once the sender knows that everything has arrived.
    pub fn retire(&self, job: JobId) {
        if let Some(admitted) = self.jobs.borrow_mut().get_mut(&job) {
            admitted.is_over = true;
            admitted.lanes.clear();
            admitted.connections.clear();
        }
    }

    /// Takes connections until it is dropped. Each runs as a task of its own.
    pub async fn serve(self: Rc<Self>, mut listener: Box<dyn Listener>) {
        loop {
            match listener.accept().await {
                Ok((conn, peer)) => {
                    let receiving = Rc::clone(&self).receive(conn, peer);
                    self.host.spawn("exchange connection", Box::pin(receiving));
                }
                // Out of file handles, or a peer that gave up while it waited: others may work.
                Err(_) => self.host.sleep(self.config.connect_backoff).await,
            }
        }
    }

    /// Moves in beside neighbours, and takes their visits until the future is dropped.
    pub fn welcome(
        self: Rc<Self>,
        neighbours: &Neighbours,
        id: WorkerId,
    ) -> impl Future<Output = ()> + use<> {
        let mut visits = neighbours.move_in(id);
        async move {
            while let Some(visit) = visits.recv().await {
                let admitting = Rc::clone(&self).admit_neighbour(visit);
                self.host.spawn("exchange neighbour", Box::pin(admitting));
            }
        }
    }

    async fn admit_neighbour(self: Rc<Self>, visit: Visit) {
        let Visit { from, opening, answer } = visit;
        let peer = from.to_string();
        match self.judge(&opening).await {
            Ok(Found::There(_)) => {
                // Their tasks are in one process, or they are no neighbours.
                let _ = answer.send(Err("the tasks are in another process".to_owned()));
            }
            Ok(Found::Here(lanes)) => {
                let (here, there) = pipe();
                // A neighbour that has gone meanwhile closes the pipe.
                let _ = answer.send(Ok((self.granted(), there)));
                self.open(peer, key_of(&opening), lanes, Peer::Neighbour(here));
            }
            Err(reason) => {
                self.fence(&peer, &reason);
                let _ = answer.send(Err(reason));
            }
        }
    }

    pub(super) async fn receive(self: Rc<Self>, conn: Conn, peer: String) {
        let handshake = Handshake { token: self.config.token, ..Handshake::default() };
        // A failed greeting is told as a fact by the handshake.
        let Ok(caller) = handshake.receive(&*self.host, conn, &peer).await else { return };
        let peer = caller.hello.name.clone();
        let opening = match caller.hello.role {
            Role::Exchange => caller.hello.body::<Opening>(),
            other => Err(format!("a {other} has no business with an exchange")),
        };
        let judged = match &opening {
            Ok(opening) => self.judge(opening).await.map(|lanes| (key_of(opening), lanes)),
            Err(reason) => Err(reason.clone()),
        };
        match judged {
            Ok((_, Found::There(port))) => {
                caller.send_on(&*self.host, &port.to_string()).await;
            }
            Ok((key, Found::Here(lanes))) => {
                let caller = Peer::Caller(Box::new(caller), self.granted());
                self.open(peer, key, lanes, caller);
            }
            Err(reason) => {
                self.fence(&peer, &reason);
                caller.refuse(&*self.host, &reason).await;
            }
        }
    }

    fn granted(&self) -> Granted {
        Granted { credits: self.config.credits.max(1) }
    }

    fn fence(&self, peer: &str, reason: &str) {
        let message = format!("exchange connection of worker {peer}");
        self.host.tell(Fact::MessageFenced { message, cause: reason.to_owned() });
    }

    /// Waits until an attempt is deployed here, and finds its channels.
    async fn judge(&self, opening: &Opening) -> Result<Found, String> {
        let deployed = async {
            loop {
                let changed = self.changed.notified();
                if let Some(judged) = self.lanes_for(opening) {
                    return judged;
                }
                changed.await;
            }
        };
        let attempt = opening.attempt;
        within(&*self.host, self.config.deploy_within, deployed)
            .await
            .unwrap_or_else(|| Err(format!("attempt {attempt} is not deployed here")))
    }

    /// The channels of an opening; `None` if its attempt is not deployed yet.
    fn lanes_for(&self, opening: &Opening) -> Option<Result<Found, String>> {
        let jobs = &mut *self.jobs.borrow_mut();
        let admitted = jobs.get_mut(&opening.job)?;
        let (asked, current) =
            ((opening.epoch, opening.attempt), (admitted.epoch, admitted.attempt));
        if asked > current {
            return None;
        }
        if asked < current || admitted.is_over {
            let (epoch, attempt) = asked;
            return Some(Err(format!("attempt {attempt} of epoch {epoch} is over")));
        }
        if let Some(port) = admitted.moved {
            return Some(Ok(Found::There(port)));
        }
        let mut lanes = BTreeMap::new();
        for (channel, schema) in &opening.channels {
            match admitted.lanes.get(channel) {
                Some(Some(lane)) if lane.codec.schema().fingerprint() == *schema => {
                    lanes.insert(*channel, lane.clone());
                }
                Some(Some(lane)) => {
                    let expected = lane.codec.schema().fingerprint();
                    return Some(Err(format!(
                        "channel {channel} carries schema {expected}, not {schema}: \
                         run the same programs on all task managers"
                    )));
                }
                Some(None) => return Some(Err(format!("channel {channel} is connected already"))),
                None => return Some(Err(format!("channel {channel} is unknown here"))),
            }
        }
        lanes.keys().for_each(|channel| {
            admitted.lanes.insert(*channel, None);
        });
        Some(Ok(Found::Here(lanes)))
    }

    fn open(&self, peer: String, key: AttemptKey, lanes: BTreeMap<ChannelId, Inbound>, from: Peer) {
        let connection = Connection::new((&self.host, self.config), key, peer, lanes);
        // A task of its own, so that the end of the attempt can abort it from here on.
        let running = self.host.spawn("exchange receiver", Box::pin(connection.run(from)));
        match self.jobs.borrow_mut().get_mut(&key.job) {
            Some(admitted)
                if !admitted.is_over
                    && (admitted.epoch, admitted.attempt) == (key.epoch, key.attempt) =>
            {
                admitted.connections.push(running);
            }
            _ => running.abort(),
        }
    }
}

fn key_of(opening: &Opening) -> AttemptKey {
    AttemptKey { job: opening.job, epoch: opening.epoch, attempt: opening.attempt }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entrance({} jobs)", self.jobs.borrow().len())
    }
}
