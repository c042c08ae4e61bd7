//! The promise that every story holds: each file in `scenarios/` is played under all of its seeds,
//! passes, and gives the report that a person has accepted; together they leave no short cut, and
//! what recovers does so with what it had stored.
//! What a scenario may say is tested in `slackwater-sim`; a failure prints how to replay it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use slackwater_dataflow::task::Programs;
use slackwater_sim::campaign::{Checked, Extent, play_all};
use slackwater_sim::check::{Crossed, Used};
use slackwater_sim::report;
use slackwater_sim::scenario::Scenario;
use slackwater_sim::verb::files::read;

/// A scenario, played once by whoever asks first.
struct Story {
    scenario: Scenario,
    checked: OnceLock<Checked>,
}

type Stories = Arc<Vec<Story>>;

impl Story {
    fn checked(&self, programs: &Arc<dyn Programs>) -> &Checked {
        // Time is dear in a test: a sweep is thinned as its file says; `check` plays all of it.
        let extent = Extent { thin: true, ..Extent::default() };
        let play = || play_all(vec![self.scenario.clone()], &extent, programs).remove(0);
        self.checked.get_or_init(play)
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let programs: Arc<dyn Programs> = Arc::new(slackwater_jobs::catalog());
    let stories: Stories = Arc::new(stories(&programs));
    let mut trials: Vec<Trial> =
        (0..stories.len()).map(|index| trial(index, &stories, &programs)).collect();
    trials.push(Trial::test("no_run_takes_a_short_cut_through_one_task", {
        let (stories, programs) = (Arc::clone(&stories), Arc::clone(&programs));
        move || no_short_cuts(&stories, &programs)
    }));
    trials.push(Trial::test("every_recovery_uses_its_checkpoints", {
        let (stories, programs) = (Arc::clone(&stories), Arc::clone(&programs));
        move || recoveries_use_checkpoints(&stories, &programs)
    }));
    libtest_mimic::run(&arguments, trials).exit();
}

#[expect(clippy::disallowed_methods, reason = "a test reads the files that it is about")]
fn stories(programs: &Arc<dyn Programs>) -> Vec<Story> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("scenarios")
        .expect("tests run in the root of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    let read = |file: &PathBuf| match read(file, programs) {
        Ok(scenario) => Story { scenario, checked: OnceLock::new() },
        Err((_, mistake)) => panic!("{mistake}"),
    };
    files.iter().map(read).collect()
}

fn trial(index: usize, stories: &Stories, programs: &Arc<dyn Programs>) -> Trial {
    let (stories, programs) = (Arc::clone(stories), Arc::clone(programs));
    let name = stories[index].scenario.name.clone();
    Trial::test(name, move || {
        let checked = stories[index].checked(&programs);
        let Checked { scenario, played } = checked;
        let mut failures = report::failures(scenario, played);
        failures.extend(checked.unmet().into_iter().map(|unmet| unmet.what));
        if !failures.is_empty() {
            return Err(Failed::from(failures.join("\n\n")));
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../scenarios");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_description("When this changes, behaviour has changed: ask why, then accept.");
        let report = report::accepted(scenario, played);
        settings.bind(|| insta::assert_snapshot!(scenario.name.as_str(), report));
        Ok(())
    })
}

/// The stories of recovery read state back, aligned, held packets and stood still, all together;
/// and each of them read state back, but for those whose state is damaged.
fn recoveries_use_checkpoints(
    stories: &Stories,
    programs: &Arc<dyn Programs>,
) -> Result<(), Failed> {
    let mut all = Used::default();
    for story in stories.iter().filter(|story| story.scenario.has_tag("recovery")) {
        let mut own = Used::default();
        for played in &story.checked(programs).played {
            own += played.used;
        }
        all += own;
        let name = &story.scenario.name;
        if own.read_back == 0 && !name.starts_with("damaged") {
            return Err(Failed::from(format!("{name} recovers and reads nothing back")));
        }
    }
    match all.unused() {
        Some(unused) => Err(Failed::from(format!("in all stories of recovery {unused}: {all:?}"))),
        None => Ok(()),
    }
}

/// Every run together, and every run with a fault together, cross the exchange in every way.
fn no_short_cuts(stories: &Stories, programs: &Arc<dyn Programs>) -> Result<(), Failed> {
    let (mut all, mut with_fault) = (Crossed::default(), Crossed::default());
    for played in stories.iter().flat_map(|story| &story.checked(programs).played) {
        all += played.crossed;
        if !played.faults.is_empty() {
            with_fault += played.crossed;
        }
    }
    for (runs, crossed) in [("all runs", all), ("runs with a fault", with_fault)] {
        let Crossed { frames, wide_gates, exhausted } = crossed;
        if frames.min(wide_gates).min(exhausted) == 0 {
            return Err(Failed::from(format!("{runs} leave something out: {crossed:?}")));
        }
    }
    Ok(())
}
