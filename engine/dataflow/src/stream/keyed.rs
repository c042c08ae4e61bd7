//! A stream parted by key: what follows keeps its state by key group and runs in parallel.
//! Owns no state: it names a stream and a key function, which runs where records leave and again
//! where they arrive. Unkeyed streams are in [`super::flow`], windows in [`crate::window`].

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::Data;
use slackwater_core::graph::{OperatorKind, StateInfo, Uid};
use slackwater_core::key::Key;
use slackwater_core::time::EventTime;

use super::connected::Connected;
use super::env::Env;
use super::flow::Stream;
use super::node::{Carried, Code, Link, MakeStage, Node, Route, Site, carried, erase, reveal};
use crate::operator::keyed_scan::{self, KeyedScan};
use crate::partition::HashRouter;
use crate::state::{Groups, declared};
use crate::watermark::Quantum;
use crate::window::aggregate::{Number, fold, sum, sum_exact};
use crate::window::snapshot::{self, Bounds};
use crate::window::{Aggregate, Pane, Tumbling, WindowStage, Windowing};

/// A stream of `T`s parted by keys `K`, which `F` finds.
///
/// All records of a key are seen by one subtask, in the order in which each sender sent them.
#[must_use = "a key alone does nothing: scan, or cut windows"]
pub struct Keyed<K, T, F> {
    stream: Stream<T>,
    key: F,
    of: PhantomData<fn() -> K>,
}

impl<K, T, F: Clone> Clone for Keyed<K, T, F> {
    fn clone(&self) -> Self {
        Self { stream: self.stream.clone(), key: self.key.clone(), of: PhantomData }
    }
}

impl<K, T, F> Keyed<K, T, F> {
    pub(super) fn env(&self) -> &Env {
        self.stream.env()
    }

    pub(super) fn key(&self) -> &F {
        &self.key
    }
}

impl<K, T, F> Keyed<K, T, F>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
{
    pub(super) fn new(stream: Stream<T>, key: F) -> Self {
        Self { stream, key, of: PhantomData }
    }

    /// Walks over the stream with one state for each key, which starts as `init`.
    ///
    /// ```
    /// use slackwater_dataflow::harness::Harness;
    /// let mut h = Harness::new(|amounts| {
    ///     amounts.key_by(|(account, _): &(String, i64)| account.clone()).scan(
    ///         "balance",
    ///         0,
    ///         |balance: &mut i64, (account, amount)| {
    ///             *balance += amount;
    ///             (account, *balance)
    ///         },
    ///     )
    /// });
    /// h.element(1, ("a".into(), 5)).element(2, ("b".into(), 7)).element(3, ("a".into(), -2));
    /// assert_eq!(h.output(), [("a".into(), 5), ("b".into(), 7), ("a".into(), 3)]);
    /// ```
    #[track_caller]
    pub fn scan<S, U, Step>(&self, uid: &str, init: S, f: Step) -> Stream<U>
    where
        S: Data + Sync,
        U: Data,
        Step: FnMut(&mut S, T) -> U + Clone + Send + Sync + 'static,
    {
        let (key, id) = (self.key.clone(), Uid::from(uid));
        let make = move |site: &Site, mut outputs: Vec<_>| {
            let next = reveal::<U>(outputs.remove(0));
            let step = (init.clone(), f.clone());
            erase::<T>(KeyedScan::new((&id, groups(site)), key.clone(), step, next))
        };
        let mut node = self.node(uid, (vec![carried::<U>()], Quantum::NOTHING), Arc::new(make));
        node.states = vec![declared::<K, S>(keyed_scan::STATE, true)];
        Stream::of_node(self.stream.env(), self.stream.env().add(node), 0)
    }

    /// Cuts time into windows, for each key.
    pub fn window(&self, windows: Tumbling) -> Windowed<K, T, F> {
        Windowed { keyed: self.clone(), windows }
    }

    /// Connects this stream, on the left, with another one of the same keys: one operator sees the
    /// records of both, with one state for each key.
    ///
    /// # Panics
    /// If the streams belong to different environments.
    pub fn connect<R, ByR>(&self, right: &Keyed<K, R, ByR>) -> Connected<K, T, R, F, ByR>
    where
        R: Data,
        ByR: Fn(&R) -> K + Clone + Send + Sync + 'static,
    {
        assert!(self.env().is(right.env()), "connected streams are of one environment");
        Connected { left: self.clone(), right: right.clone() }
    }

    /// The links of the stream, parted by its keys, to this logical input of their reader.
    pub(super) fn hashed(&self, input: u32) -> impl Iterator<Item = Link> {
        let key = self.key.clone();
        let route: Route = Route::Hash(Arc::new(move |exit| {
            let groups = exit.max_parallelism;
            erase::<T>(HashRouter::new(exit.port, exit.receivers, groups, key.clone()))
        }));
        let links = self.stream.links().iter();
        links.map(move |link| Link { route: route.clone(), input, ..link.clone() })
    }

    #[track_caller]
    fn node(
        &self,
        uid: &str,
        (outputs, sees): (Vec<Arc<dyn Carried>>, Quantum),
        make: MakeStage,
    ) -> Node {
        Node {
            kind: OperatorKind::Operator,
            name: uid.to_owned(),
            uid: Some(uid.into()),
            note: String::new(),
            at: Location::caller(),
            parallelism: None,
            limit: None,
            inputs: self.hashed(0).collect(),
            outputs,
            sees,
            states: Vec::new(),
            formerly: Vec::new(),
            rules: Vec::new(),
            code: Code::Stage(make),
        }
    }
}

/// A keyed stream whose time is cut into windows: say what is computed in each.
///
/// ```
/// use slackwater_core::time::secs;
/// use slackwater_dataflow::harness::Harness;
/// use slackwater_dataflow::window::tumbling;
/// let mut h = Harness::new(|readings| {
///     let keyed = readings.key_by(|(sensor, _): &(String, i64)| sensor.clone());
///     keyed.window(tumbling(secs(1))).sum("sums", |(_, value)| *value)
/// });
/// h.element(200, ("door".into(), 3)).element(900, ("door".into(), 4)).watermark(999);
/// h.element(950, ("door".into(), 5)); // Late: the watermark has promised that none such comes.
/// let panes = h.output();
/// assert_eq!((panes[0].window.start.as_millis(), panes[0].value), (0, 7));
/// assert_eq!(h.take_late().len(), 2, "the watermark and the late record");
/// ```
#[must_use = "windows alone do nothing: say what is computed in each"]
pub struct Windowed<K, T, F> {
    keyed: Keyed<K, T, F>,
    windows: Tumbling,
}

/// What leaves a window operator: both streams want a decision.
///
/// Late records are counted whether or not anyone reads them; who does not want them says so with
/// [`Stream::discard`].
#[must_use = "read the results, and read or discard the late records"]
pub struct WindowOut<K, A, T> {
    /// One pane for each key and window, again for each late record within the allowed lateness.
    pub results: Stream<Pane<K, A>>,
    /// The records that came too late for their window.
    pub late: Stream<T>,
}

impl<K, T, F> Windowed<K, T, F>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
{
    /// Keeps fired windows for `lateness` of event time: a record that comes late within it is
    /// added, and the pane of its key leaves again. Default: zero.
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.windows = self.windows.allowed_lateness(lateness);
        self
    }

    /// The sum of `of` over the records of a pane. Floats add in the order of arrival.
    #[track_caller]
    pub fn sum<N, Of>(self, uid: &str, of: Of) -> WindowOut<K, N, T>
    where
        N: Number,
        Of: Fn(&T) -> N + Clone + Send + Sync + 'static,
    {
        self.aggregate(uid, sum(of))
    }

    /// The sum of `of` over the records of a pane, with the same bits in whatever order they came.
    #[track_caller]
    pub fn sum_exact<Of>(self, uid: &str, of: Of) -> WindowOut<K, f64, T>
    where
        Of: Fn(&T) -> f64 + Clone + Send + Sync + 'static,
    {
        self.aggregate(uid, sum_exact(of))
    }

    /// What `step` makes of `init` and the records of a pane, in the order of arrival.
    #[track_caller]
    pub fn fold<A, Step>(self, uid: &str, init: A, step: Step) -> WindowOut<K, A, T>
    where
        A: Data + Sync,
        Step: Fn(&mut A, T) + Clone + Send + Sync + 'static,
    {
        self.aggregate(uid, fold(init, step))
    }

    /// Any aggregate of the records of a pane.
    #[track_caller]
    pub fn aggregate<G: Aggregate<T>>(self, uid: &str, aggregate: G) -> WindowOut<K, G::Out, T> {
        let (windows, key, id) = (self.windows, self.keyed.key.clone(), Uid::from(uid));
        let make = move |site: &Site, mut outputs: Vec<_>| {
            let results = reveal::<Pane<K, G::Out>>(outputs.remove(0));
            let late = reveal::<T>(outputs.remove(0));
            let (uid, clock, groups) = (id.clone(), site.clock, groups(site));
            let windowing = Windowing { uid, windows, clock, groups };
            let (key, aggregate) = (key.clone(), aggregate.clone());
            erase::<T>(WindowStage::new(windowing, key, aggregate, results, late))
        };
        let outputs = vec![carried::<Pane<K, G::Out>>(), carried::<T>()];
        let env = self.keyed.stream.env();
        if let Err(why) = windows.check() {
            env.mistake(format!("window {uid:?} (declared at {}): {why}", Location::caller()));
        }
        let sees = Quantum::of_millis(windows.quantum());
        let mut node = self.keyed.node(uid, (outputs, sees), Arc::new(make));
        node.states = window_states::<K, G::Acc>();
        let node = env.add(node);
        let (results, late) = (Stream::of_node(env, node, 0), Stream::of_node(env, node, 1));
        WindowOut { results, late }
    }
}

/// What a window operator holds.
fn window_states<K: Key, A: Data>() -> Vec<StateInfo> {
    vec![
        declared::<(Bounds, K), A>(snapshot::WINDOWS, true),
        declared::<Bounds, u64>(snapshot::WAITING, true),
        declared::<(), EventTime>(snapshot::WATERMARK, true),
    ]
}

/// The key groups of the subtask that a stage is made for.
pub(super) fn groups(site: &Site) -> Groups {
    Groups::of_subtask(site.task.subtask.index, site.parallelism, site.max_parallelism)
}
