//! The timeline of one run as a page: lanes of nodes and slots over virtual time, event time beside it, verdicts below.
//! One file that needs nothing else, no network and no script to be read; equal runs give equal bytes,
//! and whatever a run says is escaped. Written for `--report DIR` by [`crate::verb`].

mod lanes;
mod saved;
mod scale;
mod slots;
mod strips;

use std::fmt::Write;

use self::scale::Scale;
use super::svg::{Drawing, escaped};
use crate::scenario::{Played, Scenario};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The name of a run's page, without ending: scenario, cell, seed, instant.
pub fn page_name(scenario: &Scenario, played: &Played) -> String {
    let cell = &scenario.cells[played.turn.cell].name;
    let mut name = format!("{} {cell} seed {}", scenario.name, played.turn.seed);
    if let Some(instant) = &played.instant {
        let _ = write!(name, " instant {}", instant.number);
    }
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let parts = name.split_whitespace().map(|part| part.chars().map(plain).collect::<String>());
    parts.collect::<Vec<_>>().join("-")
}

/// The page of a run; `None` if its journal was not kept.
pub fn page(scenario: &Scenario, played: &Played) -> Option<String> {
    let journal = played.journal.as_ref()?;
    let scale = Scale::of(journal);
    let mut drawing = Drawing::default();
    lanes::draw(&mut drawing, &scale, journal);
    let height = strips::draw(&mut drawing, &scale, played, journal);
    let cell = &scenario.cells[played.turn.cell].name;
    let troubles: Vec<_> = played.all_troubles().collect();
    let word = if troubles.is_empty() { "ok" } else { "FAIL" };
    let mut head = format!("<h1><b class=\"{word}\">{word}</b> {}", escaped(&scenario.name));
    if !cell.is_empty() {
        let _ = write!(head, " [{}]", escaped(cell));
    }
    let _ = write!(head, " seed {}</h1>\n<p>{}</p>\n", played.turn.seed, escaped(scenario.title()));
    let mut list = |name: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let lines = lines.iter().map(|line| format!("<li>{}</li>", escaped(line)));
            let _ = writeln!(head, "<ul class=\"{name}\">{}</ul>", lines.collect::<String>());
        }
    };
    list("wrong", troubles.iter().map(|t| format!("{} {}", t.class, t.what)).collect());
    list("faults", played.faults.clone());
    let replay = super::replay(scenario, played);
    let _ = writeln!(head, "<pre>{}</pre>", escaped(replay));
    let svg = drawing.finish(scale.width(), height);
    Some(document(
        &scenario.name,
        &format!("{head}<div class=\"sheet\">{svg}</div>\n<output id=\"fact\">{KEYS}</output>\n"),
    ))
}

/// What the line below the drawing says before anything is pointed at.
const KEYS: &str = "Point at a shape, or reach it with Tab, to read its fact; click it to see what \
                    belongs to it. Blue: checkpoints. Gold: savepoints, and the jobs \
                    that begin with one. Red: faults. Bands: attempts.";

/// A page that lists pages: name, and whether the run failed.
pub fn index(pages: &[(String, bool)]) -> String {
    let lines = pages.iter().map(|(name, failed)| {
        let word = if *failed { "FAIL" } else { "ok" };
        let name = escaped(name);
        format!("<li><b class=\"{word}\">{word}</b> <a href=\"{name}.html\">{name}</a></li>\n")
    });
    let lines: String = lines.collect();
    document("runs", &format!("<h1>Runs</h1>\n<ul>{lines}</ul>\n"))
}

fn document(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>\n{STYLE}</style></head>\n<body>\n{body}<script>\n{SCRIPT}</script></body></html>\n"
    )
}
