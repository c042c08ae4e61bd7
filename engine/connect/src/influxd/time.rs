//! Times and spans as InfluxQL writes and answers them: `'2017-07-14T02:40:00.5Z'`, `1m30s`, epochs.
//! Never reads a clock: who knows the time hands it in. Nanoseconds since 1970 everywhere.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

/// How long each unit is, in nanoseconds; longer names first.
const UNITS: [(&str, i64); 10] = [
    ("ns", 1),
    ("ms", 1_000_000),
    ("u", 1_000),
    ("µ", 1_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
    ("n", 1),
];

/// A span such as `90s` or `1m30s`; `None` if it is none, or too long.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (mut rest, mut all) = (text, 0_i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        let (unit, span) = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        all = all.checked_add(count.checked_mul(*span)?)?;
        rest = &rest[digits + unit.len()..];
    }
    Some(all)
}

/// A point in time such as `2017-07-14T02:40:00.5Z`, `2017-07-14 02:40:00` or `2017-07-14`.
pub(super) fn instant(text: &str) -> Option<i64> {
    if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        return zoned.timestamp_nanos_opt();
    }
    let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok();
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    naive.or_else(day)?.and_utc().timestamp_nanos_opt()
}

/// A time as RFC 3339 has it, without zeros at the end of its fraction.
pub(super) fn rfc3339(time: i64) -> String {
    let text =
        DateTime::<Utc>::from_timestamp_nanos(time).to_rfc3339_opts(SecondsFormat::Nanos, true);
    match text.strip_suffix('Z').and_then(|text| text.split_once('.')) {
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => format!("{whole}Z"),
            fraction => format!("{whole}.{fraction}Z"),
        },
        None => text,
    }
}

/// How long a unit of the parameter `epoch` is, in nanoseconds; `None` if there is no such unit.
pub(super) fn epoch(unit: &str) -> Option<i64> {
    let named = matches!(unit, "ns" | "n" | "u" | "µ" | "ms" | "s" | "m" | "h");
    named.then(|| UNITS.iter().find(|(name, _)| *name == unit).map_or(1, |(_, span)| *span))
}
