//! Claims that a test makes in Rust: closures over [`Observed`], known by name, so that a scenario
//! document can ask for them like for any other check (`check = "claim"`).
//! A claim decides about a run and nothing else. They are kept for the whole process because a
//! document is text and a closure is not: shrinking and replaying play other documents with the
//! same claims.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::observed::Observed;
use super::verdict::Verdict;
use crate::check::{Args, Evidence, Outcome};

/// When a claim must hold.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Each time something has become visible.
    Always,
    /// When the run has ended.
    AtTheEnd,
}

type Judge = Arc<dyn Fn(&Observed<'_>) -> Verdict + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Claim {
    pub(crate) when: When,
    pub(crate) judge: Judge,
}

static CLAIMS: Mutex<BTreeMap<String, Claim>> = Mutex::new(BTreeMap::new());

fn claims() -> MutexGuard<'static, BTreeMap<String, Claim>> {
    CLAIMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a claim known under a name; a second one of that name takes its place.
pub(crate) fn make(name: &str, claim: Claim) {
    claims().insert(name.to_owned(), claim);
}

/// Judges a run by the claim that `by` names.
pub(crate) fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let name = args.text("by", "");
    let Some(claim) = claims().get(name).cloned() else {
        let summary = format!("nobody has made the claim {name:?}: play the file in its test");
        return Outcome { summary, ..Outcome::default() };
    };
    // `test: what is claimed`.
    let words = name.split_once(": ").map_or(name, |(_, words)| words);
    match claim.when {
        When::AtTheEnd => {
            let observed = Observed::all_of(run.journal);
            held(&claim, &observed).outcome(words, None)
        }
        When::Always => {
            let mut observed = Observed::nothing_of(run.journal);
            let mut all = Verdict::saw(0);
            while all.holds() && observed.advance() {
                let verdict = held(&claim, &observed);
                let now = observed.now();
                all = match verdict.clone().into_result() {
                    Ok(()) => all.and(verdict),
                    Err(why) => all.and(Verdict::saw(1)).broken_at(now, why),
                };
            }
            all.outcome(words, None)
        }
    }
}

/// Asks a claim; an assertion that fails in it is a claim that does not hold.
fn held(claim: &Claim, observed: &Observed<'_>) -> Verdict {
    let judged = catch_unwind(AssertUnwindSafe(|| (claim.judge)(observed)));
    judged.unwrap_or_else(|payload| Verdict::saw(1).broken(words(payload.as_ref())))
}

/// The words of a panic.
pub(super) fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use slackwater_core::fact::Fact;
    use slackwater_core::point::Point;
    use slackwater_core::time::{EventTime, ms};

    use super::*;
    use crate::journal::{Entry, Journal, NodeIndex};

    /// A journal in which `sums` holds these values, a second of event time apart.
    fn journal(values: &[i64]) -> Journal {
        let entries = (1..).zip(values).map(|(n, value)| {
            let time = EventTime::from_millis(n * 1_000);
            let point = Point::new("sums", "a", time, [("value", (*value).into())]);
            let (writer, transaction) = (String::new(), String::new());
            let fact =
                Fact::PointWritten { point, writer, overwrote: false, differs: false, transaction };
            Entry { time: ms(n.unsigned_abs() * 10), node: NodeIndex(0), fact }
        });
        Journal::of(["db".to_owned()], entries.collect())
    }

    fn judged(when: When, values: &[i64], judge: fn(&Observed<'_>) -> Verdict) -> Outcome {
        let name = format!("{when:?} {values:?}: sums");
        make(&name, Claim { when, judge: Arc::new(judge) });
        let args = Args::default().with_text("by", &name);
        super::judge(&Evidence::of(&journal(values)), &args)
    }

    #[test]
    fn always_is_asked_each_time_something_has_become_visible() {
        let holds = |o: &Observed<'_>| Verdict::from(o.table("sums").sum("value") >= 0);
        let broke = judged(When::Always, &[1, 2, -4, 5], holds).broken.expect("it broke");
        assert_eq!((broke.at, &*broke.what), (Some(ms(30)), "sums: it does not hold"));
        assert_eq!(judged(When::AtTheEnd, &[1, 2, -4, 5], holds).broken, None);
        assert_eq!(judged(When::Always, &[1, 2], holds).saw, 2);
    }

    #[test]
    fn an_assertion_in_a_claim_is_an_answer() {
        let asserts = |o: &Observed<'_>| {
            assert_eq!(o.table("sums").len(), 3, "three sums");
            Verdict::saw(3)
        };
        let broken = judged(When::AtTheEnd, &[1], asserts).broken.expect("it broke");
        assert!(broken.what.contains("three sums"), "{}", broken.what);
    }

    #[test]
    fn rows_are_asked_one_by_one_and_a_gap_is_told() {
        let table = |values: &[i64], ask: fn(super::super::Table<'_>) -> Verdict| {
            let journal = journal(values);
            ask(Observed::all_of(&journal).table("sums")).into_result()
        };
        let small = |table: super::super::Table<'_>| table.all(|row| row.value() < 3.0);
        assert_eq!(table(&[1, 2], small), Ok(()));
        assert_eq!(table(&[1, 9], small), Err("there is sums,key=a value=9i 2000".to_owned()));
        let every = |table: super::super::Table<'_>| {
            table.filter(|row| row.value() != 0.0).has_every(Duration::from_secs(1))
        };
        let gap = "sums,key=a has nothing between 1000 and 3000: a gap of 2000 ms";
        assert_eq!(table(&[1, 2, 3], every), Ok(()));
        assert_eq!(table(&[1, 0, 3], every), Err(gap.to_owned()));
    }

    #[test]
    fn a_claim_that_nobody_made_saw_nothing() {
        let args = Args::default().with_text("by", "nobody");
        assert_eq!(super::judge(&Evidence::of(&journal(&[1])), &args).saw, 0);
    }
}
