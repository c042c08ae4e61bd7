//! The matrix of a scenario: one cell per combination of its axes, `$name` replaced by the value.
//! Works on the document before its shape is read, so that a value keeps its type and its place in
//! the text. What the cells mean is read in [`super::resolve`].

use std::collections::BTreeSet;

use serde_spanned::Spanned;

use super::diagnostic::{File, Mistake, suggest};
use super::tree::{self, Node, Table, Value};

/// A cell: what its axes say, and the document that remains.
#[derive(Debug)]
pub(super) struct RawCell {
    /// `axis=value`, joined by blanks; empty without a matrix.
    pub(super) name: String,
    /// The document without its matrix.
    pub(super) table: Spanned<Table>,
}

impl RawCell {
    /// What the file calls its faults and steps by, drawn or not.
    pub(super) fn named(&self) -> Vec<String> {
        tree::names(self.table.get_ref()).into_iter().collect()
    }
}

/// Unfolds the matrix of a document; without one there is one cell.
pub(super) fn cells(file: &File, mut document: Spanned<Table>) -> Result<Vec<RawCell>, Mistake> {
    let axes = match document.get_mut().remove("matrix") {
        Some(matrix) => axes(file, matrix)?,
        None => Vec::new(),
    };
    let mut used = BTreeSet::new();
    let mut cells = Vec::new();
    for choice in choices(&axes) {
        let mut table = document.clone();
        let mut fill = Fill { file, choice: &choice, used: &mut used };
        table.get_mut().iter_mut().try_for_each(|(_, value)| fill.value(value))?;
        let name = choice.iter().map(|(axis, value)| format!("{axis}={}", shown(value)));
        cells.push(RawCell { name: name.collect::<Vec<_>>().join(" "), table });
    }
    match axes.iter().find(|axis| !used.contains(&axis.name)) {
        Some(axis) => {
            let message = format!("the axis `{}` is used nowhere: write \"${0}\"", axis.name);
            Err(Mistake::new(file, axis.span.clone(), message))
        }
        None => Ok(cells),
    }
}

struct Axis {
    name: String,
    span: std::ops::Range<usize>,
    values: Vec<Node>,
}

fn axes(file: &File, matrix: Value) -> Result<Vec<Axis>, Mistake> {
    let span = matrix.span();
    let Node::Table(table) = matrix.into_inner() else {
        return Err(Mistake::new(file, span, "matrix is a table of lists"));
    };
    let mut axes = Vec::new();
    for (name, values) in table {
        let span = values.span();
        match values.into_inner() {
            Node::Array(values) if !values.is_empty() => {
                let values = values.into_iter().map(Spanned::into_inner).collect();
                let name = name.into_inner();
                axes.push(Axis { name, span, values });
            }
            _ => return Err(Mistake::new(file, span, "an axis is a list of at least one value")),
        }
    }
    Ok(axes)
}

type Choice = Vec<(String, Node)>;

/// The cross product, the last axis turning fastest.
fn choices(axes: &[Axis]) -> Vec<Choice> {
    axes.iter().fold(vec![Vec::new()], |choices, axis| {
        let with = |choice: &Choice, value: &Node| {
            let mut choice = choice.clone();
            choice.push((axis.name.clone(), value.clone()));
            choice
        };
        choices
            .iter()
            .flat_map(|choice| axis.values.iter().map(move |value| with(choice, value)))
            .collect()
    })
}

/// Replaces `$name` by the value of the axis.
struct Fill<'f> {
    file: &'f File,
    choice: &'f Choice,
    used: &'f mut BTreeSet<String>,
}

impl Fill<'_> {
    fn value(&mut self, value: &mut Value) -> Result<(), Mistake> {
        let span = value.span();
        match value.get_mut() {
            Node::Array(values) => values.iter_mut().try_for_each(|value| self.value(value)),
            Node::Table(table) => table.iter_mut().try_for_each(|(_, value)| self.value(value)),
            Node::Text(text) => {
                let Some(name) = text.strip_prefix('$').map(str::to_owned) else { return Ok(()) };
                let Some((_, chosen)) = self.choice.iter().find(|(axis, _)| *axis == name) else {
                    let axes = self.choice.iter().map(|(axis, _)| axis.as_str());
                    let message = format!("the matrix has no axis `{name}`");
                    let help = suggest(&name, axes);
                    return Err(Mistake::new(self.file, span, message).help(Some(help)));
                };
                self.used.insert(name);
                *value.get_mut() = chosen.clone();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn shown(value: &Node) -> String {
    match value {
        Node::Text(text) | Node::Literal(text) => text.clone(),
        Node::Array(values) => range(values.iter().map(|value| shown(value.get_ref())).collect()),
        // What tells moments and targets apart is mostly their first key.
        Node::Table(table) => {
            let first = table.iter().find(|(key, _)| *key.get_ref() != "delay");
            first.map_or_else(String::new, |(key, value)| {
                format!("{}:{}", key.get_ref(), shown(value.get_ref()))
            })
        }
    }
}

/// `ack.received..completed`: what all of them begin with is left out.
fn range(names: Vec<String>) -> String {
    let head = |name: &str| name.split_once('.').map(|(head, _)| format!("{head}."));
    let common = names.first().and_then(|first| head(first));
    let common = common.filter(|common| names.iter().all(|name| name.starts_with(common.as_str())));
    let short = names.iter().map(|name| &name[common.as_ref().map_or(0, String::len)..]);
    short.collect::<Vec<_>>().join("..")
}
