//! A point of a series: what the demo's sinks write and its pictures show. Plain data.
//! Never decides what overwrites what: its row key does (series, key, time), in whoever stores it.
//! Written by `slackwater-connect`'s `series`; judged by the oracles of `slackwater-sim`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::EventTime;

/// The value of one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FieldValue {
    /// A 64-bit float.
    Float(f64),
    /// A 64-bit integer; ids are stored by their bits.
    Integer(i64),
    /// Text.
    Text(String),
}

impl fmt::Display for FieldValue {
    /// As InfluxDB's line protocol has it: `1.5`, `3i`, `"text"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Integer(value) => write!(f, "{value}i"),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}

impl From<f64> for FieldValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<i64> for FieldValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for FieldValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// One row of a series. Its row key is (series, key, time): a later point with the same row key
/// takes the place of the earlier one, as in InfluxDB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The measurement, such as `sensors`.
    pub series: String,
    /// The tag `key`, such as `pressure`.
    pub key: String,
    /// Its timestamp.
    pub time: EventTime,
    /// Fields by name, sorted; the demo has one, `value`.
    pub fields: Vec<(String, FieldValue)>,
}

impl Point {
    /// A point with these fields, which it sorts.
    pub fn new<const N: usize>(
        series: &str,
        key: impl Into<String>,
        time: EventTime,
        fields: [(&str, FieldValue); N],
    ) -> Self {
        let mut fields: Vec<_> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Self { series: series.to_owned(), key: key.into(), time, fields }
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&FieldValue> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},key={}", self.series, self.key)?;
        for (index, (name, value)) in self.fields.iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { " " } else { "," })?;
        }
        write!(f, " {}", self.time)
    }
}
