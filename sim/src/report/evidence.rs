//! What was found out about a failure, in the lines that a person reads: what broke first, how small
//! it gets, how rare it is, and from when on nothing could have saved the run.
//! Finds nothing out: that is [`crate::inquest`]'s. Told in [`super::failure`], and by `shrink`.

use std::time::Duration;

use crate::inquest::Inquest;

/// What broke first, and why a person is told of something else.
pub fn first(inquest: &Inquest) -> Vec<String> {
    let (first, mut lines) = (&inquest.first, Vec::new());
    let wrong = &first.first;
    if let Some(step) = &wrong.step {
        let mut line = format!("FIRST    fact {} of {}", step.number, first.facts);
        if let Some(time) = step.event_time {
            line.push_str(&format!(", event time {time}"));
        }
        lines.push(format!("{line}: {}", step.line));
    }
    if wrong.check != first.told.check {
        let earlier = first.earlier.as_secs_f64();
        lines.push(format!("WHY      {} ({earlier:.3} s earlier)", wrong.what));
    }
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
        if let Some(window) = &near.window {
            let seconds = |time: Duration| time.as_secs_f64();
            let (fault, from, to) = (&window.fault, seconds(window.from), seconds(window.to));
            lines
                .push(format!("         {fault:?} does it from {from:.3} s to {to:.3} s at least"));
        }
    }
    lines
}
