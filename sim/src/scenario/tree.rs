//! A scenario file as the tree that TOML sees, every piece with its place in the text.
//! Nothing is known of the keys here: these are the few moves with which a tree is changed before
//! its shape is read. Changed by [`super::base`], [`super::matrix`], [`super::swarm`] and
//! [`super::draw`]; read in [`super::resolve`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde_spanned::Spanned;
use slackwater_core::time::parse_span;
use toml::de::{DeTable, DeValue};

/// A table.
pub(super) type Table = BTreeMap<Spanned<String>, Value>;
/// A value and where it stands.
pub(super) type Value = Spanned<Node>;

/// A piece of the tree.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Text.
    Text(String),
    /// A number, a truth or a date, as it is written.
    Literal(String),
    /// A list.
    Array(Vec<Value>),
    /// A table.
    Table(Table),
}

impl Node {
    /// The table, if it is one.
    pub(super) fn as_table(&self) -> Option<&Table> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }

    /// The list, if it is one.
    pub(super) fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(values) = self { Some(values) } else { None }
    }

    /// The text, if it is one.
    pub(super) fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is a whole one.
    pub(super) fn as_integer(&self) -> Option<i64> {
        let Self::Literal(literal) = self else { return None };
        match DeValue::parse(literal).ok()?.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub(super) fn as_float(&self) -> Option<f64> {
        let Self::Literal(literal) = self else { return None };
        self.as_integer().map(|number| number as f64).or_else(|| literal.parse().ok())
    }

    /// The truth, if it is one.
    pub(super) fn as_bool(&self) -> Option<bool> {
        if let Self::Literal(literal) = self { literal.parse().ok() } else { None }
    }
}

/// Reads a tree from text.
pub(super) fn parse(text: &str) -> Result<Spanned<Table>, toml::de::Error> {
    let parsed = DeTable::parse(text)?;
    let span = parsed.span();
    Ok(Spanned::new(span, owned(parsed.into_inner())))
}

fn owned(table: DeTable<'_>) -> Table {
    fn value_of(value: Spanned<DeValue<'_>>) -> Value {
        let span = value.span();
        let node = match value.into_inner() {
            DeValue::String(text) => Node::Text(text.into_owned()),
            DeValue::Integer(number) => Node::Literal(number.to_string()),
            DeValue::Float(number) => Node::Literal(number.to_string()),
            DeValue::Boolean(truth) => Node::Literal(truth.to_string()),
            DeValue::Datetime(date) => Node::Literal(date.to_string()),
            DeValue::Array(values) => Node::Array(values.into_iter().map(value_of).collect()),
            DeValue::Table(table) => Node::Table(owned(table)),
        };
        Spanned::new(span, node)
    }
    let pairs = table.into_iter().map(|(key, inner)| {
        (Spanned::new(key.span(), key.into_inner().into_owned()), value_of(inner))
    });
    pairs.collect()
}

/// Reads a shape from a tree.
pub(super) fn read<T: for<'de> Deserialize<'de>>(
    table: &Spanned<Table>,
) -> Result<T, toml::de::Error> {
    let root = Spanned::new(table.span(), lent(table.get_ref()));
    T::deserialize(toml::de::Deserializer::from(root))
}

fn lent(table: &Table) -> DeTable<'_> {
    let pairs = table.iter().map(|(key, value)| {
        let key = Spanned::new(key.span(), key.get_ref().as_str().into());
        (key, lent_value(value))
    });
    pairs.collect()
}

fn lent_value(value: &Value) -> Spanned<DeValue<'_>> {
    let node = match value.get_ref() {
        Node::Text(text) => DeValue::String(text.as_str().into()),
        Node::Literal(literal) => DeValue::parse(literal)
            .map_or_else(|_| DeValue::String(literal.as_str().into()), Spanned::into_inner),
        Node::Array(values) => DeValue::Array(values.iter().map(lent_value).collect()),
        Node::Table(table) => DeValue::Table(lent(table)),
    };
    Spanned::new(value.span(), node)
}

/// Text that stands where `span` is.
pub(super) fn text(span: Range<usize>, text: impl Into<String>) -> Value {
    Spanned::new(span, Node::Text(text.into()))
}

/// A number or a truth that stands where `span` is.
pub(super) fn literal(span: Range<usize>, literal: impl ToString) -> Value {
    Spanned::new(span, Node::Literal(literal.to_string()))
}

/// A span of time, in milliseconds.
pub(super) fn millis(span: Range<usize>, time: Duration) -> Value {
    text(span, format!("{}ms", time.as_millis()))
}

/// Puts a value where a key may stand already.
pub(super) fn put(table: &mut Table, key: &str, value: Value) {
    table.insert(Spanned::new(value.span(), key.to_owned()), value);
}

/// The table at a key.
pub(super) fn table<'t>(table: &'t Table, key: &str) -> Option<&'t Table> {
    table.get(key)?.get_ref().as_table()
}

/// The table at a key, to be changed.
pub(super) fn table_mut<'t>(table: &'t mut Table, key: &str) -> Option<&'t mut Table> {
    match table.get_mut(key)?.get_mut() {
        Node::Table(inner) => Some(inner),
        _ => None,
    }
}

/// The text at a key.
pub(super) fn str<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    table.get(key)?.get_ref().as_str()
}

/// The span of time at a key.
pub(super) fn span(table: &Table, key: &str) -> Option<Duration> {
    parse_span(str(table, key)?).ok()
}

/// The elements of an array of tables that are tables, under a key.
pub(super) fn elements<'t>(table: &'t Table, key: &str) -> impl Iterator<Item = &'t Table> {
    let array = table.get(key).and_then(|value| value.get_ref().as_array());
    array.into_iter().flatten().filter_map(|element| element.get_ref().as_table())
}

/// What a document calls its faults and steps by.
pub(super) fn names(document: &Table) -> BTreeSet<String> {
    let parts = ["fault", "step"].into_iter().flat_map(|key| elements(document, key));
    parts.filter_map(|part| str(part, "name").map(str::to_owned)).collect()
}

/// Leaves out what is expected from a moment that never comes: `gone` is asked by its key and value.
pub(super) fn forget(document: &mut Table, gone: impl Fn(&str, &str) -> bool) {
    let Some(Node::Array(expect)) = document.get_mut("expect").map(Spanned::get_mut) else {
        return;
    };
    expect.retain(|element| {
        let from = element.get_ref().as_table().and_then(|element| table(element, "from"));
        let mut words = from.into_iter().flatten();
        !words.any(|(key, value)| gone(key.get_ref(), value.get_ref().as_str().unwrap_or_default()))
    });
}

/// Every value below a table, parents first.
pub(super) fn walk(table: &Table, see: &mut impl FnMut(&Value)) {
    fn one(value: &Value, see: &mut impl FnMut(&Value)) {
        see(value);
        match value.get_ref() {
            Node::Array(values) => values.iter().for_each(|value| one(value, see)),
            Node::Table(table) => walk(table, see),
            _ => {}
        }
    }
    table.iter().for_each(|(_, value)| one(value, see));
}
