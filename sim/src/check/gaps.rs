//! What nobody promised: rows that fall between a job that was cancelled and the one after it.
//! Of a job whose source is a clock they are lost, and rightly so; one that reads again what lies
//! there has no gap, and neither has one that begins with a savepoint. Judges nothing; asked by the
//! checks that compare rows with another run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::JobId;
use slackwater_core::time::{EventTime, span_millis};

use super::archive::Archive;
use super::lineage::Lineage;
use crate::journal::Journal;
use crate::world::EPOCH;

/// How long after a job runs its first windows may lack records.
const BEGIN: Duration = Duration::from_secs(2);

/// From the last row before a cancellation to the first whole window of the next job.
pub(super) struct Gaps<'a> {
    /// By series and key.
    keys: BTreeMap<(&'a str, &'a str), Vec<(EventTime, EventTime)>>,
    /// The ends, for keys that had no row before.
    ends: Vec<EventTime>,
}

impl<'a> Gaps<'a> {
    pub(super) fn of(journal: &'a Journal) -> Self {
        let mut last = BTreeMap::<(&str, &str), EventTime>::new();
        let (mut gaps, mut open) = (Self { keys: BTreeMap::new(), ends: Vec::new() }, None);
        let mut cancelled = BTreeSet::<JobId>::new();
        let (mut archive, mut lineage) = (Archive::default(), Lineage::default());
        for entry in journal.entries() {
            if let Some((job, _, appended)) = archive.note(&entry.fact) {
                lineage.append(job, &appended.event);
            }
            match &entry.fact {
                Fact::PointWritten { point, .. } => {
                    let known = last.entry((&point.series, &point.key)).or_insert(point.time);
                    *known = point.time.max(*known);
                }
                Fact::JobStatusChanged { job, to, .. } => match to {
                    JobStatus::Canceled if cancelled.insert(*job) => open = Some(last.clone()),
                    JobStatus::Running if lineage.of(*job).origin.is_some() => open = None,
                    JobStatus::Running => {
                        let end = EPOCH.as_millis() + span_millis(entry.time + BEGIN);
                        gaps.close(open.take(), EventTime::from_millis(end));
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        gaps.close(open, EventTime::MAX);
        gaps
    }

    fn close(&mut self, open: Option<BTreeMap<(&'a str, &'a str), EventTime>>, end: EventTime) {
        let Some(open) = open else { return };
        for (key, last) in open {
            self.keys.entry(key).or_default().push((last, end));
        }
        self.ends.push(end);
    }

    /// Whether a row lies in one.
    pub(super) fn hold(&self, (series, key, time): (&str, &str, EventTime)) -> bool {
        match self.keys.get(&(series, key)) {
            Some(gaps) => gaps.iter().any(|(from, to)| *from < time && time <= *to),
            None => self.ends.iter().any(|end| time <= *end),
        }
    }
}
