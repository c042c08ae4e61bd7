//! Stories of one job, told by scripts: what is said to the cluster, and what it says and commands.
//! Never runs a task and never touches a store: durable is what a script calls so.
//! The words are `play`'s; many jobs and their slots in any order: `tests/any_order.rs`.

mod any_words;
mod cancel;
mod checkpoints;
mod leaders;
mod play;
mod savepoints;
