//! MODEL: the ledger once more, sequentially: count, exact sum and xor of ids per account and window.
//! Reads the records that the sources emitted and nothing of what became of them; then compares with
//! the visible rows, and the late ones with its own watermark. Conservation is in [`super::conservation`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slackwater_core::fact::Fact;

use super::evidence::{Emitted, LedgerEntry, integer, seconds, window_of};
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "model",
    about: "count, exact sum and xor of ids per account and window equal a sequential model",
    keys: &[("bound", Kind::Span), ("window", Kind::Span)],
    measures: &["records", "late", "windows"],
    needs: Needs::Run,
    judge,
};

/// What is known of an account and a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    count: i64,
    sum: i64,
    xor: i64,
}

/// The records of the ledger, once each.
#[derive(Default)]
struct Ledger {
    /// By split and offset.
    records: BTreeMap<(u32, u64), LedgerEntry>,
    /// What may be late: ids of records behind the watermark of their own source.
    may_be_late: BTreeSet<u64>,
    /// Whether that is known exactly: one source task with one split.
    exact: bool,
}

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    if !run.finished() {
        return Outcome::saw(0, "a model needs a run that finished");
    }
    let bound = args.span("bound", Duration::from_millis(500)).as_millis() as i64;
    let size = args.span("window", Duration::from_secs(1)).as_millis() as i64;
    let ledger = run.emitted("entries").and_then(|emitted| read(&emitted, bound, size));
    let ledger = match ledger {
        Ok(ledger) => ledger,
        Err(broken) => return Outcome::saw(1, "").broken_by(Some(broken)),
    };
    let late = late_ids(run);
    let wanted = tally(&ledger, &late, size);
    let found = visible(run);
    let (records, windows) = (ledger.records.len(), wanted.len());
    let summary =
        format!("{records} records in {windows} windows of accounts, {} late", late.len());
    Outcome::saw(records as u64, summary)
        .measured("records", records as f64)
        .measured("late", late.len() as f64)
        .measured("windows", windows as f64)
        .broken_by(compare(&wanted, &found))
        .broken_by(judge_late(run, &ledger, &late))
}

/// Every record once, and which of them come behind their own watermark.
fn read(emitted: &[Emitted<LedgerEntry>], bound: i64, size: i64) -> Result<Ledger, Broken> {
    let mut ledger = Ledger::default();
    for Emitted { split, offset, batch, .. } in emitted {
        for (index, entry) in batch.values.iter().enumerate() {
            let place = (*split, offset + index as u64);
            let before = ledger.records.insert(place, entry.clone());
            if before.is_some_and(|before| before != *entry) {
                let (split, offset) = place;
                return Err(Broken::somewhere(format!(
                    "a replay reads another record at split {split}, offset {offset}"
                )));
            }
        }
    }
    // Semantics rule 3: a watermark stands behind every record; a restore goes on from it.
    let mut greatest = BTreeMap::<u32, i64>::new();
    for ((split, _), entry) in &ledger.records {
        let greatest = greatest.entry(*split).or_insert(i64::MIN);
        let watermark = greatest.saturating_sub(bound).saturating_sub(1);
        if window_of(entry.at, size) + size - 1 <= watermark {
            ledger.may_be_late.insert(entry.id);
        }
        *greatest = entry.at.as_millis().max(*greatest);
    }
    let splits: BTreeSet<_> = ledger.records.keys().map(|(split, _)| split).collect();
    ledger.exact = splits.len() == 1;
    Ok(ledger)
}

/// The ids that stand in the late stream.
fn late_ids(run: &Evidence<'_>) -> BTreeSet<u64> {
    let rows = run.rows("ledger-late");
    rows.values().filter_map(|row| integer(&row.point, "id")).map(|id| id as u64).collect()
}

fn tally(ledger: &Ledger, late: &BTreeSet<u64>, size: i64) -> BTreeMap<(String, i64), Tally> {
    let mut tallies = BTreeMap::<_, Tally>::new();
    for entry in ledger.records.values().filter(|entry| !late.contains(&entry.id)) {
        let key = (entry.account.to_string(), window_of(entry.at, size));
        let tally = tallies.entry(key).or_default();
        tally.count += 1;
        tally.sum += entry.amount;
        tally.xor ^= entry.id as i64;
    }
    tallies
}

fn visible(run: &Evidence<'_>) -> BTreeMap<(String, i64), (Duration, Tally)> {
    let rows = run.rows("ledger").into_iter();
    rows.map(|((key, start), row)| {
        let field = |name| integer(&row.point, name).unwrap_or(i64::MIN);
        let tally = Tally { count: field("count"), sum: field("sum"), xor: field("xor") };
        ((key, start.as_millis()), (row.at, tally))
    })
    .collect()
}

fn compare(
    wanted: &BTreeMap<(String, i64), Tally>,
    found: &BTreeMap<(String, i64), (Duration, Tally)>,
) -> Option<Broken> {
    let first = wanted.keys().map(|(_, start)| *start).min().unwrap_or(0);
    let name = |(account, start): &(String, i64)| {
        format!("account {account}, window {} s after the first", seconds(start - first))
    };
    let wrong = wanted.iter().find_map(|(key, wanted)| match found.get(key) {
        None => Some(Broken::somewhere(format!("{}: missing, want {wanted:?}", name(key)))),
        Some((at, found)) if found != wanted => {
            Some(Broken::at(*at, format!("{}: {found:?}, want {wanted:?}", name(key))))
        }
        Some(_) => None,
    });
    let extra = || {
        let (key, (at, found)) = found.iter().find(|(key, _)| !wanted.contains_key(*key))?;
        Some(Broken::at(*at, format!("{}: {found:?}, want nothing", name(key))))
    };
    wrong.or_else(extra)
}

/// No record is late that its own source's watermark calls on time; where that watermark is the
/// only one, every record that it calls late is late.
fn judge_late(run: &Evidence<'_>, ledger: &Ledger, late: &BTreeSet<u64>) -> Option<Broken> {
    let on_time = late.iter().find(|id| !ledger.may_be_late.contains(id));
    if let Some(id) = on_time {
        return Some(Broken::somewhere(format!("record {id:016x} is on time and was late")));
    }
    if !ledger.exact {
        return None;
    }
    if let Some(id) = ledger.may_be_late.iter().find(|id| !late.contains(id)) {
        return Some(Broken::somewhere(format!("record {id:016x} is late and was let in")));
    }
    let newest = run.newest();
    let restored = run.restored();
    if newest.iter().any(|(job, (_, attempt))| restored.contains(&(*job, *attempt))) {
        // Some were late before the restore, and are not counted again.
        return None;
    }
    let counted = |fact: &Fact| match fact {
        Fact::RecordLate { task, rows, .. }
            if newest.get(&task.job) == Some(&(task.epoch, task.attempt)) =>
        {
            Some(u64::from(*rows))
        }
        _ => None,
    };
    let counted: u64 = run.facts().filter_map(counted).sum();
    (counted != late.len() as u64).then(|| {
        let want = late.len();
        Broken::somewhere(format!("{counted} late records were counted, the model has {want}"))
    })
}
