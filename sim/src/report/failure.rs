//! One line for a verdict, and a few for a failure: the seed first, what broke, when, how to replay.
//! Fits on a screen: of many failures of one scenario only the first of each kind is told in full.
//! Numbers of speed stand here and never in [`mod@super::accepted`].

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use super::evidence;
use crate::check::Used;
use crate::inquest::Inquest;
use crate::scenario::{Class, Played, Scenario, Trouble};

/// How many failures of a scenario are told.
const FAILURES_MAX: usize = 5;

/// The verdict of a scenario: what was checked, seeds, speed, and its waves; with `details` also
/// what each check saw in the first run, and every picture.
pub fn line(scenario: &Scenario, played: &[Played], details: bool) -> String {
    let failed = played.iter().any(|played| played.all_troubles().next().is_some());
    let word = if failed { "FAIL" } else { "ok  " };
    let checks: BTreeSet<&str> =
        played.iter().flat_map(|p| p.judged.iter().map(|j| j.check)).collect();
    let checks = checks.into_iter().collect::<Vec<_>>().join(", ");
    let name = &scenario.name;
    let mut text =
        format!("{word}  {name}: {checks}\n      {}, {}", runs(scenario, played), speed(played));
    if let Some(used) = use_of(played) {
        let _ = write!(text, "\n      {used}");
    }
    if let Some(first) = played.first() {
        let judged = first.judged.iter().filter(|_| details);
        let width = first.judged.iter().map(|judged| judged.check.len()).fold(20, usize::max);
        for judged in judged {
            let (check, summary) = (judged.check, &judged.outcome.summary);
            let _ = write!(text, "\n      {check:<width$}  {}: {summary}", judged.word());
        }
        let pictures = if details { first.pictures.lines() } else { first.pictures.waves() };
        for picture in pictures {
            let _ = write!(text, "\n      {picture}");
        }
    }
    text
}

/// How much all runs together used their checkpoints; nothing if they took none.
fn use_of(played: &[Played]) -> Option<String> {
    let mut all = Used::default();
    played.iter().for_each(|played| all += played.used);
    let Used { read_back, alignments, held, stall } = all;
    let stall = stall.as_millis();
    (all != Used::default()).then(|| {
        format!(
            "checkpoints: {read_back} bytes read back, {alignments} alignments over two and more \
             channels, {held} packets held, longest stall {stall} ms"
        )
    })
}

/// `12 runs of 3 cells, seeds 0 to 3`.
fn runs(scenario: &Scenario, played: &[Played]) -> String {
    let seeds: BTreeSet<u64> = played.iter().map(|played| played.turn.seed).collect();
    let seeds = match (seeds.first(), seeds.last()) {
        (Some(first), Some(last)) if first != last => format!("seeds {first} to {last}"),
        (Some(only), _) => format!("seed {only}"),
        _ => "no seed".to_owned(),
    };
    let (runs, cells) = (played.len(), scenario.cells.len());
    let many = |number: usize, word: &str| {
        format!("{number} {word}{}", if number == 1 { "" } else { "s" })
    };
    let runs = match cells {
        1 => format!("{}, {seeds}", many(runs, "run")),
        _ => format!("{} of {}, {seeds}", many(runs, "run"), many(cells, "cell")),
    };
    match sweep(played) {
        Some(sweep) => format!("{runs}: {sweep}"),
        None => runs,
    }
}

/// `1206 of 1206 instants recover`, if it is a sweep; and where it first broke what may break.
fn sweep(played: &[Played]) -> Option<String> {
    let swept: Vec<&Played> = played.iter().filter(|played| played.instant.is_some()).collect();
    let broke = |played: &Played| played.judged.iter().any(|j| j.outcome.broken.is_some());
    let bad = |played: &Played| broke(played) || played.all_troubles().next().is_some();
    let good = swept.iter().filter(|played| !bad(played)).count();
    let first = swept.iter().find(|played| bad(played)).and_then(|played| played.instant.as_ref());
    let mut text = format!("{good} of {} instants recover", swept.len());
    if let Some(first) = first {
        let _ = write!(text, ", the first that does not is {first}");
    }
    (!swept.is_empty()).then_some(text)
}

/// Virtual seconds, and how many of them per second of a processor.
fn speed(played: &[Played]) -> String {
    let virtual_time: Duration = played.iter().map(|played| played.virtual_time).sum();
    let cpu: Duration = played.iter().map(|played| played.cpu).sum();
    let (virtual_s, cpu_s) = (virtual_time.as_secs_f64(), cpu.as_secs_f64());
    let rate = virtual_s / cpu_s.max(1e-9);
    format!("{virtual_s:.0} virtual s in {cpu_s:.2} CPU s ({rate:.0} per CPU s)")
}

/// What went wrong with a scenario: each kind of failure once, each run in one block, with the command
/// that replays it.
pub fn failures(scenario: &Scenario, played: &[Played]) -> Vec<String> {
    telling(played).into_iter().map(|played| failure(scenario, played, None)).collect()
}

/// The runs that are told of those that failed: the first of each kind.
pub fn telling(played: &[Played]) -> Vec<&Played> {
    let mut told = BTreeSet::<(usize, Class, String)>::new();
    let mut runs = Vec::new();
    for played in played {
        let kind = |trouble: &Trouble| {
            let kind = trouble.what.split(':').next().unwrap_or_default().to_owned();
            (played.turn.cell, trouble.class, kind)
        };
        let fresh = played.all_troubles().filter(|trouble| told.insert(kind(trouble))).count();
        if fresh > 0 && runs.len() < FAILURES_MAX {
            runs.push(played);
        }
    }
    runs
}

/// How many of the troubles, and of the faults, of a run are told.
const LINES_MAX: usize = 6;

/// What went wrong with one run: the gravest first, what broke before all else, what befell it (of a run
/// that was made small, of the small one), how it went on around the break, how rare it is, and the
/// commands that replay it. With what was found out about it, if somebody has looked; behind that where
/// the small run was written.
pub fn failure(
    scenario: &Scenario,
    played: &Played,
    looked: Option<(&Inquest, Option<&str>)>,
) -> String {
    let cell = &scenario.cells[played.turn.cell].name;
    let cell = if cell.is_empty() { String::new() } else { format!(" [{cell}]") };
    let mut text = format!("FAIL     {}{cell}  seed {}", scenario.name, played.turn.seed);
    let mut troubles: Vec<&Trouble> = played.all_troubles().collect();
    // What the harness misses is mostly a consequence of what is wrong.
    troubles.sort_by_key(|trouble| (trouble.class == Class::Harness, trouble.at.is_none()));
    for trouble in troubles.iter().take(LINES_MAX) {
        let _ = write!(text, "\n{:<8} {}", trouble.class, trouble.what);
    }
    more(&mut text, troubles.len(), "");
    let found = looked.map(|(inquest, _)| inquest);
    let lines = |of: fn(&Inquest) -> Vec<String>| found.map(of).unwrap_or_default();
    let shrunk = found.and_then(|inquest| inquest.shrunk.as_ref());
    add(&mut text, lines(evidence::first));
    add(&mut text, lines(evidence::small));
    let faults = if shrunk.is_some() { &[] } else { &played.faults[..] };
    for fault in faults.iter().take(LINES_MAX) {
        let _ = write!(text, "\nFAULT    {fault}");
    }
    more(&mut text, faults.len(), "faults");
    let story = shrunk.map_or_else(|| played.story.clone(), evidence::story);
    add(&mut text, story.iter().map(|line| format!("STORY    {line}")).collect());
    add(&mut text, lines(evidence::rarity));
    let replay = super::replay(scenario, played);
    let _ = write!(text, "\nREPLAY   {replay}");
    match (looked.and_then(|(_, small)| small), replay.strip_prefix("slackwater replay ")) {
        (Some(small), _) => add(&mut text, vec![format!("SMALL    {small}")]),
        (None, Some(run)) => add(&mut text, vec![format!("SMALL    slackwater shrink {run}")]),
        (None, None) => {}
    }
    text
}

fn add(text: &mut String, lines: Vec<String>) {
    lines.into_iter().for_each(|line| {
        let _ = write!(text, "\n{line}");
    });
}

fn more(text: &mut String, number: usize, of: &str) {
    if let Some(rest) = number.checked_sub(LINES_MAX).filter(|rest| *rest > 0) {
        let _ = write!(text, "\n         and {rest} more {of}");
    }
}
