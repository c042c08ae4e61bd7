//! What persons were answered, held against what the steps of a scenario state.
//! Types nothing and waits for nothing but facts. What is typed is in [`super::step`].

use std::collections::{BTreeMap, BTreeSet};

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::JobId;

use super::act;
use super::fault::FaultPart;
use super::format::Document;
use super::step::StepPart;
use super::verdict::{Class, Trouble};
use crate::journal::{Entry, Journal};
use crate::world::{Mark, Watch, person};

/// What is wrong with the answers of a run.
pub(super) fn troubles(document: &Document, journal: &Journal) -> Vec<Trouble> {
    let steps = document.step.iter().filter_map(|part| step(part, journal));
    let acts = document.fault.iter().filter(|part| part.deed.get_ref().is_a_persons());
    let acts = acts.filter_map(|part| of_act(part.name.get_ref(), journal));
    let jobs = document.step.iter().filter_map(|part| fails(part, journal));
    steps.chain(acts).chain(jobs).collect()
}

/// The jobs that steps submit of which the scenario says that they fail.
pub(super) fn failing(document: &Document, journal: &Journal) -> BTreeSet<JobId> {
    let fails = |part: &&StepPart| part.job.as_ref().is_some_and(|job| job.fails.is_some());
    let steps = document.step.iter().filter(fails);
    steps.filter_map(|part| submits(part.name.get_ref(), journal)).collect()
}

/// What is wrong with a job that a step submits and that must fail.
fn fails(part: &StepPart, journal: &Journal) -> Option<Trouble> {
    let wanted = part.job.as_ref()?.fails.as_ref()?;
    let (name, own) = (part.name.get_ref(), submits(part.name.get_ref(), journal)?);
    let failed = journal.entries().iter().find_map(|entry| match &entry.fact {
        Fact::JobStatusChanged { job, to: JobStatus::Failed, cause, .. } if *job == own => {
            Some((entry, cause))
        }
        _ => None,
    });
    let job = format!("the job of step {name:?} wants to fail with {wanted:?}");
    match failed {
        Some((_, cause)) if cause.contains(wanted) => None,
        Some((entry, cause)) => {
            let what = format!("{job}, and failed with: {cause}");
            Some(Trouble::new(Class::Broken, what).shown_by(entry))
        }
        None => Some(Trouble::new(Class::Broken, format!("{job}, and did not"))),
    }
}

/// The job that a step submitted.
fn submits(name: &str, journal: &Journal) -> Option<JobId> {
    let (_, _, said) = answer(name, journal)?;
    crate::check::submitted(said)
}

/// What is wrong with the answer to a step; one that never came is told with the faults.
fn step(part: &StepPart, journal: &Journal) -> Option<Trouble> {
    let name = part.name.get_ref();
    let Some((entry, code, said)) = answer(name, journal) else {
        let began = journal.entries().iter().find(|entry| begins(entry, name))?;
        let at = began.time.as_secs_f64();
        let what = format!("step {name:?} was under way since {at:.3} s when the world ended");
        return Some(Trouble::new(Class::Stuck, what).shown_by(began));
    };
    let wants = match (&part.exit, part.fails) {
        (Some(exit), _) if !exit.allows(code) => Some(exit.to_string()),
        (None, true) if code == 0 => Some("a failure".to_owned()),
        (None, false) if code != 0 => Some("exit code 0".to_owned()),
        _ => part.says.0.iter().find(|text| !said.contains(*text)).map(|text| format!("{text:?}")),
    };
    let wants = wants?;
    let (at, said) = (entry.time.as_secs_f64(), said.trim_end());
    let what = format!("at {at:.3} s step {name:?} wants {wants}, and ended with {code}: {said}");
    Some(Trouble::new(Class::Broken, what).shown_by(entry))
}

/// What a person did who is a fault may find nobody who leads, a job that has ended by then, or one
/// that can give no savepoint now; no other answer is a good one.
fn of_act(name: &str, journal: &Journal) -> Option<Trouble> {
    // Some lines are tried again: what counts is what came of it.
    let last = journal.entries().iter().rev().find_map(|entry| match &entry.fact {
        Fact::StepDone { step, code, said } if step == name => Some((entry, code, said)),
        _ => None,
    });
    let (entry, code, said) = last.filter(|(_, code, _)| ![0, 2, 7, 8].contains(*code))?;
    let what = format!("{name:?} ended with {code}: {}", said.trim_end());
    Some(Trouble::new(Class::Broken, what).shown_by(entry))
}

fn begins(entry: &Entry, name: &str) -> bool {
    matches!(&entry.fact, Fact::StepBegan { step, .. } if step == name)
}

fn answer<'a>(name: &str, journal: &'a Journal) -> Option<(&'a Entry, u32, &'a str)> {
    journal.entries().iter().find_map(|entry| match &entry.fact {
        Fact::StepDone { step, code, said } if step == name => Some((entry, *code, said.as_str())),
        _ => None,
    })
}

/// Whether every step has been answered, nobody is in the middle of something, and every job has
/// ended, of which there are so many at least.
pub(super) fn all_is_done(jobs: usize, document: &Document) -> Watch {
    let mut open: BTreeSet<String> =
        document.step.iter().map(|part| part.name.get_ref().clone()).collect();
    let mut acts = Acts::of(document);
    let (mut submitted, mut ended) = (BTreeSet::<JobId>::new(), BTreeSet::<JobId>::new());
    Box::new(move |entry| {
        acts.see(&entry.fact);
        match &entry.fact {
            Fact::StepDone { step, .. } => drop(open.remove(step)),
            Fact::JobSubmitted { job, .. } => drop(submitted.insert(*job)),
            Fact::JobStatusChanged { job, to, .. } if to.is_final() => drop(ended.insert(*job)),
            Fact::JobRefused { job, .. } => drop(ended.insert(*job)),
            _ => return false,
        }
        let all_ended = ended.len() >= jobs && submitted.is_subset(&ended);
        open.is_empty() && acts.begun.is_empty() && all_ended
    })
}

/// What persons who are faults are in the middle of.
struct Acts {
    /// How many lines each types.
    lines: BTreeMap<String, usize>,
    /// How many lines of those that have begun are not answered, and whether the one that was typed
    /// last is typed again if need be.
    begun: BTreeMap<String, (usize, bool)>,
}

impl Acts {
    fn of(document: &Document) -> Self {
        let acts = document.fault.iter().filter(|part| part.deed.get_ref().is_a_persons());
        let lines = |part: &FaultPart| act::length(*part.deed.get_ref());
        let lines = acts.map(|part| (part.name.get_ref().clone(), lines(part))).collect();
        Self { lines, begun: BTreeMap::new() }
    }

    fn see(&mut self, fact: &Fact) {
        match fact {
            Fact::StepBegan { step, line } => {
                let lines = self.lines.remove(step).map(|lines| (lines, false));
                self.begun.extend(lines.map(|lines| (step.clone(), lines)));
                if let Some((_, again)) = self.begun.get_mut(step) {
                    *again = person::resumes(line);
                }
            }
            Fact::StepDone { step, code, .. } => {
                let Some((left, again)) = self.begun.get_mut(step) else { return };
                *left -= usize::from(*code == 0);
                // Who was not answered well does no more, but for what cannot be left so.
                if *left == 0 || (*code != 0 && !*again) {
                    self.begun.remove(step);
                }
            }
            _ => {}
        }
    }
}

/// When so many jobs have run.
pub(super) fn all_run(jobs: usize) -> Mark {
    let mut running = BTreeSet::<JobId>::new();
    Box::new(move |entry| {
        if let Fact::JobStatusChanged { job, to: JobStatus::Running, .. } = &entry.fact {
            running.insert(*job);
        }
        running.len() >= jobs
    })
}
