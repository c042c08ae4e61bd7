//! What the output must be, from the entries alone, and which rows of it a savepoint has behind it.
//! Knows nothing of operators, checkpoints or sinks: entries are filed by account and second, and a
//! second is over once every partition has promised that nothing of it will follow.

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::time::EventTime;
use slackwater_jobs::ledger::Entries;

pub const PARTITIONS: u32 = 4;
/// Entries of each partition.
pub const ROWS: u64 = 140;
pub const ACCOUNTS: u32 = 300;
/// Event time between two entries of a partition.
pub const STEP_MS: i64 = 50;
pub const DISORDER_MS: i64 = 500;

/// A row of the output: the account, and when its second begins.
pub type Place = (String, i64);

/// What a row says: count, sum and xor of the entries.
pub type Tally = (i64, i64, i64);

fn entries() -> Entries {
    Entries { seed: 1, accounts: ACCOUNTS, step_ms: STEP_MS, disorder_ms: DISORDER_MS }
}

/// Every row, and how much was moved in it.
pub fn rows() -> BTreeMap<Place, (Tally, i64)> {
    let mut rows = BTreeMap::<Place, (Tally, i64)>::new();
    for partition in 0..PARTITIONS {
        for position in 0..ROWS {
            let entry = entries().entry(partition, position);
            let second = entry.at.as_millis().div_euclid(1_000) * 1_000;
            let row = rows.entry((entry.account.to_string(), second)).or_default();
            row.0.0 += 1;
            row.0.1 += entry.amount;
            row.0.2 ^= entry.id as i64;
            row.1 += entry.amount.abs();
        }
    }
    rows
}

/// How far event time is once every partition has been read up to its offset; `None` if one has
/// ended, and so does not count, or has not begun.
fn watermark(offsets: &BTreeMap<u32, u64>) -> Option<EventTime> {
    let of = |partition: u32| {
        let offset = *offsets.get(&partition)?;
        let read = (0..offset).map(|position| entries().entry(partition, position).at);
        let bound = Duration::from_millis(DISORDER_MS as u64 + 1);
        read.max().filter(|_| offset < ROWS).map(|greatest| greatest.minus(bound))
    };
    let all: Option<Vec<_>> = (0..PARTITIONS).map(of).collect();
    all?.into_iter().min()
}

/// How far event time was in a savepoint: rows of seconds that were over by then are behind it, all
/// others are yet to come.
///
/// # Errors
/// If it does not follow from where the sources were.
pub fn cut(metadata: &CheckpointMetadata) -> Result<EventTime, String> {
    let contents = metadata.vertices.iter().map(|vertex| &vertex.contents);
    let (mut offsets, mut told) = (BTreeMap::new(), None);
    for contents in contents {
        for position in &contents.positions {
            if let Some(twice) = offsets.insert(position.split, position.offset) {
                return Err(format!("split {} is twice in it, at {twice} too", position.split));
            }
        }
        let own = contents.watermarks.iter().filter(|(uid, _)| uid.0 == "seconds");
        told = own.map(|(_, watermark)| *watermark).chain(told).min();
    }
    // State that nobody has is not written: event time has not begun.
    let told = told.unwrap_or(EventTime::MIN);
    let Some(expected) = watermark(&offsets) else { return Ok(told) };
    // Only what can be seen is sent: that a second is over.
    let second = |at: EventTime| at.as_millis().saturating_add(1).div_euclid(1_000);
    let agrees = told == EventTime::MIN || second(told) == second(expected);
    match agrees {
        true => Ok(expected),
        false => Err(format!(
            "event time is {told} in it, and would be {expected} by the offsets {offsets:?}"
        )),
    }
}

/// Whether a row was written before a cut.
pub fn is_behind((_, second): &Place, cut: EventTime) -> bool {
    cut != EventTime::MIN && second + 999 <= cut.as_millis()
}
