//! Timers: at most one per key and instant, due in the order (instant, key group, key).
//! Never looks at a clock or a watermark: whoever owns them asks what is due by now.
//! Windows need none of these, their timers follow from which windows are open.

use std::collections::BTreeSet;

use slackwater_core::key::{Key, KeyGroup};
use slackwater_core::time::{EventTime, ProcessingTime};

use super::{Groups, Section, SectionReader, SectionWriter, Share, StateError, StateName};

/// An instant of one of the two kinds of time.
pub trait Instant: Copy + Ord + std::fmt::Debug {
    /// Milliseconds since the epoch, for the state's bytes.
    fn to_millis(self) -> i64;
    /// The way back.
    fn of_millis(millis: i64) -> Self;
}

macro_rules! instant {
    ($($time:ty),*) => {$(
        impl Instant for $time {
            fn to_millis(self) -> i64 {
                self.as_millis()
            }
            fn of_millis(millis: i64) -> Self {
                Self::from_millis(millis)
            }
        }
    )*};
}
instant!(EventTime, ProcessingTime);

/// A timer; its order is the order of firing (semantics rule 9).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer<I, K> {
    /// When it is due.
    pub at: I,
    /// The key's group.
    pub group: KeyGroup,
    /// For which key.
    pub key: K,
}

/// The timers of one operator in one subtask.
#[derive(Clone, Debug)]
pub struct Timers<I, K> {
    name: StateName,
    groups: Groups,
    timers: BTreeSet<Timer<I, K>>,
}

impl<I: Instant, K: Key> Timers<I, K> {
    /// No timers yet. `name` tells those of event time from those of processing time.
    pub fn new(uid: &str, name: &str, groups: Groups) -> Self {
        Self { name: StateName::new(uid, name), groups, timers: BTreeSet::new() }
    }

    /// Sets a timer; one that is set already stays one.
    pub fn set(&mut self, at: I, key: K) {
        let timer = self.timer(at, key);
        self.timers.insert(timer);
    }

    /// Takes a timer back; whether there was one.
    pub fn remove(&mut self, at: I, key: K) -> bool {
        let timer = self.timer(at, key);
        self.timers.remove(&timer)
    }

    /// When the first one is due.
    pub fn next(&self) -> Option<I> {
        self.timers.first().map(|timer| timer.at)
    }

    /// Takes the first one that is due by `now`.
    pub fn pop_due(&mut self, now: I) -> Option<Timer<I, K>> {
        if self.next()? <= now { self.timers.pop_first() } else { None }
    }

    /// A section per key group that has timers.
    ///
    /// # Errors
    /// If a key has no fixed shape.
    pub fn snapshot(&self) -> Result<Vec<Section>, StateError> {
        let writer = SectionWriter::<(i64, K), ()>::new(self.name.clone(), &self.groups)?;
        let mut sections = Vec::new();
        for group in (0..self.groups.len()).map(|position| self.groups.at(position)) {
            let timers = self.timers.iter().filter(|timer| timer.group == group);
            let keys: Vec<_> = timers.map(|t| (t.at.to_millis(), t.key.clone())).collect();
            sections.extend(writer.write(Share::Group(group), keys.iter().map(|key| (key, &())))?);
        }
        Ok(sections)
    }

    /// Takes the timers of these groups from any set of sections. Those that were due during an
    /// outage are due at once.
    ///
    /// # Errors
    /// As [`super::KeyedState::restore`].
    pub fn restore(&mut self, sections: &[Section]) -> Result<(), StateError> {
        self.timers.clear();
        let reader = SectionReader::<(i64, K), ()>::new(self.name.clone(), &self.groups)?;
        for (group, entries) in reader.read(sections)? {
            for ((at, key), ()) in entries {
                reader.expect_group(&key, group)?;
                self.timers.insert(Timer { at: I::of_millis(at), group, key });
            }
        }
        Ok(())
    }

    fn timer(&self, at: I, key: K) -> Timer<I, K> {
        let group = KeyGroup::of_hash(key.hash64(), self.groups.max_parallelism());
        Timer { at, group, key }
    }
}
