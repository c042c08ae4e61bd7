//! The windows of the demo's ticks: which tick falls into which, at which phase of the wave, and
//! which of them must be visible by now. Of jobs that follow each other from a savepoint the later
//! one has the last word, from the window on that the savepoint held open.
//! Never reads what a job computed; the sums are [`super::window_sums`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::codec::decode_batch;
use slackwater_core::element::Batch;
use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobEpoch, JobId};
use slackwater_core::joblog::LogEvent;
use slackwater_core::savepoint::Ending;
use slackwater_core::time::EventTime;

use super::archive::Archive;
use super::evidence::window_of;
use super::lineage::{Line, Lineage, Phase};
use super::{Broken, Evidence};
use crate::journal::Entry;

/// Whose ticks a window has.
type Owner = (JobId, JobEpoch, Attempt);

/// The ticks of one window, each with its phase.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    owner: Option<Owner>,
    ticks: BTreeMap<EventTime, Phase>,
    /// What a job before this one made of it: visible until it is written over.
    older: Option<Box<Window>>,
    /// Whether a savepoint holds it as fired.
    is_behind: bool,
}

impl Window {
    /// What one key sums to; `None` for a key that no sensor of its jobs has.
    pub(super) fn sum(&self, key: &str) -> Option<f64> {
        let value: fn(&Phase) -> f64 = match key {
            "temp" => |phase| phase.part,
            "pressure" => |phase| (phase.part * TAU).sin(),
            "door" => |phase| f64::from(u8::from(phase.part > 0.4)),
            "turns" => {
                let mut turns = self.ticks.values().filter_map(|phase| phase.turns).peekable();
                turns.peek()?;
                return Some(turns.map(|turns| turns as f64).sum());
            }
            _ => return None,
        };
        Some(self.ticks.values().map(value).sum())
    }

    /// The window as jobs before had made it, newest first.
    pub(super) fn older(&self) -> impl Iterator<Item = &Window> {
        std::iter::successors(self.older.as_deref(), |window| window.older.as_deref())
    }
}

/// By start: the windows of the series of one tag.
pub(super) type Windows = BTreeMap<i64, Window>;

/// The windows of a run.
pub(super) struct TickWindows<'a> {
    size: i64,
    /// Of a job that has no log.
    wave: u64,
    restored: BTreeSet<(JobId, Attempt)>,
    archive: Archive<'a>,
    lineage: Lineage,
    /// What each job has read last, by its place: as many as a window may hold.
    recent: BTreeMap<JobId, BTreeMap<u64, EventTime>>,
    saved: BTreeMap<(JobId, CheckpointId), BTreeMap<u64, EventTime>>,
    /// Jobs that a savepoint ended before their windows had fired.
    stopped: BTreeSet<JobId>,
    /// By tag.
    pub(super) windows: BTreeMap<String, Windows>,
}

impl<'a> TickWindows<'a> {
    /// The windows of all ticks of a run, of this many milliseconds each.
    pub(super) fn of(run: &Evidence<'a>, wave: u64, size: i64) -> Result<Self, Broken> {
        let mut all = Self {
            size,
            wave,
            restored: run.restored(),
            archive: Archive::default(),
            lineage: Lineage::default(),
            recent: BTreeMap::new(),
            saved: BTreeMap::new(),
            stopped: BTreeSet::new(),
            windows: BTreeMap::new(),
        };
        for entry in run.entries() {
            if let Some((job, _, appended)) = all.archive.note(&entry.fact) {
                all.append(job, &appended.event);
            }
            all.emitted(entry)?;
        }
        Ok(all)
    }

    fn append(&mut self, job: JobId, event: &LogEvent) {
        self.lineage.append(job, event);
        match event {
            LogEvent::Saved { metadata, .. } => {
                if metadata.ending == Some(Ending::Stop) {
                    self.stopped.insert(job);
                }
                // The log does not say what one in the memory of a job manager is made of.
                if !metadata.vertices.is_empty() {
                    let open = self.open_at(metadata);
                    self.saved.insert((job, metadata.checkpoint), open);
                }
            }
            LogEvent::Submitted { from: Some(start), .. } => {
                let of = (start.metadata.job, start.metadata.checkpoint);
                let open = self.saved.get(&of).cloned();
                let open = open.unwrap_or_else(|| self.open_at(&start.metadata));
                self.begin(job, (start.metadata.job, open));
            }
            _ => {}
        }
    }

    /// The ticks of the last window before the positions of a checkpoint.
    fn open_at(&self, metadata: &CheckpointMetadata) -> BTreeMap<u64, EventTime> {
        let mut told = metadata.vertices.iter().flat_map(|vertex| &vertex.contents.positions);
        let offset = told.find(|at| at.uid.0 == "ticks").map_or(0, |at| at.offset);
        let recent = self.recent.get(&metadata.job);
        let before = || recent.into_iter().flat_map(|ticks| ticks.range(..offset));
        let last = before().next_back().map(|(_, tick)| window_of(*tick, self.size));
        let inside = before().filter(|(_, tick)| Some(window_of(**tick, self.size)) == last);
        inside.map(|(place, tick)| (*place, *tick)).collect()
    }

    /// A job begins with the open window of another, and makes all that follow anew.
    fn begin(&mut self, job: JobId, (of, open): (JobId, BTreeMap<u64, EventTime>)) {
        let (line, before) = (self.lineage.of(job), self.lineage.of(of));
        let Some(tick) = open.values().next() else { return };
        let start = window_of(*tick, self.size);
        let windows = self.windows.entry(line.tag.clone()).or_default();
        windows.range_mut(..start).for_each(|(_, window)| window.is_behind = true);
        if line.was_drained {
            windows.entry(start).or_default().is_behind = true;
            return;
        }
        let window = windows.entry(start).or_default();
        let ticks = open.iter().map(|(place, tick)| (*tick, before.phase(*place))).collect();
        window.pass_to((job, JobEpoch::default(), Attempt::default()), ticks);
        self.recent.insert(job, open);
    }

    /// Takes the ticks that a source emitted. Of several attempts the newest that ticked in a window
    /// counts; the ticks before it count as well if it began with a checkpoint, which holds them.
    fn emitted(&mut self, entry: &Entry) -> Result<(), Broken> {
        let Fact::SourceEmitted { task, uid, offset, records, .. } = &entry.fact else {
            return Ok(());
        };
        if uid.0 != "ticks" {
            return Ok(());
        }
        let batch: Batch<EventTime> = decode_batch(&records.0).map_err(|error| {
            Broken::by(entry, format!("a batch of source {uid} is unreadable: {error}"))
        })?;
        let line = self.line(task.job);
        let goes_on = line.origin.is_some() || self.restored.contains(&(task.job, task.attempt));
        let owner = (task.job, task.epoch, task.attempt);
        let windows = self.windows.entry(line.tag.clone()).or_default();
        let recent = self.recent.entry(task.job).or_default();
        for (place, tick) in (*offset..).zip(batch.values) {
            let window = windows.entry(window_of(tick, self.size)).or_default();
            match window.owner {
                Some(known) if known == owner => {}
                Some((job, ..)) if job != task.job && line.origin.is_some() => {
                    window.pass_to(owner, BTreeMap::new());
                }
                _ => {
                    window.owner = Some(owner);
                    if !goes_on {
                        window.ticks.clear();
                    }
                }
            }
            window.ticks.insert(tick, line.phase(place));
            recent.insert(place, tick);
        }
        while recent.len() > RECENT {
            recent.pop_first();
        }
        Ok(())
    }

    fn line(&self, job: JobId) -> Line {
        match self.lineage.knows(job) {
            true => self.lineage.of(job),
            false => Line::of_wave(self.wave),
        }
    }

    /// The windows of a tag that must be visible by now, as their last owner makes them: all of a job
    /// that has finished, else those whose end its watermark has passed for a second.
    pub(super) fn due(&self, run: &Evidence<'_>, windows: &Windows) -> Vec<i64> {
        let attempt = |window: &Window| window.owner.map(|(_, epoch, attempt)| (epoch, attempt));
        let restored: BTreeSet<Attempt> = self.restored.iter().map(|(_, of)| *of).collect();
        let is_anew = |window: &&Window| {
            let origin = |job| self.lineage.of(job).origin.is_some();
            window.owner.is_some_and(|(job, _, of)| !restored.contains(&of) && !origin(job))
        };
        let first = windows.values().filter(is_anew).map(attempt).max().flatten();
        let horizons = Horizons::of(run, &self.stopped);
        let due = windows.iter().filter(|(start, window)| {
            let Some((job, ..)) = window.owner else { return false };
            let goes_on = self.lineage.of(job).origin.is_some() || attempt(window) >= first;
            goes_on && (window.is_behind || *start + self.size <= horizons.of_job(job))
        });
        due.map(|(start, _)| *start).collect()
    }
}

impl Window {
    /// Another job makes it anew, from these ticks on.
    fn pass_to(&mut self, owner: Owner, ticks: BTreeMap<EventTime, Phase>) {
        let before = std::mem::take(self);
        self.older = before.owner.is_some().then(|| Box::new(before));
        (self.owner, self.ticks) = (Some(owner), ticks);
    }
}

/// How many ticks of a job are remembered: more than a window holds and a barrier lets pass.
const RECENT: usize = 10_000;

/// Up to where the windows of jobs must be visible.
struct Horizons {
    ends: BTreeMap<JobId, JobStatus>,
    stopped: BTreeSet<JobId>,
    /// By task that holds windows, in the newest attempt of its job: its watermark.
    watermarks: BTreeMap<Execution, i64>,
    finished: bool,
}

impl Horizons {
    fn of(run: &Evidence<'_>, stopped: &BTreeSet<JobId>) -> Self {
        let newest = run.newest();
        let mut tasks = BTreeMap::new();
        for fact in run.facts() {
            match fact {
                Fact::RecordWindowed { task, .. } => {
                    tasks.entry(*task).or_insert(i64::MIN);
                }
                Fact::WatermarkAdvanced { task, watermark } => {
                    tasks.entry(*task).and_modify(|known| *known = watermark.as_millis());
                }
                _ => {}
            }
        }
        tasks.retain(|task, _| newest.get(&task.job) == Some(&(task.epoch, task.attempt)));
        let (stopped, finished) = (stopped.clone(), run.finished());
        Self { ends: run.ends(), stopped, watermarks: tasks, finished }
    }

    fn of_job(&self, job: JobId) -> i64 {
        let own = self.watermarks.iter().filter(|(task, _)| task.job == job);
        let least = own.map(|(_, watermark)| *watermark).min();
        // Where another job holds the windows, as in the log variant, all of them are asked.
        let finished = match least {
            Some(_) => self.ends.get(&job) == Some(&JobStatus::Finished),
            None => self.finished,
        };
        if finished && !self.stopped.contains(&job) {
            return i64::MAX;
        }
        let all = || self.watermarks.values().copied().min();
        least.or_else(all).unwrap_or(i64::MIN).saturating_sub(1_000)
    }
}
