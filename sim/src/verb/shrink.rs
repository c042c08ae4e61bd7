//! The verb `shrink`: looks into one failing run, and writes the smallest that fails alike as a
//! scenario file under `regress/`, for people to read.
//! Judges nothing. What is found out, and how, is [`crate::inquest`]'s; what a failure prints as its
//! SMALL line is a file that this verb wrote.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::time::parse_span;
use slackwater_dataflow::task::Programs;

use super::{Refusal, Which, files, replay, usage};
use crate::inquest::{Budget, Extent, Inquest, Suspect, inquire};
use crate::report::evidence;
use crate::scenario::{Class, Scenario};

/// What `shrink` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct ShrinkArgs {
    /// Which run.
    #[command(flatten)]
    pub which: Which,
    /// How long a smaller run is looked for; the file's [shrink] `budget`, or 2m, unless given
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub time: Option<Duration>,
    /// The file to write; the next number in `regress` beside the scenario unless given
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How many other seeds are played, to see how rare the failure is
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub nearby: usize,
    /// How many worlds are played for each time from which on luck is another
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub worlds: usize,
}

/// Looks into the run, writes the small one, and prints what was found out.
pub(super) fn shrink(
    args: &ShrinkArgs,
    programs: &Arc<dyn Programs>,
) -> Result<Option<Class>, Refusal> {
    let scenario = files::read(&args.which.path, programs)?;
    let (turn, instant) = (replay::turn(&args.which, &scenario)?, args.which.instant);
    if scenario.is_sweep() && instant.is_none() {
        return Err(usage(format!("{} is a sweep: which --instant?", scenario.path)));
    }
    let out = args.out.clone().unwrap_or_else(|| next(&args.which.path));
    let file = &scenario.cells[turn.cell].document.shrink;
    let time = args.time.or(file.budget.map(|budget| budget.0));
    let budget = Budget { time: time.unwrap_or(Budget::default().time), ..Budget::default() };
    let (shrink, name, time) = (Some(budget), name(&out), Duration::MAX);
    let extent = Extent { shrink, name, seeds: args.nearby, worlds: args.worlds, time };
    let suspect = Suspect { scenario: &scenario, turn, instant };
    let found = inquire(suspect, &extent, programs);
    let mut stdout = std::io::stdout().lock();
    let Some(inquest) = found else {
        let _ =
            writeln!(stdout, "ok    {}: nothing is wrong under seed {}", scenario.name, turn.seed);
        return Ok(None);
    };
    if let Some(shrunk) = &inquest.shrunk {
        files::write_new(&out, &shrunk.text)?;
    }
    // A reader that has gone away is no failure of the scenario.
    let _ = writeln!(stdout, "{}", text(&scenario, &inquest, &out));
    Ok(Some(inquest.kind.class))
}

/// `regress/0008`, as a title begins.
pub(super) fn name(out: &Path) -> String {
    let plain = |path: Option<&std::ffi::OsStr>| {
        path.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    format!("{}/{}", plain(out.parent().and_then(Path::file_name)), plain(out.file_stem()))
        .trim_start_matches('/')
        .to_owned()
}

/// The next free number in the folder of small failures.
#[expect(clippy::disallowed_methods, reason = "the harness looks at its own files, on no host")]
pub(super) fn next(scenario: &Path) -> PathBuf {
    let all =
        scenario.ancestors().find(|folder| folder.file_name().is_some_and(|n| n == "scenarios"));
    let beside = || scenario.parent().unwrap_or(Path::new(""));
    let folder = all.unwrap_or_else(beside).join("regress");
    let numbers = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let number = |entry: std::fs::DirEntry| entry.path().file_stem()?.to_str()?.parse::<u32>().ok();
    let last = numbers.filter_map(number).max().unwrap_or(0);
    folder.join(format!("{:04}.toml", last + 1))
}

/// What was found out, a line each.
fn text(scenario: &Scenario, inquest: &Inquest, out: &Path) -> String {
    let trouble = &inquest.trouble;
    let mut lines = vec![format!("{:<8} {}: {}", trouble.class, scenario.name, trouble.what)];
    lines.extend(evidence::first(inquest));
    lines.extend(evidence::small(inquest));
    if inquest.shrunk.is_some() {
        lines.push(format!("SMALL    {} (written)", out.display()));
    }
    lines.extend(evidence::rarity(inquest));
    lines.join("\n")
}
