//! Faults as a test names them: each is a `[[fault]]` of a scenario file, built by functions.
//! Nothing happens here and nothing is drawn: ranges are drawn from the seed when a world is made.
//! What a fault does to a world is [`crate::fault`]'s; the list becomes part of a file in
//! [`super::document`].

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use slackwater_core::time::ms;
use toml::{Table, Value};

use super::document::{span, table};
use crate::inquest::text;

/// A span of time, or a range of which each seed draws its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans(String);

impl From<Duration> for Spans {
    fn from(one: Duration) -> Self {
        Self(span(one))
    }
}

impl From<Range<Duration>> for Spans {
    fn from(range: Range<Duration>) -> Self {
        Self(format!("{}..{}", span(range.start), span(range.end)))
    }
}

impl From<Spans> for Value {
    fn from(spans: Spans) -> Self {
        Self::String(spans.0)
    }
}

/// One thing that befalls the world: what, on whom, when, for how long.
///
/// Nodes are named as reports name them: `tm-1`, `tm-2`, …, `jm`, `jm-2`, `db`, `log`; `tm-*` and
/// `jm-*` are any of them, drawn from the seed. Without [`Fault::at`] or [`Fault::on_event`] it
/// comes at a time that each seed draws, in the first three quarters of the run.
///
/// ```
/// use slackwater_sim::prelude::*;
/// let kill = Fault::crash("tm-*").at(secs(5)..secs(20)).lasts(secs(3));
/// assert_eq!(kill.to_string(), "crash of tm-* at 5s..20s for 3s");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    name: Option<String>,
    /// The keys of the fault but for its name and its time.
    keys: Table,
    when: Table,
    on: Vec<String>,
}

impl Fault {
    /// kill -9. Starts again after [`Fault::lasts`], or never.
    pub fn crash(node: impl Into<String>) -> Self {
        Self::on("crash", [node.into()])
    }

    /// The machine goes dark. Starts again after [`Fault::lasts`], or never.
    pub fn power_loss(node: impl Into<String>) -> Self {
        Self::on("power_loss", [node.into()])
    }

    /// SIGSTOP for [`Fault::lasts`] (a second unless given), then alive again with old ideas.
    pub fn pause(node: impl Into<String>) -> Self {
        Self::on("pause", [node.into()]).lasts(ms(1_000))
    }

    /// Nothing arrives between two nodes, either way; then everything does.
    pub fn partition(node: impl Into<String>, peer: impl Into<String>) -> Self {
        Self::on("partition", [node.into(), peer.into()])
    }

    /// Nothing arrives that `from` sends to `to`; then everything does.
    pub fn partition_one_way(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self::on("partition_one_way", [from.into(), to.into()])
    }

    /// Every connection between two nodes is reset, in the middle of a frame if one is under way.
    pub fn reset(node: impl Into<String>, peer: impl Into<String>) -> Self {
        Self::on("reset", [node.into(), peer.into()])
    }

    /// The connections between two nodes are gone for the first, and the second does not know.
    pub fn half_open(gone: impl Into<String>, unaware: impl Into<String>) -> Self {
        Self::on("half_open", [gone.into(), unaware.into()])
    }

    /// A node answers later, by `by`.
    pub fn slow(node: impl Into<String>, by: Duration) -> Self {
        Self::on("slow", [node.into()]).key("by", span(by))
    }

    /// The wall clock of a node jumps: forward by so many milliseconds, or back.
    pub fn clock_step(node: impl Into<String>, by_ms: i64) -> Self {
        Self::on("clock_step", [node.into()]).key("by", format!("{by_ms}ms"))
    }

    /// All clocks of a node run fast by `ppm` parts per million, or slow.
    pub fn clock_drift(node: impl Into<String>, ppm: i32) -> Self {
        Self::on("clock_drift", [node.into()]).key("ppm", i64::from(ppm))
    }

    /// The object store answers later, by `by`.
    pub fn store_slow(by: Duration) -> Self {
        Self::on("store_slow", []).key("by", span(by))
    }

    /// The object store refuses everything.
    pub fn store_refuse() -> Self {
        Self::on("store_refuse", [])
    }

    /// The object store has no space left.
    pub fn store_full() -> Self {
        Self::on("store_full", [])
    }

    /// The newest put of a node is cut in half.
    pub fn store_tear(node: impl Into<String>) -> Self {
        Self::on("store_tear", [node.into()])
    }

    /// One bit of an object is flipped: of the newest `state`, `metadata` or `log_entry`, or of that
    /// at a path with `*` in it.
    pub fn store_flip(object: &str) -> Self {
        Self::on("store_flip", []).key("object", object)
    }

    /// An object is deleted; see [`Fault::store_flip`] for which.
    pub fn store_delete(object: &str) -> Self {
        Self::on("store_delete", []).key("object", object)
    }

    fn on<const N: usize>(deed: &str, on: [String; N]) -> Self {
        let keys = table([("do", deed.into())]);
        Self { name: None, keys, when: Table::new(), on: on.into() }
    }

    fn key(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.keys.insert(key.to_owned(), value.into());
        self
    }

    /// By which reports speak of it. Default: what it does, and its place among those.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// When: virtual time since every job was RUNNING, or a range of it.
    #[must_use]
    pub fn at(mut self, time: impl Into<Spans>) -> Self {
        self.when = table([("at", time.into().into())]);
        self
    }

    /// When: at the first fact with this probe name, at the very step.
    #[must_use]
    pub fn on_event(mut self, probe: &str) -> Self {
        self.when = table([("event", probe.into())]);
        self
    }

    /// Of such facts, only one that shows this field.
    #[must_use]
    pub fn that_has(mut self, field: &str, value: impl fmt::Display) -> Self {
        let fields = self.when.entry("where").or_insert_with(|| Table::new().into());
        if let Value::Table(fields) = fields {
            fields.insert(field.to_owned(), value.to_string().into());
        }
        self
    }

    /// Of such facts the which, from 1.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.when.insert("nth".to_owned(), i64::from(nth).into());
        self
    }

    /// So long after the fact.
    #[must_use]
    pub fn delayed(mut self, delay: impl Into<Spans>) -> Self {
        self.when.insert("delay".to_owned(), delay.into().into());
        self
    }

    /// How long it lasts, or a range of it. Default: for good.
    #[must_use]
    pub fn lasts(self, span: impl Into<Spans>) -> Self {
        let ends_by_start = matches!(self.deed(), "crash" | "power_loss");
        self.key(if ends_by_start { "down" } else { "for" }, span.into())
    }

    /// It happens in this share of the seeds only.
    #[must_use]
    pub fn odds(self, share: f64) -> Self {
        self.key("odds", share)
    }

    /// It is no mistake if nothing comes of it: it may strike a node that is down already, or a run
    /// that is over.
    #[must_use]
    pub fn may_miss(self) -> Self {
        self.key("must_fire", false)
    }

    /// A key of `[[fault]]` for which there is no function here.
    #[must_use]
    pub fn with(self, key: &str, value: impl Into<Value>) -> Self {
        self.key(key, value)
    }

    fn deed(&self) -> &str {
        self.keys["do"].as_str().unwrap_or_default()
    }

    /// Whether it says nothing of when it comes.
    pub(super) fn is_timeless(&self) -> bool {
        !self.when.contains_key("at") && !self.when.contains_key("event")
    }

    /// As a scenario file has it. `number` tells it from others of its kind; without a time of its
    /// own it comes within `horizon`.
    pub(super) fn table(&self, number: usize, horizon: Duration) -> Table {
        let name = self.name.clone().unwrap_or_else(|| format!("{}-{number}", self.deed()));
        let mut all = table([("name", name.into())]);
        let mut when = self.when.clone();
        if self.is_timeless() {
            let anywhere = Spans::from(ms(0)..horizon);
            when.insert("at".to_owned(), anywhere.into());
        }
        all.insert("when".to_owned(), when.into());
        all.extend(self.keys.clone());
        if let Some((node, peer)) = self.on.split_first() {
            let mut on = target(node);
            if let Some(peer) = peer.first() {
                on.insert("peer".to_owned(), target(peer).into());
            }
            all.insert("on".to_owned(), on.into());
        }
        all
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.deed())?;
        if !self.on.is_empty() {
            write!(f, " of {}", self.on.join(" and "))?;
        }
        let text = |key: &str, table: &Table| table.get(key).map(plain);
        for (word, key, keys) in [
            ("at", "at", &self.when),
            ("on", "event", &self.when),
            ("by", "by", &self.keys),
            ("for", "down", &self.keys),
            ("for", "for", &self.keys),
        ] {
            if let Some(text) = text(key, keys) {
                write!(f, " {word} {text}")?;
            }
        }
        Ok(())
    }
}

/// A value for a person: text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `tm-2` as `{ role = "task_manager", pick = 1 }`.
fn target(node: &str) -> Table {
    let (kind, number) = node.split_once('-').unwrap_or((node, "1"));
    let role = match kind {
        "tm" => "task_manager",
        "jm" => "job_manager",
        "db" => "series_database",
        other => other,
    };
    let pick = match number.parse::<u32>() {
        Ok(number) => Value::from(i64::from(number.saturating_sub(1))),
        Err(_) => Value::from("any"),
    };
    table([("role", role.into()), ("pick", pick)])
}

/// What befalls a world: a list of faults, and how slow its network is.
///
/// A single [`Fault`] or an array of them will do wherever this is asked for.
#[derive(Clone, Default, PartialEq)]
pub struct Faults {
    pub(super) list: Vec<Fault>,
    pub(super) delay: Option<Spans>,
}

impl Faults {
    /// None: the network is as it is, and everybody lives.
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything that an engine with checkpoints and restarts must survive, each kind in a third of
    /// the seeds, at times and on nodes that the seed draws: crashes, dark machines, pauses,
    /// partitions, resets, half-open connections, slow nodes, wrong clocks, a store in trouble.
    pub fn any() -> Self {
        let short = || ms(100)..ms(3_000);
        let all = [
            Fault::crash("tm-*").lasts(short()),
            Fault::crash("jm").lasts(short()),
            Fault::power_loss("tm-*").lasts(short()),
            Fault::pause("tm-*").lasts(short()),
            Fault::pause("jm").lasts(short()),
            Fault::partition("tm-*", "jm").lasts(short()),
            Fault::partition_one_way("tm-*", "db").lasts(short()),
            Fault::reset("tm-*", "db"),
            Fault::half_open("tm-*", "jm"),
            Fault::slow("tm-*", ms(150)).lasts(short()),
            Fault::clock_step("tm-*", -2_000),
            Fault::clock_drift("tm-*", 500),
            Fault::store_slow(ms(300)).lasts(short()),
            Fault::store_refuse().lasts(short()),
            Fault::store_full().lasts(short()),
        ];
        all.map(|fault| fault.odds(0.33).may_miss()).into()
    }

    /// The same with one more.
    #[must_use]
    pub fn and(mut self, fault: Fault) -> Self {
        self.list.push(fault);
        self
    }

    /// The same in a network in which every segment takes so long, each drawn anew: segments of
    /// different connections overtake one another.
    #[must_use]
    pub fn delay(mut self, delay: Range<Duration>) -> Self {
        self.delay = Some(delay.into());
        self
    }

    /// The faults, in order.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// As a scenario file has them.
    pub(super) fn tables(&self, horizon: Duration) -> Vec<Value> {
        let kind = |fault: &&Fault, deed: &str| fault.deed() == deed;
        let tables = self.list.iter().enumerate().map(|(index, fault)| {
            let before = self.list[..index].iter().filter(|other| kind(other, fault.deed()));
            fault.table(before.count() + 1, horizon).into()
        });
        tables.collect()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self { list: vec![fault], delay: None }
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(list: Vec<Fault>) -> Self {
        Self { list, delay: None }
    }
}

impl<const N: usize> From<[Fault; N]> for Faults {
    fn from(list: [Fault; N]) -> Self {
        Self { list: list.into(), delay: None }
    }
}

impl fmt::Debug for Faults {
    /// `[[fault]]` by `[[fault]]`, as a scenario file has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.list.is_empty() {
            return f.write_str("no faults");
        }
        let all = table([("fault", self.tables(ms(10_000)).into())]);
        f.write_str(&text(&all))
    }
}
