//! The curves of a run as one picture: each series over event time, as the walkthrough's dashboard
//! shows them, with what befell the world; a row that is missing is a gap. Judges nothing, reads the
//! journal only, and equal runs give equal bytes. The page of a whole run is [`super::timeline`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slackwater_core::fact::{Down, Fact};
use slackwater_core::point::FieldValue;
use slackwater_core::time::EventTime;

use super::svg::{Drawing, Said};
use crate::check::{Arrival, arrivals, rows};
use crate::journal::Journal;
use crate::scenario::format::Picture;
use crate::scenario::{Played, Scenario};
use crate::world::EPOCH;

const STYLE: &str = include_str!("curves.css");
/// The width of a picture, and where a panel begins and ends in it.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 744.0;
/// How high a panel is, and how far the next one is below it.
const PANEL: f64 = 110.0;
const STEP: f64 = 160.0;
/// Where the first panel begins.
const TOP: f64 = 88.0;
/// How many keys of a series are drawn at most.
const KEYS_MAX: usize = 4;
/// A series with more points than this is drawn without dots.
const DOTS_MAX: usize = 160;
/// How many elements the picture of arrivals has at most.
const ARRIVALS_MAX: usize = 90;
/// A gap is more than this many times the usual distance of two points.
const GAP: f64 = 1.5;

/// What of a run is drawn.
#[derive(Clone, Debug, Default)]
pub struct Shown<'a> {
    /// Only this key, such as `pressure`; otherwise the first few of each series.
    pub key: Option<&'a str>,
    /// Only these series; otherwise all that have numbers.
    pub series: &'a [String],
    /// Seconds of event time since the world began: where the picture begins and ends.
    pub span: Option<(f64, f64)>,
}

/// The picture of a run as an SVG document. `None` if its journal was not kept, or if nothing that
/// is to be shown was written.
pub fn curves(scenario: &Scenario, played: &Played, shown: &Shown<'_>) -> Option<String> {
    let journal = played.journal.as_ref()?;
    if matches!(scenario.cells[played.turn.cell].document.report.show[..], [Picture::Order]) {
        return order(scenario, journal);
    }
    let panels: Vec<Panel> = series(journal, shown)
        .into_iter()
        .filter_map(|series| Panel::of(journal, series, shown))
        .collect();
    let points = || panels.iter().flat_map(|panel| panel.lines.values().flatten());
    let first = points().map(|point| point.0).reduce(f64::min)?;
    let last = points().map(|point| point.0).reduce(f64::max)?;
    let span = shown.span.unwrap_or((first, last.max(first + 1.0)));
    let mut drawing = Drawing::default();
    drawing.text((16.0, 26.0), "title", scenario.title());
    let seed = format!("{}, seed {}", scenario.name, played.turn.seed);
    drawing.text((16.0, 44.0), "small", seed);
    let bottom = TOP + STEP * panels.len() as f64 - (STEP - PANEL);
    befell(&mut drawing, span, journal, bottom);
    for (place, panel) in panels.iter().enumerate() {
        panel.draw(&mut drawing, span, TOP + STEP * place as f64);
    }
    drawing.text((LEFT, bottom + 34.0), "small", "seconds of event time");
    Some(drawing.standing_alone(STYLE, (WIDTH, bottom + 46.0)))
}

/// The out-of-order picture of the walkthrough's section 4: elements in the order in which they
/// arrived, by event time, each in the window that it entered. `None` if none entered one.
fn order(scenario: &Scenario, journal: &Journal) -> Option<String> {
    let arrivals = arrivals(journal);
    let shown = &arrivals[..arrivals.len().min(ARRIVALS_MAX)];
    let first = shown.iter().map(|arrival| arrival.time).min()?;
    let begin = first.as_millis().div_euclid(1_000) * 1_000;
    let second = |time: EventTime| (time.as_millis() - begin) as f64 / 1_000.0;
    let end = shown.iter().map(|arrival| second(arrival.time)).fold(1.0, f64::max).ceil();
    let (top, height) = (TOP, 60.0 * end);
    let y = |seconds: f64| top + height * (1.0 - seconds / end);
    let x = |place: usize| LEFT + (RIGHT - LEFT) * (place as f64 + 0.5) / shown.len() as f64;
    let mut drawing = Drawing::default();
    drawing.text((16.0, 26.0), "title", scenario.title());
    let words = "each dot is an element; a band is a window of one second; gold: arrived after one of a later window";
    drawing.text((16.0, 44.0), "small", words);
    for window in 0..end as usize {
        let class = if window % 2 == 0 { "window even" } else { "window odd" };
        let at = (LEFT, y(window as f64 + 1.0));
        let size = (RIGHT - LEFT, height / end);
        drawing.rect(at, size, Said { class, ..Said::default() });
        let label = format!("{window} s");
        drawing.text((LEFT - 8.0, y(window as f64) + 4.0), "axis", label);
    }
    let mut greatest: Option<&Arrival> = None;
    for (place, arrival) in shown.iter().enumerate() {
        let crossed = greatest.is_some_and(|greatest| arrival.window < greatest.window);
        let class = match (arrival.window, crossed) {
            (None, _) => "late",
            (_, true) => "crossed",
            _ => "dot s0",
        };
        let said = Said { class, ..Said::default() };
        drawing.circle((x(place), y(second(arrival.time))), 3.2, said);
        if greatest.is_none_or(|greatest| greatest.time < arrival.time) {
            greatest = Some(arrival);
        }
    }
    let bottom = top + height;
    drawing.text((LEFT, bottom + 22.0), "small", "order of arrival");
    drawing.text((16.0, top - 10.0), "small", "event time");
    Some(drawing.standing_alone(STYLE, (WIDTH, bottom + 36.0)))
}

/// The series that have numbers, in the order in which they were first written.
fn series(journal: &Journal, shown: &Shown<'_>) -> Vec<String> {
    let mut seen = Vec::<String>::new();
    for entry in journal.entries() {
        let Fact::PointWritten { point, .. } = &entry.fact else { continue };
        if !seen.contains(&point.series) {
            seen.push(point.series.clone());
        }
    }
    seen.retain(|series| shown.series.is_empty() || shown.series.contains(series));
    seen
}

/// One series: its lines by key, over seconds of event time.
struct Panel {
    name: String,
    lines: BTreeMap<String, Vec<(f64, f64)>>,
    /// The ends of its axis.
    range: (f64, f64),
    /// The usual distance of two points of a line.
    usual: f64,
}

impl Panel {
    fn of(journal: &Journal, series: String, shown: &Shown<'_>) -> Option<Self> {
        let mut lines = BTreeMap::<String, Vec<(f64, f64)>>::new();
        for ((key, time), row) in rows(journal, &series) {
            let Some(value) = row.point.fields.iter().find_map(|(_, value)| number(value)) else {
                continue;
            };
            let second = seconds(time);
            let outside = shown.span.is_some_and(|(from, to)| second < from || second > to);
            if outside || shown.key.is_some_and(|only| only != key) {
                continue;
            }
            lines.entry(key).or_default().push((second, value));
        }
        let few: BTreeSet<String> = lines.keys().take(KEYS_MAX).cloned().collect();
        lines.retain(|key, _| few.contains(key));
        let values = || lines.values().flatten().map(|point| point.1);
        let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
        // What is all but flat is drawn as flat: the last bits of a sum are nobody's business.
        let range = if high - low < 1e-6 { (low - 1.0, high + 1.0) } else { (low, high) };
        let distances = lines.values().flat_map(|line| line.windows(2));
        let mut distances: Vec<f64> = distances.map(|pair| pair[1].0 - pair[0].0).collect();
        distances.sort_by(f64::total_cmp);
        let usual = distances.get(distances.len() / 2).copied().unwrap_or(1.0);
        Some(Self { name: series, lines, range, usual })
    }

    fn draw(&self, drawing: &mut Drawing, span: (f64, f64), top: f64) {
        let (low, high) = self.range;
        let y = |value: f64| top + PANEL * (high - value) / (high - low);
        for value in [low, (low + high) / 2.0, high] {
            let said = Said { class: "grid", ..Said::default() };
            drawing.line(&[(LEFT, y(value)), (RIGHT, y(value))], said);
            drawing.text((LEFT - 8.0, y(value) + 4.0), "axis", rounded(value));
        }
        for second in marks(span) {
            let x = place(span, second);
            drawing.text((x, top + PANEL + 15.0), "tick", format!("{second:.0}"));
        }
        drawing.text((LEFT, top - 10.0), "name", &self.name);
        for (number, (key, line)) in self.lines.iter().enumerate() {
            let at = LEFT + 130.0 + 90.0 * number as f64;
            drawing.text((at, top - 10.0), &format!("key s{number}"), key);
            let class = format!("line s{number}");
            for run in self.runs(line) {
                let run: Vec<_> = run.iter().map(|(t, v)| (place(span, *t), y(*v))).collect();
                drawing.line(&run, Said { class: &class, ..Said::default() });
                if line.len() <= DOTS_MAX {
                    let class = format!("dot s{number}");
                    let dot = Said { class: &class, ..Said::default() };
                    run.iter().for_each(|at| drawing.circle(*at, 1.9, dot));
                }
            }
        }
    }

    /// The parts of a line between its gaps.
    fn runs<'l>(&self, line: &'l [(f64, f64)]) -> impl Iterator<Item = &'l [(f64, f64)]> {
        let far = self.usual * GAP;
        line.chunk_by(move |one, next| next.0 - one.0 <= far)
    }
}

/// Who was away, and what the scenario did, where event time follows the clock of the world.
fn befell(drawing: &mut Drawing, span: (f64, f64), journal: &Journal, bottom: f64) {
    let within = |second: f64| second >= span.0 && second <= span.1;
    let mut away = BTreeMap::<&str, f64>::new();
    let mut named = BTreeSet::new();
    for entry in journal.entries() {
        let second = entry.time.as_secs_f64();
        match &entry.fact {
            Fact::NodeDown { node, how } if *how != Down::Pause => {
                away.entry(node).or_insert(second);
            }
            Fact::NodeStarted { node, .. } => {
                let Some(from) = away.remove(node.as_str()) else { continue };
                if !within(from) {
                    continue;
                }
                let (left, right) = (place(span, from), place(span, second.min(span.1)));
                let said = Said { class: "away", ..Said::default() };
                drawing.rect((left, TOP), ((right - left).max(2.0), bottom - TOP), said);
                drawing.text((left, bottom + 34.0), "fault", format!("{node} away"));
            }
            Fact::FaultBegan { fault } if within(second) && named.insert(fault) => {
                let x = place(span, second);
                let said = Said { class: "step", ..Said::default() };
                drawing.line(&[(x, TOP - 30.0), (x, bottom)], said);
                drawing.text((x + 4.0, TOP - 26.0), "fault", fault);
            }
            _ => {}
        }
    }
}

fn place((from, to): (f64, f64), second: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * (second - from) / (to - from)
}

/// Whole seconds that are marked on the axis.
fn marks((from, to): (f64, f64)) -> impl Iterator<Item = f64> {
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0];
    let step = steps.into_iter().find(|step| (to - from) / step <= 14.0).unwrap_or(3_600.0);
    let first = (from / step).ceil() as i64;
    (first..).map(move |place| place as f64 * step).take_while(move |second| *second <= to)
}

fn number(value: &FieldValue) -> Option<f64> {
    match value {
        FieldValue::Float(value) => Some(*value),
        FieldValue::Integer(value) => Some(*value as f64),
        FieldValue::Text(_) => None,
    }
}

/// Seconds since the world began.
fn seconds(time: EventTime) -> f64 {
    let since = time.as_millis().saturating_sub(EPOCH.as_millis());
    Duration::from_millis(since.unsigned_abs()).as_secs_f64() * if since < 0 { -1.0 } else { 1.0 }
}

/// A number for an axis: three digits that say something, and no `-0`.
fn rounded(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}
