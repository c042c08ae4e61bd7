//! CENSUS: when every job has ended, nothing of it is left: no slot, no task, no open window that
//! should have fired, no transaction that is neither committed nor gone.
//! Counts what was told to begin and to end; bytes in the store are [`super::store`]'s.

use std::collections::{BTreeMap, BTreeSet};

use slackwater_core::fact::{Down, Fact, JobStatus, TaskStatus};
use slackwater_core::id::{CheckpointId, Execution, JobId, TaskManagerId};
use slackwater_core::savepoint::Ending;

use super::ledger::job_of;
use super::steps::Logs;
use super::store::is_quiet;
use super::{Args, Broken, Check, Evidence, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "census",
    about: "when every job has ended, slots are free, tasks are over and transactions are closed",
    keys: &[],
    measures: &["slots", "tasks", "transactions", "open"],
    needs: Needs::Run,
    judge,
};

/// The same while jobs still run: nothing is left of jobs that have ended, nor of attempts that are
/// over.
pub(super) const BEHIND: Check = Check {
    name: "nothing_left_behind",
    about: "nothing is left of jobs that have ended, and no task of attempts that are over",
    judge: judge_behind,
    ..CHECK
};

#[derive(Default)]
struct Census<'a> {
    slots: BTreeSet<(JobId, &'a TaskManagerId, u32)>,
    /// By task: the node that runs it.
    tasks: BTreeMap<Execution, u16>,
    /// Nodes that are stopped.
    paused: BTreeSet<u16>,
    /// Nodes that are down: one that is killed at a step tells what else it does in that step, and
    /// does nothing more.
    down: BTreeSet<&'a str>,
    transactions: BTreeSet<&'a str>,
    /// By transaction: the checkpoint that it was prepared for.
    prepared: BTreeMap<&'a str, CheckpointId>,
    /// By task of a job's last attempt: what its windows still held.
    open: BTreeMap<Execution, u64>,
    seen: u64,
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    match run.over() {
        true => counted(run, taken(run)),
        false => Outcome::saw(0, "a census is taken when every job has ended"),
    }
}

fn judge_behind(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let mut census = taken(run);
    let (ends, newest) = (run.ends(), run.newest());
    let is_over = |job: &JobId| ends.get(job).is_none_or(|status| status.is_final());
    if !run.over() {
        census.slots.retain(|(job, ..)| is_over(job));
        let newest = |task: &Execution| newest.get(&task.job) == Some(&(task.epoch, task.attempt));
        census.tasks.retain(|task, _| is_over(&task.job) || !newest(task));
        // Of a job that runs some are always on their way.
        census.transactions.clear();
    }
    counted(run, census)
}

fn taken<'a>(run: &Evidence<'a>) -> Census<'a> {
    let mut census = Census::default();
    for entry in run.entries() {
        census.step(&entry.fact, entry.node.0, run);
    }
    // A node that stands still cannot end its tasks, and one that was woken needs a moment.
    if !is_quiet(run) {
        census.tasks.clear();
    }
    census.tasks.retain(|_, node| !census.paused.contains(node));
    census
}

fn counted(run: &Evidence<'_>, mut census: Census<'_>) -> Outcome {
    let (newest, ends) = (run.newest(), run.ends());
    let logs = Logs::of(run);
    // What a savepoint holds waits for whoever begins with it.
    for saved in logs.all_saved() {
        let is_held = |id: &str, checkpoint: CheckpointId| {
            job_of(id) == Some(saved.job) && checkpoint <= saved.checkpoint
        };
        let prepared = &census.prepared;
        census.transactions.retain(|id| !prepared.get(id).is_some_and(|of| is_held(id, *of)));
        if saved.ending == Some(Ending::Stop) {
            census.open.retain(|task, _| task.job != saved.job);
        }
    }
    // Who cancels a job does not want what its windows still hold.
    census.open.retain(|task, _| {
        newest.get(&task.job) == Some(&(task.epoch, task.attempt))
            && ends.get(&task.job) == Some(&JobStatus::Finished)
    });
    let open: u64 = census.open.values().sum();
    let left = [
        ("slots are still held", census.slots.len() as u64),
        ("tasks still run", census.tasks.len() as u64),
        ("transactions are still open", census.transactions.len() as u64),
        ("records still wait in windows", open),
    ];
    let wrong = left.iter().find(|(_, count)| *count > 0);
    Outcome::saw(census.seen, "no slot, no task, no window and no transaction was left")
        .measured("slots", census.slots.len() as f64)
        .measured("tasks", census.tasks.len() as f64)
        .measured("transactions", census.transactions.len() as f64)
        .measured("open", open as f64)
        .broken_by(
            wrong.map(|(what, count)| {
                Broken::somewhere(format!("of what has ended, {count} {what}"))
            }),
        )
}

impl<'a> Census<'a> {
    fn step(&mut self, fact: &'a Fact, node: u16, run: &Evidence<'_>) {
        match fact {
            Fact::SlotAllocated { job, task_manager, slot } => {
                self.seen += 1;
                self.slots.insert((*job, task_manager, *slot));
            }
            Fact::SlotFreed { job, task_manager, slot } => {
                self.slots.remove(&(*job, task_manager, *slot));
            }
            // A job manager that starts anew counts its slots anew.
            Fact::JobManagerStarted { .. } | Fact::LeaderElected { .. } => self.slots.clear(),
            Fact::TaskManagerLost { task_manager, .. } => {
                self.slots.retain(|(_, of, _)| *of != task_manager);
            }
            Fact::TaskStatusChanged { task, to, .. } => {
                self.seen += 1;
                let name = run.journal.nodes().get(usize::from(node));
                let lives = !name.is_some_and(|name| self.down.contains(name.as_str()));
                match to {
                    TaskStatus::Deploying | TaskStatus::Running if lives => {
                        self.tasks.insert(*task, node);
                    }
                    _ => {
                        self.tasks.remove(task);
                    }
                }
            }
            Fact::NodeDown { how: Down::Pause, .. } => drop(self.paused.insert(node)),
            Fact::NodeResumed { .. } => drop(self.paused.remove(&node)),
            Fact::NodeStarted { node, .. } => drop(self.down.remove(node.as_str())),
            Fact::NodeDown { node: name, .. } => {
                self.down.insert(name);
                self.tasks.retain(|_, on| run.journal.nodes().get(usize::from(*on)) != Some(name));
            }
            Fact::TransactionStaged { id, .. } => {
                self.seen += 1;
                self.transactions.insert(id);
            }
            Fact::TransactionPrepared { id, checkpoint, .. } => {
                self.seen += 1;
                self.transactions.insert(id);
                self.prepared.insert(id, *checkpoint);
            }
            Fact::TransactionCommitted { id, .. } | Fact::TransactionAborted { id, .. } => {
                self.transactions.remove(id.as_str());
            }
            Fact::WindowsOpen { task, records, .. } => {
                *self.open.entry(*task).or_default() += records;
            }
            _ => {}
        }
    }
}
