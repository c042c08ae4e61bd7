//! What people read of a run: pictures, verdict lines, the text of a failure, the accepted report.
//! Judges nothing and plays nothing: numbers and verdicts come in, lines go out, equal for equal
//! runs. Who plays is [`crate::scenario`]; who prints is [`crate::verb`].

mod accepted;
mod curves;
pub mod evidence;
mod failure;
mod order;
mod story;
mod svg;
pub mod timeline;
mod waves;

pub use accepted::accepted;
pub use curves::{Shown, curves};
pub use failure::{failure, failures, line, telling};
pub use story::story;

use crate::scenario::{Played, Scenario};

use crate::journal::Journal;
use crate::scenario::format::Picture;

/// The pictures of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pictures {
    /// `sensors` of `pressure`, as a sparkline.
    pub sensors: Option<String>,
    /// `summedSensors` of `pressure`, as a sparkline.
    pub summed: Option<String>,
    /// Event order, arrival order, and the window entered, line by line.
    pub order: Vec<String>,
}

impl Pictures {
    /// Its waves, each with a name.
    pub fn waves(&self) -> Vec<String> {
        let wave = |name: &str, wave: &Option<String>| {
            wave.as_ref().map(|wave| format!("{name:<13} {wave}"))
        };
        let waves = [wave("sensors", &self.sensors), wave("summedSensors", &self.summed)];
        waves.into_iter().flatten().collect()
    }

    /// Its lines: the waves, then the table of arrivals.
    pub fn lines(&self) -> Vec<String> {
        self.waves().into_iter().chain(self.order.iter().cloned()).collect()
    }
}

/// The pictures that a report asks for.
pub fn pictures(journal: &Journal, show: &[Picture]) -> Pictures {
    let mut pictures = Pictures::default();
    for picture in show {
        match picture {
            Picture::Waves => {
                pictures.sensors = waves::of(journal, "sensors");
                pictures.summed = waves::of(journal, "summedSensors");
            }
            Picture::Order => pictures.order = order::table(journal),
        }
    }
    pictures
}

/// The command that plays a run again.
pub fn replay(scenario: &Scenario, played: &Played) -> String {
    let cell = &scenario.cells[played.turn.cell].name;
    let instant = played.instant.as_ref().map(|instant| instant.number);
    scenario.replay(cell, played.turn.seed, instant)
}
