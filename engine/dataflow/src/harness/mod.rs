//! Tries operators without a cluster: records and watermarks in; results, late records, signals
//! and facts out. Runs the same plan as a cluster does, on one thread and without a clock of its
//! own, so a test says when time passes. How tasks feed each other here is in `cluster`, two inputs are
//! in `connected`; whether a restart shows is asked in `restart`, and what another version makes of state in `upgrade`.

mod cluster;
mod connected;
mod outlet;
mod restart;
mod upgrade;

use std::marker::PhantomData;

use slackwater_core::Data;
use slackwater_core::element::{Batch, Signal};
use slackwater_core::fact::Fact;
use slackwater_core::time::{EventTime, ProcessingTime};

use crate::packet::{AnyBatch, Packet};
use crate::state::Section;
use crate::stream::{Env, Stream};
use crate::task::Plan;
use crate::watermark::{Generators, Quantum, Watermarks};
use cluster::Cluster;
pub use connected::{CoHarness, Side};
pub use outlet::Outlets;
use outlet::{INPUT, InputOnly, LATE, OUTPUT};
pub use restart::{Step, restart_anywhere};
pub use upgrade::{Refused, upgrade_anywhere};

/// What came out of a stream, in order.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Element<T> {
    /// A record and its timestamp.
    Record(EventTime, T),
    /// A watermark.
    Watermark(EventTime),
    /// A signal.
    Signal(Signal),
}

/// Operators under test, from one input stream to one output stream and its late records.
///
/// ```
/// use slackwater_dataflow::harness::{Element, Harness};
/// use slackwater_core::time::EventTime;
/// let mut h = Harness::new(|numbers| numbers.map(|n: i32| n + 1));
/// h.element(5, 41).watermark(5);
/// let at = EventTime::from_millis(5);
/// assert_eq!(h.take(), [Element::Record(at, 42), Element::Watermark(at)]);
/// ```
pub struct Harness<I, O, L = ()> {
    cluster: Cluster,
    /// Plans the operators, at another parallelism than they were built with if it says one.
    plan: Box<dyn Fn(Option<u32>) -> Plan>,
    generators: Option<Generators<I>>,
    of: PhantomData<fn(I) -> (O, L)>,
}

impl<I: Data, O: Data, L: Data> Harness<I, O, L> {
    /// Builds the operators between input and output.
    ///
    /// # Panics
    /// If no plan can be made of them; the message says why.
    pub fn new<R>(build: impl Fn(Stream<I>) -> R + 'static) -> Self
    where
        R: Outlets<Main = O, Late = L>,
    {
        Self::with(|_| {}, build)
    }

    /// The same in an environment of your own: its clock, its parallelism, chaining or not.
    ///
    /// # Panics
    /// As [`Harness::new`].
    pub fn with<R>(
        configure: impl Fn(&Env) + 'static,
        build: impl Fn(Stream<I>) -> R + 'static,
    ) -> Self
    where
        R: Outlets<Main = O, Late = L>,
    {
        Self::planned(configure, move |env| {
            build(env.source(INPUT, InputOnly::default(), Watermarks::ascending())).attach();
        })
    }

    /// Whatever `build` makes of an environment, from its inputs to its outputs.
    fn planned(configure: impl Fn(&Env) + 'static, build: impl Fn(&Env) + 'static) -> Self {
        let plan = move |parallelism: Option<u32>| {
            let env = Env::new("harness");
            configure(&env);
            if let Some(parallelism) = parallelism {
                env.parallelism(parallelism);
            }
            build(&env);
            env.plan().unwrap_or_else(|refused| panic!("no plan: {refused}"))
        };
        let cluster = Cluster::start(plan(None));
        Self { cluster, plan: Box::new(plan), generators: None, of: PhantomData }
    }

    /// From now on watermarks follow from the records.
    #[must_use]
    pub fn marked_by(mut self, watermarks: &Watermarks<I>) -> Self {
        self.generators = Some(Generators::new(watermarks, &[0], Quantum::EVERY));
        self
    }

    /// Gives a record, stamped with `at` milliseconds.
    ///
    /// # Panics
    /// If an operator fails, here and below: the message is its error.
    pub fn element(&mut self, at: i64, value: I) -> &mut Self {
        let mut batch = Batch::default();
        batch.push(EventTime::from_millis(at), value);
        self.batch(batch)
    }

    /// Gives a watermark.
    pub fn watermark(&mut self, at: i64) -> &mut Self {
        self.push(Packet::Batch(AnyBatch::of_watermark(EventTime::from_millis(at))))
    }

    /// Gives a batch with its marks.
    pub fn batch(&mut self, mut batch: Batch<I>) -> &mut Self {
        if let Some(generators) = &mut self.generators {
            generators.on_records(0, &mut batch);
        }
        self.push(Packet::Batch(AnyBatch::new(batch)))
    }

    /// Gives a signal.
    pub fn signal(&mut self, signal: Signal) -> &mut Self {
        self.push(Packet::Signal(signal))
    }

    /// Ends the input: the last watermark, and nothing after it.
    pub fn end(&mut self) -> &mut Self {
        self.push(Packet::Batch(AnyBatch::of_watermark(EventTime::MAX)));
        self.signal(Signal::EndOfInput)
    }

    /// Lets the clock of processing time reach `millis`, and fires the timers that are due, each
    /// at its time. It never goes back.
    pub fn processing_time(&mut self, millis: i64) -> &mut Self {
        self.cluster.advance_clock(ProcessingTime::from_millis(millis));
        self
    }

    /// The state of every operator as it is now, as a checkpoint would hold it.
    ///
    /// # Panics
    /// If state cannot be written; the message says why.
    pub fn snapshot(&mut self) -> Vec<Section> {
        self.cluster.snapshot()
    }

    /// Ends every operator and starts it anew with this state, as after a failure: of this harness
    /// or of another one whose operators have the same uids, at whatever parallelism.
    ///
    /// # Panics
    /// If the state is refused; the message says why.
    pub fn restore(&mut self, sections: &[Section]) -> &mut Self {
        let done = self.cluster.restore(sections);
        done.unwrap_or_else(|refused| panic!("{refused}"));
        self
    }

    /// Takes a snapshot and starts every operator anew with it: whoever reads the output must not
    /// be able to tell.
    ///
    /// # Panics
    /// If state is refused, or is not the same, byte for byte, once it has been restored.
    pub fn snapshot_and_restore(&mut self) -> &mut Self {
        let sections = self.snapshot();
        self.restore(&sections);
        assert_eq!(self.snapshot(), sections, "what was restored is what was there");
        self
    }

    /// Takes a snapshot and starts the operators anew with it as so many subtasks, as a job that is
    /// resumed at another parallelism: keys find their state, whichever subtask holds it then.
    ///
    /// ```
    /// use slackwater_core::time::secs;
    /// use slackwater_dataflow::harness::Harness;
    /// use slackwater_dataflow::window::tumbling;
    /// let mut h = Harness::new(|words| {
    ///     let words = words.key_by(|word: &String| word.clone());
    ///     words.window(tumbling(secs(1))).fold("counts", 0, |count, _| *count += 1)
    /// });
    /// h.element(10, "to".into()).element(20, "be".into()).rescale(4).element(30, "to".into());
    /// let counts = h.rescale(2).watermark(999).output();
    /// assert_eq!(counts.iter().map(|pane| pane.value).sum::<i32>(), 3);
    /// ```
    ///
    /// # Panics
    /// If state is refused, or the operators cannot have that parallelism.
    pub fn rescale(&mut self, parallelism: u32) -> &mut Self {
        let sections = self.snapshot();
        self.cluster.plan_anew((self.plan)(Some(parallelism)));
        self.restore(&sections)
    }

    /// Everything that came out since the last time, in order.
    pub fn take(&mut self) -> Vec<Element<O>> {
        elements(self.cluster.take(OUTPUT))
    }

    /// Only the records, each with its timestamp in milliseconds.
    pub fn take_records(&mut self) -> Vec<(i64, O)> {
        records(self.take())
    }

    /// Only the values.
    pub fn output(&mut self) -> Vec<O> {
        records(self.take()).into_iter().map(|(_, value)| value).collect()
    }

    /// The values that the late stream gave since the last time.
    pub fn late(&mut self) -> Vec<L> {
        records(self.take_late()).into_iter().map(|(_, value)| value).collect()
    }

    /// Everything that came out of the late stream since the last time.
    pub fn take_late(&mut self) -> Vec<Element<L>> {
        elements(self.cluster.take(LATE))
    }

    /// What the program has counted under a name since it was opened or restored, over all subtasks;
    /// 0 if no operator declares it.
    pub fn counted(&self, name: &str) -> u64 {
        self.cluster.counted(name)
    }

    /// The facts that were told since the last time.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        self.cluster.take_facts()
    }

    fn push(&mut self, packet: Packet) -> &mut Self {
        self.cluster.push(0, packet);
        self
    }
}

fn records<T>(elements: Vec<Element<T>>) -> Vec<(i64, T)> {
    let only = |element| match element {
        Element::Record(time, value) => Some((time.as_millis(), value)),
        _ => None,
    };
    elements.into_iter().filter_map(only).collect()
}

/// Takes packets apart: what a reader of the stream sees, one after the other.
fn elements<T: 'static>(packets: Vec<Packet>) -> Vec<Element<T>> {
    let mut seen = Vec::new();
    for packet in packets {
        match packet {
            Packet::Signal(signal) => seen.push(Element::Signal(signal)),
            Packet::Batch(batch) => {
                let batch = *batch.downcast::<T>();
                let mut marks = batch.marks.into_iter().peekable();
                let rows = batch.times.into_iter().zip(batch.values);
                for (row, (time, value)) in (0u32..).zip(rows) {
                    while let Some(mark) = marks.next_if(|mark| mark.row <= row) {
                        seen.push(Element::Watermark(mark.watermark));
                    }
                    seen.push(Element::Record(time, value));
                }
                seen.extend(marks.map(|mark| Element::Watermark(mark.watermark)));
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests;
