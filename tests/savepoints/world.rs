//! Savepoints over a store in a world: what a person types there, and what is left of a removal that
//! is cut short at any instant. No cluster runs; the store holds a golden savepoint. What the same
//! lines do at a terminal is in [`super`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use slackwater_core::time::{ms, secs};
use slackwater_runtime::host::Host;
use slackwater_sim::world::cluster::{CLIENT, Cluster};
use slackwater_sim::world::{Action, Main, World};

/// What lines were answered with, one after the other.
type Heard = Arc<Mutex<Vec<String>>>;

/// The golden savepoint as the objects of a store, in the folder `kept`.
fn kept() -> BTreeMap<String, Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format-2/oscon");
    let files = fs::read_dir(golden).expect("a golden").map(|entry| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        (format!("kept/oscon/{name}"), fs::read(entry.path()).expect("a file"))
    });
    files.collect()
}

/// Types a line, and gives its answer.
async fn types(host: &Arc<dyn Host>, line: &str) -> String {
    let mut out = Vec::new();
    let programs = slackwater_jobs::catalog();
    let ids = host.random("typed");
    let mut terminal = slackwater::cli::remote::Terminal {
        host,
        programs: &programs,
        ids,
        delivers: None,
        out: &mut out,
    };
    let verb = slackwater::cli::typed(line).expect("a line");
    let ended = slackwater::cli::remote::perform(&mut terminal, &verb).await;
    let said = String::from_utf8_lossy(&out).into_owned();
    match ended {
        Ok(()) => said,
        Err(failure) => format!("{said}error: {failure}"),
    }
}

/// A world in which a line is typed that has this long, and then others.
fn cut_short(line: &'static str, after_ms: u64, then: &'static [&'static str]) -> Vec<String> {
    let heard = Heard::default();
    let told = Arc::clone(&heard);
    let main: Main = Arc::new(move |host| {
        let told = Arc::clone(&told);
        Box::pin(async move {
            tokio::select! {
                biased;
                said = types(&host, line) => told.lock().expect("one thread").push(said),
                () = host.sleep(ms(after_ms)) => {}
            }
            for line in then {
                let said = types(&host, line).await;
                told.lock().expect("one thread").push(said);
            }
        })
    });
    let cluster = Cluster::new(Arc::new(slackwater_jobs::catalog())).task_managers(1, 1);
    let world = cluster.on(World::new(7).limit(secs(5)).store(kept()));
    drop(world.at(ms(100), Action::Run { node: CLIENT.to_owned(), main }).run());
    heard.lock().expect("one thread").clone()
}

#[test]
fn a_removal_that_is_cut_short_leaves_a_whole_savepoint_or_none() {
    const LOOK: &[&str] = &[
        "savepoint list file:///kept",
        "savepoint show --verify file:///kept/oscon",
        "savepoint rm --half file:///kept/oscon",
        "savepoint list file:///kept",
    ];
    let (mut whole, mut half, mut gone) = (0, 0, 0);
    for after_ms in 0..120 {
        let heard = cut_short("savepoint rm file:///kept/oscon", after_ms, LOOK);
        let [list, show, remove, last] = &heard[heard.len() - 4..] else {
            panic!("{heard:?}");
        };
        match (list.starts_with("oscon "), list.contains("half of a savepoint")) {
            (true, false) => {
                whole += 1;
                assert!(show.contains("every checksum is right"), "{after_ms} ms: {heard:?}");
            }
            (false, true) => {
                half += 1;
                assert!(show.contains("it holds state, but no _metadata"), "{heard:?}");
            }
            _ => {
                gone += 1;
                assert!(show.contains("nothing lies there"), "{after_ms} ms: {heard:?}");
                assert!(remove.contains("nothing lies there"), "{after_ms} ms: {heard:?}");
            }
        }
        assert_eq!(last, "no savepoints\n", "{after_ms} ms: {heard:?}");
    }
    assert!(whole > 0 && half > 0 && gone > 0, "{whole} whole, {half} half, {gone} gone");
}
