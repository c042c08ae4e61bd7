//! The kinds of messages between job manager and task managers, as facts and scenarios name them.
//! Names only: what a message carries is the wire's, and a kind that has gone keeps its name.
//! Told in [`crate::fact`]; the messages themselves are in the runtime's `wire`.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal),* $(,)?) => {
        /// What a message between job manager and task manager says.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum MessageKind {
            $($(#[doc = $doc])+ $kind),*
        }

        impl MessageKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The name by which scenarios speak of it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

kinds! {
    /// To a task manager: start these subtasks.
    Deploy = "deploy",
    /// To a task manager: cancel every task of this attempt and of older ones.
    Cancel = "cancel",
    /// To a task manager: let a barrier pass.
    Trigger = "trigger",
    /// To a task manager: a checkpoint is complete.
    Completed = "completed",
    /// To a task manager: a checkpoint will never complete.
    Aborted = "aborted",
    /// To the job manager: a task changed its state.
    Report = "report",
    /// To the job manager: a task's part of a checkpoint is durable.
    Acknowledged = "acknowledged",
    /// To the job manager: a task could not write its part of a checkpoint.
    Declined = "declined",
    /// To the job manager: a source has read everything.
    SourceEnded = "source_ended",
    /// To the job manager: a task could not take up its part of a checkpoint.
    RestoreFailed = "restore_failed",
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
