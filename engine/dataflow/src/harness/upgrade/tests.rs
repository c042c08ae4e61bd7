//! What one version of some operators makes of the state of another, at any parallelism.
//! The versions compute the same, so that a run of the first in peace is the expectation. What is
//! declared wrongly is refused when a plan is made: `stream`'s tests.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use slackwater_core::time::secs;

use super::*;
use crate::stream::{Env, WindowOut};
use crate::window::{Pane, tumbling};

type Reading = (String, i64);
type Out = WindowOut<String, i64, Reading>;

/// What the second version knows of an account besides its balance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    balance: i64,
    bookings: u64,
}

/// What the second version knows of a window besides its sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    sum: i64,
    count: u64,
}

fn windows() -> crate::window::Tumbling {
    tumbling(secs(1)).allowed_lateness(secs(1))
}

/// A state of each kind: one value, a value for each key, windows.
fn v1(readings: Stream<Reading>) -> Out {
    let numbered = readings.scan("number", 0u32, |number, (key, value): Reading| {
        *number += 1;
        (key, value * 1_000 + i64::from(*number))
    });
    let keyed = numbered.key_by(|(key, _)| key.clone());
    let balances = keyed.scan("balances", 0i64, |balance, (key, value): Reading| {
        *balance += value;
        (key, *balance)
    });
    let keyed = balances.key_by(|(key, _)| key.clone());
    keyed.window(windows()).fold("seconds", 0i64, |sum, (_, value): Reading| *sum += value)
}

/// The same with other names and types of state.
fn v2(readings: Stream<Reading>) -> WindowOut<String, Tally, Reading> {
    let count = |number: &mut u64, (key, value): Reading| {
        *number += 1;
        (key, value * 1_000 + *number as i64)
    };
    let numbered =
        readings.scan("place", 0u64, count).was("number").migrate(|number: u32| u64::from(number));
    let keyed = numbered.key_by(|(key, _)| key.clone());
    let book = |account: &mut Account, (key, value): Reading| {
        account.balance += value;
        account.bookings += 1;
        (key, account.balance)
    };
    let accounts = keyed
        .scan("accounts", Account::default(), book)
        .was("balances")
        .migrate(|balance: i64| Account { balance, bookings: 0 })
        .restored(|account: Account| match account.bookings {
            0..1_000 => Ok(account),
            many => Err(format!("{many} bookings")),
        });
    let keyed = accounts.key_by(|(key, _)| key.clone());
    let WindowOut { results, late } =
        keyed.window(windows()).fold("seconds", Tally::default(), |tally, (_, value): Reading| {
            *tally = Tally { sum: tally.sum + value, count: tally.count + 1 };
        });
    WindowOut { results: results.migrate(|sum: i64| Tally { sum, count: 0 }), late }
}

fn shown<A>(panes: Vec<Pane<String, A>>, sum: impl Fn(&A) -> i64) -> Vec<String> {
    let show = |p: &Pane<String, A>| format!("{} {} {}", p.window.start, p.key, sum(&p.value));
    panes.iter().map(show).collect()
}

/// A record of a key at a time, or a watermark, as time goes on.
fn steps() -> impl Strategy<Value = Vec<Step<Reading>>> {
    let one = prop_oneof![
        4 => (0u8..9, 0i64..2_000).prop_map(|(key, time)| (Some(key), time)),
        1 => (0i64..1_000).prop_map(|time| (None, time)),
    ];
    let drift = |steps: Vec<(Option<u8>, i64)>| {
        let mut greatest = i64::MIN;
        let at = |(index, (key, time)): (usize, (Option<u8>, i64))| {
            let at = index as i64 * 150 + time;
            match key {
                Some(key) => Step::Element(at, (format!("k{key}"), at % 97)),
                None => {
                    greatest = greatest.max(at);
                    Step::Watermark(greatest)
                }
            }
        };
        steps.into_iter().enumerate().map(at).collect()
    };
    prop::collection::vec(one, 1..60).prop_map(drift)
}

fn at<R: Outlets>(
    parallelism: u32,
    build: impl Fn(Stream<Reading>) -> R + 'static,
) -> Harness<Reading, R::Main, R::Late> {
    let configure = move |env: &Env| {
        env.parallelism(parallelism);
    };
    Harness::with(configure, build)
}

fn sorted(mut shown: Vec<String>) -> Vec<String> {
    shown.sort();
    shown
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(60)
    })]

    #[test]
    fn state_follows_its_keys_into_the_next_version_whatever_the_parallelism_of_both(
        steps in steps(),
        (cut, from, to) in (any::<prop::sample::Index>(), 1u32..9, 1u32..9),
    ) {
        let mut peace = at(1, v1);
        steps.iter().for_each(|step| _ = peace.step(step));
        let expected = sorted(shown(peace.end().output(), |sum| *sum));
        let late = peace.late();

        let (before, after) = steps.split_at(cut.index(steps.len()));
        let (mut old, mut new) = (at(from, v1), at(to, v2));
        before.iter().for_each(|step| _ = old.step(step));
        new.upgrade(&old.snapshot());
        after.iter().for_each(|step| _ = new.step(step));
        let mut panes = shown(old.output(), |sum| *sum);
        panes.extend(shown(new.end().output(), |tally| tally.sum));
        prop_assert_eq!(sorted(panes), expected);
        let lates = old.late().len() + new.late().len();
        prop_assert_eq!(lates, late.len());
    }

    #[test]
    fn nobody_can_tell_when_an_operator_was_renamed(steps in steps()) {
        let renamed = |readings: Stream<Reading>| {
            let keyed = readings.key_by(|(key, _)| key.clone());
            keyed.window(windows()).sum("sums-of-a-second", |(_, value)| *value)
        };
        let old = |readings: Stream<Reading>| {
            let keyed = readings.key_by(|(key, _)| key.clone());
            keyed.window(windows()).sum("sums", |(_, value)| *value)
        };
        upgrade_anywhere(
            old,
            move |readings| {
                let WindowOut { results, late } = renamed(readings);
                WindowOut { results: results.was("sums"), late }
            },
            &steps,
        );
    }
}

/// Some state of the first version.
fn left() -> Vec<Section> {
    let mut h = at(2, v1);
    for (time, key) in [(10, "a"), (20, "b"), (1_400, "a")] {
        h.element(time, (key.into(), time));
    }
    h.watermark(100).snapshot()
}

#[test]
fn what_becomes_of_every_state_is_told_as_for_a_savepoint() {
    let comparison = at(3, v2).compare(&left());
    let fates = comparison.lines.iter().map(|line| (line.uid.0.as_str(), line.state.as_str()));
    let told: Vec<_> =
        fates.zip(comparison.lines.iter().map(|line| line.fate.to_string())).collect();
    let expected = [
        (("input", "position"), "new"),
        (("input", "greatest"), "new"),
        (("place", "scan"), "migrated"),
        (("accounts", "scan"), "migrated"),
        (("seconds", "windows"), "migrated"),
        (("seconds", "waiting"), "kept"),
        (("seconds", "watermark"), "kept"),
    ];
    let told: Vec<_> = told.iter().map(|(name, fate)| (*name, fate.as_str())).collect();
    assert_eq!(told, expected);
    assert!(!comparison.loses());
}

#[test]
fn what_no_operator_takes_up_is_refused_or_left_behind_for_once() {
    let only_numbers = |readings: Stream<Reading>| {
        readings.scan("number", 0u32, |number, _: Reading| {
            *number += 1;
            *number
        })
    };
    let mut h = Harness::new(only_numbers);
    let refused = h.try_upgrade(&left(), false).expect_err("balances are lost").to_string();
    for lost in ["state \"scan\" of \"balances\"", "state \"windows\" of \"seconds\""] {
        assert!(refused.contains(lost), "{refused}");
    }
    assert_eq!(h.element(1, ("a".into(), 1)).output(), [1], "it begins with nothing");
    h.try_upgrade(&left(), true).expect("left behind");
    assert_eq!(h.element(1, ("a".into(), 1)).output(), [4], "its own state is kept");
}

#[test]
fn a_type_that_changed_without_a_migration_is_refused_field_by_field() {
    let changed = |readings: Stream<Reading>| {
        let keyed = readings.key_by(|(key, _)| key.clone());
        keyed.scan("accounts", (0i64, 0u64), |account, (_, value): Reading| {
            account.0 += value;
            account.0
        })
    };
    let grown = |readings: Stream<Reading>| {
        let keyed = readings.key_by(|(key, _)| key.clone());
        keyed.scan("accounts", Account::default(), |account, (_, value): Reading| {
            account.balance += value;
            account.balance
        })
    };
    let mut old = Harness::new(grown);
    old.element(1, ("a".into(), 1));
    let refused = Harness::new(changed).try_upgrade(&old.snapshot(), false);
    let refused = refused.expect_err("another type").to_string();
    let words =
        "was written as (str, Account {balance: i64, bookings: u64}), expected (str, (i64, u64))";
    assert!(refused.contains(words) && refused.contains(".migrate(|old: …| …)"), "{refused}");
}

#[test]
fn what_looks_at_state_mends_it_or_refuses_the_start() {
    let wave = |steps: u32, mends: bool| {
        move |ticks: Stream<()>| {
            let step = move |step: &mut u32, (): ()| {
                *step = (*step + 1) % steps;
                *step
            };
            ticks.scan("saw", 0, step).restored(move |step: u32| match step {
                step if step < steps => Ok(step),
                step if mends => Ok(step % steps),
                step => Err(format!("step {step} of a wave of {steps}")),
            })
        }
    };
    let mut hundred = Harness::new(wave(100, false));
    (0..57).for_each(|n| _ = hundred.element(n, ()));
    let left = hundred.snapshot();
    let mut ten = Harness::new(wave(10, false));
    let refused = ten.try_upgrade(&left, false).expect_err("step 57").to_string();
    assert!(refused.contains("\"saw\": step 57 of a wave of 10"), "{refused}");
    assert_eq!(Harness::new(wave(10, true)).upgrade(&left).element(58, ()).output(), [8]);
    assert_eq!(Harness::new(wave(100, false)).upgrade(&left).element(58, ()).output(), [58]);
}

#[test]
fn state_of_two_operators_never_becomes_one() {
    let sum = |sum: &mut i64, n: i64| {
        *sum += n;
        *sum
    };
    let mut old = Harness::new(move |n| n.scan("a", 0, sum).scan("b", 0, sum));
    old.element(1, 1);
    let mut new = Harness::new(move |n| n.scan("b", 0, sum).was("a"));
    let refused = new.try_upgrade(&old.snapshot(), true).expect_err("two states").to_string();
    assert!(refused.contains("\"a\"") && refused.contains("\"b\""), "{refused}");
}
