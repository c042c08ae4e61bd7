//! What a `SHOW` finds: databases, measurements, series, tags, fields.
//! Never reads a row: what is there is known from its series and fields. Rows: [`super::select`].

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{Cell, Table};
use super::condition::Seen;
use super::select::measurements;
use super::statement::{Show, Shown};
use super::store::{Kinds, View};
use super::{Fields, Series, Value};

/// A column of texts.
fn listed(name: &str, column: &str, texts: impl IntoIterator<Item = String>) -> Table {
    let values = texts.into_iter().map(|text| vec![Cell::Value(Value::Text(text))]).collect();
    Table { name: name.to_owned(), columns: vec![column.to_owned()], values, ..Table::default() }
}

/// The names of the databases.
pub(super) fn databases(names: Vec<String>) -> Table {
    listed("databases", "name", names)
}

/// The only retention policy that is served: everything is kept.
pub(super) fn policies() -> Table {
    let columns = ["name", "duration", "shardGroupDuration", "replicaN", "default"];
    let policy = vec![
        Cell::text("autogen"),
        Cell::text("0s"),
        Cell::text("168h0m0s"),
        Cell::Value(Value::Integer(1)),
        Cell::Value(Value::Boolean(true)),
    ];
    let columns = columns.map(str::to_owned).to_vec();
    Table { columns, values: vec![policy], ..Table::default() }
}

/// Answers what is asked of one database.
///
/// # Errors
/// If the store cannot be read.
pub(super) fn show(view: &View, show: &Show) -> Result<Vec<Table>, String> {
    let mut tables = match show.what {
        Shown::Databases | Shown::RetentionPolicies => Vec::new(),
        Shown::Measurements => vec![named(view, show)?],
        Shown::Series => vec![series(view, show)?],
        Shown::TagKeys => of_each(view, show, |_, all| {
            let keys: BTreeSet<_> = all.iter().flat_map(|series| series.tags.keys()).collect();
            Ok(listed("", "tagKey", show.page.of(keys.into_iter().cloned().collect())))
        })?,
        Shown::TagValues => of_each(view, show, |_, all| Ok(tag_values(show, all)))?,
        Shown::FieldKeys => of_each(view, show, |name, _| fields(view, show, name))?,
    };
    tables.retain(|table| !table.values.is_empty());
    Ok(tables)
}

/// The series of a measurement that meet the condition.
fn met(view: &View, show: &Show, of: &str) -> Result<Vec<Series>, String> {
    let mut all = view.series(of).map_err(|error| error.to_string())?;
    let (fields, kinds) = (Fields::new(), Kinds::new());
    let seen = |series: &Series, condition| {
        Seen { tags: &series.tags, time: 0, fields: &fields, kinds: &kinds }.meets(condition)
    };
    if let Some(condition) = &show.condition {
        all.retain(|series| seen(series, condition));
    }
    Ok(all)
}

fn named(view: &View, show: &Show) -> Result<Table, String> {
    let mut names = measurements(view, &show.from)?;
    names.retain(|name| show.matching.holds(name));
    if show.condition.is_some() {
        let mut kept = Vec::new();
        for name in names {
            if !met(view, show, &name)?.is_empty() {
                kept.push(name);
            }
        }
        names = kept;
    }
    Ok(listed("measurements", "name", show.page.of(names)))
}

fn series(view: &View, show: &Show) -> Result<Table, String> {
    let mut keys = Vec::new();
    for name in measurements(view, &show.from)? {
        keys.extend(met(view, show, &name)?.iter().map(Series::key));
    }
    keys.sort();
    Ok(listed("", "key", show.page.of(keys)))
}

fn of_each(
    view: &View,
    show: &Show,
    tell: impl Fn(&str, &[Series]) -> Result<Table, String>,
) -> Result<Vec<Table>, String> {
    let mut tables = Vec::new();
    for name in measurements(view, &show.from)? {
        let all = met(view, show, &name)?;
        if !all.is_empty() {
            tables.push(Table { name: name.clone(), ..tell(&name, &all)? });
        }
    }
    Ok(tables)
}

fn tag_values(show: &Show, all: &[Series]) -> Table {
    let mut values: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for (key, value) in all.iter().flat_map(|series| &series.tags) {
        if show.matching.holds(key) {
            values.entry(key).or_default().insert(value);
        }
    }
    let pairs = values.into_iter().flat_map(|(key, values)| {
        values.into_iter().map(move |value| vec![Cell::text(key), Cell::text(value)])
    });
    let columns = vec!["key".to_owned(), "value".to_owned()];
    Table { columns, values: show.page.of(pairs.collect()), ..Table::default() }
}

fn fields(view: &View, show: &Show, of: &str) -> Result<Table, String> {
    let kinds = view.kinds(of).map_err(|error| error.to_string())?;
    let pairs = kinds.iter().map(|(name, kind)| vec![Cell::text(name), Cell::text(kind.name())]);
    let columns = vec!["fieldKey".to_owned(), "fieldType".to_owned()];
    Ok(Table { columns, values: show.page.of(pairs.collect()), ..Table::default() })
}
