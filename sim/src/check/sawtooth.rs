//! The sawtooth behind the demo goes on by one step with every tick, or begins anew.
//! Reads the readings that a user sees and nothing of the job; a tick that never came is no jump of
//! the wave by itself, since ticks keep their grid. Sums of it are [`super::window_sums`]'s.

use super::evidence::{float, seconds};
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "wave_continues",
    about: "the sawtooth goes on by one step with every tick, also after a restart",
    keys: &[("series", Kind::Text), ("wave", Kind::Number), ("every", Kind::Number)],
    measures: &["readings", "jumps", "from_zero"],
    needs: Needs::Run,
    judge,
};

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let series = args.text("series", "sensors");
    let wave = args.number("wave", 10.0).max(1.0);
    let every = args.number("every", 100.0).max(1.0) as i64;
    let rows = run.rows(series);
    let mine: Vec<(i64, f64)> = rows
        .iter()
        .filter(|((key, _), _)| key == "temp")
        .filter_map(|((_, time), row)| Some((time.as_millis(), float(&row.point, "value")?)))
        .collect();
    let step = |value: f64| (value * wave).round() as i64;
    let first = mine.first().map_or(0, |(time, _)| *time);
    let (mut jumps, mut from_zero, mut wrong) = (0u64, 0u64, None);
    for pair in mine.windows(2) {
        let ((before, left), (time, right)) = (pair[0], pair[1]);
        let ticks = (time - before) / every;
        let want = (step(left) + ticks).rem_euclid(wave as i64);
        if step(right) != want {
            jumps += 1;
            from_zero += u64::from(step(right) == 0);
            let at = seconds(time - first);
            let found = step(right);
            let what = format!("the wave is at step {found} {at} s after the first, want {want}");
            wrong.get_or_insert(Broken::somewhere(what));
        }
    }
    let summary = match (jumps, from_zero) {
        (0, _) => "the wave goes on without a jump".to_owned(),
        (jumps, zero) if jumps == zero => format!("the wave began anew {jumps} times, at step 0"),
        (jumps, zero) => format!("the wave jumped {jumps} times, {zero} of them to step 0"),
    };
    Outcome::saw(mine.len() as u64, summary)
        .measured("readings", mine.len() as f64)
        .measured("jumps", jumps as f64)
        .measured("from_zero", from_zero as f64)
        .broken_by(wrong)
}
