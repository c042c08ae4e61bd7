//! What is remembered of a run when the run itself is gone: one line of JSON, and counts over many.
//! Records of several machines are put together as if one had played them all. Written and read by
//! [`crate::verb`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::scenario::{Class, Played, Scenario, Trouble};

/// What came of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The scenario's name.
    pub scenario: String,
    /// The cell of its matrix; empty without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cell: String,
    /// The seed.
    pub seed: u64,
    /// The instant of a sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instant: Option<usize>,
    /// The exit code of the gravest trouble; 0 if nothing was wrong.
    pub exit: u8,
    /// What was wrong, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
    /// Which checks broke, whether or not they may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broke: Vec<String>,
    /// Which obligations of the scenario this run met, by label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub met: Vec<String>,
    /// Virtual milliseconds, over all worlds that were played for the run.
    pub virtual_ms: u64,
    /// Processor time in microseconds; not reproducible.
    pub cpu_us: u64,
}

impl Record {
    /// What is remembered of a run.
    pub fn new(scenario: &Scenario, played: &Played) -> Self {
        let broke = played.judged.iter().filter(|judged| judged.outcome.broken.is_some());
        let worst = played.all_troubles().map(|trouble| trouble.class).max();
        Self {
            scenario: scenario.name.clone(),
            cell: scenario.cells[played.turn.cell].name.clone(),
            seed: played.turn.seed,
            instant: played.instant.as_ref().map(|instant| instant.number),
            exit: worst.map_or(0, |class| class as u8),
            troubles: played.all_troubles().map(|trouble| trouble.what.clone()).collect(),
            broke: broke.map(|judged| judged.check.to_owned()).collect(),
            met: played.met.clone(),
            virtual_ms: u64::try_from(played.virtual_time.as_millis()).unwrap_or(u64::MAX),
            cpu_us: u64::try_from(played.cpu.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// Counts over many runs of one scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Of these, how many in which something was wrong, by the gravest class's exit code.
    pub failed: BTreeMap<u8, u64>,
    /// In how many runs each obligation was met, by label.
    pub met: BTreeMap<String, u64>,
    /// Virtual time.
    pub virtual_time: Duration,
    /// Processor time.
    pub cpu: Duration,
    under_way: u64,
}

impl Tally {
    /// Adds a run.
    pub fn add(&mut self, record: &Record) {
        self.runs += 1;
        self.under_way = self.under_way.saturating_sub(1);
        if record.exit != 0 {
            *self.failed.entry(record.exit).or_default() += 1;
        }
        for label in &record.met {
            *self.met.entry(label.clone()).or_default() += 1;
        }
        self.virtual_time += Duration::from_millis(record.virtual_ms);
        self.cpu += Duration::from_micros(record.cpu_us);
    }

    /// A run has begun.
    pub(super) fn ask(&mut self) {
        self.under_way += 1;
    }

    /// The processor time that it has had, runs under way at the price of the average.
    pub(super) fn asked(&self) -> Duration {
        let runs = u32::try_from(self.runs.max(1)).unwrap_or(u32::MAX);
        let under_way = u32::try_from(self.under_way).unwrap_or(u32::MAX);
        self.cpu + (self.cpu / runs).max(Duration::from_nanos(1)) * under_way
    }

    /// The obligations of a scenario that were met too seldom over these runs.
    pub fn unmet(&self, scenario: &Scenario) -> Vec<Trouble> {
        let cell = scenario.cells.first();
        let owed = cell.into_iter().flat_map(|cell| &cell.document.sometimes);
        let unmet = owed.filter_map(|part| {
            let (label, asked) = (part.label.get_ref(), part.at_least.of_runs(self.runs));
            let met = self.met.get(label).copied().unwrap_or(0);
            let (runs, share) = (self.runs, part.at_least);
            let what = || format!("{label:?} in {met} of {runs} runs, want {share}");
            (met < asked).then(|| Trouble::new(Class::Unmet, what()))
        });
        unmet.collect()
    }

    /// How many runs failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// The gravest class that occurred, as an exit code.
    pub fn worst(&self) -> Option<u8> {
        self.failed.keys().next_back().copied()
    }
}

/// The share of runs below which failures lie with 95 % confidence when none of `runs` failed:
/// `1 - 0.05^(1/runs)`, about three in so many runs.
pub fn bound(runs: u64) -> f64 {
    match runs {
        0 => 1.0,
        runs => 1.0 - 0.05_f64.powf(1.0 / runs as f64),
    }
}

/// A record as a line of JSON, and back.
impl Record {
    /// One line without its end.
    ///
    /// # Panics
    /// Never: text and numbers have a form in JSON.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("text and numbers have a form in JSON")
    }

    /// Reads what [`Record::to_line`] wrote.
    ///
    /// # Errors
    /// What was expected, and where.
    pub fn of_line(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| format!("not a record of a run: {error}"))
    }

    /// The class of its gravest trouble.
    pub fn class(&self) -> Option<Class> {
        Class::of_code(self.exit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_n_runs_is_what_silence_proves() {
        for (runs, percent) in [(0, 100.0), (1, 95.0), (100, 2.95), (20_000, 0.015)] {
            assert!((bound(runs) * 100.0 - percent).abs() < 0.01, "{runs}: {}", bound(runs));
        }
    }

    #[test]
    fn a_record_comes_back_from_its_line_and_a_torn_one_is_refused() {
        let record = Record {
            scenario: "swarm".into(),
            seed: u64::MAX,
            exit: 10,
            troubles: vec!["no_loss: \"3\" rows".into()],
            met: vec!["a late record".into()],
            ..Record::default()
        };
        let line = record.to_line();
        assert_eq!(Record::of_line(&line), Ok(record));
        let torn = Record::of_line(&line[..line.len() / 2]).unwrap_err();
        assert!(torn.starts_with("not a record of a run: "), "{torn}");
    }
}
