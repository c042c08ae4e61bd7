//! Reads a series back from an InfluxDB 1.x: one query, one answer in JSON.
//! Never writes; a database that is not there has no rows. Points are those that [`super::line`] writes:
//! a tag `key`, and fields. The other database's half is `series::rows`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use slackwater_core::point::{FieldValue, Point};
use slackwater_core::time::EventTime;
use slackwater_runtime::host::Host;

use super::Target;
use super::client::{Ask, Client};

/// How many rows one answer holds at most.
const ROWS_MAX: usize = 100_000;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Outcome>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    series: Vec<Series>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    tags: std::collections::BTreeMap<String, String>,
    columns: Vec<String>,
    values: Vec<Vec<Value>>,
}

/// The rows of `series` from `since` on.
pub(crate) async fn rows(
    host: Arc<dyn Host>,
    (target, name): (&Target, &str),
    series: &str,
    since: EventTime,
) -> Result<Vec<Point>, String> {
    let query = format!(
        "SELECT * FROM {} WHERE time >= {}ms GROUP BY \"key\" LIMIT {ROWS_MAX}",
        quoted(series),
        since.as_millis()
    );
    let ask = Ask::query(&query, &[("db", &target.database), ("epoch", "ms")]);
    let words = |why: String| format!("{target}: {why}");
    let answer = Client::new(host, &target.address, name).ask(ask).await.map_err(words)?;
    read(&answer.body, series).map_err(words)
}

/// A name as InfluxQL quotes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn read(body: &[u8], series: &str) -> Result<Vec<Point>, String> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| format!("the answer cannot be read: {error}"))?;
    let error = answer.error.or_else(|| answer.results.iter().find_map(|own| own.error.clone()));
    match error {
        Some(error) if error.starts_with("database not found") => return Ok(Vec::new()),
        Some(error) => return Err(error),
        None => {}
    }
    let told = answer.results.into_iter().flat_map(|own| own.series);
    Ok(told.flat_map(|own| points(&own, series)).collect())
}

fn points(told: &Series, series: &str) -> Vec<Point> {
    let key = told.tags.get("key").cloned().unwrap_or_default();
    let point = |row: &Vec<Value>| {
        let mut cells = told.columns.iter().zip(row);
        let (_, time) = cells.clone().find(|(column, _)| *column == "time")?;
        let time = EventTime::from_millis(time.as_i64()?);
        let fields = cells.by_ref().filter(|(column, _)| *column != "time");
        let mut fields: Vec<_> =
            fields.filter_map(|(column, value)| Some((column.clone(), field(value)?))).collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Some(Point { series: series.to_owned(), key: key.clone(), time, fields })
    };
    told.values.iter().filter_map(point).collect()
}

/// A value as JSON has it: what was a float without a fraction is told as an integer.
fn field(value: &Value) -> Option<FieldValue> {
    match value {
        Value::Number(number) => number.as_f64().map(FieldValue::Float),
        Value::String(text) => Some(FieldValue::Text(text.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_with_their_key_and_an_unknown_database_has_none() {
        let body =
            br#"{"results":[{"statement_id":0,"series":[{"name":"sensors","tags":{"key":"door"},
            "columns":["time","value"],"values":[[1000,1],[1100,-0.5]]}]}]}"#;
        let rows = read(body, "sensors").expect("well-formed");
        let told: Vec<String> = rows.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["sensors,key=door value=1.0 1000", "sensors,key=door value=-0.5 1100"]);
        let none = br#"{"results":[{"statement_id":0,"error":"database not found: oscon"}]}"#;
        assert_eq!(read(none, "sensors"), Ok(Vec::new()));
        assert_eq!(read(br#"{"error":"no"}"#, "sensors"), Err("no".into()));
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }
}
