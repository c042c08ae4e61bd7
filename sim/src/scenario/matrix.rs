//! The matrix of a scenario: one cell per combination of its axes, `$name` replaced by the value.
//! Works on the document before its shape is read, so that a value keeps its type and its place in
//! the text. What the cells mean is read in [`super::resolve`].

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{File, Mistake, suggest};

type Value<'a> = Spanned<DeValue<'a>>;

/// A cell: what its axes say, and the document that remains.
pub(super) struct RawCell<'a> {
    /// `axis=value`, joined by blanks; empty without a matrix.
    pub(super) name: String,
    /// The document without its matrix.
    pub(super) table: Spanned<DeTable<'a>>,
}

/// Unfolds the matrix of a document; without one there is one cell.
pub(super) fn cells<'a>(file: &File<'a>) -> Result<Vec<RawCell<'a>>, Mistake> {
    let mut document = DeTable::parse(file.text).map_err(|error| file.of_toml(&error))?;
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

struct Axis<'a> {
    name: String,
    span: std::ops::Range<usize>,
    values: Vec<DeValue<'a>>,
}

fn axes<'a>(file: &File<'_>, matrix: Value<'a>) -> Result<Vec<Axis<'a>>, Mistake> {
    let span = matrix.span();
    let DeValue::Table(table) = matrix.into_inner() else {
        return Err(Mistake::new(file, span, "matrix is a table of lists"));
    };
    let mut axes = Vec::new();
    for (name, values) in table {
        let span = values.span();
        match values.into_inner() {
            DeValue::Array(values) if !values.is_empty() => {
                let values = values.into_iter().map(Spanned::into_inner).collect();
                let name = name.into_inner().into_owned();
                axes.push(Axis { name, span, values });
            }
            _ => return Err(Mistake::new(file, span, "an axis is a list of at least one value")),
        }
    }
    Ok(axes)
}

type Choice<'a> = Vec<(String, DeValue<'a>)>;

/// The cross product, the last axis turning fastest.
fn choices<'a>(axes: &[Axis<'a>]) -> Vec<Choice<'a>> {
    axes.iter().fold(vec![Vec::new()], |choices, axis| {
        let with = |choice: &Choice<'a>, value: &DeValue<'a>| {
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
struct Fill<'f, 'a> {
    file: &'f File<'a>,
    choice: &'f Choice<'a>,
    used: &'f mut BTreeSet<String>,
}

impl<'a> Fill<'_, 'a> {
    fn value(&mut self, value: &mut Value<'a>) -> Result<(), Mistake> {
        let span = value.span();
        match value.get_mut() {
            DeValue::Array(values) => values.iter_mut().try_for_each(|value| self.value(value)),
            DeValue::Table(table) => table.iter_mut().try_for_each(|(_, value)| self.value(value)),
            DeValue::String(text) => {
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

fn shown(value: &DeValue<'_>) -> String {
    let text: Cow<'_, str> = match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => number.as_str().into(),
        DeValue::Float(number) => number.as_str().into(),
        DeValue::Boolean(truth) => truth.to_string().into(),
        other => other.type_str().into(),
    };
    text.into_owned()
}
