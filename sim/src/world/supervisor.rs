//! The supervisor of a node: all that turmoil runs there itself; it starts processes when called.
//! It is never killed: so a dead process leaves a live machine behind, which refuses connections.
//! Called by [`super::stage`]; what it starts goes through [`super::gate`].

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use slackwater_core::fact::{Down, Fact};
use slackwater_runtime::host::LocalFuture;
use tokio::runtime::Handle;

use super::Main;
use super::host::SimHost;
use super::node::{Life, Node};
use super::realm::Realm;

/// Calls that the supervisor has not answered yet, and the clock of its runtime while it has one.
#[derive(Default)]
pub(super) struct Desk(Mutex<VecDeque<Call>>, Mutex<Option<Handle>>);

/// Runs `main` in an incarnation of a node.
pub(super) struct Call {
    pub(super) main: Main,
    pub(super) incarnation: u32,
    pub(super) began: Duration,
    /// Whether it is the node's own process, and not one that runs beside.
    pub(super) is_process: bool,
}

impl Desk {
    pub(super) fn put(&self, call: Call) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(call);
    }

    /// Moves the clock of the node's runtime, which stands still between ticks.
    pub(super) fn advance(&self, span: Duration) {
        let runtime = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(runtime) = &*runtime else { return };
        let _entered = runtime.enter();
        // The clock is moved when it is first asked; then it would only let others go first.
        let mut advanced = pin!(tokio::time::advance(span));
        let _ = advanced.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }

    fn runs_on(&self, runtime: Option<Handle>) {
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = runtime;
    }

    fn take(&self) -> Option<Call> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Answers calls; unless it `stays`, it rests when no task is left, which makes the node free of cost.
pub(super) async fn supervise(
    realm: Arc<Realm>,
    node: Arc<Node>,
    desk: Arc<Desk>,
    stays: bool,
) -> turmoil::Result {
    desk.runs_on(Some(Handle::current()));
    loop {
        while let Some(call) = desk.take() {
            start(&realm, &node, call);
        }
        if !stays && node.tasks() == 0 {
            desk.runs_on(None);
            return Ok(());
        }
        node.bell.notified().await;
    }
}

fn start(realm: &Arc<Realm>, node: &Arc<Node>, call: Call) {
    let Call { main, incarnation, began, is_process } = call;
    let id = node.enter(0);
    let scope = if is_process { 0 } else { id };
    let (realm, node) = (Arc::clone(realm), Arc::clone(node));
    let began = node.measured(began);
    let host = SimHost { realm, node, incarnation, began, scope };
    let ended = Arc::clone(&host.node);
    let realm = Arc::clone(&host.realm);
    let process = host.again(scope);
    let task: LocalFuture<()> = Box::pin(async move {
        main(process).await;
        if is_process {
            let fact = Fact::NodeDown { node: ended.name.clone(), how: Down::Exit };
            realm.tell(ended.index, fact);
            ended.end(Life::Down);
        } else {
            ended.abort(id);
        }
    });
    host.spawn_as(id, "main", task);
}
