//! The sending side of the connection from this worker to another, for one attempt of one job.
//! Never reconnects: an attempt that lost a connection is over, and its tasks are told at once.
//! Channels are [`super::Outbound`]; the other side is [`super::Entrance`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use slackwater_core::id::{ChannelId, Execution, WorkerId};
use slackwater_core::schema::Fingerprint;
use slackwater_dataflow::packet::{AnyBatch, ElementCodec};
use tokio::sync::{Notify, mpsc, oneshot};

use super::head::{Granted, Head, Opening};
use super::outbound::{Lane, Outbound};
use super::pipe::{Neighbours, Parcel, Pipe, Visit};
use super::{Alarm, AttemptKey, ExchangeConfig};
use crate::host::{Host, within};
use crate::wire::frame::{FrameReader, FrameWriter};
use crate::wire::handshake::{Handshake, HandshakeError, Hello, Role};

/// From whom to whom a connection leads.
#[derive(Clone, Debug)]
pub struct Route {
    /// Whose data it carries.
    pub key: AttemptKey,
    /// This worker.
    pub from: WorkerId,
    /// The receiving worker.
    pub to: WorkerId,
    /// Where it takes connections, `name:port`.
    pub address: String,
    /// The workers of this process: to one of them no connection is made.
    pub neighbours: Neighbours,
}

/// The sending side of a connection.
pub struct Link {
    route: Route,
    channels: RefCell<BTreeMap<ChannelId, Sender>>,
    /// Frames that wait for the connection: bounded by the credits of the channels.
    staged: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
    wake: Notify,
    /// Set while the receiver is a neighbour.
    pipe: RefCell<Option<mpsc::UnboundedSender<Parcel>>>,
}

struct Sender {
    lane: Rc<Lane>,
    schema: Fingerprint,
    alarm: Rc<Alarm>,
}

impl Link {
    /// A link that is not yet connected.
    pub fn new(route: Route) -> Rc<Self> {
        let (channels, staged, pipe) = Default::default();
        Rc::new(Self { route, channels, staged, wake: Notify::new(), pipe })
    }

    /// Adds a channel; all of them before [`Link::run`].
    pub fn add(
        self: &Rc<Self>,
        task: Execution,
        channel: ChannelId,
        codec: Arc<dyn ElementCodec>,
        alarm: Rc<Alarm>,
    ) -> Outbound {
        let lane = Rc::new(Lane::default());
        let schema = codec.schema().fingerprint();
        let sender = Sender { lane: Rc::clone(&lane), schema, alarm };
        self.channels.borrow_mut().insert(channel, sender);
        Outbound::remote(task, channel, lane, (Rc::clone(self), codec))
    }

    pub(super) fn stage(&self, head: Vec<u8>, body: Vec<u8>) {
        self.staged.borrow_mut().push((head, body));
        self.wake.notify_one();
    }

    /// Connects, and carries frames until every channel has ended. A loss rings the alarm of
    /// every task whose channel has not.
    pub async fn run(self: Rc<Self>, host: Arc<dyn Host>, config: ExchangeConfig) {
        if let Err(cause) = self.carry(&*host, &config).await {
            for (channel, sender) in &*self.channels.borrow() {
                if !sender.lane.has_ended() {
                    let to = &self.route.to;
                    sender.alarm.ring(format!("channel {channel} to worker {to}: {cause}"));
                }
            }
        }
    }

    async fn carry(&self, host: &dyn Host, config: &ExchangeConfig) -> Result<(), String> {
        if let Some(door) = self.route.neighbours.door(&self.route.to) {
            return self.carry_parcels(&door).await;
        }
        let (granted, mut reader, mut writer) = self.connect(host, config).await?;
        self.open(&granted);
        tokio::select! {
            biased;
            read = self.read(host, config, &mut reader) => read,
            written = self.write(host, config, &mut writer) => written,
        }
    }

    fn open(&self, granted: &Granted) {
        for sender in self.channels.borrow().values() {
            sender.lane.grant(granted.credits);
        }
    }

    /// The same to a worker of this process. It waits for the deployment as long as a caller may.
    async fn carry_parcels(&self, door: &mpsc::UnboundedSender<Visit>) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let visit = Visit { from: self.route.from.clone(), opening: self.opening(), answer };
        let gone = || "the worker has ended".to_owned();
        door.send(visit).map_err(|_| gone())?;
        let (granted, Pipe { sender, mut receiver }) = answered.await.map_err(|_| gone())??;
        self.pipe.replace(Some(sender));
        self.open(&granted);
        while let Some(Parcel { head, .. }) = receiver.recv().await {
            if self.on_head(head)? {
                self.pipe.take();
                return Ok(());
            }
        }
        Err("the receiver closed the connection".into())
    }

    /// Sends a batch by pointer, if the receiver is a neighbour; gives it back otherwise.
    pub(super) fn hand_over(&self, head: Head, batch: AnyBatch) -> Option<(Head, AnyBatch)> {
        let pipe = self.pipe.borrow();
        let Some(pipe) = &*pipe else { return Some((head, batch)) };
        // A receiver that has gone closes the other direction as well, and that is noticed.
        let _ = pipe.send(Parcel { head, batch: Some(batch) });
        None
    }

    /// Sends a signal to a neighbour; false if the receiver is none.
    pub(super) fn hand_over_signal(&self, head: &Head) -> bool {
        let pipe = self.pipe.borrow();
        let Some(pipe) = &*pipe else { return false };
        let _ = pipe.send(Parcel { head: head.clone(), batch: None });
        true
    }

    /// Tries until the peer's worker has deployed its side, or the deadline has passed.
    async fn connect(
        &self,
        host: &dyn Host,
        config: &ExchangeConfig,
    ) -> Result<(Granted, FrameReader, FrameWriter), String> {
        let hello = Hello::new(Role::Exchange, self.route.from.to_string(), &self.opening());
        // The peer may keep us waiting until its own deadline, and then says why.
        let patience = config.deploy_within + config.connect_within;
        let (within, token) = (patience, config.token);
        let handshake = Handshake { within, token, ..Handshake::default() };
        let peer = self.route.to.to_string();
        let deadline = host.elapsed() + config.deploy_within;
        let mut address = self.route.address.clone();
        loop {
            let cause = match host.connect(&address, config.connect_within).await {
                Err(error) => error.to_string(),
                Ok(conn) => match handshake.offer(host, conn, &peer, &hello).await {
                    Ok(welcomed) => return Ok(welcomed),
                    // The tasks are in another process of that host.
                    Err(HandshakeError::Standby { reason }) if host.elapsed() < deadline => {
                        address = elsewhere(&self.route.address, &reason)?;
                        continue;
                    }
                    Err(error) if error.is_refusal() => return Err(error.to_string()),
                    Err(error) => error.to_string(),
                },
            };
            if host.elapsed() + config.connect_backoff > deadline {
                return Err(format!("no connection within {:?}: {cause}", config.deploy_within));
            }
            host.sleep(config.connect_backoff).await;
        }
    }

    fn opening(&self) -> Opening {
        let AttemptKey { job, epoch, attempt } = self.route.key;
        let channels = self.channels.borrow();
        let channels = channels.iter().map(|(channel, sender)| (*channel, sender.schema)).collect();
        Opening { job, epoch, attempt, channels }
    }

    async fn read(
        &self,
        host: &dyn Host,
        config: &ExchangeConfig,
        reader: &mut FrameReader,
    ) -> Result<(), String> {
        loop {
            let frame = next_frame(host, config, reader).await?;
            let Some(frame) = frame else {
                return Err("the receiver closed the connection".into());
            };
            let (head, _) = Head::decode(&frame).map_err(|error| error.to_string())?;
            if self.on_head(head)? {
                return Ok(());
            }
        }
    }

    /// Takes word from the receiver; whether every channel has ended.
    fn on_head(&self, head: Head) -> Result<bool, String> {
        match head {
            Head::Credit { channel, credits } => self.with(channel, |l| l.grant(credits))?,
            Head::Ended { channel } => {
                self.with(channel, Lane::end)?;
                return Ok(self.channels.borrow().values().all(|s| s.lane.has_ended()));
            }
            Head::Heartbeat => {}
            other => return Err(format!("the receiver sent what only a sender says: {other:?}")),
        }
        Ok(false)
    }

    fn with(&self, channel: ChannelId, change: impl FnOnce(&Lane)) -> Result<(), String> {
        let channels = self.channels.borrow();
        let sender = channels.get(&channel);
        sender.map(|sender| change(&sender.lane)).ok_or_else(|| {
            format!(
                "the receiver speaks of channel {channel}, which this connection does not carry"
            )
        })
    }

    async fn write(
        &self,
        host: &dyn Host,
        config: &ExchangeConfig,
        writer: &mut FrameWriter,
    ) -> Result<(), String> {
        loop {
            if self.staged.borrow().is_empty() {
                let woken = within(host, config.heartbeat_every, self.wake.notified()).await;
                if woken.is_none() {
                    self.stage(Head::Heartbeat.encode(), Vec::new());
                }
            }
            for (head, body) in self.staged.take() {
                writer.push(&[&head, &body]).map_err(|error| error.to_string())?;
            }
            writer.flush().await.map_err(|error| error.to_string())?;
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} to {})", self.route.from, self.route.to)
    }
}

/// The same host, another port, as a peer sends its caller on.
fn elsewhere(address: &str, port: &str) -> Result<String, String> {
    let wrong = || format!("the peer sends us on to {port:?}, which is no port");
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let (host, _) = address.rsplit_once(':').ok_or_else(wrong)?;
    Ok(format!("{host}:{port}"))
}

/// The next frame, or an error if the peer has been silent for too long.
pub(super) async fn next_frame(
    host: &dyn Host,
    config: &ExchangeConfig,
    reader: &mut FrameReader,
) -> Result<Option<bytes::Bytes>, String> {
    let silent = || format!("nothing was heard for {:?}", config.heartbeat_timeout);
    let read = within(host, config.heartbeat_timeout, reader.read()).await;
    read.ok_or_else(silent)?.map_err(|error| error.to_string())
}
