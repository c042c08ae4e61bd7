//! Money that must not get lost: entries with unique ids, in transactions that sum to zero, out of
//! order within a bound, over several partitions and every key group. Count, exact sum and xor of
//! ids per account and second tell every error apart; the oracles of the harness need no more.

use slackwater::prelude::*;

use crate::survival::{self, Contract, DEMO_RESTARTS};

/// One side of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Unique over all partitions.
    pub id: u64,
    /// The transaction, whose entries sum to zero.
    pub transaction: u64,
    /// The account.
    pub account: u32,
    /// In cents; what one account gains another loses.
    pub amount: i64,
    /// When it was booked.
    pub at: EventTime,
}

/// What is known of an account and a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    count: i64,
    sum: i64,
    xor: u64,
}

/// What the second version knows besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct GrossTally {
    net: Tally,
    /// How much was moved, in whichever direction; what was before the upgrade is not in it.
    gross: i64,
}

impl Tally {
    fn add(&mut self, entry: &Entry) {
        self.count += 1;
        self.sum += entry.amount;
        self.xor ^= entry.id;
    }
}

/// How many entries a transaction has.
const ENTRIES: u64 = 4;
/// The first second of the ledger: a fixed one, so that content never depends on a clock.
const START: i64 = 1_700_000_000_000;

/// How the entries are made.
#[derive(Copy, Clone, Debug)]
pub struct Entries {
    /// Other seeds, other entries.
    pub seed: u64,
    /// How many accounts there are.
    pub accounts: u32,
    /// Event time between two entries of a partition.
    pub step_ms: i64,
    /// How much earlier than its turn an entry may have been booked.
    pub disorder_ms: i64,
}

impl Entries {
    /// The entry at a position of a partition: the same in every run.
    pub fn entry(&self, partition: u32, position: u64) -> Entry {
        let place = (u64::from(partition) << 40) | position;
        let transaction = (u64::from(partition) << 40) | (position / ENTRIES);
        let side = position % ENTRIES;
        let amount_of = |side| {
            let drawn = scramble(self.seed ^ 0xa11 ^ scramble(transaction * ENTRIES + side));
            (drawn % 200_001) as i64 - 100_000
        };
        let last = side == ENTRIES - 1;
        let amount = if last { -(0..side).map(amount_of).sum::<i64>() } else { amount_of(side) };
        let drawn = scramble(self.seed ^ 0xacc ^ scramble(place));
        let early = match self.disorder_ms {
            0 => 0,
            bound => (scramble(drawn) % (bound as u64 + 1)) as i64,
        };
        let booked = START + self.disorder_ms + position as i64 * self.step_ms - early;
        Entry {
            // One to one on 64 bits: unique because places are.
            id: scramble(place ^ self.seed.rotate_left(17)),
            transaction,
            account: (drawn % u64::from(self.accounts)) as u32,
            amount,
            at: EventTime::from_millis(booked),
        }
    }
}

/// A one-to-one mixing of 64 bits (the finalizer of SplitMix64).
fn scramble(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Settings: `source` (`generated`, or `log` for a topic that is filled already), `seed`,
/// `partitions`, `rows` of each, `every` (a record's pace; none: as fast as can be), `accounts`,
/// `step`, `disorder` of the entries, `bound` of the watermark, `parallelism`, `idle_after`, `topic`,
/// `log`, `db`, `chaining`; `sink`, `checkpoint`, `storage`, `restarts`, `restart_delay` and
/// `latency` as of [`crate::oscon::oscon`].
///
/// # Errors
/// If a setting cannot be read.
pub fn ledger(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let (keeper, entries) = begin(env, settings)?;
    let seconds = entries.key_by(|entry| entry.account).window(tumbling(secs(1))).fold(
        "seconds",
        Tally::default(),
        |tally, entry| tally.add(&entry),
    );
    keeper.keep(&seconds.results, "ledger-sink", |pane| row(pane, &pane.value));
    keeper.keep(&seconds.late, "ledger-late-sink", late);
    Ok(())
}

/// The next version of [`ledger`]: it also adds up how much was moved, and writes that to a series of
/// its own. It takes up what the first version has left. Settings: as [`ledger`].
///
/// # Errors
/// If a setting cannot be read.
pub fn ledger_v2(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let (keeper, entries) = begin(env, settings)?;
    let seconds = entries.key_by(|entry| entry.account).window(tumbling(secs(1))).fold(
        "seconds",
        GrossTally::default(),
        |tally, entry: Entry| {
            tally.net.add(&entry);
            tally.gross += entry.amount.abs();
        },
    );
    let results = seconds.results.migrate(|net: Tally| GrossTally { net, gross: 0 });
    keeper.keep(&results, "ledger-sink", |pane| row(pane, &pane.value.net));
    keeper.keep(&results, "ledger-gross-sink", |pane| {
        let fields = [("gross", pane.value.gross.into())];
        Point::new("ledger-gross", pane.key.to_string(), pane.window.start, fields)
    });
    keeper.keep(&seconds.late, "ledger-late-sink", late);
    Ok(())
}

/// What every version does first: takes the settings and reads the entries.
fn begin(env: &Env, settings: &mut Settings) -> Result<(Keeper, Stream<Entry>), PlanError> {
    let parallelism = settings.take("parallelism", 1)?;
    env.parallelism(parallelism).chaining(settings.take("chaining", true)?);
    survival::take(env, settings, DEMO_RESTARTS)?;
    let contract = Contract::take(settings)?;
    let db = settings.take("db", series::ADDRESS.to_owned())?;
    Ok((Keeper { contract, db }, entries(env, settings)?))
}

/// Writes to the series database, with the contract that was asked for.
struct Keeper {
    contract: Contract,
    db: String,
}

impl Keeper {
    #[track_caller]
    fn keep<T: Data>(&self, rows: &Stream<T>, uid: &str, point: fn(&T) -> Point) {
        self.contract.write(rows, uid, series::sink(point).at(&self.db));
    }
}

fn row<A>(pane: &Pane<u32, A>, tally: &Tally) -> Point {
    let Tally { count, sum, xor } = *tally;
    let fields = [("count", count.into()), ("sum", sum.into()), ("xor", (xor as i64).into())];
    Point::new("ledger", pane.key.to_string(), pane.window.start, fields)
}

fn late(entry: &Entry) -> Point {
    let fields = [
        ("account", i64::from(entry.account).into()),
        ("amount", entry.amount.into()),
        ("id", (entry.id as i64).into()),
    ];
    Point::new("ledger-late", format!("{:016x}", entry.id), entry.at, fields)
}

fn entries(env: &Env, settings: &mut Settings) -> Result<Stream<Entry>, PlanError> {
    let partitions: u32 = settings.take("partitions", 4)?;
    let disorder = settings.take_span("disorder", ms(500))?;
    let bound = settings.take_span("bound", disorder)?;
    let idle_after = settings.take_span("idle_after", ms(0))?;
    let mut watermarks = Watermarks::bounded(bound);
    if !idle_after.is_zero() {
        watermarks = watermarks.idle_after(idle_after);
    }
    let made = Entries {
        seed: settings.take("seed", 1)?,
        accounts: settings.take("accounts", 2_000u32)?.max(1),
        step_ms: settings.take_span("step", ms(10))?.as_millis() as i64,
        disorder_ms: disorder.as_millis() as i64,
    };
    let rows = settings.take("rows", 2_500)?;
    let every = settings.take_span("every", ms(0))?;
    let topic = settings.take("topic", "ledger".to_owned())?;
    let at = settings.take("log", log::ADDRESS.to_owned())?;
    match settings.take("source", "generated".to_owned())?.as_str() {
        "generated" => {
            let source = generate::source(partitions, rows, move |partition, position| {
                let entry = made.entry(partition, position);
                (entry.at, entry)
            });
            Ok(env.source("entries", source.every(every), watermarks))
        }
        "log" => {
            let source = log::source(topic, partitions, |entry: &Entry| entry.at);
            Ok(env.source("entries", source.at(at), watermarks))
        }
        other => Err(PlanError::BadParameter {
            name: "source".into(),
            message: format!("expected \"generated\" or \"log\", found {other:?}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use slackwater::core::key::KeyGroup;

    use super::*;

    fn all(entries: Entries) -> Vec<Entry> {
        let places = (0..4).flat_map(|partition| (0..2_500).map(move |at| (partition, at)));
        places.map(|(partition, at)| entries.entry(partition, at)).collect()
    }

    #[test]
    fn ids_are_unique_transactions_sum_to_zero_and_disorder_keeps_its_bound() {
        let made = Entries { seed: 7, accounts: 2_000, step_ms: 10, disorder_ms: 500 };
        let entries = all(made);
        let ids: BTreeSet<u64> = entries.iter().map(|entry| entry.id).collect();
        assert_eq!(ids.len(), entries.len());
        let mut sums = BTreeMap::new();
        for entry in &entries {
            *sums.entry(entry.transaction).or_insert(0) += entry.amount;
        }
        assert_eq!(sums.len(), entries.len() / 4);
        assert!(sums.values().all(|sum| *sum == 0));
        let partition = &entries[..2_500];
        let mut greatest = EventTime::MIN;
        let mut overtaken = 0;
        for entry in partition {
            assert!(greatest == EventTime::MIN || entry.at >= greatest.minus(ms(500)));
            overtaken += usize::from(entry.at < greatest);
            greatest = greatest.max(entry.at);
        }
        assert!(overtaken > 750, "{overtaken} of 2500 came after a later one");
    }

    #[test]
    fn the_accounts_reach_every_key_group() {
        let made = Entries { seed: 1, accounts: 2_000, step_ms: 10, disorder_ms: 500 };
        let accounts = all(made).into_iter().map(|entry| entry.account);
        let groups: BTreeSet<_> =
            accounts.map(|account| KeyGroup::of_hash(account.hash64(), 128)).collect();
        assert_eq!(groups.len(), 128);
    }
}
