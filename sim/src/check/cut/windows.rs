//! The model of the windows: what every one that is open must hold when the sources stood where a
//! checkpoint says. A window that the watermark has not passed holds every record before the cut,
//! whatever was late elsewhere: nothing is late for a window that has not fired.
//! Sequential, with arithmetic of its own; the records come from [`super::sources`].

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use serde::Deserialize;
use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::key::{Key, KeyGroup};
use slackwater_core::time::EventTime;

use super::Parts;
use super::sources::{Cut, Record};
use crate::check::sections::{Section, Share, read};

/// The size of every window that the model knows, in milliseconds.
const SIZE: i64 = 1_000;

/// What a window holds of one key.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Held {
    Tally { count: i64, sum: i64, xor: u64 },
    Sum(f64),
}

impl Held {
    fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Tally { count, sum, xor }, Self::Tally { count: c, sum: s, xor: x }) => {
                (*count, *sum, *xor) = (*count + c, sum.wrapping_add(s), *xor ^ x);
            }
            (Self::Sum(sum), Self::Sum(more)) => *sum += more,
            (held, other) => *held = other,
        }
    }

    fn equals(self, other: Self) -> bool {
        match (self, other) {
            (Self::Sum(one), Self::Sum(other)) => (one - other).abs() <= 1e-9,
            (one, other) => one == other,
        }
    }
}

/// By the encoding of window and key, with its group.
type Open = BTreeMap<(KeyGroup, Vec<u8>), Held>;
/// By the encoding of the window, with the group.
type Waiting = BTreeMap<(KeyGroup, Vec<u8>), u64>;

/// Holds the windows of a checkpoint against the model. Whether any was open.
pub(super) fn hold(
    metadata: &CheckpointMetadata,
    parts: &Parts,
    cut: &Cut,
) -> Result<bool, String> {
    let mut found = Found::default();
    for (subtask, sections) in parts {
        let parallelism = metadata.vertices.iter().find(|state| state.vertex == subtask.vertex);
        let parallelism = parallelism.map_or(1, |state| state.parallelism);
        for section in sections.iter().filter(|section| section.uid.0 == cut.window) {
            let place = (subtask.index, parallelism);
            found.take(section, place, metadata.max_parallelism)?;
        }
    }
    let exists = metadata.vertices.iter().any(|v| v.uids.iter().any(|uid| uid.0 == cut.window));
    if !exists {
        return Ok(false);
    }
    found.watermarks(cut)?;
    let (open, waiting) = model(cut, &found.watermark, metadata.max_parallelism);
    differ(&open, &found.open, |one, other| one.equals(*other))?;
    differ(&waiting, &found.waiting, |one, other| one == other)?;
    Ok(!open.is_empty())
}

/// What a checkpoint holds of the windows.
#[derive(Default)]
struct Found {
    open: Open,
    waiting: Waiting,
    watermark: BTreeMap<KeyGroup, i64>,
}

impl Found {
    fn take(
        &mut self,
        section: &Section,
        (index, parallelism): (u32, u32),
        max: u16,
    ) -> Result<(), String> {
        let name = || section.name();
        let Share::Group(group) = section.share else {
            return Err(format!("{} is no key group", name()));
        };
        let owner = u64::from(group.0) * u64::from(parallelism) / u64::from(max.max(1));
        if section.max_parallelism != max || owner != u64::from(index) {
            return Err(format!("{} lies with subtask {index}, which does not own it", name()));
        }
        for (key, value) in &section.entries {
            let wrong = |why: String| format!("{}: {why}", name());
            match section.state.as_str() {
                "windows" => {
                    let held = held(value).map_err(wrong)?;
                    self.open.insert((group, key.clone()), held);
                }
                "waiting" => {
                    let count = read(value).map_err(wrong)?;
                    self.waiting.insert((group, key.clone()), count);
                }
                _ => {
                    let seen: EventTime = read(value).map_err(wrong)?;
                    self.watermark.insert(group, seen.as_millis());
                }
            }
        }
        Ok(())
    }

    /// The watermark of every key group is the one that the sources' records amount to.
    fn watermarks(&self, cut: &Cut) -> Result<(), String> {
        let (least, most) = cut.watermark;
        for group in self.open.keys().map(|(group, _)| group).chain(self.watermark.keys()) {
            let seen = self.watermark.get(group).copied().unwrap_or(i64::MIN);
            if seen < least || seen > most {
                let want = match least == most {
                    true => format!("want {least}"),
                    false => format!("want {least} to {most}"),
                };
                return Err(format!("the watermark of key group {group} is {seen}, {want}"));
            }
        }
        Ok(())
    }
}

/// The value of a window and key: a tally, or an exact sum.
fn held(bytes: &[u8]) -> Result<Held, String> {
    #[derive(Deserialize)]
    struct Tally {
        count: i64,
        sum: i64,
        xor: u64,
    }
    /// A sum as one long integer in units of 2^-1074, 32 bits a limb.
    #[derive(Deserialize)]
    struct Exact {
        base: u32,
        limbs: Vec<i64>,
        special: f64,
    }
    if let Ok(Tally { count, sum, xor }) = read(bytes) {
        return Ok(Held::Tally { count, sum, xor });
    }
    let Exact { base, limbs, special } = read(bytes)?;
    let weigh = |(limb, place): (i64, i32)| limb as f64 * 2f64.powi(32 * place - 1074);
    // Largest last: what is left of a sum that cancels must not drown.
    let sum: f64 = limbs.into_iter().zip(base as i32..).map(weigh).sum();
    Ok(Held::Sum(sum + special))
}

/// What is open, and how many records wait in each window of a group.
fn model(cut: &Cut, watermark: &BTreeMap<KeyGroup, i64>, max: u16) -> (Open, Waiting) {
    let (mut open, mut waiting) = (Open::new(), Waiting::new());
    let mut add = |start: i64, key: &dyn Fn(&mut Vec<u8>), hash: u64, held: Held| {
        let group = KeyGroup((hash % u64::from(max.max(1))) as u16);
        let seen = watermark.get(&group).copied().unwrap_or(cut.watermark.0);
        if start + SIZE - 1 <= seen {
            return;
        }
        let mut bytes = Vec::new();
        (start, start + SIZE).encode(&mut bytes);
        *waiting.entry((group, bytes.clone())).or_default() += 1;
        key(&mut bytes);
        let place = open.entry((group, bytes));
        place.and_modify(|known| known.add(held)).or_insert(held);
    };
    for record in &cut.records {
        let start = record.time().div_euclid(SIZE) * SIZE;
        let mut reading = |key: &str, value: f64| {
            let key = key.to_owned();
            add(start, &|out| key.encode(out), key.hash64(), Held::Sum(value));
        };
        match record {
            Record::Tick(_, phase) => {
                let (phase, turns) = (phase.part, phase.turns);
                reading("temp", phase);
                reading("pressure", (phase * TAU).sin());
                reading("door", f64::from(u8::from(phase > 0.4)));
                turns.into_iter().for_each(|turns| reading("turns", turns as f64));
            }
            Record::Reading(own) => reading(&own.key, own.value),
            Record::Entry(entry) => {
                let held = Held::Tally { count: 1, sum: entry.amount, xor: entry.id };
                add(start, &|out| entry.account.encode(out), entry.account.hash64(), held);
            }
        }
    }
    (open, waiting)
}

/// The first entry in which the checkpoint differs from the model.
fn differ<V: std::fmt::Debug>(
    wanted: &BTreeMap<(KeyGroup, Vec<u8>), V>,
    found: &BTreeMap<(KeyGroup, Vec<u8>), V>,
    same: impl Fn(&V, &V) -> bool,
) -> Result<(), String> {
    let mut places = wanted.keys().chain(found.keys());
    let place = places.find(|place| match (wanted.get(*place), found.get(*place)) {
        (Some(wanted), Some(found)) => !same(wanted, found),
        _ => true,
    });
    let Some(place) = place else { return Ok(()) };
    let shown = |value: Option<&V>| value.map_or("nothing".to_owned(), |v| format!("{v:?}"));
    let (want, have) = (shown(wanted.get(place)), shown(found.get(place)));
    Err(format!("key group {}, {}: {have}, want {want}", place.0, name(&place.1)))
}

/// A window and its key, for a person.
fn name(mut bytes: &[u8]) -> String {
    let Some((start, _)) = <(i64, i64)>::decode(&mut bytes) else {
        return "a key that is no window's".into();
    };
    let key = match (bytes.len(), bytes) {
        (0, _) => String::new(),
        (4, mut rest) => u32::decode(&mut rest).map_or_else(String::new, |key| key.to_string()),
        (_, mut rest) => String::decode(&mut rest).unwrap_or_default(),
    };
    format!("window {start} {key}")
}
