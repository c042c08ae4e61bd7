//! The verb `merge`: the records of several shares of a campaign, judged as if one machine had
//! played them all.
//! Plays nothing. A run that two shares have played counts once; records are written by `check
//! --json` and `fuzz --json`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slackwater_cli::exit::Exit;
use slackwater_dataflow::task::Programs;

use super::{Refusal, files, verdict};
use crate::campaign::{Record, Tally};
use crate::scenario::format::Must;
use crate::scenario::{Cell, Class, Scenario};

/// How many failed runs of a scenario are told.
const FAILURES_MAX: usize = 5;

/// What `merge` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct MergeArgs {
    /// Files of records
    #[arg(required = true)]
    pub records: Vec<PathBuf>,
    /// The scenarios that were played, or folders of them
    #[arg(long, value_name = "PATH", default_value = "scenarios")]
    pub of: Vec<PathBuf>,
}

/// What tells one run from another.
type Key = (String, u64, Option<usize>);

/// Judges the records of all files together.
pub(super) fn merge(
    args: &MergeArgs,
    programs: &Arc<dyn Programs>,
) -> Result<Option<Class>, Refusal> {
    let mut scenarios = BTreeMap::new();
    for path in &args.of {
        let loaded = files::load_all(path, programs)?;
        scenarios.extend(loaded.into_iter().map(|one| (one.name.clone(), one)));
    }
    let mut runs = BTreeMap::<String, BTreeMap<Key, Record>>::new();
    for path in &args.records {
        for record in read(path)? {
            if !scenarios.contains_key(&record.scenario) {
                let (path, name) = (path.display(), &record.scenario);
                let message = format!("error: {path} has runs of {name:?}: add it with --of FILE");
                return Err((Exit::BadInput, message));
            }
            let key = (record.cell.clone(), record.seed, record.instant);
            runs.entry(record.scenario.clone()).or_default().insert(key, record);
        }
    }
    let mut out = std::io::stdout().lock();
    let mut gravest = None;
    for (name, runs) in &runs {
        let scenario = &scenarios[name];
        let mut tally = Tally::default();
        runs.values().for_each(|record| tally.add(record));
        gravest = gravest.max(tally.worst().and_then(Class::of_code));
        // A reader that has gone away is no failure of the scenarios.
        let _ = writeln!(out, "{}", verdict::text(scenario, &tally));
        for line in verdict::obligations(scenario, &tally) {
            let _ = writeln!(out, "{line}");
        }
        for trouble in tally.unmet(scenario) {
            gravest = gravest.max(Some(trouble.class));
            let _ = writeln!(out, "\n{}\n", verdict::unmet(scenario, &trouble));
        }
        for check in never_broke(scenario, runs) {
            gravest = gravest.max(Some(Class::Broken));
            let _ =
                writeln!(out, "      {check} must break at some instant, and held at all of them");
        }
        let failed = runs.values().filter(|record| record.exit != 0);
        for record in failed.take(FAILURES_MAX) {
            let _ = writeln!(out, "\n{}\n", failure(scenario, record));
        }
    }
    Ok(gravest)
}

/// What must break at some instant of a sweep, and did in no share.
fn never_broke(scenario: &Scenario, runs: &BTreeMap<Key, Record>) -> Vec<&'static str> {
    let of_cell = |cell: &Cell, check: &str| {
        let mut mine = runs.values().filter(|record| record.cell == cell.name);
        mine.any(|record| record.broke.iter().any(|broke| broke == check))
    };
    let swept = scenario.cells.iter().filter(|cell| cell.document.sweep.is_some());
    let must = swept.flat_map(|cell| cell.expectations.iter().map(move |e| (cell, e)));
    let must = must.filter(|(_, expectation)| expectation.must == Must::Break);
    let names = must.map(|(cell, expectation)| (cell, expectation.check.name));
    names.filter(|(cell, check)| !of_cell(cell, check)).map(|(_, check)| check).collect()
}

fn failure(scenario: &Scenario, record: &Record) -> String {
    let class = Class::of_code(record.exit).map_or(String::new(), |class| class.to_string());
    let mut text = format!("seed {}  {} {}\n", record.seed, record.scenario, record.cell);
    for trouble in &record.troubles {
        text += &format!("{class:<8} {trouble}\n");
    }
    text += "REPLAY   ";
    text += &scenario.replay(&record.cell, record.seed, record.instant);
    text
}

#[expect(clippy::disallowed_methods, reason = "the harness reads its own files, on no host")]
fn read(path: &Path) -> Result<Vec<Record>, Refusal> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| (Exit::BadInput, format!("error: cannot read {name}: {error}")))?;
    let records = (1..).zip(text.lines()).map(|(number, line)| {
        Record::of_line(line)
            .map_err(|why| (Exit::BadInput, format!("error: {name}, line {number}: {why}")))
    });
    records.collect()
}
