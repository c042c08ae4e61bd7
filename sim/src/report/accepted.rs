//! The accepted report of a scenario: verdicts and the counts that belong to the contract.
//! Holds no wall time, no processor time, no step count and no hash: it changes when behaviour does,
//! and then a person looks. Compared with `scenarios/*.snap` by the suite.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::scenario::format::Must;
use crate::scenario::{Cell, Played, Scenario};

/// The report of a scenario, from all of its turns.
pub fn accepted(scenario: &Scenario, played: &[Played]) -> String {
    let mut text = String::new();
    let title = scenario.title();
    let _ = writeln!(text, "{}: {title}", scenario.name);
    for (index, cell) in scenario.cells.iter().enumerate() {
        let mine: Vec<&Played> = played.iter().filter(|p| p.turn.cell == index).collect();
        let Some(first) = mine.first() else { continue };
        let name = if cell.name.is_empty() { String::new() } else { format!("[{}] ", cell.name) };
        if mine.iter().any(|played| played.instant.is_some()) {
            let _ = writeln!(text, "\n{name}{}", swept(cell, &mine));
            continue;
        }
        let width = width(cell);
        let seeds: Vec<String> = mine.iter().map(|p| p.turn.seed.to_string()).collect();
        let word = if seeds.len() == 1 { "seed" } else { "seeds" };
        let _ = writeln!(text, "\n{name}{word} {}", seeds.join(" "));
        by_seed(&mut text, ("fault", width), mine.iter().map(|p| p.faults.join("; ")));
        by_seed(
            &mut text,
            ("trouble", width),
            mine.iter().map(|played| {
                let troubles = played.troubles.iter().map(|trouble| format!("{:?}", trouble.class));
                troubles.collect::<Vec<_>>().join(", ")
            }),
        );
        for (place, expectation) in cell.expectations.iter().enumerate() {
            let judged = mine.iter().map(|played| {
                let judged = &played.judged[place];
                format!("{}: {}", judged.word(), judged.outcome.summary)
            });
            by_seed(&mut text, (expectation.check.name, width), judged);
        }
        for line in first.pictures.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// How wide the names of a cell's checks are.
fn width(cell: &Cell) -> usize {
    cell.expectations.iter().map(|expectation| expectation.check.name.len()).fold(20, usize::max)
}

/// What a sweep came to. How many instants there are moves with every harmless change, and which of
/// them are played with the patience of the reader: so neither is told.
fn swept(cell: &Cell, mine: &[&Played]) -> String {
    let victims: BTreeSet<&str> =
        mine.iter().flat_map(|p| p.instant.as_ref()).map(|i| i.victim.as_str()).collect();
    let victims = victims.into_iter().collect::<Vec<_>>().join(", ");
    let width = width(cell);
    let mut text = format!("at every instant, a crash of each of: {victims}");
    let troubles = mine.iter().filter(|played| played.all_troubles().next().is_some()).count();
    if troubles > 0 {
        let _ = write!(text, "\n  {:<width$}  yes", "trouble");
    }
    for (place, expectation) in cell.expectations.iter().enumerate() {
        let broke = mine.iter().filter(|p| p.judged[place].outcome.broken.is_some()).count();
        let word = match (broke, expectation.must) {
            (0, Must::Hold | Must::IfSeen | Must::Either) => "held at all of them",
            (0, Must::Break) => "HELD at all of them",
            (_, Must::Hold | Must::IfSeen) => "BROKE",
            (_, Must::Break) => "broke at some of them, as it must",
            (_, Must::Either) => "broke at some of them, as it may",
        };
        let _ = write!(text, "\n  {:<width$}  {word}", expectation.check.name);
    }
    text
}

/// One line if it is the same for every seed, else one for each; nothing where nothing is said.
fn by_seed(text: &mut String, (name, width): (&str, usize), lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    let same = lines.windows(2).all(|pair| pair[0] == pair[1]);
    let shown = if same { &lines[..lines.len().min(1)] } else { &lines[..] };
    for (index, line) in shown.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let name = if index == 0 { name } else { "" };
        let _ = writeln!(text, "  {name:<width$}  {line}");
    }
}
