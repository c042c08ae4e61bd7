//! What `check` and `fuzz` find out about a failure by themselves: the first failing run of a file is
//! looked into and made small, within a time that a person waits.
//! Judges nothing, and looks into a few files only: the others say which command does. The looking is
//! [`crate::inquest`]'s, the text [`crate::report`]'s.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::time::parse_span;
use slackwater_dataflow::task::Programs;

use super::{Refusal, files, shrink};
use crate::inquest::{Budget, Extent, Suspect, inquire};
use crate::report;
use crate::scenario::{Class, Played, Scenario};

/// How many files are looked into.
const FILES_MAX: usize = 3;

/// How long is looked.
#[derive(Clone, Debug, clap::Args)]
pub struct LookArgs {
    /// How long a smaller run is looked for if something fails, in each of the first files in which it does
    #[arg(long, value_name = "SPAN", value_parser = parse_span, default_value = "20s")]
    pub shrink: Duration,
    /// Say what failed, and look no further
    #[arg(long, conflicts_with = "shrink")]
    pub no_shrink: bool,
}

/// Where a small run is written.
pub(super) enum Keep<'a> {
    /// Among those that are played from now on.
    Regress,
    /// In this folder.
    In(&'a Path),
}

/// Looks into failures.
pub(super) struct Looker<'a> {
    args: &'a LookArgs,
    keep: Keep<'a>,
    programs: &'a Arc<dyn Programs>,
    left: usize,
}

impl<'a> Looker<'a> {
    pub(super) fn new(args: &'a LookArgs, keep: Keep<'a>, programs: &'a Arc<dyn Programs>) -> Self {
        Self { args, keep, programs, left: FILES_MAX }
    }

    /// The failures of a scenario in words.
    ///
    /// # Errors
    /// If the small run cannot be written.
    pub(super) fn failures(
        &mut self,
        scenario: &Scenario,
        played: &[Played],
    ) -> Result<Vec<String>, Refusal> {
        let mut texts = Vec::new();
        let mut is_looked_into = self.args.no_shrink || self.left == 0;
        for played in report::telling(played) {
            let looks = !is_looked_into && is_to_shrink(played);
            is_looked_into |= looks;
            texts.push(match looks {
                true => self.look(scenario, played)?,
                false => report::failure(scenario, played, None),
            });
        }
        Ok(texts)
    }

    fn look(&mut self, scenario: &Scenario, played: &Played) -> Result<String, Refusal> {
        self.left -= 1;
        let seed = played.turn.seed;
        eprintln!("looking into seed {seed} of {} for a smaller failure", scenario.name);
        let file = Path::new(&scenario.path);
        let out = match self.keep {
            Keep::Regress => shrink::next(file),
            Keep::In(folder) => folder.join(small_name(scenario, played)),
        };
        let budget = Budget { time: self.args.shrink, ..Budget::default() };
        let name = shrink::name(&out);
        // As long again for its neighbours.
        let time = self.args.shrink * 2;
        let extent = Extent { shrink: Some(budget), name, seeds: 16, worlds: 8, time };
        let instant = played.instant.as_ref().map(|instant| instant.number);
        let suspect = Suspect { scenario, turn: played.turn, instant };
        let Some(inquest) = inquire(suspect, &extent, self.programs) else {
            return Ok(report::failure(scenario, played, None));
        };
        let small = match &inquest.shrunk {
            Some(shrunk) => {
                files::write_new(&out, &shrunk.text)?;
                Some(format!("slackwater replay {} (written)", out.display()))
            }
            None => None,
        };
        Ok(report::failure(scenario, played, Some((&inquest, small.as_deref()))))
    }
}

/// A run that differs from itself cannot be made small, and one that the harness spoils need not be.
fn is_to_shrink(played: &Played) -> bool {
    let worst = played.all_troubles().map(|trouble| trouble.class).min();
    worst.is_some_and(|class| class < Class::NonDeterministic)
        && played.all_troubles().all(|trouble| trouble.class != Class::NonDeterministic)
}

/// Failures in a test, which must not take minutes to fail: of the first of them what broke first, its
/// smallest run, left beside what cargo built, and its neighbours, as far as some seconds go.
pub fn in_a_test(
    scenario: &Scenario,
    played: &[Played],
    programs: &Arc<dyn Programs>,
) -> Vec<String> {
    let args = LookArgs { shrink: TEST_MAX, no_shrink: false };
    let folder = files::aside();
    let mut looker = Looker::new(&args, Keep::In(&folder), programs);
    // Where nothing can be written the failure itself is told.
    looker.failures(scenario, played).unwrap_or_else(|_| report::failures(scenario, played))
}

/// How long a test looks for a smaller run.
const TEST_MAX: Duration = Duration::from_secs(5);

fn small_name(scenario: &Scenario, played: &Played) -> PathBuf {
    PathBuf::from(format!("{}-{}-small.toml", scenario.name, played.turn.seed))
}
