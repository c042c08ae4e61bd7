//! Keyed state by key group: values, timers, and the bytes in which both outlive a task.
//! State is reached through a key; a key's group is computed once per record and handed in. Nothing
//! here knows of checkpoints, files or other subtasks. Window state is in [`crate::window`].

mod debt;
mod fork;
mod groups;
mod keyed;
mod reader;
mod section;
mod sort;
mod summary;
#[cfg(test)]
mod tests;
mod timers;
mod upgrade;

pub(crate) use debt::{Debt, INSTALMENT, Map, SLICE, SharedDebt, Sorted};
pub use fork::{Fork, Restored, sections};
pub use groups::Groups;
pub use keyed::{KeyedState, Values};
pub use reader::{Entries, SectionReader};
pub(crate) use section::{Draft, StateName};
pub use section::{Section, SectionWriter, Share, StateError};
pub(crate) use sort::Sorter;
pub use summary::Summary;
pub use timers::{Timer, Timers};
pub(crate) use upgrade::{Rule, declared};
pub use upgrade::{Unfit, Upgrade};

/// The hash that a table of one group takes from the hash that chose the group.
///
/// All keys of a group agree in the low bits (or the remainder) of their hash; a table picks its
/// bucket from the low bits and its tag from the top seven, so the halves change places.
#[inline]
pub(crate) fn table_hash(key_hash: u64) -> u64 {
    key_hash.rotate_right(32)
}
