//! A stream of records and what can be done with it without a key.
//! A stream owns nothing: it names outputs of operators in its [`Env`], and is read any number of
//! times. With a key it goes on in [`super::keyed`].

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use slackwater_core::Data;
use slackwater_core::graph::{OperatorKind, TWO_PHASE, Uid};
use slackwater_core::key::Key;

use super::env::Env;
use super::keyed::Keyed;
use super::node::{Code, Erased, Link, Node, Route, carried, erase, reveal};
use crate::connector::{Sink, SinkContract, TwoPhaseSink};
use crate::metric::Metrics;
use crate::operator::BoxStage;
use crate::operator::filter::Filter;
use crate::operator::flat_map::FlatMap;
use crate::operator::map::Map;
use crate::operator::scan::{self, Scan};
use crate::sink::{SinkTask, TwoPhaseTask};
use crate::state::declared;
use crate::watermark::Quantum;

/// A stream of `T`s. Reading it twice gives both readers every record.
///
/// ```
/// use slackwater_dataflow::harness::Harness;
/// let mut h = Harness::new(|numbers| {
///     let odd = numbers.filter(|n: &i64| n % 2 == 1);
///     odd.map(|n| n * 10)
/// });
/// h.element(1, 3).element(2, 4).element(3, 5);
/// assert_eq!(h.output(), [30, 50]);
/// ```
#[must_use = "a stream that nobody reads computes for nothing"]
pub struct Stream<T> {
    env: Env,
    links: Vec<Link>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Stream<T> {
    fn clone(&self) -> Self {
        Self { env: self.env.clone(), links: self.links.clone(), of: PhantomData }
    }
}

impl<T: Data> Stream<T> {
    /// Names the operator that makes this stream, for people: plans, dashboards.
    #[track_caller]
    pub fn named(self, name: &str) -> Self {
        self.env.amend(&self.nodes(), "a name", |node| node.name = name.to_owned());
        self
    }

    /// How many subtasks the operator that makes this stream has. Default: the environment's.
    #[track_caller]
    pub fn parallelism(self, parallelism: u32) -> Self {
        self.env.amend(&self.nodes(), "a parallelism", |node| node.parallelism = Some(parallelism));
        self
    }

    /// One record in, one record out.
    #[track_caller]
    pub fn map<U, F>(&self, f: F) -> Stream<U>
    where
        U: Data,
        F: FnMut(T) -> U + Clone + Send + Sync + 'static,
    {
        self.stateless("map", move |next: BoxStage<U>| erase::<T>(Map::new(f.clone(), next)))
    }

    /// Keeps the records for which `keep` holds.
    #[track_caller]
    pub fn filter<F>(&self, keep: F) -> Self
    where
        F: FnMut(&T) -> bool + Clone + Send + Sync + 'static,
    {
        self.stateless("filter", move |next: BoxStage<T>| {
            erase::<T>(Filter::new(keep.clone(), next))
        })
    }

    /// One record in, any number out, all with the timestamp of the one.
    ///
    /// ```
    /// use slackwater_dataflow::harness::Harness;
    /// let mut h = Harness::new(|text| text.flat_map(|line: String| {
    ///     line.split(' ').map(str::to_owned).collect::<Vec<_>>()
    /// }));
    /// h.element(7, "to be".to_owned());
    /// assert_eq!(h.output(), ["to", "be"]);
    /// ```
    #[track_caller]
    pub fn flat_map<U, I, F>(&self, f: F) -> Stream<U>
    where
        U: Data,
        I: IntoIterator<Item = U> + 'static,
        F: FnMut(T) -> I + Clone + Send + Sync + 'static,
    {
        self.stateless("flat_map", move |next: BoxStage<U>| {
            erase::<T>(FlatMap::new(f.clone(), next))
        })
    }

    /// As [`Stream::map`], with what the operator counts for people: `open` is called once for each
    /// subtask, declares counters and meters, and gives the function. They are shown for each subtask,
    /// are no part of state, and begin at zero in every attempt.
    ///
    /// ```
    /// use slackwater_dataflow::harness::Harness;
    /// let mut h = Harness::new(|numbers| numbers.map_with(|metrics| {
    ///     let datapoints = metrics.counter("datapoints");
    ///     move |n: i64| {
    ///         datapoints.inc();
    ///         n * 10
    ///     }
    /// }));
    /// h.element(1, 3).element(2, 4);
    /// assert_eq!((h.output(), h.counted("datapoints")), (vec![30, 40], 2));
    /// ```
    #[track_caller]
    pub fn map_with<U, F>(&self, open: impl Fn(&Metrics) -> F + Send + Sync + 'static) -> Stream<U>
    where
        U: Data,
        F: FnMut(T) -> U + 'static,
    {
        self.opened("map", move |metrics, next: BoxStage<U>| {
            erase::<T>(Map::new(open(metrics), next))
        })
    }

    /// As [`Stream::flat_map`], with what the operator counts: see [`Stream::map_with`].
    #[track_caller]
    pub fn flat_map_with<U, I, F>(
        &self,
        open: impl Fn(&Metrics) -> F + Send + Sync + 'static,
    ) -> Stream<U>
    where
        U: Data,
        I: IntoIterator<Item = U> + 'static,
        F: FnMut(T) -> I + 'static,
    {
        self.opened("flat_map", move |metrics, next: BoxStage<U>| {
            erase::<T>(FlatMap::new(open(metrics), next))
        })
    }

    /// Walks over the stream with one state, which starts as `init`. The operator runs as one
    /// subtask, because one state can be in one place only; by key see [`Keyed::scan`].
    ///
    /// ```
    /// use slackwater_dataflow::harness::Harness;
    /// let mut h = Harness::new(|ticks| ticks.scan("sawtooth", 0, |step: &mut u32, _: ()| {
    ///     let phase = *step;
    ///     *step = (*step + 1) % 3;
    ///     phase
    /// }));
    /// (0..5).for_each(|at| { h.element(at, ()); });
    /// assert_eq!(h.output(), [0, 1, 2, 0, 1]);
    /// ```
    #[track_caller]
    pub fn scan<S, U, F>(&self, uid: &str, init: S, f: F) -> Stream<U>
    where
        S: Data + Sync,
        U: Data,
        F: FnMut(&mut S, T) -> U + Clone + Send + Sync + 'static,
    {
        let id = Uid::from(uid);
        let mut node = self.operator::<U>(uid, move |_, next| {
            erase::<T>(Scan::new(&id, init.clone(), f.clone(), next))
        });
        node.uid = Some(uid.into());
        node.states = vec![declared::<(), S>(scan::STATE, false)];
        let why = "its one state, which is not kept by key, can be in one place only; key the \
                   stream first, or leave it at parallelism 1";
        node.limit = Some((1, why.to_owned()));
        Stream::of_node(&self.env, self.env.add(node), 0)
    }

    /// Parts the stream by key: what follows keeps its state by key, and runs in parallel.
    pub fn key_by<K, F>(&self, key: F) -> Keyed<K, T, F>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + Send + Sync + 'static,
    {
        Keyed::new(self.clone(), key)
    }

    /// Spreads the records evenly, batch by batch, over the subtasks of the next operator.
    pub fn rebalance(&self) -> Self {
        let spread = |link: &Link| Link { route: Route::Rebalance, ..link.clone() };
        let links = self.links.iter().map(spread).collect();
        Self { env: self.env.clone(), links, of: PhantomData }
    }

    /// Writes the stream outside: what is written is seen at once, and after a failure some of it is
    /// written again. The uid names the sink for ever.
    #[track_caller]
    pub fn sink<S: Sink<Item = T>>(&self, uid: &str, sink: S) -> StreamSink {
        let note = match sink.contract() {
            SinkContract::AtLeastOnce => "at least once",
            SinkContract::Idempotent => "idempotent",
            SinkContract::TwoPhase => TWO_PHASE,
        };
        let code = Code::Sink(Arc::new(move |opening| {
            let (uid, contract) = (opening.uid.clone(), sink.contract());
            Ok(Box::new(SinkTask::new(uid, contract, sink.open(opening)?)))
        }));
        self.sink_node(uid, note, code)
    }

    /// Writes the stream outside in transactions: what is written is seen once a checkpoint holds it,
    /// and then exactly once. Needs checkpoints, unless the job ends: then it commits at the end.
    #[track_caller]
    pub fn sink_two_phase<S: TwoPhaseSink<Item = T>>(&self, uid: &str, sink: S) -> StreamSink {
        let code = Code::Sink(Arc::new(move |opening| {
            let place = (opening.task.subtask.index, opening.parallelism);
            let uid = opening.uid.clone();
            Ok(Box::new(TwoPhaseTask::new(uid, place, sink.open(opening)?)))
        }));
        self.sink_node(uid, TWO_PHASE, code)
    }

    #[track_caller]
    fn sink_node(&self, uid: &str, note: &str, code: Code) -> StreamSink {
        let node = Node {
            kind: OperatorKind::Sink,
            name: uid.to_owned(),
            uid: Some(uid.into()),
            note: note.to_owned(),
            at: Location::caller(),
            parallelism: None,
            limit: None,
            inputs: self.links.clone(),
            outputs: Vec::new(),
            sees: Quantum::NOTHING,
            states: if note == TWO_PHASE { crate::sink::states() } else { Vec::new() },
            formerly: Vec::new(),
            rules: Vec::new(),
            code,
        };
        StreamSink { env: self.env.clone(), node: self.env.add(node) }
    }

    /// Says that this stream is not wanted: the way to leave late records unread on purpose. They
    /// are still counted.
    pub fn discard(self) {}

    #[track_caller]
    fn stateless<U: Data>(
        &self,
        name: &str,
        make: impl Fn(BoxStage<U>) -> Erased + Send + Sync + 'static,
    ) -> Stream<U> {
        self.opened(name, move |_, next| make(next))
    }

    #[track_caller]
    fn opened<U: Data>(
        &self,
        name: &str,
        make: impl Fn(&Metrics, BoxStage<U>) -> Erased + Send + Sync + 'static,
    ) -> Stream<U> {
        Stream::of_node(&self.env, self.env.add(self.operator(name, make)), 0)
    }

    #[track_caller]
    fn operator<U: Data>(
        &self,
        name: &str,
        make: impl Fn(&Metrics, BoxStage<U>) -> Erased + Send + Sync + 'static,
    ) -> Node {
        Node {
            kind: OperatorKind::Operator,
            name: name.to_owned(),
            uid: None,
            note: String::new(),
            at: Location::caller(),
            parallelism: None,
            limit: None,
            inputs: self.links.clone(),
            outputs: vec![carried::<U>()],
            sees: Quantum::NOTHING,
            states: Vec::new(),
            formerly: Vec::new(),
            rules: Vec::new(),
            code: Code::Stage(Arc::new(move |site, mut outputs| {
                make(&site.metrics, reveal(outputs.remove(0)))
            })),
        }
    }
}

impl<T> Stream<T> {
    /// The stream that an operator makes.
    pub(super) fn of_node(env: &Env, node: usize, output: usize) -> Self {
        let link = Link { from: node, output, input: 0, route: Route::Forward };
        Self { env: env.clone(), links: vec![link], of: PhantomData }
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    pub(super) fn links(&self) -> &[Link] {
        &self.links
    }

    pub(super) fn nodes(&self) -> Vec<usize> {
        self.links.iter().map(|link| link.from).collect()
    }
}

/// Joins streams of one type into one. Records of different streams come in no promised order; the
/// watermark is that of the slowest.
///
/// # Panics
/// If the streams belong to different environments.
pub fn union<'a, T: Data>(streams: impl IntoIterator<Item = &'a Stream<T>>) -> Stream<T> {
    let mut streams = streams.into_iter();
    let mut joined = streams.next().expect("a union joins at least one stream").clone();
    for stream in streams {
        assert!(joined.env.is(&stream.env), "a union joins streams of one environment");
        joined.links.extend_from_slice(&stream.links);
    }
    joined
}

/// A sink that has been declared.
#[derive(Clone)]
pub struct StreamSink {
    env: Env,
    node: usize,
}

impl StreamSink {
    /// Names the sink for people. Default: its uid.
    pub fn named(self, name: &str) -> Self {
        self.env.amend(&[self.node], "a name", |node| node.name = name.to_owned());
        self
    }

    /// The sink was called otherwise before: what is filed under the old uid is its.
    #[track_caller]
    pub fn was(self, uid: &str) -> Self {
        self.env.amend(&[self.node], "a former uid", |node| node.formerly.push(uid.into()));
        self
    }

    /// How many subtasks write. Default: the environment's.
    pub fn parallelism(self, parallelism: u32) -> Self {
        self.env.amend(&[self.node], "a parallelism", |node| node.parallelism = Some(parallelism));
        self
    }
}
