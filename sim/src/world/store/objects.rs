//! What lies in the store of a world, and what is on its way there.
//! A change happens at the instant that was drawn when it was sent, in the order of these instants,
//! whether its caller still lives or not; nothing is drawn but delays and what becomes of the dead.
//! How a node calls: [`super::SimStore`].

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, Result};
use slackwater_core::fact::{Detail, Fact, Records};
use slackwater_core::random::RandomStream;

use crate::journal::NodeIndex;
use crate::world::node::Node;
use crate::world::realm::Realm;

/// How long an operation takes each way, in microseconds.
const WAY: std::ops::RangeInclusive<u64> = 300..=4_000;

/// Of what lies below this folder nothing can be changed.
const READ_ONLY: &str = "readonly/";

/// The objects of a world, shared by all its nodes.
pub(in crate::world) struct Objects(Mutex<State>);

pub(super) struct State {
    pub(super) objects: BTreeMap<String, Object>,
    /// Changes on their way, by the instant of their arrival.
    pub(super) pending: BTreeMap<(Duration, u64), Pending>,
    answers: BTreeMap<u64, Result<()>>,
    draws: BTreeMap<String, RandomStream>,
    next: u64,
    pub(super) slow: Duration,
    pub(super) refuses: Option<Refusing>,
    pub(super) full: bool,
    /// Whether facts carry what was put.
    tells_content: bool,
}

/// Whom the store refuses.
pub(super) enum Refusing {
    All,
    Node(String),
}

/// An object, who put it, and how many puts there were before.
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) by: NodeIndex,
    pub(super) number: u64,
}

/// A change that has been sent.
pub(super) struct Pending {
    pub(super) deed: Deed,
    pub(super) node: String,
    pub(super) number: u64,
    by: NodeIndex,
    /// Whether it happens even if its caller dies.
    pub(super) certain: bool,
    /// Whether its caller has died.
    orphaned: bool,
}

/// A change.
pub(super) enum Deed {
    Put { path: String, bytes: Bytes },
    Create { path: String, bytes: Bytes },
    Delete { path: String },
}

impl Deed {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Put { path, .. } | Self::Create { path, .. } | Self::Delete { path } => path,
        }
    }

    /// Leaves the first `length` bytes of what is put.
    pub(super) fn cut(&mut self, length: usize) {
        match self {
            Self::Put { bytes, .. } | Self::Create { bytes, .. } => bytes.truncate(length),
            Self::Delete { .. } => {}
        }
    }

    pub(super) fn length(&self) -> usize {
        match self {
            Self::Put { bytes, .. } | Self::Create { bytes, .. } => bytes.len(),
            Self::Delete { .. } => 0,
        }
    }
}

/// What a caller is told when it sends: its number, and how long the ways are.
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) there: Duration,
    pub(super) back: Duration,
}

impl Objects {
    pub(in crate::world) fn new(bytes: BTreeMap<String, Vec<u8>>, detail: Detail) -> Self {
        let object = |((path, bytes), number): ((String, Vec<u8>), u64)| {
            (path, Object { bytes: bytes.into(), by: NodeIndex(0), number })
        };
        let next = bytes.len() as u64;
        Self(Mutex::new(State {
            objects: bytes.into_iter().zip(0..).map(object).collect(),
            pending: BTreeMap::new(),
            answers: BTreeMap::new(),
            draws: BTreeMap::new(),
            next,
            slow: Duration::ZERO,
            refuses: None,
            full: false,
            tells_content: detail >= Detail::Records,
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what another world left here, as if it had been put now.
    pub(in crate::world) fn tell(&self, realm: &Realm) {
        let state = self.state();
        let objects = state.objects.iter().map(|(path, object)| {
            let content =
                Records(if state.tells_content { object.bytes.to_vec() } else { Vec::new() });
            let bytes = object.bytes.len() as u64;
            (object.by, Fact::StorePut { path: path.clone(), bytes, created: false, content })
        });
        let facts: Vec<_> = objects.collect();
        drop(state);
        facts.into_iter().for_each(|(by, fact)| realm.tell(by, fact));
    }

    /// A copy of what lies in it.
    pub(in crate::world) fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        state.objects.iter().map(|(path, object)| (path.clone(), object.bytes.to_vec())).collect()
    }

    /// Forgets every stream: the next draw of a node begins one from the seed of then.
    pub(in crate::world) fn reseed(&self) {
        self.state().draws.clear();
    }

    /// Takes a call of a node in, and its change, if it is one.
    pub(super) fn accept(&self, realm: &Realm, node: &Arc<Node>, deed: Option<Deed>) -> Ticket {
        let now = realm.now();
        let mut state = self.state();
        let slow = state.slow / 2;
        let draws = state.draws_of(realm.seed(), &node.name);
        let mut way = || {
            let span = WAY.end() - WAY.start() + 1;
            Duration::from_micros(WAY.start() + draws.below(span)) + slow
        };
        let (there, back) = (way(), way());
        let number = state.next;
        state.next += 1;
        if let Some(deed) = deed {
            let (node, by) = (node.name.clone(), node.index);
            let pending = Pending { deed, node, number, by, certain: false, orphaned: false };
            state.pending.insert((now + there, number), pending);
        }
        Ticket { number, there, back }
    }

    /// Lets every change happen that has arrived by now.
    pub(in crate::world) fn settle(&self, realm: &Realm, now: Duration) {
        loop {
            let mut state = self.state();
            let Some(first) = state.pending.first_entry().filter(|first| first.key().0 <= now)
            else {
                return;
            };
            let Pending { deed, node, number, by, orphaned, .. } = first.remove();
            let path = deed.path().to_owned();
            let changed = state.change(&node, by, deed);
            let fact = match &changed {
                Ok(fact) => fact.clone(),
                Err(error) => Fact::StoreRefused { path, cause: cause(error) },
            };
            if !orphaned {
                state.answers.insert(number, changed.map(drop));
            }
            drop(state);
            realm.count_step();
            realm.tell(by, fact);
        }
    }

    /// When the next change arrives.
    pub(in crate::world) fn next(&self) -> Option<Duration> {
        self.state().pending.keys().next().map(|(time, _)| *time)
    }

    pub(super) fn answer(&self, number: u64) -> Option<Result<()>> {
        self.state().answers.remove(&number)
    }

    /// The caller of `number` has its answer, or will never ask for it.
    pub(super) fn abandon(&self, node: &str, number: u64) {
        let mut state = self.state();
        let State { pending, draws, answers, .. } = &mut *state;
        answers.remove(&number);
        let Some(key) = pending.keys().copied().find(|key| key.1 == number) else { return };
        let Some(waiting) = pending.get_mut(&key) else { return };
        waiting.orphaned = true;
        let Some(draws) = draws.get_mut(node).filter(|_| !waiting.certain) else { return };
        match (&waiting.deed, draws.below(3)) {
            (_, 0) => drop(pending.remove(&key)),
            (Deed::Put { bytes, .. }, 1) => {
                let length = draws.below(bytes.len() as u64 + 1) as usize;
                waiting.deed.cut(length);
            }
            _ => {}
        }
    }

    /// The error for a node that the store refuses.
    pub(super) fn refusal(&self, node: &str) -> Option<Error> {
        self.state().refusal(node)
    }

    pub(super) fn get(&self, path: &Path) -> Result<Bytes> {
        let state = self.state();
        let object = state.objects.get(path.as_ref());
        object.map(|object| object.bytes.clone()).ok_or_else(|| missing(path.as_ref()))
    }

    pub(super) fn list(&self, folder: &Path) -> Vec<ObjectMeta> {
        let state = self.state();
        let folder = if folder.is_root() { String::new() } else { format!("{folder}/") };
        let from = state.objects.range(folder.clone()..);
        let inside = from.take_while(|(path, _)| path.starts_with(&folder));
        let parsed = inside.filter_map(|(path, object)| Some((Path::parse(path).ok()?, object)));
        parsed.map(|(path, object)| meta(&path, object.bytes.len())).collect()
    }
}

impl State {
    fn draws_of(&mut self, seed: u64, node: &str) -> &mut RandomStream {
        let stream = || RandomStream::named(seed, &format!("store/{node}"));
        self.draws.entry(node.to_owned()).or_insert_with(stream)
    }

    fn refusal(&self, node: &str) -> Option<Error> {
        let refused = match &self.refuses {
            None => false,
            Some(Refusing::All) => true,
            Some(Refusing::Node(name)) => name == node,
        };
        refused.then(|| transient("the store refuses"))
    }

    fn change(&mut self, node: &str, by: NodeIndex, deed: Deed) -> Result<Fact> {
        if let Some(refused) = self.refusal(node) {
            return Err(refused);
        }
        if deed.path().starts_with(READ_ONLY) {
            return Err(denied(deed.path()));
        }
        match deed {
            Deed::Delete { path } => {
                self.objects.remove(&path).ok_or_else(|| missing(&path))?;
                Ok(Fact::StoreDeleted { path })
            }
            Deed::Put { .. } | Deed::Create { .. } if self.full => {
                Err(transient("no space left on device"))
            }
            Deed::Create { path, .. } if self.objects.contains_key(&path) => {
                Err(Error::AlreadyExists { path, source: "it is there already".into() })
            }
            Deed::Create { path, bytes } => Ok(self.put(path, bytes, by, true)),
            Deed::Put { path, bytes } => Ok(self.put(path, bytes, by, false)),
        }
    }

    fn put(&mut self, path: String, bytes: Bytes, by: NodeIndex, created: bool) -> Fact {
        let length = bytes.len() as u64;
        let content = Records(if self.tells_content { bytes.to_vec() } else { Vec::new() });
        let number = self.next;
        self.next += 1;
        self.objects.insert(path.clone(), Object { bytes, by, number });
        Fact::StorePut { path, bytes: length, created, content }
    }
}

/// What a store says of an object. It is never dated.
pub(super) fn meta(path: &Path, length: usize) -> ObjectMeta {
    let (location, size) = (path.clone(), length as u64);
    ObjectMeta { location, last_modified: Default::default(), size, e_tag: None, version: None }
}

/// An error that may pass.
pub(super) fn transient(why: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::Generic { store: "sim", source: why.into() }
}

pub(super) fn unsupported(what: &str) -> Error {
    Error::NotImplemented { operation: what.to_owned(), implementer: "sim".to_owned() }
}

fn missing(path: &str) -> Error {
    Error::NotFound { path: path.to_owned(), source: "there is no such object".into() }
}

/// Why, in the words of the store.
pub(super) fn cause(error: &Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn denied(path: &str) -> Error {
    let source = "permission denied".into();
    Error::PermissionDenied { path: path.to_owned(), source }
}
