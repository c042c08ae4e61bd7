//! A long conversation: messages both ways in order, heartbeats when there is nothing to say.
//! Never retries and never decides what the end of a connection means: it says how it ended.
//! The messages are in [`super::message`]; the two ends are `jobmanager` and `taskmanager`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use slackwater_core::codec::{decode_message, encode_message};
use tokio::sync::mpsc;

use super::frame::{FrameReader, FrameWriter};
use crate::host::{Host, within};

/// How often to speak, and how long silence may last.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// A heartbeat is sent when this has gone by since the last.
    pub every: Duration,
    /// A peer that was silent for this long is taken for lost.
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
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("closed by this side"),
            Self::Closed(cause) => f.write_str(cause),
            Self::Silent(span) => write!(f, "no heartbeat for {span:?}"),
        }
    }
}

/// One end of a session.
pub struct Session {
    /// The world.
    pub host: Arc<dyn Host>,
    /// What the peer says.
    pub reader: FrameReader,
    /// What this side says.
    pub writer: FrameWriter,
    /// Heartbeats are empty frames.
    pub heartbeat: Heartbeat,
}

impl Session {
    /// Sends what comes out of `outgoing` and hands over what arrives, until either side ends.
    pub async fn run<Out: Serialize, In: DeserializeOwned>(
        mut self,
        mut outgoing: mpsc::UnboundedReceiver<Out>,
        mut hand_over: impl FnMut(In),
    ) -> SessionEnd {
        let mut heard = self.host.elapsed();
        let mut spoke = self.host.elapsed();
        loop {
            let now = self.host.elapsed();
            if now.saturating_sub(heard) >= self.heartbeat.timeout {
                return SessionEnd::Silent(self.heartbeat.timeout);
            }
            let to_beat = (spoke + self.heartbeat.every).saturating_sub(now);
            let to_silence = (heard + self.heartbeat.timeout).saturating_sub(now);
            let pause = self.host.sleep(to_beat.min(to_silence));
            tokio::select! {
                biased;
                frame = self.reader.read() => match frame {
                    Ok(Some(bytes)) if bytes.is_empty() => heard = self.host.elapsed(),
                    Ok(Some(bytes)) => match decode_message(&bytes) {
                        Ok(message) => {
                            heard = self.host.elapsed();
                            hand_over(message);
                        }
                        Err(error) => return SessionEnd::Closed(format!("bad message: {error}")),
                    },
                    Ok(None) => return SessionEnd::Closed("the connection was closed".into()),
                    Err(error) => return SessionEnd::Closed(error.to_string()),
                },
                message = outgoing.recv() => {
                    let Some(message) = message else { return self.close().await };
                    if let Err(end) = self.say(&message).await {
                        return end;
                    }
                    spoke = self.host.elapsed();
                }
                () = pause => {
                    if self.host.elapsed().saturating_sub(spoke) >= self.heartbeat.every {
                        if let Err(end) = self.beat().await {
                            return end;
                        }
                        spoke = self.host.elapsed();
                    }
                }
            }
        }
    }

    async fn say(&mut self, message: &impl Serialize) -> Result<(), SessionEnd> {
        let bytes = encode_message(message).map_err(|e| SessionEnd::Closed(e.to_string()))?;
        self.writer.push(&[&bytes]).map_err(|e| SessionEnd::Closed(e.to_string()))?;
        self.flush().await
    }

    async fn beat(&mut self) -> Result<(), SessionEnd> {
        self.writer.push(&[]).map_err(|e| SessionEnd::Closed(e.to_string()))?;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), SessionEnd> {
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
