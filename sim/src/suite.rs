//! One `cargo test` for each scenario file, by name: filters, `--list` and nextest work as with any
//! other test. For a test target with `harness = false` whose `main` is [`main`].
//! Judges nothing: a file is read by [`crate::scenario`] and played by [`crate::campaign`]; what it
//! gives is held against the report beside it that a person has accepted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use slackwater_dataflow::task::Programs;

use crate::campaign::{Checked, Extent, play_all};
use crate::report;
use crate::scenario::Scenario;
use crate::verb::files::{NIGHTLY, load_all};
use crate::verb::look::in_a_test;

/// Tests every scenario file of a folder, and ends the process as libtest does.
///
/// The folder is looked for where cargo runs tests: in the root of the package. Files in its folder
/// `regress` are played with it. A file tagged `nightly` is ignored unless it is asked for
/// (`-- --ignored`).
///
/// ```no_run
/// use slackwater_sim::prelude::*;
///
/// // tests/scenarios.rs; Cargo.toml has `[[test]] name = "scenarios"` and `harness = false`.
/// fn main() {
///     slackwater_sim::suite::main("scenarios", Catalog::new() /* .job("clicks", "v1", clicks) */);
/// }
/// ```
///
/// # Panics
/// If there is no file, or one cannot be read.
pub fn main(folder: impl AsRef<Path>, programs: impl Programs + 'static) -> ! {
    Suite::of(folder, programs).run().exit()
}

/// Scenario files about to be tested, and what is asked of all of them together.
pub struct Suite {
    stories: Stories,
    trials: Vec<Trial>,
}

/// Every scenario of a suite, each played once by whoever asks first.
#[derive(Clone)]
pub struct Stories(Arc<Shelf>);

struct Shelf {
    stories: Vec<Story>,
    programs: Arc<dyn Programs>,
}

struct Story {
    folder: PathBuf,
    scenario: Scenario,
    checked: OnceLock<Checked>,
}

impl Stories {
    /// Every scenario, and what came of it.
    pub fn all(&self) -> impl Iterator<Item = &Checked> {
        (0..self.0.stories.len()).map(|index| self.checked(index))
    }

    /// The scenarios with this tag, and what came of them.
    pub fn tagged<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a Checked> {
        let tagged = self.0.stories.iter().zip(0..).filter(|(one, _)| one.scenario.has_tag(tag));
        tagged.map(|(_, index)| self.checked(index))
    }

    fn checked(&self, index: usize) -> &Checked {
        let Shelf { stories, programs } = &*self.0;
        // Time is dear in a test: a sweep is thinned as its file says; `check` plays all of it.
        let extent = Extent { thin: true, ..Extent::default() };
        let story = &stories[index];
        let play = || play_all(vec![story.scenario.clone()], &extent, programs).remove(0);
        story.checked.get_or_init(play)
    }
}

impl Suite {
    /// The files of a folder and of its folder `regress`, as [`main`] finds them.
    ///
    /// # Panics
    /// If there is no file, or one cannot be read; the message is the diagnostic.
    pub fn of(folder: impl AsRef<Path>, programs: impl Programs + 'static) -> Self {
        let programs: Arc<dyn Programs> = Arc::new(programs);
        let folder = folder.as_ref();
        let read = load_all(folder, &programs).unwrap_or_else(|(_, why)| panic!("{why}"));
        let story = |scenario: Scenario| {
            let folder = Path::new(&scenario.path).parent().unwrap_or(folder).to_owned();
            Story { folder, scenario, checked: OnceLock::new() }
        };
        let stories: Vec<Story> = read.into_iter().map(story).collect();
        assert!(!stories.is_empty(), "there is no scenario in {}", folder.display());
        let stories = Stories(Arc::new(Shelf { stories, programs }));
        let trials = (0..stories.0.stories.len()).map(|index| trial(&stories, index)).collect();
        Self { stories, trials }
    }

    /// One more test, which looks at all scenarios together.
    ///
    /// # Errors
    /// Of `test`: why it fails.
    #[must_use]
    pub fn also(
        mut self,
        name: &str,
        test: impl FnOnce(&Stories) -> Result<(), String> + Send + 'static,
    ) -> Self {
        let stories = self.stories.clone();
        self.trials.push(Trial::test(name, move || test(&stories).map_err(Failed::from)));
        self
    }

    /// Runs what the command line asks for.
    pub fn run(self) -> Conclusion {
        libtest_mimic::run(&Arguments::from_args(), self.trials)
    }
}

fn trial(stories: &Stories, index: usize) -> Trial {
    let Story { scenario, folder, .. } = &stories.0.stories[index];
    let name = match folder.ends_with("regress") {
        true => format!("regress/{}", scenario.name),
        false => scenario.name.clone(),
    };
    let is_nightly = scenario.has_tag(NIGHTLY);
    let stories = stories.clone();
    Trial::test(name, move || told(&stories, index)).with_ignored_flag(is_nightly)
}

/// Fails with what is wrong, or with what has changed against the accepted report.
fn told(stories: &Stories, index: usize) -> Result<(), Failed> {
    let checked = stories.checked(index);
    let Checked { scenario, played } = checked;
    let mut failures = in_a_test(scenario, played, &stories.0.programs);
    failures.extend(checked.unmet().into_iter().map(|unmet| unmet.what));
    if !failures.is_empty() {
        return Err(Failed::from(failures.join("\n\n")));
    }
    let mut settings = insta::Settings::clone_current();
    // Absolute, because insta would take it to be beside this file.
    let folder = std::path::absolute(&stories.0.stories[index].folder);
    settings.set_snapshot_path(folder.map_err(|error| Failed::from(error.to_string()))?);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_input_file();
    settings.set_description("When this changes, behaviour has changed: ask why, then accept.");
    let report = report::accepted(scenario, played);
    settings.bind(|| insta::assert_snapshot!(scenario.name.as_str(), report));
    Ok(())
}
