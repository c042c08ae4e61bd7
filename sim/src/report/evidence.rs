//! What was found out about a failure, in the lines that a person reads: what broke first, how small
//! it gets, how rare it is, and from when on nothing could have saved the run.
//! Finds nothing out: that is [`crate::inquest`]'s. Told in [`super::failure`], and by `shrink`.

use std::time::Duration;

use crate::inquest::{Inquest, Range, Shrunk, Step, Window};
use crate::world::EPOCH;

/// What broke first, and why a person is told of something else.
pub fn first(inquest: &Inquest) -> Vec<String> {
    let (first, mut lines) = (&inquest.first, Vec::new());
    let wrong = &first.first;
    if wrong.check != first.told.check {
        let earlier = first.earlier.as_secs_f64();
        lines.push(format!("WHY      {} ({earlier:.3} s earlier)", wrong.what));
    }
    if let (Some(step), Some(at)) = (&wrong.step, wrong.at) {
        let Step { number, node, task, event_time, line, .. } = step;
        let (facts, at) = (first.facts, at.as_secs_f64());
        let mut place = format!("FIRST    fact {number} of {facts}, t = {at:.3} s");
        if let Some(time) = event_time {
            let since = time.as_millis().saturating_sub(EPOCH.as_millis()) as f64 / 1e3;
            place.push_str(&format!(", event time {since:.3} s"));
        }
        let task = task.as_ref().map_or_else(String::new, |task| format!(" {task}"));
        lines.push(format!("{place}, on {node}{task}\n         {}", cut(line)));
    }
    lines
}

/// How long a line is at most: a screen is as wide.
const LINE_MAX: usize = 140;

/// As much of a line as fits.
fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_MAX) {
        Some((end, _)) => format!("{} …", line[..end].trim_end()),
        None => line.to_owned(),
    }
}

/// How the smallest run goes on around its break; if that is at no known time, how it ends.
pub(super) fn story(small: &Shrunk) -> Vec<String> {
    let Some(journal) = &small.played.journal else { return small.played.story.clone() };
    let end = journal.entries().last().map(|entry| entry.time);
    let story = super::story(journal, small.trouble.at.or(end));
    let mut lines: Vec<String> = story.iter().map(|line| cut(line)).collect();
    let what = small.trouble.what.lines().next().unwrap_or_default();
    lines.push(format!("{}  <- here", cut(what)));
    lines
}

/// How much smaller the smallest run is that fails alike, and what befalls it.
pub fn small(inquest: &Inquest) -> Vec<String> {
    let Some(small) = &inquest.shrunk else { return Vec::new() };
    let (before, after) = (small.before, small.after);
    let mut lines = vec![format!(
        "SHRUNK   {} -> {} faults, {} -> {} nodes, {:.1} -> {:.1} s, {} replays in {:.1} s{}",
        before.faults,
        after.faults,
        before.nodes,
        after.nodes,
        before.length.as_secs_f64(),
        after.length.as_secs_f64(),
        small.replays,
        small.took.as_secs_f64(),
        if small.is_minimal { "" } else { " (time was up)" },
    )];
    lines.extend(small.played.faults.iter().map(|fault| format!("STORY    {fault}")));
    lines
}

/// How its neighbours do, and from when on it was certain.
pub fn rarity(inquest: &Inquest) -> Vec<String> {
    let Inquest { nearby, baked, .. } = inquest;
    let mut lines = Vec::new();
    if let Some(baked) = baked {
        let point = |(time, failed): &(Duration, usize)| {
            let share = 100 * failed / baked.worlds.max(1);
            format!("{:.2} s {share} %", time.as_secs_f64())
        };
        let curve = baked.curve.iter().map(point).collect::<Vec<_>>().join("   ");
        let worlds = baked.worlds;
        lines.push(format!("BAKED IN with other luck from t on, {worlds} worlds each: {curve}"));
    }
    if let Some(near) = nearby {
        let (seeds, passed, alike) = (near.seeds, near.passed, near.alike);
        lines.push(format!("NEARBY   {passed} of {seeds} other seeds pass, {alike} fail alike"));
        if let Some(Window { fault, range, is_bounded }) = &near.window {
            let (from, to) = match range {
                Range::Times { from, to, .. } => {
                    let seconds = |time: &Duration| format!("{:.3} s", time.as_secs_f64());
                    (seconds(from), seconds(to))
                }
                Range::Steps { from, to, .. } => (format!("step {from}"), format!("step {to}")),
            };
            let rest = if *is_bounded { ", and outside of it the run passes" } else { " at least" };
            lines.push(format!("         {fault:?} does it from {from} to {to}{rest}"));
        }
    }
    lines
}
