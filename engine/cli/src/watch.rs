//! What a person sees of a running job: the two panels of the demo as waves, or plain lines where
//! stdout is no terminal. Reads the series store and the tally, and changes neither.
//! How curves become characters: [`crate::picture`]; who calls this and when: [`crate::run`].

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use slackwater_connect::series::SeriesStore;
use slackwater_core::point::{FieldValue, Point};
use slackwater_core::time::{EventTime, mins};

use crate::picture::{Screen, curve, sparkline};

/// How many lines the wave takes.
const WAVE_ROWS: usize = 6;
/// How much event time is read for a picture; more than fits.
const SPAN: Duration = mins(5);

/// What is said in the first line.
#[derive(Clone, Debug, Default)]
pub struct Headline {
    /// The job and its state.
    pub job: String,
    /// Whether that state is its last.
    pub ended: bool,
    /// How long it has run.
    pub seconds: u64,
    /// How many records were read.
    pub read: u64,
    /// How many rows were confirmed outside.
    pub written: u64,
    /// How many records were late.
    pub late: u64,
    /// What was counted of checkpoints, in words; empty if there were none.
    pub checkpoints: String,
    /// How often a job started again.
    pub restarts: u32,
    /// Why the job does not run; empty if it does.
    pub trouble: String,
}

impl Headline {
    fn text(&self) -> String {
        let Self { job, seconds, read, written, late, checkpoints, trouble, .. } = self;
        let mut text =
            format!("{job} · {seconds} s · {read} read · {written} written · {late} late");
        let restarts = match self.restarts {
            0 => String::new(),
            restarts => format!("{restarts} restarts"),
        };
        for more in [checkpoints, &restarts, trouble].into_iter().filter(|more| !more.is_empty()) {
            text += &format!(" · {more}");
        }
        text
    }
}

/// Shows a job that writes the demo's series.
#[derive(Debug)]
pub struct Watch {
    screen: Option<Screen>,
    tag: String,
    said: Option<u64>,
    since: EventTime,
}

impl Watch {
    /// Draws if stdout is a terminal, and says a line a second otherwise. `tag` ends the names of
    /// the series, of which rows from `since` on are shown.
    pub fn new(tag: &str, since: EventTime) -> Self {
        let screen = io::stdout().is_terminal().then(Screen::default);
        Self { screen, tag: tag.to_owned(), said: None, since }
    }

    /// Shows how things stand.
    ///
    /// # Errors
    /// If stdout refuses. A store that cannot be read shows as no points.
    pub fn show(&mut self, headline: &Headline, store: Option<&dyn SeriesStore>) -> io::Result<()> {
        if self.screen.is_none() && self.said == Some(headline.seconds) {
            return Ok(());
        }
        let since = self.since;
        let read = |name: &str| {
            let rows = store.map(|store| store.rows(&format!("{name}{}", self.tag), since));
            rows.and_then(Result::ok).map(by_key).unwrap_or_default()
        };
        let (sensors, sums) = (read("sensors"), read("summedSensors"));
        let times = sensors.values().flatten().map(|(time, _)| *time);
        self.since = self.since.max(times.max().map_or(self.since, |newest| newest.minus(SPAN)));
        let size = crossterm::terminal::size().unwrap_or((80, 24));
        let (width, height) = (usize::from(size.0), usize::from(size.1));
        match &mut self.screen {
            Some(screen) => {
                let stops = if headline.ended { "" } else { "   (Ctrl-C stops)" };
                let mut lines = vec![format!("{}{stops}", headline.text())];
                if !sensors.is_empty() || !sums.is_empty() {
                    lines.extend(panels(&sensors, &sums, width));
                }
                // What has scrolled away cannot be drawn over.
                lines.truncate(height.saturating_sub(1));
                screen.draw(&mut io::stdout(), &lines, width)
            }
            None => {
                self.said = Some(headline.seconds);
                println!("{}{}", headline.text(), last_sum(&sums));
                Ok(())
            }
        }
    }
}

impl Drop for Watch {
    /// Leaves the last picture standing and gives the cursor back, however the run ends.
    fn drop(&mut self) {
        if let Some(screen) = &mut self.screen {
            // A terminal that is gone needs no cursor.
            let _ = screen.leave(&mut io::stdout());
        }
    }
}

/// The values of a series by key, in the order of time.
type ByKey = BTreeMap<String, Vec<(EventTime, f64)>>;

fn by_key(points: Vec<Point>) -> ByKey {
    let mut keys = ByKey::new();
    for point in points {
        if let Some(FieldValue::Float(value)) = point.field("value") {
            let value = *value;
            keys.entry(point.key).or_default().push((point.time, value));
        }
    }
    keys
}

fn values(series: &ByKey, key: &str, most: usize) -> Vec<f64> {
    let all = series.get(key).map_or(&[][..], Vec::as_slice);
    all[all.len().saturating_sub(most)..].iter().map(|(_, value)| *value).collect()
}

/// Both panels, at most `width` characters wide.
fn panels(sensors: &ByKey, sums: &ByKey, width: usize) -> Vec<String> {
    const SCALE: usize = 8;
    let room = width.saturating_sub(SCALE + 1).min(120);
    let mut lines = vec![String::new(), "sensors: pressure, one character per reading".into()];
    let wave = curve(&values(sensors, "pressure", room), (-1.0, 1.0), WAVE_ROWS);
    for (row, line) in wave.into_iter().enumerate() {
        let mark = match row {
            0 => "+1.0",
            r if r == WAVE_ROWS - 1 => "-1.0",
            _ => "",
        };
        lines.push(format!("{mark:>6} │{line}"));
    }
    lines.push(String::new());
    lines.push("summedSensors: one bar per second".into());
    for key in ["pressure", "temp", "door"] {
        let bars = values(sums, key, room.saturating_sub(24));
        let most = bars.iter().fold(1.0, |most: f64, bar| most.max(bar.abs()));
        let last = bars.last().map_or(String::new(), |last| format!("last {last:+.3e}"));
        lines.push(format!("{key:>9} │{}  {last}", sparkline(&bars, (-most, most))));
    }
    lines
}

/// The newest sum of the pressure, for a line of plain progress.
fn last_sum(sums: &ByKey) -> String {
    let pressure = sums.get("pressure").map_or(&[][..], Vec::as_slice);
    let most = pressure.iter().fold(0.0, |most: f64, (_, sum)| most.max(sum.abs()));
    match pressure.last() {
        Some((at, sum)) => {
            let seconds = pressure.len();
            format!(" · sum of pressure at {at}: {sum:+.3e}, at most {most:.3e} in {seconds} s")
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use slackwater_connect::series::MemoryStore;

    use super::*;

    #[test]
    fn the_panels_show_the_wave_and_its_sums() {
        let store = MemoryStore::default();
        let sine = |at: i64| (at as f64 / 10.0 * std::f64::consts::TAU).sin();
        let point = |series: &str, at: i64, value: f64| {
            let time = EventTime::from_millis(at * 100);
            Point::new(series, "pressure", time, [("value", value.into())])
        };
        let points: Vec<_> = (0..20).map(|at| point("sensors", at, sine(at))).collect();
        store.write("w", &points).expect("kept");
        store.write("w", &[point("summedSensors", 0, 0.0)]).expect("kept");
        let read = |series| store.rows(series, EventTime::MIN).map(by_key).expect("rows");
        let lines = panels(&read("sensors"), &read("summedSensors"), 60);
        assert!(lines[2].starts_with("  +1.0 │") && lines[2].contains('⠏'), "{lines:#?}");
        assert_eq!(lines[10], " pressure │▅  last +0.000e0");
    }
}
