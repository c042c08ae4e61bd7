//! What a program counts for itself: counters and meters, each of one operator and one subtask.
//! Never part of state: after a restore they begin again with nothing, as all that is counted. A
//! program that declares none pays nothing. Declared by [`crate::stream::Stream::map_with`].

use std::cell::RefCell;
use std::sync::Arc;

use slackwater_core::measure::{DECLARED_MAX, Declared, DeclaredKind};

use super::Count;

/// Where an operator declares what it counts, when its subtask is opened.
#[derive(Debug, Default)]
pub struct Metrics(RefCell<Vec<Opened>>);

/// A number that only grows. Its clones are the same counter.
#[derive(Clone, Debug)]
pub struct Counter(Arc<Count>);

/// A number that only grows, and is also shown by the second. Its clones are the same meter.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Count>);

/// What an operator has declared.
#[derive(Clone, Debug)]
pub struct Opened {
    name: String,
    kind: DeclaredKind,
    count: Arc<Count>,
}

impl Counter {
    /// Counts one more.
    #[inline]
    pub fn inc(&self) {
        self.0.add(1);
    }

    /// Counts so many more.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.add(more);
    }

    /// What it stands at.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Meter {
    /// One more has come.
    #[inline]
    pub fn mark(&self) {
        self.0.add(1);
    }

    /// So many more have come.
    #[inline]
    pub fn mark_many(&self, more: u64) {
        self.0.add(more);
    }

    /// How many have come.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Metrics {
    /// The counter of this name; the same name again is the same counter. Beyond 64 names of an
    /// operator it counts, but is not shown.
    pub fn counter(&self, name: &str) -> Counter {
        Counter(self.open(name, DeclaredKind::Counter))
    }

    /// The meter of this name; the same name again is the same meter. Beyond 64 names of an operator
    /// it counts, but is not shown.
    pub fn meter(&self, name: &str) -> Meter {
        Meter(self.open(name, DeclaredKind::Meter))
    }

    fn open(&self, name: &str, kind: DeclaredKind) -> Arc<Count> {
        let mut opened = self.0.borrow_mut();
        let known = opened.iter().find(|known| known.name == name && known.kind == kind);
        if let Some(known) = known {
            return Arc::clone(&known.count);
        }
        let count = Arc::new(Count::default());
        if opened.len() < DECLARED_MAX {
            opened.push(Opened { name: name.to_owned(), kind, count: Arc::clone(&count) });
        }
        count
    }

    /// All that was declared, in that order.
    pub(crate) fn take(&self) -> Vec<Opened> {
        self.0.take()
    }
}

impl Opened {
    pub(super) fn read(&self) -> Declared {
        Declared { name: self.name.clone(), kind: self.kind, count: self.count.get() }
    }
}
