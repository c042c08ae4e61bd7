//! What a test claims in Rust, asked like any other check.
//! Judges nothing by itself: the claim is a closure that the test made, and it must be in this
//! process. They are made in [`crate::api`].

use super::{Check, Kind, Needs};
use crate::api::claim::judge;

pub(super) const CHECK: Check = Check {
    name: "claim",
    about: "what a test claims in Rust, under the name that `by` gives",
    keys: &[("by", Kind::Text)],
    measures: &[],
    needs: Needs::Run,
    judge,
};
