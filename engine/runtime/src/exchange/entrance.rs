//! The receiving side of a worker: takes connections, checks to which attempt they belong, and
//! puts what they bring into inboxes. Never lets a frame of a dead attempt or of an unknown channel
//! through, and takes no connection's end for a channel's. Senders are [`super::Link`]s.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use slackwater_core::element::Signal;
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{Attempt, ChannelId, JobEpoch, JobId};
use slackwater_dataflow::packet::{ElementCodec, Packet};
use tokio::sync::Notify;

use super::head::{Granted, Head, Opening};
use super::inbox::{Giver, Inbox};
use super::link::next_frame;
use super::{Alarm, AttemptKey, ExchangeConfig};
use crate::host::{Conn, Host, Listener, TaskHandle, within};
use crate::wire::frame::FrameWriter;
use crate::wire::handshake::{Caller, Handshake, Role};

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
        let admitted = Admitted { epoch, attempt, lanes, connections: Vec::new(), is_over: false };
        self.jobs.borrow_mut().insert(job, admitted);
        self.changed.notify_waiters();
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

    pub(super) async fn receive(self: Rc<Self>, conn: Conn, peer: String) {
        let handshake = Handshake::default();
        // A failed greeting is told as a fact by the handshake.
        let Ok(caller) = handshake.receive(&*self.host, conn, &peer).await else { return };
        let name = caller.hello.name.clone();
        match self.judge(&caller).await {
            Ok((key, lanes)) => self.open(caller, key, lanes).await,
            Err(reason) => {
                let message = format!("exchange connection of worker {name}");
                self.host.tell(Fact::MessageFenced { message, cause: reason.clone() });
                caller.refuse(&*self.host, &reason).await;
            }
        }
    }

    /// Waits until the caller's attempt is deployed here, and finds its channels.
    async fn judge(
        &self,
        caller: &Caller,
    ) -> Result<(AttemptKey, BTreeMap<ChannelId, Inbound>), String> {
        if caller.hello.role != Role::Exchange {
            return Err(format!("a {} has no business with an exchange", caller.hello.role));
        }
        let opening: Opening = caller.hello.body()?;
        let key = AttemptKey { job: opening.job, epoch: opening.epoch, attempt: opening.attempt };
        let deployed = async {
            loop {
                let changed = self.changed.notified();
                if let Some(judged) = self.lanes_for(&opening) {
                    return judged;
                }
                changed.await;
            }
        };
        let Attempt(attempt) = key.attempt;
        within(&*self.host, self.config.deploy_within, deployed)
            .await
            .unwrap_or_else(|| Err(format!("attempt {attempt} is not deployed here")))
            .map(|lanes| (key, lanes))
    }

    /// The channels of an opening; `None` if its attempt is not deployed yet.
    fn lanes_for(&self, opening: &Opening) -> Option<Result<BTreeMap<ChannelId, Inbound>, String>> {
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
        Some(Ok(lanes))
    }

    async fn open(
        self: Rc<Self>,
        caller: Caller,
        key: AttemptKey,
        lanes: BTreeMap<ChannelId, Inbound>,
    ) {
        let connection = Connection {
            host: Arc::clone(&self.host),
            config: self.config,
            key,
            peer: caller.hello.name.clone(),
            returns: Rc::new(Returns::default()),
            lanes: lanes.into_iter().map(|(id, lane)| (id, (lane, Cell::new(false)))).collect(),
        };
        // A task of its own, so that the end of the attempt can abort it from here on.
        let running = self.host.spawn("exchange receiver", Box::pin(connection.run(caller)));
        match self.jobs.borrow_mut().get_mut(&key.job) {
            Some(admitted) if !admitted.is_over && admitted.attempt == key.attempt => {
                admitted.connections.push(running);
            }
            _ => running.abort(),
        }
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entrance({} jobs)", self.jobs.borrow().len())
    }
}

/// What goes back to a sender: credits, and word that an end has arrived.
#[derive(Default)]
pub(super) struct Returns {
    credits: RefCell<BTreeMap<ChannelId, u32>>,
    ended: RefCell<Vec<ChannelId>>,
    wake: Notify,
}

impl Returns {
    pub(super) fn credit(&self, channel: ChannelId, credits: u32) {
        *self.credits.borrow_mut().entry(channel).or_default() += credits;
        self.wake.notify_one();
    }

    fn end(&self, channel: ChannelId) {
        self.ended.borrow_mut().push(channel);
        self.wake.notify_one();
    }

    fn take(&self) -> Vec<Head> {
        let credits = self.credits.take().into_iter();
        let credits = credits.map(|(channel, credits)| Head::Credit { channel, credits });
        let ended = self.ended.take().into_iter().map(|channel| Head::Ended { channel });
        credits.chain(ended).collect()
    }
}

/// The receiving side of one connection.
struct Connection {
    host: Arc<dyn Host>,
    config: ExchangeConfig,
    key: AttemptKey,
    peer: String,
    returns: Rc<Returns>,
    /// Each with whether its end has arrived.
    lanes: BTreeMap<ChannelId, (Inbound, Cell<bool>)>,
}

impl Connection {
    async fn run(self, caller: Caller) {
        if let Err(cause) = self.carry(caller).await {
            for (channel, (lane, has_ended)) in &self.lanes {
                if !has_ended.get() {
                    let peer = &self.peer;
                    lane.alarm.ring(format!("channel {channel} from worker {peer}: {cause}"));
                }
            }
        }
    }

    async fn carry(&self, caller: Caller) -> Result<(), String> {
        for (channel, (lane, _)) in &self.lanes {
            lane.inbox.connect(lane.index, Giver::Remote(Rc::clone(&self.returns), *channel));
        }
        let granted = Granted { credits: self.config.credits.max(1) };
        let welcomed = caller.welcome(&*self.host, &granted).await;
        let (mut reader, mut writer) = welcomed.map_err(|error| error.to_string())?;
        let read = async {
            // A close between two frames is a good end only if every channel had said its own.
            while let Some(frame) = next_frame(&*self.host, &self.config, &mut reader).await? {
                self.on_frame(&frame)?;
            }
            let all_ended = self.lanes.values().all(|(_, has_ended)| has_ended.get());
            all_ended
                .then_some(())
                .ok_or_else(|| "the connection was lost before the end of the stream".to_owned())
        };
        tokio::select! {
            biased;
            ended = read => ended,
            written = self.write(&mut writer) => written,
        }
    }

    fn on_frame(&self, frame: &[u8]) -> Result<(), String> {
        let (head, body) = Head::decode(frame).map_err(|error| error.to_string())?;
        let (epoch, attempt, channel) = match head {
            Head::Batch { epoch, attempt, channel, .. } => (epoch, attempt, channel),
            Head::Signal { epoch, attempt, channel, .. } => (epoch, attempt, channel),
            Head::Heartbeat => return Ok(()),
            other => return Err(format!("the sender sent what only a receiver says: {other:?}")),
        };
        if (epoch, attempt) != (self.key.epoch, self.key.attempt) {
            let message = format!("frame of attempt {attempt}, epoch {epoch} on channel {channel}");
            let cause = format!("attempt {} is running", self.key.attempt);
            self.host.tell(Fact::MessageFenced { message, cause });
            return Ok(());
        }
        let Some((lane, has_ended)) = self.lanes.get(&channel) else {
            let message = format!("frame on channel {channel}");
            let cause = "the connection does not carry it".to_owned();
            self.host.tell(Fact::MessageFenced { message, cause: cause.clone() });
            return Err(format!("a frame came on channel {channel}: {cause}"));
        };
        if has_ended.get() {
            return Err(format!("a frame came on channel {channel} behind its end"));
        }
        let (packet, rows) = match head {
            Head::Signal { signal, .. } => (Packet::Signal(signal), 0),
            _ => {
                let decoded = lane.codec.decode(body);
                let batch = decoded.map_err(|error| format!("channel {channel}: {error}"))?;
                let rows = batch.rows() as u32;
                (Packet::Batch(batch), rows)
            }
        };
        if self.host.detail() >= Detail::Flow {
            let bytes = frame.len() as u32;
            self.host.tell(Fact::FrameReceived { channel, rows, bytes });
        }
        if matches!(packet, Packet::Signal(Signal::EndOfInput)) {
            has_ended.set(true);
            self.returns.end(channel);
        }
        let delivered = lane.inbox.deliver(lane.index, packet);
        delivered.then_some(()).ok_or_else(|| format!("channel {channel} overran its credit"))
    }

    async fn write(&self, writer: &mut FrameWriter) -> Result<(), String> {
        loop {
            let woken = self.returns.wake.notified();
            let woken = within(&*self.host, self.config.heartbeat_every, woken).await;
            let mut heads = self.returns.take();
            if woken.is_none() {
                heads.push(Head::Heartbeat);
            }
            for head in heads {
                writer.push(&[&head.encode()]).map_err(|error| error.to_string())?;
            }
            writer.flush().await.map_err(|error| error.to_string())?;
        }
    }
}
