//! A source that says nothing must not hold event time back.
//! Looks at sources that declared themselves idle and at watermarks of tasks in the meantime; who
//! may be left out of a minimum is [`super::watermark`]'s.

use std::collections::BTreeMap;

use slackwater_core::fact::Fact;
use slackwater_core::id::Execution;

use super::{Args, Broken, Check, Evidence, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "idle_source",
    about: "while a source is idle, watermarks go on",
    keys: &[],
    measures: &["idle", "advances"],
    needs: Needs::Run,
    judge,
};

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let (mut idle, mut advances, mut wrong) = (0u64, 0u64, None);
    // By idle source: how often a watermark of its job advanced since.
    let mut silent = BTreeMap::<Execution, u64>::new();
    for entry in run.entries() {
        match &entry.fact {
            Fact::SourceIdle { task, .. } => {
                idle += 1;
                silent.insert(*task, 0);
            }
            Fact::SourceActive { task, .. } => {
                let was_idle = silent.remove(task).is_some();
                let what = || format!("{task} is active and never was idle");
                wrong = wrong.or_else(|| (!was_idle).then(|| Broken::by(entry, what())));
            }
            Fact::WatermarkAdvanced { task, .. } => {
                let of_job = silent.iter_mut().filter(|(source, _)| source.job == task.job);
                of_job.for_each(|(_, since)| {
                    *since += 1;
                    advances += 1;
                });
            }
            _ => {}
        }
    }
    let held = (idle > 0 && advances == 0)
        .then(|| Broken::somewhere("no watermark advanced while a source was idle"));
    Outcome::saw(idle, "a source fell idle and watermarks went on")
        .measured("idle", idle as f64)
        .measured("advances", advances as f64)
        .broken_by(wrong)
        .broken_by(held)
}
