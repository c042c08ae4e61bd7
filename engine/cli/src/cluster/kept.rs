//! What `cluster start` was told, kept in the cluster's folder for whoever comes later: the one more
//! task manager, the next start. Never holds a secret, only the name of its file.
//! Who starts what with it: [`super`].

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};
use slackwater_runtime::host::disk::Disk;

use super::process::Process;
use super::{JOB_MANAGER, StartArgs, environment};
use crate::exit::{Exit, Failure};
use crate::remote::{Access, from_here};

/// What `cluster start` was told, for whoever comes later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    port: u16,
    pub(super) rest_port: u16,
    pub(super) slots: u32,
    store: String,
    savepoints: String,
    /// Where its nodes listen, if not on loopback.
    #[serde(default)]
    bind: Option<IpAddr>,
    #[serde(default)]
    advertise: Option<String>,
    #[serde(default)]
    token_file: Option<String>,
}

impl Kept {
    /// Where this machine finds the job manager.
    pub(super) fn address(&self) -> String {
        let bind = self.bind.filter(|bind| !bind.is_unspecified() && !bind.is_loopback());
        match bind {
            Some(bind) => SocketAddr::new(bind, self.port).to_string(),
            None => format!("localhost:{}", self.port),
        }
    }

    /// Where a browser of this machine finds the dashboard.
    pub(super) fn rest(&self) -> String {
        let host = self.address();
        let host = host.rsplit_once(':').map_or("localhost", |(host, _)| host);
        format!("http://{host}:{}", self.rest_port)
    }

    pub(super) fn access(&self) -> Access {
        Access { token_file: self.token_file.clone(), wait: None }
    }

    /// What each of its nodes is told of the network.
    fn network(&self) -> Vec<(&'static str, String)> {
        let bind = self.bind.map(|bind| bind.to_string());
        let told = [
            ("--bind", bind),
            ("--advertise", self.advertise.clone()),
            ("--token-file", self.token_file.clone()),
        ];
        told.into_iter().filter_map(|(flag, value)| Some((flag, value?))).collect()
    }
}

impl Kept {
    /// What the arguments say, with folders of the cluster for what they leave out.
    pub(super) fn of(args: &StartArgs, dir: &Path) -> Result<Self, Failure> {
        let or_own = |told: &Option<String>, own: &str| {
            let mut url = told.clone().unwrap_or_else(|| dir.join(own).display().to_string());
            from_here(&mut url)?;
            Ok::<_, Failure>(url)
        };
        let StartArgs { slots, port, rest_port, .. } = *args;
        let store = or_own(&args.store, "store")?;
        // Said here, not in the log of a node that does not start.
        let network = &args.network;
        network.token()?;
        network.must_be_found()?;
        let absolute = |file: &String| std::path::absolute(file).map(|f| f.display().to_string());
        let token_file = network.token_file.as_ref().map(absolute).transpose();
        Ok(Self {
            bind: network.is_exposed().then_some(network.bind),
            advertise: network.advertise.clone(),
            token_file: token_file.map_err(|error| Failure::new(Exit::Usage, error))?,
            port,
            rest_port,
            slots,
            store,
            savepoints: or_own(&args.savepoints, "savepoints")?,
        })
    }

    fn file(dir: &Path) -> String {
        dir.join("cluster.json").display().to_string()
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), Failure> {
        use slackwater_runtime::host::Files;
        let json = serde_json::to_vec_pretty(self);
        let json = json.map_err(|error| Failure::new(Exit::Environment, error))?;
        Disk.write(&Self::file(dir), &json).map_err(environment)
    }

    pub(super) fn read(dir: &Path) -> Result<Self, Failure> {
        use slackwater_runtime::host::Files;
        let (file, most) = (Self::file(dir), 1 << 16);
        let bytes = Disk.read_at(&file, 0, most).map_err(|error| {
            let words = format!(
                "there is no cluster in {}: {error}: slackwater cluster start",
                dir.display()
            );
            Failure::new(Exit::Usage, words)
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::new(Exit::BadInput, format!("{file}: {error}")))
    }

    pub(super) fn job_manager(&self, process: &Process) -> Result<(), Failure> {
        let mut flags = vec![
            ("--name", JOB_MANAGER.into()),
            ("--port", self.port.to_string()),
            ("--rest-port", self.rest_port.to_string()),
            ("--store", self.store.clone()),
            ("--savepoints", self.savepoints.clone()),
        ];
        flags.extend(self.network());
        process.start(&flags)
    }

    pub(super) fn task_manager(&self, process: &Process, slots: u32) -> Result<(), Failure> {
        let mut flags = vec![
            ("--name", process.name().to_owned()),
            ("--job-manager", self.address()),
            ("--slots", slots.to_string()),
            ("--binaries", process.folder("binaries")),
        ];
        flags.extend(self.network());
        process.start(&flags)
    }
}
