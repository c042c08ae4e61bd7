//! What a checkpoint holds, by name: states with their types and sizes, source offsets, watermarks.
//! A summary only: nothing is restored from it, and a byte of state is never judged by it.
//! Who sums up is the writer of a snapshot in `slackwater-runtime`; who compares, [`crate::compat`].

use serde::{Deserialize, Serialize};

use crate::graph::Uid;
use crate::time::EventTime;

/// What one state of an operator holds, over all key groups or items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StateSummary {
    /// The operator.
    pub uid: Uid,
    /// The state's name within it.
    pub state: String,
    /// The type of its entries, as [`crate::schema::Schema::text`] writes it.
    pub schema: String,
    /// Whether it is held by key; else by item.
    pub keyed: bool,
    /// How many keys or items it has.
    pub entries: u64,
    /// The bytes of its sections.
    pub bytes: u64,
}

/// How far a split of a source had been read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SplitPosition {
    /// The source.
    pub uid: Uid,
    /// Which split.
    pub split: u32,
    /// The position of its next record.
    pub offset: u64,
    /// The greatest timestamp that it had brought; `None` if it had brought nothing.
    pub greatest: Option<EventTime>,
}

/// What a part of a checkpoint holds, or several parts together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// By operator and name.
    pub states: Vec<StateSummary>,
    /// By source and split.
    pub positions: Vec<SplitPosition>,
    /// By operator: the least watermark of its key groups, of those that have had one.
    pub watermarks: Vec<(Uid, EventTime)>,
}

impl Contents {
    /// Adds what another part holds.
    pub fn add(&mut self, other: &Self) {
        for state in &other.states {
            let same = |known: &&mut StateSummary| {
                (&known.uid, &known.state, &known.schema)
                    == (&state.uid, &state.state, &state.schema)
            };
            match self.states.iter_mut().find(same) {
                Some(known) => {
                    known.entries += state.entries;
                    known.bytes += state.bytes;
                }
                None => self.states.push(state.clone()),
            }
        }
        self.positions.extend(other.positions.iter().cloned());
        for (uid, watermark) in &other.watermarks {
            match self.watermarks.iter_mut().find(|(known, _)| known == uid) {
                Some((_, known)) => *known = (*known).min(*watermark),
                None => self.watermarks.push((uid.clone(), *watermark)),
            }
        }
        self.states.sort();
        self.positions.sort();
        self.watermarks.sort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(entries: u64, split: u32, watermark: i64) -> Contents {
        let uid = || Uid::from("sum");
        let (state, schema) = ("scan".to_owned(), "(str, i64)".to_owned());
        let keyed = true;
        Contents {
            states: vec![StateSummary { uid: uid(), state, schema, keyed, entries, bytes: 10 }],
            positions: vec![SplitPosition {
                uid: "source".into(),
                split,
                offset: 5,
                greatest: None,
            }],
            watermarks: vec![(uid(), EventTime::from_millis(watermark))],
        }
    }

    #[test]
    fn parts_add_up_and_the_slowest_watermark_counts() {
        let mut sum = part(3, 1, 700);
        sum.add(&part(4, 0, 500));
        assert_eq!((sum.states.len(), sum.states[0].entries, sum.states[0].bytes), (1, 7, 20));
        assert_eq!(sum.positions.iter().map(|at| at.split).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(sum.watermarks, [(Uid::from("sum"), EventTime::from_millis(500))]);
    }
}
