//! From one cell and one seed to a document in which nothing is left to draw: `[swarm]`, `odds`,
//! `one_of`, faults by `chance`, ranges, and targets that are known before the world begins.
//! Works on the tree, each draw from a stream that its fault or path names, so that one more fault
//! moves no other. What only the run can tell (who leads, who sent a message) stays open.
//! The shape is read in [`super::resolve`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_spanned::Spanned;
use slackwater_core::random::RandomStream;
use slackwater_core::time::ms;

use super::diagnostic::{File, Mistake};
use super::swarm::{self, chosen, share_of};
use super::swizzle;
use super::tree::{self, Node, Table, Value};
use super::values::Spans;
use crate::check::is_called;

mod targets;

pub(super) use targets::{ALL, nodes};

/// Where decisions come from: a seed, or the same place of every list of alternatives.
pub(super) struct Luck {
    seed: Option<u64>,
    alternative: usize,
    streams: BTreeMap<String, RandomStream>,
}

impl Luck {
    /// What a seed decides.
    pub(super) fn of_seed(seed: u64) -> Self {
        Self { seed: Some(seed), alternative: 0, streams: BTreeMap::new() }
    }

    /// The alternative of this number everywhere, the last where there are fewer; nothing is left
    /// out, and what comes by chance comes once. For looking whether all of it could be played.
    pub(super) fn of_alternative(alternative: usize) -> Self {
        Self { seed: None, alternative, streams: BTreeMap::new() }
    }

    /// Whether drawing again gives the same.
    pub(super) fn is_fixed(&self) -> bool {
        self.seed.is_none()
    }

    fn stream(&mut self, name: &str) -> Option<&mut RandomStream> {
        let seed = self.seed?;
        Some(self.streams.entry(name.to_owned()).or_insert_with(|| RandomStream::named(seed, name)))
    }

    /// One of so many.
    pub(super) fn index(&mut self, name: &str, of: usize) -> usize {
        let last = of.saturating_sub(1);
        let alternative = self.alternative.min(last);
        self.stream(name).map_or(alternative, |stream| stream.below(of as u64) as usize)
    }

    /// One of a range, both ends included.
    pub(super) fn between(&mut self, name: &str, low: i64, high: i64) -> i64 {
        let end = if self.alternative == 0 { low } else { high };
        self.stream(name).map_or(end, |stream| stream.between(low, high))
    }

    fn time(&mut self, name: &str, spans: Spans) -> Duration {
        let end = if self.alternative == 0 { spans.low } else { spans.high };
        self.stream(name).map_or(end, |stream| spans.draw(stream))
    }

    pub(super) fn happens(&mut self, name: &str, odds: f64, unless_drawn: bool) -> bool {
        self.stream(name).map_or(unless_drawn, |stream| stream.chance(odds))
    }
}

/// How many alternatives the longest list of a document has.
pub(super) fn alternatives(document: &Table) -> usize {
    let mut most = 1;
    tree::walk(document, &mut |value| {
        let Some(table) = value.get_ref().as_table() else { return };
        let list = table.get("one_of").and_then(|list| list.get_ref().as_array());
        most = most.max(list.map_or(1, |list| list.len()));
        let is_range = table.contains_key("range")
            || RANGES
                .iter()
                .any(|(key, _)| tree::str(table, key).is_some_and(|t| t.contains("..")));
        most = most.max(if is_range { 2 } else { 1 });
    });
    most
}

/// The document of one run.
pub(super) fn settle(
    file: &File,
    luck: &mut Luck,
    mut document: Spanned<Table>,
) -> Result<Spanned<Table>, Mistake> {
    let table = document.get_mut();
    let named = tree::names(table);
    let omit = swarm::draw(file, luck, table)?;
    for key in ["fault", "step"] {
        let Some(Spanned { .. }) = table.get(key) else { continue };
        let omit = if key == "fault" { omit } else { 0.0 };
        let elements = match table.remove(key) {
            Some(value) if value.get_ref().as_array().is_some() => value,
            Some(value) => {
                // Not a list of tables: told where the shape is read.
                tree::put(table, key, value);
                continue;
            }
            None => continue,
        };
        let span = elements.span();
        let Node::Array(elements) = elements.into_inner() else { continue };
        let drawn = Drawing { file, luck, document: table, omit }.all(elements)?;
        if !drawn.is_empty() {
            tree::put(table, key, Spanned::new(span, Node::Array(drawn)));
        }
    }
    // What was left out has no end from which anything could be expected.
    let drawn = tree::names(table);
    let comes = |name: &str| drawn.iter().any(|fault| is_called(fault, name));
    tree::forget(table, |key, name| {
        ["after", "healed"].contains(&key) && named.contains(name) && !comes(name)
    });
    if let (Some(seed), Some(run)) = (luck.seed, tree::table_mut(table, "run")) {
        let span = run.get("seeds").map_or(0..0, Spanned::span);
        let one = match i64::try_from(seed) {
            Ok(seed) => tree::literal(span.clone(), seed),
            Err(_) => tree::text(span.clone(), format!("{seed:#x}")),
        };
        run.remove("pinned");
        tree::put(run, "seeds", Spanned::new(span, Node::Array(vec![one])));
    }
    Ok(document)
}

/// Keys that may hold a range of time, and the streams that they are drawn from.
const RANGES: &[(&str, &str)] = &[
    ("at", "at"),
    ("event_time", "event_time"),
    ("delay", "delay"),
    ("down", "away"),
    ("for", "away"),
    ("by", "by"),
];

/// A window need not open in every world that luck makes.
fn may_never_come(part: &mut Table) {
    let is_window = tree::table(part, "when").is_some_and(|when| when.contains_key("inside"));
    if is_window && !part.contains_key("must_fire") && part.contains_key("do") {
        let span = part.get("when").map_or(0..0, Spanned::span);
        tree::put(part, "must_fire", tree::literal(span, false));
    }
}

/// Everything that is drawn for the faults, or the steps, of one document.
struct Drawing<'a> {
    file: &'a File,
    luck: &'a mut Luck,
    document: &'a Table,
    omit: f64,
}

impl Drawing<'_> {
    fn all(&mut self, elements: Vec<Value>) -> Result<Vec<Value>, Mistake> {
        let (mut drawn, mut gone) = (Vec::new(), BTreeSet::new());
        for mut element in elements {
            let span = element.span();
            let Node::Table(part) = element.get_mut() else {
                drawn.push(element);
                continue;
            };
            let name = tree::str(part, "name").unwrap_or_default().to_owned();
            if self.is_left_out(part, &name)? {
                gone.insert(name);
                continue;
            }
            for (name, mut one) in self.by_chance(part, name)? {
                self.values(&mut one, &name, "")?;
                self.ranges(&mut one, &name);
                self.place(&mut one, &name);
                if tree::str(&one, "do") == Some("swizzle") {
                    let links = swizzle::links(self.file, self.luck, (self.document, &one), &name)?;
                    drawn.extend(
                        links.into_iter().map(|link| Spanned::new(span.clone(), Node::Table(link))),
                    );
                    continue;
                }
                self.targets(&mut one, &name);
                drawn.push(Spanned::new(span.clone(), Node::Table(one)));
            }
        }
        // What waits for something that was left out never comes either.
        let waits_in_vain = |element: &Value, gone: &BTreeSet<String>| {
            let part = element.get_ref().as_table();
            let when = part.and_then(|part| tree::table(part, "when"));
            when.and_then(|when| tree::str(when, "after")).is_some_and(|name| gone.contains(name))
        };
        while let Some(at) = drawn.iter().position(|element| waits_in_vain(element, &gone)) {
            let name = drawn
                .remove(at)
                .get_ref()
                .as_table()
                .and_then(|t| tree::str(t, "name").map(str::to_owned));
            gone.extend(name);
        }
        Ok(drawn)
    }

    fn is_left_out(&mut self, part: &mut Table, name: &str) -> Result<bool, Mistake> {
        let omitted =
            self.omit > 0.0 && self.luck.happens(&format!("swarm/omit/{name}"), self.omit, false);
        let odds = part.remove("odds");
        if odds.is_some() || self.omit > 0.0 {
            may_never_come(part);
        }
        let Some(odds) = odds else { return Ok(omitted) };
        let odds = share_of(self.file, "odds", &odds)?;
        Ok(!self.luck.happens(&format!("fault/{name}/odds"), odds, true) || omitted)
    }

    /// A fault that comes by chance, as often as it came; any other once.
    fn by_chance(&mut self, part: &Table, name: String) -> Result<Vec<(String, Table)>, Mistake> {
        let Some(when) = part.get("when") else { return Ok(vec![(name, part.clone())]) };
        let (span, file) = (when.span(), self.file);
        let inner = when.get_ref().as_table();
        let Some((inner, chance)) = inner.and_then(|when| Some((when, when.get("chance")?))) else {
            return Ok(vec![(name, part.clone())]);
        };
        let mistake = |message: &str| Err(Mistake::new(file, span.clone(), message));
        let odds = share_of(file, "chance", chance)?;
        let Some(per) = tree::span(inner, "per").filter(|per| !per.is_zero()) else {
            return mistake("a chance is one per span of time: add `per = \"1s\"`");
        };
        let known = ["chance", "per", "from", "until"];
        if inner.keys().any(|key| !known.contains(&key.get_ref().as_str())) {
            return mistake(
                "a fault by chance has `chance`, `per`, and perhaps `from` and `until`",
            );
        }
        let begin = tree::span(inner, "from").unwrap_or_default();
        let Some(end) = tree::span(inner, "until").or_else(|| chaos(self.document)) else {
            return mistake(
                "chance needs an end: `until = \"20s\"` here, [calm] `from`, or a run that stops at a time",
            );
        };
        let turns = end.as_millis() / per.as_millis().max(1);
        let mut times = Vec::new();
        let stream = format!("fault/{name}/chance");
        for turn in 0..u32::try_from(turns).unwrap_or(u32::MAX) {
            if self.luck.is_fixed() && turn > 0 {
                break;
            }
            if self.luck.happens(&stream, odds, true) {
                let within = Spans { low: Duration::ZERO, high: per.saturating_sub(ms(1)) };
                times.push(per * turn + self.luck.time(&stream, within));
            }
        }
        // Drawn all the same, so that a later beginning moves nothing behind it.
        times.retain(|time| *time >= begin || self.luck.is_fixed());
        let one = |(number, time): (usize, Duration)| {
            let (mut one, name) = (part.clone(), format!("{name}-{}", number + 1));
            let mut when = Table::new();
            tree::put(&mut when, "at", tree::millis(span.clone(), time));
            tree::put(&mut one, "when", Spanned::new(span.clone(), Node::Table(when)));
            let place = part.get("name").map_or(span.clone(), Spanned::span);
            tree::put(&mut one, "name", tree::text(place, name.clone()));
            // Chance may strike what is down already, or a run that is over.
            tree::put(&mut one, "must_fire", tree::literal(span.clone(), false));
            (name, one)
        };
        Ok(times.into_iter().enumerate().map(one).collect())
    }

    /// Every `one_of` and `range` of a fault, by the path of its key.
    fn values(&mut self, table: &mut Table, name: &str, path: &str) -> Result<(), Mistake> {
        for (key, value) in table.iter_mut() {
            let path = format!("{path}/{}", key.get_ref());
            let stream = format!("fault/{name}/one_of{path}");
            if let Some(chosen) = chosen(self.file, self.luck, &stream, value)? {
                *value = chosen;
            } else if let Node::Table(inner) = value.get_mut() {
                self.values(inner, name, &path)?;
            }
        }
        Ok(())
    }

    /// Every range of time.
    fn ranges(&mut self, part: &mut Table, name: &str) {
        for (key, stream) in RANGES {
            let stream = format!("fault/{name}/{stream}");
            self.range(part, key, &stream);
            if let Some(when) = tree::table_mut(part, "when") {
                self.range(when, key, &stream);
            }
        }
    }

    fn range(&mut self, table: &mut Table, key: &str, stream: &str) {
        let Some(value) = table.get_mut(key) else { return };
        let text = value.get_ref().as_str().filter(|text| text.contains(".."));
        if let Some(Ok(spans)) = text.map(Spans::parse) {
            *value = tree::millis(value.span(), self.luck.time(stream, spans));
        }
    }

    /// Which step of a window, if each is as likely.
    fn place(&mut self, part: &mut Table, name: &str) {
        let Some(when) = tree::table_mut(part, "when") else { return };
        let is_open = match when.get("pick") {
            Some(pick) => pick.get_ref().as_str() == Some("uniform"),
            None => true,
        };
        if let (Some(inside), true) = (when.get("inside"), is_open) {
            let span = inside.span();
            let ppm = self.luck.between(&format!("fault/{name}/inside"), 0, 1_000_000);
            let place = tree::literal(span, format!("{:.6}", ppm as f64 / 1e6));
            tree::put(when, "pick", place);
        }
    }
}

/// How long faults may come by chance: until the calm, else until the run stops.
fn chaos(document: &Table) -> Option<Duration> {
    let calm = tree::table(document, "calm").and_then(|calm| tree::table(calm, "from"));
    let stop = || tree::table(tree::table(document, "run")?, "stop");
    let from = calm.or_else(stop)?;
    ["event_time", "time", "at"].into_iter().find_map(|key| tree::span(from, key))
}

#[cfg(test)]
mod tests;
