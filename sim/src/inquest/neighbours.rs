//! How the neighbours of a failure do: other seeds of its cell, other times of its fault, and other
//! luck from some time on.
//! Looks for nothing smaller: that is [`super::shrink`]'s. Every world here is a run of its own, and
//! which is ready first shows nowhere.

use std::sync::Arc;
use std::time::Duration;

use slackwater_dataflow::task::Programs;
use toml::{Table, Value};

use super::document::{elements, only, shown, time_of, with};
use super::kind::Kind;
use super::trial::Trial;
use super::{Baked, Nearby, Suspect, Window};
use crate::campaign::on_all_cores;
use crate::scenario::{CalmRuns, OtherLuck, Played, Turn, play_prepared, prepare};

/// Plays so many other seeds of a turn's cell.
pub(super) fn nearby(
    suspect: Suspect<'_>,
    (kind, seeds): (&Kind, usize),
    programs: &Arc<dyn Programs>,
) -> Nearby {
    let Suspect { scenario, turn, .. } = suspect;
    let others: Vec<u64> = (1..=seeds as u64).map(|next| turn.seed.wrapping_add(next)).collect();
    let calm_runs = CalmRuns::default();
    let troubles = on_all_cores(&others, |seed| {
        // Not the first place: that one is played twice.
        let turn = Turn { seed: *seed, place: 1, ..turn };
        let prepared = prepare(scenario, turn, programs, &calm_runs);
        let instant = suspect.instant_of(&prepared);
        let played = play_prepared(scenario, (turn, instant), &prepared, programs, false);
        (played.all_troubles().next().is_some(), shows(&played, kind))
    });
    let passed = troubles.iter().filter(|(failed, _)| !failed).count();
    let alike = troubles.iter().filter(|(_, alike)| *alike).count();
    Nearby { seeds, passed, alike, window: None }
}

fn shows(played: &Played, kind: &Kind) -> bool {
    played.all_troubles().any(|trouble| Kind::of(trouble) == *kind)
}

/// Of a small run whose last fault is at a time: around it, how far it breaks the same.
pub(super) fn window(trial: &Trial<'_>, document: &Table) -> Option<Window> {
    let faults = elements(document, "fault");
    let timed =
        faults.iter().enumerate().filter_map(|(place, fault)| Some((time_of(fault)?, place)));
    let (at, place) = timed.max()?;
    let fault = faults[place].get("name").and_then(Value::as_str)?.to_owned();
    let moved = |to: Duration| {
        let alone = only(document, "fault", &(0..faults.len()).collect::<Vec<_>>());
        let mut all = alone.get("fault").and_then(Value::as_array).cloned().unwrap_or_default();
        if let Some(Value::Table(fault)) = all.get_mut(place) {
            *fault = with(fault, "when.at", shown(to));
        }
        with(&alone, "fault", Value::Array(all))
    };
    let away = STEPS.map(Duration::from_millis);
    let before: Vec<Duration> = away.iter().filter_map(|away| at.checked_sub(*away)).collect();
    let after: Vec<Duration> = away.iter().map(|away| at + *away).collect();
    let fails = |times: &[Duration]| on_all_cores(times, |time| trial.is_alike(&moved(*time)));
    let (below, above) = (fails(&before), fails(&after));
    let reach = |times: &[Duration], fails: &[bool]| {
        let first_pass = fails.iter().position(|fails| !fails);
        let last = first_pass.unwrap_or(fails.len()).checked_sub(1);
        (last.map_or(at, |last| times[last]), first_pass.is_some())
    };
    let ((from, is_below), (to, is_above)) = (reach(&before, &below), reach(&after, &above));
    Some(Window { fault, at, from, to, is_bounded: is_below && is_above })
}

/// How far a fault is moved, in milliseconds: near first, then in longer and longer steps.
const STEPS: [u64; 10] = [1, 3, 10, 30, 100, 300, 1_000, 2_000, 4_000, 8_000];

/// Plays the run again with other luck from several times on, until it is known where the failure
/// becomes certain.
pub(super) fn baked(
    suspect: Suspect<'_>,
    (kind, worlds, (broke, end)): (&Kind, usize, (Duration, Duration)),
    programs: &Arc<dyn Programs>,
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
