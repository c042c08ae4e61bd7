//! What can befall the object store of a world: slowness, refusal, and damage to what lies in it.
//! Nothing here is drawn: which object and which bit is chosen before the world begins.
//! Carried out by the store itself, in [`crate::world`].

use std::fmt;
use std::time::Duration;

/// A deed done to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Every operation takes this much longer, until [`StoreFault::Heal`].
    Slow {
        /// Half of it on the way there, half on the way back.
        by: Duration,
    },
    /// Every operation fails and may be tried again, until [`StoreFault::Heal`].
    Refuse {
        /// Only those of this node; `None`: of all.
        node: Option<String>,
    },
    /// Every put fails for want of space, until [`StoreFault::Heal`].
    Full,
    /// Not slow, not refusing, not full any more. What is damaged stays damaged.
    Heal,
    /// The newest put of a node, in flight or not, keeps the first half of its bytes only: with a
    /// kill in the same instant, a torn last write.
    Tear {
        /// The node.
        node: String,
    },
    /// Flips one bit of an object.
    Flip {
        /// Which.
        object: Object,
        /// Modulo the bits it has.
        bit: u64,
    },
    /// Deletes an object.
    Delete {
        /// Which.
        object: Object,
    },
    /// Puts another job's in its place: whole, well-formed, and wrong.
    Foreign {
        /// Which.
        object: Object,
    },
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow { by } => write!(f, "slow {}ms", by.as_millis()),
            Self::Refuse { node: Some(node) } => write!(f, "refuse {node}"),
            Self::Refuse { node: None } => f.write_str("refuse"),
            Self::Full => f.write_str("full"),
            Self::Heal => f.write_str("heal"),
            Self::Tear { node } => write!(f, "tear {node}"),
            Self::Flip { .. } => f.write_str("flip"),
            Self::Delete { .. } => f.write_str("delete"),
            Self::Foreign { .. } => f.write_str("foreign"),
        }
    }
}

/// An object, by what it is: of several, the one that was put last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A subtask's state in a checkpoint.
    State,
    /// A checkpoint's metadata.
    Metadata,
    /// An entry of a job's log.
    LogEntry,
    /// Any whose path fits; `*` stands for anything.
    Path(String),
}

impl Object {
    /// Whether it may be the object at `path`.
    pub fn fits(&self, path: &str) -> bool {
        match self {
            Self::State => matches("jobs/*/chk-*/*-a*", path),
            Self::Metadata => matches("jobs/*/chk-*/_metadata-*", path),
            Self::LogEntry => matches("jobs/*/log/*", path),
            Self::Path(pattern) => matches(pattern, path),
        }
    }
}

/// Whether `text` fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| matches(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_found_by_what_it_is() {
        let (state, metadata, entry) =
            ("jobs/7/chk-2/0-1-a1", "jobs/7/chk-2/_metadata-e1a1", "jobs/7/log/000000000003");
        let path = |pattern: &str| Object::Path(pattern.into());
        for (object, expected) in [
            (Object::State, [true, false, false]),
            (Object::Metadata, [false, true, false]),
            (Object::LogEntry, [false, false, true]),
            (path("*"), [true, true, true]),
            (path("*chk-2*"), [true, true, false]),
            (path("jobs/8/*"), [false, false, false]),
            (path(state), [true, false, false]),
        ] {
            assert_eq!([state, metadata, entry].map(|path| object.fits(path)), expected);
        }
    }
}
