//! The promise that nothing is lost or invented on the way through a store: every part of every
//! completed checkpoint is taken up by fresh operators, and a checkpoint of these, taken at once, is
//! the same byte for byte. What must be in it, the oracles of `slackwater-sim` say; what sinks keep
//! lies outside, and is theirs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use slackwater::prelude::*;
use slackwater_core::checkpoint::{CheckpointMetadata, StateHandle};
use slackwater_core::codec::{self, Kind};
use slackwater_core::element::{Barrier, BarrierKind, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{Execution, Subtask};
use slackwater_core::program::Program;
use slackwater_core::time::ProcessingTime;
use slackwater_dataflow::operator::{Context, Counts, Outputs};
use slackwater_dataflow::state::{Restored, Section};
use slackwater_dataflow::task::{Instance, Programs};
use slackwater_runtime::host::{Host, outside};
use slackwater_sim::world::cluster::{Cluster, submit};
use slackwater_sim::world::{Main, World};

/// Every object that was ever put into the store of a run of this program.
fn stored(program: Program) -> BTreeMap<String, Vec<u8>> {
    let run = Cluster::new(Arc::new(slackwater_jobs::catalog()))
        .task_managers(2, 2)
        .job_managers(1)
        .on(World::new(11))
        .at(ms(200), submit("job", program))
        .until_jobs_are_final(1)
        .limit(secs(60))
        .run();
    let put = |fact: &Fact| match fact {
        Fact::StorePut { path, content, .. } => Some((path.clone(), content.0.clone())),
        _ => None,
    };
    run.journal.entries().iter().filter_map(|entry| put(&entry.fact)).collect()
}

/// The sections of a state file, behind its head.
fn sections(file: &[u8]) -> Vec<Section> {
    let head = codec::open(file, Kind::StateFile, 1).expect("a state file");
    let (mut rest, mut sections) = (&file[head.length..], Vec::new());
    while !rest.is_empty() {
        let (section, behind) = postcard::take_from_bytes(rest).expect("a section");
        sections.push(section);
        rest = behind;
    }
    sections
}

/// What fresh operators keep if a barrier passes them as soon as they have taken `restored` up.
fn again(instance: &mut Instance, task: Execution, restored: &Restored) -> Vec<Section> {
    let (mut outputs, counts) = (Outputs::default(), Counts::default());
    outputs.limit = usize::MAX;
    let tell = |_: Fact| {};
    let mut cx = Context::new(
        task,
        ProcessingTime::from_millis(0),
        (Detail::Off, &tell),
        &mut outputs,
        &counts,
    );
    let checkpoint = restored.checkpoint.expect("one is restored");
    let barrier = Barrier { checkpoint, kind: BarrierKind::Checkpoint };
    instance.chain.restore(restored).expect("what was written can be read");
    match &mut instance.source {
        Some(source) => {
            source.restore(restored).expect("what was written can be read");
            source.barrier(barrier, instance.chain.as_mut(), &mut cx).expect("a barrier passes");
        }
        None => instance.chain.signal(Signal::Barrier(barrier), &mut cx).expect("a barrier passes"),
    }
    let kept = outputs
        .kept
        .into_iter()
        .flat_map(|mut fork| std::iter::from_fn(move || fork.next_section()).collect::<Vec<_>>());
    kept.filter_map(|section| section.expect("it is written")).collect()
}

/// Takes every part of a checkpoint up and compares; how many sections there were.
fn round_trip(
    host: &Arc<dyn Host>,
    metadata: &CheckpointMetadata,
    files: &BTreeMap<String, Vec<u8>>,
) -> u64 {
    let plan = slackwater_jobs::catalog().plan(&metadata.program).expect("it ran");
    let mut compared = 0;
    for state in &metadata.vertices {
        for (index, handle) in (0..).zip(&state.subtasks) {
            let StateHandle::File(file) = handle else { continue };
            let restored = Restored {
                checkpoint: Some(metadata.checkpoint),
                sections: sections(&files[&file.path]),
                ..Restored::default()
            };
            let subtask = Subtask { vertex: state.vertex, index };
            let CheckpointMetadata { job, epoch, attempt, .. } = *metadata;
            let task = Execution { job, epoch, attempt, subtask };
            let code = &plan.vertices[state.vertex.0 as usize];
            let mut instance =
                code.open(task, &outside(Arc::clone(host))).expect("connectors open");
            let mut own = restored.sections.clone();
            own.retain(|section| section.state != "transactions");
            assert_eq!(again(&mut instance, task, &restored), own, "{subtask} of {}", file.path);
            compared += own.len() as u64;
        }
    }
    compared
}

/// How many checkpoints, and sections in them, made the way there and back.
fn check(program: Program) -> (u64, u64) {
    let files = Arc::new(stored(program));
    let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let (mine, seen) = (Arc::clone(&files), Arc::clone(&counts));
    let reader: Main = Arc::new(move |host| {
        let (files, seen) = (Arc::clone(&mine), Arc::clone(&seen));
        Box::pin(async move {
            for (path, bytes) in files.iter().filter(|(path, _)| path.contains("/_metadata-")) {
                let metadata = CheckpointMetadata::open(bytes).expect("metadata");
                seen[1].fetch_add(round_trip(&host, &metadata, &files), Ordering::Relaxed);
                seen[0].fetch_add(1, Ordering::Relaxed);
                assert!(path.contains(&metadata.job.to_string()));
            }
        })
    });
    let run = World::new(1).node("reader", reader).limit(secs(1)).run();
    let panicked = run.journal.entries().iter().find_map(|entry| match &entry.fact {
        Fact::Panicked { message, .. } => Some(message),
        _ => None,
    });
    assert_eq!(panicked, None);
    (counts[0].load(Ordering::Relaxed), counts[1].load(Ordering::Relaxed))
}

#[test]
fn every_checkpoint_of_the_ledger_and_the_demo_survives_the_way_through_the_store() {
    let ledger = Program::named("ledger")
        .set("parallelism", 3)
        .set("rows", 600)
        .set("every", "10ms")
        .set("accounts", 200)
        .set("sink", "two_phase")
        .set("checkpoint", "300ms");
    let demo = Program::named("oscon")
        .set("wave", 25)
        .set("parallelism", 2)
        .set("until", "6s")
        .set("checkpoint", "300ms");
    for program in [ledger, demo] {
        let name = program.name.clone();
        let (checkpoints, sections) = check(program);
        assert!(checkpoints > 15 && sections > 100, "{name}: {sections} of {checkpoints}");
    }
}
