//! A harness with two inputs, for what connected streams feed. Whose turn it is, the test says; how
//! far each side has come in event time too, and whether it is idle or at its end.
//! Everything else is as with one input: see [`super::Harness`], which does the work.

use std::marker::PhantomData;

use slackwater_core::Data;
use slackwater_core::element::{Batch, Signal};
use slackwater_core::fact::Fact;
use slackwater_core::time::EventTime;

use super::outlet::{INPUT, InputOnly};
use super::{Element, Harness, Outlets};
use crate::packet::{AnyBatch, Packet};
use crate::state::Section;
use crate::stream::{Env, Stream};
use crate::watermark::Watermarks;

/// The uid of the right input.
const RIGHT: &str = "right-input";

/// Operators under test, from two input streams to one output stream.
///
/// ```
/// use slackwater_dataflow::harness::CoHarness;
/// use slackwater_dataflow::stream::union;
/// let mut h = CoHarness::new(|numbers, words| {
///     union([&numbers, &words.map(|word: String| word.len())])
/// });
/// h.left().element(5, 41).watermark(5);
/// h.right().element(6, "four".to_owned());
/// assert_eq!(h.output(), [41, 4]);
/// ```
pub struct CoHarness<L, R, O, Late = ()> {
    harness: Harness<L, O, Late>,
    of: PhantomData<fn(R)>,
}

impl<L: Data, R: Data, O: Data, Late: Data> CoHarness<L, R, O, Late> {
    /// Builds the operators between inputs and output.
    ///
    /// # Panics
    /// If no plan can be made of them; the message says why.
    pub fn new<S>(build: impl Fn(Stream<L>, Stream<R>) -> S + 'static) -> Self
    where
        S: Outlets<Main = O, Late = Late>,
    {
        Self::with(|_| {}, build)
    }

    /// The same in an environment of your own.
    ///
    /// # Panics
    /// As [`CoHarness::new`].
    pub fn with<S>(
        configure: impl Fn(&Env) + 'static,
        build: impl Fn(Stream<L>, Stream<R>) -> S + 'static,
    ) -> Self
    where
        S: Outlets<Main = O, Late = Late>,
    {
        let harness = Harness::planned(configure, move |env| {
            let left = env.source(INPUT, InputOnly::default(), Watermarks::ascending());
            let right = env.source(RIGHT, InputOnly::default(), Watermarks::ascending());
            build(left, right).attach();
        });
        Self { harness, of: PhantomData }
    }

    /// The left input.
    pub fn left(&mut self) -> Side<'_, L, O, L, Late> {
        Side { harness: &mut self.harness, input: 0, of: PhantomData }
    }

    /// The right input.
    pub fn right(&mut self) -> Side<'_, L, O, R, Late> {
        Side { harness: &mut self.harness, input: 1, of: PhantomData }
    }

    /// As [`Harness::snapshot`].
    ///
    /// # Panics
    /// As there, here and below.
    pub fn snapshot(&mut self) -> Vec<Section> {
        self.harness.snapshot()
    }

    /// As [`Harness::restore`]. An input that has ended says so again.
    pub fn restore(&mut self, sections: &[Section]) -> &mut Self {
        self.harness.restore(sections);
        self
    }

    /// As [`Harness::snapshot_and_restore`].
    pub fn snapshot_and_restore(&mut self) -> &mut Self {
        self.harness.snapshot_and_restore();
        self
    }

    /// As [`Harness::rescale`].
    pub fn rescale(&mut self, parallelism: u32) -> &mut Self {
        self.harness.rescale(parallelism);
        self
    }

    /// As [`Harness::take`].
    pub fn take(&mut self) -> Vec<Element<O>> {
        self.harness.take()
    }

    /// As [`Harness::take_records`].
    pub fn take_records(&mut self) -> Vec<(i64, O)> {
        self.harness.take_records()
    }

    /// As [`Harness::output`].
    pub fn output(&mut self) -> Vec<O> {
        self.harness.output()
    }

    /// As [`Harness::take_facts`].
    pub fn take_facts(&mut self) -> Vec<Fact> {
        self.harness.take_facts()
    }
}

/// One of the two inputs.
pub struct Side<'a, I, O, T, L> {
    harness: &'a mut Harness<I, O, L>,
    input: u32,
    of: PhantomData<fn(T)>,
}

impl<I, O, T: Data, L> Side<'_, I, O, T, L> {
    /// Gives a record, stamped with `at` milliseconds.
    ///
    /// # Panics
    /// If an operator fails, here and below: the message is its error.
    pub fn element(&mut self, at: i64, value: T) -> &mut Self {
        let mut batch = Batch::default();
        batch.push(EventTime::from_millis(at), value);
        self.batch(batch)
    }

    /// Gives a batch with its marks.
    pub fn batch(&mut self, batch: Batch<T>) -> &mut Self {
        self.push(Packet::Batch(AnyBatch::new(batch)))
    }

    /// Gives a watermark.
    pub fn watermark(&mut self, at: i64) -> &mut Self {
        self.push(Packet::Batch(AnyBatch::of_watermark(EventTime::from_millis(at))))
    }

    /// Gives a signal, such as that there is nothing to say for now.
    pub fn signal(&mut self, signal: Signal) -> &mut Self {
        self.push(Packet::Signal(signal))
    }

    /// Ends this input: the last watermark, and nothing after it.
    pub fn end(&mut self) -> &mut Self {
        self.push(Packet::Batch(AnyBatch::of_watermark(EventTime::MAX)));
        self.signal(Signal::EndOfInput)
    }

    fn push(&mut self, packet: Packet) -> &mut Self {
        self.harness.cluster.push(self.input, packet);
        self
    }
}
