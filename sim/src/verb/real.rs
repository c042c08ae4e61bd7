//! `check --world real`: plays scenario files on processes of this machine, one after the other, and
//! says of each what was judged, what could not be, and why a file was left out.
//! Judges nothing itself. Played by [`rehearse`]; in the simulator, files are played by
//! [`super::check`].

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slackwater_cli::exit::Exit;
use slackwater_dataflow::task::Programs;

use super::{Refusal, files, usage};
use crate::scenario::{Class, Rehearsed, Scenario, Turn, cannot, pauses, rehearse, turns};

/// Plays the first seed of every file that a machine can play, or these seeds.
pub(super) fn play(
    scenarios: Vec<Scenario>,
    seeds: Option<&[u64]>,
    journal: Option<&Path>,
    programs: &Arc<dyn Programs>,
) -> Result<Option<Class>, Refusal> {
    let environment =
        |error: &dyn std::fmt::Display| (Exit::Environment, format!("error: {error}"));
    let program = std::env::current_exe().map_err(|error| environment(&error))?;
    let mut out = std::io::stdout().lock();
    let (mut gravest, mut played) = (None, 0u32);
    for scenario in &scenarios {
        let mut all = turns(scenario, seeds);
        all.retain(|turn| seeds.is_some() || turn.place == 0);
        for turn in all {
            // A reader that has gone away is no failure of the scenarios.
            if let Some(why) = cannot(&scenario.cells[turn.cell]) {
                let _ = writeln!(out, "left  {}: {why}", scenario.name);
                continue;
            }
            let folder = Folder::new(played).map_err(|error| environment(&error))?;
            let rehearsed = match rehearse(scenario, turn, programs, (&program, &folder.0)) {
                Ok(rehearsed) => rehearsed,
                Err(why) => {
                    let _ = writeln!(out, "left  {}: {why}", scenario.name);
                    continue;
                }
            };
            played += 1;
            gravest = gravest.max(rehearsed.all_troubles().map(|trouble| trouble.class).max());
            let _ = writeln!(out, "{}", text(scenario, turn, &rehearsed));
            if let Some(path) = journal {
                files::write(path, |out| rehearsed.journal.write(out))?;
            }
        }
    }
    match played {
        0 => Err(usage("none of these files can be played on a real machine")),
        _ => Ok(gravest),
    }
}

/// A folder that goes when the story is over.
struct Folder(PathBuf);

impl Folder {
    #[expect(clippy::disallowed_methods, reason = "the machine's own files")]
    fn new(number: u32) -> std::io::Result<Self> {
        let name = format!("slackwater-real-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _stays = std::fs::remove_dir_all(&self.0);
    }
}

/// What came of one run.
fn text(scenario: &Scenario, turn: Turn, run: &Rehearsed) -> String {
    let word = if run.all_troubles().next().is_some() { "FAIL" } else { "ok  " };
    let (name, cell) = (&scenario.name, &scenario.cells[turn.cell].name);
    let cell = if scenario.cells.len() > 1 { format!(" [{cell}]") } else { String::new() };
    let (seconds, facts) = (run.time.as_secs_f64(), run.journal.entries().len());
    let mut text = format!("{word}  {name}{cell}: on processes, {seconds:.1} s, {facts} facts");
    let mut add = |line: String| {
        text.push_str("\n      ");
        text.push_str(&line);
    };
    run.faults.iter().for_each(|fault| add(fault.clone()));
    for (node, at, until) in pauses(&run.journal) {
        let at = (at.as_secs_f64(), until.map(|until| (until - at).as_secs_f64()));
        add(match at {
            (at, Some(after)) => {
                format!(
                    "{at:.3} s {node} is gone: a newer row than all before is written {after:.3} s later"
                )
            }
            (at, None) => format!("{at:.3} s {node} is gone: no newer row is written"),
        });
    }
    let width = run.judged.iter().map(|judged| judged.check.len()).fold(20, usize::max);
    for judged in &run.judged {
        let summary = &judged.outcome.summary;
        add(format!("{:<width$}  {}: {summary}", judged.check, judged.word()));
    }
    for (check, why) in &run.unjudged {
        add(format!("{check:<width$}  not judged: {why}"));
    }
    for trouble in run.all_troubles() {
        add(format!("{:<8} {}", trouble.class, trouble.what));
    }
    text
}
