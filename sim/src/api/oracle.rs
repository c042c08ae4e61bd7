//! The house's own oracles, as a test asks for them: a name, keys, bounds, and whether it must hold.
//! Nothing is judged here: an oracle becomes an `[[expect]]` of the document, and whether its name
//! and keys exist is asked when that is read. Those asked of every pipeline are chosen here.

use slackwater_dataflow::task::Plan;
use toml::{Table, Value};

use super::document::table;

/// An oracle of [`crate::check::CHECKS`] with its keys.
///
/// ```
/// use slackwater_sim::prelude::*;
/// let raw = Oracle::of("exactly_once").with("at", "sink.raw");
/// let lossy = Oracle::of("no_loss").must_break().at_least("seconds", 3.0);
/// # let _ = (raw, lossy);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Oracle(Table);

impl Oracle {
    /// The oracle of this name (`slackwater schema` lists them).
    pub fn of(name: &str) -> Self {
        Self(table([("check", name.into())]))
    }

    /// One of its keys.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// A measure of it is at least so much.
    #[must_use]
    pub fn at_least(self, measure: &str, least: f64) -> Self {
        self.bound(measure, "at_least", least)
    }

    /// A measure of it is at most so much.
    #[must_use]
    pub fn at_most(self, measure: &str, most: f64) -> Self {
        self.bound(measure, "at_most", most)
    }

    /// It must be broken: the test shows that the oracle can see.
    #[must_use]
    pub fn must_break(self) -> Self {
        self.with("must", "break")
    }

    fn bound(mut self, measure: &str, side: &str, bound: f64) -> Self {
        let bounds = self.0.entry(measure).or_insert_with(|| Table::new().into());
        if let Value::Table(bounds) = bounds {
            bounds.insert(side.to_owned(), bound.into());
        }
        self
    }

    pub(super) fn table(self) -> Table {
        self.0
    }
}

impl From<&str> for Oracle {
    fn from(name: &str) -> Self {
        Self::of(name)
    }
}

/// Asked of every pipeline.
const USUAL: [&str; 2] = ["legal_states", "watermark_monotonic"];
/// Asked of every pipeline whose runs end with its jobs.
const OF_THE_END: [&str; 1] = ["census"];
/// Asked of every pipeline that takes checkpoints.
const OF_CHECKPOINTS: [&str; 3] = ["checkpoint_ids_monotonic", "fenced", "store_whole"];

/// The oracles that are asked of a pipeline unless the test leaves them out or asks them itself.
/// They hold of whatever there is: a run may be over before its first checkpoint.
pub(super) fn usual(plan: Option<&Plan>, ends: bool, without: &[String]) -> Vec<Table> {
    let takes = plan.is_some_and(|plan| plan.graph.checkpoints.is_some());
    let all = USUAL
        .iter()
        .chain(OF_THE_END.iter().filter(|_| ends))
        .chain(OF_CHECKPOINTS.iter().filter(|_| takes));
    let left = all.filter(|name| !without.iter().any(|without| without == *name));
    left.map(|name| Oracle::of(name).with("must", "if_seen").table()).collect()
}
