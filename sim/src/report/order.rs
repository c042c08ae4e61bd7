//! The walkthrough's out-of-order picture (§4): who happened first, who arrived first, and which
//! window each one entered. Shows the neighbourhood of the first element that arrived after one of
//! a later window. Draws only; the arrivals are read in [`crate::check`].

use slackwater_core::time::EventTime;

use crate::check::{Arrival, arrivals};
use crate::journal::Journal;

/// How many elements are shown before and after the one that crossed an edge.
const AROUND: usize = 8;

/// The table, line by line; empty if nothing entered a window.
pub(super) fn table(journal: &Journal) -> Vec<String> {
    let arrivals = arrivals(journal);
    let Some(first) = arrivals.iter().map(|arrival| arrival.time).min() else { return Vec::new() };
    let crossing = crossing(&arrivals).unwrap_or(0);
    let from = crossing.saturating_sub(AROUND);
    let shown = &arrivals[from..arrivals.len().min(crossing + AROUND)];
    let order = event_order(&arrivals);
    let mut lines = vec!["arrival  happened  event time  window entered".to_owned()];
    let mut greatest = arrivals[..from].iter().map(|arrival| arrival.time).max();
    for (index, arrival) in shown.iter().enumerate() {
        let place = from + index;
        let (time, window) = (arrival.time.millis_since(first), arrival.window);
        let window = window.map_or_else(
            || "too late".to_owned(),
            |start| {
                let start = start.millis_since(whole_second(first)) / 1_000;
                format!("[{start} s, {} s)", start + 1)
            },
        );
        let overtaken = greatest.is_some_and(|greatest| arrival.time < greatest);
        let note = match (overtaken, place == crossing) {
            (true, true) => "  <- after one of a later window",
            (true, false) => "  <- after a later one",
            _ => "",
        };
        greatest = greatest.max(Some(arrival.time));
        lines.push(format!(
            "{:>7}  {:>8}  {:>6}.{} s  {window}{note}",
            place + 1,
            order[place] + 1,
            time / 1_000,
            time % 1_000 / 100,
        ));
    }
    lines
}

/// The first element that arrived after one of a later window.
fn crossing(arrivals: &[Arrival]) -> Option<usize> {
    let mut greatest = None;
    arrivals.iter().position(|arrival| {
        let crossed = greatest.is_some_and(|greatest| arrival.window < greatest);
        greatest = greatest.max(Some(arrival.window));
        crossed
    })
}

/// By place of arrival: the place in the order of event time.
fn event_order(arrivals: &[Arrival]) -> Vec<usize> {
    let mut by_time: Vec<usize> = (0..arrivals.len()).collect();
    by_time.sort_by_key(|place| arrivals[*place].time);
    let mut order = vec![0; arrivals.len()];
    for (event, place) in by_time.into_iter().enumerate() {
        order[place] = event;
    }
    order
}

fn whole_second(time: EventTime) -> EventTime {
    EventTime::from_millis(time.as_millis().div_euclid(1_000) * 1_000)
}
