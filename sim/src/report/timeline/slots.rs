//! Who had which slot from when to when: a bar in the lane of the slot, with what its tasks were about.
//! Of a task manager that is lost every bar ends there. Places come from
//! [`super::scale`].

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::id::{JobId, TaskManagerId};

use super::super::svg::{Drawing, Said};
use super::lanes::span;
use super::scale::{SLOT, Scale, node_of};
use crate::journal::Journal;

pub(super) fn draw(drawing: &mut Drawing, scale: &Scale, journal: &Journal) {
    let mut held = BTreeMap::<(&TaskManagerId, u32), (JobId, Duration)>::new();
    let mut jobs = Vec::<JobId>::new();
    let end = journal.entries().last().map_or(Duration::ZERO, |entry| entry.time);
    let mut bar = |of: (&TaskManagerId, u32), (job, from): (JobId, Duration), to: Duration| {
        let Some(y) = node_of(journal, of.0).and_then(|node| scale.y_of_slot(node, of.1)) else {
            return;
        };
        if !jobs.contains(&job) {
            jobs.push(job);
        }
        let odd = jobs.iter().position(|known| *known == job).is_some_and(|place| place % 2 == 1);
        let class = if odd { "slot other" } else { "slot" };
        let text = format!("slot {} of {}: job {job}, {}", of.1, of.0, span(from, to));
        let (x, height) = (scale.x(from), SLOT * 0.6);
        let size = ((scale.x(to) - x).max(1.5), height);
        drawing.rect((x, y - height / 2.0), size, Said { class, text: &text, ..Said::default() });
    };
    for entry in journal.entries() {
        match &entry.fact {
            Fact::SlotAllocated { job, task_manager, slot } => {
                let of = (task_manager, *slot);
                // A new leader takes over what it finds, and says so again.
                if let Some(before) = held.insert(of, (*job, entry.time)) {
                    bar(of, before, entry.time);
                }
            }
            Fact::SlotFreed { task_manager, slot, .. } => {
                let of = (task_manager, *slot);
                held.remove(&of).into_iter().for_each(|before| bar(of, before, entry.time));
            }
            // Whose task manager is lost, has it no more.
            Fact::TaskManagerLost { task_manager, .. } => {
                let of_lost: Vec<_> = held.extract_if(.., |of, _| of.0 == task_manager).collect();
                of_lost.into_iter().for_each(|(of, before)| bar(of, before, entry.time));
            }
            _ => {}
        }
    }
    held.into_iter().for_each(|(of, before)| bar(of, before, end));
}
