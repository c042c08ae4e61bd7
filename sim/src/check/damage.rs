//! A damaged checkpoint is refused by name, and nobody starts from nothing in its place.
//! Looks at objects that a fault damaged, at who read them, and at the attempts after the first
//! checkpoint; which older one may be taken is semantics rule 17, and [`super::fence`] counts on it.

use std::collections::{BTreeMap, BTreeSet};

use slackwater_core::fact::{Fact, JobStatus, TaskStatus};
use slackwater_core::id::{Attempt, JobId};

use super::archive::{Archive, completes};
use super::{Args, Broken, Check, Evidence, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "damage_refused",
    about: "what is damaged is refused by its path, and no attempt starts from nothing instead",
    keys: &[],
    measures: &["damaged", "named", "unreadable", "failed", "restores"],
    needs: Needs::Run,
    judge,
};

#[derive(Default)]
struct Damage<'a> {
    archive: Archive<'a>,
    damaged: BTreeSet<&'a str>,
    named: BTreeSet<&'a str>,
    /// Jobs with a complete checkpoint.
    lasting: BTreeSet<JobId>,
    /// Attempts that begin with a checkpoint.
    restored: BTreeMap<JobId, Attempt>,
    unreadable: u64,
    failed: u64,
    restores: u64,
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let (mut damage, mut wrong) = (Damage::default(), None);
    for entry in run.entries() {
        let appended = damage.archive.note(&entry.fact);
        if let Some(complete) = appended.and_then(|(job, _, entry)| completes(job, &entry)) {
            damage.lasting.insert(complete.job);
        }
        let step = damage.step(&entry.fact);
        wrong = wrong.or(step.err().map(|why| Broken::by(entry, why)));
    }
    let unnamed = damage.damaged.iter().find(|path| !damage.named.contains(*path));
    let unnamed = unnamed.map(|path| {
        Broken::somewhere(format!("{path} is damaged, and nobody refused it by its name"))
    });
    let summary = match (damage.failed, damage.unreadable) {
        (0, 0) => "nobody met the damage".to_owned(),
        (0, _) => "refused by name, and an older checkpoint was taken".to_owned(),
        _ => "refused by name, and the job waits for a person".to_owned(),
    };
    Outcome::saw(damage.damaged.len() as u64, summary)
        .measured("damaged", damage.damaged.len() as f64)
        .measured("named", damage.named.len() as f64)
        .measured("unreadable", damage.unreadable as f64)
        .measured("failed", damage.failed as f64)
        .measured("restores", damage.restores as f64)
        .broken_by(wrong)
        .broken_by(unnamed)
}

impl<'a> Damage<'a> {
    fn step(&mut self, fact: &'a Fact) -> Result<(), String> {
        match fact {
            Fact::StoreDamaged { path, .. } => {
                self.damaged.insert(path);
            }
            Fact::CheckpointUnreadable { cause, .. } => {
                self.unreadable += 1;
                self.name(cause);
            }
            Fact::JobStatusChanged { to, cause, .. } => {
                self.failed += u64::from(*to == JobStatus::Failed);
                self.name(cause);
            }
            Fact::JobRestored { job, attempt, .. } => {
                self.restores += 1;
                self.restored.insert(*job, *attempt);
            }
            Fact::TaskStatusChanged { task, to: TaskStatus::Running, .. } => {
                let begins_with = self.restored.get(&task.job);
                let from_nothing = begins_with.is_none_or(|attempt| *attempt < task.attempt);
                if task.attempt > Attempt(1) && self.lasting.contains(&task.job) && from_nothing {
                    return Err(format!(
                        "{task} started from nothing, and a checkpoint is complete"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self, cause: &str) {
        let named = self.damaged.iter().filter(|path| cause.contains(**path));
        self.named.extend(named);
    }
}
