//! Which parts of a checkpoint a subtask has to look into: found by uid, wherever an operator runs
//! now and ran then, and as few as can be. Reads nothing and never leaves out a part that may hold
//! something of the subtask's. Read they are in [`super::restore`].

use std::collections::BTreeSet;

use slackwater_core::checkpoint::{Contents, StateHandle, VertexState};
use slackwater_core::graph::{OperatorInfo, Uid, Vertex};
use slackwater_core::id::VertexId;
use slackwater_core::key::groups_of;

/// The state of one subtask of a checkpoint.
pub(super) struct Part<'a> {
    /// The vertex, as it was numbered then.
    pub vertex: VertexId,
    pub index: u32,
    pub handle: &'a StateHandle,
}

/// The parts that subtask `index` of a vertex needs.
pub(super) fn needed<'a>(
    (vertex, max_parallelism): (&'a Vertex, u16),
    index: u32,
    of: &'a [VertexState],
) -> Vec<Part<'a>> {
    let names = |operator: &'a OperatorInfo| operator.uid.iter().chain(&operator.formerly);
    let uids: BTreeSet<&Uid> = vertex.operators.iter().flat_map(names).collect();
    let share = Share { index, parallelism: vertex.parallelism, max_parallelism };
    let mut parts = Vec::new();
    for state in of.iter().filter(|state| state.uids.iter().any(|uid| uids.contains(uid))) {
        let held = Held::of(&state.contents, &uids);
        let vertex = state.vertex;
        let all = (0..).zip(&state.subtasks).map(|(index, handle)| Part { vertex, index, handle });
        parts.extend(all.filter(|part| share.may_need(part.index, state.parallelism, held)));
    }
    parts
}

/// What a vertex of a checkpoint holds of the operators at hand.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Held {
    Nothing,
    /// By key: as many subtasks of then as have groups of one of now.
    Keyed,
    /// By item, which may be anywhere, or nobody knows.
    Other,
}

impl Held {
    fn of(contents: &Contents, uids: &BTreeSet<&Uid>) -> Self {
        if *contents == Contents::default() {
            // Format 1 does not say.
            return Self::Other;
        }
        let mut held = Self::Nothing;
        for state in contents.states.iter().filter(|state| uids.contains(&state.uid)) {
            if !state.keyed {
                return Self::Other;
            }
            held = Self::Keyed;
        }
        held
    }
}

/// What belongs to one subtask.
#[derive(Copy, Clone)]
struct Share {
    index: u32,
    parallelism: u32,
    max_parallelism: u16,
}

impl Share {
    /// Whether subtask `then` of `parallelism` may hold something of it.
    fn may_need(self, then: u32, parallelism: u32, held: Held) -> bool {
        match held {
            Held::Nothing => false,
            // Groups, splits and transactions are dealt out in the same way as then.
            _ if parallelism == self.parallelism => then == self.index,
            Held::Keyed => {
                let max = self.max_parallelism;
                let now = groups_of(self.index, self.parallelism, max);
                let then = groups_of(then, parallelism, max);
                now.start() <= then.end() && then.start() <= now.end()
            }
            Held::Other => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use slackwater_core::checkpoint::StateSummary;
    use slackwater_core::graph::{OperatorInfo, OperatorKind};

    use super::*;

    fn vertex(uids: &[&str], parallelism: u32) -> Vertex {
        let operator = |uid: &&str| OperatorInfo {
            kind: OperatorKind::Operator,
            name: (*uid).to_owned(),
            uid: Some((*uid).into()),
            note: String::new(),
            states: Vec::new(),
            formerly: Vec::new(),
        };
        let operators = uids.iter().map(operator).collect();
        Vertex { id: VertexId(7), name: "v".into(), parallelism, operators }
    }

    /// A vertex of a checkpoint: `sum` is held by key, `in` by item; `none` holds nothing.
    fn held(number: u32, uids: &[&str], parallelism: u32) -> VertexState {
        let summary = |uid: &&str| StateSummary {
            uid: (*uid).into(),
            state: "s".into(),
            schema: "u64".into(),
            keyed: *uid == "sum",
            entries: 1,
            bytes: 1,
        };
        let states = uids.iter().filter(|uid| **uid != "none").map(summary).collect();
        VertexState {
            vertex: VertexId(number),
            uids: uids.iter().map(|uid| (*uid).into()).collect(),
            parallelism,
            subtasks: vec![StateHandle::Inline(vec![1]); parallelism as usize],
            contents: Contents { states, ..Contents::default() },
        }
    }

    /// Which parts subtask `index` reads, as `vertex/index`.
    fn check(of: &[VertexState], now: &Vertex, index: u32, expected: &str) {
        let parts = needed((now, 128), index, of);
        let read: Vec<_> =
            parts.iter().map(|part| format!("{}/{}", part.vertex.0, part.index)).collect();
        assert_eq!(read.join(" "), expected, "{}[{index}]", now.name);
    }

    #[test]
    fn at_the_same_parallelism_each_subtask_reads_its_own_part() {
        let then = [held(0, &["in"], 2), held(1, &["sum", "out"], 3)];
        check(&then, &vertex(&["in"], 2), 1, "0/1");
        check(&then, &vertex(&["sum", "out"], 3), 2, "1/2");
    }

    #[test]
    fn at_another_one_keys_are_looked_for_where_their_groups_were_and_items_everywhere() {
        let then = [held(0, &["in"], 2), held(1, &["sum"], 4)];
        check(&then, &vertex(&["sum"], 2), 0, "1/0 1/1");
        check(&then, &vertex(&["sum"], 8), 5, "1/2");
        check(&then, &vertex(&["sum"], 3), 1, "1/1 1/2");
        check(&then, &vertex(&["sum"], 1), 0, "1/0 1/1 1/2 1/3");
        check(&then, &vertex(&["in"], 4), 3, "0/0 0/1");
    }

    #[test]
    fn operators_are_found_whatever_they_are_chained_with_now() {
        let then = [held(0, &["in", "sum"], 2), held(1, &["out"], 2)];
        check(&then, &vertex(&["in"], 2), 0, "0/0");
        check(&then, &vertex(&["sum", "out"], 2), 1, "0/1 1/1");
        check(&then, &vertex(&["sum", "out"], 4), 3, "0/1 1/0 1/1");
        check(&then, &vertex(&["new"], 2), 0, "");
    }

    #[test]
    fn parts_that_hold_nothing_of_the_operators_are_left_alone() {
        let mut then = [held(0, &["sum", "none"], 2)];
        check(&then, &vertex(&["none"], 2), 0, "");
        // Who does not say what it holds may hold anything.
        then[0].contents = Contents::default();
        check(&then, &vertex(&["none"], 2), 0, "0/0");
        check(&then, &vertex(&["sum"], 4), 3, "0/0 0/1");
    }
}
