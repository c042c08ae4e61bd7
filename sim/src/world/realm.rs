//! What all nodes of one world share: the cast, the links, the true time, the journal.
//! Nothing here takes a decision, and nothing outlives its world.
//! Nodes are in [`super::node`], links in [`super::net`]; the loop that moves time is [`super::stage`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slackwater_core::fact::{Detail, Fact};

use super::net::Links;
use super::node::Node;
use super::store::Objects;
use crate::journal::{Journal, NodeIndex};

/// One world, as its nodes share it.
pub(super) struct Realm {
    pub(super) seed: u64,
    pub(super) detail: Detail,
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) by_name: BTreeMap<String, usize>,
    pub(super) links: Links,
    pub(super) store: Objects,
    journal: Mutex<Journal>,
    tick_began_micros: AtomicU64,
    steps: AtomicU64,
}

impl Realm {
    pub(super) fn new(
        seed: u64,
        detail: Detail,
        nodes: Vec<Arc<Node>>,
        net: (Links, Objects),
    ) -> Self {
        let (links, store) = net;
        let names = nodes.iter().map(|node| node.name.clone());
        Self {
            seed,
            detail,
            by_name: names.clone().zip(0..).collect(),
            links,
            store,
            journal: Mutex::new(Journal::new(names)),
            tick_began_micros: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            nodes,
        }
    }

    pub(super) fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.by_name.get(name).map(|index| &self.nodes[*index])
    }

    /// The true time: the running host's, or between ticks the tick's beginning.
    pub(super) fn now(&self) -> Duration {
        let tick = || Duration::from_micros(self.tick_began_micros.load(Ordering::Relaxed));
        turmoil::sim_elapsed().unwrap_or_else(tick)
    }

    pub(super) fn begin_tick(&self, now: Duration) {
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.tick_began_micros.store(micros, Ordering::Relaxed);
    }

    pub(super) fn tell(&self, node: NodeIndex, fact: Fact) {
        if self.detail > Detail::Off {
            let now = self.now();
            self.with_journal(|journal| journal.push(now, node, fact));
        }
    }

    pub(super) fn with_journal<T>(&self, use_it: impl FnOnce(&mut Journal) -> T) -> T {
        use_it(&mut self.journal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn count_step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// How many polls of gated tasks there were.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }
}
