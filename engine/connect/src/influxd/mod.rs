//! A small InfluxDB 1.x: what the sink writes and what pictures ask, in the shapes and words of 1.6.7.
//! Never guesses: what it does not serve it refuses by name, and a row is kept before it is confirmed.
//! Lines: [`line`]; questions: [`scan`], [`parse`], [`select`], [`show`]; rows: [`Store`]; HTTP: [`Influxd`].

use serde::{Deserialize, Serialize};

mod aggregate;
mod answer;
mod condition;
mod line;
mod listing;
mod parse;
mod predicate;
mod query;
mod scan;
mod select;
mod server;
mod show;
mod statement;
mod store;
mod time;

pub use server::{Influxd, serve};
pub use store::Store;

/// The port of InfluxDB.
pub const PORT: u16 = crate::influx::PORT;

/// The value of one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Value {
    Float(f64),
    Integer(i64),
    Text(String),
    Boolean(bool),
}

impl Value {
    /// It as a number, if it is one.
    fn number(&self) -> Option<f64> {
        match self {
            Self::Float(float) => Some(*float),
            Self::Integer(integer) => Some(*integer as f64),
            Self::Text(_) | Self::Boolean(_) => None,
        }
    }

    /// Its type.
    fn kind(&self) -> Kind {
        match self {
            Self::Float(_) => Kind::Float,
            Self::Integer(_) => Kind::Integer,
            Self::Text(_) => Kind::String,
            Self::Boolean(_) => Kind::Boolean,
        }
    }
}

/// The type of a field: the same for all series of a measurement.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Float,
    Integer,
    String,
    Boolean,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::String => "string",
            Self::Boolean => "boolean",
        }
    }
}

/// Tags by name, sorted; a tag without a value is none.
type Tags = std::collections::BTreeMap<String, String>;

/// Fields by name.
type Fields = std::collections::BTreeMap<String, Value>;

/// Rows of the same measurement and tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    measurement: String,
    tags: Tags,
}

/// One row: its row key is (series, time).
#[derive(Clone, Debug, PartialEq)]
struct Row {
    series: Series,
    /// Nanoseconds since 1970.
    time: i64,
    fields: Fields,
}

impl Series {
    /// As InfluxDB writes it: `sensors,key=pressure`, with what has a meaning escaped.
    fn key(&self) -> String {
        let mut key = escaped(&self.measurement, &[',', ' ']);
        for (name, value) in &self.tags {
            let marks = [',', ' ', '='];
            key += &format!(",{}={}", escaped(name, &marks), escaped(value, &marks));
        }
        key
    }
}

fn escaped(text: &str, marks: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if marks.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests;
