//! Serves a log on a port of its host: appends, and fetches that wait for a record for a while.
//! Tells of every record that becomes visible. Keeps nothing itself: [`super::MemoryLog`] does.
//! The readers and writers on the other side are [`super::source`] and [`super::sink`].

use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::time::ProcessingTime;
use slackwater_runtime::host::Host;
use slackwater_runtime::wire::handshake::Role;

use super::{Append, Fetched, MemoryLog};
use crate::request::Server;

/// What is asked of the log.
#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    /// Take these records; the producer is the caller's name.
    Append { topic: String, partition: u32, sequence: u64, records: Vec<Append> },
    /// Give at most `max` records from `offset` on; if there is none, wait so long for one.
    Fetch { topic: String, partition: u32, offset: u64, max: u32, wait: Duration },
}

/// What it answers.
#[derive(Serialize, Deserialize)]
pub(super) enum Reply {
    /// They are taken.
    Appended,
    /// Records, or none.
    Fetched(Fetched),
}

/// A log that has bound its port and serves once [`LogServer::run`] is polled.
pub struct LogServer {
    host: Arc<dyn Host>,
    server: Server,
}

impl LogServer {
    /// Binds the port; 0 takes any.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn bind(host: Arc<dyn Host>, port: u16) -> io::Result<Self> {
        let server = Server::bind(host.clone(), Role::Log, port).await?;
        Ok(Self { host, server })
    }

    /// The port that it is bound to.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Serves until the future is dropped or the listener fails.
    pub async fn run(self, log: MemoryLog) -> io::Error {
        let Self { host, server } = self;
        server
            .run(move |producer: Rc<str>, request: Request| {
                let (host, log) = (host.clone(), log.clone());
                async move {
                    match request {
                        Request::Append { topic, partition, sequence, records } => {
                            let place = (topic.as_str(), partition);
                            let seen =
                                log.append(place, (&producer, sequence), records, host.wall())?;
                            tell(host.as_ref(), place, seen);
                            Ok(Reply::Appended)
                        }
                        Request::Fetch { topic, partition, offset, max, wait } => {
                            let place = (topic.as_str(), partition);
                            let from = (offset, max as usize);
                            log.check(place, offset)?;
                            Ok(Reply::Fetched(fetch(host.as_ref(), &log, place, from, wait).await))
                        }
                    }
                }
            })
            .await
    }
}

/// Serves a log on a port until the future is dropped.
///
/// # Errors
/// If the port is taken, or the listener fails.
pub async fn serve(host: Arc<dyn Host>, port: u16, log: MemoryLog) -> io::Result<()> {
    let server = LogServer::bind(host, port).await?;
    Err(server.run(log).await)
}

/// Fetches, waiting up to `wait` for the first record.
async fn fetch(
    host: &dyn Host,
    log: &MemoryLog,
    place: (&str, u32),
    (offset, max): (u64, usize),
    wait: Duration,
) -> Fetched {
    let deadline = host.elapsed() + wait;
    loop {
        // Asked for before looking: a change between look and wait is not missed.
        let changed = log.changed.notified();
        let now = host.wall();
        let (seen, next) = log.release(place, now);
        tell(host, place, seen);
        let fetched = log.fetch(place, offset, max);
        let left = deadline.saturating_sub(host.elapsed());
        if !fetched.payloads.is_empty() || fetched.ended || left.is_zero() {
            return fetched;
        }
        tokio::select! {
            biased;
            () = changed => {}
            () = host.sleep(left.min(until(now, next))) => {}
        }
    }
}

/// How long until `next`, rounded up; for ever if there is none.
fn until(now: ProcessingTime, next: Option<ProcessingTime>) -> Duration {
    let Some(next) = next else { return Duration::MAX };
    Duration::from_millis(u64::try_from(next.millis_since(now)).unwrap_or(0).max(1))
}

fn tell(host: &dyn Host, (topic, partition): (&str, u32), seen: Range<u64>) {
    if host.detail() >= Detail::Flow {
        for offset in seen {
            host.tell(Fact::LogAppended { topic: topic.to_owned(), partition, offset });
        }
    }
}
