//! Where things stand on the page: virtual time from left to right, one lane per node below another.
//! Only arithmetic. Used by the rooms beside it.

use std::collections::BTreeSet;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::id::{JobId, TaskManagerId};
use slackwater_core::time::EventTime;

use crate::journal::{Journal, NodeIndex};
use crate::world::EPOCH;

/// How wide the names of lanes are.
pub(super) const MARGIN: f64 = 108.0;
/// How high a lane is.
pub(super) const LANE: f64 = 46.0;
/// How high the lane of a slot is.
pub(super) const SLOT: f64 = 15.0;
/// Where the first lane begins.
pub(super) const TOP: f64 = 46.0;
/// How wide a page is at least and at most, in pixels.
const WIDTH: (f64, f64) = (1_060.0, 6_000.0);
/// How wide a second is drawn if there is room.
const SECOND: f64 = 44.0;

/// Whose a lane is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// A node's.
    Node(NodeIndex),
    /// Of one of its slots, below its own.
    Slot(NodeIndex, u32),
    /// A job's, if there are several.
    Job(JobId),
}

impl Whose {
    fn height(self) -> f64 {
        if matches!(self, Self::Slot(..)) { SLOT } else { LANE }
    }
}

/// The places of times and lanes.
pub(super) struct Scale {
    /// Names of the lanes, from above, and whose they are.
    pub(super) lanes: Vec<(String, Whose)>,
    /// The end of the run, in seconds.
    pub(super) end: f64,
    /// Pixels per second.
    pub(super) second: f64,
}

impl Scale {
    pub(super) fn of(journal: &Journal) -> Self {
        let end = journal.entries().last().map_or(1.0, |entry| entry.time.as_secs_f64()).max(1.0);
        let width = (end * SECOND).clamp(WIDTH.0, WIDTH.1);
        let nodes = journal.nodes().iter().cloned().zip((0..).map(NodeIndex).map(Whose::Node));
        let mut lanes: Vec<(String, Whose)> = nodes.chain(jobs(journal)).collect();
        // Whoever asks stands above, and what is written to below.
        let rank = |(name, whose): &(String, Whose)| match name.as_str() {
            _ if matches!(whose, Whose::Job(_)) => 2,
            "client" => 0,
            name if name.starts_with("jm") => 1,
            name if name.starts_with("tm") => 3,
            _ => 4,
        };
        // In the order in which they came, within a rank.
        lanes.sort_by_key(rank);
        let slots = slots(journal);
        let with_slots = |lane: (String, Whose)| {
            let own = slots.iter().filter(|(_, whose)| match (whose, &lane.1) {
                (Whose::Slot(of, _), Whose::Node(node)) => of == node,
                _ => false,
            });
            std::iter::once(lane.clone()).chain(own.cloned()).collect::<Vec<_>>()
        };
        let lanes = lanes.into_iter().flat_map(with_slots).collect();
        Self { lanes, end, second: width / end }
    }

    /// Of a virtual time.
    pub(super) fn x(&self, time: Duration) -> f64 {
        MARGIN + time.as_secs_f64() * self.second
    }

    /// Seconds of event time since the world began.
    pub(super) fn seconds(time: EventTime) -> f64 {
        (time.as_millis().saturating_sub(EPOCH.as_millis())) as f64 / 1_000.0
    }

    /// The middle of a node's lane.
    pub(super) fn y(&self, node: NodeIndex) -> f64 {
        self.middle(Whose::Node(node)).unwrap_or(TOP)
    }

    /// The middle of a job's lane, if jobs have lanes.
    pub(super) fn y_of_job(&self, job: JobId) -> Option<f64> {
        self.middle(Whose::Job(job))
    }

    /// The middle of a slot's lane.
    pub(super) fn y_of_slot(&self, node: NodeIndex, slot: u32) -> Option<f64> {
        self.middle(Whose::Slot(node, slot))
    }

    /// The middle of the lane at a place.
    pub(super) fn y_at(&self, place: usize) -> f64 {
        let height = |(_, whose): &(String, Whose)| whose.height();
        let above: f64 = self.lanes[..place].iter().map(height).sum();
        TOP + above + self.lanes.get(place).map_or(0.0, height) / 2.0
    }

    fn middle(&self, whose: Whose) -> Option<f64> {
        Some(self.y_at(self.lanes.iter().position(|(_, other)| *other == whose)?))
    }

    /// Below the last lane.
    pub(super) fn bottom(&self) -> f64 {
        self.y_at(self.lanes.len())
    }

    /// The whole width.
    pub(super) fn width(&self) -> f64 {
        MARGIN + self.end * self.second + 24.0
    }

    /// Whole seconds that are marked: some ten pixels apart at least.
    pub(super) fn marks(&self) -> impl Iterator<Item = u32> + use<> {
        let step = [1, 2, 5, 10, 20, 60, 120, 300].into_iter();
        let mut fit = step.filter(|step| f64::from(*step) * self.second >= 40.0);
        let step = fit.next().unwrap_or(600);
        (0..=self.end as u32).step_by(step as usize)
    }
}

/// A lane for each job, in the order of their submission; none for a job that is alone.
fn jobs(journal: &Journal) -> Vec<(String, Whose)> {
    let mut jobs = Vec::<(String, Whose)>::new();
    for entry in journal.entries() {
        let Fact::JobSubmitted { job, name, .. } = &entry.fact else { continue };
        let id: String = job.to_string().chars().take(6).collect();
        let lane = (format!("{name} {id}"), Whose::Job(*job));
        // A submission is told again by whoever is asked again.
        if !jobs.contains(&lane) {
            jobs.push(lane);
        }
    }
    if jobs.len() > 1 { jobs } else { Vec::new() }
}

/// A lane for each slot that was ever given to a job.
fn slots(journal: &Journal) -> Vec<(String, Whose)> {
    let mut slots = BTreeSet::<(u16, u32)>::new();
    for entry in journal.entries() {
        if let Fact::SlotAllocated { task_manager, slot, .. } = &entry.fact
            && let Some(node) = node_of(journal, task_manager)
        {
            slots.insert((node.0, *slot));
        }
    }
    let lane = |(node, slot)| (format!("slot {slot}"), Whose::Slot(NodeIndex(node), slot));
    slots.into_iter().map(lane).collect()
}

/// The node of a task manager, which is called as its node is.
pub(super) fn node_of(journal: &Journal, task_manager: &TaskManagerId) -> Option<NodeIndex> {
    let place = journal.nodes().iter().position(|node| *node == task_manager.0)?;
    u16::try_from(place).ok().map(NodeIndex)
}
