//! The scenario document that a test stands for: the same keys as a file's, put together in memory.
//! Reads nothing and plays nothing: what is written here is read by [`crate::scenario`] like any
//! other file, and refused with the same words. The parts come from [`super::checking`].

use std::collections::BTreeMap;
use std::time::Duration;

use toml::{Table, Value};

/// A table of these keys.
pub(super) fn table<const N: usize>(keys: [(&str, Value); N]) -> Table {
    keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// `1s` or `1500ms`, as a scenario file has spans.
pub(super) fn span(span: Duration) -> String {
    match span.as_millis() {
        millis if millis > 0 && millis % 1_000 == 0 => format!("{}s", millis / 1_000),
        millis => format!("{millis}ms"),
    }
}

/// When a run is over.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// After this much virtual time.
    Time(Duration),
    /// When every job has ended, which must be within this.
    Finished(Duration),
}

impl Until {
    /// The time within which everything happens.
    pub(super) fn span(self) -> Duration {
        match self {
            Self::Time(span) | Self::Finished(span) => span,
        }
    }

    fn stop(self) -> Value {
        match self {
            Self::Time(time) => table([("time", span(time).into())]).into(),
            Self::Finished(_) => "finished".into(),
        }
    }
}

/// `[run]`.
pub(super) fn run(seeds: &[u64], until: Until, rest: Duration) -> Table {
    let mut run = table([
        ("seeds", seeds_of(seeds)),
        ("stop", until.stop()),
        ("limit", table([("sim", span(until.span()).into())]).into()),
    ]);
    if !rest.is_zero() {
        run.insert("rest".to_owned(), span(rest).into());
    }
    run
}

/// `"0..200"` if they are one after the other, else a list.
fn seeds_of(seeds: &[u64]) -> Value {
    let all: Option<Vec<i64>> = seeds.iter().map(|seed| i64::try_from(*seed).ok()).collect();
    match (seeds.first(), seeds.last()) {
        (Some(&first), Some(&last))
            if seeds.len() > 1 && (first..=last).eq(seeds.iter().copied()) =>
        {
            format!("{first}..{}", last + 1).into()
        }
        // TOML's integers have a sign; what does not fit is written as text.
        _ => all.map_or_else(|| format!("{:#x}", seeds[0]).into(), Value::from),
    }
}

/// `[job]`.
pub(super) fn job(program: &str, settings: &BTreeMap<String, String>) -> Table {
    let set: Table = settings.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
    table([("program", program.into()), ("set", set.into())])
}

#[cfg(test)]
mod tests {
    use slackwater_core::time::{ms, secs};

    use super::*;

    #[test]
    fn spans_and_seeds_are_written_as_a_person_would() {
        assert_eq!([ms(0), ms(1_500), secs(90)].map(span), ["0ms", "1500ms", "90s"]);
        let seeds = |seeds: &[u64]| seeds_of(seeds).to_string();
        assert_eq!(seeds(&[3, 4, 5]), "\"3..6\"");
        assert_eq!(seeds(&[3, 99]), "[3, 99]");
        assert_eq!(seeds(&[u64::MAX]), "\"0xffffffffffffffff\"");
    }
}
