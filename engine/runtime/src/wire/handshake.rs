//! The first frame of every connection and its answer: who is there, and in which protocol version.
//! A peer of another version is refused in words that both versions can read; nothing else is read
//! from it. What follows depends on the [`Role`]: `message` for control, [`crate::exchange`] for data.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use slackwater_core::codec::{decode_message, encode_message};
use slackwater_core::fact::Fact;

use super::frame::{FRAME_MAX, FrameError, FrameReader, FrameWriter, split};
use super::token::Token;
use crate::host::{Conn, Host, within};

/// The version of everything that this engine says on a connection.
pub const PROTOCOL: u32 = 4;

const MAGIC: [u8; 4] = *b"SLKW";
const HELLO_MAX: usize = 64 << 10;
const WELCOME: u8 = 0;
const REFUSED: u8 = 1;
const STANDBY: u8 = 2;

/// What the caller wants to talk about.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A task manager that registers with a job manager.
    TaskManager,
    /// A person's command: submit, list, cancel.
    Client,
    /// A worker that sends batches to another.
    Exchange,
    /// A reader or writer of the series database.
    Series,
    /// A reader or writer of the partitioned log.
    Log,
    /// A process that runs the tasks of a task manager.
    Worker,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TaskManager => "task manager",
            Self::Client => "client",
            Self::Exchange => "exchange",
            Self::Series => "series",
            Self::Log => "log",
            Self::Worker => "worker",
        })
    }
}

/// What the caller says first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What it wants to talk about.
    pub role: Role,
    /// Its name, for messages: a node or a worker.
    pub name: String,
    /// What the role has to say beyond that, encoded; see [`Hello::body`].
    body: Vec<u8>,
    /// The token of the cluster; empty without one.
    token: String,
}

impl Hello {
    /// A greeting with a body that the role defines; `()` if it defines none.
    ///
    /// # Panics
    /// If the body refuses to be serialized: bodies are the engine's own plain structs.
    pub fn new(role: Role, name: impl Into<String>, body: &impl Serialize) -> Self {
        let body = encode_message(body).expect("a greeting's body is a plain struct");
        Self { role, name: name.into(), body, token: String::new() }
    }

    /// The body.
    ///
    /// # Errors
    /// If it is not a `T`: a sentence for the refusal.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, String> {
        decode_message(&self.body)
            .map_err(|error| format!("malformed {} hello: {error}", self.role))
    }
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the token.
        write!(f, "Hello({} {})", self.role, self.name)
    }
}

/// Why two nodes do not talk.
#[derive(Debug)]
pub enum HandshakeError {
    /// The peer said no.
    Refused {
        /// In the peer's words.
        reason: String,
    },
    /// The peer is a job manager that does not lead: another address may, or this one later.
    Standby {
        /// Whom to ask instead, in the peer's words.
        reason: String,
    },
    /// The peer speaks another version.
    OtherVersion {
        /// What we speak.
        ours: u32,
        /// What the peer speaks.
        theirs: u32,
    },
    /// The peer does not know the token of this cluster.
    Stranger {
        /// What it calls itself.
        name: String,
        /// What it said instead.
        what: &'static str,
    },
    /// The peer is no Slackwater node, or its greeting is damaged.
    Malformed(String),
    /// The peer said nothing for this long.
    Silent(Duration),
    /// The peer closed the connection without a word.
    Gone,
    /// The connection failed, or ended.
    Connection(FrameError),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { reason } => write!(f, "refused by the peer: {reason}"),
            Self::Standby { reason } => f.write_str(reason),
            Self::OtherVersion { ours, theirs } => f.write_str(&versions(*theirs, *ours)),
            Self::Stranger { name, what } => {
                write!(f, "{name} said {what}: this cluster takes in who has its --token-file")
            }
            Self::Malformed(what) => write!(f, "the peer does not speak our protocol: {what}"),
            Self::Silent(span) => write!(f, "the peer did not answer within {span:?}"),
            Self::Gone => f.write_str("the peer closed the connection without a word"),
            Self::Connection(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HandshakeError {}

impl From<FrameError> for HandshakeError {
    fn from(error: FrameError) -> Self {
        Self::Connection(error)
    }
}

impl HandshakeError {
    /// Whether one side did not want the other. The rest is trouble on the way, and may pass.
    pub fn is_refusal(&self) -> bool {
        use HandshakeError::{Malformed, OtherVersion, Refused, Stranger};
        matches!(self, Refused { .. } | OtherVersion { .. } | Stranger { .. } | Malformed(_))
    }

    fn tell(&self, host: &dyn Host, peer: &str) {
        if self.is_refusal() {
            host.tell(Fact::HandshakeRefused { peer: peer.into(), cause: self.to_string() });
        }
    }
}

fn versions(theirs: u32, ours: u32) -> String {
    format!(
        "the peer speaks protocol version {theirs}, this node speaks {ours}: \
         run the same release on both"
    )
}

/// How a node shakes hands.
#[derive(Copy, Clone, Debug)]
pub struct Handshake {
    /// The version to speak; another than [`PROTOCOL`] only in tests and scenarios.
    pub protocol: u32,
    /// How long the peer may take for each of its frames.
    pub within: Duration,
    /// The longest frame of the connection afterwards, in bytes.
    pub frame_max: usize,
    /// What this node says to others, and wants to hear from whoever greets it.
    pub token: Option<Token>,
}

impl Default for Handshake {
    /// This version, five seconds, [`FRAME_MAX`], no token.
    fn default() -> Self {
        let within = Duration::from_secs(5);
        Self { protocol: PROTOCOL, within, frame_max: FRAME_MAX, token: None }
    }
}

impl Handshake {
    /// Greets the peer and waits for its welcome, whose body is a `W`. A refusal is told as a fact.
    ///
    /// # Errors
    /// Any [`HandshakeError`]; the connection is closed then.
    pub async fn offer<W: DeserializeOwned>(
        &self,
        host: &dyn Host,
        conn: Conn,
        peer: &str,
        hello: &Hello,
    ) -> Result<(W, FrameReader, FrameWriter), HandshakeError> {
        let (mut reader, mut writer) = split(conn, HELLO_MAX);
        let answered = async {
            let token = self.token.map_or(String::new(), |token| token.text().to_owned());
            let hello = Hello { token, ..hello.clone() };
            let body =
                encode_message(&hello).map_err(|e| HandshakeError::Malformed(e.to_string()))?;
            writer.push(&[&MAGIC, &self.protocol.to_le_bytes(), &body])?;
            writer.flush().await?;
            reader.read().await?.ok_or(HandshakeError::Gone)
        };
        let answer = within(host, self.within, answered).await;
        let judged = answer
            .unwrap_or(Err(HandshakeError::Silent(self.within)))
            .and_then(|frame| self.judge_answer(&frame));
        match judged {
            Ok(welcome) => {
                reader.set_max(self.frame_max);
                writer.set_max(self.frame_max);
                Ok((welcome, reader, writer))
            }
            Err(error) => {
                error.tell(host, peer);
                Err(error)
            }
        }
    }

    fn judge_answer<W: DeserializeOwned>(&self, frame: &[u8]) -> Result<W, HandshakeError> {
        let (theirs, rest) = versioned(frame)?;
        if theirs != self.protocol {
            return Err(HandshakeError::OtherVersion { ours: self.protocol, theirs });
        }
        match rest.split_first() {
            Some((&WELCOME, body)) => {
                decode_message(body).map_err(|error| HandshakeError::Malformed(error.to_string()))
            }
            Some((&REFUSED, reason)) => {
                let reason = String::from_utf8_lossy(reason).into_owned();
                Err(HandshakeError::Refused { reason })
            }
            Some((&STANDBY, reason)) => {
                let reason = String::from_utf8_lossy(reason).into_owned();
                Err(HandshakeError::Standby { reason })
            }
            _ => Err(HandshakeError::Malformed("neither welcome nor refusal".into())),
        }
    }

    /// Waits for the caller's greeting. A caller of another version is refused here, and told as a
    /// fact; the others are for [`Caller::welcome`] or [`Caller::refuse`].
    ///
    /// # Errors
    /// Any [`HandshakeError`]; the connection is closed then.
    pub async fn receive(
        &self,
        host: &dyn Host,
        conn: Conn,
        peer: &str,
    ) -> Result<Caller, HandshakeError> {
        let (mut reader, mut writer) = split(conn, HELLO_MAX);
        let greeted = within(host, self.within, reader.read()).await;
        let judged = match greeted {
            None => Err(HandshakeError::Silent(self.within)),
            Some(Ok(Some(frame))) => self.judge_hello(&frame),
            Some(Ok(None)) => Err(HandshakeError::Gone),
            Some(Err(error)) => Err(error.into()),
        };
        match judged {
            Ok(hello) => Ok(Caller { handshake: *self, hello, reader, writer }),
            Err(error) => {
                error.tell(host, peer);
                let reason = match &error {
                    HandshakeError::OtherVersion { ours, theirs } => versions(*ours, *theirs),
                    other => other.to_string(),
                };
                // A peer that was too slow is not unwanted: it finds a closed connection, and
                // tries again.
                if error.is_refusal() {
                    self.say_no(host, &mut writer, (REFUSED, &reason)).await;
                }
                Err(error)
            }
        }
    }

    fn judge_hello(&self, frame: &[u8]) -> Result<Hello, HandshakeError> {
        let (theirs, body) = versioned(frame)?;
        if theirs != self.protocol {
            return Err(HandshakeError::OtherVersion { ours: self.protocol, theirs });
        }
        let hello: Hello =
            decode_message(body).map_err(|error| HandshakeError::Malformed(error.to_string()))?;
        match &self.token {
            Some(token) if !token.is(&hello.token) => {
                let what = if hello.token.is_empty() { "no token" } else { "another token" };
                Err(HandshakeError::Stranger { name: hello.name, what })
            }
            _ => Ok(hello),
        }
    }

    /// Best effort: a peer that cannot be told learns it from the end of the connection.
    async fn say_no(&self, host: &dyn Host, writer: &mut FrameWriter, (no, reason): (u8, &str)) {
        let pushed = writer.push(&[&MAGIC, &self.protocol.to_le_bytes(), &[no], reason.as_bytes()]);
        if pushed.is_ok() {
            let _ = within(host, self.within, writer.close()).await;
        }
    }
}

/// A caller of our version that waits for an answer.
#[derive(Debug)]
pub struct Caller {
    handshake: Handshake,
    /// What it said.
    pub hello: Hello,
    reader: FrameReader,
    writer: FrameWriter,
}

impl Caller {
    /// Lets the caller in, with a body that the role defines; `()` if it defines none.
    ///
    /// # Errors
    /// If the connection has failed meanwhile, or takes too long.
    pub async fn welcome(
        mut self,
        host: &dyn Host,
        body: &impl Serialize,
    ) -> Result<(FrameReader, FrameWriter), HandshakeError> {
        let body = encode_message(body).map_err(|e| HandshakeError::Malformed(e.to_string()))?;
        let protocol = self.handshake.protocol.to_le_bytes();
        self.writer.push(&[&MAGIC, &protocol, &[WELCOME], &body])?;
        within(host, self.handshake.within, self.writer.flush())
            .await
            .ok_or(HandshakeError::Silent(self.handshake.within))??;
        self.reader.set_max(self.handshake.frame_max);
        self.writer.set_max(self.handshake.frame_max);
        Ok((self.reader, self.writer))
    }

    /// Sends the caller away, and tells why as a fact.
    pub async fn refuse(mut self, host: &dyn Host, reason: &str) {
        let peer = self.hello.name.clone();
        host.tell(Fact::HandshakeRefused { peer, cause: reason.to_owned() });
        self.handshake.say_no(host, &mut self.writer, (REFUSED, reason)).await;
    }

    /// Sends the caller on to the job manager that leads. No refusal, hence no fact: callers come
    /// by again and again until they have found it.
    pub async fn send_on(mut self, host: &dyn Host, reason: &str) {
        self.handshake.say_no(host, &mut self.writer, (STANDBY, reason)).await;
    }
}

/// The part of a greeting that no version changes: magic bytes and version.
fn versioned(frame: &[u8]) -> Result<(u32, &[u8]), HandshakeError> {
    let (magic, rest) = frame.split_at_checked(4).unwrap_or_default();
    let (version, rest) = rest.split_at_checked(4).unwrap_or_default();
    match <[u8; 4]>::try_from(version) {
        Ok(version) if magic == MAGIC => Ok((u32::from_le_bytes(version), rest)),
        _ => Err(HandshakeError::Malformed("the greeting does not begin as one".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use slackwater_core::fact::Detail;
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::host::real::{RealHost, run};

    fn version(protocol: u32) -> Handshake {
        Handshake { protocol, within: Duration::from_millis(200), ..Handshake::default() }
    }

    /// Lets two versions meet; what the caller and the answering node make of it, and the facts.
    fn meet(ours: u32, theirs: u32) -> (String, String, usize) {
        let facts = Arc::new(Mutex::new(0));
        let heard = Arc::clone(&facts);
        let host = RealHost::named("here").expect("randomness").telling(
            Detail::Control,
            Arc::new(move |fact| {
                assert!(matches!(fact, Fact::HandshakeRefused { .. }), "{fact}");
                *heard.lock().expect("whole") += 1;
            }),
        );
        let said = run(host, |host| async move {
            let (left, right) = tokio::io::duplex(1024);
            let hello = Hello::new(Role::Client, "left", &7u32);
            let (ours, theirs) = (version(ours), version(theirs));
            let offered = ours.offer::<u32>(&*host, Box::new(left), "right", &hello);
            let answered = async {
                let caller = theirs.receive(&*host, Box::new(right), "left").await?;
                let seven: u32 = caller.hello.body().expect("a number");
                if theirs.protocol == 8 {
                    caller.send_on(&*host, "ask jm-2").await;
                    return Ok("sent on".to_owned());
                }
                if theirs.protocol == 9 {
                    caller.refuse(&*host, "no more nines").await;
                    return Ok("refused".to_owned());
                }
                caller.welcome(&*host, &(seven + 1)).await?;
                Ok::<_, HandshakeError>(format!("{} {seven}", "hello"))
            };
            let (left, right) = futures::join!(offered, answered);
            let left = left.map(|(eight, ..)| eight.to_string());
            (left.unwrap_or_else(|e| e.to_string()), right.unwrap_or_else(|e| e.to_string()))
        });
        let (left, right) = said.expect("a runtime");
        let told = *facts.lock().expect("whole");
        (left, right, told)
    }

    #[test]
    fn equal_versions_greet_each_other() {
        assert_eq!(meet(1, 1), ("8".into(), "hello 7".into(), 0));
    }

    #[test]
    fn a_caller_that_is_not_wanted_hears_why() {
        let heard = "refused by the peer: no more nines".to_owned();
        assert_eq!(meet(9, 9), (heard, "refused".into(), 2));
    }

    #[test]
    fn a_standby_sends_its_callers_on_and_that_is_no_refusal() {
        assert_eq!(meet(8, 8), ("ask jm-2".to_owned(), "sent on".to_owned(), 0));
    }

    #[test]
    fn another_version_is_refused_by_name_on_both_sides() {
        let named = |theirs, ours| {
            format!(
                "the peer speaks protocol version {theirs}, this node speaks {ours}: run the same \
                 release on both"
            )
        };
        assert_eq!(meet(1, 2), (named(2, 1), named(1, 2), 2));
    }

    #[test]
    fn silence_noise_and_a_closed_connection_are_told_apart() {
        let hear = |bytes: Option<&'static [u8]>| {
            let error = run(RealHost::named("here").expect("randomness"), |host| async move {
                let (left, mut right) = tokio::io::duplex(1024);
                right.write_all(bytes.unwrap_or_default()).await.expect("room");
                let _open = bytes.is_none().then_some(right);
                version(1).receive(&*host, Box::new(left), "x").await.err().map(|e| e.to_string())
            });
            error.expect("a runtime").expect("no greeting")
        };
        assert_eq!(hear(None), "the peer did not answer within 200ms");
        assert!(hear(Some(b"")).ends_with("closed the connection without a word"));
        assert!(hear(Some(b"GET / HTTP/1.1\r\n")).contains("longer than the limit"));
        assert!(hear(Some(b"\0\0\0\x04SLKW")).contains("does not begin as one"));
        assert!(hear(Some(b"\0\0\0\x04SL")).contains("middle of a frame"));
    }
}
