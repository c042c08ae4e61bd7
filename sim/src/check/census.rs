//! CENSUS: when every job has ended, nothing of it is left: no slot, no task, no open window that
//! should have fired, no transaction that is neither committed nor gone.
//! Counts what was told to begin and to end; bytes in the store are [`super::store`]'s.

use std::collections::{BTreeMap, BTreeSet};

use slackwater_core::fact::{Down, Fact, TaskStatus};
use slackwater_core::id::{Execution, JobId, TaskManagerId};

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

#[derive(Default)]
struct Census<'a> {
    slots: BTreeSet<(JobId, &'a TaskManagerId, u32)>,
    /// By task: the node that runs it.
    tasks: BTreeMap<Execution, u16>,
    /// Nodes that are stopped.
    paused: BTreeSet<u16>,
    transactions: BTreeSet<&'a str>,
    /// By task of a job's last attempt: what its windows still held.
    open: BTreeMap<Execution, u64>,
    seen: u64,
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    if !run.finished() {
        return Outcome::saw(0, "a census is taken when every job has ended");
    }
    let mut census = Census::default();
    for entry in run.entries() {
        census.step(&entry.fact, entry.node.0, run);
    }
    // A node that stands still cannot end its tasks, and one that was woken needs a moment.
    if !is_quiet(run) {
        census.tasks.clear();
    }
    census.tasks.retain(|_, node| !census.paused.contains(node));
    let newest = run.newest();
    census.open.retain(|task, _| newest.get(&task.job) == Some(&(task.epoch, task.attempt)));
    let open: u64 = census.open.values().sum();
    let left = [
        ("slots are held", census.slots.len() as u64),
        ("tasks run", census.tasks.len() as u64),
        ("transactions are open", census.transactions.len() as u64),
        ("records wait in windows", open),
    ];
    let wrong = left.iter().find(|(_, count)| *count > 0);
    Outcome::saw(census.seen, "no slot, no task, no window and no transaction was left")
        .measured("slots", census.slots.len() as f64)
        .measured("tasks", census.tasks.len() as f64)
        .measured("transactions", census.transactions.len() as f64)
        .measured("open", open as f64)
        .broken_by(wrong.map(|(what, count)| {
            Broken::somewhere(format!("every job has ended, and {count} {what}"))
        }))
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
                match to {
                    TaskStatus::Deploying | TaskStatus::Running => {
                        self.tasks.insert(*task, node);
                    }
                    _ => {
                        self.tasks.remove(task);
                    }
                }
            }
            Fact::NodeDown { how: Down::Pause, .. } => drop(self.paused.insert(node)),
            Fact::NodeResumed { .. } => drop(self.paused.remove(&node)),
            Fact::NodeDown { node: name, .. } => {
                self.tasks.retain(|_, on| run.journal.nodes().get(usize::from(*on)) != Some(name));
            }
            Fact::TransactionStaged { id, .. } | Fact::TransactionPrepared { id, .. } => {
                self.seen += 1;
                self.transactions.insert(id);
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
