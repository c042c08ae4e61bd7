//! What a program says of state that an earlier version of it has left: names, types, what is right.
//! Nothing is read here: what is said is done to the sections of a savepoint before any operator sees
//! them, in [`crate::state`]. Which state a program loses is told by `slackwater_core::compat`.

use std::panic::Location;

use slackwater_core::Data;
use slackwater_core::schema::SchemaError;

use super::flow::Stream;
use crate::state::Rule;

impl<T: Data> Stream<T> {
    /// The operator that makes this stream was called otherwise before: state that is filed under the
    /// old uid is its. May be said several times.
    ///
    /// ```
    /// # use slackwater_dataflow::stream::Env;
    /// # use slackwater_dataflow::harness::Harness;
    /// let _ = Harness::new(|ticks| {
    ///     ticks.scan("sawtooth", 0, |step: &mut u32, _: ()| { *step += 1; *step }).was("phase")
    /// });
    /// ```
    #[track_caller]
    pub fn was(self, uid: &str) -> Self {
        self.env().amend(&self.nodes(), "a former uid", |node| node.formerly.push(uid.into()));
        self
    }

    /// State of an earlier type, which a savepoint may hold, becomes state of the operator that makes
    /// this stream: value by value, before its first record. May be said several times, once for
    /// each earlier type; keys stay as they are.
    ///
    /// ```
    /// # use slackwater_dataflow::harness::Harness;
    /// # use serde::{Serialize, Deserialize};
    /// #[derive(Clone, Default, Serialize, Deserialize)]
    /// struct Sawtooth { step: u32, turns: u64 }
    /// let _ = Harness::new(|ticks| {
    ///     ticks
    ///         .scan("sawtooth", Sawtooth::default(), |saw: &mut Sawtooth, _: ()| {
    ///             saw.step += 1;
    ///             saw.step
    ///         })
    ///         // It was a bare number of steps.
    ///         .migrate(|step: u32| Sawtooth { step, turns: 0 })
    /// });
    /// ```
    #[track_caller]
    pub fn migrate<Old: Data, New: Data>(
        self,
        f: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Self {
        self.rule("a migration", Rule::migrate(f))
    }

    /// Looks at every value of the state that the operator which makes this stream takes up from a
    /// checkpoint or a savepoint, and mends or refuses it, before its first record: a state that was
    /// right under other settings need not be so under these. A refusal fails the job.
    ///
    /// ```
    /// # use slackwater_dataflow::harness::Harness;
    /// let wave = 10;
    /// let _ = Harness::new(move |ticks| {
    ///     ticks
    ///         .scan("sawtooth", 0, move |step: &mut u32, _: ()| { *step = (*step + 1) % wave; *step })
    ///         .restored(move |step: u32| match step {
    ///             step if step < wave => Ok(step),
    ///             step => Err(format!("step {step} of a wave of {wave}")),
    ///         })
    /// });
    /// ```
    #[track_caller]
    pub fn restored<S: Data>(
        self,
        f: impl Fn(S) -> Result<S, String> + Send + Sync + 'static,
    ) -> Self {
        self.rule("a look at restored state", Rule::check(f))
    }

    #[track_caller]
    fn rule(self, what: &str, rule: Result<Rule, SchemaError>) -> Self {
        match rule {
            Ok(rule) => self.env().amend(&self.nodes(), what, |node| node.rules.push(rule)),
            Err(error) => {
                self.env().mistake(format!("{what} at {}: {error}", Location::caller()));
            }
        }
        self
    }
}
