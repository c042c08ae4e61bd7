//! What the desk says of its cluster to whoever asks: an overview, all of a job.
//! Changes nothing, and keeps nothing for it: every answer is a copy of what `control` knows.
//! What the copies look like is `slackwater_control::view`; the questions are in [`crate::wire::message`].

use slackwater_control::metrics::Measured;
use slackwater_core::fact::TaskStatus;
use slackwater_core::id::JobId;
use slackwater_core::time::ProcessingTime;

use super::desk::Desk;
use crate::client::named;
use crate::host::Host;
use crate::wire::message::{Answer, ClockReading, Overview, ToJobManager};

/// The wall time at which a host's clock stood at zero.
pub(super) fn clock_zero(host: &dyn Host) -> ProcessingTime {
    let gone = i64::try_from(host.elapsed().as_millis()).unwrap_or(i64::MAX);
    ProcessingTime::from_millis(host.wall().as_millis().saturating_sub(gone))
}

impl Desk {
    /// Jobs and task managers, with what they do.
    pub(super) fn tell_overview(&self) -> Answer {
        let (jobs, mut task_managers) = self.cluster.overview();
        let board = self.board.borrow();
        for told in &mut task_managers {
            told.heard = board.heard(&told.name);
        }
        Answer::Overview(Box::new(Overview { clock: self.clock(), jobs, task_managers }))
    }

    /// All that is known of a job.
    pub(super) fn tell_job(&self, job: JobId) -> Answer {
        let mut detail = self.cluster.job(job).map(Box::new);
        let board = self.board.borrow();
        if let Some(detail) = &mut detail {
            let (now, attempt) = (self.host.elapsed(), detail.summary.attempt);
            for task in &mut detail.tasks {
                let measured = board.measured(now, (job, attempt), task.subtask);
                let is_over = !matches!(task.status, TaskStatus::Deploying | TaskStatus::Running);
                task.measured = measured.map(|told| {
                    let still = told.still || is_over;
                    Box::new(Measured { still, ..told })
                });
            }
        }
        Answer::Job(self.clock(), detail)
    }

    /// The job that a person names by the first digits of its id.
    pub(super) fn job_of(&self, prefix: &str) -> Result<JobId, String> {
        named(prefix, self.cluster.jobs().into_iter().map(|job| job.id))
    }

    fn clock(&self) -> ClockReading {
        ClockReading { zero: self.clock_zero, now: self.host.elapsed() }
    }
}

/// What a message says, for whoever is told that it was fenced.
pub(super) fn said(message: &ToJobManager) -> String {
    let task = message.task();
    match message {
        ToJobManager::Report(report) => format!("task {task} {}", report.status),
        ToJobManager::Acknowledged { checkpoint, .. } => {
            format!("acknowledgement of checkpoint {checkpoint} by task {task}")
        }
        ToJobManager::Declined { checkpoint, .. } => {
            format!("refusal of checkpoint {checkpoint} by task {task}")
        }
        ToJobManager::SourceEnded { .. } => format!("end of source {task}"),
        ToJobManager::RestoreFailed { checkpoint, .. } => {
            format!("restore of checkpoint {checkpoint} by task {task} failed")
        }
    }
}
