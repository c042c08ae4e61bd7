//! Scenarios: stories in TOML that a person can read, and the player that makes worlds of them.
//! No check is computed here and no fault is done: a scenario says which, [`mod@crate::check`] judges
//! and [`crate::world`] plays. Start with [`Scenario::read`]; the keys are in [`mod@format`].

mod act;
mod answer;
mod base;
mod befall;
pub mod calm;
mod calm_runs;
mod diagnostic;
mod director;
mod draw;
mod drawn;
pub mod fault;
pub mod format;
pub mod found;
mod inside;
mod known;
mod luck;
mod matrix;
pub mod obligation;
mod player;
mod real;
mod require;
mod resolve;
mod resume;
mod role;
pub mod schedule;
mod schema;
pub mod step;
mod swarm;
pub mod sweep;
mod swizzle;
mod tree;
mod troubles;
pub mod values;
mod verdict;
mod when;

pub use calm_runs::CalmRuns;
pub use diagnostic::Mistake;
pub(crate) use diagnostic::suggest as nearest;
pub use drawn::{Drawn, Moment, Whom};
pub use luck::OtherLuck;
pub use player::{
    Played, Prepared, Turn, compare_cells, judge_sweeps, play, play_prepared, prepare, turns,
};
pub use real::{Rehearsed, cannot, pauses, rehearse};
pub use resolve::{Cell, Expectation, Scenario};
pub use schema::schema;
pub use sweep::Instant;
pub use verdict::{Class, Judged, Trouble};

#[cfg(test)]
mod tests;
