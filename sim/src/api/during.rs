//! The window of a sweep: `during(CHECKPOINT_PROTOCOL)` as `[sweep]` of a scenario file has it.
//! Nothing is played and no step is counted here: that is [`crate::scenario::sweep`]'s. Given to
//! [`super::Checking::crash_sweep`].

use std::time::Duration;

use slackwater_core::time::ms;
use toml::{Table, Value};

use super::document::{span, table};

/// Which instants a sweep goes through.
#[derive(Clone, Debug)]
pub struct During {
    keys: Table,
}

/// Every step of the world between two facts of checkpoint number 2.
pub fn during(window: (&str, &str)) -> During {
    let window = Value::Array(vec![window.0.into(), window.1.into()]);
    During { keys: table([("window", window), ("down", span(ms(500)).into())]) }.of_checkpoint(2)
}

/// From the trigger of a checkpoint until everybody knows that it is complete.
pub const CHECKPOINT_PROTOCOL: (&str, &str) = ("checkpoint.triggered", "checkpoint.notified");

impl During {
    /// Of another checkpoint.
    #[must_use]
    pub fn of_checkpoint(mut self, number: u32) -> Self {
        self.keys.insert("checkpoint".into(), i64::from(number).into());
        self
    }

    /// Only every n-th step: a sweep of a thousand runs is a matter of minutes in a debug build.
    #[must_use]
    pub fn every(mut self, nth: u32) -> Self {
        self.keys.insert("thin".into(), i64::from(nth).into());
        self
    }

    /// How long the victim is away. Default: half a second.
    #[must_use]
    pub fn down(mut self, span_: Duration) -> Self {
        self.keys.insert("down".into(), span(span_).into());
        self
    }

    pub(super) fn table(mut self, victim: &str) -> Table {
        self.keys.insert("victims".into(), Value::Array(vec![victim.into()]));
        self.keys
    }
}
