//! `[swarm]`: what is drawn anew for every seed, by dotted paths, until `require` holds.
//! Only values are put into the tree; whether a path means something is asked where its shape is
//! read. Faults are drawn in [`super::draw`]; `require` is read in [`super::require`].

use super::diagnostic::{File, Mistake};
use super::draw::Luck;
use super::require::Condition;
use super::tree::{self, Node, Table, Value};

/// How often is drawn again before the condition is taken for one that cannot be met.
const TRIES: u32 = 1000;

/// Draws what `[swarm]` names; gives the share of faults that are left out.
pub(super) fn draw(file: &File, luck: &mut Luck, document: &mut Table) -> Result<f64, Mistake> {
    let Some(swarm) = document.remove("swarm") else { return Ok(0.0) };
    let span = swarm.span();
    let Node::Table(mut swarm) = swarm.into_inner() else {
        return Err(Mistake::new(file, span, "swarm is a table: paths, omit, require"));
    };
    let omit = match swarm.remove("omit") {
        Some(share) => share_of(file, "omit", &share)?,
        None => 0.0,
    };
    let require = swarm.remove("require");
    let condition = require.as_ref().map(|require| Condition::read(file, require)).transpose()?;
    for tries in 1.. {
        for (path, alternatives) in &swarm {
            let name = format!("swarm/{}", path.get_ref());
            let value = match chosen(file, luck, &name, alternatives)? {
                Some(value) => value,
                None => alternatives.clone(),
            };
            let steps: Vec<&str> = path.get_ref().split('.').collect();
            if let [only] = steps[..] {
                let message = format!(
                    "`{only}` of [swarm] is no path: write \"cluster.{only}\" or \"job.set.{only}\""
                );
                return Err(Mistake::new(file, path.span(), message));
            }
            put(file, document, &steps, value, path.span())?;
        }
        match &condition {
            Some(condition) if !condition.holds(file, document)? => {}
            _ => break,
        }
        if luck.is_fixed() {
            break;
        }
        if tries == TRIES {
            let message = format!("{TRIES} draws, and this held for none");
            let span = require.as_ref().map_or(0..0, |require| require.span());
            return Err(Mistake::new(file, span, message));
        }
    }
    Ok(omit)
}

/// A share between 0 and 1.
pub(super) fn share_of(file: &File, key: &str, value: &Value) -> Result<f64, Mistake> {
    let share = value.get_ref().as_float().filter(|share| (0.0..=1.0).contains(share));
    let message = || format!("`{key}` is a chance between 0 and 1");
    share.ok_or_else(|| Mistake::new(file, value.span(), message()))
}

/// One of `{ one_of = [...] }` or `{ range = [from, to] }`; `None` if the value is neither.
pub(super) fn chosen(
    file: &File,
    luck: &mut Luck,
    name: &str,
    value: &Value,
) -> Result<Option<Value>, Mistake> {
    let Some(table) = value.get_ref().as_table() else { return Ok(None) };
    let span = value.span();
    if let Some(list) = table.get("one_of") {
        return match list.get_ref().as_array() {
            Some(list) if !list.is_empty() && table.len() == 1 => {
                Ok(Some(list[luck.index(name, list.len())].clone()))
            }
            _ => Err(Mistake::new(file, span, "write { one_of = [VALUE, …] } with at least one")),
        };
    }
    let Some(range) = table.get("range") else { return Ok(None) };
    let ends = range.get_ref().as_array().filter(|ends| ends.len() == 2 && table.len() == 1);
    let ends = ends
        .and_then(|ends| Some((ends[0].get_ref().as_integer()?, ends[1].get_ref().as_integer()?)));
    match ends.filter(|(low, high)| low <= high) {
        Some((low, high)) => Ok(Some(tree::literal(span, luck.between(name, low, high)))),
        None => {
            let message = "write { range = [FROM, TO] } with whole numbers, both of them possible";
            Err(Mistake::new(file, span, message))
        }
    }
}

/// Puts a value at a path, through tables and through elements of arrays by name or number.
fn put(
    file: &File,
    table: &mut Table,
    path: &[&str],
    value: Value,
    span: std::ops::Range<usize>,
) -> Result<(), Mistake> {
    let [step, rest @ ..] = path else { return Ok(()) };
    if rest.is_empty() {
        // The key stands where the path does, so that a mistake in it is shown there.
        let key = serde_spanned::Spanned::new(span, (*step).to_owned());
        table.remove(*step);
        table.insert(key, value);
        return Ok(());
    }
    if !table.contains_key(*step) {
        let key = serde_spanned::Spanned::new(span.clone(), (*step).to_owned());
        let empty = serde_spanned::Spanned::new(span.clone(), Node::Table(Table::new()));
        table.insert(key, empty);
    }
    match table.get_mut(*step).map(serde_spanned::Spanned::get_mut) {
        Some(Node::Table(inner)) => put(file, inner, rest, value, span),
        Some(Node::Array(elements)) => {
            let (name, deeper) = (rest[0], &rest[1..]);
            let named = |table: &Table| {
                ["name", "check"].iter().any(|key| tree::str(table, key) == Some(name))
            };
            let tables = elements.iter_mut().filter_map(|element| match element.get_mut() {
                Node::Table(table) => Some(table),
                _ => None,
            });
            match tables.enumerate().find(|(at, table)| at.to_string() == name || named(table)) {
                Some((_, inner)) if !deeper.is_empty() => put(file, inner, deeper, value, span),
                _ => {
                    let message = format!("`{step}` has nothing that is named {name:?}");
                    Err(Mistake::new(file, span, message))
                }
            }
        }
        _ => Err(Mistake::new(file, span, format!("`{step}` is no table"))),
    }
}
