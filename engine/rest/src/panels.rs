//! The series that a job writes, as a dashboard's panels show them: read from the job's own database.
//! Never opens a database itself: whoever serves REST hands a [`Panels`] in, or there are no panels.
//! What is written there is the job's; who reads it, `slackwater-cli`'s.

use std::collections::{BTreeMap, BTreeSet};

use hyper::StatusCode;
use serde_json::json;
use slackwater_core::point::{FieldValue, Point};
use slackwater_core::time::EventTime;
use slackwater_runtime::host::LocalFuture;

use crate::api::{Api, Asked};
use crate::ask;
use crate::reply::{Called, Trouble, ok};

/// How far back is told if nobody says, in milliseconds.
const SPAN: i64 = 60_000;
/// How far back is told at most, in milliseconds.
const SPAN_MAX: i64 = 15 * 60_000;
/// How many points one answer holds at most: the newest.
const POINTS_MAX: usize = 20_000;
/// The name of a series is at most this long, in bytes.
const NAME_MAX: usize = 64;

/// Reads series from the databases that jobs write to.
pub trait Panels {
    /// The rows of `series` from `since` on in the database of a job, whose setting `db` is given;
    /// `None`: the job does not say, and writes where jobs write by default.
    ///
    /// # Errors
    /// In words: the database does not answer, or refuses.
    fn rows(
        &self,
        db: Option<String>,
        series: String,
        since: EventTime,
    ) -> LocalFuture<Result<Vec<Point>, String>>;
}

/// `/jobs/:id/series?measurement=NAME&key=KEY&from=MS&to=MS`: the values of a series by key, in the
/// order of time; without a key, of all keys.
pub(crate) async fn series(api: &Api, asked: &Asked<'_>) -> Called {
    let bad = |name: &str, value: &str| Trouble::parameter("query", name, value);
    let series = asked.query("measurement").unwrap_or_default();
    if series.is_empty() || series.len() > NAME_MAX || !series.bytes().all(is_plain) {
        return Err(bad("measurement", &series));
    }
    let moment = |name: &str| match asked.query(name) {
        Some(text) => text.parse::<i64>().map(Some).map_err(|_| bad(name, &text)),
        None => Ok(None),
    };
    let (from, to, key) = (moment("from")?, moment("to")?, asked.query("key"));
    let job = ask::job(api, asked).await?;
    let Some(panels) = &api.panels else {
        let why = "no database is read here";
        return Err(Trouble::refused(StatusCode::NOT_FOUND, why));
    };
    let to = to.unwrap_or_else(|| job.times.now().saturating_add(SPAN));
    let earliest = to.saturating_sub(SPAN_MAX);
    let from = from.unwrap_or_else(|| job.times.now().saturating_sub(SPAN)).max(earliest);
    let settings = &job.detail.settings;
    let db = settings.iter().find(|(name, _)| name == "db").map(|(_, db)| db.clone());
    let rows = panels.rows(db, series.clone(), EventTime::from_millis(from)).await;
    let rows = rows.map_err(|why| Trouble::refused(StatusCode::BAD_GATEWAY, &why))?;
    let keys: BTreeSet<&str> = rows.iter().map(|point| point.key.as_str()).collect();
    let points = by_key(&rows, key.as_deref(), from..to.saturating_add(1));
    ok(&json!({
        "measurement": series,
        "from": from,
        "to": to,
        "now": job.times.now(),
        "keys": keys,
        "points": points,
    }))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

fn by_key<'a>(
    rows: &'a [Point],
    key: Option<&str>,
    span: std::ops::Range<i64>,
) -> BTreeMap<&'a str, Vec<(i64, f64)>> {
    let mut newest: Vec<(i64, &str, f64)> = rows
        .iter()
        .filter(|point| key.is_none_or(|key| point.key == key))
        .filter(|point| span.contains(&point.time.as_millis()))
        .filter_map(|point| {
            let value = match point.field("value")? {
                FieldValue::Float(value) => *value,
                FieldValue::Integer(value) => *value as f64,
                FieldValue::Text(_) => return None,
            };
            Some((point.time.as_millis(), point.key.as_str(), value))
        })
        .collect();
    newest.sort_by_key(|(at, key, _)| (*at, *key));
    let mut told = BTreeMap::<&str, Vec<(i64, f64)>>::new();
    for (at, key, value) in newest.split_off(newest.len().saturating_sub(POINTS_MAX)) {
        told.entry(key).or_default().push((at, value));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_told_by_key_in_the_order_of_time_within_the_span() {
        let point = |key: &str, at: i64, value: f64| {
            Point::new("s", key, EventTime::from_millis(at), [("value", value.into())])
        };
        let rows =
            [point("b", 3, 1.5), point("a", 2, -1.0), point("b", 1, 0.5), point("b", 9, 9.0)];
        let all = by_key(&rows, None, 0..5);
        assert_eq!(all, BTreeMap::from([("a", vec![(2, -1.0)]), ("b", vec![(1, 0.5), (3, 1.5)])]));
        assert_eq!(by_key(&rows, Some("a"), 0..5), BTreeMap::from([("a", vec![(2, -1.0)])]));
    }
}
