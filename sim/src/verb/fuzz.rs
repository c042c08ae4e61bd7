//! The verb `fuzz`: fresh seeds of scenarios until time, seeds or patience run out.
//! Judges nothing. Which seeds were played is told, so that `--seeds` plays them again; a share of a
//! search writes its records for `merge`. The search is [`crate::campaign::fuzz`]'s.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slackwater_cli::exit::Exit;
use slackwater_core::time::parse_span;
use slackwater_dataflow::task::Programs;

use super::look::{Keep, LookArgs, Looker};
use super::{Refusal, files, many, usage, verdict};
use crate::campaign::{Budget, Partition, Record, fuzz as search};
use crate::scenario::values::parse_seed;
use crate::scenario::{Class, Scenario};

/// Of a folder, files with this tag are fuzzed.
const FUZZ: &str = "fuzz";

/// What `fuzz` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct FuzzArgs {
    /// Scenario files, or folders of which the files tagged "fuzz" are taken
    #[arg(default_value = "scenarios/swarm")]
    pub paths: Vec<PathBuf>,
    /// These seeds of every scenario, half open; fresh ones unless given
    #[arg(long, value_name = "A..B")]
    pub seeds: Option<String>,
    /// How long, such as 20m; for ever unless given, if there are no --seeds
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub time: Option<Duration>,
    /// Only a share of the seeds, such as 1/4: for a search over several machines
    #[arg(long, value_name = "K/N", requires = "seeds")]
    pub partition: Option<Partition>,
    /// End after so many failed seeds
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub failures: usize,
    /// Write the record of every run to this file, one line of JSON each
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How long a failure is looked into.
    #[command(flatten)]
    pub look: LookArgs,
    /// Write the small runs of failures into scenarios/regress, to be played from now on
    #[arg(long, conflicts_with = "no_shrink")]
    pub regress: bool,
}

/// Searches, and prints what was found.
pub(super) fn fuzz(
    args: &FuzzArgs,
    programs: &Arc<dyn Programs>,
) -> Result<Option<Class>, Refusal> {
    let budget = budget(args)?;
    let scenarios = to_fuzz(args, programs)?;
    let first = budget.first;
    eprintln!("fuzzing {} from seed {first} on", many(scenarios.len() as u64, "scenario"));
    let records = args.json.as_ref().map(|_| Mutex::new(Vec::<Record>::new()));
    let found = search(scenarios, &budget, programs, &|record| {
        if let Some(records) = &records {
            records.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
        }
    });
    if let (Some(path), Some(records)) = (&args.json, records) {
        let mut records = records.into_inner().unwrap_or_else(PoisonError::into_inner);
        let key = |record: &Record| (record.scenario.clone(), record.seed, record.cell.clone());
        records.sort_by_cached_key(key);
        files::write(path, |out| {
            records.iter().try_for_each(|record| writeln!(out, "{}", record.to_line()))
        })?;
    }
    let folder = files::aside();
    let keep = if args.regress { Keep::Regress } else { Keep::In(&folder) };
    let mut looker = Looker::new(&args.look, keep, programs);
    let mut out = std::io::stdout().lock();
    let is_share = args.partition.is_some();
    let mut gravest = found.iter().filter_map(|f| f.tally.worst()).max().and_then(Class::of_code);
    for found in &found {
        // A reader that has gone away is no failure of the scenarios.
        let _ = writeln!(out, "{}", verdict::text(&found.scenario, &found.tally));
        for line in verdict::obligations(&found.scenario, &found.tally) {
            let _ = writeln!(out, "{line}");
        }
        // Of a share nothing is owed: `merge` asks when all are together.
        for trouble in found.tally.unmet(&found.scenario).iter().filter(|_| !is_share) {
            gravest = gravest.max(Some(trouble.class));
            let _ = writeln!(out, "\n{}\n", verdict::unmet(&found.scenario, trouble));
        }
        for text in looker.failures(&found.scenario, &found.failed)? {
            let _ = writeln!(out, "\n{text}\n");
        }
    }
    Ok(gravest)
}

fn budget(args: &FuzzArgs) -> Result<Budget, Refusal> {
    let range = args.seeds.as_ref().map(|text| range(text)).transpose().map_err(usage)?;
    let (first, seeds) = match range {
        Some((first, end)) => (first, Some(end - first)),
        None => (fresh(), None),
    };
    let (time, failures, partition) = (args.time, args.failures.max(1), args.partition);
    Ok(Budget { first, seeds, time, failures, partition })
}

/// A half-open range of seeds; it may be far too long to be a list.
fn range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or_else(|| {
        format!("expected a half-open range of seeds such as 0..1000, found {text:?}")
    })?;
    let (from, to) = (parse_seed(from)?, parse_seed(to)?);
    match from < to {
        true => Ok((from, to)),
        false => Err(format!("the range of seeds {text:?} is empty: it is half open")),
    }
}

/// Where a search begins that nobody has begun before; small enough to be typed again.
#[expect(clippy::disallowed_methods, reason = "which worlds are looked at, never what is in them")]
fn fresh() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs() * 1_000)
}

fn to_fuzz(args: &FuzzArgs, programs: &Arc<dyn Programs>) -> Result<Vec<Scenario>, Refusal> {
    let mut scenarios = Vec::new();
    for path in &args.paths {
        let loaded = files::load_all(path, programs)?.into_iter();
        scenarios.extend(loaded.filter(|scenario| !path.is_dir() || scenario.has_tag(FUZZ)));
    }
    if let Some(sweep) = scenarios.iter().find(|scenario| scenario.is_sweep()) {
        return Err(usage(format!("{} is a sweep: `check` plays all of it", sweep.path)));
    }
    match scenarios.is_empty() {
        true => Err((Exit::BadInput, format!("error: no scenario is tagged {FUZZ:?}"))),
        false => Ok(scenarios),
    }
}
