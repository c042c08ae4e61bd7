//! The promise that every oracle can see: each has a committed journal in which one thing is wrong,
//! rejects it, and lets the same journal pass without that thing. Oracles judge facts, so these are
//! facts made by hand (see `runs`); no world is run here.

mod lasting;
mod runs;
mod saved;
mod told;

use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::time::ms;
use slackwater_sim::check::{self, Args, CHECKS, Evidence, Outcome, Resumed};
use slackwater_sim::journal::{Divergence, Entry, Journal, NodeIndex};

/// An oracle's name, the facts that it accepts, and what is done to them.
struct Case {
    /// The name of its journal.
    journal: &'static str,
    check: &'static str,
    good: Vec<Fact>,
    wrong: fn(&mut Vec<Fact>),
    args: Args,
}

fn cases() -> Vec<Case> {
    let case = |check, good: fn() -> Vec<Fact>, wrong| Case {
        journal: check,
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
    .into_iter()
    .chain(cases_of_checkpoints())
    .chain(cases_of_savepoints())
    .chain(cases_of_the_control_stream())
    .collect()
}

type Wrong = fn(&mut Vec<Fact>);

/// The oracles of checkpoints: most of them can be wrong in more than one way.
fn cases_of_checkpoints() -> impl Iterator<Item = Case> {
    let at = |place| Args::default().with_text("at", place);
    let plain = Args::default;
    let soon = || plain().with_span("within", ms(15)).with_span("timeout", ms(20));
    let cases: [(&str, &str, Wrong, Args); _] = [
        ("consistent_cut", "", lasting::a_record_behind_the_barrier, plain()),
        ("consistent_cut", "window", lasting::a_window_that_is_left_out, plain()),
        ("consistent_cut", "watermark", lasting::a_watermark_ahead_of_its_records, plain()),
        ("consistent_cut", "offset", lasting::an_offset_that_nobody_has_read, plain()),
        ("consistent_cut", "told", lasting::an_offset_that_is_told_wrongly, plain()),
        ("consistent_cut", "transaction", lasting::a_transaction_that_is_forgotten, plain()),
        ("ledger", "", lasting::a_commit_before_its_checkpoint, plain()),
        ("ledger", "twice", lasting::a_transaction_that_commits_twice, plain()),
        ("ledger", "never", lasting::a_transaction_that_never_commits, plain()),
        ("ledger", "differs", lasting::an_overwrite_with_another_value, plain()),
        ("ledger", "again", lasting::a_row_that_is_committed_again, plain()),
        ("fenced", "", lasting::an_ack_of_a_dead_attempt, plain()),
        ("fenced", "leader", lasting::an_old_leader_that_goes_on, plain()),
        ("fenced", "restore", lasting::a_restore_behind_what_was_told, plain()),
        ("fenced", "zombie", lasting::a_zombie_that_writes, plain()),
        ("store_whole", "", lasting::a_named_file_that_is_deleted, plain()),
        ("store_whole", "torn", lasting::a_torn_file_that_is_named, plain()),
        ("store_whole", "left", lasting::a_file_that_is_left_behind, plain()),
        ("census", "", lasting::a_slot_that_is_kept, plain()),
        ("nothing_left_behind", "", lasting::a_slot_that_is_kept, plain()),
        ("checkpoint_ids_monotonic", "", lasting::an_id_that_is_used_twice, plain()),
        ("legal_states", "", lasting::a_checkpoint_that_rises_again, plain()),
        ("legal_states", "job", lasting::a_job_that_leaps, plain()),
        ("exactly_once", "", lasting::a_row_that_never_came, at("sink.visible")),
        ("exactly_once", "raw", lasting::a_row_that_is_written_twice, at("sink.raw")),
        ("exactly_once", "state", lasting::a_record_behind_the_barrier, at("state")),
        ("same_output_as_without_faults", "", lasting::a_row_that_never_came, plain()),
        ("damage_refused", "", lasting::a_damaged_file_that_nobody_names, plain()),
        ("damage_refused", "nothing", lasting::a_job_that_starts_from_nothing, plain()),
        ("resumes_from_store", "", lasting::a_row_that_never_came, plain()),
        ("wave_continues", "", lasting::a_wave_that_begins_anew, plain()),
        ("checkpoints_used", "", lasting::nothing_waits_behind_a_barrier, plain()),
        ("live", "", lasting::a_checkpoint_that_stays_pending, soon()),
        ("latency", "", lasting::records_that_wait, plain()),
    ];
    cases.into_iter().map(|(check, way, wrong, args)| {
        let good = match check {
            "live" => lasting::reviving(),
            "latency" => lasting::markers(),
            "damage_refused" => lasting::damaged(),
            "wave_continues" => lasting::sawtooth(),
            _ => lasting::lasting(),
        };
        // A journal for each way; names live as long as the test.
        let journal = if way.is_empty() { check } else { format!("{check}.{way}").leak() };
        Case { journal, check, good, wrong, args }
    })
}

fn journal(facts: impl IntoIterator<Item = Fact>) -> Journal {
    let mut now = ms(100);
    let entry = |fact| {
        let entry = Entry { time: now, node: NodeIndex(0), fact };
        // The world goes on for a while after its jobs.
        let ended = matches!(&entry.fact, Fact::JobStatusChanged { to, .. } if to.is_final());
        now += if ended { ms(2_000) } else { ms(1) };
        entry
    };
    Journal::of(["jm".to_owned()], facts.into_iter().map(entry).collect())
}

fn judge(case: &Case, journal: &Journal) -> Outcome {
    let calm = self::journal(case.good.clone());
    let check = check::find(case.check).expect("every case names a check");
    let resumed = Resumed { journal: journal.clone(), cut: ms(0) };
    let evidence = Evidence { journal, calm: Some(&calm), resumed: Some(&resumed) };
    let mut outcome = (check.judge)(&evidence, &case.args);
    if case.journal == "same_output" {
        let (calm, other) = (check::table(&calm), check::table(journal));
        outcome.broken = check::differ(("calm", &calm), ("other", &other));
    }
    if case.check == "latency" {
        let first = (check.judge)(&Evidence::of(&calm), &case.args);
        outcome.broken = check::worse(("off", &first), ("on", &outcome));
    }
    outcome
}

/// The oracles that follow a wave over a savepoint.
fn cases_of_savepoints() -> impl Iterator<Item = Case> {
    let plain = Args::default;
    let wave = || plain().with_number("before", 10.0).with_number("after", 20.0);
    let cases: [(&str, &str, Wrong, Args); _] = [
        ("wave", "wave", saved::a_wave_that_jumps, wave().with_text("cut", "save")),
        (
            "window_sums_expected",
            "window_sums_expected.saved",
            saved::a_window_that_forgets_what_was_saved,
            plain(),
        ),
        (
            "same_output",
            "same_output.jobs",
            saved::a_fork_that_goes_its_own_way,
            plain().with_names("jobs", &["resume", "again"]),
        ),
        ("store_whole", "store_whole.swept", saved::a_savepoint_that_is_swept, plain()),
        ("store_whole", "store_whole.early", saved::a_savepoint_that_is_seen_too_early, plain()),
        ("store_whole", "store_whole.nowhere", saved::a_savepoint_that_is_not_there, plain()),
    ];
    cases.into_iter().map(|(check, journal, wrong, args)| Case {
        journal,
        check,
        good: saved::waves(),
        wrong,
        args,
    })
}

/// The oracle of what was told on the control stream.
fn cases_of_the_control_stream() -> impl Iterator<Item = Case> {
    let cases: [(&str, Wrong); _] = [
        ("amplified", told::an_amplitude_that_a_restart_forgets),
        ("amplified.lost", told::an_amplitude_that_no_checkpoint_held),
        ("amplified.deaf", told::a_last_word_that_nobody_hears),
        ("amplified.missing", told::a_reading_that_is_not_amplified),
    ];
    cases.into_iter().map(|(journal, wrong)| Case {
        journal,
        check: "amplified",
        good: told::amplified(),
        wrong,
        args: Args::default().with_span("within", ms(5)),
    })
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
        settings.bind(|| insta::assert_snapshot!(case.journal, text));
    }
}

#[test]
fn every_oracle_rejects_its_bad_journal_and_accepts_the_good_one() {
    for case in cases() {
        let good = judge(&case, &journal(case.good.clone()));
        assert!(good.saw > 0, "{} saw nothing", case.journal);
        assert_eq!(good.broken, None, "{} accepts what is right", case.journal);
        let bad = judge(&case, &committed(case.journal));
        assert!(bad.broken.is_some(), "{} rejects what is wrong", case.journal);
    }
}

#[test]
fn every_check_has_a_bad_journal() {
    let cases = cases();
    // A claim is what some test says; the room in which they are made tests it.
    for check in CHECKS.iter().filter(|check| check.name != "claim") {
        assert!(cases.iter().any(|case| case.check == check.name), "{}", check.name);
    }
}

#[test]
fn a_check_that_is_shown_nothing_says_that_it_saw_nothing() {
    for check in CHECKS.iter().filter(|check| check.name != "late_records") {
        let empty = journal([]);
        let evidence = Evidence { journal: &empty, calm: Some(&empty), resumed: None };
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
