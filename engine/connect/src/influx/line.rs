//! Points as InfluxDB's line protocol, timestamps in milliseconds.
//! Never writes a line that InfluxDB would refuse, drop or take for another: such a point is refused
//! here, by name. Where lines become requests: [`super::delivery`].

use std::fmt;

use bytes::Bytes;
use influxdb_line_protocol::LineProtocolBuilder;
use influxdb_line_protocol::builder::{AfterField, FieldValue as Writes};
use slackwater_core::point::{FieldValue, Point};

use super::BODY_MAX;

/// The first and the last millisecond that InfluxDB has: it counts nanoseconds in 64 bits.
const TIMES_MS: std::ops::RangeInclusive<i64> = -9_223_372_036_854..=9_223_372_036_854;

/// Lines that are sent together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    pub text: Bytes,
    pub count: u64,
}

/// A field's value, as the builder writes it.
struct Value<'a>(&'a FieldValue);

impl Writes for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FieldValue::Float(value) => Writes::fmt(value, f),
            FieldValue::Integer(value) => Writes::fmt(value, f),
            FieldValue::Text(text) => Writes::fmt(&text.as_str(), f),
        }
    }
}

/// The lines of points, in their order, in pieces of at most [`BODY_MAX`] bytes.
pub(super) fn lines(points: &[Point]) -> Result<Vec<Lines>, String> {
    let (mut pieces, mut text, mut count) = (Vec::new(), Vec::new(), 0);
    for point in points {
        let begins = text.len();
        write(point, &mut text)?;
        let long = text.len() - begins;
        if long > BODY_MAX {
            return Err(refused(
                point,
                &format!("is {long} bytes long: {BODY_MAX} are sent at most"),
            ));
        }
        if text.len() > BODY_MAX {
            let last = text.split_off(begins);
            let full = std::mem::replace(&mut text, last);
            pieces.push(Lines { text: full.into(), count });
            count = 0;
        }
        count += 1;
    }
    if count > 0 {
        pieces.push(Lines { text: text.into(), count });
    }
    Ok(pieces)
}

fn write(point: &Point, text: &mut Vec<u8>) -> Result<(), String> {
    check(point)?;
    let head = LineProtocolBuilder::new_with(text).measurement(&point.series);
    // InfluxDB has no empty tag: it is the same as none.
    let head = if point.key.is_empty() { head } else { head.tag("key", &point.key) };
    let mut fields = point.fields.iter();
    let Some((name, value)) = fields.next() else {
        return Err(refused(point, "has no field: InfluxDB keeps fields"));
    };
    let first: LineProtocolBuilder<_, AfterField> = head.field(name, Value(value));
    let all = fields.fold(first, |line, (name, value)| line.field(name, Value(value)));
    all.timestamp(point.time.as_millis()).close_line();
    Ok(())
}

fn check(point: &Point) -> Result<(), String> {
    for (name, value) in &point.fields {
        check_name(point, "field", name)?;
        if matches!(value, FieldValue::Float(float) if !float.is_finite()) {
            let words = format!("has a field {name:?} that is not a finite number: filter it out");
            return Err(refused(point, &words));
        }
        if name == "time" || name.is_empty() {
            let words = format!("has a field {name:?}: InfluxDB has another use for that name");
            return Err(refused(point, &words));
        }
    }
    check_name(point, "key", &point.key)?;
    check_name(point, "series", &point.series)?;
    if point.series.is_empty() || point.series.starts_with('#') {
        return Err(refused(point, "has a series that InfluxDB takes for no name"));
    }
    if !TIMES_MS.contains(&point.time.as_millis()) {
        return Err(refused(point, "is of a time that InfluxDB does not have: 1677 to 2262"));
    }
    Ok(())
}

/// A name must come back as it was sent. What InfluxDB 1.x makes of a backslash depends on what
/// stands behind it, and a line's end cannot be escaped.
fn check_name(point: &Point, what: &str, name: &str) -> Result<(), String> {
    match name.chars().find(|c| *c == '\\' || c.is_control()) {
        None => Ok(()),
        Some(c) => {
            let words = format!("has {c:?} in its {what}: InfluxDB 1.x does not keep that");
            Err(refused(point, &words))
        }
    }
}

fn refused(point: &Point, words: &str) -> String {
    format!("point {point} {words}")
}
