//! The simulated host: [`Host`] over a node of the world. The engine cannot tell it is here.
//! No clock, no randomness and no thread of the operating system: time is the world's, scaled by
//! the node's drift; draws come from the seed. Connections are made in [`super::net`].

use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use object_store::prefix::PrefixStore;
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::random::RandomStream;
use slackwater_core::time::{ProcessingTime, span_millis};
use slackwater_runtime::host::{
    Conn, Files, Host, Listener, LocalFuture, Objects, TaskHandle, WorkerMain,
};

use slackwater_runtime::store::{StoreError, Trouble};
use tokio::task::AbortHandle;

use super::gate::Gate;
use super::net;
use super::node::Node;
use super::pulse::Alarm;
use super::realm::Realm;
use super::store::SimStore;

/// Virtual time 0 on a wall clock without offset: 2020-01-01T00:00:00Z.
pub const EPOCH: ProcessingTime = ProcessingTime::from_millis(1_577_836_800_000);

/// One incarnation of a process on a node.
pub(super) struct SimHost {
    pub(super) realm: Arc<Realm>,
    pub(super) node: Arc<Node>,
    pub(super) incarnation: u32,
    /// What the node had measured when this incarnation began.
    pub(super) began: Duration,
    /// 0 for the process itself, else the worker within which tasks are spawned.
    pub(super) scope: u64,
}

impl SimHost {
    pub(super) fn again(&self, scope: u64) -> Arc<dyn Host> {
        Arc::new(Self {
            realm: Arc::clone(&self.realm),
            node: Arc::clone(&self.node),
            incarnation: self.incarnation,
            began: self.began,
            scope,
        })
    }

    pub(super) fn spawn_as(&self, id: u64, name: &str, task: LocalFuture<()>) -> TaskHandle {
        let node = Arc::clone(&self.node);
        let alarm = Alarm::new(&self.realm.pulse);
        let gate = Gate {
            inner: Some(task),
            name: name.to_owned(),
            realm: Arc::clone(&self.realm),
            node: Arc::clone(&node),
            incarnation: self.incarnation,
            id,
            waker: Waker::from(Arc::clone(&alarm)),
            alarm,
        };
        node.entered(id, spawn_local(gate));
        TaskHandle::new(move || node.abort(id))
    }
}

impl Host for SimHost {
    fn name(&self) -> &str {
        &self.node.name
    }

    fn elapsed(&self) -> Duration {
        self.node.measured(self.realm.now()).saturating_sub(self.began)
    }

    fn wall(&self) -> ProcessingTime {
        let measured = span_millis(self.node.measured(self.realm.now()));
        let millis = EPOCH.as_millis().saturating_add(measured);
        ProcessingTime::from_millis(millis.saturating_add(self.node.offset_ms()))
    }

    fn sleep(&self, span: Duration) -> LocalFuture<()> {
        Box::pin(self.realm.sleep(self.node.truth(span)))
    }

    fn connect(&self, address: &str, within: Duration) -> LocalFuture<io::Result<Conn>> {
        let (realm, node) = (Arc::clone(&self.realm), Arc::clone(&self.node));
        let within = node.truth(within);
        Box::pin(net::dial(realm, node, address.to_owned(), within))
    }

    fn listen(&self, port: u16) -> LocalFuture<io::Result<Box<dyn Listener>>> {
        Box::pin(net::listen(Arc::clone(&self.realm), Arc::clone(&self.node), port))
    }

    fn random(&self, stream: &str) -> RandomStream {
        let name = format!("{}/{}/{stream}", self.node.name, self.incarnation);
        RandomStream::named(self.realm.seed(), &name)
    }

    fn files(&self) -> &dyn Files {
        &self.node.disk
    }

    fn store(&self, url: &str) -> Result<Objects, StoreError> {
        // One store for all: a world is a network in which every address leads to the same place.
        if let Some((scheme, _)) = url.split_once("://").filter(|(scheme, _)| !known(scheme)) {
            let why = format!("no store has the scheme {scheme:?}: expected file:///folder");
            return Err(StoreError::new(url, Trouble::Address(why)));
        }
        let objects = SimStore::new(&self.realm, &self.node);
        Ok(match folder_of(url) {
            None => Arc::new(objects),
            Some(folder) => Arc::new(PrefixStore::new(objects, folder)),
        })
    }

    fn spawn(&self, name: &str, task: LocalFuture<()>) -> TaskHandle {
        self.spawn_as(self.node.enter(self.scope), name, task)
    }

    fn spawn_worker(&self, name: &str, make: WorkerMain) -> TaskHandle {
        let scope = self.node.enter(self.scope);
        let host = self.again(scope);
        // Made behind the gate, so that a panic in the making is the worker's own.
        self.spawn_as(scope, name, Box::pin(async move { make(host).await }))
    }

    fn tell(&self, fact: Fact) {
        self.realm.tell(self.node.index, fact);
    }

    fn detail(&self) -> Detail {
        self.realm.detail
    }

    fn arc(&self) -> Arc<dyn Host> {
        self.again(self.scope)
    }
}

/// Local, because tasks of a LocalSet end in the order of their making, whatever the process ran before.
#[expect(clippy::disallowed_methods, reason = "the gate itself is what is spawned")]
fn spawn_local(gate: Gate) -> AbortHandle {
    tokio::task::spawn_local(gate).abort_handle()
}

/// Whether a store has this scheme.
fn known(scheme: &str) -> bool {
    matches!(scheme, "file" | "memory")
}

/// The folder of the world's one store to which an address leads; `None`: its root, where the
/// cluster keeps what it has, and checkpoints lie that nobody gave a place.
fn folder_of(url: &str) -> Option<&str> {
    let folder = url.strip_prefix("file://").filter(|folder| folder.starts_with('/'))?;
    let own = super::cluster::STORE.trim_start_matches("file://");
    let folder = match folder.strip_prefix(own) {
        Some(within) if within.is_empty() || within.starts_with('/') => within,
        _ => folder,
    };
    Some(folder.trim_matches('/')).filter(|folder| !folder.is_empty())
}
