//! How the neighbours of a failure do: other seeds of its cell, other times of its fault, and other
//! luck from some time on.
//! Looks for nothing smaller: that is [`super::shrink`]'s. Every world here is a run of its own, and
//! which is ready first shows nowhere.

use std::sync::Arc;
use std::time::Duration;

use slackwater_dataflow::task::Programs;
use toml::{Table, Value};

use super::document::{at, elements, shown, time_of, with};
use super::kind::Kind;
use super::trial::Trial;
use super::{Baked, Nearby, Range, Suspect, Window};
use crate::campaign::{cores, on_all_cores};
use crate::scenario::{CalmRuns, OtherLuck, Played, Turn, play_prepared, prepare};

/// Plays so many other seeds of a turn's cell, or as many as there is time for.
pub(super) fn nearby(
    suspect: Suspect<'_>,
    (kind, seeds, is_over): (&Kind, usize, &dyn Fn() -> bool),
    programs: &Arc<dyn Programs>,
) -> Nearby {
    let Suspect { scenario, turn, .. } = suspect;
    let others: Vec<u64> = (1..=seeds as u64).map(|next| turn.seed.wrapping_add(next)).collect();
    let calm_runs = CalmRuns::default();
    let play = |seed: &u64| {
        // Not the first place: that one is played twice.
        let turn = Turn { seed: *seed, place: 1, ..turn };
        let prepared = prepare(scenario, turn, programs, &calm_runs);
        let instant = suspect.instant_of(&prepared);
        let played = play_prepared(scenario, (turn, instant), &prepared, programs, false);
        (played.all_troubles().next().is_some(), shows(&played, kind))
    };
    let rounds = others.chunks(cores()).take_while(|_| !is_over());
    let troubles: Vec<_> = rounds.flat_map(|round| on_all_cores(round, play)).collect();
    let seeds = troubles.len();
    let passed = troubles.iter().filter(|(failed, _)| !failed).count();
    let alike = troubles.iter().filter(|(_, alike)| *alike).count();
    Nearby { seeds, passed, alike, window: None }
}

fn shows(played: &Played, kind: &Kind) -> bool {
    played.all_troubles().any(|trouble| Kind::of(trouble) == *kind)
}

/// Of a small run whose last fault is at a time, or else at a step of a window: around it, how far it
/// breaks the same.
pub(super) fn window(trial: &Trial<'_>, document: &Table) -> Option<Window> {
    let faults = elements(document, "fault");
    let timed =
        faults.iter().enumerate().filter_map(|(place, fault)| Some((time_of(fault)?, place)));
    let Some((at, place)) = timed.max() else { return steps(trial, document) };
    let fault = faults[place].get("name").and_then(Value::as_str)?.to_owned();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let moved = |to: u64| {
        let to = shown(Duration::from_millis(to));
        with_fault(document, place, |fault| with(fault, "when.at", to))
    };
    let (from, to, is_bounded) = reach(trial, (millis(at), (0, u64::MAX)), &moved);
    let (from, to) = (Duration::from_millis(from), Duration::from_millis(to));
    Some(Window { fault, range: Range::Times { at, from, to }, is_bounded })
}

/// The same for the last fault inside a window: at which of its steps it breaks the same.
fn steps(trial: &Trial<'_>, document: &Table) -> Option<Window> {
    let faults = elements(document, "fault");
    let place = faults.iter().rposition(|fault| at(fault, "when.inside").is_some())?;
    let fault = faults[place].get("name").and_then(Value::as_str)?.to_owned();
    let (own, (first, count)) = trial.prepared(document)?.inside(&fault)?;
    let last = first + count - 1;
    let moved = |to: u64| {
        let into = place_of(to - first, count);
        with_fault(document, place, |fault| with(fault, "when.pick", into))
    };
    let (from, to, is_bounded) = reach(trial, (own, (first, last)), &moved);
    Some(Window { fault, range: Range::Steps { at: own, from, to }, is_bounded })
}

/// How far into a window of so many steps one of them is, so that it is that one again.
fn place_of(step: u64, count: u64) -> f64 {
    let ppm = (step * 1_000_000).div_ceil(count.saturating_sub(1).max(1));
    ppm as f64 / 1e6
}

fn with_fault(document: &Table, place: usize, change: impl FnOnce(&Table) -> Table) -> Table {
    let mut all = document.get("fault").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(Value::Table(fault)) = all.get_mut(place) {
        *fault = change(fault);
    }
    with(document, "fault", Value::Array(all))
}

/// The first and the last moment around `own` at which a document fails alike, and whether it passes
/// on both sides of them. Looks near first, then in longer and longer steps, then between the last
/// that fails and the first that passes.
fn reach(
    trial: &Trial<'_>,
    (own, (least, most)): (u64, (u64, u64)),
    moved: &(dyn Fn(u64) -> Table + Sync),
) -> (u64, u64, bool) {
    let fails = |moments: &[u64]| on_all_cores(moments, |moment| trial.is_alike(&moved(*moment)));
    let side = |moment: &dyn Fn(u64) -> Option<u64>| {
        let away = STEPS.into_iter().filter_map(moment);
        let away: Vec<u64> = away.filter(|at| (least..=most).contains(at)).collect();
        let failed = fails(&away);
        let passes = failed.iter().position(|fails| !fails);
        let last = passes.unwrap_or(failed.len()).checked_sub(1).map_or(own, |last| away[last]);
        let Some(passes) = passes.map(|place| away[place]) else { return (last, false) };
        let (mut bad, mut good) = (last, passes);
        while bad.abs_diff(good) > 1 && !trial.is_over() {
            let between = between(bad, good);
            let failed = fails(&between);
            let passes = failed.iter().position(|fails| !fails);
            if let Some(last) = passes.unwrap_or(between.len()).checked_sub(1) {
                bad = between[last];
            }
            good = passes.map_or(good, |place| between[place]);
        }
        (bad, true)
    };
    let (from, is_below) = side(&|away| own.checked_sub(away));
    let (to, is_above) = side(&|away| own.checked_add(away));
    (from, to, is_below && is_above)
}

/// Up to three moments between two, from the first to the second, as far from each other as can be.
fn between(from: u64, to: u64) -> Vec<u64> {
    let away = from.abs_diff(to);
    let mut parts: Vec<u64> = (1..4).map(|part| away * part / 4).collect();
    parts.retain(|part| (1..away).contains(part));
    parts.dedup();
    if parts.is_empty() && away > 1 {
        parts.push(1);
    }
    parts.into_iter().map(|part| if from < to { from + part } else { from - part }).collect()
}

/// How far a fault is moved, in milliseconds or steps: near first, then in longer and longer steps.
const STEPS: [u64; 10] = [1, 3, 10, 30, 100, 300, 1_000, 2_000, 4_000, 8_000];

/// Plays the run again with other luck from several times on, until it is known where the failure
/// becomes certain.
pub(super) fn baked(
    suspect: Suspect<'_>,
    (kind, worlds, (broke, end)): (&Kind, usize, (Duration, Duration)),
    (programs, is_over): (&Arc<dyn Programs>, &dyn Fn() -> bool),
) -> Baked {
    let Suspect { scenario, turn, .. } = suspect;
    let turn = Turn { place: 1, ..turn };
    let prepared = prepare(scenario, turn, programs, &CalmRuns::default());
    let failed = |from: Duration| {
        let numbers: Vec<u64> = (1..=worlds as u64).collect();
        let alike = on_all_cores(&numbers, |number| {
            let luck = OtherLuck { from, seed: turn.seed.wrapping_add(number << 32) };
            let other = prepared.with_other_luck(scenario, turn, luck);
            let instant = suspect.instant_of(&other);
            let played = play_prepared(scenario, (turn, instant), &other, programs, false);
            shows(&played, kind)
        });
        alike.into_iter().filter(|alike| *alike).count()
    };
    let mut curve = vec![(Duration::ZERO, failed(Duration::ZERO)), (broke, failed(broke))];
    // What broke at a fact may show for good only later.
    if curve[1].1 < worlds && broke < end {
        curve.push((end, failed(end)));
    }
    // The steepest rise is what is looked at more closely.
    for _ in 0..POINTS {
        if is_over() {
            break;
        }
        let rise = |pair: &[(Duration, usize)]| pair[1].1.saturating_sub(pair[0].1);
        let wide = |pair: &[(Duration, usize)]| pair[1].0 - pair[0].0 > Duration::from_millis(20);
        let steepest =
            curve.windows(2).enumerate().filter(|(_, pair)| wide(pair) && rise(pair) > 0);
        let steepest = steepest.max_by_key(|(_, pair)| (rise(pair), pair[1].0 - pair[0].0));
        let Some((place, pair)) = steepest else { break };
        let middle = (pair[0].0 + pair[1].0) / 2;
        let middle = Duration::from_millis(u64::try_from(middle.as_millis()).unwrap_or(u64::MAX));
        curve.insert(place + 1, (middle, failed(middle)));
    }
    Baked { worlds, curve }
}

/// How many times lie between the ends of a curve.
const POINTS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_a_window_is_found_again_by_its_place() {
        for count in [1, 2, 7, 204, 4_212, 99_991] {
            for step in (0..count).step_by(1 + count as usize / 97) {
                let ppm = (place_of(step, count) * 1e6).round() as u64;
                assert_eq!((count - 1) * ppm / 1_000_000, step, "step {step} of {count}");
            }
        }
    }

    #[test]
    fn between_two_moments_is_what_is_not_yet_known() {
        for (from, to, expected) in [
            (0, 100, vec![25, 50, 75]),
            (100, 0, vec![75, 50, 25]),
            (5, 7, vec![6]),
            (7, 8, vec![]),
        ] {
            assert_eq!(between(from, to), expected, "{from} {to}");
        }
    }
}
