//! `--report DIR`: a page for every run that failed, or for the one that was asked for, and an index.
//! Failing runs are played again for it, so that nobody has to keep every journal; equal runs give
//! equal pages. What stands on a page is [`crate::report::timeline`]'s.

use std::path::Path;
use std::sync::Arc;

use slackwater_cli::exit::Exit;
use slackwater_dataflow::task::Programs;

use super::{Refusal, files};
use crate::campaign::Checked;
use crate::report::timeline::{index, page, page_name};
use crate::scenario::{CalmRuns, Played, Scenario, play_prepared, prepare};

/// How many pages a scenario has at most.
const PAGES_MAX: usize = 12;

/// Writes the pages of failing runs; of a single run its page in any case.
pub(super) fn write(
    folder: &Path,
    all: &[Checked],
    programs: &Arc<dyn Programs>,
) -> Result<(), Refusal> {
    made(folder)?;
    let is_one = all.iter().map(|checked| checked.played.len()).sum::<usize>() == 1;
    let mut pages = Vec::new();
    for Checked { scenario, played } in all {
        let failed = played.iter().filter(|played| is_one || fails(played));
        for played in failed.take(PAGES_MAX) {
            let again = again(scenario, played, programs);
            pages.push(write_one(folder, scenario, &again)?);
        }
    }
    files::write(&folder.join("index.html"), |out| out.write_all(index(&pages).as_bytes()))
}

/// Writes the page of a run whose journal was kept; gives its name, and whether the run failed.
pub(super) fn write_one(
    folder: &Path,
    scenario: &Scenario,
    played: &Played,
) -> Result<(String, bool), Refusal> {
    made(folder)?;
    let name = page_name(scenario, played);
    let html = page(scenario, played).unwrap_or_default();
    let path = folder.join(format!("{name}.html"));
    files::write(&path, |out| out.write_all(html.as_bytes()))?;
    Ok((name, fails(played)))
}

fn fails(played: &Played) -> bool {
    played.all_troubles().next().is_some()
}

/// The same run once more, with its journal.
fn again(scenario: &Scenario, played: &Played, programs: &Arc<dyn Programs>) -> Played {
    let prepared = prepare(scenario, played.turn, programs, &CalmRuns::default());
    let at = (played.turn, played.instant.clone());
    play_prepared(scenario, at, &prepared, programs, true)
}

#[expect(clippy::disallowed_methods, reason = "the harness writes what it was told to, on no host")]
fn made(folder: &Path) -> Result<(), Refusal> {
    std::fs::create_dir_all(folder).map_err(|error| {
        (Exit::Environment, format!("error: cannot make {}: {error}", folder.display()))
    })
}
