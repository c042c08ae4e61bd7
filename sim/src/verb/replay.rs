//! The verb `replay`: one run of one scenario, twice, told in full.
//! Judges nothing; two runs that differ are a failure of their own. What a failure prints as its
//! REPLAY line is a command of this verb.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slackwater_cli::exit::Exit;
use slackwater_dataflow::task::Programs;

use super::{Refusal, files, pages, usage};
use crate::journal::Divergence;
use crate::report::{self, Shown};
use crate::scenario::values::parse_seed;
use crate::scenario::{
    CalmRuns, Class, Instant, Played, Prepared, Scenario, Trouble, Turn, play_prepared, prepare,
};

/// One run: a file, a seed, a cell, an instant.
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    /// A scenario file
    pub path: PathBuf,
    /// The seed, 7 or 0x2f1c; the file's first unless given
    #[arg(long, value_name = "S", value_parser = parse_seed)]
    pub seed: Option<u64>,
    /// The cell of the matrix, as a failure names it: "axis=value …"
    #[arg(long, value_name = "NAME")]
    pub cell: Option<String>,
    /// The instant of a sweep, by the number that a failure names
    #[arg(long, value_name = "N")]
    pub instant: Option<usize>,
}

/// What `replay` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// Which run.
    #[command(flatten)]
    pub which: Which,
    /// Write a page of the run into this folder: a timeline to look at in a browser
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Draw what the run wrote into this file, as SVG: each series over event time; of a scenario
    /// that shows `order`, its arrivals
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// With --picture: this key only, such as pressure
    #[arg(long, value_name = "KEY", requires = "picture")]
    pub key: Option<String>,
    /// With --picture: these series only, parted by commas
    #[arg(long, value_name = "NAMES", requires = "picture", value_delimiter = ',')]
    pub series: Vec<String>,
    /// With --picture: from and to which second of event time, such as 5..35
    #[arg(long, value_name = "FROM..TO", requires = "picture", value_parser = seconds)]
    pub span: Option<(f64, f64)>,
    /// Write every fact of the run to this file, one a line
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
}

/// Plays the run twice and prints what came of it.
pub(super) fn replay(
    args: &ReplayArgs,
    programs: &Arc<dyn Programs>,
) -> Result<Option<Class>, Refusal> {
    let scenario = files::read(&args.which.path, programs)?;
    let turn = turn(&args.which, &scenario)?;
    let prepared = prepare(&scenario, turn, programs, &CalmRuns::default());
    let instant = instant(&args.which, &scenario, &prepared)?;
    let play = || play_prepared(&scenario, (turn, instant.clone()), &prepared, programs, true);
    let (mut first, second) = (play(), play());
    let trace = compare(&mut first, &second);
    if let (Some(path), Some(journal)) = (&args.journal, &first.journal) {
        files::write(path, |out| journal.write(out))?;
    }
    let page = match &args.report {
        Some(folder) => {
            let (name, _) = pages::write_one(folder, &scenario, &first)?;
            Some(folder.join(format!("{name}.html")))
        }
        None => None,
    };
    if let Some(path) = &args.picture {
        draw(path, args, &scenario, &first)?;
    }
    let gravest = first.all_troubles().map(|trouble| trouble.class).max();
    let played = [first];
    let mut out = std::io::stdout().lock();
    // A reader that has gone away is no failure of the scenario.
    let _ = writeln!(out, "{}", report::line(&scenario, &played, true));
    for fault in &played[0].faults {
        let _ = writeln!(out, "      fault  {fault}");
    }
    let _ = writeln!(out, "      {trace}");
    if let Some(page) = page {
        let _ = writeln!(out, "      page   {}", page.display());
    }
    for text in report::failures(&scenario, &played) {
        let _ = writeln!(out, "\n{text}\n");
    }
    Ok(gravest)
}

/// Draws what the run wrote.
fn draw(
    path: &Path,
    args: &ReplayArgs,
    scenario: &Scenario,
    played: &Played,
) -> Result<(), Refusal> {
    let shown = Shown { key: args.key.as_deref(), series: &args.series, span: args.span };
    let nothing = || {
        let what = "nothing that could be drawn: see --key, --series and --span";
        (Exit::BadInput, format!("error: {} wrote {what}", scenario.path))
    };
    let svg = report::curves(scenario, played, &shown).ok_or_else(nothing)?;
    files::write(path, |out| out.write_all(svg.as_bytes()))
}

/// `5..35`, in seconds.
fn seconds(text: &str) -> Result<(f64, f64), String> {
    let ends = text.split_once("..").and_then(|(from, to)| {
        let ends: (f64, f64) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        (ends.0.is_finite() && ends.1.is_finite() && ends.0 < ends.1).then_some(ends)
    });
    ends.ok_or_else(|| format!("{text:?} is no span: type two seconds, such as 5..35"))
}

/// The run that is meant.
pub(super) fn turn(args: &Which, scenario: &Scenario) -> Result<Turn, Refusal> {
    let cells = scenario.cells.iter().map(|cell| cell.name.as_str());
    let cell = match &args.cell {
        None if scenario.cells.len() == 1 => 0,
        None => {
            let cells = cells.map(|name| format!("\n  --cell {name:?}")).collect::<String>();
            return Err(usage(format!("which cell of {}?{cells}", scenario.path)));
        }
        Some(name) => cells.clone().position(|known| known == name).ok_or_else(|| {
            let cells = cells.map(|name| format!("\n  --cell {name:?}")).collect::<String>();
            usage(format!("{} has no cell {name:?}; it has{cells}", scenario.path))
        })?,
    };
    let seeds = scenario.cells[cell].document.run.listed();
    let seed = args.seed.or(seeds.first().copied()).unwrap_or(0);
    let place = seeds.iter().position(|own| *own == seed).unwrap_or(0);
    Ok(Turn { cell, place, seed })
}

/// The instant of a sweep that is meant.
fn instant(
    args: &Which,
    scenario: &Scenario,
    prepared: &Prepared,
) -> Result<Option<Instant>, Refusal> {
    let instants = prepared.instants();
    match args.instant {
        None if instants.is_empty() => Ok(None),
        None => {
            let last = instants.len() - 1;
            Err(usage(format!("{} is a sweep: which --instant of 0 to {last}?", scenario.path)))
        }
        Some(number) => match instants.iter().find(|instant| instant.number == number) {
            Some(instant) => Ok(Some(instant.clone())),
            None => {
                let message = format!("error: there is no instant {number} in {}", scenario.path);
                Err((Exit::Usage, message))
            }
        },
    }
}

/// Whether both runs had one history; if not, that is a trouble of the first.
fn compare(first: &mut Played, second: &Played) -> String {
    let (Some(one), Some(other)) = (&first.journal, &second.journal) else { return String::new() };
    let (hash, facts) = (one.hash(), one.entries().len());
    if hash == other.hash() {
        return format!("trace  {hash:016x} over {facts} facts, twice identical");
    }
    let what = match Divergence::between(&one.text(), &other.text()) {
        Some(divergence) => divergence.to_string(),
        None => "two runs differ in what their text does not show".to_owned(),
    };
    first.troubles.push(Trouble::new(Class::NonDeterministic, what));
    format!("trace  {hash:016x} over {facts} facts, and another the second time")
}
