//! The journal: every fact of a world in the order of virtual time, with a rolling hash.
//! Append only, and equal seeds give equal bytes: no wall time, no address, no hash order in here.
//! Facts come from [`crate::world`]; oracles and reports read them and nothing else.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slackwater_core::fact::Fact;
use xxhash_rust::xxh3::Xxh3Default;

/// A node of the world, by its place in the cast.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIndex(pub u16);

/// One fact: when, where, what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Virtual time since the world began: the true one, without any node's offset or drift.
    pub time: Duration,
    /// Who told it.
    pub node: NodeIndex,
    /// What happened.
    pub fact: Fact,
}

/// The facts of one world.
///
/// Within a tick nodes run one after the other, so facts are collected as they come and sorted by
/// time when the tick ends; the sort is stable and no message crosses nodes within a tick, hence
/// cause stands before effect.
#[derive(Clone, Default)]
pub struct Journal {
    nodes: Arc<[String]>,
    entries: Vec<Entry>,
    settled: usize,
    hash: Xxh3Default,
    scratch: Vec<u8>,
}

impl Journal {
    /// An empty journal of a world with this cast.
    pub fn new(nodes: impl IntoIterator<Item = String>) -> Self {
        Self { nodes: nodes.into_iter().collect(), ..Self::default() }
    }

    /// A journal of these entries, as a test or a stored run has them.
    pub fn of(nodes: impl IntoIterator<Item = String>, entries: Vec<Entry>) -> Self {
        let mut journal = Self { entries, ..Self::new(nodes) };
        journal.settle();
        journal
    }

    /// Adds a fact to the current tick.
    pub fn push(&mut self, time: Duration, node: NodeIndex, fact: Fact) {
        self.entries.push(Entry { time, node, fact });
    }

    /// Ends the tick: orders what came since the last call and adds it to the hash. Gives it back.
    pub fn settle(&mut self) -> &[Entry] {
        let from = self.settled;
        self.entries[from..].sort_by_key(|entry| entry.time);
        for entry in &self.entries[from..] {
            self.scratch.clear();
            postcard::to_io(entry, &mut self.scratch).expect("memory takes every write");
            self.hash.update(&self.scratch);
        }
        self.settled = self.entries.len();
        &self.entries[from..]
    }

    /// Every settled fact, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries[..self.settled]
    }

    /// The name of a node.
    pub fn name(&self, node: NodeIndex) -> &str {
        self.nodes.get(usize::from(node.0)).map_or("?", String::as_str)
    }

    /// The names of all nodes, by index.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// XXH3-64 over the encoding of every settled fact.
    pub fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// `<seconds> <node> <fact>`, one line.
    pub fn line<'a>(&'a self, entry: &'a Entry) -> impl fmt::Display + 'a {
        Line { node: self.name(entry.node), entry }
    }

    /// Writes the journal, one fact a line.
    ///
    /// # Errors
    /// As `out`'s.
    pub fn write(&self, mut out: impl io::Write) -> io::Result<()> {
        self.entries().iter().try_for_each(|entry| writeln!(out, "{}", self.line(entry)))
    }

    /// The journal as text, one fact a line.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        self.write(&mut text).expect("memory takes every write");
        String::from_utf8(text).expect("facts are text")
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({} facts, {:016x})", self.settled, self.hash())
    }
}

struct Line<'a> {
    node: &'a str,
    entry: &'a Entry,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { time, fact, .. } = self.entry;
        write!(f, "{}.{:03} {} {fact}", time.as_secs(), time.subsec_millis(), self.node)
    }
}

/// The first line in which two runs of one seed differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The line's number, from 1.
    pub line: usize,
    /// What the first run says there; `None` if it has ended.
    pub left: Option<String>,
    /// What the second run says there; `None` if it has ended.
    pub right: Option<String>,
}

impl Divergence {
    /// Compares two journals as text; `None` if they are equal byte for byte.
    pub fn between(left: &str, right: &str) -> Option<Self> {
        if left == right {
            return None;
        }
        let (mut lefts, mut rights) = (left.lines(), right.lines());
        (1..).find_map(|line| match (lefts.next(), rights.next()) {
            (Some(left), Some(right)) if left == right => None,
            (left, right) => {
                Some(Self { line, left: left.map(str::to_owned), right: right.map(str::to_owned) })
            }
        })
    }

    /// Virtual time (as printed) and node of the first run's line, or of the second's.
    pub fn place(&self) -> (&str, &str) {
        let line = self.left.as_deref().or(self.right.as_deref()).unwrap_or_default();
        let mut words = line.splitn(3, ' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = "(the journal has ended)";
        let (time, node) = self.place();
        writeln!(f, "the runs diverge at line {}, t={time} s, {node}", self.line)?;
        writeln!(f, "  first:  {}", self.left.as_deref().unwrap_or(ended))?;
        write!(f, "  second: {}", self.right.as_deref().unwrap_or(ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resumed(millis: u64, node: u16) -> Entry {
        let fact = Fact::NodeResumed { node: node.to_string() };
        Entry { time: Duration::from_millis(millis), node: NodeIndex(node), fact }
    }

    fn journal(entries: &[Entry]) -> Journal {
        Journal::of(["jm".to_owned(), "tm-1".to_owned()], entries.to_vec())
    }

    #[test]
    fn a_tick_is_told_in_the_order_of_time_and_ties_in_the_order_of_telling() {
        let journal = journal(&[resumed(1_017, 1), resumed(1_012, 0), resumed(1_017, 0)]);
        let expected = "1.012 jm node.resumed node=\"0\"\n\
                        1.017 tm-1 node.resumed node=\"1\"\n\
                        1.017 jm node.resumed node=\"0\"\n";
        assert_eq!(journal.text(), expected);
    }

    #[test]
    fn the_hash_tells_any_two_journals_apart_and_not_how_they_were_cut_into_ticks() {
        let (a, b) = (resumed(1, 0), resumed(2, 1));
        let mut by_ticks = journal(std::slice::from_ref(&a));
        by_ticks.push(b.time, b.node, b.fact.clone());
        by_ticks.settle();
        assert_eq!(by_ticks.hash(), journal(&[a.clone(), b]).hash());
        assert_ne!(by_ticks.hash(), journal(&[a]).hash());
    }

    #[test]
    fn a_divergence_names_the_line_both_texts_the_time_and_the_node() {
        assert_eq!(Divergence::between("a\nb\n", "a\nb\n"), None);
        let other = Divergence::between("0.001 jm x\n0.002 jm y\n", "0.001 jm x\n0.002 jm z\n");
        let other = other.expect("they differ");
        assert_eq!(other.to_string().lines().count(), 3);
        assert_eq!((other.line, other.place()), (2, ("0.002", "jm")));
        let shorter = Divergence::between("0.001 jm x\n", "").expect("one has ended");
        assert_eq!((shorter.left.as_deref(), shorter.right), (Some("0.001 jm x"), None));
    }
}
