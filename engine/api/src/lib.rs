//! What users import: the engine's rooms by name, and a prelude with all that a job needs.
//! Re-exports only: there is no code here. A job depends on this crate, and on `serde` for its
//! derive macros (or writes `#[serde(crate = "slackwater::serde")]` and depends on this one alone).

pub use serde;
pub use slackwater_connect as connect;
pub use slackwater_core as core;
pub use slackwater_dataflow as dataflow;

/// Everything that a job needs, for `use slackwater::prelude::*`.
pub mod prelude {
    pub use serde::{Deserialize, Serialize};
    pub use slackwater_core::Data;
    pub use slackwater_core::graph::Restart;
    pub use slackwater_core::key::Key;
    pub use slackwater_core::point::{FieldValue, Point};
    pub use slackwater_core::program::Program;
    pub use slackwater_core::time::{Clock, EventTime, mins, ms, secs};
    pub use slackwater_dataflow::connector::{Sink, Source};
    pub use slackwater_dataflow::stream::{Catalog, Env, Keyed, Settings, Stream, union};
    pub use slackwater_dataflow::task::{PlanError, Programs};
    pub use slackwater_dataflow::watermark::Watermarks;
}
