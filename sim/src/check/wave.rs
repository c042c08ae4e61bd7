//! The wave of the demo over a change of its code: of one period before a savepoint, of another one
//! after it, and without a jump or a hole where the one follows the other (walkthrough section 7, T11).
//! Reads the readings that a user sees, and of the savepoint only how far the source had come.
//! Sums of them are [`super::window_sums`]'s.

use slackwater_core::time::EventTime;

use super::evidence::{float, seconds};
use super::steps::{Logs, Step};
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "wave",
    about: "readings have one period before the savepoint of a step and another one after it, and go \
            on from one to the other without a jump or a hole",
    keys: &[
        ("before", Kind::Period),
        ("after", Kind::Period),
        ("cut", Kind::Step),
        ("series", Kind::Text),
        ("every", Kind::Span),
    ],
    measures: &["readings_before", "readings_after"],
    needs: Needs::Run,
    judge,
};

/// A reading: when, and at which step of a wave of so many.
struct Reading {
    at: i64,
    value: f64,
}

impl Reading {
    /// Its step; `None` if its value is none of a wave of this period.
    fn step(&self, period: u64) -> Option<u64> {
        let step = self.value * period as f64;
        let near = step.round();
        let is_one = (step - near).abs() < 1e-6 && (0.0..period as f64).contains(&near);
        is_one.then_some(near as u64)
    }
}

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let series = args.text("series", "sensors");
    let period = |key| (args.number(key, 10.0) as u64).max(1);
    let (before, after) = (period("before"), period("after"));
    let every = args.span("every", std::time::Duration::from_millis(100)).as_millis() as i64;
    let cut = match cut(run, args.text("cut", "")) {
        Ok(cut) => cut.as_millis(),
        Err(why) => return Outcome::saw(0, why),
    };
    let rows = run.rows(series);
    let readings =
        rows.iter().filter(|((key, _), _)| key == "temp").filter_map(|((_, at), row)| {
            Some(Reading { at: at.as_millis(), value: float(&row.point, "value")? })
        });
    let readings: Vec<Reading> = readings.collect();
    let first = readings.first().map_or(0, |reading| reading.at);
    let (mut counts, mut wrong) = ([0u64; 2], None);
    // When, and which step comes next: whoever made the last reading has reckoned it, and saved it.
    let mut last = None::<(i64, u64)>;
    for reading in &readings {
        let is_after = reading.at > cut;
        let period = if is_after { after } else { before };
        counts[usize::from(is_after)] += 1;
        let found = reading.step(period);
        let want = last.map(|(_, next)| next);
        let hole = last.is_some_and(|(at, _)| reading.at - at != every);
        let place = seconds(reading.at - first);
        let what = match found {
            None => Some(format!("{} is no step of a wave of {period}", reading.value)),
            Some(_) if hole => Some("the reading before is missing".to_owned()),
            Some(found) if want.is_some_and(|want| want != found) => {
                Some(format!("the wave is at step {found}, want {}", want.unwrap_or_default()))
            }
            Some(_) => None,
        };
        if let Some(what) = what {
            let what = format!("{series}: {place} s after the first, {what}");
            wrong.get_or_insert(Broken::somewhere(what));
        }
        last = Some((reading.at, (found.unwrap_or_default() + 1) % period));
    }
    let [earlier, later] = counts;
    let summary = format!("a wave of {before} before the savepoint, and of {after} after it");
    Outcome::saw(earlier.min(later), summary)
        .measured("readings_before", earlier as f64)
        .measured("readings_after", later as f64)
        .broken_by(wrong)
}

/// The greatest time before the savepoint that a step was told of.
fn cut(run: &Evidence<'_>, step: &str) -> Result<EventTime, String> {
    let told = Step::of(run, step).ok_or_else(|| format!("nobody answered step {step:?}"))?;
    let logs = Logs::of(run);
    let saved = logs.saved(told.path());
    let saved = saved.ok_or_else(|| format!("step {step:?} was told of no savepoint"))?;
    let positions = saved.vertices.iter().flat_map(|vertex| &vertex.contents.positions);
    let greatest = positions.filter_map(|at| at.greatest).max();
    greatest.ok_or_else(|| format!("the savepoint of step {step:?} has no reading before it"))
}
