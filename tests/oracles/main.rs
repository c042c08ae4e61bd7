//! The promise that every oracle can see: each has a committed journal in which one thing is wrong,
//! rejects it, and lets the same journal pass without that thing. Oracles judge facts, so these are
//! facts made by hand (see `runs`); no world is run here.

mod runs;

use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::time::ms;
use slackwater_sim::check::{self, Args, CHECKS, Evidence, Outcome};
use slackwater_sim::journal::{Divergence, Entry, Journal, NodeIndex};

/// An oracle's name, the facts that it accepts, and what is done to them.
struct Case {
    check: &'static str,
    good: Vec<Fact>,
    wrong: fn(&mut Vec<Fact>),
    args: Args,
}

fn cases() -> Vec<Case> {
    let case = |check, good: fn() -> Vec<Fact>, wrong| Case {
        check,
        good: good(),
        wrong,
        args: Args::default(),
    };
    let ledger = |check, wrong| case(check, runs::ledger, wrong);
    let groups = Args::default().with_number("groups", 2.0).with_number("parallelism", 2.0);
    vec![
        Case {
            args: Args::default().with_span("bound", Duration::ZERO),
            ..ledger("model", runs::another_id_of_the_same_amount)
        },
        ledger("conservation", runs::a_record_that_enters_no_window),
        ledger("late_records", runs::a_late_record_that_is_nowhere),
        ledger("watermark_monotonic", runs::a_watermark_ahead_of_a_channel),
        ledger("every_subtask", runs::a_subtask_without_records),
        ledger("exchange_used", runs::no_frame_between_workers),
        Case { args: groups, ..ledger("every_key_group", runs::a_row_of_another_owner) },
        Case {
            args: Args::default().with_text("uid", "entries"),
            ..ledger("out_of_order", runs::records_in_order)
        },
        ledger("no_loss", runs::a_row_that_is_missing),
        ledger("same_output", runs::a_row_that_is_missing),
        case("idle_source", runs::idle, runs::a_watermark_that_waits_for_the_idle),
        case("cluster_gathered", runs::new_leader, runs::a_task_manager_that_stays_away),
        case("recovered", runs::crash, runs::a_job_that_stays_down),
        case("window_sums_expected", runs::waves, runs::a_reading_in_the_next_window),
        case("window_sums_zero", runs::waves, runs::a_sum_that_is_not_zero),
    ]
}

fn journal(facts: impl IntoIterator<Item = Fact>) -> Journal {
    let entry = |(index, fact)| Entry { time: ms(100 + index), node: NodeIndex(0), fact };
    Journal::of(["jm".to_owned()], (0u64..).zip(facts).map(entry).collect())
}

fn judge(case: &Case, journal: &Journal) -> Outcome {
    let calm = self::journal(case.good.clone());
    let check = check::find(case.check).expect("every case names a check");
    let mut outcome = (check.judge)(&Evidence { journal, calm: Some(&calm) }, &case.args);
    if case.check == "same_output" {
        let (calm, other) = (check::table(&calm), check::table(journal));
        outcome.broken = check::differ(("calm", &calm), ("other", &other));
    }
    outcome
}

/// The committed journal of a case: one fact a line, as JSON behind its header.
#[expect(clippy::disallowed_methods, reason = "a test reads the files that it is about")]
fn committed(check: &str) -> Journal {
    let path = format!("tests/oracles/journals/{check}.snap");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (_, facts) = text.split_once("\n---\n").expect("a snapshot has a header");
    journal(facts.lines().map(|line| serde_json::from_str(line).expect("a fact")))
}

#[test]
fn the_committed_journals_hold_one_wrong_thing_each() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("journals");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for case in cases() {
        let mut facts = case.good;
        (case.wrong)(&mut facts);
        let lines = facts.iter().map(|fact| serde_json::to_string(fact).expect("plain data"));
        let text = lines.collect::<Vec<_>>().join("\n");
        settings.bind(|| insta::assert_snapshot!(case.check, text));
    }
}

#[test]
fn every_oracle_rejects_its_bad_journal_and_accepts_the_good_one() {
    for case in cases() {
        let good = judge(&case, &journal(case.good.clone()));
        assert!(good.saw > 0, "{} saw nothing", case.check);
        assert_eq!(good.broken, None, "{} accepts what is right", case.check);
        let bad = judge(&case, &committed(case.check));
        assert!(bad.broken.is_some(), "{} rejects what is wrong", case.check);
    }
}

#[test]
fn every_check_has_a_bad_journal() {
    let cases = cases();
    for check in CHECKS {
        assert!(cases.iter().any(|case| case.check == check.name), "{}", check.name);
    }
}

#[test]
fn a_check_that_is_shown_nothing_says_that_it_saw_nothing() {
    for check in CHECKS.iter().filter(|check| check.name != "late_records") {
        let empty = journal([]);
        let evidence = Evidence { journal: &empty, calm: Some(&empty) };
        assert_eq!((check.judge)(&evidence, &Args::default()).saw, 0, "{}", check.name);
    }
}

#[test]
fn a_replay_that_differs_is_told_by_its_first_line() {
    let first = journal(runs::ledger());
    let second = committed("conservation");
    assert!(first.hash() != second.hash());
    let divergence = Divergence::between(&first.text(), &second.text()).expect("they differ");
    assert!(divergence.left.is_some_and(|line| line.contains("record.windowed")));
}
