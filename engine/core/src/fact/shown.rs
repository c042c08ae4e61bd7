//! How the fields of a fact are shown: plain where they have a plain form, quoted where they are
//! free text. Nothing that is shown depends on a clock, an address or a hasher. Which fields there
//! are is [`super::Fact`]'s to say.

use std::fmt;
use std::time::Duration;

use super::{Down, JobStatus, Records, TaskStatus};
use crate::element::LatencyMarker;
use crate::graph::Uid;
use crate::id::{
    Attempt, ChannelId, CheckpointId, Execution, JobEpoch, JobId, TaskManagerId, TriggerId,
};
use crate::message::MessageKind;
use crate::point::Point;
use crate::savepoint::Ending;
use crate::time::EventTime;

/// Shows a field: plain where it has a plain form, quoted where it is free text.
pub(super) struct Shown<'a, T>(pub(super) &'a T);

impl<T: Field> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

pub(super) trait Field {
    /// Writes the field's value on one line.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
plain!(
    JobEpoch,
    JobId,
    Attempt,
    CheckpointId,
    JobStatus,
    MessageKind,
    TaskManagerId,
    TaskStatus,
    TriggerId,
    Uid,
    EventTime,
    ChannelId
);
plain!(u32, u64, i64, bool);

impl Field for Execution {
    /// `job/v1[0]#2@e1`: job prefix, subtask, attempt, epoch.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}/{}#{}@e{}", self.job.0 >> 96, self.subtask, self.attempt, self.epoch)
    }
}

impl Field for Option<Ending> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            None => f.write_str("none"),
            Some(ending) => fmt::Display::fmt(ending, f),
        }
    }
}

impl Field for Duration {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Field for LatencyMarker {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.source, self.sent)
    }
}

impl Field for String {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Field for Point {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Field for Records {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Field for Down {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::PowerLoss => "power_loss",
            Self::Pause => "pause",
            Self::Exit => "exit",
        })
    }
}
