//! InfluxDB 1.x as a place for points: what `http://127.0.0.1:8086/oscon` means to the series sinks.
//! Decisions are plain code ([`delivery`], [`answer`], [`line`]) and the act is at the edge
//! ([`client`], [`post`]); nothing is sent that InfluxDB would refuse for what it is. Sinks: [`crate::series`].

use std::fmt;
use std::time::Duration;

use hyper::Uri;

mod answer;
pub mod client;
mod delivery;
mod line;
pub(crate) mod post;
pub(crate) mod reading;

/// The port of InfluxDB unless an address says otherwise.
pub const PORT: u16 = 8086;

/// How much one request carries at most, in bytes.
const BODY_MAX: usize = 1 << 20;
/// How long a connection may take to open.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long a request is tried again before the task fails.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// A database of an InfluxDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it listens, as `host:port`.
    pub address: String,
    /// The name of the database.
    pub database: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}/{}", self.address, self.database)
    }
}

impl Target {
    /// Reads an address such as `http://127.0.0.1:8086/oscon`; `None` if it is none of the web.
    ///
    /// # Errors
    /// If it names no host or no database, or asks for what is not spoken here, such as `https`.
    ///
    /// ```
    /// use slackwater_connect::influx::Target;
    /// let target = Target::read("http://127.0.0.1/oscon").expect("of the web").expect("whole");
    /// assert_eq!((&*target.address, &*target.database), ("127.0.0.1:8086", "oscon"));
    /// assert!(Target::read("db:8086").is_none());
    /// ```
    pub fn read(address: &str) -> Option<Result<Self, String>> {
        address.contains("://").then(|| {
            let expected = "expected a database such as \"http://127.0.0.1:8086/oscon\"";
            let read = Self::parts(address);
            read.map_err(|why| format!("{expected}, found {:?}: {why}", redacted(address)))
        })
    }

    fn parts(address: &str) -> Result<Self, String> {
        let uri: Uri = address.parse().map_err(|error| format!("{error}"))?;
        if uri.scheme_str() != Some("http") {
            return Err("http is spoken here, and nothing else".into());
        }
        let Some(authority) = uri.authority() else { return Err("it names no host".into()) };
        if authority.as_str().contains('@') {
            return Err("a user and a password are not sent".into());
        }
        let port = authority.port_u16().unwrap_or(PORT);
        let database = uri.path().trim_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if database.is_empty() || uri.query().is_some() {
            return Err("its path is the name of a database, and nothing more".into());
        }
        if !database.chars().all(is_plain) {
            return Err("a database's name is letters, digits, _, - and .".into());
        }
        Ok(Self { address: format!("{}:{port}", authority.host()), database: database.to_owned() })
    }
}

/// An address without its user and password, for messages.
fn redacted(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests;
