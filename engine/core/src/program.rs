//! Which program a job runs, and with which parameters: a name, a version, settings as text.
//! No code: programs are found by name in a catalogue that the process brings along.
//! The catalogue's trait is `Programs` in `slackwater-dataflow`'s `stream`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A program and its parameters, as it travels from the client to the job manager and the workers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Program {
    /// Its name in the catalogue, such as `oscon`.
    pub name: String,
    /// Its version, such as `v1`.
    pub version: String,
    /// Parameters by name, as text; the program parses and refuses.
    pub settings: BTreeMap<String, String>,
}

impl Program {
    /// A program of version `v1` without settings.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), version: "v1".into(), settings: BTreeMap::new() }
    }

    /// The same with one more setting.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.settings.insert(name.into(), value.to_string());
        self
    }
}

/// What stands between the version by which a binary knows its program and the hash of the binary.
const DELIVERED: &str = "+sha256-";

impl Program {
    /// The same, as the binary with this SHA-256 brings it along: the hash, in hex, becomes a part of
    /// the version, so that two builds of one program are two versions.
    #[must_use]
    pub fn delivered(self, hash: &str) -> Self {
        let version = format!("{}{DELIVERED}{hash}", self.own().version);
        Self { version, ..self }
    }

    /// The SHA-256 of the binary that brings it along, in hex; `None`: every node does.
    pub fn artifact(&self) -> Option<&str> {
        self.version.split_once(DELIVERED).map(|(_, hash)| hash)
    }

    /// The same as the binary that brings it along knows it.
    #[must_use]
    pub fn own(&self) -> Self {
        let version = self.version.split_once(DELIVERED).map_or(&*self.version, |(own, _)| own);
        Self { version: version.to_owned(), ..self.clone() }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)?;
        self.settings.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}
