//! `base = "FILE"`: a scenario that says only in what it differs from another.
//! Nothing is known of what keys mean beyond how they merge: tables by key, arrays of tables by what
//! names their elements, everything else by the last word. Then come [`super::matrix`] and
//! [`super::draw`].

use std::path::Path;

use serde_spanned::Spanned;

use super::diagnostic::{File, Mistake, Text};
use super::tree::{self, Node, Table, Value};

/// Tables that say one thing among several: the last word replaces the whole.
const WHOLE: &[&str] = &["when", "on", "stop", "until", "from", "swarm"];

/// Reads a file with all it is based on: the texts, and one document whose places lie in them.
pub(super) fn load(path: &str, text: &str) -> Result<(File, Spanned<Table>), Mistake> {
    let mut file = File::default();
    let document = read(&mut file, path, text.to_owned())?;
    Ok((file, document))
}

fn read(file: &mut File, path: &str, text: String) -> Result<Spanned<Table>, Mistake> {
    let start = file.add(Text::new(path, text.clone()));
    // Blanks before the first line put every place where the text lies among the others.
    let padded = format!("{:start$}{text}", "");
    let mut document = tree::parse(&padded).map_err(|error| file.of_toml(&error))?;
    let table = document.get_mut();
    let only = match table.remove("faults") {
        Some(value) if value.get_ref().as_str() == Some("only") => true,
        Some(value) => {
            let message = "`faults` is \"only\": none of the base's; or it is left out";
            return Err(Mistake::new(file, value.span(), message));
        }
        None => false,
    };
    let Some(base) = table.remove("base") else { return Ok(document) };
    let Some(name) = base.get_ref().as_str() else {
        return Err(Mistake::new(file, base.span(), "base is the name of a file"));
    };
    let near = Path::new(path).parent().unwrap_or(Path::new("")).join(name);
    let near = near.display().to_string();
    if file.has(&near) {
        let message = format!("{name} is based on itself");
        return Err(Mistake::new(file, base.span(), message));
    }
    let text = opened(&near).map_err(|error| {
        Mistake::new(file, base.span(), format!("cannot read the base {near}: {error}"))
    })?;
    let mut below = read(file, &near, text)?;
    if only {
        leave_only_the_stage(below.get_mut());
    }
    fixed_here_is_not_drawn(below.get_mut(), document.get_ref());
    merge(below.get_mut(), document.into_inner());
    Ok(below)
}

#[expect(clippy::disallowed_methods, reason = "the harness reads its own files, on no host")]
fn opened(path: &str) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

/// `faults = "only"`: of the base remain cluster, job, run, and what is expected of any run.
fn leave_only_the_stage(base: &mut Table) {
    let story = ["fault", "step", "swarm", "calm", "sometimes", "sweep"];
    let names = tree::names(base);
    for key in story {
        base.remove(key);
    }
    tree::forget(base, |from, name| from == "calm" || names.contains(name));
}

/// What a file says itself is not drawn by its base's `[swarm]`.
fn fixed_here_is_not_drawn(base: &mut Table, own: &Table) {
    let said = |path: &str| {
        let mut at = Some(own);
        let mut steps = path.split('.').peekable();
        while let Some(step) = steps.next() {
            let Some(table) = at else { return false };
            match steps.peek() {
                None => return table.contains_key(step),
                Some(_) => at = tree::table(table, step),
            }
        }
        false
    };
    let Some(swarm) = tree::table_mut(base, "swarm") else { return };
    swarm.retain(|path, _| !path.get_ref().contains('.') || !said(path.get_ref()));
}

/// Puts the last word over what was said before.
fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        let deep = !WHOLE.contains(&key.get_ref().as_str());
        match below.get_mut(key.get_ref().as_str()) {
            Some(under) => merge_value(key.get_ref(), under, value, deep),
            None => {
                below.insert(key, value);
            }
        }
    }
}

fn merge_value(key: &str, under: &mut Value, over: Value, deep: bool) {
    let span = over.span();
    match (under.get_mut(), over.into_inner()) {
        (Node::Table(under), Node::Table(over)) if deep => merge(under, over),
        // Of drawn settings each is replaced as a whole, and the others stay.
        (Node::Table(under), Node::Table(over)) if key == "swarm" => under.extend(over),
        (Node::Array(under), Node::Array(over)) if named_by(key).is_some() => {
            merge_elements(named_by(key).unwrap_or_default(), under, over);
        }
        (_, over) => *under = Spanned::new(span, over),
    }
}

/// By what the elements of an array of tables are told apart.
fn named_by(key: &str) -> Option<&'static str> {
    match key {
        "fault" | "step" => Some("name"),
        "expect" => Some("check"),
        "sometimes" => Some("label"),
        _ => None,
    }
}

/// An element goes over the first of its name that nothing has gone over yet; others are added.
fn merge_elements(name: &str, under: &mut Vec<Value>, over: Vec<Value>) {
    let of = |element: &Value| {
        element.get_ref().as_table().and_then(|table| tree::str(table, name)).map(str::to_owned)
    };
    let mut taken = Vec::new();
    for element in over {
        let place = under.iter().position(|known| of(known) == of(&element));
        let place = place.and_then(|first| {
            (first..under.len()).find(|at| of(&under[*at]) == of(&element) && !taken.contains(at))
        });
        match place {
            Some(at) => {
                taken.push(at);
                merge_value(name, &mut under[at], element, true);
            }
            None => {
                taken.push(under.len());
                under.push(element);
            }
        }
    }
}

#[cfg(test)]
mod tests;
