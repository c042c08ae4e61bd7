//! State and its bytes: what survives a task, and what is refused by name.
//! Nothing here runs an operator: windows are tried in [`crate::window`].
//! `check_refused` changes one thing about a section and expects the complaint.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use slackwater_core::codec::{self, Kind};
use slackwater_core::key::Key;
use slackwater_core::schema::Fingerprint;
use slackwater_core::time::{EventTime, ProcessingTime};

use super::*;

fn all_groups() -> Groups {
    Groups::of_subtask(0, 1, 128)
}

fn counted<K: Key>(groups: Groups, keys: impl IntoIterator<Item = K>) -> KeyedState<K, u64> {
    let state = KeyedState::new("counter", "count", groups);
    for key in keys {
        *state.values().get_mut_or_insert(key, || 0).expect("owned") += 1;
    }
    state
}

fn sections<K: Key>(state: &KeyedState<K, u64>) -> Vec<Section> {
    state.snapshot().expect("serializable")
}

fn by_group(sections: impl IntoIterator<Item = Section>) -> BTreeMap<Share, Vec<u8>> {
    sections.into_iter().map(|section| (section.share, section.bytes)).collect()
}

#[test]
fn a_value_is_found_again_through_its_key() {
    let state = counted(all_groups(), ["a", "b", "a"].map(String::from));
    assert_eq!(state.values().get(&"a".to_owned()), Some(&2));
    assert_eq!(state.values().get(&"c".to_owned()), None);
    assert_eq!(state.len(), 2);
}

#[test]
fn a_key_of_another_subtasks_group_is_refused() {
    let groups = Groups::of_subtask(1, 2, 128);
    let foreign = (0u64..).find(|key| groups.position(key.hash64()) >= groups.len());
    let state = KeyedState::<u64, u64>::new("counter", "count", groups);
    let error = state
        .values()
        .get_mut_or_insert(foreign.expect("half of them"), || 0)
        .expect_err("refused");
    assert!(error.to_string().contains("belongs to a key group of another subtask"), "{error}");
}

#[test]
fn state_goes_from_one_subtask_to_three_to_two_and_back_unchanged() {
    let first = sections(&counted(all_groups(), 0u64..3_000));
    let mut moved = first.clone();
    for parallelism in [3, 2, 1] {
        let mut next = Vec::new();
        for index in (0..parallelism).rev() {
            let groups = Groups::of_subtask(index, parallelism, 128);
            let state = KeyedState::<u64, u64>::new("counter", "count", groups);
            state.restore(&moved).expect("restores");
            next.extend(sections(&state));
        }
        moved = next;
    }
    assert_eq!(by_group(moved), by_group(first));
}

#[test]
fn sections_of_other_operators_and_states_are_passed_over() {
    let mut all = sections(&counted(all_groups(), [1u64]));
    for (uid, name) in [("other", "count"), ("counter", "other")] {
        let state = KeyedState::<u64, String>::new(uid, name, all_groups());
        *state.values().get_mut_or_insert(1, String::new).expect("owned") = "not a number".into();
        all.extend(state.snapshot().expect("serializable"));
    }
    let state = KeyedState::<u64, u64>::new("counter", "count", all_groups());
    state.restore(&all).expect("restores");
    assert_eq!((state.len(), state.values().get(&1)), (1, Some(&1)));
}

/// Restores what `change` made of the section of key 1 and gives the complaint.
fn complaint<S: slackwater_core::Data>(change: impl FnOnce(&mut Vec<Section>)) -> String {
    let mut changed = sections(&counted(all_groups(), [1u64]));
    change(&mut changed);
    let state = KeyedState::<u64, S>::new("counter", "count", all_groups());
    let error = state.restore(&changed).expect_err("refused");
    let complaint = error.to_string();
    let named = "state \"count\", key group 115, of operator \"counter\": ";
    complaint.strip_prefix(named).unwrap_or_else(|| panic!("{complaint}")).to_owned()
}

#[test]
fn what_is_damaged_newer_doubled_or_misfiled_is_refused_by_name() {
    let damaged = complaint::<u64>(|sections| sections[0].bytes[40] ^= 1);
    assert_eq!(damaged, "the checksum does not match: the bytes are damaged");
    let newer = complaint::<u64>(|sections| {
        sections[0].bytes = codec::seal(Kind::State, 9, Fingerprint(0), &[]);
    });
    assert_eq!(newer, "format version 9 is newer than 1, the newest known here");
    let doubled = complaint::<u64>(|sections| sections.push(sections[0].clone()));
    assert_eq!(doubled, "there are two such sections");
    let other = sections(&counted(all_groups(), [0u64])).remove(0);
    let misfiled = complaint::<u64>(|sections| sections[0].bytes = other.bytes);
    assert_eq!(
        misfiled,
        "the section holds state \"count\", key group 89, of operator \"counter\""
    );
    let cut = complaint::<u64>(|sections| {
        let opened = codec::open(&sections[0].bytes, Kind::State, 1).expect("whole");
        let short = &opened.payload[..opened.payload.len() - 1];
        sections[0].bytes = codec::seal(Kind::State, 1, opened.schema, short);
    });
    assert_eq!(cut, "malformed: an entry is cut short");
}

#[test]
fn another_type_is_refused_before_a_value_is_decoded() {
    assert_eq!(complaint::<i64>(|_| ()), "written as (u64, u64), expected (u64, i64)");
    let text = complaint::<String>(|_| ());
    assert_eq!(text, "written as (u64, u64), expected (u64, str)");
}

#[test]
fn another_maximum_parallelism_is_refused() {
    let written = sections(&counted(all_groups(), [1u64]));
    let state = KeyedState::<u64, u64>::new("counter", "count", Groups::of_subtask(0, 1, 256));
    let error = state.restore(&written).expect_err("refused").to_string();
    assert!(error.contains("written at a maximum parallelism of 128, expected 256"), "{error}");
}

#[test]
fn the_bytes_of_a_section_are_pinned_for_ever() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Reading {
        name: String,
        count: u32,
    }
    let state = KeyedState::<String, Reading>::new("sensors", "last", all_groups());
    let reading = || Reading { name: "p".into(), count: 7 };
    state.values().get_mut_or_insert("pressure".into(), reading).expect("owned");
    let section = state.snapshot().expect("serializable").remove(0);
    let hex: String = section.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, PINNED);
}

/// Envelope, header, the one entry, checksum.
const PINNED: &str = "\
    534c4b5701000100495ba1711bb457dc95000000000000007000000086a3756964a773656e736f7273a57374\
    617465a46c617374a5736861726581a547726f75706faf6d61785f706172616c6c656c69736dcc80a6736368\
    656d61d926287374722c2052656164696e67207b6e616d653a207374722c20636f756e743a207533327d29a7\
    656e7472696573010a000000707265737375726500000f00000082a46e616d65a170a5636f756e7407025ce5\
    f216ee5623";

#[test]
fn timers_are_due_by_instant_then_key_group_then_key() {
    let mut timers = Timers::<EventTime, u64>::new("op", "event timers", all_groups());
    for (at, key) in [(20, 1), (10, 0), (10, 1), (10, 1), (30, 5)] {
        timers.set(EventTime::from_millis(at), key);
    }
    assert!(timers.remove(EventTime::from_millis(30), 5));
    assert!(!timers.remove(EventTime::from_millis(30), 5));
    let mut due = |now| {
        let pop = || timers.pop_due(EventTime::from_millis(now));
        std::iter::from_fn(pop).map(|t| (t.at.as_millis(), t.group.0, t.key)).collect::<Vec<_>>()
    };
    assert_eq!(due(9), []);
    assert_eq!(due(19), [(10, 89, 0), (10, 115, 1)]);
    assert_eq!(due(20), [(20, 115, 1)]);
}

#[test]
fn timers_move_with_their_key_groups() {
    let timers = |index, parallelism| {
        let groups = Groups::of_subtask(index, parallelism, 128);
        Timers::<ProcessingTime, u64>::new("op", "timers", groups)
    };
    let mut one = timers(0, 1);
    (0..500).for_each(|key| one.set(ProcessingTime::from_millis(key as i64 % 7), key));
    let written = one.snapshot().expect("serializable");
    let mut moved = Vec::new();
    for index in 0..3 {
        let mut part = timers(index, 3);
        part.restore(&written).expect("restores");
        moved.extend(part.snapshot().expect("serializable"));
    }
    assert_eq!(by_group(moved), by_group(written));
}

proptest! {
    #[test]
    fn the_order_of_insertion_leaves_no_trace_in_the_bytes(
        mut keys in prop::collection::vec("[a-c]{0,4}", 0..60),
        turn in 0usize..60,
    ) {
        let written = by_group(sections(&counted(all_groups(), keys.clone())));
        let turned = turn.min(keys.len());
        keys.rotate_left(turned);
        prop_assert_eq!(&by_group(sections(&counted(all_groups(), keys.clone()))), &written);
        keys.reverse();
        prop_assert_eq!(&by_group(sections(&counted(all_groups(), keys))), &written);
    }
}

/// What is done to state while a fork of it is read.
#[derive(Clone, Debug)]
enum Done {
    Count(Vec<u16>),
    Slice,
    Fork,
    Drop,
}

fn done() -> impl Strategy<Value = Done> {
    prop_oneof![
        3 => prop::collection::vec(0u16..2_000, 0..60).prop_map(Done::Count),
        4 => Just(Done::Slice),
        1 => Just(Done::Fork),
        1 => Just(Done::Drop),
    ]
}

/// A fork that is open, what it must give, and what it has given so far.
type Reading = (Box<dyn Fork>, Vec<Section>, Vec<Section>);

/// Reads a slice; whether there was one.
fn read(fork: &mut dyn Fork, sections: &mut Vec<Section>) -> bool {
    let Some(slice) = fork.next_section() else { return false };
    sections.extend(slice.expect("serializable"));
    true
}

proptest! {
    #[test]
    fn a_fork_is_the_state_of_its_moment_whatever_happens_meanwhile(
        before in prop::collection::vec(0u16..2_000, 0..1_500),
        steps in prop::collection::vec(done(), 0..120),
    ) {
        let state = counted(all_groups(), before.into_iter().map(u64::from));
        let mut forks: Vec<Reading> = Vec::new();
        for step in steps {
            match step {
                Done::Count(keys) => {
                    let mut values = state.values();
                    for key in keys {
                        *values.get_mut_or_insert(key.into(), || 0).expect("owned") += 1;
                    }
                }
                Done::Slice => {
                    forks.first_mut().map(|(fork, _, given)| read(&mut **fork, given));
                }
                Done::Fork => {
                    // A copy that nobody changes tells what the fork must give.
                    let copy = KeyedState::<u64, u64>::new("counter", "count", all_groups());
                    copy.restore(&sections(&state)).expect("restores");
                    forks.push((state.fork().expect("a fork"), sections(&copy), Vec::new()));
                }
                Done::Drop => drop(forks.pop()),
            }
        }
        for (mut fork, expected, mut given) in forks {
            while read(&mut *fork, &mut given) {}
            prop_assert_eq!(given, expected);
        }
    }
}

#[test]
fn a_fork_that_nobody_reads_is_paid_batch_by_batch() {
    let state = counted(all_groups(), 0u64..1_000);
    let expected = sections(&state);
    let mut fork = state.fork().expect("a fork");
    for _ in 0..100 {
        let mut values = state.values();
        (0..1_000).for_each(|key| *values.get_mut_or_insert(key, || 0).expect("owned") += 1);
    }
    let mut given = Vec::new();
    while read(&mut *fork, &mut given) {}
    assert_eq!(given, expected);
}

#[test]
fn list_state_is_written_and_read_by_item() {
    let name = || StateName::new("source", "position");
    let writer = SectionWriter::list(name()).expect("a shape");
    let written: Vec<_> =
        (0..5u32).map(|item| writer.write_item(item, &(item * 10)).expect("plain")).collect();
    let reader = SectionReader::<_, u32>::list(name()).expect("a shape");
    let read = reader.read_items(&written, |item| item % 2 == 1).expect("whole");
    assert_eq!(read, BTreeMap::from([(1, 10), (3, 30)]));
    let twice = [written.clone(), written].concat();
    let error = reader.read_items(&twice, |item| item == 3).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "state \"position\", item 3, of operator \"source\": there are two such sections"
    );
    let other = SectionReader::<_, String>::list(name()).expect("a shape");
    let error = other.read_items(&twice, |item| item == 1).expect_err("refused");
    assert!(error.to_string().ends_with("written as ((), u32), expected ((), str)"), "{error}");
}
