//! What a question is answered with, as JSON in InfluxDB's shape.
//! Never leaves out an error: a statement has series, a warning or words. Who makes the values:
//! [`super::select`] and [`super::show`].

use std::io;

use serde::{Serialize, Serializer};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::{Tags, Value, time};

/// The answer to all statements of a request.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of one statement.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub statement_id: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<Table>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Message {
    pub level: &'static str,
    pub text: String,
}

/// One series of an answer.
#[derive(Debug, Default, Serialize)]
pub(super) struct Table {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    pub columns: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Vec<Cell>>,
}

/// One value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Value(Value),
    /// Nanoseconds, and the unit that they are told in; `None`: as a date.
    Time(i64, Option<i64>),
}

impl Cell {
    pub fn text(text: &str) -> Self {
        Self::Value(Value::Text(text.to_owned()))
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Value(Value::Float(float)) => serializer.serialize_f64(*float),
            Self::Value(Value::Integer(integer)) => serializer.serialize_i64(*integer),
            Self::Value(Value::Text(text)) => serializer.serialize_str(text),
            Self::Value(Value::Boolean(boolean)) => serializer.serialize_bool(*boolean),
            Self::Time(at, None) => serializer.serialize_str(&time::rfc3339(*at)),
            Self::Time(at, Some(unit)) => serializer.serialize_i64(at.div_euclid(*unit)),
        }
    }
}

impl Answer {
    /// The words of a request that cannot be answered at all.
    pub fn refused(words: impl Into<String>) -> Self {
        Self { results: Vec::new(), error: Some(words.into()) }
    }

    /// The text, with its line's end.
    pub fn told(&self, pretty: bool) -> Vec<u8> {
        let mut text = Vec::new();
        let told = if pretty {
            let indented = Told(PrettyFormatter::with_indent(b"    "));
            self.serialize(&mut serde_json::Serializer::with_formatter(&mut text, indented))
        } else {
            let compact = Told(CompactFormatter);
            self.serialize(&mut serde_json::Serializer::with_formatter(&mut text, compact))
        };
        told.expect("memory takes it, and every key is a text");
        text.push(b'\n');
        text
    }
}

/// Numbers as Go tells them: `1` and not `1.0`.
struct Told<F>(F);

macro_rules! as_before {
    ($($name:ident($($first:ident: bool)?)),* $(,)?) => {
        $(fn $name<W: ?Sized + io::Write>(&mut self, out: &mut W $(, $first: bool)?) -> io::Result<()> {
            self.0.$name(out $(, $first)?)
        })*
    };
}

impl<F: Formatter> Formatter for Told<F> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            return write!(out, "{value:e}");
        }
        write!(out, "{value}")
    }

    as_before!(
        begin_array(), end_array(), begin_array_value(first: bool), end_array_value(),
        begin_object(), end_object(), begin_object_key(first: bool), end_object_key(),
        begin_object_value(), end_object_value(),
    );
}
