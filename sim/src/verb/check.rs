//! The verb `check`: plays scenario files in as many worlds at once as there are cores, prints one
//! verdict for each, and ends in a number that says what was wrong.
//! Judges nothing; the order of what it prints never depends on which world was ready first. Files
//! are read by [`super::files`], texts are made by [`crate::report`].

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slackwater_dataflow::task::Programs;

use super::look::{Keep, LookArgs, Looker};
use super::{Refusal, files, pages, real, usage, verdict};
use crate::campaign::{Checked, Extent, Partition, Record, play_all};
use crate::report;
use crate::scenario::values::Seeds;
use crate::scenario::{Class, Scenario, turns};

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
    /// Only a share of the seeds and instants, such as 1/4: for a campaign over several machines
    #[arg(long, value_name = "K/N", conflicts_with = "instant")]
    pub partition: Option<Partition>,
    /// Write a page for every run that fails into this folder: a timeline to look at in a browser
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Write the record of every run to this file, one line of JSON each
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How long a failure is looked into.
    #[command(flatten)]
    pub look: LookArgs,
    /// Where they are played: in the simulator, or on processes of this machine, in its time. There
    /// only one seed of each file is played unless others are named, and only files whose faults a
    /// machine can do
    #[arg(long, value_enum, value_name = "WORLD", default_value = "simulated")]
    pub world: Where,
    /// Write every fact of the run to this file, one a line; needs one file, one cell and one seed
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
}

/// In which world scenarios are played.
#[derive(Copy, Clone, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Where {
    /// In the simulator.
    Simulated,
    /// On processes of this machine.
    Real,
}

/// Plays the files and prints verdicts on stdout, failures and progress on stderr.
pub(super) fn check(
    args: &CheckArgs,
    programs: &Arc<dyn Programs>,
) -> Result<Option<Class>, Refusal> {
    let seeds = args.seed.as_ref().or(args.seeds.as_ref());
    let seeds = seeds.map(|text| Seeds::parse(text)).transpose().map_err(usage)?;
    let seeds = seeds.map(|seeds| seeds.0);
    let scenarios = files::load(&args.paths, programs)?;
    if args.journal.is_some() {
        is_one_run(&scenarios, seeds.as_deref(), args.instant)?;
    }
    if args.world == Where::Real {
        return real::play(scenarios, seeds.as_deref(), args.journal.as_deref(), programs);
    }
    let (partition, instant) = (args.partition, args.instant);
    let extent = Extent { seeds, partition, instant, thin: false, journal: args.journal.is_some() };
    let all = play_all(scenarios, &extent, programs);
    if let Some(instant) = args.instant
        && all.iter().all(|checked| checked.played.is_empty())
    {
        return Err(usage(format!("there is no instant {instant}: is it a sweep?")));
    }
    let folder = args.report.clone().unwrap_or_else(files::aside);
    let mut looker = Looker::new(&args.look, Keep::In(&folder), programs);
    let mut out = std::io::stdout().lock();
    let mut gravest = None;
    // Whoever names one scenario wants to know all of it.
    let details = all.len() == 1;
    for checked in &all {
        gravest = gravest.max(checked.gravest());
        // A reader that has gone away is no failure of the scenarios.
        let _ = writeln!(out, "{}", report::line(&checked.scenario, &checked.played, details));
        // Of a share nothing is owed: `merge` asks when all are together.
        for trouble in checked.unmet().iter().filter(|_| args.partition.is_none()) {
            gravest = gravest.max(Some(trouble.class));
            let _ = writeln!(out, "\n{}\n", verdict::unmet(&checked.scenario, trouble));
        }
        for text in looker.failures(&checked.scenario, &checked.played)? {
            let _ = writeln!(out, "\n{text}\n");
        }
    }
    if let Some(folder) = &args.report {
        pages::write(folder, &all, programs)?;
        let _ = writeln!(out, "pages are in {}", folder.join("index.html").display());
    }
    if let Some(path) = &args.json {
        write_records(path, &all)?;
    }
    if let Some(path) = &args.journal {
        write_journal(path, &all)?;
    }
    Ok(gravest)
}

/// A journal is that of one run.
fn is_one_run(
    scenarios: &[Scenario],
    seeds: Option<&[u64]>,
    instant: Option<usize>,
) -> Result<(), Refusal> {
    let count: usize = scenarios.iter().map(|scenario| turns(scenario, seeds).len()).sum();
    match scenarios.iter().any(Scenario::is_sweep) && instant.is_none() {
        true => Err(usage("--journal holds one run, not a sweep: name its --instant")),
        false if count != 1 => {
            Err(usage(format!("--journal holds one run, not {count}: name one file, and --seed")))
        }
        false => Ok(()),
    }
}

fn write_journal(path: &Path, all: &[Checked]) -> Result<(), Refusal> {
    let journals = all.iter().flat_map(|c| c.played.iter().filter_map(|p| p.journal.as_ref()));
    for journal in journals {
        files::write(path, |out| journal.write(out))?;
    }
    Ok(())
}

fn write_records(path: &Path, all: &[Checked]) -> Result<(), Refusal> {
    files::write(path, |out| {
        for Checked { scenario, played } in all {
            for played in played {
                writeln!(out, "{}", Record::new(scenario, played).to_line())?;
            }
        }
        Ok(())
    })
}
