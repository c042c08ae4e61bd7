//! The verdict over many runs of a scenario whose runs are gone: counts, confidence, speed.
//! Nothing is judged and nothing is played here. For `fuzz` and `merge`; of a few runs that are
//! still there [`crate::report`] tells more.

use super::many;
use crate::campaign::{Tally, bound};
use crate::scenario::{Scenario, Trouble};

/// What was found of one scenario, in a few lines.
pub(super) fn text(scenario: &Scenario, tally: &Tally) -> String {
    let word = if tally.failures() == 0 { "ok  " } else { "FAIL" };
    let chance = match tally.failures() {
        0 => format!("no failure: below {} a run at 95 %", percent(bound(tally.runs))),
        failures => format!("{} failed", many(failures, "run")),
    };
    let (virtual_s, cpu_s) = (tally.virtual_time.as_secs_f64(), tally.cpu.as_secs_f64().max(1e-9));
    let (rate, seeds) = (virtual_s / cpu_s, tally.runs as f64 / cpu_s);
    format!(
        "{word}  {}: {}, {chance}\n      {virtual_s:.0} virtual s in {cpu_s:.1} CPU s ({rate:.0} \
         per CPU s, {seeds:.1} runs per CPU s)",
        scenario.name,
        many(tally.runs, "run"),
    )
}

/// How often each obligation was met, one a line.
pub(super) fn obligations(scenario: &Scenario, tally: &Tally) -> Vec<String> {
    let owed = scenario.cells.first().into_iter().flat_map(|cell| &cell.document.sometimes);
    let line = owed.map(|part| {
        let label = part.label.get_ref();
        let met = tally.met.get(label).copied().unwrap_or(0);
        let (runs, share) = (tally.runs, part.at_least);
        format!("      sometimes  {label:?}: {met} of {runs} runs, want {share}")
    });
    line.collect()
}

/// An obligation that was met too seldom, as a failure.
pub(super) fn unmet(scenario: &Scenario, trouble: &Trouble) -> String {
    format!("{}\n{:<8} {}", scenario.path, trouble.class, trouble.what)
}

/// A share in per cent, with two digits that say something.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = (1.0 - percent.log10().floor()).clamp(0.0, 9.0);
    format!("{percent:.*} %", digits as usize)
}
