//! Every subtask had records: parallelism that only exists on paper proves nothing.
//! Counts what sources emitted and tasks took from their channels, in the newest attempt; whose
//! keys they were is [`super::key_groups`]'s.

use std::collections::BTreeMap;

use slackwater_core::fact::{Fact, TaskStatus};
use slackwater_core::id::{Execution, JobId, VertexId};

use super::{Args, Broken, Check, Evidence, Needs, Outcome};
use crate::journal::Journal;

pub(super) const CHECK: Check = Check {
    name: "every_subtask",
    about: "every subtask that ran had records",
    keys: &[],
    measures: &["subtasks", "least"],
    needs: Needs::Run,
    judge,
};

/// Records by vertex (of the jobs in the order of their submission) and subtask, in the newest
/// attempt of each job.
pub fn per_subtask(journal: &Journal) -> BTreeMap<(usize, VertexId), Vec<u64>> {
    let run = Evidence::of(journal);
    let newest = run.newest();
    let submitted: Vec<JobId> = run
        .facts()
        .filter_map(|fact| match fact {
            Fact::JobSubmitted { job, .. } => Some(*job),
            _ => None,
        })
        .collect();
    let mut counts = BTreeMap::<Execution, u64>::new();
    for fact in run.facts() {
        let (task, rows) = match fact {
            Fact::TaskStatusChanged { task, to: TaskStatus::Running, .. } => (task, 0),
            Fact::SourceEmitted { task, rows, .. } | Fact::BatchReceived { task, rows, .. } => {
                (task, *rows)
            }
            _ => continue,
        };
        *counts.entry(*task).or_default() += u64::from(rows);
    }
    let mut shares = BTreeMap::new();
    for (task, count) in counts {
        if newest.get(&task.job) == Some(&(task.epoch, task.attempt)) {
            let job = submitted.iter().position(|job| *job == task.job).unwrap_or(submitted.len());
            let share: &mut Vec<u64> = shares.entry((job, task.subtask.vertex)).or_default();
            share.push(count);
        }
    }
    shares
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let shares = per_subtask(run.journal);
    let all = || shares.values().flatten();
    let empty = shares.iter().find_map(|((_, vertex), share)| {
        let index = share.iter().position(|count| *count == 0)?;
        Some(Broken::somewhere(format!("subtask v{vertex}[{index}] had no record")))
    });
    let words: Vec<String> = shares
        .iter()
        .map(|((_, vertex), share)| {
            let share: Vec<String> = share.iter().map(u64::to_string).collect();
            format!("v{vertex}: {}", share.join(" "))
        })
        .collect();
    let summary = match run.finished() {
        true => words.join(", "),
        // Where a run was cut off says nothing about behaviour.
        false => format!("{} subtasks had records", all().filter(|count| **count > 0).count()),
    };
    Outcome::saw(all().count() as u64, summary)
        .measured("subtasks", all().count() as f64)
        .measured("least", all().min().copied().unwrap_or(0) as f64)
        .broken_by(empty)
}
