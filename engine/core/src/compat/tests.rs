//! What a program keeps, changes and loses, told of small graphs: one sentence each.
//! Nothing here reads a byte of state; the metadata is written by hand.
//! What is tried is the room above, [`super`].

use std::time::Duration;

use super::*;
use crate::checkpoint::{CheckpointKind, METADATA_FORMAT, StateHandle, StateSummary, VertexState};
use crate::graph::{Restart, Vertex};
use crate::id::{Attempt, CheckpointId, JobEpoch, JobId, VertexId};
use crate::program::Program;
use crate::time::{EventTime, ProcessingTime};

fn held(uid: &str, state: &str, schema: &str) -> StateSummary {
    let (uid, state, schema) = (uid.into(), state.to_owned(), schema.to_owned());
    StateSummary { uid, state, schema, keyed: true, entries: 3, bytes: 40 }
}

fn metadata(states: Vec<StateSummary>) -> CheckpointMetadata {
    let watermarks = vec![("sums".into(), EventTime::from_millis(5_000))];
    let contents = Contents { states, positions: Vec::new(), watermarks };
    let uids = contents.states.iter().map(|state| state.uid.clone()).collect();
    let subtasks = vec![StateHandle::Inline(vec![0])];
    CheckpointMetadata {
        format: METADATA_FORMAT,
        job: JobId(1),
        checkpoint: CheckpointId(1),
        kind: CheckpointKind::Savepoint,
        epoch: JobEpoch(1),
        attempt: Attempt(1),
        program: Program::named("job"),
        triggered: ProcessingTime::from_millis(0),
        completed: ProcessingTime::from_millis(0),
        max_parallelism: 8,
        vertices: vec![VertexState {
            vertex: VertexId(0),
            uids,
            parallelism: 1,
            subtasks,
            contents,
        }],
        finished: Vec::new(),
        last: false,
        ending: None,
    }
}

fn operator(uid: &str, formerly: &[&str], states: &[(&str, &str, &[&str])]) -> OperatorInfo {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let state = |(name, schema, migrates): &(&str, &str, &[&str])| StateInfo {
        name: (*name).to_owned(),
        schema: (*schema).to_owned(),
        keyed: true,
        migrates: texts(migrates),
    };
    OperatorInfo {
        kind: if uid == "source" { OperatorKind::Source } else { OperatorKind::Operator },
        name: uid.to_owned(),
        uid: Some(uid.into()),
        note: String::new(),
        states: states.iter().map(state).collect(),
        formerly: formerly.iter().map(|uid| Uid::from(*uid)).collect(),
    }
}

fn graph(operators: Vec<OperatorInfo>) -> JobGraph {
    JobGraph {
        name: "job".into(),
        max_parallelism: 8,
        restart: Restart::fixed(1, Duration::ZERO),
        checkpoints: None,
        latency_every: None,
        vertices: vec![Vertex { id: VertexId(0), name: "v".into(), parallelism: 1, operators }],
        edges: Vec::new(),
    }
}

fn from(allow_non_restored: bool, reset_watermarks: bool) -> StartFrom {
    StartFrom { path: "sp".into(), allow_non_restored, reset_watermarks }
}

fn reasons(comparison: &Comparison, from: &StartFrom) -> String {
    comparison.verdict(from).err().unwrap_or_default().join("; ")
}

#[test]
fn every_state_is_kept_migrated_changed_new_or_lost() {
    let savepoint = metadata(vec![
        held("sums", "scan", "(str, i64)"),
        held("counts", "scan", "(str, u32)"),
        held("old", "scan", "(str, u8)"),
        held("gone", "scan", "(str, u8)"),
    ]);
    let compared = compare(
        &savepoint,
        &graph(vec![
            operator("sums", &[], &[("scan", "(str, i64)", &[])]),
            operator("counts", &[], &[("scan", "(str, u64)", &["(str, u32)"])]),
            operator("renamed", &["old"], &[("scan", "(str, u8)", &[])]),
            operator("added", &[], &[("scan", "(str, u8)", &[])]),
        ]),
    );
    let told = [
        "kept      sums.scan     3 entries, 40 bytes",
        "migrated  counts.scan   3 entries, 40 bytes",
        "          (str, u32) -> (str, u64)",
        "kept      renamed.scan  3 entries, 40 bytes, was \"old\"",
        "new       added.scan",
        "lost      gone.scan     3 entries, 40 bytes",
    ];
    assert_eq!(compared.to_string().lines().collect::<Vec<_>>(), told);
    assert!(compared.loses());
    let why = reasons(&compared, &from(false, false));
    assert!(why.contains("no operator takes up state \"scan\" of \"gone\""), "{why}");
    assert_eq!(compared.verdict(&from(true, false)), Ok(()), "what is lost was allowed");
}

#[test]
fn a_changed_type_is_refused_field_by_field_whatever_is_allowed() {
    let savepoint = metadata(vec![held("sums", "scan", "(str, Sum {total: i64})")]);
    let wants = ("scan", "(str, Sum {total: i64, unit: str})", &[][..]);
    let compared = compare(&savepoint, &graph(vec![operator("sums", &[], &[wants])]));
    let why = reasons(&compared, &from(true, true));
    assert!(why.contains("field unit: str is not in it"), "{why}");
    assert!(compared.loses());
}

#[test]
fn key_groups_and_the_end_of_event_time_are_not_for_taking_over() {
    let mut savepoint = metadata(vec![held("sums", "scan", "(str, i64)")]);
    savepoint.max_parallelism = 128;
    savepoint.ending = Some(Ending::Drain);
    let wants = operator("sums", &[], &[("scan", "(str, i64)", &[])]);
    let compared = compare(&savepoint, &graph(vec![wants]));
    let why = reasons(&compared, &from(true, false));
    assert!(why.contains("128 key groups") && why.contains("--reset-watermarks"), "{why}");
    assert!(!reasons(&compared, &from(true, true)).contains("--reset-watermarks"));
}

#[test]
fn a_source_that_is_new_behind_an_old_watermark_is_warned_of() {
    let savepoint = metadata(vec![held("sums", "scan", "(str, i64)")]);
    let source = operator("source", &[], &[("position", "((), u64)", &[])]);
    let sums = operator("sums", &[], &[("scan", "(str, i64)", &[])]);
    let compared = compare(&savepoint, &graph(vec![source, sums]));
    assert_eq!(compared.warnings.len(), 1, "{compared}");
    assert!(compared.warnings[0].contains("\"source\" is new"), "{compared}");
    assert_eq!(compared.verdict(&from(false, false)), Ok(()));
}

#[test]
fn format_1_names_operators_only() {
    let mut savepoint = metadata(vec![held("sums", "scan", ""), held("gone", "scan", "")]);
    savepoint.vertices[0].contents = Contents::default();
    let sums = operator("sums", &[], &[("scan", "(str, i64)", &[])]);
    let compared = compare(&savepoint, &graph(vec![sums]));
    let fates: Vec<_> = compared.lines.iter().map(|line| (&*line.uid.0, &line.fate)).collect();
    assert_eq!(fates, [("sums", &Fate::Unknown), ("gone", &Fate::Lost)]);
}

#[test]
fn state_that_two_operators_have_left_belongs_to_neither() {
    let savepoint =
        metadata(vec![held("sums", "scan", "(str, i64)"), held("totals", "scan", "(str, i64)")]);
    let both = operator("totals", &["sums"], &[("scan", "(str, i64)", &[])]);
    let compared = compare(&savepoint, &graph(vec![both]));
    assert!(compared.loses());
    let expected = "operator \"totals\" would take up state \"scan\" of \"totals\" and of \"sums\"";
    let why = reasons(&compared, &from(true, true));
    assert!(why.starts_with(expected), "no flag allows it: {why}");
}
