//! Where a failing run first went wrong: of everything that broke, what broke first.
//! Asks more checks than the file does, of which only those are believed that hold in the same
//! run without faults. Plays nothing; what is looked for is [`super::kind`]'s to say.

use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::time::EventTime;

use super::{First, Step, Wrong};
use crate::check::{Args, Broken, CHECKS, Check, Evidence, Needs};
use crate::journal::{Entry, Journal};
use crate::scenario::{Expectation, Trouble};

/// What first went wrong in a run of which `told` is what a person is told.
pub fn first(
    journal: &Journal,
    calm: Option<&Journal>,
    told: &Trouble,
    (expectations, troubles): (&[Expectation], &[&Trouble]),
) -> First {
    let of_trouble = |trouble: &Trouble| {
        let (at, node) = (trouble.at, trouble.place.map(|place| place.node));
        let probe = trouble.place.map(|place| place.probe);
        let step = at.and_then(|at| {
            let fits = |entry: &Entry| {
                node.is_none_or(|node| node == entry.node)
                    && probe.is_none_or(|probe| probe == entry.fact.probe())
            };
            step(journal, at, (&fits, &trouble.what))
        });
        let (check, what) = (trouble.check, trouble.what.clone());
        Wrong { check, what, is_asked: true, at, step }
    };
    let told = of_trouble(told);
    let end = journal.entries().last().map_or(Duration::ZERO, |entry| entry.time);
    let unasked = || {
        let is_asked = |check: &Check| expectations.iter().any(|e| e.check.name == check.name);
        let others = CHECKS.iter().filter(move |check| !is_asked(check));
        others.filter_map(|check| {
            let broken = clue(check, journal, calm?)?;
            let at = broken.at;
            let fits = |entry: &Entry| broken.place.is_none_or(|place| place.is(entry));
            let step = at.and_then(|at| step(journal, at, (&fits, &broken.what)));
            let what = format!("{}: {}", check.name, broken.what);
            Some(Wrong { check: Some(check.name), what, is_asked: false, at, step })
        })
    };
    let all = troubles.iter().map(|trouble| of_trouble(trouble)).chain(unasked());
    let first = all.filter(|wrong| wrong.at.is_some()).min_by_key(|wrong| wrong.at);
    let first = first.filter(|first| told.at.is_none_or(|at| first.at < Some(at)));
    let first = first.unwrap_or_else(|| told.clone());
    let earlier = told.at.unwrap_or(end).saturating_sub(first.at.unwrap_or(end));
    First { told, first, earlier, facts: journal.entries().len() }
}

/// What a check that nobody asked for has to say: that it broke here, and not without faults.
fn clue(check: &Check, journal: &Journal, calm: &Journal) -> Option<Broken> {
    if check.needs != Needs::Run || !GUARDS.contains(&check.name) {
        return None;
    }
    let judge = |journal| (check.judge)(&Evidence::of(journal), &Args::default());
    let broken = judge(journal).broken.filter(|broken| broken.at.is_some())?;
    let calm = judge(calm);
    (calm.saw > 0 && calm.broken.is_none()).then_some(broken)
}

/// Checks of what must never be, whatever befalls the world and whatever the job.
const GUARDS: [&str; 8] = [
    "checkpoint_ids_monotonic",
    "consistent_cut",
    "fenced",
    "idle_source",
    "ledger",
    "legal_states",
    "store_whole",
    "watermark_monotonic",
];

/// The fact at a time that fits what is told, and of several the first that shares most with it.
fn step(
    journal: &Journal,
    at: Duration,
    (fits, what): (&dyn Fn(&Entry) -> bool, &str),
) -> Option<Step> {
    let entries = journal.entries();
    let begin = entries.partition_point(|entry| entry.time < at);
    let then = entries[begin..].iter().take_while(|entry| entry.time == at);
    let shared = |entry: &Entry| {
        let line = entry.fact.to_string();
        let words = what.split_whitespace().filter(|word| word.len() > 3 && line.contains(word));
        words.map(str::len).max().unwrap_or(0)
    };
    let likeness =
        |(place, entry): &(usize, &Entry)| (fits(entry), shared(entry), std::cmp::Reverse(*place));
    let place = then.enumerate().max_by_key(likeness)?.0 + begin;
    let entry = &entries[place];
    let task = field(&entry.fact, "task");
    let event_time = watermark(&entries[..=place], task.as_deref());
    let line = journal.line(entry).to_string();
    let node = journal.name(entry.node).to_owned();
    Some(Step { number: place + 1, node, task, probe: entry.fact.probe(), event_time, line })
}

/// How far event time had come: for a task, or else for any.
fn watermark(entries: &[Entry], task: Option<&str>) -> Option<EventTime> {
    let all = entries.iter().rev().filter_map(|entry| match &entry.fact {
        Fact::WatermarkAdvanced { task, watermark } => Some((task, *watermark)),
        _ => None,
    });
    let own = all.clone().find(|(own, _)| task.is_some_and(|task| own.to_string() == task));
    own.or(all.clone().next()).map(|(_, watermark)| watermark)
}

/// A field of a fact, as its line shows it.
fn field(fact: &Fact, name: &str) -> Option<String> {
    let text = fact.to_string();
    let of = |word: &str| word.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
    text.split(' ').find_map(of)
}
