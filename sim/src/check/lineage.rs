//! Which job began with whose state, and at which step of the wave each of its ticks is.
//! Read from the logs of jobs; what the state was is modelled here and never decoded: a job that
//! goes on at another step than the one before it had reached is wrong.
//! Asked by [`super::cut`] and by the checks of the demo's wave.

use std::collections::BTreeMap;

use slackwater_core::id::JobId;
use slackwater_core::joblog::LogEvent;
use slackwater_core::program::Program;
use slackwater_core::savepoint::Ending;

/// The source of the demo, which has one split.
const TICKS: &str = "ticks";
/// The version of the demo from which on turns are counted.
const COUNTS: &str = "v2";
/// How many steps a wave has that nobody sets.
const WAVE: u64 = 10;

/// The jobs of a run, and what each began with.
#[derive(Clone, Debug, Default)]
pub(super) struct Lineage {
    jobs: BTreeMap<JobId, Line>,
}

/// What is known of a job.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// What is written behind the names of its series.
    pub(super) tag: String,
    /// How many steps its wave has.
    pub(super) wave: u64,
    /// With what it began, if not with nothing: by source and split the position of the next record.
    pub(super) origin: Option<BTreeMap<(String, u32), u64>>,
    /// Whose state that was.
    pub(super) parent: Option<JobId>,
    /// Whether event time began anew with it.
    pub(super) resets: bool,
    /// Whether every window had fired of what it began with.
    pub(super) was_drained: bool,
    /// The tick with which it began, the step of that one, and how many turns there were before it.
    first: (u64, u64, u64),
    /// Whether it counts the turns of its wave.
    counts: bool,
}

/// Where the wave is at a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Phase {
    /// The step, as a share of the wave.
    pub(super) part: f64,
    /// How often the wave has come round, if the job counts that.
    pub(super) turns: Option<u64>,
}

impl Default for Line {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Lineage {
    /// Takes an entry of a job's log.
    pub(super) fn append(&mut self, job: JobId, event: &LogEvent) {
        let LogEvent::Submitted { program, from, .. } = event else { return };
        let mut line = Line::new(Some(program));
        if let Some(start) = from {
            let metadata = &start.metadata;
            let told = metadata.vertices.iter().flat_map(|vertex| &vertex.contents.positions);
            let positions: BTreeMap<_, _> =
                told.map(|at| ((at.uid.0.clone(), at.split), at.offset)).collect();
            let offset = positions.get(&(TICKS.to_owned(), 0)).copied().unwrap_or(0);
            // A step that the wave does not have any more is one of its steps, or refused (T10).
            let before = self.of(metadata.job);
            let turns = before.turns(offset).unwrap_or(0);
            line.first = (offset, before.step(offset) % line.wave, turns);
            (line.origin, line.parent) = (Some(positions), Some(metadata.job));
            line.resets = start.reset_watermarks;
            line.was_drained = metadata.ending == Some(Ending::Drain);
        }
        self.jobs.insert(job, line);
    }

    /// What is known of a job; of one that has no log, what is so unless it is set.
    pub(super) fn of(&self, job: JobId) -> Line {
        self.jobs.get(&job).cloned().unwrap_or_default()
    }

    /// Whether the job's log has been seen.
    pub(super) fn knows(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }
}

impl Line {
    /// Of a job of which nothing is known but this.
    pub(super) fn of_wave(wave: u64) -> Self {
        Self { wave: wave.max(1), ..Self::default() }
    }

    fn new(program: Option<&Program>) -> Self {
        let set = |name| program.and_then(|program| program.settings.get(name)).cloned();
        let wave = set("wave").and_then(|wave| wave.parse().ok()).unwrap_or(WAVE);
        Self {
            tag: set("tag").unwrap_or_default(),
            wave: wave.max(1),
            origin: None,
            parent: None,
            resets: false,
            was_drained: false,
            first: (0, 0, 0),
            counts: program.is_some_and(|program| program.own().version == COUNTS),
        }
    }

    /// The step of the tick at this place, which is none before its first.
    pub(super) fn step(&self, place: u64) -> u64 {
        let (first, step, _) = self.first;
        (step + place.saturating_sub(first)) % self.wave
    }

    /// How often the wave has come round before the tick at this place, if the job counts that.
    pub(super) fn turns(&self, place: u64) -> Option<u64> {
        let (first, step, turns) = self.first;
        self.counts.then(|| turns + (step + place.saturating_sub(first)) / self.wave)
    }

    /// The phase of the tick at this place.
    pub(super) fn phase(&self, place: u64) -> Phase {
        let part = self.step(place) as f64 / self.wave as f64;
        Phase { part, turns: self.turns(place) }
    }

    /// The place of the first record that it read itself of a split.
    pub(super) fn begins(&self, uid: &str, split: u32) -> u64 {
        let origin = self.origin.as_ref();
        let position = origin.and_then(|from| from.get(&(uid.to_owned(), split)));
        position.copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_goes_on_where_another_wave_takes_over() {
        let line = Line { wave: 100, first: (57, 7, 2), counts: true, ..Line::default() };
        assert_eq!([57, 58, 149, 150].map(|place| line.step(place)), [7, 8, 99, 0]);
        assert_eq!([57, 149, 150].map(|place| line.turns(place)), [Some(2), Some(2), Some(3)]);
        assert_eq!(Line::default().step(23), 3);
    }
}
