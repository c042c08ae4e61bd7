//! The accepted report of a scenario: verdicts and the counts that belong to the contract.
//! Holds no wall time, no processor time, no step count and no hash: it changes when behaviour does,
//! and then a person looks. Compared with `scenarios/*.snap` by the suite.

use std::fmt::Write;

use crate::scenario::{Played, Scenario};

/// The report of a scenario, from all of its turns.
pub fn accepted(scenario: &Scenario, played: &[Played]) -> String {
    let mut text = String::new();
    let title = scenario.title();
    let _ = writeln!(text, "{}: {title}", scenario.name);
    for (index, cell) in scenario.cells.iter().enumerate() {
        let mine: Vec<&Played> = played.iter().filter(|p| p.turn.cell == index).collect();
        let Some(first) = mine.first() else { continue };
        let name = if cell.name.is_empty() { String::new() } else { format!("[{}] ", cell.name) };
        let seeds: Vec<String> = mine.iter().map(|p| p.turn.seed.to_string()).collect();
        let word = if seeds.len() == 1 { "seed" } else { "seeds" };
        let _ = writeln!(text, "\n{name}{word} {}", seeds.join(" "));
        by_seed(&mut text, "fault", mine.iter().map(|p| p.faults.join("; ")));
        by_seed(
            &mut text,
            "trouble",
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
            by_seed(&mut text, expectation.check.name, judged);
        }
        for line in first.pictures.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// One line if it is the same for every seed, else one for each; nothing where nothing is said.
fn by_seed(text: &mut String, name: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    let same = lines.windows(2).all(|pair| pair[0] == pair[1]);
    let shown = if same { &lines[..lines.len().min(1)] } else { &lines[..] };
    for (index, line) in shown.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let name = if index == 0 { name } else { "" };
        let _ = writeln!(text, "  {name:<20}  {line}");
    }
}
