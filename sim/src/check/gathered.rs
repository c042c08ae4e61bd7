//! After a job manager starts again, every task manager finds it and offers its slots anew.
//! Says nothing of jobs, which are [`super::recovery`]'s: a cluster without a job is whole, too.
//! Reads the facts of registration alone.

use std::collections::BTreeSet;

use slackwater_core::fact::Fact;

use super::{Args, Broken, Check, Evidence, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "cluster_gathered",
    about: "every task manager lost the old job manager and registered with the new one",
    keys: &[],
    measures: &["starts"],
    needs: Needs::Run,
    judge,
};

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let mut starts = 0u64;
    // All that ever registered; and those that gave up on, and registered with, the newest one.
    let (mut known, mut lost, mut here) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for fact in run.facts() {
        match fact {
            Fact::JobManagerStarted { .. } => {
                starts += 1;
                lost.clear();
                here.clear();
            }
            Fact::JobManagerLost { task_manager, .. } => {
                lost.insert(task_manager);
            }
            Fact::TaskManagerRegistered { task_manager, .. } => {
                known.insert(task_manager);
                here.insert(task_manager);
            }
            _ => {}
        }
    }
    let absent = known.difference(&here).next();
    let summary = format!("{} task managers, job manager started {starts} times", here.len());
    Outcome::saw(known.len() as u64, summary).measured("starts", starts as f64).broken_by(
        absent.map(|name| {
            Broken::somewhere(format!("{name} never registered with the newest job manager"))
        }),
    )
}
