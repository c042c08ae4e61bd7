//! The stream API: what the user types. Builds a graph of typed operators and translates it to a
//! [`crate::task::Plan`]; never runs anything, never opens a connector, never reads a clock.
//! The operators themselves are in [`crate::operator`] and [`crate::window`]; plans are executed by
//! `slackwater-runtime`, and tried without a cluster by [`crate::harness`].

mod catalog;
mod connected;
mod env;
mod evolve;
mod flow;
mod keyed;
mod layout;
mod node;
mod open;
mod settings;
mod translate;

pub use catalog::Catalog;
pub use connected::Connected;
pub use env::Env;
pub use flow::{Stream, StreamSink, union};
pub use keyed::{Keyed, WindowOut, Windowed};
pub use settings::Settings;

#[cfg(test)]
mod tests;
