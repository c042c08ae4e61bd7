//! What a `SELECT` finds: rows in the order of time, or functions over windows of time, by tags.
//! Never reads without a bound: too many rows or windows are refused in InfluxDB's words. Functions:
//! [`super::aggregate`]; conditions: [`super::condition`]; rows: [`super::store`].

use std::collections::{BTreeMap, BTreeSet};

use super::aggregate::{Function, fill};
use super::answer::{Cell, Table};
use super::condition::{Seen, Span};
use super::statement::{By, Column, Fill, Interval, Select, Source};
use super::store::{Kinds, View};
use super::{Fields, Series, Tags};

/// So many rows one measurement is asked for at most.
const ROWS_MAX: usize = 1_000_000;
/// So many windows one series of an answer has at most.
const WINDOWS_MAX: i64 = 100_000;

/// When it is asked, and in which unit times are answered.
#[derive(Copy, Clone, Debug)]
pub(super) struct Asked {
    /// Nanoseconds.
    pub now: i64,
    /// `None`: as a date.
    pub epoch: Option<i64>,
}

/// A row that was found.
struct Found<'a> {
    time: i64,
    tags: &'a Tags,
    fields: Fields,
}

/// What is to be computed, and the name of its column.
struct Call {
    function: Function,
    field: String,
}

/// Whether functions are asked for, or rows.
enum Wanted {
    Rows,
    Calls(Vec<Call>),
}

/// The measurements that sources mean, sorted.
pub(super) fn measurements(view: &View, from: &[Source]) -> Result<Vec<String>, String> {
    let all = view.measurements().map_err(|error| error.to_string())?;
    let meant =
        |name: &String| from.is_empty() || from.iter().any(|one| one.measurement.holds(name));
    Ok(all.into_iter().filter(meant).collect())
}

/// Answers a `SELECT`.
///
/// # Errors
/// In words.
pub(super) fn select(view: &View, select: &Select, asked: Asked) -> Result<Vec<Table>, String> {
    let wanted = wanted(select)?;
    let mut tables = Vec::new();
    for name in measurements(view, &select.from)? {
        tables.extend(Of::new(view, &name, (select, asked))?.tables(&wanted)?);
    }
    if select.descending {
        tables.reverse();
    }
    Ok(select.series.of(tables))
}

fn wanted(select: &Select) -> Result<Wanted, String> {
    let mut calls = Vec::new();
    for column in &select.columns {
        let Column::Call { function: name, fields, .. } = column else { continue };
        let function = Function::named(name)?;
        let [field] = &fields[..] else {
            let found = fields.len();
            return Err(format!("invalid number of arguments for {name}, expected 1, got {found}"));
        };
        calls.push(Call { function, field: field.clone() });
    }
    if calls.is_empty() {
        if select.interval.is_some() {
            return Err("GROUP BY requires at least one aggregate function".into());
        }
        return Ok(Wanted::Rows);
    }
    match calls.len() == select.columns.len() {
        true => Ok(Wanted::Calls(calls)),
        false if matches!(&calls[..], [only] if only.function.selects()) => {
            Err("a field beside what a function selects is not served here".into())
        }
        false => Err("mixing aggregate and non-aggregate queries is not supported".into()),
    }
}

/// A `SELECT` of one measurement.
struct Of<'a> {
    view: &'a View,
    name: &'a str,
    select: &'a Select,
    asked: Asked,
    kinds: Kinds,
    series: Vec<Series>,
}

impl<'a> Of<'a> {
    fn new(
        view: &'a View,
        name: &'a str,
        (select, asked): (&'a Select, Asked),
    ) -> Result<Self, String> {
        let kinds = view.kinds(name).map_err(|error| error.to_string())?;
        let series = view.series(name).map_err(|error| error.to_string())?;
        Ok(Self { view, name, select, asked, kinds, series })
    }

    /// The names of the tags of its series.
    fn tag_names(&self) -> BTreeSet<&str> {
        self.series.iter().flat_map(|series| series.tags.keys()).map(String::as_str).collect()
    }

    /// The tags that part the answer.
    fn by(&self) -> Vec<String> {
        match &self.select.by {
            By::Tags(names) => names.clone(),
            By::All => self.tag_names().into_iter().map(str::to_owned).collect(),
        }
    }

    fn tables(&self, wanted: &Wanted) -> Result<Vec<Table>, String> {
        let by = self.by();
        let mut groups: BTreeMap<Tags, Vec<&Series>> = BTreeMap::new();
        for series in &self.series {
            let value = |name: &String| series.tags.get(name).cloned().unwrap_or_default();
            let tags = by.iter().map(|name| (name.clone(), value(name))).collect();
            groups.entry(tags).or_default().push(series);
        }
        let (mut tables, mut seen) = (Vec::new(), 0);
        for (tags, series) in groups {
            let rows = self.rows(&series, &mut seen)?;
            let (columns, values) = match wanted {
                Wanted::Rows => self.raw(&rows, &by),
                Wanted::Calls(calls) => (self.names(), self.computed(&rows, calls)?),
            };
            if values.is_empty() {
                continue;
            }
            let mut columns = unique(columns);
            columns.insert(0, "time".into());
            let name = self.name.to_owned();
            tables.push(Table { name, tags, columns, values: self.select.page.of(values) });
        }
        Ok(tables)
    }

    /// The times that are asked for.
    fn span(&self) -> Span {
        let span = Span::of(self.select.condition.as_ref());
        match span.to {
            // Windows end with the present.
            i64::MAX if self.select.interval.is_some() => Span { to: self.asked.now, ..span },
            _ => span,
        }
    }

    /// The rows of some series that meet the condition, in the order of time.
    fn rows(&self, series: &[&'a Series], seen: &mut usize) -> Result<Vec<Found<'a>>, String> {
        let (mut found, span) = (Vec::new(), self.span());
        for series in series {
            let tags = &series.tags;
            self.view.rows(series, span, |time, fields| {
                *seen += 1;
                if *seen > ROWS_MAX {
                    return Err(format!("max-select-point limit exceeded: ({seen}/{ROWS_MAX})"));
                }
                let looked = Seen { tags, time, fields: &fields, kinds: &self.kinds };
                if self.select.condition.as_ref().is_none_or(|condition| looked.meets(condition)) {
                    found.push(Found { time, tags, fields });
                }
                Ok(())
            })?;
        }
        found.sort_by_key(|row| row.time);
        Ok(found)
    }

    fn time(&self, at: i64) -> Cell {
        Cell::Time(at, self.asked.epoch)
    }

    /// Rows as they are: the names of their columns, and their values.
    fn raw(&self, rows: &[Found<'_>], by: &[String]) -> (Vec<String>, Vec<Vec<Cell>>) {
        let columns = self.expanded(by);
        let cell = |row: &Found<'_>, name: &String| match row.fields.get(name) {
            Some(value) => Cell::Value(value.clone()),
            None if self.kinds.contains_key(name) => Cell::Null,
            None => row.tags.get(name).map_or(Cell::Null, |tag| Cell::text(tag)),
        };
        let has_field =
            |row: &&Found<'_>| columns.iter().any(|(name, _)| row.fields.contains_key(name));
        let values = rows.iter().filter(has_field).map(|row| {
            let cells = columns.iter().map(|(name, _)| cell(row, name));
            std::iter::once(self.time(row.time)).chain(cells).collect()
        });
        let mut values: Vec<_> = values.collect();
        if self.select.descending {
            values.reverse();
        }
        (columns.into_iter().map(|(_, title)| title).collect(), values)
    }

    /// The columns with what `*` means: names, and what they are called.
    fn expanded(&self, by: &[String]) -> Vec<(String, String)> {
        let all = || {
            let fields = self.kinds.keys().map(String::as_str);
            let tags = self.tag_names().into_iter().filter(|tag| !by.iter().any(|by| by == tag));
            fields.chain(tags).collect::<BTreeSet<_>>()
        };
        let mut columns = Vec::new();
        for column in &self.select.columns {
            match column {
                Column::All => {
                    columns
                        .extend(all().into_iter().map(|name| (name.to_owned(), name.to_owned())));
                }
                Column::Field { name, alias } => {
                    columns.push((name.clone(), alias.as_ref().unwrap_or(name).clone()));
                }
                Column::Call { .. } => {}
            }
        }
        columns
    }

    /// What the columns of functions are called.
    fn names(&self) -> Vec<String> {
        let name = |column: &Column| match column {
            Column::Call { function, alias, .. } => alias.as_ref().unwrap_or(function).clone(),
            Column::Field { name, .. } => name.clone(),
            Column::All => String::new(),
        };
        self.select.columns.iter().map(name).collect()
    }

    /// Functions over windows, or over everything.
    fn computed(&self, rows: &[Found<'_>], calls: &[Call]) -> Result<Vec<Vec<Cell>>, String> {
        let has = |row: &Found<'_>| calls.iter().any(|call| row.fields.contains_key(&call.field));
        let (Some(first), true) = (rows.first(), rows.iter().any(has)) else {
            return Ok(Vec::new());
        };
        let span = self.span();
        let Some(interval) = self.select.interval else {
            let made = made(rows, calls)?;
            let mut at = if span.from == i64::MIN { 0 } else { span.from };
            if let ([only], [Some((selected, _))]) = (calls, &made[..])
                && only.function.selects()
            {
                at = *selected;
            }
            let values =
                made.into_iter().map(|made| made.map_or(Cell::Null, |made| Cell::Value(made.1)));
            return Ok(vec![std::iter::once(self.time(at)).chain(values).collect()]);
        };
        let from = if span.from == i64::MIN { first.time } else { span.from };
        self.windows(rows, calls, (interval, Span { from, to: span.to }))
    }

    fn windows(
        &self,
        rows: &[Found<'_>],
        calls: &[Call],
        (interval, span): (Interval, Span),
    ) -> Result<Vec<Vec<Cell>>, String> {
        let (first, last) = (interval.start(span.from), interval.start(span.to));
        let count = (i128::from(last) - i128::from(first)) / i128::from(interval.every) + 1;
        if count > i128::from(WINDOWS_MAX) {
            return Err(format!("max-select-buckets limit exceeded: ({count}/{WINDOWS_MAX})"));
        }
        let (mut starts, mut columns) = (Vec::new(), vec![Vec::new(); calls.len()]);
        let mut rest = rows;
        for number in 0..count as i64 {
            let start = first + number * interval.every;
            let end = start.saturating_add(interval.every);
            let (within, later) = rest.split_at(rest.partition_point(|row| row.time < end));
            rest = later;
            starts.push(start);
            for (column, made) in columns.iter_mut().zip(made(within, calls)?) {
                column.push(made.map_or(Cell::Null, |made| Cell::Value(made.1)));
            }
        }
        for (column, call) in columns.iter_mut().zip(calls) {
            fill(column, call.function, self.select.fill);
        }
        let mut values = Vec::new();
        for (number, start) in starts.into_iter().enumerate() {
            let cells: Vec<_> = columns.iter().map(|column| column[number].clone()).collect();
            if self.select.fill == Fill::None && cells.iter().all(|cell| *cell == Cell::Null) {
                continue;
            }
            values.push(std::iter::once(self.time(start)).chain(cells).collect());
        }
        if self.select.descending {
            values.reverse();
        }
        Ok(values)
    }
}

/// The values of functions over rows, each with the time of the row that it selects.
fn made(rows: &[Found<'_>], calls: &[Call]) -> Result<Vec<Option<(i64, super::Value)>>, String> {
    let of = |call: &Call| {
        let values =
            rows.iter().filter_map(|row| Some((row.time, row.fields.get(&call.field)?.clone())));
        call.function.of(&values.collect::<Vec<_>>())
    };
    calls.iter().map(of).collect()
}

/// Names that stand once: `mean`, `mean_1`.
fn unique(names: Vec<String>) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for name in names {
        let mut numbered = (1..).map(|number| format!("{name}_{number}"));
        let mut title = name.clone();
        while known.contains(&title) {
            title = numbered.next().unwrap_or_default();
        }
        known.push(title);
    }
    known
}
