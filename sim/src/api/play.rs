//! Plays what a test says and tells what came of it: a report, or a panic on one screen with the
//! seed, what broke, and the commands that show it again.
//! Judges nothing. Worlds are [`crate::campaign`]'s, texts [`crate::report`]'s; the document comes
//! from [`super::checking`].

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use slackwater_dataflow::task::Programs;

use super::checking::Checking;
use super::observed::{Observed, Table};
use crate::campaign::{Checked, Extent, play_all};
use crate::inquest::{self, Budget, Suspect, inquire, text};
use crate::journal::Journal;
use crate::report;
use crate::scenario::values::Seeds;
use crate::scenario::{Played, Scenario};
use crate::verb::files::aside;

/// Other seeds than the test's: `7`, `0x2f1c` or `0..1000`.
const SEED: &str = "SLACKWATER_SEED";
/// A scenario file to be played in place of what the test says; its claims are the test's.
const FILE: &str = "SLACKWATER_FILE";
/// How long a failing test looks for a smaller run.
const SHRINK_MAX: Duration = Duration::from_secs(20);
/// One instant of a sweep.
const INSTANT: &str = "SLACKWATER_INSTANT";

/// What came of a check that passed.
pub struct Report {
    checked: Checked,
    programs: Arc<dyn Programs>,
    first: OnceLock<Journal>,
}

impl Report {
    /// The visible rows of a series at the end of the first run.
    pub fn table<'a>(&'a self, series: &'a str) -> Table<'a> {
        self.observed().table(series)
    }

    /// The first run at its end. It is played again for whoever asks, which gives the same.
    pub fn observed(&self) -> Observed<'_> {
        let journal = self.first.get_or_init(|| {
            let scenario = self.checked.scenario.clone();
            let seed = self.checked.played.first().map(|played| played.turn.seed);
            let instant = scenario.is_sweep().then_some(0);
            let seeds = seed.map(|seed| vec![seed]);
            let extent = Extent { seeds, instant, journal: true, ..Extent::default() };
            let again = play_all(vec![scenario], &extent, &self.programs);
            let mut journals = again.into_iter().flat_map(|checked| checked.played);
            journals.find_map(|played| played.journal).unwrap_or_default()
        });
        Observed::all_of(journal)
    }

    /// Every run, in the order of the seeds.
    pub fn runs(&self) -> &[Played] {
        &self.checked.played
    }
}

impl fmt::Display for Report {
    /// The accepted report: stable text for a snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&report::accepted(&self.checked.scenario, &self.checked.played))
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&report::line(&self.checked.scenario, &self.checked.played, true))
    }
}

/// What is wrong with a check: what broke, under which seed, and how to see it again.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Plays a check.
pub(super) fn run(checking: &Checking, shrink: Shrink) -> Result<Report, Failure> {
    let programs = checking.programs();
    let name = file_name(&checking.name);
    let path = aside().join(format!("{name}.toml"));
    let seeds = asked(SEED).map(|text| Seeds::parse(&text)).transpose();
    let seeds = seeds.map_err(|why| Failure(format!("{SEED}: {why}")))?.map(|seeds| seeds.0);
    let horizon = horizon(checking, &programs);
    let text = match asked(FILE) {
        Some(file) => read(Path::new(&file)).map_err(|why| Failure(format!("{FILE}: {why}")))?,
        None => text(&checking.document(seeds.as_deref(), horizon)),
    };
    let scenario = Scenario::read(&path.display().to_string(), &text, &programs);
    let mut scenario = scenario.map_err(|mistake| Failure(format!("\n{}", mistake.render())))?;
    scenario.test = Some(checking.name.clone());
    let instant = asked(INSTANT).and_then(|text| text.parse().ok());
    let extent = Extent { seeds, instant, thin: true, ..Extent::default() };
    let mut all = play_all(vec![scenario], &extent, &programs);
    let checked = all.remove(0);
    if checked.gravest().is_some() || !checked.unmet().is_empty() {
        return Err(Failure(failed(&checked, &path, (shrink, &programs))));
    }
    Ok(Report { checked, programs, first: OnceLock::new() })
}

/// Three quarters of the time that the pipeline takes in peace, if somebody needs to know it.
fn horizon(checking: &Checking, programs: &Arc<dyn Programs>) -> Duration {
    let default = Duration::from_secs(10);
    if !checking.needs_horizon() {
        return default;
    }
    let peace = Scenario::read(&checking.name, &text(&checking.in_peace()), programs);
    let extent = Extent { journal: true, ..Extent::default() };
    let peace = peace.map(|scenario| play_all(vec![scenario], &extent, programs)).ok();
    let journal = peace.and_then(|mut all| all.remove(0).played.remove(0).journal);
    // What is wrong with it without faults is told when it is played with them.
    journal.and_then(|j| Some(j.entries().last()?.time * 3 / 4)).unwrap_or(default)
}

/// What a person has to know of a failure, and the file that holds it.
fn failed(checked: &Checked, path: &Path, how: (Shrink, &Arc<dyn Programs>)) -> String {
    let Checked { scenario, played } = checked;
    let unmet = checked.unmet().into_iter().map(|unmet| unmet.what);
    let failures = report::failures(scenario, played).into_iter().chain(unmet);
    let failures = failures.collect::<Vec<_>>().join("\n\n");
    let bad = played.iter().find(|played| played.all_troubles().next().is_some());
    // A file that somebody edits is theirs.
    let Some(bad) = bad.filter(|_| asked(FILE).is_none()) else {
        return format!("\n{failures}\n");
    };
    let test = scenario.test.as_deref().unwrap_or_default();
    let kept = file_of(scenario, bad, how);
    let kept = kept.and_then(|(words, text)| {
        write(path, &text).map_err(|error| error.to_string())?;
        Ok(format!("SMALL    {words}: {FILE}={} cargo test {test}", path.display()))
    });
    let kept = kept.unwrap_or_else(|why| format!("SMALL    there is no scenario file: {why}"));
    format!("\n{failures}\n{kept}\n")
}

/// Whether somebody looks for a smaller run that fails alike.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Shrink {
    /// Yes, for some seconds.
    Yes,
    /// No: whoever asked does it, or there is nobody.
    No,
}

/// The scenario file of a failing run, as small as could be had, and what it is in a few words.
fn file_of(
    scenario: &Scenario,
    bad: &Played,
    (shrink, programs): (Shrink, &Arc<dyn Programs>),
) -> Result<(String, String), String> {
    let instant = bad.instant.as_ref().map(|instant| instant.number);
    let suspect = Suspect { scenario, turn: bad.turn, instant };
    let budget = Budget { time: SHRINK_MAX, ..Budget::default() };
    let name = scenario.name.clone();
    let (shrunk, time) = (Some(budget), SHRINK_MAX);
    let extent = inquest::Extent { shrink: shrunk, name, seeds: 0, worlds: 0, time };
    let small = (shrink == Shrink::Yes).then(|| inquire(suspect, &extent, programs)).flatten();
    if let Some(small) = small.and_then(|inquest| inquest.shrunk) {
        let (before, after) = (small.before, small.after);
        let words = format!(
            "{} -> {} faults, {:.0} -> {:.0} s, {} runs",
            before.faults,
            after.faults,
            before.length.as_secs_f64(),
            after.length.as_secs_f64(),
            small.replays
        );
        return Ok((words, small.text));
    }
    let settled = scenario.settled(bad.turn).map_err(|mistake| mistake.render())?;
    Ok(("everything drawn, to be edited".to_owned(), text(&settled)))
}

/// The name of the running test: libtest names its threads so. `None` on the main thread.
pub(super) fn name_of_test() -> Option<String> {
    let thread = std::thread::current();
    let name = thread.name().filter(|name| *name != "main")?;
    Some(name.rsplit("::").next().unwrap_or(name).to_owned())
}

/// A name that may be a file's.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    name.chars().map(plain).collect()
}

#[expect(clippy::disallowed_methods, reason = "the arguments of a test are libtest's, not ours")]
fn asked(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|text| !text.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the harness reads its own files, on no host")]
fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))
}

#[expect(clippy::disallowed_methods, reason = "the harness writes its own files, on no host")]
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(path, text)
}
