//! The waves of the demo as sparklines: what a person would see on the walkthrough's dashboard.
//! Rounds before it draws, because the last bits of a float sum are nobody's business; a row that
//! is missing is a gap. Drawn by the same hand as in the terminal: `slackwater-cli`'s `picture`.

use slackwater_cli::picture::sparkline;

use crate::check::{float, rows};
use crate::journal::Journal;

/// How many bars a wave has at most.
const BARS_MAX: usize = 60;

/// A series' `pressure`, from its first row on; `None` if there is none.
pub(super) fn of(journal: &Journal, series: &str) -> Option<String> {
    let rows = rows(journal, series);
    let mine = rows.iter().filter(|((key, _), _)| key == "pressure");
    let points: Vec<(i64, f64)> = mine
        .filter_map(|((_, time), row)| Some((time.as_millis(), float(&row.point, "value")?)))
        .collect();
    let step = points.windows(2).map(|pair| pair[1].0 - pair[0].0).min().unwrap_or(1).max(1);
    let (first, last) = (points.first()?.0, points.last()?.0);
    let bars = (((last - first) / step) as usize + 1).min(BARS_MAX);
    let mut wave = String::new();
    for place in 0..bars {
        let time = first + place as i64 * step;
        let value = points.binary_search_by_key(&time, |(time, _)| *time);
        match value {
            Ok(index) => wave.push_str(&sparkline(&[rounded(points[index].1)], (-1.0, 1.0))),
            Err(_) => wave.push(' '),
        }
    }
    Some(wave)
}

fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}
