//! The slots of the cluster: who offers them, who holds them, where a job goes.
//! Never waits and never draws: the same calls in the same order give the same placement.
//! A slot runs one subtask of every vertex of its job (slot sharing, walkthrough W27).

use std::collections::BTreeMap;

use slackwater_core::fact::Fact;
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{JobId, Subtask, TaskManagerId, WorkerId};

use crate::command::Outbox;

/// A worker as its task manager offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedWorker {
    /// Its name.
    pub id: WorkerId,
    /// Its exchange address, `name:port`.
    pub address: String,
}

/// A slot given to a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// On which task manager.
    pub task_manager: TaskManagerId,
    /// 0-based within the task manager.
    pub index: u32,
}

#[derive(Debug)]
struct Offer {
    workers: Vec<OfferedWorker>,
    slots: Vec<Option<JobId>>,
}

/// Every slot of the cluster.
#[derive(Debug, Default)]
pub struct SlotPool {
    offers: BTreeMap<TaskManagerId, Offer>,
}

impl SlotPool {
    /// Adds a task manager with `slots` slots, spread over its workers in turn.
    ///
    /// # Panics
    /// If it has no worker, or is known already: the caller removes a lost one first.
    pub fn add(&mut self, id: TaskManagerId, slots: u32, workers: Vec<OfferedWorker>) {
        assert!(!workers.is_empty(), "a task manager has at least one worker");
        let offer = Offer { workers, slots: vec![None; slots as usize] };
        assert!(self.offers.insert(id, offer).is_none(), "a task manager is added once");
    }

    /// Forgets a task manager and all of its slots.
    pub fn remove(&mut self, id: &TaskManagerId) {
        self.offers.remove(id);
    }

    /// Whether this task manager is known.
    pub fn contains(&self, id: &TaskManagerId) -> bool {
        self.offers.contains_key(id)
    }

    /// The task managers in order, with all and free slots.
    pub fn overview(&self) -> impl Iterator<Item = (&TaskManagerId, u32, u32)> {
        self.offers.iter().map(|(id, offer)| (id, offer.slots.len() as u32, offer.free() as u32))
    }

    /// The exchange addresses of a task manager's workers.
    pub fn addresses(&self, id: &TaskManagerId) -> Vec<String> {
        let workers = self.offers.get(id).into_iter().flat_map(|offer| &offer.workers);
        workers.map(|worker| worker.address.clone()).collect()
    }

    /// Which jobs hold slots of a task manager: one entry for each slot that is held.
    pub fn holders(&self, id: &TaskManagerId) -> Vec<JobId> {
        let slots = self.offers.get(id).into_iter().flat_map(|offer| &offer.slots);
        slots.copied().flatten().collect()
    }

    /// How many slots are free.
    pub fn free(&self) -> u32 {
        self.offers.values().map(Offer::free).sum::<usize>() as u32
    }

    /// Takes `count` slots for a job, or none: spread over the task managers with most free slots,
    /// ties by name. Tells each.
    pub fn allocate(&mut self, job: JobId, count: u32, out: &mut Outbox) -> Option<Vec<Slot>> {
        if self.free() < count {
            return None;
        }
        let taken: Vec<Slot> = (0..count).filter_map(|_| self.take_one(job)).collect();
        assert_eq!(taken.len(), count as usize, "the free slots were counted");
        for Slot { task_manager, index } in &taken {
            let (task_manager, slot) = (task_manager.clone(), *index);
            out.tell(Fact::SlotAllocated { job, task_manager, slot });
        }
        Some(taken)
    }

    /// Gives back every slot that the job holds, each exactly once. Tells each.
    pub fn release(&mut self, job: JobId, out: &mut Outbox) {
        for (id, offer) in &mut self.offers {
            for (slot, holder) in (0u32..).zip(&mut offer.slots) {
                if *holder == Some(job) {
                    *holder = None;
                    out.tell(Fact::SlotFreed { job, task_manager: id.clone(), slot });
                }
            }
        }
    }

    /// The worker that a slot belongs to.
    ///
    /// # Panics
    /// If the slot's task manager is gone: slots are released when it is lost.
    pub fn worker(&self, slot: &Slot) -> &OfferedWorker {
        let offer = &self.offers[&slot.task_manager];
        &offer.workers[slot.index as usize % offer.workers.len()]
    }

    fn take_one(&mut self, job: JobId) -> Option<Slot> {
        // max_by_key keeps the last of equals; reversed, that is the first name.
        let (id, offer) = self.offers.iter_mut().rev().max_by_key(|(_, offer)| offer.free())?;
        let index = offer.slots.iter().position(Option::is_none)?;
        offer.slots[index] = Some(job);
        Some(Slot { task_manager: id.clone(), index: index as u32 })
    }
}

impl Offer {
    fn free(&self) -> usize {
        self.slots.iter().filter(|holder| holder.is_none()).count()
    }
}

/// Which subtasks run in the i-th slot of a job: the i-th of every vertex that has one.
pub fn subtasks_of_slot(graph: &JobGraph, slot: u32) -> impl Iterator<Item = Subtask> {
    let vertices = graph.vertices.iter().filter(move |vertex| slot < vertex.parallelism);
    vertices.map(move |vertex| Subtask { vertex: vertex.id, index: slot })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(offers: &[(&str, u32)]) -> SlotPool {
        let mut pool = SlotPool::default();
        for (name, slots) in offers {
            let id = TaskManagerId((*name).into());
            let worker = OfferedWorker {
                id: WorkerId { task_manager: id.clone(), index: 0 },
                address: format!("{name}:1"),
            };
            pool.add(id, *slots, vec![worker]);
        }
        pool
    }

    fn placed(pool: &mut SlotPool, job: u128, count: u32) -> String {
        let slots = pool.allocate(JobId(job), count, &mut Outbox::default());
        let names = slots.iter().flatten().map(|s| format!("{}.{}", s.task_manager, s.index));
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_job_is_spread_over_the_task_managers_with_most_room() {
        assert_eq!(placed(&mut pool(&[("b", 2), ("a", 2)]), 1, 3), "a.0 b.0 a.1");
        assert_eq!(placed(&mut pool(&[("a", 1), ("b", 3)]), 1, 3), "b.0 b.1 a.0");
    }

    #[test]
    fn a_job_gets_all_of_its_slots_or_none() {
        let mut pool = pool(&[("a", 2)]);
        assert_eq!(placed(&mut pool, 1, 3), "");
        assert_eq!(pool.free(), 2);
    }

    #[test]
    fn a_slot_is_given_back_once_and_to_nobody_else() {
        let mut pool = pool(&[("a", 3)]);
        placed(&mut pool, 1, 2);
        placed(&mut pool, 2, 1);
        let mut out = Outbox::default();
        pool.release(JobId(1), &mut out);
        pool.release(JobId(1), &mut out);
        assert_eq!((out.take().len(), pool.free()), (2, 2));
    }
}
