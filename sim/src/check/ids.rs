//! Ids of checkpoints grow over the whole life of a job: across attempts and job managers.
//! None is used twice, also not for one that was aborted; what is in a checkpoint is
//! [`super::cut`]'s business.

use std::collections::BTreeMap;

use slackwater_core::fact::Fact;
use slackwater_core::id::{CheckpointId, JobId};

use super::archive::{Archive, completes};
use super::{Args, Broken, Check, Evidence, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "checkpoint_ids_monotonic",
    about: "every checkpoint of a job has a greater id than all before it, and completes once",
    keys: &[],
    measures: &["triggered", "completed"],
    needs: Needs::Run,
    judge,
};

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let mut archive = Archive::default();
    let (mut triggered, mut completed) = (0u64, 0u64);
    let mut last = BTreeMap::<(JobId, bool), CheckpointId>::new();
    let mut wrong = None;
    for entry in run.entries() {
        let complete = archive.note(&entry.fact);
        let complete = complete.and_then(|(job, _, appended)| completes(job, &appended));
        let (job, checkpoint, is_end) = match (&entry.fact, complete) {
            (_, Some(complete)) => (complete.job, complete.checkpoint, true),
            (
                Fact::CheckpointTriggered { job, checkpoint, .. }
                | Fact::SavepointTriggered { job, checkpoint, .. },
                _,
            ) => (*job, *checkpoint, false),
            _ => continue,
        };
        triggered += u64::from(!is_end);
        completed += u64::from(is_end);
        let before = last.insert((job, is_end), checkpoint);
        if let Some(before) = before.filter(|before| *before >= checkpoint) {
            let verb = if is_end { "completed" } else { "was triggered" };
            let what = format!("checkpoint {checkpoint} {verb} after checkpoint {before}");
            wrong = wrong.or(Some(Broken::by(entry, what)));
        }
    }
    Outcome::saw(triggered, "every checkpoint has a greater id than all before it")
        .measured("triggered", triggered as f64)
        .measured("completed", completed as f64)
        .broken_by(wrong)
}
