//! The scenarios of the pipeline beside it: one test for each file in `scenarios/`.
//! Nothing is judged here: what must hold stands in the files, and what was accepted beside them.
//! Look next at `clicks.rs`, where the same is said in Rust.

fn main() {
    slackwater_sim::suite::main("scenarios", slackwater_clicks::catalog());
}
