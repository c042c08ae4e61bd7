//! How long a record is under way, in virtual time: what latency markers measured, whoever
//! stamped them. Compares nothing by itself: the cells of a matrix are held against its first cell
//! by the player, in [`worse`]. A clock that runs ahead would show here as well, so clocks are exact
//! in scenarios that ask.

use slackwater_core::fact::Fact;

use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "latency",
    about: "the 99th percentile of latency is at most `ratio` times that of the first cell",
    keys: &[("ratio", Kind::Number)],
    measures: &["p50_ms", "p99_ms", "markers"],
    needs: Needs::Cells,
    judge,
};

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let mut millis: Vec<i64> = run
        .facts()
        .filter_map(|fact| match fact {
            Fact::LatencyMeasured { millis, .. } => Some(*millis),
            _ => None,
        })
        .collect();
    millis.sort_unstable();
    let at = |share: f64| {
        let place = (millis.len() as f64 * share) as usize;
        millis.get(place.min(millis.len().saturating_sub(1))).copied().unwrap_or(0) as f64
    };
    let (p50, p99) = (at(0.5), at(0.99));
    Outcome::saw(millis.len() as u64, format!("p50 {p50} ms, p99 {p99} ms"))
        .measured("p50_ms", p50)
        .measured("p99_ms", p99)
        .measured("markers", millis.len() as f64)
        .measured("ratio", args.number("ratio", 1.1))
}

/// Whether a cell is slower than it may be, held against the first.
pub fn worse((name, first): (&str, &Outcome), (other, slower): (&str, &Outcome)) -> Option<Broken> {
    let of = |outcome: &Outcome, measure| outcome.measures.get(measure).copied().unwrap_or(0.0);
    let (base, found) = (of(first, "p99_ms"), of(slower, "p99_ms"));
    let ratio = of(slower, "ratio");
    (found > base * ratio).then(|| {
        let what = format!("p99 is {found} ms with {other}, {base} ms with {name}");
        Broken::somewhere(format!("{what}: more than {ratio} times"))
    })
}
