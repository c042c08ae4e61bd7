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
use slackwater_core::id::{Attempt, JobEpoch, JobId};
use slackwater_core::program::Program;
use slackwater_core::time::{EventTime, parse_span};

use super::Parts;
use crate::check::sections::{Section, Share};
use crate::check::{LedgerEntry, Reading};

/// A record as its source read it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Tick(i64),
    Entry(LedgerEntry),
    Reading(Reading),
}

impl Record {
    pub(super) fn time(&self) -> i64 {
        match self {
            Self::Tick(time) => *time,
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

/// Everything that sources have emitted, by job, source, split and offset.
#[derive(Default)]
pub(super) struct Sources {
    records: BTreeMap<(JobId, String, u32), ByOffset>,
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
    /// The records with their place in their split, from the first.
    pub(super) records: Vec<(u64, Record)>,
    /// Between what the watermark must lie: the same twice, unless a split is at its end or idle.
    pub(super) watermark: (i64, i64),
    /// How many steps the sawtooth has.
    pub(super) wave: u64,
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
        let decoded = match uid.0.as_str() {
            "ticks" => decode(&records.0, |at: EventTime| Record::Tick(at.as_millis())),
            "entries" => decode(&records.0, Record::Entry),
            "log-source" => decode(&records.0, Record::Reading),
            _ => return Ok(()),
        };
        let decoded = decoded.map_err(|why| format!("a batch of {uid}: {why}"))?;
        let known = self.records.entry((task.job, uid.0.clone(), *split)).or_default();
        let term = (task.epoch, task.attempt);
        for (place, record) in (*offset..).zip(decoded) {
            let is_newer = known.get(&place).is_none_or(|(before, _)| *before <= term);
            if is_newer {
                known.insert(place, (term, record));
            }
        }
        Ok(())
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
        let wave = setting(program, "wave").and_then(|wave| wave.parse().ok()).unwrap_or(10);
        let mut cut = Cut { source: uid, window, scan, wave, ..Cut::default() };
        let own = sections().filter(|section| section.uid.0 == *uid);
        let (mut held, mut all) = (i64::MAX, Vec::new());
        for section in own.clone().filter(|section| of(section, "position")) {
            let position: Position = section.only().map_err(|why| named(section, why))?;
            let known = self.records.get(&(metadata.job, (*uid).to_owned(), position.split));
            let greatest = self.before(&position, known, &mut cut)?;
            let rule = Rule::of(uid, program)?;
            let said = own
                .clone()
                .find(|other| of(other, "greatest") && other.share == Share::Item(position.split));
            let said = said.ok_or_else(|| format!("{uid}: split {} has none", position.split))?;
            let found: EventTime = said.only().map_err(|why| named(said, why))?;
            if found.as_millis() != rule.state(greatest) {
                let want = rule.state(greatest);
                return Err(format!("{} is {found}, want {want}", said.name()));
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
        cut.watermark = (least, most.max(least));
        scan_of(&cut, sections())?;
        Ok(cut)
    }

    /// Adds the records of a split before its position; gives their greatest timestamp.
    fn before(
        &self,
        position: &Position,
        known: Option<&BTreeMap<u64, (Term, Record)>>,
        cut: &mut Cut,
    ) -> Result<i64, String> {
        let mut greatest = i64::MIN;
        for place in 0..position.offset {
            let Some((_, record)) = known.and_then(|known| known.get(&place)) else {
                let Position { split, offset, .. } = position;
                return Err(format!(
                    "it holds offset {offset} of split {split}, and no source emitted {place}"
                ));
            };
            greatest = greatest.max(record.time());
            cut.records.push((place, record.clone()));
        }
        Ok(greatest)
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

/// The sawtooth has gone on by a step with every tick.
fn scan_of<'a>(cut: &Cut, sections: impl Iterator<Item = &'a Section>) -> Result<(), String> {
    if cut.scan.is_empty() {
        return Ok(());
    }
    let mut scans = sections.filter(|section| section.uid.0 == cut.scan);
    let Some(scan) = scans.next() else { return Err(format!("{} has no state", cut.scan)) };
    let found: u64 = scan.only().map_err(|why| named(scan, why))?;
    let want = cut.records.len() as u64 % cut.wave.max(1);
    match found == want {
        true => Ok(()),
        false => Err(format!("{} is {found}, want {want}", scan.name())),
    }
}

fn named(section: &Section, why: String) -> String {
    format!("{}: {why}", section.name())
}

fn decode<T: Data>(bytes: &[u8], record: impl Fn(T) -> Record) -> Result<Vec<Record>, String> {
    let batch = decode_batch::<T>(bytes).map_err(|error| error.to_string())?;
    Ok(batch.values.into_iter().map(record).collect())
}
