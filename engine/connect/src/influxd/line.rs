//! InfluxDB's line protocol, read as InfluxDB 1.x reads it and refused in its words.
//! Never takes half a line: one that cannot be read is named, and the others are taken. A parser of its
//! own, because a writer's tests ask for InfluxDB's words. What writes lines: [`crate::influx`].

use super::{Fields, Row, Series, Tags, Value};

/// The first and the last nanosecond that InfluxDB keeps.
const TIMES: std::ops::RangeInclusive<i64> = (i64::MIN + 2)..=(i64::MAX - 1);
/// A measurement and its tags are at most this long, in bytes.
const KEY_MAX: usize = 65_535;

/// What a body holds: the rows that can be read, and what is said of the lines that cannot.
pub(super) struct Read {
    pub rows: Vec<Row>,
    pub refused: Vec<String>,
}

/// When a row without a time was written, and how long a unit of time is, both in nanoseconds.
#[derive(Copy, Clone, Debug)]
pub(super) struct Clock {
    pub now: i64,
    pub unit: i64,
}

impl Clock {
    /// The unit of `precision`; one that is not known counts as nanoseconds, as with InfluxDB.
    pub fn new(now: i64, precision: Option<&str>) -> Self {
        let unit = match precision {
            Some("u") => 1_000,
            Some("ms") => 1_000_000,
            Some("s") => 1_000_000_000,
            Some("m") => 60_000_000_000,
            Some("h") => 3_600_000_000_000,
            _ => 1,
        };
        Self { now, unit }
    }
}

/// Reads the lines of a body.
pub(super) fn read(text: &str, clock: Clock) -> Read {
    let mut read = Read { rows: Vec::new(), refused: Vec::new() };
    for line in Lines(text) {
        let line = line.trim_start_matches([' ', '\t', '\0']);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match row(line, clock) {
            Ok(row) => read.rows.push(row),
            Err(why) => read.refused.push(format!("unable to parse '{line}': {why}")),
        }
    }
    read
}

/// The lines of a text: a line's end between quotes is part of a value.
struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut fields, mut escaped) = (false, false, false);
        for (at, byte) in self.0.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b' ' => fields = true,
                b'"' if fields => quoted = !quoted,
                b'\n' if !quoted => {
                    let line = &self.0[..at];
                    self.0 = &self.0[at + 1..];
                    return Some(line);
                }
                _ => {}
            }
        }
        Some(std::mem::take(&mut self.0))
    }
}

fn row(line: &str, clock: Clock) -> Result<Row, String> {
    let (series, rest) = head(line)?;
    let (fields, rest) = fields(rest)?;
    let time = time(rest, clock)?;
    Ok(Row { series, time, fields })
}

/// Where the first of these marks stands that is not escaped, and which it is.
fn mark(text: &str, marks: &[u8]) -> Option<(usize, u8)> {
    let mut before = 0;
    for (at, byte) in text.bytes().enumerate() {
        if before != b'\\' && marks.contains(&byte) {
            return Some((at, byte));
        }
        before = byte;
    }
    None
}

fn head(line: &str) -> Result<(Series, &str), String> {
    if line.starts_with(',') {
        return Err("missing measurement".into());
    }
    let (end, byte) = mark(line, b", ").ok_or("missing fields")?;
    let measurement = unescaped(&line[..end], ", ");
    let (mut rest, mut tags, mut more) = (&line[end..], Tags::new(), byte == b',');
    while more {
        rest = &rest[1..];
        let equals = match mark(rest, b"=, ") {
            Some((0, _)) => return Err("missing tag key".into()),
            None if rest.is_empty() => return Err("missing tag key".into()),
            Some((at, b'=')) => at,
            _ => return Err("missing tag value".into()),
        };
        let name = unescaped(&rest[..equals], ", =");
        rest = &rest[equals + 1..];
        let (end, byte) = match mark(rest, b"=, ") {
            Some((0, b',' | b' ')) => return Err("missing tag value".into()),
            None if rest.is_empty() => return Err("missing tag value".into()),
            None => return Err("missing fields".into()),
            Some((_, b'=')) => return Err("invalid tag format".into()),
            Some(found) => found,
        };
        if tags.insert(name, unescaped(&rest[..end], ", =")).is_some() {
            return Err("duplicate tags".into());
        }
        more = byte == b',';
        rest = &rest[end..];
    }
    let long = line.len() - rest.len();
    if long > KEY_MAX {
        return Err(format!("max key length exceeded: {long} > {KEY_MAX}"));
    }
    Ok((Series { measurement, tags }, rest))
}

fn fields(rest: &str) -> Result<(Fields, &str), String> {
    let mut rest = rest.trim_start_matches(' ');
    let mut fields = Fields::new();
    if rest.is_empty() {
        return Err("missing fields".into());
    }
    loop {
        let equals = match mark(rest, b"=, ") {
            Some((0, b'=')) => return Err("missing field key".into()),
            Some((at, b'=')) => at,
            _ => return Err("invalid field format".into()),
        };
        let name = unescaped(&rest[..equals], ", =\"");
        rest = &rest[equals + 1..];
        let end = value_end(rest)?;
        let value = value(&rest[..end])?;
        fields.insert(name, value);
        rest = &rest[end..];
        match rest.as_bytes().first() {
            Some(b',') => rest = &rest[1..],
            _ => return Ok((fields, rest)),
        }
    }
}

/// Where a field's value ends.
fn value_end(rest: &str) -> Result<usize, String> {
    let Some(inner) = rest.strip_prefix('"') else {
        let end = rest.find([',', ' ']).unwrap_or(rest.len());
        return if end == 0 { Err("missing field value".into()) } else { Ok(end) };
    };
    let mut escaped = false;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => {
                let behind = inner.as_bytes().get(at + 1);
                let ends = behind.is_none_or(|byte| matches!(byte, b',' | b' '));
                return if ends { Ok(at + 2) } else { Err("invalid field format".into()) };
            }
            _ => {}
        }
    }
    Err("unbalanced quotes".into())
}

fn value(text: &str) -> Result<Value, String> {
    let invalid = || "invalid number".to_owned();
    match text.as_bytes()[0] {
        b'"' => {
            let inner = text[1..text.len() - 1].replace("\\\"", "\"");
            Ok(Value::Text(inner.replace("\\\\", "\\")))
        }
        b'0'..=b'9' | b'.' | b'-' | b'N' | b'n' => match text.strip_suffix('i') {
            Some(digits) if digits.bytes().skip(1).all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map(Value::Integer).map_err(|_| integer(digits))
            }
            Some(_) => Err(invalid()),
            None if !text.bytes().all(|byte| b"0123456789.-+eE".contains(&byte)) => Err(invalid()),
            None => match text.parse::<f64>() {
                Ok(float) if float.is_finite() => Ok(Value::Float(float)),
                Ok(_) => Err("invalid float".into()),
                // Behind an exponent, InfluxDB looks no closer.
                Err(_) if text.contains(['e', 'E']) => Err("invalid float".into()),
                Err(_) => Err(invalid()),
            },
        },
        _ => match text {
            "t" | "T" | "true" | "True" | "TRUE" => Ok(Value::Boolean(true)),
            "f" | "F" | "false" | "False" | "FALSE" => Ok(Value::Boolean(false)),
            _ => Err("invalid boolean".into()),
        },
    }
}

/// What is said of digits that are no integer: too many, or none.
fn integer(digits: &str) -> String {
    let many = digits.len() > 1 && digits.bytes().any(|byte| byte.is_ascii_digit());
    if !many {
        return "invalid number".into();
    }
    format!(
        "unable to parse integer {digits}: strconv.ParseInt: parsing \"{digits}\": value out of range"
    )
}

fn time(rest: &str, clock: Clock) -> Result<i64, String> {
    let rest = rest.trim_start_matches(' ');
    let (digits, behind) = rest.split_once(' ').unwrap_or((rest, ""));
    if digits.is_empty() {
        return Ok(clock.now - clock.now.rem_euclid(clock.unit));
    }
    let plain = digits.strip_prefix('-').unwrap_or(digits);
    if !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("bad timestamp".into());
    }
    if !behind.bytes().all(|byte| byte == b' ') {
        return Err("point is invalid".into());
    }
    let ticks: i64 = digits
        .parse()
        .map_err(|_| format!("strconv.ParseInt: parsing \"{digits}\": value out of range"))?;
    let outside = "time outside range -9223372036854775806 - 9223372036854775806";
    let time = ticks.checked_mul(clock.unit).filter(|time| TIMES.contains(time));
    time.ok_or_else(|| outside.to_owned())
}

/// Takes the backslash from before each of these characters; others stay as they are.
fn unescaped(text: &str, marks: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escapes = c == '\\' && chars.peek().is_some_and(|next| marks.contains(*next));
        match escapes.then(|| chars.next()).flatten() {
            Some(next) => out.push(next),
            None => out.push(c),
        }
    }
    out
}
