//! The verb `check`: plays scenario files in as many worlds at once as there are cores, prints one
//! verdict for each, and ends in a number that says what was wrong.
//! Judges nothing; the order of what it prints never depends on which world was ready first. Files
//! are read by [`crate::scenario`], texts are made by [`crate::report`].

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use slackwater_cli::exit::Exit;
use slackwater_dataflow::task::Programs;

use crate::report;
use crate::scenario::values::Seeds;
use crate::scenario::{Class, Played, Scenario, Turn, compare_cells, play, turns};

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
    /// Write every fact of the run to this file, one a line; needs one file, one cell and one seed
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
}

/// A scenario and what came of it.
#[derive(Debug)]
pub struct Checked {
    /// The scenario.
    pub scenario: Scenario,
    /// Its turns, in order.
    pub played: Vec<Played>,
}

impl Checked {
    /// The gravest thing that is wrong.
    pub fn gravest(&self) -> Option<Class> {
        self.played.iter().flat_map(Played::all_troubles).map(|trouble| trouble.class).max()
    }
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
        if count != 1 {
            let message =
                format!("--journal holds one run, not {count}: name one file, and --seed");
            return Err(usage(message));
        }
    }
    let seeds = seeds.map(|seeds| seeds.0);
    let all = play_all(scenarios, seeds.as_deref(), programs, args.journal.is_some());
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

/// Plays every turn of every scenario, on all cores; results come in the order of the scenarios.
pub fn play_all(
    scenarios: Vec<Scenario>,
    seeds: Option<&[u64]>,
    programs: &Arc<dyn Programs>,
    keep_journal: bool,
) -> Vec<Checked> {
    let work: Vec<(usize, Turn)> = scenarios
        .iter()
        .enumerate()
        .flat_map(|(index, scenario)| {
            turns(scenario, seeds).into_iter().map(move |turn| (index, turn))
        })
        .collect();
    let progress = progress(work.len());
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Played>>> = Mutex::new(work.iter().map(|_| None).collect());
    let player = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some((index, turn)) = work.get(place) else { return };
            let scenario = &scenarios[*index];
            progress.set_message(scenario.name.clone());
            let played = play(scenario, *turn, programs, keep_journal);
            done.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(played);
            progress.inc(1);
        }
    };
    on_all_cores(work.len(), player);
    progress.finish_and_clear();
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut by_scenario: Vec<Vec<Played>> = scenarios.iter().map(|_| Vec::new()).collect();
    for ((index, _), played) in work.iter().zip(done) {
        by_scenario[*index].extend(played);
    }
    let checked = scenarios.into_iter().zip(by_scenario).map(|(scenario, mut played)| {
        compare_cells(&scenario, &mut played);
        Checked { scenario, played }
    });
    checked.collect()
}

/// Runs the same thing on every core at once, at most `most` times.
#[expect(
    clippy::disallowed_methods,
    reason = "outside of every world: only which is first differs"
)]
fn on_all_cores(most: usize, work: impl Fn() + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores.min(most) {
            scope.spawn(&work);
        }
    });
}

/// A line on stderr, if a person looks at it.
fn progress(turns: usize) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(turns as u64), target);
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} worlds  {elapsed}  {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
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
