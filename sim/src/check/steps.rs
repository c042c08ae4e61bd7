//! What steps came to: the job that one submitted, the savepoint that one was told of, and when.
//! Reads what persons were answered, as they do; judges nothing.
//! Used by the checks that a scenario gives the names of its steps.

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::fact::Fact;
use slackwater_core::id::JobId;
use slackwater_core::joblog::LogEvent;

use super::Evidence;
use super::archive::Archive;
use super::lineage::{Line, Lineage};

/// When a step was typed, and what was answered when.
pub(super) struct Step<'a> {
    pub(super) began: Duration,
    pub(super) ended: Duration,
    pub(super) said: &'a str,
}

impl<'a> Step<'a> {
    /// The step of this name; `None` if nobody answered it.
    pub(super) fn of(run: &Evidence<'a>, name: &str) -> Option<Self> {
        let mut began = None;
        run.entries().iter().find_map(|entry| match &entry.fact {
            Fact::StepBegan { step, .. } if step == name => {
                began = Some(entry.time);
                None
            }
            Fact::StepDone { step, said, .. } if step == name => {
                let (began, ended) = (began.unwrap_or(entry.time), entry.time);
                Some(Self { began, ended, said })
            }
            _ => None,
        })
    }

    /// The job that it submitted.
    pub(super) fn job(&self) -> Option<JobId> {
        submitted(self.said)
    }

    /// What stands on the last line: of a savepoint its path.
    pub(super) fn path(&self) -> &'a str {
        self.said.lines().last().unwrap_or_default()
    }
}

/// The job that a person is told of by `run -d`.
pub(crate) fn submitted(said: &str) -> Option<JobId> {
    let line = said.lines().find(|line| line.starts_with("submitted"))?;
    line.rsplit("job ").next()?.split_whitespace().next()?.parse().ok()
}

/// The job that a scenario calls so: by the step that submits it, or `job` for the first.
pub(super) fn job_called(run: &Evidence<'_>, name: &str) -> Result<JobId, String> {
    if name == "job" {
        let first = run.facts().find_map(|fact| match fact {
            Fact::JobSubmitted { job, .. } => Some(*job),
            _ => None,
        });
        return first.ok_or_else(|| "no job was submitted".to_owned());
    }
    let step = Step::of(run, name).ok_or_else(|| format!("nobody answered step {name:?}"))?;
    step.job().ok_or_else(|| format!("step {name:?} submitted no job: {}", step.said.trim_end()))
}

/// What the logs of a run say of its jobs and their savepoints.
#[derive(Default)]
pub(super) struct Logs {
    lineage: Lineage,
    saved: BTreeMap<String, CheckpointMetadata>,
}

impl Logs {
    pub(super) fn of(run: &Evidence<'_>) -> Self {
        let (mut logs, mut archive) = (Self::default(), Archive::default());
        for fact in run.facts() {
            let Some((job, _, entry)) = archive.note(fact) else { continue };
            logs.lineage.append(job, &entry.event);
            if let LogEvent::Saved { path, metadata, .. } = entry.event {
                logs.saved.insert(path, *metadata);
            }
        }
        logs
    }

    pub(super) fn line(&self, job: JobId) -> Line {
        self.lineage.of(job)
    }

    /// The jobs whose state a job began with, the nearest first.
    pub(super) fn ancestors(&self, job: JobId) -> impl Iterator<Item = JobId> {
        let before = |job: &JobId| self.lineage.of(*job).parent;
        std::iter::successors(before(&job), before)
    }

    /// The savepoints that were completed.
    pub(super) fn all_saved(&self) -> impl Iterator<Item = &CheckpointMetadata> {
        self.saved.values()
    }

    /// The savepoint of this path.
    pub(super) fn saved(&self, path: &str) -> Option<&CheckpointMetadata> {
        self.saved.get(path)
    }
}
