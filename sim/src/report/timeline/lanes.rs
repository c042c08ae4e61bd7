//! The lanes: who lived when, which attempt ran, what befell whom, and how each checkpoint walked.
//! Dense facts are thinned, faults and checkpoints never are. Places come from [`super::scale`].

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::{Attempt, CheckpointId, JobId};

use super::super::svg::{Drawing, Said};
use super::scale::{LANE, MARGIN, Scale, TOP, Whose};
use crate::journal::{Entry, Journal};

/// How many dots of one kind of fact a page has at most.
const DOTS_MAX: usize = 400;

pub(super) fn draw(drawing: &mut Drawing, scale: &Scale, journal: &Journal) {
    frame(drawing, scale);
    attempts(drawing, scale, journal);
    super::slots::draw(drawing, scale, journal);
    absences(drawing, scale, journal);
    dots(drawing, scale, journal);
    checkpoints(drawing, scale, journal);
    super::saved::draw(drawing, scale, journal);
    faults(drawing, scale, journal);
}

fn frame(drawing: &mut Drawing, scale: &Scale) {
    for second in scale.marks() {
        let x = scale.x(Duration::from_secs(u64::from(second)));
        let said = Said { class: "grid", ..Said::default() };
        drawing.line(&[(x, TOP - 6.0), (x, scale.bottom())], said);
        drawing.text((x, TOP - 12.0), "tick", format!("{second} s"));
    }
    for (place, (name, whose)) in scale.lanes.iter().enumerate() {
        let y = scale.y_at(place);
        let (x, class) = match whose {
            Whose::Slot(..) => (24.0, "small"),
            _ => (8.0, "name"),
        };
        let said = Said { class: "lane", ..Said::default() };
        drawing.line(&[(MARGIN, y), (scale.width() - 12.0, y)], said);
        drawing.text((x, y + 4.0), class, name);
    }
}

/// Bands: from when to when each attempt of each job ran.
fn attempts(drawing: &mut Drawing, scale: &Scale, journal: &Journal) {
    let mut running = BTreeMap::<JobId, (Attempt, Duration)>::new();
    let end = journal.entries().last().map_or(Duration::ZERO, |entry| entry.time);
    let mut band = |job: JobId, attempt: Attempt, from: Duration, to: Duration| {
        let odd = attempt.0 % 2 == 1;
        let class = if odd { "band odd" } else { "band even" };
        let text = format!("attempt {attempt} of job {job} ran {}", span(from, to));
        // Of one job over all lanes, of several each in the lane of its own.
        let own = scale.y_of_job(job).map(|y| (y - LANE * 0.42, LANE * 0.84));
        let (top, height) = own.unwrap_or((TOP, scale.bottom() - TOP));
        let (x, width) = (scale.x(from), scale.x(to) - scale.x(from));
        drawing.rect((x, top), (width, height), Said { class, text: &text, ..Said::default() });
        drawing.text((x + 4.0, top + height - 4.0), "attempt", format!("attempt {attempt}"));
    };
    for entry in journal.entries() {
        let Fact::JobStatusChanged { job, attempt, to, .. } = &entry.fact else { continue };
        if *to == JobStatus::Running {
            running.entry(*job).or_insert((*attempt, entry.time));
        } else if let Some((attempt, from)) = running.remove(job) {
            band(*job, attempt, from, entry.time);
        }
    }
    running.into_iter().for_each(|(job, (attempt, from))| band(job, attempt, from, end));
}

/// Grey: nodes that are down or paused.
fn absences(drawing: &mut Drawing, scale: &Scale, journal: &Journal) {
    let end = journal.entries().last().map_or(Duration::ZERO, |entry| entry.time);
    let mut away = BTreeMap::<&str, &Entry>::new();
    let mut bar = |down: &Entry, to: Duration| {
        let text = format!("{}, {}", journal.line(down), span(down.time, to));
        let (x, y) = (scale.x(down.time), scale.y(down.node));
        let size = ((scale.x(to) - x).max(2.0), LANE * 0.5);
        let class = match &down.fact {
            Fact::NodeDown { how: slackwater_core::fact::Down::Pause, .. } => "away paused",
            _ => "away",
        };
        drawing.rect((x, y - LANE * 0.25), size, Said { class, text: &text, ..Said::default() });
    };
    for entry in journal.entries() {
        match &entry.fact {
            Fact::NodeDown { node, .. } => {
                away.entry(node).or_insert(entry);
            }
            Fact::NodeStarted { node, .. } | Fact::NodeResumed { node } => {
                if let Some(down) = away.remove(node.as_str()) {
                    bar(down, entry.time);
                }
            }
            _ => {}
        }
    }
    away.into_values().for_each(|down| bar(down, end));
}

/// What happened on a lane, as dots; of too many of a kind only some.
fn dots(drawing: &mut Drawing, scale: &Scale, journal: &Journal) {
    let mut by_probe = BTreeMap::<&str, Vec<&Entry>>::new();
    for entry in journal.entries() {
        if kind(&entry.fact).is_some() {
            by_probe.entry(entry.fact.probe()).or_default().push(entry);
        }
    }
    for entries in by_probe.values() {
        let every = entries.len().div_ceil(DOTS_MAX).max(1);
        for entry in entries.iter().step_by(every) {
            let Some(class) = kind(&entry.fact) else { continue };
            let text = journal.line(entry).to_string();
            let group = checkpoint(&entry.fact).map_or(String::new(), |id| group(scale, id));
            let said = Said { class, group: &group, text: &text };
            let radius = if class == "dot message" { 1.6 } else { 3.2 };
            drawing.circle(place(scale, entry), radius, said);
        }
    }
}

/// How a fact is drawn as a dot, if it is.
fn kind(fact: &Fact) -> Option<&'static str> {
    Some(match fact {
        Fact::JobStatusChanged { .. } | Fact::JobSubmitted { .. } | Fact::JobResumed { .. } => {
            "dot job"
        }
        Fact::LeaderElected { .. } | Fact::LeaderLost { .. } => "dot leader",
        Fact::TaskManagerRegistered { .. }
        | Fact::TaskManagerLost { .. }
        | Fact::JobManagerLost { .. } => "dot node",
        Fact::MessageFenced { .. } | Fact::TransactionFenced { .. } => "dot fenced",
        Fact::StateRestored { .. } | Fact::JobRestored { .. } => "dot restored",
        Fact::RecordLate { .. } => "dot late",
        Fact::Panicked { .. } => "dot wrong",
        Fact::StoreRefused { .. } | Fact::StoreDamaged { .. } => "dot store",
        Fact::MessageSent { .. } | Fact::MessageReceived { .. } => "dot message",
        _ => return None,
    })
}

/// How one checkpoint walked.
struct Walk<'a> {
    entries: Vec<&'a Entry>,
    completed: bool,
    saves: bool,
}

type Id = (JobId, Attempt, CheckpointId);

/// Where a fact stands: in the lane of its job if it is the job's and jobs have lanes, else of its
/// node.
pub(super) fn place(scale: &Scale, entry: &Entry) -> (f64, f64) {
    let own = job_of(&entry.fact).and_then(|job| scale.y_of_job(job));
    (scale.x(entry.time), own.unwrap_or_else(|| scale.y(entry.node)))
}

/// The job of which a job manager tells.
fn job_of(fact: &Fact) -> Option<JobId> {
    match fact {
        Fact::JobSubmitted { job, .. }
        | Fact::JobStatusChanged { job, .. }
        | Fact::JobRestored { job, .. }
        | Fact::JobResumed { job, .. }
        | Fact::CheckpointTriggered { job, .. }
        | Fact::CheckpointAckReceived { job, .. }
        | Fact::CheckpointCompleted { job, .. }
        | Fact::CheckpointAborted { job, .. }
        | Fact::CheckpointDeclined { job, .. }
        | Fact::CheckpointNotified { job, .. }
        | Fact::SavepointTriggered { job, .. }
        | Fact::SavepointCompleted { job, .. }
        | Fact::SavepointFailed { job, .. } => Some(*job),
        _ => None,
    }
}

/// Each checkpoint as one line over the lanes, broken where it died; alignment as hatched bars.
fn checkpoints(drawing: &mut Drawing, scale: &Scale, journal: &Journal) {
    let mut walks = BTreeMap::<Id, Walk<'_>>::new();
    for entry in journal.entries() {
        let Some(id) = checkpoint(&entry.fact) else { continue };
        if matches!(entry.fact, Fact::StateRestored { .. } | Fact::CheckpointSubsumed { .. }) {
            continue;
        }
        let fresh = Walk { entries: Vec::new(), completed: false, saves: false };
        let walk = walks.entry(id).or_insert(fresh);
        let saved = matches!(entry.fact, Fact::SavepointCompleted { .. });
        walk.completed |= saved || matches!(entry.fact, Fact::CheckpointCompleted { .. });
        walk.saves |= saved || matches!(entry.fact, Fact::SavepointTriggered { .. });
        walk.entries.push(entry);
    }
    for (id, walk) in &walks {
        let group = group(scale, *id);
        let points: Vec<(f64, f64)> =
            walk.entries.iter().map(|entry| place(scale, entry)).collect();
        let word = if walk.completed { "completed" } else { "never completed" };
        let what = if walk.saves { "savepoint" } else { "checkpoint" };
        let text = format!("{what} {} of attempt {} of job {}: {word}", id.2, id.1, id.0);
        let class = match (walk.completed, walk.saves) {
            (true, false) => "walk",
            (true, true) => "walk saved",
            (false, _) => "walk broken",
        };
        drawing.line(&points, Said { class, group: &group, text: &text });
        for entry in &walk.entries {
            let text = journal.line(entry).to_string();
            let said = Said { class: "step", group: &group, text: &text };
            if let Fact::BarrierAligned { took, .. } = &entry.fact {
                let x = scale.x(entry.time.saturating_sub(*took));
                let size = ((scale.x(entry.time) - x).max(1.5), 10.0);
                let said = Said { class: "aligned", ..said };
                drawing.rect((x, scale.y(entry.node) + 4.0), size, said);
            } else {
                drawing.circle(place(scale, entry), 2.0, said);
            }
        }
        if let (Some((x, y)), false) = (points.last(), walk.completed) {
            let said = Said { class: "died", group: &group, text: &text };
            for slope in [-1.0, 1.0] {
                let ends = [(x - 5.0, y - 5.0 * slope), (x + 5.0, y + 5.0 * slope)];
                drawing.line(&ends, said);
            }
        }
    }
}

/// The checkpoint of which a fact tells.
fn checkpoint(fact: &Fact) -> Option<Id> {
    Some(match fact {
        Fact::CheckpointTriggered { job, attempt, checkpoint, .. }
        | Fact::CheckpointAckReceived { job, attempt, checkpoint, .. }
        | Fact::CheckpointDeclined { job, attempt, checkpoint, .. }
        | Fact::CheckpointCompleted { job, attempt, checkpoint, .. }
        | Fact::CheckpointAborted { job, attempt, checkpoint, .. }
        | Fact::CheckpointNotified { job, attempt, checkpoint, .. }
        | Fact::SavepointTriggered { job, attempt, checkpoint, .. }
        | Fact::SavepointCompleted { job, attempt, checkpoint, .. }
        | Fact::CheckpointSubsumed { job, attempt, checkpoint, .. } => {
            (*job, *attempt, *checkpoint)
        }
        Fact::BarrierInjected { task, checkpoint }
        | Fact::BarrierAligned { task, checkpoint, .. }
        | Fact::SnapshotTaken { task, checkpoint, .. }
        | Fact::CheckpointAckSent { task, checkpoint }
        | Fact::StateRestored { task, checkpoint, .. } => (task.job, task.attempt, *checkpoint),
        _ => return None,
    })
}

/// What belongs to one checkpoint lights up together.
pub(super) fn group(scale: &Scale, (job, attempt, checkpoint): Id) -> String {
    match scale.y_of_job(job) {
        Some(_) => format!("c{job}-{attempt}-{checkpoint}"),
        None => format!("c{attempt}-{checkpoint}"),
    }
}

/// What befell the world, over all lanes, by the scenario's names.
fn faults(drawing: &mut Drawing, scale: &Scale, journal: &Journal) {
    let mut row = 0;
    for entry in journal.entries() {
        let text = journal.line(entry).to_string();
        let x = scale.x(entry.time);
        match &entry.fact {
            Fact::FaultBegan { fault } => {
                let said = Said { class: "fault", group: fault, text: &text };
                drawing.line(&[(x, 6.0), (x, scale.bottom())], said);
                drawing.text((x + 3.0, 12.0 + 9.0 * f64::from(row % 2)), "fault", fault);
                row += 1;
            }
            Fact::FaultEnded { fault } => {
                let said = Said { class: "fault over", group: fault, text: &text };
                drawing.line(&[(x, TOP), (x, scale.bottom())], said);
            }
            Fact::FaultDone { .. } => {
                let said = Said { class: "deed", text: &text, ..Said::default() };
                drawing.rect((x - 1.5, TOP - 5.0), (3.0, 8.0), said);
            }
            _ => {}
        }
    }
}

pub(super) fn span(from: Duration, to: Duration) -> String {
    format!("from {:.3} s to {:.3} s", from.as_secs_f64(), to.as_secs_f64())
}
