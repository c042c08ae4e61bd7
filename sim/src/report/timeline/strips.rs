//! The strips below the lanes: watermarks against the clock, sums of windows, verdicts.
//! Curves are thinned to what can be seen; a verdict never is. Places come from [`super::scale`].

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::id::{JobId, VertexId};
use slackwater_core::time::EventTime;

use super::super::svg::{Drawing, Said};
use super::scale::{MARGIN, Scale};
use crate::check::{float, rows};
use crate::journal::Journal;
use crate::scenario::Played;

const STRIP: f64 = 130.0;
/// How many corners a staircase has at most.
const CORNERS_MAX: usize = 700;
/// A sum that is further from zero than this is drawn as wrong; the walkthrough's threshold.
const ZERO: f64 = 1e-9;

/// Draws every strip; gives where the page ends.
pub(super) fn draw(
    drawing: &mut Drawing,
    scale: &Scale,
    played: &Played,
    journal: &Journal,
) -> f64 {
    let top = watermarks(drawing, scale, journal, scale.bottom() + 34.0);
    let top = sums(drawing, scale, journal, top);
    verdicts(drawing, scale, played, top)
}

/// Event time upwards, virtual time to the right: how far each operator is behind the diagonal.
fn watermarks(drawing: &mut Drawing, scale: &Scale, journal: &Journal, top: f64) -> f64 {
    let mut stairs = BTreeMap::<(JobId, VertexId), Vec<(Duration, f64)>>::new();
    let mut slowest = BTreeMap::new();
    for entry in journal.entries() {
        let Fact::WatermarkAdvanced { task, watermark } = &entry.fact else { continue };
        if *watermark == EventTime::MAX || *watermark == EventTime::MIN {
            continue;
        }
        let vertex = (task.job, task.subtask.vertex);
        slowest.insert((vertex, task.attempt, task.subtask.index), Scale::seconds(*watermark));
        let of = slowest.iter().filter(|((v, a, _), _)| (*v, *a) == (vertex, task.attempt));
        let least = of.map(|(_, seconds)| *seconds).fold(f64::INFINITY, f64::min);
        stairs.entry(vertex).or_default().push((entry.time, least));
    }
    let most = stairs.values().flatten().map(|(_, seconds)| *seconds).fold(scale.end, f64::max);
    let least = stairs.values().flatten().map(|(_, seconds)| *seconds).fold(most, f64::min);
    if stairs.is_empty() {
        return top;
    }
    // Event time that has nothing to do with the clock has an axis of its own.
    let from = if least < -1.0 || least > scale.end { least } else { 0.0 };
    let y = |seconds: f64| top + STRIP * (1.0 - (seconds - from) / (most - from).max(1e-9));
    drawing.text((8.0, top + 10.0), "name", "watermarks");
    drawing.text((8.0, top + 24.0), "small", format!("{from:.0} to {most:.0} s"));
    if from == 0.0 {
        let end = Duration::from_secs_f64(scale.end);
        let said = Said { class: "clock", text: "event time = virtual time", ..Said::default() };
        drawing.line(&[(MARGIN, y(0.0)), (scale.x(end), y(scale.end))], said);
    }
    for (number, ((job, vertex), corners)) in stairs.iter().enumerate() {
        let every = corners.len().div_ceil(CORNERS_MAX).max(1);
        let mut points = Vec::new();
        for (time, seconds) in corners.iter().step_by(every) {
            let x = scale.x(*time);
            points.extend(points.last().map(|(_, before): &(f64, f64)| (x, *before)));
            points.push((x, y(*seconds)));
        }
        let (class, text) =
            (format!("stairs s{}", number % 4), format!("watermark of {vertex} of job {job}"));
        drawing.line(&points, Said { class: &class, text: &text, ..Said::default() });
        if let Some((x, y)) = points.last() {
            let place = 14.0 * (number as f64 + 1.0);
            drawing.text((x + 6.0, y + place - 14.0), "small", format!("v{vertex}"));
        }
    }
    top + STRIP + 34.0
}

/// The sums of windows at their event time, flat where they are zero.
fn sums(drawing: &mut Drawing, scale: &Scale, journal: &Journal, top: f64) -> f64 {
    let rows = rows(journal, "summedSensors");
    let sine = rows.iter().filter(|((key, _), _)| key == "pressure");
    let sums: Vec<(f64, f64)> = sine
        .filter_map(|((_, time), row)| Some((Scale::seconds(*time), float(&row.point, "value")?)))
        .collect();
    let most = sums.iter().map(|(_, value)| value.abs()).fold(0.0, f64::max);
    if sums.is_empty() {
        return top;
    }
    let middle = top + 24.0;
    drawing.text((8.0, middle + 4.0), "name", "sums");
    drawing.text((8.0, middle + 18.0), "small", "at event time");
    for (second, value) in sums {
        let height = if most > ZERO { value.abs() / most * 22.0 } else { 0.0 };
        let class = if value.abs() > ZERO { "sum wrong" } else { "sum" };
        let y = if value > 0.0 { middle - height } else { middle };
        let text = format!("sum of the sine in second {second:.0}: {value:e}");
        let at = (MARGIN + second * scale.second + 1.0, y.min(middle - 1.0));
        let size = ((scale.second - 2.0).max(1.0), height.max(2.0));
        drawing.rect(at, size, Said { class, text: &text, ..Said::default() });
    }
    top + 72.0
}

/// Every expectation, and where it broke.
fn verdicts(drawing: &mut Drawing, scale: &Scale, played: &Played, top: f64) -> f64 {
    let mut y = top;
    drawing.text((8.0, y + 4.0), "name", "verdicts");
    for judged in &played.judged {
        y += 18.0;
        let class = if judged.trouble.is_some() { "verdict wrong" } else { "verdict" };
        let line = format!("{}  {}: {}", judged.check, judged.word(), judged.outcome.summary);
        drawing.text((MARGIN, y), class, line);
        let broken = judged.outcome.broken.as_ref();
        if let Some((at, broken)) = broken.and_then(|broken| Some((broken.at?, broken))) {
            let text = format!("{} broke: {}", judged.check, broken.what);
            let said = Said { class: "broke", text: &text, ..Said::default() };
            let x = scale.x(at);
            drawing.line(&[(x, 6.0), (x, y + 4.0)], said);
        }
    }
    y + 24.0
}
