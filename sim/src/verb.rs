//! The verb `check`: plays scenario files in as many worlds at once as there are cores, prints one
//! verdict for each, and ends in a number that says what was wrong.
//! Judges nothing; the order of what it prints never depends on which world was ready first. Files
//! are read by [`crate::scenario`], texts are made by [`crate::report`].

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slackwater_cli::exit::Exit;
use slackwater_dataflow::task::Programs;

use crate::campaign::{Checked, Extent, play_all};
use crate::report;
use crate::scenario::values::Seeds;
use crate::scenario::{Class, Scenario, turns};

/// Files with this tag are played only when they are named.
const NIGHTLY: &str = "nightly";

/// What `check` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Scenario files, or folders of them
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// One seed instead of the file's: 7 or 0x2f1c
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    pub seed: Option<String>,
    /// Other seeds than the file's: 0..16 (half open)
    #[arg(long, value_name = "A..B")]
    pub seeds: Option<String>,
    /// One instant of a sweep, by the number that a failure names
    #[arg(long, value_name = "N")]
    pub instant: Option<usize>,
    /// Write every fact of the run to this file, one a line; needs one file, one cell and one seed
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
}

/// Plays the files and prints verdicts on stdout, failures and progress on stderr. Gives the number
/// to exit with: 0, 3 for a file that cannot be read or has a mistake, else a [`Class`]'s.
pub fn check(args: &CheckArgs, programs: Arc<dyn Programs>) -> u8 {
    match run(args, &programs) {
        Ok(None) => 0,
        Ok(Some(class)) => class as u8,
        Err((exit, message)) => {
            eprintln!("{message}");
            exit as u8
        }
    }
}

type Refusal = (Exit, String);

fn run(args: &CheckArgs, programs: &Arc<dyn Programs>) -> Result<Option<Class>, Refusal> {
    let usage = |message: String| (Exit::Usage, format!("error: {message}"));
    let seeds = args.seed.as_ref().or(args.seeds.as_ref());
    let seeds = seeds.map(|text| Seeds::parse(text)).transpose().map_err(usage)?;
    let scenarios = load(&args.paths, programs)?;
    if args.journal.is_some() {
        let count: usize = scenarios
            .iter()
            .map(|scenario| turns(scenario, seeds.as_ref().map(|seeds| &seeds.0[..])).len())
            .sum();
        let swept = scenarios.iter().any(Scenario::is_sweep) && args.instant.is_none();
        if count != 1 || swept {
            let message = match swept {
                true => "--journal holds one run, not a sweep: name its --instant".to_owned(),
                false => format!("--journal holds one run, not {count}: name one file, and --seed"),
            };
            return Err(usage(message));
        }
    }
    let seeds = seeds.map(|seeds| seeds.0);
    let extent =
        Extent { seeds, instant: args.instant, thin: false, journal: args.journal.is_some() };
    let all = play_all(scenarios, &extent, programs);
    if let Some(instant) = args.instant
        && all.iter().all(|checked| checked.played.is_empty())
    {
        return Err(usage(format!("there is no instant {instant}: is it a sweep?")));
    }
    let mut out = std::io::stdout().lock();
    let mut gravest = None;
    // Whoever names one scenario wants to know all of it.
    let details = all.len() == 1;
    for checked in &all {
        gravest = gravest.max(checked.gravest());
        // A reader that has gone away is no failure of the scenarios.
        let _ = writeln!(out, "{}", report::line(&checked.scenario, &checked.played, details));
        for text in report::failures(&checked.scenario, &checked.played) {
            let _ = writeln!(out, "\n{text}\n");
        }
    }
    if let Some(path) = &args.journal {
        write_journal(path, &all)?;
    }
    Ok(gravest)
}

/// Reads every file; of folders their `.toml` files, sorted, without those tagged `nightly`.
fn load(paths: &[PathBuf], programs: &Arc<dyn Programs>) -> Result<Vec<Scenario>, Refusal> {
    let mut scenarios = Vec::new();
    for path in paths {
        let (files, named) = files(path)?;
        for file in files {
            let scenario = read(&file, programs)?;
            if named || !scenario.has_tag(NIGHTLY) {
                scenarios.push(scenario);
            }
        }
    }
    match scenarios.is_empty() {
        true => Err((Exit::BadInput, "error: there is no scenario to check".to_owned())),
        false => Ok(scenarios),
    }
}

/// Reads one scenario file.
///
/// # Errors
/// The exit code, and what to tell a person.
#[expect(clippy::disallowed_methods, reason = "the harness reads its own files, on no host")]
pub fn read(file: &Path, programs: &Arc<dyn Programs>) -> Result<Scenario, (Exit, String)> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| (Exit::BadInput, format!("error: cannot read {name}: {error}")))?;
    Scenario::read(&name, &text, programs).map_err(|mistake| (Exit::BadInput, mistake.render()))
}

/// The files of a path, and whether it names one itself.
#[expect(clippy::disallowed_methods, reason = "the harness reads its own files, and sorts them")]
fn files(path: &Path) -> Result<(Vec<PathBuf>, bool), Refusal> {
    if !path.is_dir() {
        return Ok((vec![path.to_owned()], true));
    }
    let failed = |error: std::io::Error| {
        (Exit::BadInput, format!("error: cannot read {}: {error}", path.display()))
    };
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
    let files = entries.map_err(failed)?.into_iter().map(|entry| entry.path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    Ok((files, false))
}

#[expect(clippy::disallowed_methods, reason = "the harness writes what it was told to, on no host")]
fn write_journal(path: &Path, all: &[Checked]) -> Result<(), Refusal> {
    let journals = all.iter().flat_map(|c| c.played.iter().filter_map(|p| p.journal.as_ref()));
    for journal in journals {
        let written = std::fs::File::create(path).and_then(|file| {
            let mut out = std::io::BufWriter::new(file);
            journal.write(&mut out)?;
            out.flush()
        });
        written.map_err(|error| {
            (Exit::Environment, format!("error: cannot write {}: {error}", path.display()))
        })?;
    }
    Ok(())
}
