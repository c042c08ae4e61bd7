//! What a message is about, as facts tell it: its kind, its job, its attempt, its checkpoint.
//! Says nothing of what a message carries, and decides nothing. The messages are in [`super::message`].

use slackwater_core::id::{Attempt, CheckpointId, Execution, JobId};
use slackwater_core::message::MessageKind;

use super::message::{ToJobManager, ToTaskManager};

/// What a message is about, as facts tell it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What it says.
    pub kind: MessageKind,
    /// Of which job.
    pub job: JobId,
    /// Of which attempt.
    pub attempt: Attempt,
    /// Of which checkpoint; 0 if it is about none.
    pub checkpoint: CheckpointId,
}

/// A message that travels in a session.
pub trait Told {
    /// What it is about.
    fn about(&self) -> About;
}

impl Told for ToJobManager {
    fn about(&self) -> About {
        let none = CheckpointId::default();
        let (kind, checkpoint) = match self {
            Self::Report(_) => (MessageKind::Report, none),
            Self::Acknowledged { checkpoint, .. } => (MessageKind::Acknowledged, *checkpoint),
            Self::Declined { checkpoint, .. } => (MessageKind::Declined, *checkpoint),
            Self::SourceEnded { .. } => (MessageKind::SourceEnded, none),
            Self::RestoreFailed { checkpoint, .. } => (MessageKind::RestoreFailed, *checkpoint),
        };
        let Execution { job, attempt, .. } = self.task();
        About { kind, job, attempt, checkpoint }
    }
}

impl Told for ToTaskManager {
    fn about(&self) -> About {
        let none = CheckpointId::default();
        let (kind, job, attempt, checkpoint) = match self {
            Self::Deploy { deployment, .. } => {
                (MessageKind::Deploy, deployment.job, deployment.attempt, none)
            }
            Self::Cancel { job, attempt, .. } => (MessageKind::Cancel, *job, *attempt, none),
            Self::Trigger { job, attempt, barrier, .. } => {
                (MessageKind::Trigger, *job, *attempt, barrier.checkpoint)
            }
            Self::Completed { job, attempt, checkpoint, .. } => {
                (MessageKind::Completed, *job, *attempt, *checkpoint)
            }
            Self::Aborted { job, attempt, checkpoint, .. } => {
                (MessageKind::Aborted, *job, *attempt, *checkpoint)
            }
        };
        About { kind, job, attempt, checkpoint }
    }
}
