//! A long conversation: messages both ways in order, and heartbeats that say how much was heard.
//! Never retries and never decides what the end of a connection means: it says how it ended.
//! The messages are in [`super::message`]; the two ends are `jobmanager` and `taskmanager`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use slackwater_core::codec::{decode_message, encode_message};
use slackwater_core::fact::Fact;
use slackwater_core::measure::TaskMeasures;
use tokio::sync::mpsc;

use super::about::{About, Told};
use super::frame::{FrameReader, FrameWriter};
use crate::host::{Host, within};

/// How often to speak, and how long silence may last. The job manager's setting holds for both ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// A heartbeat is sent when this has gone by since the last, whatever else was said.
    pub every: Duration,
    /// A peer that was silent for this long is taken for lost; several times `every`.
    pub timeout: Duration,
}

impl Default for Heartbeat {
    /// Every second; lost after five.
    fn default() -> Self {
        Self { every: Duration::from_secs(1), timeout: Duration::from_secs(5) }
    }
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// This side has nothing more to say: its sender was dropped.
    Ours,
    /// The peer closed the connection, or it failed: seen at once.
    Closed(String),
    /// The peer was silent for too long, and may still live.
    Silent(Duration),
    /// Nothing that this tenant said for so long is known to have arrived.
    Unanswered(Duration),
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("closed by this side"),
            Self::Closed(cause) => f.write_str(cause),
            Self::Silent(span) => write!(f, "no heartbeat for {span:?}"),
            Self::Unanswered(span) => write!(f, "no answer for {span:?}"),
        }
    }
}

/// Which end of a session this is. The landlord takes silence for loss; the tenant also takes it
/// for loss that nothing of its own arrives. The tenant's time counts from what the landlord has
/// heard, so it is up no later than the landlord's, whatever direction broke (semantics rule 24).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The job manager's. Answers each heartbeat at once.
    Landlord,
    /// The task manager's.
    Tenant,
}

/// What a frame carries.
#[derive(Serialize, Deserialize)]
enum Spoken<M> {
    /// A heartbeat: how many frames of the peer this side has heard, and what a tenant has measured.
    Beat { heard: u64, measures: Vec<TaskMeasures> },
    /// Something to say.
    Message(M),
}

/// One end of a session.
pub struct Session {
    host: Arc<dyn Host>,
    /// Who the other end is: a name, or the address at which it was found.
    peer: String,
    reader: FrameReader,
    writer: FrameWriter,
    heartbeat: Heartbeat,
    end: End,
    /// How many frames of the peer were heard, and when the last.
    heard: (u64, Duration),
    /// When the last heartbeat was sent. Messages are none: they do not say what was heard.
    beaten: Duration,
    /// How many frames the peer has confirmed, and when the last of them was sent.
    confirmed: (u64, Duration),
    /// When the frames were sent that it has not confirmed.
    unconfirmed: VecDeque<Duration>,
    /// What goes along with each heartbeat.
    gather: Box<dyn FnMut() -> Vec<TaskMeasures>>,
    /// Who takes what came along with one.
    take: Box<dyn FnMut(Vec<TaskMeasures>)>,
}

impl Session {
    /// A session over a connection whose hands were just shaken.
    pub fn new(
        host: Arc<dyn Host>,
        end: End,
        peer: String,
        (reader, writer): (FrameReader, FrameWriter),
        heartbeat: Heartbeat,
    ) -> Self {
        let now = host.elapsed();
        let (heard, confirmed, unconfirmed) = ((0, now), (0, now), VecDeque::new());
        Self {
            host,
            peer,
            reader,
            writer,
            heartbeat,
            end,
            heard,
            beaten: now,
            confirmed,
            unconfirmed,
            gather: Box::new(Vec::new),
            take: Box::new(drop),
        }
    }

    /// Lets this go along with each heartbeat: measures that nobody waits for, and whose loss nobody
    /// notices, so that they need no message of their own.
    #[must_use]
    pub fn gathering(mut self, gather: impl FnMut() -> Vec<TaskMeasures> + 'static) -> Self {
        self.gather = Box::new(gather);
        self
    }

    /// Hands over what comes along with each heartbeat of the peer.
    #[must_use]
    pub fn taking(mut self, take: impl FnMut(Vec<TaskMeasures>) + 'static) -> Self {
        self.take = Box::new(take);
        self
    }

    /// Sends what comes out of `outgoing` and hands over what arrives, until either side ends.
    /// The connection stays open until the session is dropped: the peer cannot see an end before
    /// its owner has drawn the consequences.
    pub async fn run<Out: Serialize + Told, In: DeserializeOwned + Told>(
        &mut self,
        mut outgoing: mpsc::UnboundedReceiver<Out>,
        mut hand_over: impl FnMut(In),
    ) -> SessionEnd {
        loop {
            let now = self.host.elapsed();
            if let Some(end) = self.lost(now) {
                return end;
            }
            let pause = self.host.sleep(self.next_look(now));
            let happened = tokio::select! {
                biased;
                frame = self.reader.read() => match frame {
                    Ok(Some(bytes)) => self.hear(&bytes, &mut hand_over).await,
                    Ok(None) => Err(SessionEnd::Closed("the connection was closed".into())),
                    Err(error) => Err(SessionEnd::Closed(error.to_string())),
                },
                message = outgoing.recv() => match message {
                    Some(message) => {
                        self.tell(true, message.about());
                        self.say(&Spoken::Message(message)).await
                    }
                    None => Err(self.close().await),
                },
                () = pause => self.beat_if_due().await,
            };
            if let Err(end) = happened {
                return end;
            }
        }
    }

    /// How the peer is lost, if it is.
    fn lost(&self, now: Duration) -> Option<SessionEnd> {
        let timeout = self.heartbeat.timeout;
        let up = |since: Duration| now.saturating_sub(since) >= timeout;
        if up(self.heard.1) {
            return Some(SessionEnd::Silent(timeout));
        }
        let unanswered = self.end == End::Tenant && up(self.confirmed.1);
        unanswered.then_some(SessionEnd::Unanswered(timeout))
    }

    /// How long nothing can become due.
    fn next_look(&self, now: Duration) -> Duration {
        let silent = self.heard.1 + self.heartbeat.timeout;
        let unanswered = match self.end {
            End::Landlord => Duration::MAX,
            End::Tenant => self.confirmed.1 + self.heartbeat.timeout,
        };
        let next = silent.min(unanswered).min(self.beaten + self.heartbeat.every);
        next.saturating_sub(now)
    }

    async fn hear<In: DeserializeOwned + Told>(
        &mut self,
        bytes: &[u8],
        hand_over: &mut impl FnMut(In),
    ) -> Result<(), SessionEnd> {
        let spoken = decode_message::<Spoken<In>>(bytes);
        let spoken = spoken.map_err(|e| SessionEnd::Closed(format!("bad message: {e}")))?;
        self.heard = (self.heard.0 + 1, self.host.elapsed());
        match spoken {
            Spoken::Message(message) => {
                self.tell(false, message.about());
                hand_over(message);
                Ok(())
            }
            Spoken::Beat { heard, measures } => {
                self.confirm(heard)?;
                (self.take)(measures);
                match self.end {
                    End::Landlord => self.beat().await,
                    End::Tenant => Ok(()),
                }
            }
        }
    }

    fn tell(&self, sent: bool, about: About) {
        let About { kind: message, job, attempt, checkpoint } = about;
        let peer = self.peer.clone();
        self.host.tell(match sent {
            true => Fact::MessageSent { message, peer, job, attempt, checkpoint },
            false => Fact::MessageReceived { message, peer, job, attempt, checkpoint },
        });
    }

    /// Takes the peer's word that it has heard so many frames.
    fn confirm(&mut self, heard: u64) -> Result<(), SessionEnd> {
        while self.confirmed.0 < heard {
            let Some(sent) = self.unconfirmed.pop_front() else {
                let cause = format!("the peer heard {heard} frames, more than were sent");
                return Err(SessionEnd::Closed(cause));
            };
            self.confirmed = (self.confirmed.0 + 1, sent);
        }
        Ok(())
    }

    async fn beat_if_due(&mut self) -> Result<(), SessionEnd> {
        let due = self.host.elapsed().saturating_sub(self.beaten) >= self.heartbeat.every;
        if due { self.beat().await } else { Ok(()) }
    }

    async fn beat(&mut self) -> Result<(), SessionEnd> {
        self.beaten = self.host.elapsed();
        let measures = (self.gather)();
        self.say(&Spoken::<()>::Beat { heard: self.heard.0, measures }).await
    }

    async fn say<M: Serialize>(&mut self, spoken: &Spoken<M>) -> Result<(), SessionEnd> {
        let bytes = encode_message(spoken).map_err(|e| SessionEnd::Closed(e.to_string()))?;
        self.writer.push(&[&bytes]).map_err(|e| SessionEnd::Closed(e.to_string()))?;
        self.unconfirmed.push_back(self.host.elapsed());
        let timeout = self.heartbeat.timeout;
        match within(&*self.host, timeout, self.writer.flush()).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(SessionEnd::Closed(error.to_string())),
            None => Err(SessionEnd::Silent(timeout)),
        }
    }

    async fn close(&mut self) -> SessionEnd {
        // The peer learns of the end either way; a failed goodbye changes nothing.
        let _ = within(&*self.host, self.heartbeat.timeout, self.writer.close()).await;
        SessionEnd::Ours
    }
}
