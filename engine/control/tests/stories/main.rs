//! Stories of one job, told by scripts: what is said to the cluster, and what it says and commands.
//! Never runs a task and never touches a store: durable is what a script calls so.
//! The words are `play`'s; any order of events at all is `tests/any_order.rs`.

mod checkpoints;
mod leaders;
mod play;
