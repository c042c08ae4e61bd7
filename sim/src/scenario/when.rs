//! Whether a `when` can come: one kind of trigger, with the keys that it has, and names that are known.
//! Nothing is drawn and nothing waits here. The shape is [`super::fault`]'s; moments are made of it in
//! [`super::schedule`].

use serde_spanned::Spanned;
use slackwater_core::message::MessageKind;

use super::befall::known_probe;
use super::diagnostic::{File, Mistake, suggest};
use super::fault::When;
use super::format::Document;
use super::known;
use crate::check::is_called;

const KINDS: &str = "`at`, `event_time`, `event`, `message`, `inside`, `after` or `chance`";

/// Looks whether a fault or a step can come.
pub(super) fn check(file: &File, document: &Document, when: &Spanned<When>) -> Result<(), Mistake> {
    let (span, when) = (when.span(), when.get_ref());
    let mistake = |message: String| Err(Mistake::new(file, span.clone(), message));
    let kinds = [
        when.at.is_some(),
        when.event_time.is_some(),
        when.event.is_some(),
        when.message.is_some(),
        when.inside.is_some(),
        when.after.is_some(),
    ];
    match kinds.iter().filter(|kind| **kind).count() {
        1 => {}
        0 => return mistake(format!("a moment is one of {KINDS}")),
        _ => return mistake(format!("a moment is one of {KINDS}, and only one")),
    }
    let told = when.event.is_some() || when.message.is_some();
    if !told && when.nth.is_some() {
        return mistake("`nth` counts facts: it belongs to `event` or `message`".to_owned());
    }
    if !told && when.inside.is_none() && !when.fields.is_empty() {
        return mistake(
            "`where` looks at facts: it belongs to `event`, `message` or `inside`".to_owned(),
        );
    }
    if when.delay.is_some() && (when.at.is_some() || when.inside.is_some()) {
        return mistake("a time needs no `delay`, and a step has none".to_owned());
    }
    if when.pick.is_some() && when.inside.is_none() {
        return mistake("`pick` chooses a step: it belongs to `inside`".to_owned());
    }
    names(file, document, when)
}

/// Looks whether what ends a fault can come: an event, a message, an event time, another fault.
pub(super) fn check_until(
    file: &File,
    document: &Document,
    until: &Spanned<When>,
) -> Result<(), Mistake> {
    let when = until.get_ref();
    if when.at.is_some() || when.inside.is_some() {
        let message = "what lasts until a time has `for`; `until` waits for something that happens";
        return Err(Mistake::new(file, until.span(), message));
    }
    check(file, document, until)
}

fn names(file: &File, document: &Document, when: &When) -> Result<(), Mistake> {
    if let Some(event) = &when.event {
        known_probe(file, event)?;
        known::fields(file, event, when.fields.keys().map(String::as_str))?;
    }
    if let Some(window) = &when.inside {
        for probe in [&window.get_ref().0, &window.get_ref().1] {
            known_probe(file, &Spanned::new(window.span(), probe.clone()))?;
        }
    }
    if let Some(message) = &when.message {
        let known = || MessageKind::ALL.iter().map(|kind| kind.name());
        let name = message.get_ref();
        if !known().any(|known| known == name) {
            let help = suggest(name, known());
            let what = format!("unknown message {name:?}");
            return Err(Mistake::new(file, message.span(), what).help(Some(help)));
        }
    }
    let Some(after) = &when.after else { return Ok(()) };
    let faults = || document.fault.iter().map(|fault| fault.name.get_ref().as_str());
    let steps = || document.step.iter().map(|step| step.name.get_ref().as_str());
    let calm = || document.calm.iter().map(|_| "calm");
    let known = || faults().chain(steps()).chain(calm());
    match known().any(|fault| is_called(fault, after.get_ref())) {
        true => Ok(()),
        false => {
            let help = suggest(after.get_ref(), known());
            let what = format!("there is no fault or step {:?}", after.get_ref());
            Err(Mistake::new(file, after.span(), what).help(Some(help)))
        }
    }
}
