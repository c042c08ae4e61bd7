//! The part of a node in a rehearsal: the harness plays a story on processes of this machine, and
//! must hear what they tell, find them, and let their clocks begin when the story does.
//! Changes nothing of what a node does. Written by whoever starts the node, in `slackwater-sim`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};
use slackwater_core::fact::Detail;
use slackwater_runtime::host::real::{RealHost, Resolving};
use slackwater_runtime::host::tape::Tape;

use crate::exit::{Exit, Failure};

/// Where a node is told of its part.
#[derive(Clone, Debug, Default, Args)]
pub struct RehearsalArgs {
    /// A file with the part of this node in a rehearsal, as JSON
    #[arg(long, hide = true, value_name = "FILE")]
    pub rehearsal: Option<PathBuf>,
}

/// The part of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The address of this machine that it listens on.
    pub at: IpAddr,
    /// By name: where the others are.
    pub cast: BTreeMap<String, IpAddr>,
    /// How far its wall clock is ahead of the machine's, in ms.
    pub ahead: i64,
    /// Where every fact that it tells is kept, if anywhere.
    pub tape: Option<PathBuf>,
    /// Of a task manager: how many workers it has, and credits a channel of its tasks, if the story
    /// says so.
    pub workers: Option<u32>,
    /// See `workers`.
    pub credits: Option<u32>,
    /// The folder that stands for the root of every object store, and the address that means it.
    pub root: (PathBuf, String),
}

impl RehearsalArgs {
    /// The part of a node, if it has one.
    ///
    /// # Errors
    /// [`Exit::BadInput`] if it cannot be read.
    pub(crate) fn part(&self) -> Result<Option<Part>, Failure> {
        self.rehearsal.as_deref().map(Part::read).transpose()
    }

    /// The host of a node that has a part, or of one that has none.
    ///
    /// # Errors
    /// [`Exit::BadInput`] if the part cannot be read; [`Exit::Environment`] if the tape cannot be
    /// written, or the system gives no randomness.
    pub(crate) fn host(&self, name: &str) -> Result<RealHost, Failure> {
        let host = match self.part()? {
            None => RealHost::named(name),
            Some(part) => part.host(name),
        };
        host.map_err(|error| Failure::new(Exit::Environment, error))
    }
}

impl Part {
    #[expect(clippy::disallowed_methods, reason = "read before there is a host")]
    fn read(file: &Path) -> Result<Self, Failure> {
        let bad = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::BadInput, format!("{}: {error}", file.display()))
        };
        let text = std::fs::read(file).map_err(|error| bad(&error))?;
        serde_json::from_slice(&text).map_err(|error| bad(&error))
    }

    /// The host of this part.
    ///
    /// # Errors
    /// If the tape cannot be written, or the system gives no randomness.
    pub fn host(&self, name: &str) -> std::io::Result<RealHost> {
        let cast = self.cast.clone();
        let resolving: Resolving = Arc::new(move |address| {
            let (name, port) = address.rsplit_once(':')?;
            cast.get(name).map(|at| format!("{at}:{port}"))
        });
        let host = RealHost::named(name)?.bound_to(self.at).resolving(resolving);
        let (root, own) = self.root.clone();
        let host = host.ahead_by(self.ahead).rooted(root, own);
        match &self.tape {
            Some(file) => Ok(host.taped(Detail::Records, Tape::append(file)?)),
            None => Ok(host),
        }
    }
}
