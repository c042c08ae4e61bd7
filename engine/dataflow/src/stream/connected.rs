//! Two keyed streams of different types into one operator that keeps its state by key.
//! Joins no records by itself: what belongs together is said by the operator, in its state. Streams
//! of one type are joined by [`super::flow::union`]; the operator is [`crate::operator::co_process`].

use std::panic::Location;
use std::sync::Arc;

use slackwater_core::Data;
use slackwater_core::graph::{OperatorKind, Uid};
use slackwater_core::key::Key;

use super::flow::Stream;
use super::keyed::{Keyed, groups};
use super::node::{Code, Node, Site, carried, reveal};
use crate::operator::co_process::{self, CoProcess, KeyedCoProcess, LEFT, RIGHT};
use crate::state::declared;
use crate::task::Chain;
use crate::watermark::Quantum;

/// Two streams, `L` on the left and `R` on the right, parted by keys of one type.
///
/// All records of a key, of either side, are seen by one subtask. Its watermark is the lesser of
/// both sides', a side that is idle or has ended excepted; a barrier passes when both sides have
/// delivered it.
#[must_use = "connected streams do nothing: say what is done to their records"]
pub struct Connected<K, L, R, ByL, ByR> {
    pub(super) left: Keyed<K, L, ByL>,
    pub(super) right: Keyed<K, R, ByR>,
}

impl<K, L, R, ByL, ByR> Connected<K, L, R, ByL, ByR>
where
    K: Key,
    L: Data,
    R: Data,
    ByL: Fn(&L) -> K + Clone + Send + Sync + 'static,
    ByR: Fn(&R) -> K + Clone + Send + Sync + 'static,
{
    /// Gives the records of both sides to one operator, with one state for each key.
    ///
    /// ```
    /// use slackwater_dataflow::harness::CoHarness;
    /// use slackwater_dataflow::operator::co_process::{KeyedContext, KeyedCoProcess};
    ///
    /// /// Each reading times the last factor told for its sensor; 0 until one was told.
    /// #[derive(Clone)]
    /// struct Amplifier;
    ///
    /// type Reading = (String, f64);
    ///
    /// impl KeyedCoProcess<Reading, Reading> for Amplifier {
    ///     type State = f64;
    ///     type Out = Reading;
    ///
    ///     fn init(&self) -> f64 {
    ///         0.0
    ///     }
    ///     fn left(&mut self, (key, value): Reading, cx: &mut KeyedContext<'_, f64, Reading>) {
    ///         cx.emit((key, value * *cx.state));
    ///     }
    ///     fn right(&mut self, (_, factor): Reading, cx: &mut KeyedContext<'_, f64, Reading>) {
    ///         *cx.state = factor;
    ///     }
    /// }
    ///
    /// let mut h = CoHarness::new(|readings, factors| {
    ///     let readings = readings.key_by(|(key, _): &Reading| key.clone());
    ///     let factors = factors.key_by(|(key, _): &Reading| key.clone());
    ///     readings.connect(&factors).process("amplifier", Amplifier)
    /// });
    /// h.left().element(1, ("door".into(), 1.0));
    /// h.right().element(2, ("door".into(), 3.0));
    /// h.left().element(3, ("door".into(), 1.0)).element(4, ("temp".into(), 1.0));
    /// assert_eq!(h.output().iter().map(|(_, value)| *value).collect::<Vec<_>>(), [0.0, 3.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn process<F: KeyedCoProcess<L, R>>(&self, uid: &str, f: F) -> Stream<F::Out> {
        let keys = (self.left.key().clone(), self.right.key().clone());
        let id = Uid::from(uid);
        let make = move |site: &Site, mut outputs: Vec<_>| {
            let next = reveal::<F::Out>(outputs.remove(0));
            let stage = CoProcess::<L, R, K, F, ByL, ByR>::new(
                (&id, groups(site)),
                keys.clone(),
                f.clone(),
                next,
            );
            Box::new(stage) as Box<dyn Chain>
        };
        let inputs = self.left.hashed(LEFT).chain(self.right.hashed(RIGHT)).collect();
        let env = self.left.env();
        let node = env.add(Node {
            kind: OperatorKind::Operator,
            name: uid.to_owned(),
            uid: Some(uid.into()),
            note: String::new(),
            at: Location::caller(),
            parallelism: None,
            limit: None,
            inputs,
            outputs: vec![carried::<F::Out>()],
            sees: Quantum::NOTHING,
            states: vec![declared::<K, F::State>(co_process::STATE, true)],
            formerly: Vec::new(),
            rules: Vec::new(),
            code: Code::Connect(Arc::new(make)),
        });
        Stream::of_node(env, node, 0)
    }
}
