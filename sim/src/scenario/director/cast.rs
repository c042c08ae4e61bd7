//! What the director knows of the cast: who lives, who leads, who has had to do with what.
//! Only what facts tell; nobody is asked and nothing is drawn. Used by [`super::Story`].

use std::collections::{BTreeMap, BTreeSet};

use slackwater_core::fact::{Down, Fact};

use crate::journal::Entry;
use crate::scenario::drawn::Whom;
use crate::scenario::format::Role;
use crate::scenario::values::Pick;

/// The nodes of a world, as its facts show them.
#[derive(Default)]
pub(super) struct Cast {
    names: Vec<String>,
    dead: BTreeSet<String>,
    leader: Option<String>,
    /// By what is asked for: who has told of it.
    touched: BTreeMap<String, BTreeSet<String>>,
}

/// Who may be meant.
pub(super) struct Meant {
    /// These, in order.
    pub(super) nodes: Vec<String>,
    /// The which of them; any unless given.
    pub(super) pick: Option<u32>,
}

impl Cast {
    /// A cast of which it will be asked who was touched by these.
    pub(super) fn new(asked: impl Iterator<Item = String>) -> Self {
        let touched = asked.map(|what| (what, BTreeSet::new())).collect();
        Self { touched, ..Self::default() }
    }

    /// Gives the nodes their names, in their order.
    pub(super) fn enter(&mut self, names: &[String]) {
        self.names = names.to_vec();
    }

    fn name(&self, entry: &Entry) -> Option<&String> {
        self.names.get(usize::from(entry.node.0))
    }

    /// A fact is told.
    pub(super) fn note(&mut self, entry: &Entry) {
        let Some(teller) = self.name(entry).cloned() else { return };
        match &entry.fact {
            Fact::LeaderElected { .. } | Fact::JobManagerStarted { .. } => {
                self.leader = Some(teller.clone());
            }
            Fact::NodeDown { node, how } if *how != Down::Exit => {
                self.dead.insert(node.clone());
            }
            Fact::NodeStarted { node, .. } | Fact::NodeResumed { node } => {
                self.dead.remove(node);
            }
            _ => {}
        }
        for (what, touched) in &mut self.touched {
            let tells = match what.strip_prefix("checkpoint ") {
                Some(id) => {
                    let about = entry.fact.probe();
                    let may = ["checkpoint.", "message.", "sink."];
                    let field =
                        || format!(" {} ", entry.fact).contains(&format!(" checkpoint={id} "));
                    may.iter().any(|prefix| about.starts_with(prefix)) && field()
                }
                None => entry.fact.probe() == what,
            };
            if tells {
                touched.insert(teller.clone());
                // Whom it is sent to has to do with it too, before he knows.
                if let Fact::MessageSent { peer, .. } = &entry.fact {
                    touched.insert(node_of(peer));
                }
            }
        }
    }

    /// Who sent a message, and to whom, if the fact is one of a message.
    pub(super) fn link(&self, entry: &Entry) -> Option<(String, String)> {
        let teller = self.name(entry)?.clone();
        match &entry.fact {
            Fact::MessageSent { peer, .. } => Some((teller, node_of(peer))),
            Fact::MessageReceived { peer, .. } => Some((node_of(peer), teller)),
            _ => None,
        }
    }

    /// Whether nobody has had to do with it so far: it is too early to ask.
    pub(super) fn is_untouched(&self, whom: &Whom) -> bool {
        let touched = whom.touched_by.as_ref().and_then(|what| self.touched.get(what));
        let plays = |name: &String| is(name, whom.role);
        touched.is_some_and(|touched| !touched.iter().any(plays))
    }

    /// Who may be meant now.
    pub(super) fn meant(&self, whom: &Whom, link: Option<&(String, String)>) -> Meant {
        let living = self.names.iter().filter(|name| !self.dead.contains(*name));
        let leads = |name: &&String| self.leader.as_ref() == Some(*name);
        let all: Vec<String> = match whom.role {
            Role::Sender => link.map(|link| link.0.clone()).into_iter().collect(),
            Role::Receiver => link.map(|link| link.1.clone()).into_iter().collect(),
            Role::Leader => living.filter(leads).cloned().collect(),
            Role::Standby => {
                living.filter(|name| is(name, Role::JobManager) && !leads(name)).cloned().collect()
            }
            role => living.filter(|name| is(name, role)).cloned().collect(),
        };
        let touched = whom.touched_by.as_ref().and_then(|what| self.touched.get(what));
        let nodes = match touched {
            Some(touched) => all.into_iter().filter(|name| touched.contains(name)).collect(),
            None => all,
        };
        let pick = match whom.pick {
            Pick::Number(number) => Some(number),
            Pick::Any => None,
        };
        Meant { nodes, pick }
    }
}

/// The node of an address.
fn node_of(peer: &str) -> String {
    peer.split(':').next().unwrap_or(peer).to_owned()
}

/// Whether a node plays this role.
fn is(name: &str, role: Role) -> bool {
    use crate::world::cluster::{CONTROL, DATABASE, JOB_MANAGER, LOG};
    let task_manager = || name.starts_with("tm-");
    let job_manager = || name.starts_with(JOB_MANAGER);
    match role {
        Role::TaskManager => task_manager(),
        Role::JobManager => job_manager(),
        Role::SeriesDatabase => name == DATABASE,
        Role::Log => name == LOG,
        Role::Control => name == CONTROL,
        Role::Any => task_manager() || job_manager(),
        Role::Leader | Role::Standby | Role::Sender | Role::Receiver => false,
    }
}
