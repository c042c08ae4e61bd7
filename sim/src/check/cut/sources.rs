//! What the sources had read when a barrier left them: the records before the offsets of a
//! checkpoint, the watermark that they amount to, and the state of the scan behind them.
//! Knows three sources by their uids, and how far behind each one's watermark stays from the
//! program's settings. What is made of the records is [`super::windows`]'s.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use slackwater_core::Data;
use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::codec::decode_batch;
use slackwater_core::fact::Fact;
use slackwater_core::id::{Attempt, CheckpointId, JobEpoch, JobId};
use slackwater_core::joblog::LogEvent;
use slackwater_core::program::Program;
use slackwater_core::savepoint::Ending;
use slackwater_core::time::{EventTime, parse_span};

use super::Parts;
use crate::check::lineage::{Lineage, Phase};
use crate::check::sections::{Section, Share};
use crate::check::{LedgerEntry, Reading};

/// A record as its source read it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// Its time, and its phase in the sawtooth of the job that read it.
    Tick(i64, Phase),
    Entry(LedgerEntry),
    Reading(Reading),
}

impl Record {
    pub(super) fn time(&self) -> i64 {
        match self {
            Self::Tick(time, _) => *time,
            Self::Entry(entry) => entry.at.as_millis(),
            Self::Reading(reading) => reading.at.as_millis(),
        }
    }
}

/// A source that the model knows.
struct Subject {
    uid: &'static str,
    /// The window operator behind it.
    window: &'static str,
    /// The scan behind it; empty if there is none.
    scan: &'static str,
}

const SUBJECTS: [Subject; 3] = [
    Subject { uid: "entries", window: "seconds", scan: "" },
    Subject { uid: "ticks", window: "window", scan: "sawtooth" },
    Subject { uid: "log-source", window: "window", scan: "" },
];

type Term = (JobEpoch, Attempt);

/// What a split emitted, by offset, each with the newest attempt that did.
type ByOffset = BTreeMap<u64, (Term, Record)>;

/// By source and split.
type BySplit = BTreeMap<(String, u32), ByOffset>;

/// Everything that sources have emitted, by job, source, split and offset. A job that began with a
/// savepoint has the records before it from the job that it was taken of.
#[derive(Default)]
pub(super) struct Sources {
    records: BTreeMap<JobId, BySplit>,
    lineage: Lineage,
    /// What lay before each savepoint when it completed.
    saved: BTreeMap<(JobId, CheckpointId), BySplit>,
    idle: BTreeMap<(JobId, String), bool>,
}

/// Where a split stood.
#[derive(Clone, Debug, Deserialize)]
struct Position {
    split: u32,
    offset: u64,
    ended: bool,
}

/// What lies before the barrier of a checkpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    pub(super) source: &'static str,
    pub(super) window: &'static str,
    pub(super) scan: &'static str,
    /// The records that a window may still hold.
    pub(super) records: Vec<Record>,
    /// Between what the watermark must lie: the same twice, unless a split is at its end or idle.
    pub(super) watermark: (i64, i64),
    /// At which step the sawtooth stands, and how many turns it has counted.
    saw: (u64, Option<u64>),
}

impl Sources {
    /// Takes what a source emitted; of several attempts the newest counts.
    pub(super) fn note(&mut self, fact: &Fact) -> Result<(), String> {
        if let Fact::SourceIdle { task, uid } = fact {
            self.idle.insert((task.job, uid.0.clone()), true);
        }
        let Fact::SourceEmitted { task, uid, split, offset, records, .. } = fact else {
            return Ok(());
        };
        let line = self.lineage.of(task.job);
        let decoded = match uid.0.as_str() {
            "ticks" => decode(&records.0, |at: EventTime, place| {
                Record::Tick(at.as_millis(), line.phase(offset + place))
            }),
            "entries" => decode(&records.0, |entry, _| Record::Entry(entry)),
            "log-source" => decode(&records.0, |reading, _| Record::Reading(reading)),
            _ => return Ok(()),
        };
        let decoded = decoded.map_err(|why| format!("a batch of {uid}: {why}"))?;
        let known = self.records.entry(task.job).or_default();
        let known = known.entry((uid.0.clone(), *split)).or_default();
        let term = (task.epoch, task.attempt);
        for (place, record) in (*offset..).zip(decoded) {
            let is_newer = known.get(&place).is_none_or(|(before, _)| *before <= term);
            if is_newer {
                known.insert(place, (term, record));
            }
        }
        Ok(())
    }

    /// Takes an entry of a job's log: what lies before a savepoint is kept, and a job that begins
    /// with one has it.
    pub(super) fn append(&mut self, job: JobId, event: &LogEvent) {
        self.lineage.append(job, event);
        match event {
            // The log does not say what one in the memory of a job manager is made of.
            LogEvent::Saved { metadata, .. } if !metadata.vertices.is_empty() => {
                self.saved.insert((job, metadata.checkpoint), self.before_it(metadata));
            }
            LogEvent::Submitted { from: Some(start), .. } => {
                let of = (start.metadata.job, start.metadata.checkpoint);
                let known = self.saved.get(&of).cloned();
                let known = known.unwrap_or_else(|| self.before_it(&start.metadata));
                self.records.insert(job, known);
            }
            _ => {}
        }
    }

    /// The records before the positions that metadata tells.
    fn before_it(&self, metadata: &CheckpointMetadata) -> BySplit {
        let positions = metadata.vertices.iter().flat_map(|vertex| &vertex.contents.positions);
        let own = self.records.get(&metadata.job);
        let before = positions.filter_map(|at| {
            let split = (at.uid.0.clone(), at.split);
            let records = own?.get(&split)?.range(..at.offset);
            let older = |(place, (_, record)): (&u64, &(Term, Record))| {
                (*place, (Term::default(), record.clone()))
            };
            Some((split, records.map(older).collect()))
        });
        before.collect()
    }

    /// What lies before a checkpoint's offsets; every state of its source is looked at.
    pub(super) fn cut(&self, metadata: &CheckpointMetadata, parts: &Parts) -> Result<Cut, String> {
        let sections = || parts.values().flatten();
        let of = |section: &Section, state| section.state == state;
        let subject = SUBJECTS.iter().find(|subject| {
            sections().any(|section| section.uid.0 == subject.uid && of(section, "position"))
        });
        let Some(Subject { uid, window, scan }) = subject else {
            return Err("it holds no offset of a source that the model knows".into());
        };
        let program = &metadata.program;
        let mut cut = Cut { source: uid, window, scan, ..Cut::default() };
        let own = sections().filter(|section| section.uid.0 == *uid);
        let (mut held, mut all) = (i64::MAX, Vec::new());
        for section in own.clone().filter(|section| of(section, "position")) {
            let position: Position = section.only().map_err(|why| named(section, why))?;
            said(metadata, uid, &position)?;
            let greatest = self.before(&position, (metadata.job, uid), &mut cut)?;
            let rule = Rule::of(uid, program)?;
            let state = own
                .clone()
                .find(|other| of(other, "greatest") && other.share == Share::Item(position.split));
            let state = state.ok_or_else(|| format!("{uid}: split {} has none", position.split))?;
            let found: EventTime = state.only().map_err(|why| named(state, why))?;
            if found.as_millis() != rule.state(greatest) {
                let want = rule.state(greatest);
                return Err(format!("{} is {found}, want {want}", state.name()));
            }
            let watermark = rule.watermark(greatest);
            all.push(watermark);
            if !position.ended {
                held = held.min(watermark);
            }
        }
        let idle = self.idle.contains_key(&(metadata.job, (*uid).to_owned()));
        let least = all.iter().copied().min().unwrap_or(i64::MIN);
        let most = if idle { all.into_iter().max().unwrap_or(i64::MIN) } else { held };
        // Of a job that is drained event time has come to its end.
        cut.watermark = match metadata.ending {
            Some(Ending::Drain) => (i64::MAX, i64::MAX),
            _ => (least, most.max(least)),
        };
        scan_of(&cut, sections())?;
        Ok(cut)
    }

    /// Adds the records of a split before its position; gives their greatest timestamp.
    fn before(
        &self,
        position: &Position,
        (job, uid): (JobId, &str),
        cut: &mut Cut,
    ) -> Result<i64, String> {
        let Position { split, offset, .. } = position;
        let known = self.records.get(&job).and_then(|own| own.get(&(uid.to_owned(), *split)));
        let line = self.lineage.of(job);
        cut.saw = (line.step(*offset), line.turns(*offset));
        let first = line.begins(uid, *split);
        let mut greatest = i64::MIN;
        for place in 0..*offset {
            let Some((_, record)) = known.and_then(|known| known.get(&place)) else {
                return Err(format!(
                    "it holds offset {offset} of split {split}, and no source emitted {place}"
                ));
            };
            // Where event time began anew, what was before has no time.
            if place >= first || !line.resets {
                greatest = greatest.max(record.time());
            }
            // What was drained has fired, whatever its time.
            if place >= first || !line.was_drained {
                cut.records.push(record.clone());
            }
        }
        Ok(greatest)
    }
}

/// What the metadata tells of a position is what the state holds.
fn said(metadata: &CheckpointMetadata, uid: &str, position: &Position) -> Result<(), String> {
    let all = metadata.vertices.iter().flat_map(|vertex| &vertex.contents.positions);
    let mut told = all.filter(|told| told.uid.0 == uid && told.split == position.split);
    let offsets: Vec<u64> = told.by_ref().map(|told| told.offset).collect();
    // Format 1 tells nothing.
    match metadata.format < 2 || offsets == [position.offset] {
        true => Ok(()),
        false => Err(format!(
            "its metadata tells offset {offsets:?} of split {}, and its state holds {}",
            position.split, position.offset
        )),
    }
}

/// How a watermark follows from the greatest timestamp.
#[derive(Clone, Copy)]
enum Rule {
    /// This far behind it, and a millisecond more; the state is the timestamp.
    Bounded(i64),
    /// This far behind it; the state is the watermark.
    Said(i64),
}

impl Rule {
    fn of(uid: &str, program: &Program) -> Result<Self, String> {
        let span = |name| setting(program, name).map(parse_span).transpose();
        match uid {
            "ticks" => Ok(Self::Bounded(0)),
            "log-source" => Ok(Self::Said(1_000)),
            _ => {
                let bound = span("bound")?.or(span("disorder")?);
                let bound = bound.unwrap_or(Duration::from_millis(500));
                Ok(Self::Bounded(bound.as_millis() as i64))
            }
        }
    }

    fn state(self, greatest: i64) -> i64 {
        match self {
            Self::Bounded(_) => greatest,
            Self::Said(_) => self.watermark(greatest),
        }
    }

    fn watermark(self, greatest: i64) -> i64 {
        match self {
            Self::Bounded(bound) => greatest.saturating_sub(bound).saturating_sub(1),
            Self::Said(bound) => greatest.saturating_sub(bound),
        }
    }
}

fn setting<'a>(program: &'a Program, name: &str) -> Option<&'a str> {
    program.settings.get(name).map(String::as_str)
}

/// The state of the sawtooth: its step, and from the second version on the turns.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Scan {
    Step(u64),
    Named { step: u64, turns: u64 },
}

/// The sawtooth has gone on by a step with every tick.
fn scan_of<'a>(cut: &Cut, sections: impl Iterator<Item = &'a Section>) -> Result<(), String> {
    if cut.scan.is_empty() {
        return Ok(());
    }
    let mut scans = sections.filter(|section| section.uid.0 == cut.scan);
    let Some(scan) = scans.next() else { return Err(format!("{} has no state", cut.scan)) };
    let found: Scan = scan.only().map_err(|why| named(scan, why))?;
    let found = match found {
        Scan::Step(step) => (step, None),
        Scan::Named { step, turns } => (step, Some(turns)),
    };
    let want = cut.saw;
    match found == want {
        true => Ok(()),
        false => Err(format!("{} is {found:?}, want {want:?}", scan.name())),
    }
}

fn named(section: &Section, why: String) -> String {
    format!("{}: {why}", section.name())
}

/// Decodes a batch; each record with its place in it.
fn decode<T: Data>(bytes: &[u8], record: impl Fn(T, u64) -> Record) -> Result<Vec<Record>, String> {
    let batch = decode_batch::<T>(bytes).map_err(|error| error.to_string())?;
    Ok(batch.values.into_iter().zip(0..).map(|(value, place)| record(value, place)).collect())
}
