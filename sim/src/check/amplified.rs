//! The demo's control stream: every amplified reading is its sensor's times what was told last.
//! What an attempt has been told is what the checkpoint held with which it began, and then its own
//! lines: read from what the control source emitted and where barriers left it, never from state.
//! Which readings there must be at all, other checks say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::codec::decode_batch;
use slackwater_core::fact::Fact;
use slackwater_core::graph::Uid;
use slackwater_core::id::{Attempt, CheckpointId, Execution, JobId, VertexId};
use slackwater_core::time::EventTime;

use super::evidence::{float, seconds};
use super::steps::Logs;
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};
use crate::world::EPOCH;

pub(super) const CHECK: Check = Check {
    name: "amplified",
    about: "every amplified reading is its sensor's times an amplitude of those that were told, in \
            the order in which they were, and at the end times the last; and none is missing",
    keys: &[("within", Kind::Span)],
    measures: &["amplitudes", "amplified", "skipped", "tries"],
    needs: Needs::Run,
    judge,
};

/// The uid of the control source.
const CONTROL: &str = "control";
/// How long a line may take to show in what is written, and a reading to be written at all.
const WITHIN: Duration = Duration::from_secs(2);

/// A line of the control socket, field by field as it stands in a source's batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Control {
    key: String,
    amplitude: f64,
}

/// An amplitude, and when it was read.
#[derive(Clone, Debug)]
struct Told {
    key: String,
    amplitude: f64,
    at: Duration,
}

/// What every attempt has been told, in order.
#[derive(Default)]
struct Histories {
    by_attempt: BTreeMap<(JobId, Attempt), Vec<Told>>,
    /// What lies before the barriers of checkpoints.
    saved: BTreeMap<(JobId, CheckpointId), Vec<Told>>,
    /// The vertex of the control source, by job.
    control: BTreeMap<JobId, VertexId>,
    /// The attempt that was the last to read ticks.
    latest: Option<(JobId, Attempt)>,
    /// How many lines were skipped.
    skipped: u64,
    /// How often nobody was there to read from.
    tries: u64,
}

impl Histories {
    fn of(run: &Evidence<'_>) -> Result<Self, Broken> {
        let (logs, mut all) = (Logs::of(run), Self::default());
        for entry in run.entries() {
            match &entry.fact {
                Fact::SourceConnected { task, uid, .. } => all.see(task, uid),
                Fact::SourceDisconnected { task, uid, .. } => {
                    all.see(task, uid);
                    all.tries += 1;
                }
                Fact::RecordSkipped { uid, rows, .. } if uid.0 == CONTROL => all.skipped += rows,
                Fact::SourceEmitted { task, uid, records, .. } => {
                    all.see(task, uid);
                    if uid.0 != CONTROL {
                        all.spoke(task);
                        continue;
                    }
                    let batch = decode_batch::<Control>(&records.0).map_err(|error| {
                        Broken::by(entry, format!("a batch of {uid} is unreadable: {error}"))
                    })?;
                    let told = batch.values.into_iter().map(|Control { key, amplitude }| Told {
                        key,
                        amplitude,
                        at: entry.time,
                    });
                    all.by_attempt.entry((task.job, task.attempt)).or_default().extend(told);
                }
                Fact::BarrierInjected { task, checkpoint } => all.save(task, *checkpoint),
                Fact::JobRestored { job, attempt, checkpoint } => {
                    let owners = std::iter::once(*job).chain(logs.ancestors(*job));
                    let held = owners.filter_map(|job| all.saved.get(&(job, *checkpoint))).next();
                    let held = held.cloned().unwrap_or_default();
                    all.by_attempt.insert((*job, *attempt), held);
                }
                _ => {}
            }
        }
        Ok(all)
    }

    /// Who reads ticks is the latest, but for what is left of an attempt that is over.
    fn spoke(&mut self, task: &Execution) {
        let same = self.latest.filter(|(job, _)| *job == task.job);
        let attempt = same.map_or(task.attempt, |(_, attempt)| attempt.max(task.attempt));
        self.latest = Some((task.job, attempt));
    }

    fn see(&mut self, task: &Execution, uid: &Uid) {
        if uid.0 == CONTROL {
            self.control.insert(task.job, task.subtask.vertex);
        }
    }

    /// A barrier has left a source: what the control source has said by then lies before it. Before
    /// it is known which source that is, it has said nothing.
    fn save(&mut self, task: &Execution, checkpoint: CheckpointId) {
        let control = self.control.get(&task.job);
        if control.is_none_or(|vertex| *vertex == task.subtask.vertex) {
            let told = self.by_attempt.get(&(task.job, task.attempt)).cloned();
            self.saved.insert((task.job, checkpoint), told.unwrap_or_default());
        }
    }

    /// What the last attempt has been told of a sensor, after the 0 with which it began.
    fn of_key(&self, key: &str) -> Vec<(f64, Duration)> {
        let told = self.latest.and_then(|latest| self.by_attempt.get(&latest));
        let told = told.into_iter().flatten().filter(|told| told.key == key);
        let told = told.map(|told| (told.amplitude, told.at));
        std::iter::once((0.0, Duration::ZERO)).chain(told).collect()
    }
}

/// A reading, and what was made of it.
struct Amplified {
    at: EventTime,
    reading: f64,
    /// What was written, and when; `None` if nothing was.
    amplified: Option<(f64, Duration)>,
}

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let within = args.span("within", WITHIN);
    let histories = match Histories::of(run) {
        Ok(histories) => histories,
        Err(broken) => return Outcome::saw(0, "the control stream").broken_by(Some(broken)),
    };
    let (mut used, mut amplified, mut broken) = (0u64, 0u64, None);
    let by_key = by_key(run);
    for (key, rows) in &by_key {
        let told = histories.of_key(key);
        let walked = walk(rows, &told, within);
        used += walked.used.len() as u64;
        amplified += walked.amplified;
        let broke = walked.broken.map(|what| Broken::somewhere(format!("{key}: {what}")));
        broken = broken.or(broke);
    }
    let keys = by_key.len();
    let summary =
        format!("readings of {keys} sensors are amplified by what was told, in its order");
    Outcome::saw(amplified, summary)
        .measured("amplitudes", used as f64)
        .measured("amplified", amplified as f64)
        .measured("skipped", histories.skipped as f64)
        .measured("tries", histories.tries as f64)
        .broken_by(broken)
}

/// The readings of each sensor, from the first on that was amplified.
fn by_key(run: &Evidence<'_>) -> BTreeMap<String, Vec<Amplified>> {
    let (sensors, amplified) = (run.rows("sensors"), run.rows("amplifiedSensors"));
    let mut by_key = BTreeMap::<String, Vec<Amplified>>::new();
    for ((key, at), row) in &sensors {
        let Some(reading) = float(&row.point, "value") else { continue };
        let own = amplified.get(&(key.clone(), *at));
        let own = own.and_then(|row| Some((float(&row.point, "value")?, row.at)));
        if own.is_none() && !by_key.contains_key(key) {
            continue;
        }
        let row = Amplified { at: *at, reading, amplified: own };
        by_key.entry(key.clone()).or_default().push(row);
    }
    by_key
}

/// What was seen of one sensor.
#[derive(Default)]
struct Walked {
    /// Which of the amplitudes that were told were seen at work.
    used: BTreeSet<usize>,
    /// How many readings did not become 0.
    amplified: u64,
    broken: Option<String>,
}

/// Walks over the readings of a sensor by the earliest amplitudes that explain them.
fn walk(rows: &[Amplified], told: &[(f64, Duration)], within: Duration) -> Walked {
    let (mut walked, mut place) = (Walked::default(), 0);
    let last_at = rows.last().map_or(EventTime::MIN, |row| row.at);
    for row in rows {
        let when = || format!("at {} s", seconds(row.at.as_millis() - EPOCH.as_millis()));
        let Some((value, written)) = row.amplified else {
            // What was read last may not have been written yet.
            if last_at.minus(within) > row.at {
                let what = format!("the reading {} was not amplified", when());
                walked.broken.get_or_insert(what);
            }
            continue;
        };
        let explains =
            |(amplitude, at): &(f64, Duration)| *at <= written && row.reading * amplitude == value;
        walked.amplified += u64::from(value != 0.0);
        match told[place..].iter().position(explains) {
            // A reading of 0 stays 0, whatever was told.
            Some(_) if row.reading == 0.0 => {}
            Some(further) => {
                place += further;
                if place > 0 {
                    walked.used.insert(place);
                }
            }
            None => {
                let known: Vec<f64> = told.iter().map(|(amplitude, _)| *amplitude).collect();
                let what = format!(
                    "{} a reading of {} became {value}, and was to be amplified by the last of \
                     {known:?} or one not before number {place} of them",
                    when(),
                    row.reading
                );
                walked.broken.get_or_insert(what);
            }
        }
    }
    walked.broken = walked.broken.take().or_else(|| settled(rows, told, within));
    walked
}

/// Whether the last reading is amplified by what was told last, if that has had its time.
fn settled(rows: &[Amplified], told: &[(f64, Duration)], within: Duration) -> Option<String> {
    let speaks = |row: &&Amplified| row.reading != 0.0 && row.amplified.is_some();
    let last = rows.iter().rev().find(speaks)?;
    let (value, written) = last.amplified?;
    let (amplitude, at) = *told.last()?;
    let due = at + within <= written;
    (due && last.reading * amplitude != value).then(|| {
        format!(
            "the last reading, of {}, became {value}: {amplitude} was told {} ms before",
            last.reading,
            (written - at).as_millis()
        )
    })
}

#[cfg(test)]
mod tests {
    use slackwater_core::time::{ms, secs};

    use super::*;

    /// Readings of 2, one each 100 ms, with what became of each.
    fn rows(values: &[Option<f64>]) -> Vec<Amplified> {
        let row = |(index, value): (i64, &Option<f64>)| {
            let at = EPOCH.as_millis() + index * 100;
            let written = ms(index as u64 * 100 + 50);
            let amplified = value.map(|value| (value, written));
            Amplified { at: EventTime::from_millis(at), reading: 2.0, amplified }
        };
        (0..).zip(values).map(row).collect()
    }

    fn broken(values: &[Option<f64>], told: &[(f64, u64)]) -> Option<String> {
        let told: Vec<_> = told.iter().map(|(amplitude, at)| (*amplitude, ms(*at))).collect();
        walk(&rows(values), &told, ms(300)).broken
    }

    #[test]
    fn what_was_told_is_followed_in_its_order_and_to_its_end() {
        let told = [(0.0, 0), (3.0, 120), (0.5, 320)];
        let good = [0.0, 0.0, 6.0, 6.0, 1.0, 1.0, 1.0, 1.0].map(Some);
        assert_eq!(broken(&good, &told), None);
        let walked = walk(&rows(&good), &told.map(|(a, at)| (a, ms(at))), secs(1));
        assert_eq!((walked.used.len(), walked.amplified), (2, 6));
    }

    #[test]
    fn what_was_not_told_or_not_yet_or_is_over_or_forgotten_is_found() {
        let told = [(0.0, 0), (3.0, 120), (0.5, 320)];
        for (values, words) in [
            ([0.0, 0.0, 7.0, 6.0, 1.0, 1.0, 1.0, 1.0].map(Some), "became 7"),
            ([6.0, 0.0, 6.0, 6.0, 1.0, 1.0, 1.0, 1.0].map(Some), "at 0.000 s a reading of 2"),
            ([0.0, 0.0, 6.0, 6.0, 1.0, 6.0, 1.0, 1.0].map(Some), "not before number 2"),
            ([0.0, 0.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0].map(Some), "0.5 was told 430 ms before"),
        ] {
            let what = broken(&values, &told).unwrap_or_default();
            assert!(what.contains(words), "{what}");
        }
        let mut missing = [0.0; 8].map(Some);
        missing[3] = None;
        let what = broken(&missing, &told[..1]).unwrap_or_default();
        assert!(what.contains("the reading at 0.300 s was not amplified"), "{what}");
        missing.swap(3, 6);
        assert_eq!(broken(&missing, &told[..1]), None, "what was read last may be under way");
    }
}
